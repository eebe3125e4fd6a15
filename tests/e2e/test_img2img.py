"""Pictures from pictures, LoRAs and previews, looked at: what was kept is kept, what was asked for is there."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image, ImageDraw
from websockets.sync.client import connect

from tests.e2e.conftest import TIMEOUT, ServerProcess
from tests.e2e.test_pictures import nearest_colour, pixels_of

pytestmark = [pytest.mark.e2e, pytest.mark.native]

PROMPT = "a red circle on a blue background"


def encoded(picture: Image.Image, kind: str = "PNG") -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


def scene(size: tuple[int, int] = (64, 64)) -> Image.Image:
    """A yellow square in the middle of blue."""
    picture = Image.new("RGB", size, (20, 60, 220))
    width, height = size
    ImageDraw.Draw(picture).rectangle(
        (width * 3 // 10, height * 3 // 10, width * 7 // 10, height * 7 // 10), (230, 220, 30)
    )
    return picture


def img2img(server: ServerProcess, **body: Any) -> dict[str, Any]:
    answer = server.post("/img2img", {"prompt": PROMPT, "width": 64, "height": 64, "steps": 10, "seed": 1, **body})
    assert answer.status_code == 202, answer.text
    job = server.wait(answer.json()["job_id"])
    assert job["status"] == "completed", job
    return job


def test_strength_decides_how_much_of_the_init_image_stays(shared_server: ServerProcess) -> None:
    source = np.asarray(scene()).astype(int)
    distances = []
    for strength in (0.2, 0.5, 0.95):
        job = img2img(shared_server, init_image_base64=encoded(scene()), strength=strength)
        distances.append(float(np.abs(pixels_of(shared_server.picture(job["job_id"])) - source).mean()))
    assert distances == sorted(distances), distances
    assert distances[0] < 0.7 * distances[2], distances
    centre = pixels_of(shared_server.picture(job["job_id"]))[28:36, 28:36].reshape(-1, 3)
    assert nearest_colour(np.median(centre, axis=0)) == "red", "at 0.95 the prompt wins"


def test_mask_repaints_white_and_keeps_black(shared_server: ServerProcess) -> None:
    mask = Image.new("L", (64, 64), 0)
    ImageDraw.Draw(mask).rectangle((32, 0, 63, 63), fill=255)
    job = img2img(
        shared_server,
        prompt="a green star on a yellow background",
        init_image_base64=encoded(scene()),
        mask_image_base64=encoded(mask),
        strength=0.95,
    )
    change = np.abs(pixels_of(shared_server.picture(job["job_id"])) - np.asarray(scene()).astype(int)).mean(axis=2)
    assert change[:, :28].mean() < 8, "kept, but for the autoencoder's round trip"
    assert change[:, 36:].mean() > 40, "drawn anew"


@pytest.mark.parametrize(
    ("mode", "kind", "size"),
    [
        ("RGB", "JPEG", (64, 64)),
        ("RGBA", "PNG", (200, 100)),
        ("L", "PNG", (64, 64)),
        ("P", "PNG", (31, 77)),
        ("CMYK", "JPEG", (64, 64)),
        ("I;16", "PNG", (64, 64)),
        ("1", "PNG", (64, 64)),
        ("RGB", "WEBP", (640, 480)),
        ("RGB", "BMP", (1, 1)),
        ("P", "GIF", (64, 64)),
    ],
)
def test_any_picture_goes_in_and_the_asked_size_comes_out(
    shared_server: ServerProcess, mode: str, kind: str, size: tuple[int, int]
) -> None:
    picture = scene(size).convert("L").convert("I;16") if mode == "I;16" else scene(size).convert(mode)
    job = img2img(shared_server, init_image_base64=encoded(picture, kind), width=48, height=64, steps=2)
    assert pixels_of(shared_server.picture(job["job_id"])).shape == (64, 48, 3)


def test_data_url_and_record_keep_no_base64(shared_server: ServerProcess) -> None:
    url = "data:image/png;base64," + encoded(scene())
    job = img2img(shared_server, init_image_base64=url, steps=2)
    assert job["params"]["init_image_base64"] == f"job:{job['job_id']}/init_image"
    assert len(json.dumps(job)) < 4000, "a listing never carries pictures"
    assert len(json.dumps(shared_server.get(f"/output/{job['job_id']}/config.json"))) < 8000


@pytest.mark.parametrize(
    "content",
    [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<html></html>", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, b"GIF89a"],
)
def test_what_is_no_picture_is_refused(shared_server: ServerProcess, content: bytes) -> None:
    body = {"prompt": PROMPT, "init_image_base64": base64.b64encode(content).decode()}
    answer = shared_server.post("/img2img", body)
    assert answer.status_code == 400, answer.text
    assert "init_image" in answer.json()["error"]


def test_model_that_was_loaded_without_its_encoder_is_loaded_with_it_when_a_picture_comes(
    shared_server: ServerProcess,
) -> None:
    load = {"model_name": "demo_dit_q8_0.gguf", "options": {"vae_decode_only": True, "n_threads": 1}}
    assert shared_server.post("/models/load", load).status_code == 200
    job = img2img(shared_server, init_image_base64=encoded(scene()), strength=0.2, steps=10)
    assert any("it is loaded with the VAE's encoder" in warning for warning in job["warnings"])
    assert job["timings"]["load_seconds"] > 0
    change = np.abs(pixels_of(shared_server.picture(job["job_id"])) - np.asarray(scene()).astype(int))
    assert change.mean() < 40, "the picture was read"
    for ask in (img2img, lambda server, **body: server.wait(server.submit(PROMPT, steps=1))):
        again = ask(shared_server, init_image_base64=encoded(scene()), steps=1)
        assert (again["status"], again["timings"]["load_seconds"]) == ("completed", 0.0), "no third load"
    assert shared_server.get("/health")["engine"]["restarts"] == 0
    assert shared_server.post("/models/load", {"model_name": "demo_dit_q8_0.gguf"}).status_code == 200


def test_lora_weight_scales_its_effect(shared_server: ServerProcess) -> None:
    pictures = {}
    for weight in ("none", "0", "0.5", "1"):
        tag = "" if weight == "none" else f" <lora:demo_lora:{weight}>"
        job = shared_server.wait(shared_server.submit(PROMPT + tag, steps=8, seed=3))
        pictures[weight] = pixels_of(shared_server.picture(job["job_id"]))
    # The LoRA draws a black frame: its border must get darker with its weight.
    border = {weight: float(pixels[:3].mean() + pixels[-3:].mean()) for weight, pixels in pictures.items()}
    assert np.abs(pictures["0"] - pictures["none"]).max() <= 2
    assert border["none"] > border["0.5"] > border["1"]
    assert border["1"] < 0.6 * border["none"], border


@pytest.fixture(scope="module")
def generous_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One that makes previews whatever they cost: a picture of the demo model has no time for one at the end."""
    server = ServerProcess(tmp_path_factory.mktemp("generous"), "engine.preview_share=1").start()
    server.wait_loaded()
    yield server
    server.stop()


