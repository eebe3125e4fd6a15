from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from tests.cases import for_each_case
from tests.onnx_files import write_clip, write_wd_tagger
from tests.routes.a1111.pictures import SMALL, got, mask, plain, told
from tests.routes.a1111.scripts.calls import complaint, run
from tests.routes.conftest import House

NAME = "Loopback"


def strengths(info: dict[str, Any]) -> list[float]:
    texts = info["infotexts"][info["index_of_first_image"] :]
    return [float(re.search(r"Denoising strength: ([\d.e-]+)", text)[1]) for text in texts]  # type: ignore[index]


def test_each_picture_starts_from_the_one_before(house: House, client: FlaskClient) -> None:
    body = run(client, "img2img", NAME, [3, 0.25, "Linear", "None"], init_images=[plain()], batch_size=4)
    info = told(body)
    grid, *pictures = [got(text) for text in body["images"]]
    assert (len(pictures), grid.size, info["index_of_first_image"]) == (3, (48, 16), 1)
    assert info["all_seeds"] == [7, 8, 9]
    assert strengths(info) == pytest.approx([0.75, 0.5, 0.25])
    assert "Final denoising strength: 0.25, Denoising curve: Linear" in info["infotexts"][1]
    assert info["extra_generation_params"]["Denoising curve"] == "Linear"
    jobs = sorted(house.runtime.jobs.queue.list(), key=lambda job: int(job.params["seed"]))
    folder = house.runtime.config.paths.data_dir / "inputs"
    for job, before in zip(jobs[1:], pictures, strict=False):
        with Image.open(folder / job.id / job.inputs["init_image"]) as start:
            assert start.convert("RGB").tobytes() == before.convert("RGB").tobytes()


@pytest.mark.parametrize(
    ("curve", "middle"), [("Aggressive", 0.5 + 0.5 * 0.5**0.5), ("Linear", 0.75), ("Lazy", 1 - 0.5 * 0.5**0.5)]
)
def test_the_strength_changes_along_a_curve(client: FlaskClient, curve: str, middle: float) -> None:
    args = [3, 1.0, curve, "None"]
    info = told(run(client, "img2img", NAME, args, init_images=[plain()], denoising_strength=0.5))
    assert strengths(info) == pytest.approx([0.5, middle, 1.0])


def test_one_loop_is_one_picture(client: FlaskClient) -> None:
    body = run(client, "img2img", NAME, [1, 0.1, "Linear", "None"], init_images=[plain()], denoising_strength=0.6)
    assert len(body["images"]) == 1
    assert strengths(told(body)) == [0.6]


def test_of_several_runs_the_last_pictures_are_answered(client: FlaskClient) -> None:
    body = run(client, "img2img", NAME, [2, 0.5, "Linear", "None"], init_images=[plain()], n_iter=3)
    info = told(body)
    assert len(body["images"]) == 4
    assert info["all_seeds"] == [8, 10, 12]


def test_the_grid_can_be_switched_off(client: FlaskClient) -> None:
    client.post("/sdapi/v1/options", json={"return_grid": False})
    body = run(client, "img2img", NAME, [2, 0.5, "Linear", "None"], init_images=[plain()])
    assert len(body["images"]) == 2
    assert told(body)["index_of_first_image"] == 0


def test_only_the_masked_part_changes(client: FlaskClient) -> None:
    fields = {"mask": mask((0, 0, 8, 16)), "mask_blur": 0, "inpainting_fill": 2, "inpaint_full_res": False}
    body = run(client, "img2img", NAME, [3, 0.5, "Linear", "None"], init_images=[plain("red")], **fields)
    info = told(body)
    assert {got(text).convert("RGB").getpixel((15, 8)) for text in body["images"][1:]} == {(255, 0, 0)}
    assert "Masked content: latent noise" in info["infotexts"][1]
    assert "Masked content" not in info["infotexts"][2], "what was drawn is what is drawn on"


def test_what_pictures_show_may_be_added_to_the_prompt(house: House, client: FlaskClient) -> None:
    folder = house.runtime.config.paths.models_dir / "interrogate"
    write_wd_tagger(folder / "tagger")
    write_clip(folder / "clip")
    info = told(run(client, "img2img", NAME, [2, 0.5, "Linear", "CLIP"], init_images=[plain("red")]))
    assert info["all_prompts"][0] == "a cat, a red wall"
    assert all(prompt.startswith("a cat, ") for prompt in info["all_prompts"])
    info = told(run(client, "img2img", NAME, [1, 0.5, "Linear", "DeepBooru"], init_images=[plain("red")], prompt=""))
    assert info["prompt"] == ">_<, red hair"


def test_describing_without_a_model_for_it_is_refused(client: FlaskClient) -> None:
    body = {**SMALL, "init_images": [plain()], "script_name": NAME, "script_args": [2, 0.5, "Linear", "CLIP"]}
    answer = client.post("/sdapi/v1/img2img", json=body)
    assert answer.status_code == 501
    assert client.get("/queue").get_json()["items"] == []


def test_no_picture_to_start_from(shared_client: FlaskClient) -> None:
    body = {**SMALL, "script_name": NAME, "script_args": [2, 0.5, "Linear", "None"]}
    answer = shared_client.post("/sdapi/v1/img2img", json=body)
    assert (answer.status_code, answer.get_json()["detail"]) == (404, "Init image not found")


@for_each_case(
    ("args", "where", "words"),
    [
        ([0, 0.5, "Linear", "None"], [0], "loops is 0; it must be a whole number from 1 to 32"),
        ([2, 1.5, "Linear", "None"], [1], "final_denoising_strength is 1.5; it must be a number from 0 to 1"),
        ([2, 0.5, "Steep", "None"], [2], "denoising_curve is 'Steep'; it must be one of Aggressive, Linear, Lazy"),
        ([2, 0.5, "Linear", "BLIP"], [3], "append_interrogation is 'BLIP'; it must be one of None, CLIP, DeepBooru"),
        ([2, 0.5], [], "Loopback takes 4 arguments"),
    ],
)
def test_arguments_that_cannot_be_read(
    shared_client: FlaskClient, args: list[Any], where: list[int], words: str
) -> None:
    place, message = complaint(shared_client, "img2img", NAME, args, init_images=[plain()])
    assert place == where
    assert words in message


def test_too_many_pictures_are_refused(make_house: Callable[..., House]) -> None:
    client = make_house(a1111={"pictures": 4}).start().client
    args = [3, 0.5, "Linear", "None"]
    _, message = complaint(client, "img2img", NAME, args, init_images=[plain()], n_iter=2)
    assert "Loopback would draw 6 pictures (loops x n_iter); at most 4 pictures" in message
