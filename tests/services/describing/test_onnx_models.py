from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sdcpp_rest.errors import GenerationFailed, LoadFailed, NotSupported
from sdcpp_rest.services.describing.onnx_models import CachedModel, OnnxModel
from tests.onnx_files import write_colour_model

PATIENCE_SECONDS = 20
ONE = [[1.0], [0.0], [0.0]]


def test_a_model_runs(tmp_path: Path) -> None:
    model = OnnxModel(write_colour_model(tmp_path / "m.onnx", ONE, shape=(1, "height", 4, 3)), threads=1)
    assert model.shape == (1, None, 4, 3)
    outputs = model.run(np.full((1, 2, 4, 3), 7, dtype=np.float32))
    assert {name: value.tolist() for name, value in outputs.items()} == {"scores": [[7.0]]}


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    model = OnnxModel(write_colour_model(tmp_path / "m.onnx", ONE), threads=1)
    with pytest.raises(GenerationFailed, match=r"m\.onnx failed"):
        model.run(np.zeros((1, 9, 9, 3), dtype=np.float32))


def test_a_broken_file_is_told_without_its_folder(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(LoadFailed, match=r"m\.onnx cannot be loaded") as caught:
        OnnxModel(tmp_path / "m.onnx", threads=1)
    assert str(tmp_path) not in caught.value.message


def test_without_onnxruntime_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_colour_model(tmp_path / "m.onnx", ONE)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(NotSupported, match=r'pip install "sdcpp-rest\[interrogate\]"'):
        OnnxModel(path, threads=1)


# --- kept -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def loads() -> list[str]:
    return []


@pytest.fixture
def kept(tmp_path: Path, loads: list[str]) -> CachedModel[str]:
    def load(folder: Path) -> str:
        text = (folder / "file").read_text()
        loads.append(text)
        if text == "broken":
            raise LoadFailed("broken")
        return text

    (tmp_path / "file").write_text("one")
    return CachedModel(tmp_path, load)


def used(kept: CachedModel[str]) -> str:
    with kept.in_use() as model:
        return model


def test_a_model_is_loaded_once(kept: CachedModel[str], loads: list[str]) -> None:
    assert [used(kept), used(kept)] == ["one", "one"]
    assert loads == ["one"]


@pytest.mark.parametrize("change", ["written", "replaced", "touched", "joined"])
def test_a_changed_folder_is_loaded_anew(kept: CachedModel[str], loads: list[str], tmp_path: Path, change: str) -> None:
    used(kept)
    changes: dict[str, Callable[[], object]] = {
        "written": lambda: (tmp_path / "file").write_text("two!"),
        "replaced": lambda: [(tmp_path / "new").write_text("two"), os.replace(tmp_path / "new", tmp_path / "file")],
        "touched": lambda: os.utime(tmp_path / "file", (1, 1)),
        "joined": lambda: (tmp_path / "weights").write_text("more"),
    }
    changes[change]()
    used(kept)
    used(kept)
    assert len(loads) == 2


def test_a_model_that_is_gone_or_broken_is_not_used_any_more(
    kept: CachedModel[str], loads: list[str], tmp_path: Path
) -> None:
    used(kept)
    (tmp_path / "file").write_text("broken")
    for _ in range(2):
        with pytest.raises(LoadFailed):
            used(kept)
    (tmp_path / "file").unlink()
    with pytest.raises(FileNotFoundError):
        used(kept)
    (tmp_path / "file").write_text("one")
    assert used(kept) == "one"
    assert loads == ["one", "broken", "broken", "one"]


def test_two_are_never_in_memory(tmp_path: Path) -> None:
    class Large:
        pass

    before: list[weakref.ref[Large]] = []

    def load(folder: Path) -> Large:
        assert all(one() is None for one in before)
        loaded = Large()
        before.append(weakref.ref(loaded))
        return loaded

    kept = CachedModel(tmp_path, load)
    for name in ("one", "two"):
        (tmp_path / name).touch()
        with kept.in_use() as model:
            assert before[-1]() is model
        del model
    assert len(before) == 2


def test_one_caller_at_a_time(kept: CachedModel[str], loads: list[str]) -> None:
    second, done = threading.Event(), threading.Event()

    def call() -> None:
        second.set()
        used(kept)
        done.set()

    thread = threading.Thread(target=call)
    with kept.in_use():
        thread.start()
        assert second.wait(PATIENCE_SECONDS)
        assert not done.wait(0.05)
    thread.join(PATIENCE_SECONDS)
    assert done.is_set()
    assert loads == ["one"]
