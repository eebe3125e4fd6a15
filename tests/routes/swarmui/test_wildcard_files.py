from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cases import for_each_case
from tests.routes.conftest import House
from tests.routes.swarmui.conftest import SwarmClient

PLACEHOLDER = "imgs/model_placeholder.jpg"


def data_url() -> str:
    file = io.BytesIO()
    Image.new("RGB", (512, 256), (1, 200, 30)).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


@pytest.fixture
def folder(house: House) -> Path:
    return house.config.paths.models_dir / "wildcards"


def listed(swarm: SwarmClient, **asked: Any) -> dict[str, Any]:
    return swarm.call("ListModels", **{"path": "", "depth": 9, "subtype": "Wildcards", **asked})


def names(shown: dict[str, Any]) -> list[str]:
    return [file["name"] for file in shown["files"]]


def test_wildcard_is_written_and_read_back(swarm: SwarmClient, folder: Path) -> None:
    assert listed(swarm) == {"folders": [], "files": []}
    assert swarm.call("EditWildcard", card="animals/pets", options="cat\n# no\n\ndog") == {"success": True}
    assert (folder / "animals/pets.txt").read_text() == "cat\n# no\n\ndog"
    entry = {"name": "animals/pets", "raw": "cat\n# no\n\ndog", "image": PLACEHOLDER}
    assert listed(swarm) == {"folders": ["animals"], "files": [entry]}
    described = {**entry, "options": ["cat", "dog"]}
    for name in ("animals/pets", "/animals//pets", "animals\\pets"):
        assert swarm.call("DescribeModel", modelName=name, subtype="Wildcards") == described
    assert swarm.call("ListT2IParams")["wildcards"] == ["animals/pets"]
    filled = swarm.call("TestPromptFill", prompt="a <wildcard:pets>")["result"]
    assert filled in ("a cat", "a dog")


def test_list_shows_the_beginning_of_a_text(swarm: SwarmClient) -> None:
    swarm.call("EditWildcard", card="long", options="x" * 2000)
    assert listed(swarm)["files"][0]["raw"] == "x" * 512
    assert swarm.call("DescribeModel", modelName="long", subtype="Wildcards")["raw"] == "x" * 2000


def test_wildcards_are_listed_by_folder_and_order(swarm: SwarmClient) -> None:
    for name in ("b", "a/z", "a/deep/c"):
        swarm.call("EditWildcard", card=name, options="x")
    assert names(listed(swarm)) == ["a/deep/c", "a/z", "b"]
    assert names(listed(swarm, sortReverse=True)) == ["b", "a/z", "a/deep/c"]
    assert names(listed(swarm, sortBy="Title")) == ["b", "a/deep/c", "a/z"]
    shown = listed(swarm, path="a", depth=1)
    assert (shown["folders"], names(shown)) == (["deep"], ["a/z"])


def test_preview_comes_and_stays_and_goes(swarm: SwarmClient, folder: Path) -> None:
    asked = {"card": "pets", "options": "cat"}
    swarm.call("EditWildcard", **asked, preview_image=data_url(), preview_image_metadata="{}")
    address = listed(swarm)["files"][0]["image"]
    assert address.startswith("/ViewSpecial/Wildcards/pets?editid=")
    shown = swarm.client.get(address)
    assert Image.open(io.BytesIO(shown.data)).size == (256, 128)
    assert listed(swarm, dataImages=True)["files"][0]["image"].startswith("data:image/jpeg;base64,")
    for kept in (address, PLACEHOLDER, None, ""):
        swarm.call("EditWildcard", **asked, preview_image=kept)
        assert (folder / "pets.jpg").exists()
    swarm.call("EditWildcard", **asked, preview_image="clear")
    assert not (folder / "pets.jpg").exists()
    assert listed(swarm)["files"][0]["image"] == PLACEHOLDER
    assert swarm.client.get(address).status_code == 404


def test_wildcard_is_deleted_with_its_preview(swarm: SwarmClient, folder: Path) -> None:
    swarm.call("EditWildcard", card="pets", options="cat", preview_image=data_url())
    assert swarm.call("DeleteWildcard", card="pets") == {"success": True}
    assert list(folder.iterdir()) == []
    assert swarm.refusal("DeleteWildcard", card="pets") == "Model not found."


@pytest.mark.parametrize("card", ["../../evil", "..\\..\\evil", "/evil", "a/../../evil", "C:evil", "%2e%2e/evil"])
def test_hostile_names_stay_in_the_folder(swarm: SwarmClient, folder: Path, card: str) -> None:
    assert swarm.call("EditWildcard", card=card, options="x") == {"success": True}
    outside = [path for path in folder.parent.parent.rglob("*.txt") if folder not in path.parents]
    assert outside == []
    assert len(listed(swarm)["files"]) == 1
    assert swarm.refusal("DescribeModel", modelName="../wildcards/evil", subtype="Wildcards") == "Model not found."
    assert swarm.refusal("DeleteWildcard", card="../wildcards/evil") == "Model not found."
    assert swarm.client.get("/ViewSpecial/Wildcards/..%2Fwildcards%2Fevil").status_code == 404


@for_each_case(
    ("asked", "words"),
    [
        ({"options": "x"}, "Missing required parameter 'card'"),
        ({"card": "x"}, "Missing required parameter 'options'"),
        ({"card": " ", "options": "x"}, "Invalid empty name."),
        ({"card": "...", "options": "x"}, "name: '...' is no name for a wildcard"),
        ({"card": "x", "options": "x", "preview_image": "/etc/passwd"}, "preview_image: must be a data URL, or clear"),
        ({"card": "x", "options": "x", "preview_image": "data:image/png;base64,AA=="}, "preview_image is not a pictur"),
        ({"card": "x", "options": "x" * (4 << 20 | 1)}, "options: 4194305 bytes are too many"),
    ],
)
def test_wrong_wildcard_is_refused(swarm: SwarmClient, folder: Path, asked: dict[str, Any], words: str) -> None:
    assert swarm.refusal("EditWildcard", **asked).startswith(words)
    assert not folder.exists()


def test_wildcards_are_no_models(swarm: SwarmClient) -> None:
    assert swarm.refusal("GetModelHash", modelName="x", subtype="Wildcards") == "Invalid sub-type."
    assert swarm.refusal("DeleteWildcard", card="") == "Invalid empty name."
