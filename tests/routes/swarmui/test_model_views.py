from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdcpp_rest.runtime import DEMO_MODEL
from tests import model_files
from tests.cases import for_each_case
from tests.model_files import gguf_bytes, reversed_shapes, safetensors_bytes, write
from tests.routes.conftest import House, make_config
from tests.routes.swarmui.conftest import SwarmClient

FLUX_DEV = {**model_files.FLUX, "guidance_in.in_layer.weight": (256, 128)}
LORA = {
    "modelspec.title": "A Style",
    "modelspec.author": "somebody",
    "modelspec.architecture": "flux-1-dev/lora",
    "modelspec.description": "of lines",
    "modelspec.trigger_phrase": "styl3",
    "modelspec.resolution": "768x512",
    "modelspec.tags": "line, ink",
    "modelspec.license": "CC0",
    "modelspec.date": "2026-01-02",
    "ss_tag_frequency": '{"set": {"ink pen": 9, "line": 5, "styl3": 9}}',
}
OLD = (1_700_000_000, 1_700_000_000)
HOSTILE = [
    "../../etc/passwd", "..\\..\\x", "/etc/passwd", "C:\\x", "%2e%2e/x", "....//x", "\ud800", "x" * 5000, ".",
]  # fmt: skip


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swarm") / "models"
    write(folder / "diffusion_models/sub/flux.gguf", gguf_bytes(FLUX_DEV))
    write(folder / "diffusion_models/sub/flux.jpg", png(512, 256))
    write(folder / "loras/styles/a style.safetensors", safetensors_bytes(_shapes("LORA"), metadata=LORA))
    write(folder / "loras/styles/ink/deep.safetensors", safetensors_bytes(_shapes("LORA")))
    write(folder / "loras/b.safetensors", safetensors_bytes(_shapes("LORA"), metadata={"modelspec.title": "Zebra"}))
    write(folder / "vae/ae.safetensors", safetensors_bytes(_shapes("VAE")))
    write(folder / "clip/l.safetensors", safetensors_bytes(reversed_shapes(model_files.clip(768))))
    write(folder / "t5/t5.safetensors", safetensors_bytes(_shapes("T5")))
    write(folder / "embeddings/bad.safetensors", safetensors_bytes(_shapes("EMBEDDING")))
    write(folder / "controlnet/canny.safetensors", safetensors_bytes(_shapes("CONTROLNET")))
    for number, path in enumerate(sorted(folder.rglob("*"))):
        os.utime(path, (OLD[0] + number, OLD[1] + number))
    return folder


def _shapes(name: str) -> dict[str, tuple[int, ...]]:
    return reversed_shapes(getattr(model_files, name))


@pytest.fixture(scope="module")
def shared_house(models: Path) -> Iterator[House]:
    house = House(make_config(models.parent))
    try:
        yield house.start()
    finally:
        house.close()


def names(shown: dict[str, Any]) -> list[str]:
    return [file["name"] for file in shown["files"]]


def test_models_are_listed_with_all_their_keys(shared_swarm: SwarmClient) -> None:
    shown = shared_swarm.call("ListModels", path="styles", depth=1, subtype="LoRA")
    assert shown["folders"] == ["ink"]
    (model,) = shown["files"]
    changed = model["time_modified"]
    assert model == {
        "name": "styles/a style.safetensors",
        "title": "A Style",
        "author": "somebody",
        "description": "of lines",
        "preview_image": "imgs/model_placeholder.jpg",
        "loaded": False,
        "architecture": "Flux.1-dev/lora",
        "class": "Flux.1 Dev LoRA",
        "compat_class": "flux-1",
        "resolution": "768x512",
        "standard_width": 768,
        "standard_height": 512,
        "license": "CC0",
        "date": "2026-01-02",
        "prediction_type": None,
        "usage_hint": "Trained on: ink pen, line",
        "trigger_phrase": "styl3",
        "merged_from": None,
        "tags": ["line", "ink"],
        "is_supported_model_format": True,
        "is_negative_embedding": False,
        "lora_default_weight": "",
        "lora_default_confinement": "",
        "local": True,
        "time_created": changed,
        "time_modified": changed,
        "hash": "",
        "hash_sha256": "",
        "special_format": "",
    }
    assert OLD[0] * 1000 <= changed <= OLD[0] * 1000 + 60_000


