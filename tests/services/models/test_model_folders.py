"""Split models in a folder: one model where all parts are there, none where some are missing."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.services.models.model_folders import TypeFolder, scan
from tests.model_files import write


@pytest.fixture
def folder(tmp_path: Path) -> TypeFolder:
    path = tmp_path / "diffusion_models"
    path.mkdir()
    return TypeFolder(path, (tmp_path,), "diffusion")


def add(folder: TypeFolder, *names: str, size: int = 10) -> list[Path]:
    return [write(folder.path / name, bytes(size)) for name in names]


def shown(folder: TypeFolder) -> list[str]:
    scan(folder)
    return sorted(folder.files)


def index(folder: TypeFolder, name: str, weight_map: Any) -> None:
    write(folder.path / name, json.dumps({"metadata": {}, "weight_map": weight_map}).encode())


@pytest.mark.parametrize("extension", ["gguf", "safetensors"])
def test_numbered_parts_are_shown_as_one_model(folder: TypeFolder, extension: str) -> None:
    names = [f"big-{number:05}-of-00003.{extension}" for number in (1, 2, 3)]
    paths = add(folder, *names)
    os.utime(paths[1], ns=(1, 4_000_000_000_000_000_000))
    assert shown(folder) == [names[0]]
    model = folder.files[names[0]]
    assert (model.size_bytes, model.mtime_ns, model.file_extension) == (30, 4_000_000_000_000_000_000, f".{extension}")
    assert (model.path, model.parts) == (str(paths[0]), tuple(map(str, paths)))


def test_two_sets_and_whole_files_side_by_side(folder: TypeFolder) -> None:
    add(folder, "a-00001-of-00002.gguf", "a-00002-of-00002.gguf", "a-00001-of-00001.gguf", "b.gguf")
    add(folder, "sub/a-00001-of-00002.gguf", "sub/a-00002-of-00002.gguf", "a-1-of-2.gguf")
    assert shown(folder) == [
        "a-00001-of-00001.gguf", "a-00001-of-00002.gguf", "a-1-of-2.gguf", "b.gguf", "sub/a-00001-of-00002.gguf",
    ]  # fmt: skip
    assert folder.files["b.gguf"].parts == ()
    assert folder.files["a-00001-of-00001.gguf"].parts == ()


def test_a_set_that_lacks_a_part_is_not_listed_and_told_once(
    folder: TypeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    add(folder, "a-00001-of-00003.gguf", "a-00003-of-00003.gguf", "other.gguf")
    assert shown(folder) == shown(folder) == ["other.gguf"]
    assert caplog.text.count("a.gguf is not listed: only 2 of its 3 parts are there") == 1
    assert list(folder.incomplete.values()) == ["a.gguf is not listed: only 2 of its 3 parts are there"]
    add(folder, "a-00002-of-00003.gguf")
    assert shown(folder) == ["a-00001-of-00003.gguf", "other.gguf"]
    assert folder.incomplete == {}


def test_an_index_makes_its_files_one_model(folder: TypeFolder) -> None:
    add(folder, "one.safetensors", "two.safetensors", "other.safetensors")
    index(
        folder, "model.safetensors.index.json", {"a": "two.safetensors", "b": "one.safetensors", "c": "one.safetensors"}
    )
    assert shown(folder) == ["model.safetensors", "other.safetensors"]
    model = folder.files["model.safetensors"]
    assert (model.size_bytes, model.file_extension) == (20, ".safetensors")
    assert [Path(part).name for part in model.parts] == ["one.safetensors", "two.safetensors"]
    assert Path(model.path).name == "model.safetensors.index.json"
    (folder.path / "two.safetensors").unlink()
    assert shown(folder) == ["one.safetensors", "other.safetensors"]
    assert "only 1 of its 2 parts" in folder.incomplete["model.safetensors"]


def test_an_index_of_numbered_parts_adds_nothing(folder: TypeFolder) -> None:
    parts = ["m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"]
    add(folder, *parts)
    index(folder, "m.safetensors.index.json", {"a": parts[0], "b": parts[1]})
    assert shown(folder) == [parts[0]]
    (folder.path / parts[0]).unlink()
    assert shown(folder) == []
    assert list(folder.incomplete) == ["m.safetensors"]


@pytest.mark.parametrize(
    "weight_map",
    [None, [], {"a": 1}, {"a": "../x.safetensors"}, {"a": "sub/x.safetensors"}, {"a": ["x"]}, {"a": {}}, "text", {}],
)
def test_an_index_that_makes_no_sense_is_left_alone(folder: TypeFolder, weight_map: Any) -> None:
    add(folder, "x.safetensors")
    index(folder, "m.safetensors.index.json", weight_map)
    assert shown(folder) == ["x.safetensors"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 5000])
def test_an_index_that_is_no_json_is_left_alone(folder: TypeFolder, content: bytes) -> None:
    add(folder, "x.safetensors")
    write(folder.path / "m.safetensors.index.json", content)
    assert shown(folder) == ["x.safetensors"]


def test_a_whole_file_wins_over_an_index_of_its_name(folder: TypeFolder) -> None:
    add(folder, "m.safetensors", "one.safetensors")
    index(folder, "m.safetensors.index.json", {"a": "one.safetensors"})
    assert shown(folder) == ["m.safetensors", "one.safetensors"]


def test_a_missing_folder_is_empty(tmp_path: Path) -> None:
    missing = TypeFolder(tmp_path / "nothing", (tmp_path,), "vae")
    assert shown(missing) == []


def test_a_part_that_leads_out_makes_its_set_incomplete(folder: TypeFolder, tmp_path_factory: Any) -> None:
    outside = write(tmp_path_factory.mktemp("outside") / "x.gguf", b"x")
    add(folder, "a-00001-of-00002.gguf")
    (folder.path / "a-00002-of-00002.gguf").symlink_to(outside)
    assert shown(folder) == []
