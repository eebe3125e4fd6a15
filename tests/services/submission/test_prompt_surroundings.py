"""What tags name is found in this server's folders, and nothing that a tag could not say is offered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.core.load_spec import FileRef
from sdcpp_rest.core.prompt_language.surroundings import FoundLora, FoundWildcard
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.runtime import DEMO_ROOT
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.models.wildcards import MAX_BYTES, Wildcards
from sdcpp_rest.services.submission.prompt_surroundings import PromptSurroundings
from tests.services.conftest import spec_named

DEMO_LORA = DEMO_ROOT / "loras" / "demo_lora.safetensors"


def put_lora(models_dir: Path, name: str, activation_text: str | None = None) -> None:
    path = models_dir / "loras" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(DEMO_LORA, path)
    if activation_text is not None:
        path.with_suffix(".json").write_text(json.dumps({"activation text": activation_text}))


def around(models_dir: Path, **more: Any) -> PromptSurroundings:
    presets: Mapping[str, Mapping[str, str]] = {"Oil": {"prompt": "oil"}}
    parameters = {"steps": "4"}
    spec = more.pop("spec", None)
    return PromptSurroundings(
        ModelLibrary(models_dir), Wildcards(models_dir), spec, parameter=parameters.get, preset=presets.get, **more
    )


def test_wildcards_are_found_loosely_and_read(tmp_path: Path) -> None:
    cards = Wildcards(tmp_path)
    cards.write("animals/Wild ones", "lion\nwolf")
    cards.write("animals/tame", "cat")
    assert around(tmp_path).wildcard("wildones") == FoundWildcard("animals/Wild ones", ("lion", "wolf"))
    assert around(tmp_path).wildcard("animals\\TAME") == FoundWildcard("animals/tame", ("cat",))
    assert around(tmp_path).wildcard("birds") is None


def test_wildcard_that_is_deleted_meanwhile_is_none(tmp_path: Path) -> None:
    cards = Wildcards(tmp_path)
    cards.write("a", "x")
    world = around(tmp_path)
    assert world.wildcard("a") is not None
    cards.delete("a")
    assert world.wildcard("a") is None


def test_wildcard_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wildcards").mkdir()
    (tmp_path / "wildcards" / "big.txt").write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(InvalidRequest, match=r"wildcard big: .* bytes are too many"):
        around(tmp_path).wildcard("big")


def test_loras_are_found_as_everywhere_and_then_loosely(tmp_path: Path) -> None:
    put_lora(tmp_path, "style.safetensors")
    put_lora(tmp_path, "sub/My Detail (v2).safetensors", "fine; sharp")
    world = around(tmp_path)
    assert world.lora("style") == FoundLora("style.safetensors", "")
    assert world.lora("mydetail") == FoundLora("sub/My Detail (v2).safetensors", "fine; sharp")
    assert world.lora("|high_noise|style") == FoundLora("|high_noise|style.safetensors", "")
    assert world.lora("nothing") is None
    assert world.lora("") is None
    assert world.lora("../style") is None


def test_loras_that_no_tag_can_name_are_not_offered(tmp_path: Path) -> None:
    put_lora(tmp_path, "a:b.safetensors")
    world = around(tmp_path)
    assert world.lora("a") is None
    assert world.lora("a:b") is None


def test_broken_lora_has_no_trigger_words(tmp_path: Path) -> None:
    (tmp_path / "loras").mkdir()
    (tmp_path / "loras" / "broken.safetensors").write_bytes(b"no lora")
    assert around(tmp_path).lora("broken") == FoundLora("broken.safetensors", "")


def test_trigger_words_are_those_of_the_model_and_the_chosen_loras(tmp_path: Path) -> None:
    put_lora(tmp_path, "style.safetensors", "in style")
    put_lora(tmp_path, "quiet.safetensors")
    model = tmp_path / "model.gguf"
    model.with_suffix(".json").write_text(json.dumps({"activation_text": "of model"}))
    spec = spec_named("model.gguf", tmp_path)
    assert around(tmp_path, spec=spec, loras=("style", "nobody", "quiet")).triggers() == ["of model", "in style", ""]
    assert around(tmp_path).triggers() == []


def test_embeddings_are_those_that_are_loaded_with_the_model(tmp_path: Path) -> None:
    files = tuple(FileRef(name=name, path=str(tmp_path / name)) for name in ("bad_hands.pt", "sub/EasyNeg.safetensors"))
    world = around(tmp_path, spec=spec_named("x.gguf").model_copy(update={"embeddings": files}))
    assert world.embedding("bad_hands") == "bad_hands"
    assert world.embedding("sub/easyneg") == "EasyNeg"
    assert world.embedding("nothing") is None
    assert around(tmp_path).embedding("bad_hands") is None


def test_parameters_and_presets_are_the_callers(tmp_path: Path) -> None:
    world = around(tmp_path)
    assert (world.parameter("steps"), world.parameter("other")) == ("4", None)
    assert (world.preset("Oil"), world.preset("x")) == ({"prompt": "oil"}, None)