def test_main_models_are_checkpoints_and_diffusion_models(shared_swarm: SwarmClient) -> None:
    shown = shared_swarm.call("ListModels", path="", depth=999)
    assert names(shown) == [DEMO_MODEL, "sub/flux.gguf"]
    assert shown["folders"] == ["sub"]
    demo, flux = shown["files"]
    assert (demo["loaded"], flux["loaded"]) == (True, False)
    assert (flux["architecture"], flux["class"], flux["compat_class"]) == ("Flux.1-dev", "Flux.1 Dev", "flux-1")
    assert (flux["resolution"], flux["standard_width"], flux["special_format"]) == ("1024x1024", 1024, "gguf")


@for_each_case(
    ("subtype", "listed"),
    [
        ("VAE", ["ae.safetensors"]),
        ("Embedding", ["bad.safetensors"]),
        ("ControlNet", ["canny.safetensors"]),
        ("Clip", ["demo_llm_q4_0.gguf", "l.safetensors", "t5.safetensors"]),
        ("ClipVision", []),
    ],
)
def test_every_type_has_its_folders(shared_swarm: SwarmClient, subtype: str, listed: list[str]) -> None:
    assert names(shared_swarm.call("ListModels", path="", depth=1, subtype=subtype)) == listed


@for_each_case(
    ("asked", "folders", "listed"),
    [
        ({"path": "", "depth": 1}, ["styles"], ["b.safetensors"]),
        ({"path": "", "depth": 0}, ["styles"], ["b.safetensors"]),
        ({"path": "", "depth": -5}, ["styles"], ["b.safetensors"]),
        ({"path": "", "depth": "2"}, ["styles", "styles/ink"], ["b.safetensors", "styles/a style.safetensors"]),
        ({"path": "styles", "depth": 1}, ["ink"], ["styles/a style.safetensors"]),
        ({"path": "\\styles\\\\ink", "depth": 9}, [], ["styles/ink/deep.safetensors"]),
        ({"path": "/styles//ink/", "depth": 9}, [], ["styles/ink/deep.safetensors"]),
        ({"path": "sty", "depth": 9}, [], []),
        ({"path": "nowhere", "depth": 9}, [], []),
    ],
)
def test_folder_and_depth_bound_the_list(
    shared_swarm: SwarmClient, asked: dict[str, Any], folders: list[str], listed: list[str]
) -> None:
    shown = shared_swarm.call("ListModels", subtype="LoRA", **asked)
    own = [name for name in names(shown) if not name.startswith("demo")]
    assert (shown["folders"], own) == (folders, listed)


@for_each_case(
    ("order", "listed"),
    [
        ("Name", ["b", "styles/a style", "styles/ink/deep"]),
        ("name", ["b", "styles/a style", "styles/ink/deep"]),
        ("Title", ["styles/a style", "b", "styles/ink/deep"]),
        ("DateModified", ["styles/ink/deep", "styles/a style", "b"]),
        ("DateCreated", ["styles/ink/deep", "styles/a style", "b"]),
    ],
)
def test_order_is_the_one_asked_for(shared_swarm: SwarmClient, order: str, listed: list[str]) -> None:
    for is_reversed in (False, True):
        asked = {"path": "", "depth": 9, "subtype": "LoRA", "sortBy": order, "sortReverse": is_reversed}
        shown = names(shared_swarm.call("ListModels", **asked))
        own = [name.removesuffix(".safetensors") for name in shown if not name.startswith("demo")]
        assert own == (listed[::-1] if is_reversed else listed)


