"""The sample code that is handed around for this API, as it stands but for address and size."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
import requests
from PIL import Image, PngImagePlugin

from tests.routes.conftest import ServedHouse


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_guide_for_beginners(served: ServedHouse) -> None:
    url = served.url

    payload = {"prompt": "puppy dog", "steps": 5, "width": 64, "height": 64}

    payload_json = json.dumps(payload)
    response = requests.post(url=f"{url}/sdapi/v1/txt2img", data=payload_json).json()

    for i in response["images"]:
        image = Image.open(io.BytesIO(base64.b64decode(i)))
        pnginfo = PngImagePlugin.PngInfo()
        pnginfo.add_text("parameters", str(response["info"]))
        image.save("output.png", pnginfo=pnginfo)

    with Image.open("output.png") as saved:
        assert json.loads(saved.info["parameters"])["prompt"] == "puppy dog"
    assert response.keys() == {"images", "parameters", "info"}


def test_the_description_of_the_class(served: ServedHouse) -> None:
    response = requests.post(
        f"{served.url}/sdapi/v1/txt2img",
        json={
            "prompt": "a beautiful sunset over mountains",
            "negative_prompt": "blurry, low quality",
            "steps": 20,
            "sampler_name": "Euler a",
            "width": 64,
            "height": 64,
            "cfg_scale": 7,
            "seed": -1,
        },
    )
    result = response.json()
    image_data = base64.b64decode(result["images"][0])
    assert Image.open(io.BytesIO(image_data)).size == (64, 64)

    options = requests.get(f"{served.url}/sdapi/v1/options").json()
    assert options["sd_model_checkpoint"]

    changed = requests.post(f"{served.url}/sdapi/v1/options", json={"sd_model_checkpoint": "demo_dit_q8_0.gguf"})
    assert changed.status_code == 200

    progress = requests.get(f"{served.url}/sdapi/v1/progress").json()
    assert f"Progress: {progress['progress'] * 100:.1f}%" == "Progress: 0.0%"

    models = requests.get(f"{served.url}/sdapi/v1/sd-models").json()
    assert options["sd_model_checkpoint"].split(" ")[0] in models[0]["title"]
