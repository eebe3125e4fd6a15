"""Pictures of the real model through sd-server's jobs API, as its clients call it."""

from __future__ import annotations

import base64
import io
import re

import pytest
import requests
from PIL import Image

from tests.e2e.conftest import TIMEOUT, ServerProcess
from tests.e2e.test_openai_and_sdcn import check_red_on_blue

pytestmark = [pytest.mark.e2e, pytest.mark.native]
PROMPT = "a red circle on a blue background"
BODY = {"prompt": PROMPT, "seed": 42, "output_format": "webp", "sample_params": {"sample_steps": 8}}


def poll(server: ServerProcess, job: dict[str, str]) -> dict[str, object]:
    """As its clients do, until the job has ended."""
    while True:
        shown = requests.get(server.url + job["poll_url"], timeout=TIMEOUT).json()
        if shown["status"] not in ("queued", "generating"):
            return dict(shown)


def submit(server: ServerProcess, **fields: object) -> dict[str, str]:
    answer = requests.post(f"{server.url}/sdcpp/v1/img_gen", json={**BODY, **fields}, timeout=TIMEOUT)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def test_a_client_submits_polls_and_has_its_picture(shared_server: ServerProcess) -> None:
    told = requests.get(f"{shared_server.url}/sdcpp/v1/capabilities", timeout=TIMEOUT).json()
    assert told["supported_modes"] == ["img_gen"]
    shown = poll(shared_server, submit(shared_server))
    assert shown["status"] == "completed", shown
    result = shown["result"]
    assert isinstance(result, dict)
    assert result["output_format"] == "webp"
    picture = Image.open(io.BytesIO(base64.b64decode(result["images"][0]["b64_json"])))
    assert picture.format == "WEBP"
    check_red_on_blue(picture)


def test_what_the_capabilities_tell_draws_the_models_own_picture(shared_server: ServerProcess) -> None:
    """A page that sends every default back draws the same pixels as one that sends none."""
    told = requests.get(f"{shared_server.url}/sdcpp/v1/capabilities", timeout=TIMEOUT).json()
    pictures = []
    for fields in ({"sample_params": None}, {**told["defaults"], "prompt": PROMPT, "seed": 42}):
        shown = poll(shared_server, submit(shared_server, **{**fields, "output_format": "png"}))
        assert isinstance(shown["result"], dict), shown
        file = base64.b64decode(shown["result"]["images"][0]["b64_json"])
        pictures.append(Image.open(io.BytesIO(file)).convert("RGB").tobytes())
    assert pictures[0] == pictures[1]


def test_a_picture_is_made_larger(shared_server: ServerProcess) -> None:
    file = io.BytesIO()
    Image.new("RGB", (15, 11), "red").save(file, "PNG")
    body = {"image": base64.b64encode(file.getvalue()).decode()}
    shown = requests.post(f"{shared_server.url}/sdcpp/v1/upscale", json=body, timeout=TIMEOUT).json()
    assert (shown["width"], shown["height"]) == (15 * shown["scale"], 11 * shown["scale"]), shown
    picture = Image.open(io.BytesIO(base64.b64decode(shown["images"][0]["b64_json"])))
    red, _, blue = picture.convert("RGB").getpixel((7, 5))  # type: ignore[misc]
    assert (picture.size, red > blue + 60) == ((shown["width"], shown["height"]), True)


def test_hostile_bodies_never_reach_the_engine(shared_server: ServerProcess) -> None:
    pid = requests.get(f"{shared_server.url}/health", timeout=TIMEOUT).json()["engine"]["pid"]
    hostile: list[dict[str, object]] = [
        {"width": 2**31, "height": 2**31},
        {"width": 1e308},
        {"sample_params": {"sample_steps": 2**40}},
        {"sample_params": {"custom_sigmas": [1e38] * 20_000}},
        {"sample_params": {"guidance": {"slg": {"layers": [-1, 2**40]}}}},
        {"batch_count": 10**9},
        {"clip_skip": 10**6},
        {"hires": {"enabled": True, "scale": 1e9}},
        {"hires": {"enabled": True, "target_width": 10**7, "target_height": 8}},
        {"vae_tiling_params": {"enabled": True, "tile_size_x": -5, "target_overlap": 99}},
        {"cache_mode": "spectrum", "cache_option": "m=99999,window=-1,stop=nan"},
        {"cache_mode": "dbcache", "scm_mask": "x" * 30_000},
        {"init_image": "x" * 1_000_000},
        {"ref_images": ["x"] * 10_000},
        {"lora": [{"path": "/etc/passwd"}]},
        {"prompt": "(" * 30_000},
        {"strength": -1, "init_image": "AAAA"},
    ]
    for fields in hostile:
        answer = requests.post(f"{shared_server.url}/sdcpp/v1/img_gen", json={**BODY, **fields}, timeout=TIMEOUT)
        assert answer.status_code == 400, (list(fields), answer.text[:300])
        assert re.search(r"[a-z_]+", answer.json()["error"])
    assert requests.get(f"{shared_server.url}/health", timeout=TIMEOUT).json()["engine"]["pid"] == pid