@for_each_case(
    ("asked", "words"),
    [
        ({"depth": 1}, "Missing required parameter 'path'"),
        ({"path": ""}, "Missing required parameter 'depth'"),
        ({"path": "", "depth": "deep"}, "Invalid value 'deep' for parameter 'depth', must be type 'Int32'"),
        ({"path": "", "depth": 2**31}, "Invalid value '2147483648' for parameter 'depth', must be type 'Int32'"),
        ({"path": [], "depth": 1}, "Invalid value '[]' for parameter 'path', must be type 'String'"),
        ({"path": "", "depth": 1, "subtype": "lora"}, "Invalid sub-type."),
        ({"path": "", "depth": 1, "sortBy": "Size"}, "Invalid sort mode 'Size'."),
        ({"path": "", "depth": 1, "sortReverse": "down"}, "Invalid value 'down' for parameter 'sortReverse', must be"),
        ({"path": "", "depth": 1, "allowRemote": 5}, "Invalid value '5' for parameter 'allowRemote', must be type"),
    ],
)
def test_wrong_list_is_refused_in_upstreams_words(shared_swarm: SwarmClient, asked: dict[str, Any], words: str) -> None:
    assert shared_swarm.refusal("ListModels", **asked).startswith(words)


@for_each_case("path", HOSTILE)
def test_hostile_paths_lead_nowhere(shared_swarm: SwarmClient, path: str) -> None:
    shown = shared_swarm.call("ListModels", path=path, depth=20, subtype="LoRA")
    assert shown == {"folders": [], "files": []}
    assert shared_swarm.refusal("DescribeModel", modelName=path, subtype="LoRA") == "Model not found."
    assert shared_swarm.refusal("GetModelHash", modelName=path) == "Model not found."
    assert shared_swarm.refusal("SelectModel", model=path) == "Model not found."
    shown_file = shared_swarm.client.get(f"/ViewSpecial/LoRA/{path.encode('utf-8', 'replace').decode()}")
    assert shown_file.status_code == 404


def test_nul_in_a_name_never_reaches_a_handler(shared_swarm: SwarmClient) -> None:
    for route, argument in (("ListModels", "path"), ("DescribeModel", "modelName"), ("SelectModel", "model")):
        assert shared_swarm.call(route, status=400, **{argument: "a\0b"})["error_id"] == "internal_error"
    assert shared_swarm.client.get("/ViewSpecial/LoRA/a%00b").status_code == 404


def test_model_is_described_by_its_name_with_and_without_ending(shared_swarm: SwarmClient) -> None:
    for name in ("b.safetensors", "b", "/b", "B"):
        assert shared_swarm.call("DescribeModel", modelName=name, subtype="LoRA")["model"]["title"] == "Zebra"
    for name in ("sub/flux.gguf", "sub//flux", "\\sub\\flux.gguf"):
        assert shared_swarm.call("DescribeModel", modelName=name)["model"]["name"] == "sub/flux.gguf"


def test_no_model_is_described_as_such(shared_swarm: SwarmClient) -> None:
    nothing = shared_swarm.call("DescribeModel", modelName="(none)")["model"]
    described = shared_swarm.call("DescribeModel", modelName=DEMO_MODEL)["model"]
    assert nothing["name"] == "(None)"
    assert {*nothing} == {*described}


@for_each_case(
    ("asked", "words"),
    [
        ({"modelName": "none"}, "Model not found."),
        ({"modelName": "b", "subtype": "x"}, "Invalid sub-type."),
        ({"modelName": "t5", "subtype": "ClipVision"}, "Model not found."),
        ({"modelName": ""}, "Model not found."),
        ({}, "Missing required parameter 'modelName'"),
    ],
)
def test_what_is_not_there_is_not_described(shared_swarm: SwarmClient, asked: dict[str, Any], words: str) -> None:
    assert shared_swarm.refusal("DescribeModel", **asked) == words


def test_hash_is_the_files_and_shown_from_then_on(shared_swarm: SwarmClient, models: Path) -> None:
    expected = "0x" + hashlib.sha256((models / "vae/ae.safetensors").read_bytes()).hexdigest()
    assert shared_swarm.call("GetModelHash", modelName="ae", subtype="VAE") == {"hash": expected}
    (listed,) = shared_swarm.call("ListModels", path="", depth=1, subtype="VAE")["files"]
    assert (listed["hash"], listed["hash_sha256"]) == (expected, expected)


