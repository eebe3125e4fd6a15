from __future__ import annotations

import os
from pathlib import Path

import pytest

from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.errors import Conflict, InvalidRequest
from sdcpp_rest.services.models.model_removal import move_model, remove_model
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
    move_model(make_model(tmp_path), tmp_path, tmp_path, name)
    assert files_below(tmp_path) == [f"{path}{end}" for end in ENDINGS]


@for_each_case("name", ["../x", "a/../../x", "", "  ", ".hidden", "a/.b/x", "C:/x", "x\0y", "/", "x" * 2000])
def test_names_that_lead_away_are_refused(tmp_path: Path, name: str) -> None:
    model = make_model(tmp_path / "own")
    before = files_below(tmp_path)
    with pytest.raises(InvalidRequest):
        move_model(model, tmp_path / "own", tmp_path / "own", name)
    assert files_below(tmp_path) == before


def test_a_link_of_a_folder_is_no_way_out(tmp_path: Path) -> None:
    own, outside = tmp_path / "own", tmp_path / "outside"
    model = make_model(own)
    outside.mkdir()
    os.symlink(outside, own / "link")
    with pytest.raises(InvalidRequest, match="leads out"):
        move_model(model, own, own, "link/x")
    beyond = make_model(outside, "theirs.safetensors").model_copy(update={"path": str(own / "link/theirs.safetensors")})
    with pytest.raises(InvalidRequest, match="only read"):
        remove_model(beyond, own)
    assert (outside / "theirs.safetensors").exists()


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    make_model(tmp_path, "other.safetensors")
    with pytest.raises(Conflict):
        move_model(make_model(tmp_path), tmp_path, tmp_path, "other")


def make_split(folder: Path, index: str = "", numbers: str = "-0000{}-of-00002") -> ModelFile:
    """A model of two parts; ``index``: the name of a file that lists them."""
    parts = tuple(str(folder / f"p{numbers.format(k)}.safetensors") for k in (1, 2))
    for part in parts:
        Path(part).write_bytes(b"x")
    if index:
        (folder / index).write_text("{}")
    stands = parts[0] if "of" in numbers else str(folder / index)
    name = os.path.basename(stands).removesuffix(".index.json")
    (folder / name).with_suffix(".json").write_text("{}")
    return ModelFile(
        name=name,
        type="lora",
        path=stands,
        file_extension=".safetensors",
        size_bytes=2,
        mtime_ns=1,
        parts=parts,
        root=str(folder),
    )


@for_each_case("name", ["q", "q.safetensors", "q-00001-of-00002.safetensors"])
def test_parts_are_renamed_together(tmp_path: Path, name: str) -> None:
    assert move_model(make_split(tmp_path), tmp_path, tmp_path, name) == "q-00001-of-00002.safetensors"
    numbered = [f"q-0000{k}-of-00002.safetensors" for k in (1, 2)]
    assert files_below(tmp_path) == ["q-00001-of-00002.json", *numbered]


@for_each_case("index", ["", "p.safetensors.index.json"])
def test_parts_go_together(tmp_path: Path, index: str) -> None:
    remove_model(make_split(tmp_path, index), tmp_path)
    assert files_below(tmp_path) == []


@for_each_case("numbers, whole", [("-0000{}-of-00002", "p-00001-of-00002"), ("_{}", "p")])
def test_parts_that_an_index_names_are_moved_and_not_renamed(tmp_path: Path, numbers: str, whole: str) -> None:
    split = make_split(tmp_path, "p.safetensors.index.json", numbers)
    before = files_below(tmp_path)
    with pytest.raises(InvalidRequest, match=r"has several parts, which p\.safetensors\.index\.json names"):
        move_model(split, tmp_path, tmp_path, "q")
    assert files_below(tmp_path) == before
    assert move_model(split, tmp_path, tmp_path, f"sub/{whole}").startswith("sub/p")
    assert files_below(tmp_path) == [f"sub/{name}" for name in before]


def test_a_model_moves_to_another_type_with_whatever_programs_put_beside_it(tmp_path: Path) -> None:
    model = make_model(tmp_path / "loras", "mine.safetensors")
    endings = [".civitai.info", ".txt", ".description.txt", ".yaml", ".metadata.json", ".cm-info.json", ".PNG"]
    for ending in endings:
        Path(model.path).with_suffix(ending).write_bytes(b"x")
    Path(tmp_path / "loras/mine.safetensors.bak").write_bytes(b"x")
    assert move_model(model, tmp_path / "loras", tmp_path / "vae", "mine") == "mine.safetensors"
    assert files_below(tmp_path / "vae") == sorted(f"mine{ending}" for ending in (*ENDINGS, *endings))
    assert files_below(tmp_path / "loras") == ["mine.safetensors.bak"]


def test_what_two_models_share_stays_with_the_other(tmp_path: Path) -> None:
    model = make_model(tmp_path, "mine.safetensors")
    (tmp_path / "mine.gguf").write_bytes(b"x")
    move_model(model, tmp_path, tmp_path, "new")
    stayed = ["mine.gguf", "mine.json", "mine.preview.png", "mine.swarm.json"]
    assert files_below(tmp_path) == [*stayed, *(f"new{end}" for end in ENDINGS)]
    (tmp_path / "new.gguf").write_bytes(b"x")
    moved = {"name": "new.safetensors", "path": str(tmp_path / "new.safetensors")}
    remove_model(model.model_copy(update=moved), tmp_path)
    left = [f"new{end}" for end in ENDINGS if end != ".safetensors"]
    assert files_below(tmp_path) == [*stayed, "new.gguf", *left]


def test_what_lies_beside_another_model_is_not_replaced(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    (tmp_path / "other.gguf").write_bytes(b"x")
    (tmp_path / "other.swarm.json").write_bytes(b"theirs")
    before = files_below(tmp_path)
    with pytest.raises(Conflict, match=r"There is a file other\.swarm\.json already"):
        move_model(model, tmp_path, tmp_path, "other")
    assert files_below(tmp_path) == before
    assert (tmp_path / "other.swarm.json").read_bytes() == b"theirs"


def test_a_move_that_fails_half_way_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rename = make_model(tmp_path), os.rename
    before = files_below(tmp_path)

    def fail_at_notes(source: str, target: str) -> None:
        if source.endswith(".swarm.json"):
            raise OSError(18, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_at_notes)
    with pytest.raises(Conflict, match="cannot be renamed: Invalid cross-device link"):
        move_model(model, tmp_path, tmp_path, "new")
    assert files_below(tmp_path) == before


@for_each_case(
    "name, words",
    [
        ("x.gguf", "has another ending than the file, which keeps its own: .safetensors"),
        ("x.json", "has another ending"),
        ("nul", "is a device's name on some systems"),
        ("sub/COM1.x", "is a device's name"),
        ("a?b", "holds a character that file names cannot have everywhere"),
        ("a\nb", "holds a character"),
        ("x.", "begins or ends with a dot"),
        ("é" * 101, "is longer than 200 bytes"),
        ("a/" * 9 + "x", "at most 8 folders deep"),
    ],
)
def test_names_that_are_not_good_everywhere_are_refused(tmp_path: Path, name: str, words: str) -> None:
    model = make_model(tmp_path)
    before = files_below(tmp_path)
    with pytest.raises(InvalidRequest) as refused:
        move_model(model, tmp_path, tmp_path, name)
    assert words in refused.value.message
    assert files_below(tmp_path) == before
