from __future__ import annotations

import base64
import io
from typing import Any

from flask.testing import FlaskClient
from PIL import Image

from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.routes.native.jobs.submission_of_bodies import to_params
from sdcpp_rest.routes.native.wire.generation_bodies import Img2ImgBody, Txt2ImgBody
from sdcpp_rest.routes.native.wire.load_bodies import LoadBody, LoadOptionsBody
from tests.cases import for_each_case
from tests.routes.native.wire.test_generation_bodies import wrong_values

# Every field of the contract's table for POST /txt2img, with a value that is allowed.
CONTRACT = {
    "prompt": "a cat", "negative_prompt": "blurry", "width": 64, "height": 64, "steps": 4, "cfg_scale": 7.0,
    "distilled_guidance": 3.5, "eta": 0.0, "shifted_timestep": 0, "seed": 42, "sampler": "euler_a",
    "scheduler": "discrete", "batch_count": 2, "clip_skip": -1, "slg_scale": 0.0, "skip_layers": [7, 8, 9],
    "slg_start": 0.01, "slg_end": 0.2, "custom_sigmas": [], "ref_images": [], "auto_resize_ref_image": True,
    "increase_ref_index": False, "control_image_base64": "", "control_strength": 0.9, "vae_tiling": False,
    "vae_tile_size_x": 0, "vae_tile_size_y": 0, "vae_tile_overlap": 0.5, "easycache": False,
    "easycache_threshold": 0.2, "easycache_start": 0.15, "easycache_end": 0.95, "pm_id_images": [],
    "pm_id_embed_path": "", "pm_style_strength": 20.0, "upscale": False, "upscale_repeats": 1,
    "upscale_auto_unload": True,
}  # fmt: skip

# What there is beside it.
MORE: dict[str, Any] = {
    "img_cfg_scale": 2.0, "flow_shift": 3.0, "preprocess": "", "hires": True, "hires_upscaler": "Latent (bicubic)",
    "hires_scale": 1.5, "hires_width": 96, "hires_height": 80, "hires_steps": 3, "hires_denoising_strength": 0.5,
    "hires_upscale_tile_size": 64, "cache_mode": "spectrum", "cache_options": {"spectrum_m": 4, "scm_mask": "1,0"},
    "vae_tile_rel_size_x": 0.5, "vae_tile_rel_size_y": 2.0,
}  # fmt: skip


def png(side: int = 64) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


LOAD_CASES = [case for case in wrong_values(LoadBody) if case.values[0] != "options" or case.values[1] != {}]
OPTION_CASES = wrong_values(LoadOptionsBody, "options.")


def test_every_field_of_a_load_is_tried_with_wrong_types() -> None:
    assert len(LOAD_CASES) >= 60
    assert len(OPTION_CASES) >= 150


@for_each_case(("field", "value"), LOAD_CASES)
def test_a_wrong_type_in_load_is_refused_by_name(shared_client: FlaskClient, field: str, value: Any) -> None:
    answer = shared_client.post("/models/load", json={"model_name": "x", field: value})
    assert answer.status_code == 400, answer.text
    assert field in answer.get_json()["error"]


@for_each_case(("field", "value"), OPTION_CASES)
def test_a_wrong_type_in_load_options_is_refused_by_name(shared_client: FlaskClient, field: str, value: Any) -> None:
    answer = shared_client.post("/models/load", json={"model_name": "x", "options": {field: value}})
    assert answer.status_code == 400, answer.text
    assert f"options.{field}" in answer.get_json()["error"]


def test_txt2img_is_accepted_in_the_shape_of_the_contract(client: FlaskClient) -> None:
    answer = client.post("/txt2img", json={"prompt": "a cat", "width": 64, "height": 64, "steps": 2})
    assert answer.status_code == 202
    body = answer.get_json()
    assert set(body) == {"job_id", "status", "position"}
    assert (body["status"], body["position"]) == ("pending", 1)


def test_every_field_of_the_contract_is_taken(house: Any) -> None:
    answer = house.client.post("/txt2img", json=CONTRACT)
    assert answer.status_code == 202, answer.text
    assert "warnings" not in answer.get_json()
    params = house.finished(answer.get_json()["job_id"])["params"]
    kept = {name: value for name, value in CONTRACT.items() if name in ImageParams.model_fields}
    assert len(kept) >= 28
    assert {name: params[name] for name in kept} == kept