def test_preview_is_an_address_that_shows_a_small_picture(shared_swarm: SwarmClient) -> None:
    address = shared_swarm.call("DescribeModel", modelName="sub/flux.gguf")["model"]["preview_image"]
    assert address.startswith("/ViewSpecial/Stable-Diffusion/sub/flux.gguf?editid=")
    shown = shared_swarm.client.get(address)
    assert (shown.status_code, shown.mimetype) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(shown.data)).size == (256, 128)
    assert shared_swarm.client.get("/ViewSpecial/Stable-Diffusion/sub%2Fflux").status_code == 200


def test_preview_comes_with_the_list_if_wanted(shared_swarm: SwarmClient) -> None:
    (model,) = shared_swarm.call("ListModels", path="sub", depth=1, dataImages="true")["files"]
    head, _, body = model["preview_image"].partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(body))).size == (256, 128)


@for_each_case(
    "path", ["Stable-Diffusion/none", "Stable-Diffusion", f"Stable-Diffusion/{DEMO_MODEL}", "Other/b", "Preset/none"]
)
def test_preview_that_is_not_there_is_told_as_upstream_tells_it(shared_swarm: SwarmClient, path: str) -> None:
    shown = shared_swarm.client.get(f"/ViewSpecial/{path}")
    assert (shown.status_code, shown.get_json()) == (
        404,
        {"error": "404, file not found.", "error_id": "file_not_found"},
    )


def test_placeholder_lies_where_the_page_looks_for_it(shared_swarm: SwarmClient) -> None:
    shown = shared_swarm.client.get("/imgs/model_placeholder.jpg")
    assert (shown.status_code, shown.mimetype) == (200, "image/jpeg")


def test_refresh_finds_new_files_and_tells_what_there_is(swarm: SwarmClient, house: House) -> None:
    folder = house.config.paths.models_dir
    write(folder / "loras/new.safetensors", safetensors_bytes(_shapes("LORA"), metadata=LORA))
    shown = swarm.call("TriggerRefresh", strong="True", refreshType=None)
    assert {*shown["models"]} == {
        "Stable-Diffusion", "VAE", "LoRA", "Embedding", "ControlNet", "Clip", "ClipVision",
    }  # fmt: skip
    assert ["new.safetensors", "Flux.1-dev/lora"] in shown["models"]["LoRA"]
    assert shown["model_classes"]["Flux.1-dev/lora"]["compat_class"] == "flux-1"
    assert shown["model_compat_classes"]["flux-1"] == {
        "id": "flux-1",
        "short_code": "Flux",
        "loras_target_text_enc": False,
        "is_text2video": False,
        "is_image2video": False,
        "is_audio_model": False,
        "has_joint_av_latents": False,
        "resolution_precision": 16,
        "vae_family": None,
    }
    assert shown["param_edits"] is None
    swarm.call("SetParamEdits", edits={"steps": {"default": 9}})
    again = swarm.call("TriggerRefresh", strong=False)
    assert again["param_edits"] == {"steps": {"default": 9}}
    assert again == swarm.call("ListT2IParams")
    assert "steps" in {one["id"] for one in again["list"]}


def test_loaded_model_is_the_one_the_engine_holds(swarm: SwarmClient, house: House) -> None:
    (loaded,) = swarm.call("ListLoadedModels")["models"]
    assert (loaded["name"], loaded["loaded"]) == (DEMO_MODEL, True)
    house.runtime.models.slot.unload()
    assert swarm.call("ListLoadedModels") == {"models": []}


@pytest.mark.parametrize("route", ["SelectModelWS", "DoModelDownloadWS"])
def test_socket_routes_are_not_called_by_http(shared_swarm: SwarmClient, route: str) -> None:
    assert shared_swarm.call(route, status=400)["error_id"] == "bad_request_method"
