from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from tests.cases import for_each_case
from tests.routes.a1111.pictures import got, mask, plain, told
from tests.routes.a1111.scripts.calls import complaint, run
from tests.routes.conftest import House

NAME = "SD upscale"
TILE = {"width": 64, "height": 64}


def test_the_call_of_that_programs_own_tests(client: FlaskClient) -> None:
    body = run(client, "img2img", "sd upscale", ["", 8, "Lanczos", 2.0], init_images=[plain(size=(64, 64))], **TILE)
    info = told(body)
    assert [got(text).size for text in body["images"]] == [(128, 128)]
    assert (info["all_seeds"], info["index_of_first_image"], len(info["infotexts"])) == ([7], 0, 1)
    assert "SD upscale overlap: 8, SD upscale upscaler: Lanczos" in info["infotexts"][0]
    assert info["extra_generation_params"]["SD upscale upscaler"] == "Lanczos"


def test_every_tile_is_drawn_from_its_part_of_the_picture(house: House, client: FlaskClient) -> None:
    run(client, "img2img", NAME, [None, 8, "Nearest", 2.0], init_images=[plain("red", (64, 64))], **TILE)
    jobs = sorted(house.runtime.jobs.queue.list(), key=lambda job: int(job.params["seed"]))
    assert [job.params["seed"] for job in jobs] == [*range(7, 16)], "3 x 3 tiles"
    assert {(job.kind, job.params["width"], job.params["height"]) for job in jobs} == {("img2img", 64, 64)}
    folder = house.runtime.config.paths.data_dir / "inputs"
    for job in jobs:
        with Image.open(folder / job.id / job.inputs["init_image"]) as tile:
            assert tile.convert("RGB").getcolors() == [(64 * 64, (255, 0, 0))]


def test_seeds_of_batches_and_of_repeated_upscaling(house: House, client: FlaskClient) -> None:
    body = run(
        client, "img2img", NAME, ["", 8, "Lanczos", 2.0], init_images=[plain(size=(64, 32))], batch_size=2, n_iter=2,
        **TILE,
    )  # fmt: skip
    assert told(body)["all_seeds"] == [7, 8]
    assert [got(text).size for text in body["images"]] == [(128, 64)] * 2
    seeds = sorted(int(job.params["seed"]) for job in house.runtime.jobs.queue.list())
    assert seeds == sorted([7, 8, 8, 8, 9, 9]), "three tiles, two at a time"


@pytest.mark.parametrize("upscaler", ["esrgan_x2", "ESRGAN_X2", 3])
def test_an_upscaler_is_a_job_of_the_same_call(house: House, client: FlaskClient, upscaler: Any) -> None:
    body = run(client, "img2img", NAME, ["", 16, upscaler, 1.5], init_images=[plain(size=(64, 64))], **TILE)
    assert got(body["images"][0]).size == (96, 96)
    assert "SD upscale upscaler: esrgan_x2" in told(body)["infotexts"][0]
    assert sorted(job.kind for job in house.runtime.jobs.queue.list()) == ["img2img"] * 4 + ["upscale"]


@pytest.mark.parametrize("upscaler", ["None", 0])
def test_without_an_upscaler_the_picture_keeps_its_size(client: FlaskClient, upscaler: Any) -> None:
    body = run(client, "img2img", NAME, ["", 16, upscaler, 4.0], init_images=[plain(size=(100, 40))], **TILE)
    assert got(body["images"][0]).size == (100, 40)


def test_a_mask_counts_for_every_tile(client: FlaskClient) -> None:
    fields = {"mask": mask((0, 0, 8, 16)), "mask_blur": 0, "inpaint_full_res": False, **TILE}
    body = run(client, "img2img", NAME, ["", 0, "Nearest", 2.0], init_images=[plain("red", (64, 32))], **fields)
    picture = got(body["images"][0]).convert("RGB")
    assert [picture.getpixel((x, 30)) == (255, 0, 0) for x in (60, 70, 120)] == [True, False, True]


@for_each_case(
    ("args", "where", "words"),
    [
        (["", 300, "Lanczos", 2.0], [1], "overlap is 300; it must be a whole number from 0 to 256"),
        (["", 64, "Lanczos", 2.0], [1], "overlap is 64; it must be smaller than a tile (64x64)"),
        (
            ["", 8, "R-ESRGAN", 2.0],
            [2],
            "upscaler_index is 'R-ESRGAN'; it must be a number from 0 to 4, or one of None, ",
        ),
        (["", 8, 9, 2.0], [2], "upscaler_index is 9; it must be a number from 0 to 4"),
        (["", 8, "Lanczos", 5], [3], "scale_factor is 5; it must be a number from 1 to 4"),
        ([8, "Lanczos", 2.0], [], "SD upscale takes 4 arguments (info, overlap, upscaler_index, scale_factor); 3 were"),
    ],
)
def test_arguments_that_cannot_be_read(
    shared_client: FlaskClient, args: list[Any], where: list[int], words: str
) -> None:
    place, message = complaint(shared_client, "img2img", NAME, args, init_images=[plain(size=(64, 64))], **TILE)
    assert place == where
    assert words in message


def test_too_many_tiles_and_too_large_pictures_are_refused(make_house: Callable[..., House]) -> None:
    house = make_house(a1111={"pictures": 8}, limits={"upscaled_side": 200}).start()
    args, init = ["", 8, "Lanczos", 2.0], [plain(size=(64, 64))]
    where, message = complaint(house.client, "img2img", NAME, args, init_images=init, **TILE)
    assert "SD upscale would draw 9 pictures (9 tiles x n_iter 1); at most 8 pictures" in message
    where, message = complaint(house.client, "img2img", NAME, ["", 8, "Lanczos", 4], init_images=init, **TILE)
    assert where == [3]
    assert "scale_factor: the result would be 256x256; at most 200 pixels a side are allowed" in message
    assert house.runtime.jobs.queue.list() == []


def test_no_picture_to_start_from(shared_client: FlaskClient) -> None:
    body = {"script_name": NAME, "script_args": ["", 8, "Lanczos", 2.0], **TILE}
    answer = shared_client.post("/sdapi/v1/img2img", json=body)
    assert (answer.status_code, answer.get_json()["detail"]) == (404, "Init image not found")