def test_every_field_beside_the_contract_is_taken(house: Any) -> None:
    answer = house.client.post("/txt2img", json={"prompt": "x", "steps": 1, "title": "t", **MORE})
    assert answer.status_code == 202, answer.text
    (warning,) = answer.get_json()["warnings"]
    assert warning.startswith("img_cfg_scale is for models that fill or edit pictures")
    params = house.finished(answer.get_json()["job_id"])["params"]
    options = params.pop("cache_options")
    assert {name: options[name] for name in MORE["cache_options"]} == MORE["cache_options"]
    assert {name: params[name] for name in MORE if name != "cache_options"} == {
        name: value for name, value in MORE.items() if name != "cache_options"
    }
    short = {"prompt", "expand_prompt", "styles", "title", "model_name", "group", "device", "vae_tile_rel_size"}
    assert set(Txt2ImgBody.model_fields) == CONTRACT.keys() | MORE.keys() | short


def test_null_means_not_given(client: FlaskClient) -> None:
    nothing = dict.fromkeys(CONTRACT)
    assert client.post("/txt2img", json={**nothing, "prompt": "x"}).status_code == 202


def test_a_missing_prompt_is_named(client: FlaskClient) -> None:
    answer = client.post("/txt2img", json={"steps": 2})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "prompt is required")


@for_each_case("content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "nonsense"])
def test_the_content_type_does_not_matter(client: FlaskClient, content_type: str | None) -> None:
    answer = client.post("/txt2img", data=b'{"prompt":"x","steps":1}', content_type=content_type)
    assert answer.status_code == 202


def test_unknown_fields_are_accepted_with_a_warning_that_stays_with_the_job(house: Any) -> None:
    body = house.client.post("/txt2img", json={"prompt": "x", "step": 3, "steps": 1}).get_json()
    assert body["warnings"][0] == "unknown field 'step' ignored; did you mean 'steps'?"
    assert house.finished(body["job_id"])["warnings"][0] == body["warnings"][0]


def test_unknown_fields_are_refused_when_the_user_wants_it_strict(make_house: Any) -> None:
    strict = make_house(api={"strict": True}).start()
    answer = strict.client.post("/txt2img", json={"prompt": "x", "step": 3})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "unknown field 'step'; did you mean 'steps'?")


def test_the_limit_that_is_told_is_the_one_that_was_configured(make_house: Any) -> None:
    small = make_house(limits={"steps": 30}).start()
    answer = small.client.post("/txt2img", json={"prompt": "x", "steps": 31})
    assert answer.get_json()["error"] == "steps must be an integer between 1 and 30, got 31"


def test_without_a_model_the_contract_has_its_words(make_house: Any) -> None:
    empty = make_house(models={"include_demo": False})
    empty.runtime.start()
    answer = empty.client.post("/txt2img", json={"prompt": "x"})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "No model loaded")


@for_each_case(
    ("body", "field", "words"),
    [
        ({"control_image_base64": "AAAA"}, "control_image_base64", "does not work with a ControlNet"),
        ({"pm_id_images": ["AAAA"]}, "pm_id_images", 'load it again with "photo_maker"'),
        ({"pm_id_embed_path": "x"}, "pm_id_embed_path", 'load it again with "photo_maker"'),
        ({"upscale": True}, "upscale", "No upscaler loaded; load one with POST /upscaler/load"),
        ({"hires": True, "hires_upscaler": "magic"}, "hires_upscaler", "or the name of an ESRGAN model"),
        ({"ref_images": ["AAAA"]}, "ref_images.0", "is not a picture"),
    ],
)
def test_what_the_model_cannot_do_is_told_with_what_to_do_about_it(
    client: FlaskClient, body: dict[str, Any], field: str, words: str
) -> None:
    answer = client.post("/txt2img", json={"prompt": "x", **body})
    assert answer.status_code == 400
    assert words in answer.get_json()["error"]
    assert answer.get_json()["field"] == field


def test_missing_upscaler_has_a_code_of_its_own(client: FlaskClient) -> None:
    answer = client.post("/txt2img", json={"prompt": "x", "upscale": True})
    assert answer.get_json()["code"] == "no_upscaler_loaded"


def test_a_full_queue_is_told(make_house: Any) -> None:
    house = make_house(limits={"pending_jobs": 1}).start()
    house.gate.clear()
    house.submit()
    assert house.running.wait(20)
    house.submit()
    assert house.client.post("/txt2img", json={"prompt": "x"}).status_code == 429


def test_a_stopping_server_takes_no_jobs_and_says_so(house: Any) -> None:
    house.runtime.begin_stop()
    answer = house.client.post("/txt2img", json={"prompt": "x"})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