@pytest.mark.parametrize("mode", ["proj", "tae", "vae"])
def test_previews_of_every_mode_show_the_picture_to_come(generous_server: ServerProcess, mode: str) -> None:
    settings = {"enabled": True, "mode": mode, "interval": 1, "max_size": 64, "quality": 90}
    changed = requests.put(f"{generous_server.url}/preview/settings", json=settings, timeout=TIMEOUT)
    assert changed.json() == {"success": True, "settings": settings}
    with connect(generous_server.ws_url, max_size=2**26) as stream:
        job_id = generous_server.submit(PROMPT, steps=12, seed=1, width=96, height=96)
        previews = []
        while True:
            message = json.loads(stream.recv(TIMEOUT))
            if message["event"] == "job_preview":
                previews.append(message["data"])
            if message["event"] == "job_status_changed" and message["data"]["status"] == "completed":
                break
    assert previews
    last = previews[-1]
    picture = Image.open(io.BytesIO(base64.b64decode(last["image"].partition(",")[2])))
    assert picture.size == (last["width"], last["height"])
    assert max(picture.size) <= 64
    pixels = np.asarray(picture.convert("RGB").resize((8, 8))).astype(int)
    assert pixels[0, 0][2] > pixels[0, 0][0], "the corner is blue"
    assert pixels[4, 4][0] > pixels[4, 4][2], "the middle is red"
    assert last["job_id"] == job_id


def test_picture_is_the_same_with_and_without_previews(shared_server: ServerProcess) -> None:
    pictures = []
    for settings in ({"enabled": False}, {"enabled": True, "mode": "vae"}, {"enabled": True, "mode": "proj"}):
        requests.put(f"{shared_server.url}/preview/settings", json=settings, timeout=TIMEOUT)
        with connect(shared_server.ws_url):
            pictures.append(
                shared_server.picture(shared_server.wait(shared_server.submit(PROMPT, steps=4, seed=8))["job_id"])
            )
    assert pictures[0] == pictures[1] == pictures[2]


@pytest.mark.parametrize(
    ("size", "auto_resize"),
    [((1, 1000), False), ((1000, 1), False), ((65, 70), False), ((65, 70), True), ((3, 3), True), ((100, 300), True)],
)
def test_reference_picture_of_any_shape_is_taken(
    shared_server: ServerProcess, size: tuple[int, int], auto_resize: bool
) -> None:
    """The library ends its process on sides off its grid, and on pictures so narrow that it makes a side 0 of them."""
    job = shared_server.wait(
        shared_server.submit(
            PROMPT,
            steps=1,
            width=64,
            height=64,
            ref_images=[encoded(Image.new("RGB", size, (9, 9, 200)))],
            auto_resize_ref_image=auto_resize,
        )
    )
    assert job["status"] == "completed", job
    assert shared_server.get("/health")["engine"]["restarts"] == 0


def test_reference_too_narrow_for_a_tiny_picture_is_refused(shared_server: ServerProcess) -> None:
    body = {"prompt": PROMPT, "steps": 1, "width": 64, "height": 64, "auto_resize_ref_image": True}
    narrow = encoded(Image.new("RGB", (1, 1000)))
    answer = shared_server.post("/txt2img", {**body, "ref_images": [narrow]})
    assert answer.status_code == 400
    assert "ref_images.0" in answer.json()["error"]
