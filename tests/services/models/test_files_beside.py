from __future__ import annotations

import os
from pathlib import Path

import pytest

from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.services.models.files_beside import FilesBeside, write_notes
from tests.cases import for_each_case

OLD = (1_700_000_000, 1_700_000_000)


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def file_at(path: Path) -> ModelFile:
    status = path.stat()
    return ModelFile(
        name=path.name,
        type="lora",
        path=str(path),
        root=str(path.parent),
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        file_extension=path.suffix,
    )


@for_each_case(
    ("names", "chosen"),
    [
        (["a.jpg"], "a.jpg"),
        (["a.png", "a.jpg"], "a.jpg"),
        (["a.webp", "a.png"], "a.png"),
        (["a.jpg", "a.preview.png"], "a.preview.png"),
        (["a.preview.png", "a.swarmpreview.jpg", "a.jpg"], "a.swarmpreview.jpg"),
        (["a.JPG"], "a.JPG"),
        (["b.jpg", "a.gif", "a.jpg.txt"], None),
    ],
)
def test_preview_of_a_model_is_the_first_choice(tmp_path: Path, names: list[str], chosen: str | None) -> None:
    for name in names:
        put(tmp_path / name)
    preview = FilesBeside().look(str(tmp_path)).previews.get("a")
    assert (os.path.basename(preview.path) if preview else None) == chosen


def test_notes_and_sidecars_are_told_apart(tmp_path: Path) -> None:
    put(tmp_path / "a.json")
    put(tmp_path / "a.swarm.json")
    found = FilesBeside().look(str(tmp_path))
    assert {*found.sidecars} == {*found.notes} == {"a"}
    assert found.notes["a"].path == str(tmp_path / "a.swarm.json")


def test_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    assert FilesBeside().look(str(tmp_path / "none")).previews == {}
    assert FilesBeside().look("\0").previews == {}


def test_folder_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    beside = FilesBeside()
    os.utime(tmp_path, OLD)
    before = beside.look(str(tmp_path))
    assert beside.look(str(tmp_path)) is before
    put(tmp_path / "a.jpg")
    assert "a" in beside.look(str(tmp_path)).previews


def test_folder_that_changed_a_moment_ago_is_not_believed_to_stay(tmp_path: Path) -> None:
    beside = FilesBeside()
    assert beside.look(str(tmp_path)) is not beside.look(str(tmp_path))


def test_file_that_is_rewritten_in_place_is_noticed_after_a_refresh(tmp_path: Path) -> None:
    beside = FilesBeside()
    picture = put(tmp_path / "a.jpg")
    os.utime(tmp_path, OLD)
    assert beside.look(str(tmp_path)).previews["a"].size_bytes == 1
    with picture.open("ab") as file:
        file.write(b"more")
    os.utime(tmp_path, OLD)
    assert beside.look(str(tmp_path)).previews["a"].size_bytes == 1
    beside.refresh()
    assert beside.look(str(tmp_path)).previews["a"].size_bytes == 5


def test_notes_are_written_whole_and_replaced(tmp_path: Path) -> None:
    model = file_at(put(tmp_path / "a.b.safetensors"))
    write_notes(model, "{}")
    write_notes(model, '{"x": "ä"}')
    assert (tmp_path / "a.b.swarm.json").read_text(encoding="utf-8") == '{"x": "ä"}'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b.safetensors", "a.b.swarm.json"]


def test_notes_that_cannot_be_written_leave_nothing(tmp_path: Path) -> None:
    model = file_at(put(tmp_path / "a.safetensors"))
    (tmp_path / "a.swarm.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_notes(model, "{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "a.swarm.json"]