def test_images_are_named_by_role() -> None:
    body = Img2ImgBody.model_validate(
        {
            "prompt": "x",
            "init_image_base64": "I",
            "mask_image_base64": "M",
            "control_image_base64": "C",
            "ref_images": ["A", "B"],
            "pm_id_images": ["F"],
            "img_cfg_scale": -1,
        }
    )
    asked, images = to_params(body)
    assert images == {
        "init_image": "I", "mask_image": "M", "control_image": "C", "ref_images.0": "A", "ref_images.1": "B",
        "pm_id_images.0": "F",
    }  # fmt: skip
    assert asked == {"prompt": "x", "img_cfg_scale": None}


def test_what_was_not_sent_is_left_to_the_defaults() -> None:
    sent = {"prompt": "x", "upscale": False, "cache_options": {"spectrum_m": 4}, "title": "mine"}
    asked, _ = to_params(Txt2ImgBody.model_validate(sent))
    assert asked == {"prompt": "x", "upscale": False, "cache_options": {"spectrum_m": 4}}


def test_name_of_the_embedding_file_goes_along() -> None:
    body = Txt2ImgBody.model_validate({"prompt": "x", "pm_id_embed_path": "anna.bin"})
    assert to_params(body)[0] == {"prompt": "x", "pm_id_embed_path": "anna.bin"}


def test_picture_is_upscaled_by_the_loaded_upscaler(house: Any) -> None:
    assert house.client.post("/upscaler/load", json={"model_name": "esrgan_x4"}).status_code == 200
    body = {"prompt": "x", "steps": 1, "upscale": True, "upscale_auto_unload": False, "batch_count": 2}
    job = house.finished(house.client.post("/txt2img", json=body).get_json()["job_id"])
    assert job["status"] == "completed", job
    assert job["params"]["upscaler"] == {"model": {"name": "esrgan_x4.safetensors"}, "tile_size": 128, "n_threads": -1}
    for path in job["outputs"]:
        with Image.open(house.runtime.jobs.outputs.path_of(path)) as picture:
            assert picture.size == (256, 256)


def test_hires_fix_names_its_upscaler(house: Any) -> None:
    body = {"prompt": "x", "steps": 1, "hires": True, "hires_upscaler": "esrgan_x2", "hires_width": 96}
    job = house.finished(house.client.post("/txt2img", json=body).get_json()["job_id"])
    assert job["status"] == "completed", job
    params = job["params"]
    x2 = "esrgan_x2.safetensors"
    assert (params["hires_upscaler"], params["hires_model"]) == (x2, {"name": x2})
    assert (params["hires_width"], params["hires_height"]) == (96, 96)


def test_title_stays_with_the_job(house: Any) -> None:
    answer = house.client.post("/txt2img", json={"prompt": "x", "steps": 1, "title": "my cat"})
    assert house.finished(answer.get_json()["job_id"])["title"] == "my cat"


def test_img2img_needs_its_picture(client: FlaskClient) -> None:
    answer = client.post("/img2img", json={"prompt": "x"})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "init_image_base64 is required")


def test_img2img_runs_on_a_model_that_was_loaded_without_its_encoder(make_house: Any) -> None:
    house = make_house()
    house.runtime.start()
    bare = {"model_name": "demo_dit_q8_0.gguf", "options": {"vae_decode_only": True, "flow_shift": 2.0}}
    assert house.client.post("/models/load", json=bare).status_code == 200
    answer = house.client.post("/img2img", json={"prompt": "x", "steps": 1, "init_image_base64": png()})
    assert answer.status_code == 202, answer.text
    assert any("it is loaded with the VAE's encoder" in warning for warning in answer.get_json()["warnings"])
    job = house.finished(answer.get_json()["job_id"])
    assert (job["type"], job["status"]) == ("img2img", "completed")
    assert house.runtime.models.slot.resident == house.runtime.models.slot.selected.with_encoder
    # The model with its encoder serves what was asked of the one without.
    job_id = house.submit()
    assert house.finished(job_id)["status"] == "completed"
    assert house.runtime.jobs.queue.get(job_id).load_spec == house.runtime.models.slot.selected
    assert house.runtime.models.slot.resident == house.runtime.models.slot.selected.with_encoder


@for_each_case("picture", ["", "not base64!", "AAAA", "data:image/png;base64,AAAA"])
def test_a_picture_that_is_none_is_refused_by_name(house: Any, picture: str) -> None:
    house.client.post("/models/load", json={"model_name": "demo_dit_q8_0.gguf", "options": {"vae_decode_only": False}})
    answer = house.client.post("/img2img", json={"prompt": "x", "init_image_base64": picture})
    assert answer.status_code == 400
    assert "init_image" in answer.get_json()["error"]
