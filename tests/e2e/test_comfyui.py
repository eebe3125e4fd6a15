"""ComfyUI's API over the real library: a prompt as a client sends it, what it hears, and what comes of it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import requests
from PIL import Image
from websockets.sync.client import connect

from tests.e2e.conftest import TIMEOUT, ServerProcess
from tests.e2e.test_swarmui import RED_ON_BLUE, check_red_on_blue
from tests.routes.comfyui.conftest import Graph, node, simple_graph

pytestmark = [pytest.mark.e2e, pytest.mark.native]

SMALL = {"steps": 12, "seed": 42, "cfg": 2.5}


def draw(server: ServerProcess, graph: Graph, **more: Any) -> tuple[dict[str, Any], list[Any]]:
    """The entry of a prompt in the history, and what its client heard."""
    heard: list[Any] = []
    with connect(server.url.replace("http", "ws") + "/ws?clientId=e2e", open_timeout=TIMEOUT) as socket:
        answer = server.post("/prompt", {"prompt": graph, "client_id": "e2e", **more})
        assert answer.status_code == 200, answer.text
        prompt_id = answer.json()["prompt_id"]
        end = {"type": "executing", "data": {"node": None, "prompt_id": prompt_id}}
        while not heard or heard[-1] != end:
            message = socket.recv(timeout=TIMEOUT)
            heard.append(message if isinstance(message, bytes) else json.loads(message))
    entry = requests.get(f"{server.url}/history/{prompt_id}", timeout=TIMEOUT).json()[prompt_id]
    assert entry["status"]["completed"], entry["status"]
    return entry, heard


def look(server: ServerProcess, image: dict[str, str], **more: str) -> Image.Image:
    answer = requests.get(f"{server.url}/view", params={**image, **more}, timeout=TIMEOUT)
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def test_a_prompt_is_drawn_heard_of_kept_and_served_with_its_graph(shared_server: ServerProcess) -> None:
    graph = simple_graph(RED_ON_BLUE, **SMALL)
    workflow = {"nodes": [], "version": 0.4}
    entry, heard = draw(shared_server, graph, extra_data={"extra_pnginfo": {"workflow": workflow}})
    (image,) = entry["outputs"]["9"]["images"]
    picture = look(shared_server, image)
    check_red_on_blue(picture)
    assert json.loads(picture.info["prompt"]) == graph
    assert json.loads(picture.info["workflow"]) == workflow
    assert f"{RED_ON_BLUE}\n" in picture.info["parameters"]
    assert look(shared_server, image, preview="webp;90").format == "WEBP"
    texts = [message for message in heard if not isinstance(message, bytes)]
    steps = [one["data"]["value"] for one in texts if one["type"] == "progress"]
    assert steps[-1] == 12
    assert steps == sorted(steps)
    assert [one["type"] for one in texts].count("executed") == 1
    assert any(message[:8] == b"\0\0\0\1\0\0\0\1" for message in heard if isinstance(message, bytes))


def test_a_lora_and_an_upscaler_change_the_picture(shared_server: ServerProcess) -> None:
    graph = simple_graph(RED_ON_BLUE, **SMALL, model=["10", 0])
    graph["10"] = node("LoraLoaderModelOnly", lora_name="demo_lora.safetensors", strength_model=1.0, model=["4", 0])
    graph["11"] = node("UpscaleModelLoader", model_name="esrgan_x2.safetensors")
    graph["12"] = node("ImageUpscaleWithModel", upscale_model=["11", 0], image=["8", 0])
    graph["13"] = node("PreviewImage", images=["12", 0])
    entry, _ = draw(shared_server, graph)
    plain, _ = draw(shared_server, simple_graph(RED_ON_BLUE, **SMALL))
    drawn, enlarged = (look(shared_server, entry["outputs"][name]["images"][0]) for name in ("9", "13"))
    assert enlarged.size == (128, 128)
    assert drawn.tobytes() != look(shared_server, plain["outputs"]["9"]["images"][0]).tobytes()


def test_a_second_sampler_draws_the_enlarged_picture_again(shared_server: ServerProcess) -> None:
    graph = simple_graph(RED_ON_BLUE, **SMALL)
    graph["10"] = node("LatentUpscale", upscale_method="bilinear", width=128, height=128, samples=["3", 0])
    graph["11"] = node("KSampler", **{**graph["3"]["inputs"], "latent_image": ["10", 0], "denoise": 0.5, "steps": 6})
    graph["8"]["inputs"]["samples"] = ["11", 0]
    entry, heard = draw(shared_server, graph)
    assert look(shared_server, entry["outputs"]["9"]["images"][0]).size == (128, 128)
    nodes = [one["data"]["node"] for one in heard if not isinstance(one, bytes) and one["type"] == "executing"]
    assert nodes[-4:] == ["11", "8", "9", None]
    again = [one["data"] for one in heard if not isinstance(one, bytes) and one["type"] == "progress"]
    assert {one["node"] for one in again} == {"3", "11"}


def test_refused_graphs_leave_the_engine_as_it_was(shared_server: ServerProcess) -> None:
    before = requests.get(f"{shared_server.url}/health", timeout=TIMEOUT).json()["engine"]["pid"]
    graph = simple_graph(**SMALL)
    graph["10"] = node("ETN_LoadImageBase64", image="AAAA")
    graph["11"] = node("VAEEncode", pixels=["10", 0], vae=["4", 2])
    graph["3"]["inputs"]["latent_image"] = ["11", 0]
    for sent in (graph, simple_graph(steps=0), simple_graph(cfg="nan"), simple_graph(model=["3", 0]), {}):
        assert shared_server.post("/prompt", {"prompt": sent}).status_code == 400
    assert requests.get(f"{shared_server.url}/health", timeout=TIMEOUT).json()["engine"]["pid"] == before
