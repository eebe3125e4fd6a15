"""The picture that a job began with lies beside those it made."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image

from tests.routes.conftest import House


def picture(colour: str = "red", side: int = 64) -> str:
    made = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(made, "PNG")
    return base64.b64encode(made.getvalue()).decode()


def run(house: House, path: str, body: dict[str, Any]) -> str:
    answer = house.client.post(path, json=body)
    assert answer.status_code == 202, answer.text
    job = house.finished(answer.get_json()["job_id"])
    assert job["status"] == "completed", job
    return str(job["job_id"])


def colour_of(house: House, path: str) -> Any:
    answer = house.client.get(path, buffered=True)
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.data)).convert("RGB").getpixel((1, 1))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/img2img", {"init_image_base64": picture()}),
        ("/txt2img", {"ref_images": [picture(), picture("blue")]}),
        ("/upscale", {"image_base64": picture()}),
    ],
)
def test_the_picture_that_a_job_began_with_is_served(house: House, path: str, words: dict[str, Any]) -> None:
    house.client.post("/upscaler/load", json={"model_name": "esrgan_x2.safetensors"})
    body = words if path == "/upscale" else {"prompt": "a dot", "width": 64, "height": 64, "steps": 1, **words}
    job_id = run(house, path, body)
    assert colour_of(house, f"/output/{job_id}/source.png") == (255, 0, 0)
    thumb = house.client.get(f"/thumb/{job_id}/source.png", buffered=True)
    assert (thumb.status_code, thumb.mimetype) == (200, "image/jpeg")


def test_the_mask_lies_beside_it(house: House) -> None:
    body = {"prompt": "a dot", "width": 64, "height": 64, "steps": 1, "init_image_base64": picture()}
    job_id = run(house, "/img2img", {**body, "mask_image_base64": picture("white")})
    assert colour_of(house, f"/output/{job_id}/mask.png") == (255, 255, 255)
    job = house.client.get(f"/queue/{job_id}").get_json()
    assert job["outputs"] == [f"{job_id}/image_0.png"]


def test_a_job_that_began_with_words_has_none(house: House) -> None:
    job_id = str(house.finished(house.submit())["job_id"])
    assert house.client.get(f"/output/{job_id}/source.png").status_code == 404
