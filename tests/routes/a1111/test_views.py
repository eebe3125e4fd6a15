from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from sdcpp_rest.runtime import DEMO_MODEL
from sdcpp_rest.services.pictures.picture_formats import texts_of
from tests.cases import for_each_case
from tests.routes.a1111.pictures import SMALL, got, mask, plain, sent, told
from tests.routes.conftest import PATIENCE_SECONDS, House
from tests.services.conftest import copy_demo


def post(client: FlaskClient, path: str = "txt2img", **fields: Any) -> dict[str, Any]:
    answer = client.post(f"/sdapi/v1/{path}", json={"prompt": "a cat", **SMALL, **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def refused(client: FlaskClient, path: str = "txt2img", **fields: Any) -> tuple[int, Any]:
    answer = client.post(f"/sdapi/v1/{path}", json={"prompt": "a cat", **SMALL, **fields})
    return answer.status_code, answer.get_json()


def test_every_picture_has_its_seed_and_its_text(client: FlaskClient) -> None:
    body = post(client, seed=100, n_iter=2, batch_size=2, negative_prompt="blurry", sampler_name="DPM++ 2M Karras")
    info = told(body)
    assert len(body["images"]) == 4, "no grid"
    assert info["all_seeds"] == [100, 101, 102, 103]
    assert info["index_of_first_image"] == 0
    pictures = [got(text) for text in body["images"]]
    assert [texts_of(picture)["parameters"] for picture in pictures] == info["infotexts"]
    assert len({picture.tobytes() for picture in pictures}) == 4
    text = info["infotexts"][2]
    assert text.startswith("a cat\nNegative prompt: blurry\nSteps: 2, Sampler: DPM++ 2M, Schedule type: Karras, ")
    assert ", Seed: 102, Size: 16x16, Model hash: " in text


def test_the_same_seed_is_the_same_picture_in_whatever_batch(client: FlaskClient) -> None:
    many = post(client, seed=5, n_iter=3)["images"]
    assert got(post(client, seed=7)["images"][0]).tobytes() == got(many[2]).tobytes()
    batch = post(client, seed=5, batch_size=3)["images"]
    assert [got(one).tobytes() for one in batch] == [got(one).tobytes() for one in many]


def test_what_was_drawn_without_a_seed_tells_the_one_it_got(client: FlaskClient) -> None:
    first = told(post(client))
    assert 0 <= first["seed"] < 2**32
    assert got(post(client, seed=first["seed"])["images"][0]).tobytes()


def test_the_request_is_told_back_as_it_was_read(client: FlaskClient) -> None:
    parameters = post(client, steps="3", cfg_scale="7", url="http://x", auth="u:p", denoising_strength=None)[
        "parameters"
    ]
    assert (parameters["steps"], parameters["cfg_scale"], parameters["seed"]) == (3, 7.0, -1)
    assert parameters["override_settings_restore_afterwards"] is True
    assert "auth" not in parameters
    assert "url" not in parameters


def test_what_is_left_out_is_the_models_own(client: FlaskClient) -> None:
    body = client.post("/sdapi/v1/txt2img", data=json.dumps({"prompt": "puppy dog", "steps": 5})).get_json()
    assert got(body["images"][0]).size == (64, 64), "the demo model's sidecar says so"
    assert (body["parameters"]["width"], body["parameters"]["steps"]) == (64, 5)


def test_a_grid_comes_first_when_pictures_are_saved(client: FlaskClient) -> None:
    body = post(client, n_iter=4, save_images=True)
    info = told(body)
    assert len(body["images"]) == len(info["infotexts"]) == 5
    assert info["index_of_first_image"] == 1
    assert got(body["images"][0]).size == (32, 32)
    assert len(post(client, save_images=True)["images"]) == 1


def test_pictures_can_be_left_out(client: FlaskClient) -> None:
    body = post(client, send_images=False, n_iter=2)
    assert body["images"] == []
    assert len(told(body)["infotexts"]) == 2


@pytest.mark.parametrize(("form", "kind"), [("jpg", "JPEG"), ("jpeg", "JPEG"), ("webp", "WEBP"), ("png", "PNG")])
def test_pictures_come_in_the_format_of_the_options(client: FlaskClient, form: str, kind: str) -> None:
    body = post(client, override_settings={"samples_format": form})
    picture = got(body["images"][0])
    assert picture.format == kind
    assert texts_of(picture)["parameters"] == told(body)["infotexts"][0]
    assert got(post(client)["images"][0]).format == "PNG", "for that call alone"


def test_texts_can_be_switched_off(client: FlaskClient) -> None:
    body = post(client, override_settings={"enable_pnginfo": False})
    assert texts_of(got(body["images"][0])) == {}


def test_overrides_stay_when_they_are_to_stay(client: FlaskClient) -> None:
    post(client, override_settings={"samples_format": "webp"}, override_settings_restore_afterwards=False)
    assert client.get("/sdapi/v1/options").get_json()["samples_format"] == "webp"


def test_overrides_that_cannot_be_done_do_not_cost_the_pictures(client: FlaskClient) -> None:
    overrides = {"jpeg_quality": "best", "sd_model_checkpoint": "nope", "sd_vae": "nope", "unknown": 1, "n_rows": None}
    body = post(client, override_settings=overrides, override_settings_restore_afterwards=False)
    assert len(body["images"]) == 1
    ignored = told(body)["extra_generation_params"]["Ignored"]
    assert "override_settings.jpeg_quality" in ignored
    assert "override_settings.sd_vae" in ignored
    assert client.get("/sdapi/v1/options").get_json()["jpeg_quality"] == 80


def test_what_is_ignored_is_named_in_the_answer_and_the_text(client: FlaskClient) -> None:
    body = post(client, restore_faces=True, prompt="a <lora:nope:1> cat", override_settings={"eta_ddim": 1.0})
    info = told(body)
    assert info["extra_generation_params"]["Ignored"] == "override_settings.eta_ddim, LoRA nope, restore_faces"
    assert 'Ignored: "override_settings.eta_ddim, LoRA nope, restore_faces"' in info["infotexts"][0]
    assert info["prompt"] == "a <lora:nope:1> cat"


def test_options_for_describing_pictures_are_told_as_ignored_when_drawing(client: FlaskClient) -> None:
    changed = {"deepbooru_sort_alpha": False, "interrogate_return_ranks": True}
    info = told(post(client, override_settings=changed))
    ignored = info["extra_generation_params"]["Ignored"]
    assert ignored == "override_settings.deepbooru_sort_alpha, override_settings.interrogate_return_ranks"


def test_a_known_lora_is_applied_and_its_hash_told(house: House, client: FlaskClient) -> None:
    info = told(post(client, prompt="a cat <lora:demo_lora:0.5>"))
    assert info["extra_generation_params"]["Lora hashes"].startswith("demo_lora: ")
    (job,) = house.runtime.jobs.queue.list()
    assert [use["weight"] for use in job.params["loras"]] == [0.5]
    assert job.origin == "a1111"


def test_an_unknown_sampler_is_no_reason_to_refuse(client: FlaskClient) -> None:
    for name in ("PLMS", "DDIM", "UniPC", "No such sampler"):
        post(client, sampler_name=name)


def test_an_unknown_checkpoint_is_passed_over(client: FlaskClient) -> None:
    info = told(post(client, override_settings={"sd_model_checkpoint": "no-such-model"}))
    assert info["sd_model_name"] == "demo_dit_q8_0"


def test_a_checkpoint_for_one_call_leaves_the_selected_one(house: House, client: FlaskClient) -> None:
    copy_demo(house.config, "other.gguf")
    info = told(post(client, override_settings={"sd_model_checkpoint": "other"}))
    assert info["sd_model_name"] == "other"
    assert house.runtime.models.slot.selected is not None
    assert house.runtime.models.slot.selected.model.name == DEMO_MODEL
    post(client, override_settings={"sd_model_checkpoint": "other"}, override_settings_restore_afterwards=False)
    assert house.runtime.models.slot.selected.model.name == "other.gguf"


def test_hires_fix_draws_larger_and_tells_it(client: FlaskClient, house: House) -> None:
    body = post(client, enable_hr=True, hr_scale=1.5, denoising_strength=0.4, hr_upscaler="Latent (bicubic)")
    assert "Denoising strength: 0.4, Hires upscale: 1.5, Hires upscaler: Latent (bicubic)" in told(body)["infotexts"][0]
    assert house.runtime.jobs.queue.list()[0].params["hires_denoising_strength"] == 0.4


def test_tiling_draws_with_a_model_that_is_loaded_for_it(client: FlaskClient, house: House) -> None:
    body = post(client, tiling=True)
    spec = house.runtime.jobs.queue.list()[0].load_spec
    assert spec is not None
    assert spec.options.circular_x
    assert "Tiling: True" in told(body)["infotexts"][0]


def test_styles_are_added(client: FlaskClient, house: House) -> None:
    (house.config.paths.data_dir / "styles.csv").write_text("name,prompt,negative_prompt\nOil,oil painting,photo\n")
    info = told(post(client, styles=["Oil"]))
    assert (info["prompt"], info["negative_prompt"], info["styles"]) == ("a cat, oil painting", "photo", ["Oil"])


def test_a_text_fills_what_is_not_sent(client: FlaskClient) -> None:
    text = "a dog\nSteps: 4, Sampler: Heun, Schedule type: Karras, CFG scale: 3.5, Seed: 77, Size: 24x32"
    info = told(client.post("/sdapi/v1/txt2img", json={"infotext": text, "steps": 2}).get_json())
    assert (info["prompt"], info["steps"], info["sampler_name"], info["seed"]) == ("a dog", 2, "Heun", 77)
    assert (info["width"], info["height"], info["cfg_scale"]) == (24, 32, 3.5)


@for_each_case(
    ("fields", "field"),
    [
        ({"steps": 100_000}, "steps"), ({"width": 100_000}, "width"), ({"batch_size": 1000}, "n_iter"),
        ({"batch_size": 100}, "batch_size"), ({"n_iter": 999}, "n_iter"), ({"prompt": "x" * 20_000}, "prompt"),
        ({"seed": 2**63 - 1}, "seed"), ({"cfg_scale": -1}, "cfg_scale"),
        ({"enable_hr": True, "hr_scale": 99}, "hr_scale"),
    ],
)  # fmt: skip
def test_values_out_of_range_are_422_and_name_their_field(
    shared_client: FlaskClient, fields: dict[str, Any], field: str
) -> None:
    status, body = refused(shared_client, **fields)
    assert status == 422
    assert body["detail"][0]["loc"] == ["body", field]


def test_a_failure_is_told_in_this_dialects_shape(client: FlaskClient) -> None:
    status, body = refused(client, prompt="fake:fail")
    assert status == 500
    assert (body["error"], body["detail"]) == ("GenerationFailed", "asked to fail")


def test_a_blank_picture_is_a_failure_that_is_called_so(client: FlaskClient) -> None:
    status, body = refused(client, prompt="fake:blank")
    assert (status, body["error"], body["detail"]) == (500, "PictureIsBlank", "asked to be blank")
    assert "images" not in body


def test_a_picture_without_memory_is_a_507(client: FlaskClient) -> None:
    status, body = refused(client, prompt="fake:hungry")
    assert (status, body["error"], body["detail"]) == (507, "OutOfMemory", "asked to be hungry")


def test_without_a_model_there_are_no_pictures(make_house: Callable[..., House]) -> None:
    house = make_house(models={"include_demo": False})
    house.runtime.start()
    status, body = refused(house.client)
    assert (status, body["error"]) == (400, "NoModelLoaded")


# --- pictures from pictures -----------------------------------------------------------------------------------------


def test_a_picture_is_drawn_from_a_picture(client: FlaskClient, house: House) -> None:
    body = post(client, "img2img", init_images=["data:image/png;base64," + plain()], denoising_strength="0.5")
    assert told(body)["denoising_strength"] == 0.5
    assert body["parameters"]["init_images"] is None
    assert body["parameters"]["mask"] is None
    assert house.runtime.jobs.queue.list()[0].params["strength"] == 0.5
    again = post(client, "img2img", init_images=[plain()], include_init_images=True)
    assert again["parameters"]["init_images"] == [plain()]


def test_without_a_picture_to_start_from_it_is_a_404(client: FlaskClient) -> None:
    for fields in ({}, {"init_images": None}, {"init_images": []}):
        status, body = refused(client, "img2img", **fields)
        assert (status, body["detail"]) == (404, "Init image not found")


@for_each_case("broken", ["abc", "", "data:image/png;base64,xyz", sent(Image.new("RGB", (8, 8)))[:60]])
@for_each_case("more", [{}, {"mask": plain("white")}, {"resize_mode": 1}])
def test_a_picture_that_is_none(shared_client: FlaskClient, broken: str, more: dict[str, Any]) -> None:
    status, body = refused(shared_client, "img2img", init_images=[broken], **more)
    assert (status, body["detail"]) == (500, "Invalid encoded image")


def test_addresses_are_not_fetched(shared_client: FlaskClient) -> None:
    for fields in ({"init_images": ["http://127.0.0.1/x.png"]}, {"init_images": [plain()], "mask": "https://x/y.png"}):
        status, body = refused(shared_client, "img2img", **fields)
        assert (status, body["detail"]) == (500, "Requests not allowed")


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_every_resize_mode_brings_the_picture_to_size(client: FlaskClient, house: House, mode: int) -> None:
    body = post(client, "img2img", init_images=[plain(size=(50, 20))], resize_mode=mode)
    assert got(body["images"][0]).size == (16, 16)
    (job,) = house.runtime.jobs.queue.list()
    with Image.open(house.runtime.jobs.outputs.inputs_of(job.id) / job.inputs["init_image"]) as given:
        assert given.size == (16, 16)


@pytest.mark.parametrize("fill", [0, 1, 2, 3])
def test_only_the_masked_part_changes_and_the_whole_picture_comes_back(client: FlaskClient, fill: int) -> None:
    body = post(
        client, "img2img", init_images=[plain("red", (60, 40))], mask=mask((40, 10, 50, 20), (60, 40)),
        inpainting_fill=fill, mask_blur=0, inpaint_full_res_padding=2, prompt="not red",
    )  # fmt: skip
    picture = got(body["images"][0])
    assert picture.size == (60, 40)
    assert picture.getpixel((5, 5)) == (255, 0, 0)
    assert picture.getpixel((45, 15)) != (255, 0, 0)
    assert texts_of(picture)["parameters"] == told(body)["infotexts"][0]


def test_a_mask_can_be_inverted(client: FlaskClient) -> None:
    body = post(
        client, "img2img", init_images=[plain("red")], mask=mask((0, 0, 8, 16)), inpainting_mask_invert=True,
        inpaint_full_res=False, mask_blur=0, inpainting_fill=1,
    )  # fmt: skip
    picture = got(body["images"][0])
    assert picture.getpixel((2, 8)) == (255, 0, 0)
    assert picture.getpixel((14, 8)) != (255, 0, 0)
    assert "Mask mode: Inpaint not masked" in told(body)["infotexts"][0]


def test_several_pictures_are_one_batch(client: FlaskClient) -> None:
    body = post(client, "img2img", init_images=[plain("red"), plain("blue")], batch_size=2, n_iter=2, seed=1)
    assert told(body)["all_seeds"] == [1, 2, 3, 4]
    assert len(body["images"]) == 4
    status, body = refused(client, "img2img", init_images=[plain(), plain()])
    assert (status, body["errors"]) == (500, "bad number of images passed: 2; expecting 1 or less")


def test_controlnet_without_its_model_is_refused_by_its_name(client: FlaskClient) -> None:
    unit = {"input_image": plain(), "model": "None", "module": "canny", "weight": 0.5}
    status, body = refused(client, alwayson_scripts={"ControlNet": {"args": [unit]}})
    assert status == 422
    assert "control_image" in body["detail"][0]["msg"]
    broken = {**unit, "input_image": "abc"}
    status, body = refused(client, alwayson_scripts={"ControlNet": {"args": [broken]}})
    assert (status, body["detail"]) == (500, "Invalid encoded image")
    status, body = refused(client, alwayson_scripts={"ControlNet": {"args": [{**unit, "model": "canny [d14c016b]"}]}})
    assert (status, body["detail"]) == (422, "ControlNet model 'canny' not found")
    for weight in (10**400, -(10**400)):
        status, body = refused(client, alwayson_scripts={"ControlNet": {"args": [{**unit, "weight": weight}]}})
        assert (status, "control_image" in body["detail"][0]["msg"]) == (422, True), weight


def test_callers_wait_for_each_other_and_all_are_served(house: House) -> None:
    app = house.client.application

    def one(seed: int) -> list[int]:
        body = app.test_client().post("/sdapi/v1/txt2img", json={"prompt": "x", **SMALL, "seed": seed, "n_iter": 2})
        return list(told(body.get_json())["all_seeds"])

    with ThreadPoolExecutor(4) as pool:
        seeds = [*pool.map(one, range(10, 50, 10), timeout=PATIENCE_SECONDS)]
    assert seeds == [[10, 11], [20, 21], [30, 31], [40, 41]]


def test_arguments_in_the_prompt_are_fields_and_no_words(client: FlaskClient) -> None:
    held = {"seed": 42, "negative_prompt": "bad", "sample_params": {"sample_steps": 3, "scheduler": "karras"}, "x": 1}
    tag = f" <sd_cpp_extra_args>{json.dumps(held)}</sd_cpp_extra_args>"
    info = told(post(client, prompt=f"a cat{tag}"))
    assert (info["prompt"], info["negative_prompt"], info["all_seeds"]) == ("a cat", "bad", [42])
    text = info["infotexts"][0]
    assert text.startswith("a cat\nNegative prompt: bad\nSteps: 3, ")
    assert "Schedule type: Karras" in text
    assert "sd_cpp_extra_args.x" in text
    status, answer = refused(client, prompt="a cat <sd_cpp_extra_args>{</sd_cpp_extra_args>")
    assert (status, answer["detail"][0]["loc"]) == (422, ["body", "prompt"])
