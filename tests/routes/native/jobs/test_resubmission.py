"""A job's ``params``, sent to its own endpoint again, are warned of in nothing and make the same once more."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image

from tests.routes.conftest import House
from tests.routes.native.jobs.test_video_routes import choose_wan

SMALL = {"width": 64, "height": 64, "steps": 2}
X2 = "esrgan_x2.safetensors"


def picture(colour: str = "red", side: int = 64) -> str:
    made = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(made, "PNG")
    return base64.b64encode(made.getvalue()).decode()


def sent(house: House, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The finished job, and in it the warnings of its submission."""
    answer = house.client.post(path, json=body)
    assert answer.status_code == 202, answer.text
    submitted = answer.get_json()
    job = house.finished(submitted["job_id"])
    assert job["status"] == "completed", job
    return job


def bytes_of(house: House, job: dict[str, Any]) -> list[bytes]:
    return [house.client.get(f"/output/{path}", buffered=True).data for path in job["outputs"]]


def pixels_of(house: House, job: dict[str, Any]) -> list[bytes]:
    return [Image.open(io.BytesIO(data)).tobytes() for data in bytes_of(house, job)]


def without_ids(job: dict[str, Any]) -> dict[str, Any]:
    """Its parameters; references to its own pictures without its id."""
    own = f"job:{job['job_id']}/"

    def short(value: Any) -> Any:
        if isinstance(value, list):
            return [short(one) for one in value]
        return value.replace(own, "job:") if isinstance(value, str) else value

    return {name: short(value) for name, value in job["params"].items()}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/txt2img", {"prompt": "a dot"}),
        ("/txt2img", {"prompt": "a dot", "seed": 7, "batch_count": 2, "sampler": "heun", "cfg_scale": 3.0}),
        ("/txt2img", {"prompt": "a dot", "easycache": True, "easycache_threshold": 0.3}),
        ("/txt2img", {"prompt": "a dot", "cache_mode": "easycache", "cache_options": {"threshold": 0.3}}),
        ("/txt2img", {"prompt": "a dot", "hires": True, "hires_scale": 2.0, "hires_upscaler": X2}),
        ("/txt2img", {"prompt": "a dot", "upscale": True, "upscale_repeats": 1}),
        ("/txt2img", {"prompt": "a dot", "ref_images": [picture(), picture("blue")]}),
        ("/img2img", {"prompt": "a dot", "init_image_base64": picture(side=50), "strength": 0.5}),
        ("/img2img", {"prompt": "a dot", "init_image_base64": picture(), "mask_image_base64": picture("white")}),
    ],
)
def test_pictures_are_drawn_again(house: House, path: str, body: dict[str, Any]) -> None:
    house.client.post("/upscaler/load", json={"model_name": X2})
    first = sent(house, path, {**SMALL, **body})
    again = sent(house, path, first["params"])
    assert again["warnings"] == first["warnings"]
    assert not [warning for warning in again["warnings"] if "unknown" in warning]
    assert without_ids(again) == without_ids(first)
    assert pixels_of(house, again) == pixels_of(house, first)
    assert again["model_settings"] == first["model_settings"]


def test_videos_are_made_again(house: House) -> None:
    choose_wan(house, "vace_blocks.0.norm3.weight")
    body = {"prompt": "a cat", "width": 32, "height": 16, "video_frames": 5, "steps": 2, "output_format": "frames"}
    first = sent(house, "/txt2vid", {**body, "init_image_base64": picture(), "control_frames": [picture("blue")]})
    again = sent(house, "/txt2vid", first["params"])
    assert (again["warnings"], without_ids(again)) == (first["warnings"], without_ids(first))
    assert pixels_of(house, again) == pixels_of(house, first)


def test_pictures_are_enlarged_again_with_the_upscaler_of_then(house: House) -> None:
    house.client.post("/upscaler/load", json={"model_name": X2, "tile_size": 64})
    drawn = sent(house, "/txt2img", {"prompt": "a dot", **SMALL})
    first = sent(house, "/upscale", {"job_id": drawn["job_id"], "repeats": 1})
    house.client.post("/upscaler/unload")
    again = sent(house, "/upscale", first["params"])
    assert (again["warnings"], without_ids(again)) == ([], without_ids(first))
    assert again["params"]["caption"].startswith("a dot")
    assert pixels_of(house, again) == pixels_of(house, first)


def test_conversions_replace_their_own_result(house: House) -> None:
    first = sent(house, "/convert", {"input_path": "demo_dit_q8_0.gguf", "output_type": "q4_0"})
    again = sent(house, "/convert", first["params"])
    assert (again["warnings"], again["params"]) == ([], first["params"])
    assert len(house.client.get("/models").get_json()["diffusion_models"]) == 2


def test_a_cancelled_job_keeps_its_picture_until_it_is_removed(house: House) -> None:
    house.gate.clear()
    house.submit()
    assert house.running.wait(20)
    body = {"prompt": "a dot", **SMALL, "init_image_base64": picture()}
    job_id = house.client.post("/img2img", json=body).get_json()["job_id"]
    assert house.client.delete(f"/queue/{job_id}").status_code == 200
    house.gate.set()
    params = house.finished(job_id)["params"]
    assert sent(house, "/img2img", params)["status"] == "completed"
    house.runtime.jobs.recycle_bin.delete([job_id])
    house.runtime.jobs.recycle_bin.purge(job_id)
    assert house.client.post("/img2img", json=params).status_code == 400


def test_a_picture_that_is_gone_is_told(house: House) -> None:
    body = {"prompt": "a dot", **SMALL, "init_image_base64": "job:nobody/init_image"}
    answer = house.client.post("/img2img", json=body)
    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith("init_image_base64: there is no such picture of a job")


def test_pictures_referred_to_are_bounded_together(make_house: Any) -> None:
    house = make_house(limits={"body_bytes": 5000}).start()
    loud = Image.effect_noise((64, 64), 90)
    made = io.BytesIO()
    loud.convert("RGB").save(made, "JPEG", quality=10)
    given = base64.b64encode(made.getvalue()).decode()
    first = sent(house, "/img2img", {"prompt": "a dot", **SMALL, "init_image_base64": given})
    picture_of_it = first["params"]["init_image_base64"]
    body = {"prompt": "a dot", **SMALL, "ref_images": [picture_of_it] * 16}
    answer = house.client.post("/txt2img", json=body)
    assert (answer.status_code, "too large together" in answer.get_json()["error"]) == (400, True)


def test_resolved_prompts_draw_the_same_words_again(house: House) -> None:
    body = {**SMALL, "prompt": "<random:a|b|c|d|e|f|g|h> dot", "negative_prompt": "<random:x,y>", "expand_prompt": True}
    first = sent(house, "/txt2img", body)
    again = sent(house, "/txt2img", first["params"])
    assert again["warnings"] == []
    assert again["params"]["prompt"] == first["resolved_prompt"] == first["params"]["prompt"]
    assert pixels_of(house, again) == pixels_of(house, first)
