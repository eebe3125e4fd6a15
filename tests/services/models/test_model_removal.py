from __future__ import annotations

import os
from pathlib import Path

import pytest

from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.errors import Conflict, InvalidRequest
from sdcpp_rest.services.models.model_removal import remove_model, rename_model
from tests.cases import for_each_case

ENDINGS = (".json", ".preview.png", ".safetensors", ".swarm.json")


def make_model(folder: Path, name: str = "sub/mine.safetensors", parts: tuple[str, ...] = ()) -> ModelFile:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"model")
    for ending in (".json", ".swarm.json", ".preview.png"):
        path.with_suffix(ending).write_bytes(ending.encode())
    return ModelFile(
        name=name,
        type="lora",
        path=str(path),
        file_extension=".safetensors",
        size_bytes=5,
        mtime_ns=1,
        parts=parts,
        root=str(folder),
    )


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_a_model_goes_with_all_that_lies_beside_it(tmp_path: Path) -> None:
    other = make_model(tmp_path, "sub/other.safetensors")
    remove_model(make_model(tmp_path), tmp_path)
    assert files_below(tmp_path) == [f"sub/other{end}" for end in ENDINGS]
    assert Path(other.path).exists()


def test_of_a_link_only_the_link_goes(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.safetensors"
    elsewhere.write_bytes(b"x")
    own = tmp_path / "own"
    own.mkdir()
    os.symlink(elsewhere, own / "link.safetensors")
    linked = ModelFile(
        name="link.safetensors", type="lora", path=str(own / "link.safetensors"), file_extension=".safetensors",
        size_bytes=1, mtime_ns=1, root=str(own),
    )  # fmt: skip
    remove_model(linked, own)
    assert elsewhere.exists()
    assert files_below(own) == []


@for_each_case("name, path", [("new", "new"), ("a/b/new.safetensors", "a/b/new"), ("sub\\new", "sub/new")])
def test_a_model_takes_along_what_lies_beside_it(tmp_path: Path, name: str, path: str) -> None:
    rename_model(make_model(tmp_path), tmp_path, name)
    assert files_below(tmp_path) == [f"{path}{end}" for end in ENDINGS]


@for_each_case("name", ["../x", "a/../../x", "", "  ", ".hidden", "a/.b/x", "C:/x", "x\0y", "/", "x" * 2000])
def test_names_that_lead_away_are_refused(tmp_path: Path, name: str) -> None:
    model = make_model(tmp_path / "own")
    before = files_below(tmp_path)
    with pytest.raises(InvalidRequest):
        rename_model(model, tmp_path / "own", name)
    assert files_below(tmp_path) == before


def test_a_link_of_a_folder_is_no_way_out(tmp_path: Path) -> None:
    own, outside = tmp_path / "own", tmp_path / "outside"
    model = make_model(own)
    outside.mkdir()
    os.symlink(outside, own / "link")
    with pytest.raises(InvalidRequest, match="leads out"):
        rename_model(model, own, "link/x")
    beyond = make_model(outside, "theirs.safetensors").model_copy(update={"path": str(own / "link/theirs.safetensors")})
    with pytest.raises(InvalidRequest, match="only read"):
        remove_model(beyond, own)
    assert (outside / "theirs.safetensors").exists()


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    make_model(tmp_path, "other.safetensors")
    with pytest.raises(Conflict):
        rename_model(make_model(tmp_path), tmp_path, "other")


def test_parts_go_together_and_are_not_renamed(tmp_path: Path) -> None:
    parts = tuple(str(tmp_path / f"p-0000{k}-of-00002.safetensors") for k in (1, 2))
    for part in parts:
        Path(part).write_bytes(b"x")
    whole = ModelFile(
        name="p",
        type="lora",
        path=parts[0],
        file_extension=".safetensors",
        size_bytes=2,
        mtime_ns=1,
        parts=parts,
        root=str(tmp_path),
    )
    with pytest.raises(InvalidRequest, match="several parts"):
        rename_model(whole, tmp_path, "q")
    remove_model(whole, tmp_path)
    assert files_below(tmp_path) == []
