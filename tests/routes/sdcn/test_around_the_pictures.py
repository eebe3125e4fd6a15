"""What SDCN has around its pictures: making them larger, and the key that is everybody's."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from tests.cases import for_each_case
from tests.routes.conftest import House, ServedHouse


def coloured(colour: str = "red") -> str:
    file = io.BytesIO()
    Image.new("RGB", (32, 24), colour).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def enlarged(client: FlaskClient, **fields: Any) -> Image.Image:
    answer = client.post("/api/sd/upscale", json={"image": coloured(), "upscalingRate": 2, **fields})
    assert answer.status_code == 200, answer.text
    shown = answer.get_json()
    assert (shown["code"], shown["message"]) == (200, "success")
    (text,) = shown["data"]["images"]
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


@pytest.mark.parametrize("upscaler", ["Lanczos", "Nearest", "esrgan_x2"])
def test_a_picture_is_made_larger_by_any_upscaler(house: House, upscaler: str) -> None:
    assert enlarged(house.client, upscaler=upscaler, upscalingRate="3").size == (96, 72)
    kinds = [job.kind for job in house.runtime.jobs.queue.list()]
    assert kinds == (["upscale"] if upscaler.startswith("esrgan") else [])


def test_a_second_upscaler_is_laid_over_the_first(house: House) -> None:
    mixed = enlarged(house.client, upscaler="Lanczos", upscaler2="esrgan_x2", upscaler2_factor=0.5)
    alone = enlarged(house.client, upscaler="Lanczos", upscaler2="esrgan_x2", upscaler2_factor=0)
    assert mixed.size == alone.size == (64, 48)
    assert len(house.runtime.jobs.queue.list()) == 1


@for_each_case(
    ("fields", "words"),
    [
        ({"image": "no picture"}, "Invalid image"),
        ({"image": None}, "Invalid image"),
        ({"upscalingRate": 1}, "Invalid upscalingRate"),
        ({"upscalingRate": 101}, "Invalid upscalingRate"),
        ({"upscalingRate": "large"}, "Invalid upscalingRate"),
        ({"upscaler": "ESRGAN 9x"}, "Invalid upscaler: "),
        ({"upscaler2": 7, "upscaler2_factor": 0.5}, "Invalid upscaler2: "),
        ({"upscaler2_factor": 1}, "Invalid upscaler2_factor"),
    ],
)
def test_odd_wishes_for_a_larger_picture_are_refused(client: FlaskClient, fields: dict[str, Any], words: str) -> None:
    answer = client.post("/api/sd/upscale", json={"image": coloured(), "upscalingRate": 2, **fields})
    assert (answer.status_code, answer.get_json()["code"]) == (400, 3000)
    assert answer.get_json()["message"].startswith(words)


def test_a_server_without_keys_has_a_public_one(client: FlaskClient) -> None:
    answer = client.get("/api/user/public-api-key")
    assert answer.get_json() == {"code": 200, "data": {"apiKey": "public"}, "message": "success"}
    key = {"Authorization": "Bearer public"}
    assert client.post("/api/sd/task/status", json={"taskId": "x"}, headers=key).status_code == 200


def test_a_server_with_keys_has_no_public_one(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth={"api_keys": ["k"]})
    answer = served.get("/api/user/public-api-key")
    assert (answer.status_code, answer.json()["code"]) == (401, 1000)
    answer = served.get("/api/user/public-api-key", headers={"Authorization": "Bearer k"})
    assert (answer.status_code, answer.json()["code"]) == (403, 1000)
    assert "no public key" in answer.json()["message"]
