"""Text encoders that are left to the server: on the card where everything fits, else in main memory, and told why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.config import ConfigError, load_config
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.models.encoder_placing import EncoderPlacing
from sdcpp_rest.services.models.load_specs import LoadRequest, build_spec
from sdcpp_rest.services.models.model_library import ModelLibrary
from tests.cases import for_each_case
from tests.services.conftest import House

GIB = 1 << 30
DEMO = "demo_dit_q8_0.gguf"
AUTO = {"keep_clip_on_cpu": "auto"}


class Machine:
    """A library with a card whose free memory a test decides; -1: there is none."""

    def __init__(self, folder: Path, demo: Path) -> None:
        shutil.copytree(demo, folder, dirs_exist_ok=True)
        self.folder, self.library = folder, ModelLibrary(folder, {})
        self.free, self.held = 8 * GIB, list[LoadSpec]()
        self.set_default(True)

    def set_default(self, default: Any) -> None:
        self.library.encoder_placing = EncoderPlacing(default, self.memory, lambda: self.held)

    def memory(self) -> dict[str, Any]:
        card = {"name": "CUDA0", "backend": "CUDA", "is_gpu": True, "free_bytes": self.free, "total_bytes": 8 * GIB}
        return {"devices": [card] if self.free >= 0 else []}

    def load(self, **options: Any) -> tuple[LoadSpec, str]:
        spec, warnings = build_spec(self.library, LoadRequest(model_name=DEMO, options=options))
        return spec, "".join(text for text in warnings if "keep_clip_on_cpu" in text)


@pytest.fixture
def machine(tmp_path: Path, demo_folder: Path) -> Machine:
    return Machine(tmp_path, demo_folder)


def test_auto_takes_the_card_where_everything_fits_and_says_why(machine: Machine) -> None:
    spec, told = machine.load(**AUTO)
    assert spec.options.keep_clip_on_cpu is False
    assert told.startswith("options.keep_clip_on_cpu: auto is false: with the text encoders on CUDA0 a picture of ")
    assert told.endswith("GiB of the 8.0 GiB that are free there.")
    machine.free = GIB // 4
    spec, told = machine.load(**AUTO)
    assert spec.options.keep_clip_on_cpu is True
    assert "auto is true: with the text encoders on CUDA0" in told
    machine.free = -1
    assert machine.load(**AUTO)[1] == "options.keep_clip_on_cpu: auto is true: no engine has told of a GPU."


def test_what_a_held_model_gives_back_counts_and_a_loaded_one_stays_as_it_is(machine: Machine) -> None:
    spec, _ = machine.load(**AUTO)
    machine.free, machine.held = GIB // 4, [spec]
    again, told = machine.load(**AUTO)
    assert (again, told) == (spec, "options.keep_clip_on_cpu: auto is false: the model is loaded so.")


@for_each_case(
    ("default", "sidecar", "asked", "keeps"),
    [
        (True, None, None, True),
        ("auto", None, None, False),
        (False, None, None, False),
        ("auto", None, True, True),
        ("auto", True, None, True),
        (True, "auto", None, False),
        (False, "auto", True, True),
        ("auto", True, "auto", False),
        (True, False, None, False),
    ],
)
def test_a_request_wins_over_the_sidecar_and_that_over_the_settings(
    machine: Machine, default: Any, sidecar: Any, asked: Any, keeps: bool
) -> None:
    path = machine.folder / "diffusion_models" / "demo_dit_q8_0.json"
    given = json.loads(path.read_text())
    options = {} if sidecar is None else {"keep_clip_on_cpu": sidecar}
    path.write_text(json.dumps({**given, "load_options": {**given.get("load_options", {}), **options}}))
    machine.library.refresh()
    machine.set_default(default)
    spec, _ = machine.load(**({} if asked is None else {"keep_clip_on_cpu": asked}))
    assert spec.options.keep_clip_on_cpu is keeps


def test_without_a_server_auto_is_the_documented_default(tmp_path: Path, demo_folder: Path) -> None:
    library = ModelLibrary(tmp_path, {}, demo_folder)
    spec, _ = build_spec(library, LoadRequest(model_name=DEMO, options=AUTO))
    assert spec.options.keep_clip_on_cpu is True


@for_each_case("value", ["sometimes", 1, [True]])
def test_what_is_neither_a_switch_nor_auto_is_refused(machine: Machine, value: Any) -> None:
    with pytest.raises(InvalidRequest, match="keep_clip_on_cpu"):
        machine.load(keep_clip_on_cpu=value)


def test_the_setting_takes_true_false_and_auto(make_house: Callable[..., House]) -> None:
    for text, value in (("true", True), ("FALSE", False), ("auto", "auto")):
        assert load_config(overrides=[f"models.keep_clip_on_cpu={text}"]).models.keep_clip_on_cpu == value
    with pytest.raises(ConfigError, match=r"^models\.keep_clip_on_cpu.*true, false or auto"):
        load_config(overrides=["models.keep_clip_on_cpu=2"])
    house = make_house("models.keep_clip_on_cpu=false").start()
    assert house.runtime.status.health()["load_options"]["keep_clip_on_cpu"] is False
