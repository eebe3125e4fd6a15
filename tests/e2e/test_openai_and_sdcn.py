"""Pictures of the real model through OpenAI's own client and through SDCN's documented calls."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from openai import OpenAI
from PIL import Image

from sdcpp_rest.core import infotext
from sdcpp_rest.runtime import DEMO_MODEL, DEMO_ROOT
from tests.e2e.conftest import TIMEOUT, ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.native]
PROMPT = "a red circle on a blue background"


@pytest.fixture
def ai(shared_server: ServerProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{shared_server.url}/v1", api_key="none", max_retries=0, timeout=TIMEOUT) as client:
        yield client


def opened(file: bytes) -> Image.Image:
    return Image.open(io.BytesIO(file))


def check_red_on_blue(picture: Image.Image) -> None:
    """Red in the middle, blue in the corners."""
    rgb = picture.convert("RGB")
    width, height = rgb.size
    red, _, blue = rgb.getpixel((width // 2, height // 2))  # type: ignore[misc]
    assert red > blue + 60
    red, _, blue = rgb.getpixel((2, 2))  # type: ignore[misc]
    assert blue > red + 60


def test_openais_client_draws_what_it_was_asked_for(ai: OpenAI) -> None:
    made = ai.images.generate(model="dall-e-2", prompt=PROMPT, n=2, extra_body={"seed": 42})
    assert made.data is not None
    for k, picture in enumerate(made.data):
        file = requests.get(str(picture.url), timeout=TIMEOUT).content
        check_red_on_blue(opened(file))
        told = infotext.parse(opened(file).info["parameters"])
        assert told is not None
        assert f"Seed: {42 + k}," in opened(file).info["parameters"]


def test_openais_client_streams_previews_and_the_picture(tmp_path: Path) -> None:
    # Whatever previews cost: a picture of the demo model has hardly time for one.
    server = ServerProcess(tmp_path, "engine.preview_share=1").start()
    try:
        server.wait_loaded()
        with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=TIMEOUT) as client:
            check_stream_of_previews(client)
    finally:
        server.stop()


def check_stream_of_previews(ai: OpenAI) -> None:
    stream = ai.images.generate(
        model="gpt-image-1", prompt=PROMPT, stream=True, partial_images=2, extra_body={"seed": 42, "steps": 60}
    )
    events = list(stream)
    assert [event.type for event in events] == [*2 * ["image_generation.partial_image"], "image_generation.completed"]
    assert {opened(base64.b64decode(event.b64_json)).size for event in events} == {(64, 64)}
    check_red_on_blue(opened(base64.b64decode(events[-1].b64_json)))


def test_openais_client_edits_the_masked_half_and_keeps_the_other(ai: OpenAI) -> None:
    first = ai.images.generate(model="gpt-image-1", prompt=PROMPT, extra_body={"seed": 42})
    assert first.data is not None
    before = base64.b64decode(str(first.data[0].b64_json))
    half = Image.new("RGBA", (64, 64), (0, 0, 0, 255))
    half.paste((0, 0, 0, 0), (0, 0, 64, 32))
    mask = io.BytesIO()
    half.save(mask, "PNG")
    edited = ai.images.edit(
        model="gpt-image-1",
        image=before,
        mask=mask.getvalue(),
        prompt="a green square on a yellow background",
        extra_body={"seed": 1},
    )
    assert edited.data is not None
    old, new = opened(before).convert("RGB"), opened(base64.b64decode(str(edited.data[0].b64_json))).convert("RGB")

    def change(box: tuple[int, int, int, int]) -> float:
        pairs = zip(old.crop(box).tobytes(), new.crop(box).tobytes(), strict=True)
        differences = [abs(one - other) for one, other in pairs]
        return sum(differences) / len(differences)

    assert change((0, 40, 64, 64)) < 12
    assert change((0, 0, 64, 24)) > 30


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_openais_client_varies_a_picture(ai: OpenAI) -> None:
    image = io.BytesIO()
    Image.new("RGB", (64, 64), "blue").save(image, "PNG")
    made = ai.images.create_variation(image=image.getvalue(), n=2, response_format="b64_json")
    assert made.data is not None
    assert len({picture.b64_json for picture in made.data}) == 2


def test_sdcns_calls_draw_what_they_were_asked_for(shared_server: ServerProcess) -> None:
    sha256 = hashlib.sha256((DEMO_ROOT / "diffusion_models" / DEMO_MODEL).read_bytes()).hexdigest()
    body = {
        "prompt": PROMPT,
        "loras": [],
        "seed": 42,
        "sampler_name": "Euler",
        "steps": 12,
        "cfg_scale": 2.5,
        "width": 64,
        "height": 64,
        "negative_prompt": "",
        "model": sha256,
    }
    answer = requests.post(f"{shared_server.url}/txt2img", json=body, timeout=TIMEOUT)
    assert answer.status_code == 200
    drawn = base64.b64decode(answer.json()["images"][0])
    check_red_on_blue(opened(drawn))
    again = {**body, "init_image": base64.b64encode(drawn).decode(), "denoising_strength": 0.55}
    answer = requests.post(f"{shared_server.url}/img2img", json=again, timeout=TIMEOUT)
    check_red_on_blue(opened(base64.b64decode(answer.json()["images"][0])))
    wrapped = requests.post(f"{shared_server.url}/api/sd/txt2img", json=body, timeout=TIMEOUT).json()
    assert base64.b64decode(wrapped["data"]["images"][0]) == drawn
