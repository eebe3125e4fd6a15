"""The folders: what is whole is visible, what is not is not, and nobody gets out."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest import durable_files
from sdcpp_rest.errors import InvalidRequest, OutputNotFound
from sdcpp_rest.services.pictures.outputs import Entry, Outputs, thumbnail_of
from tests.cases import for_each_case


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    return Outputs(tmp_path / "output", tmp_path / "inputs")


def spooled(outputs: Outputs, job_id: str, content: bytes = b"picture") -> Path:
    folder = outputs.spool_of(job_id)
    folder.mkdir()
    (folder / "image_0.png").write_bytes(content)
    return folder


def test_published_folder_is_whole(outputs: Outputs) -> None:
    folder = spooled(outputs, "job")
    assert outputs.find_published("job") is None
    assert outputs.publish("job", ["image_0.png"], {"prompt": "Käse"}) == ("job/image_0.png",)
    assert not folder.exists()
    record = json.loads((outputs.output_dir / "job" / "config.json").read_text(encoding="utf-8"))
    assert record == {"prompt": "Käse", "outputs": ["job/image_0.png"]}
    assert outputs.find_published("job") == ("job/image_0.png",)
    assert outputs.path_of("job/image_0.png").read_bytes() == b"picture"


@pytest.mark.parametrize("links", [True, False])
def test_given_pictures_lie_beside_the_made_ones(
    outputs: Outputs, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", _no_link)
    spooled(outputs, "job")
    outputs.inputs_of("job").mkdir(parents=True)
    (outputs.inputs_of("job") / "init_image.png").write_bytes(b"given")
    given = {"source.png": "init_image.png", "mask.png": "gone.png"}
    assert outputs.publish("job", ["image_0.png"], {}, given) == ("job/image_0.png",)
    assert outputs.path_of("job/source.png").read_bytes() == b"given"
    assert not outputs.path_of("job").joinpath("mask.png").exists()


def _no_link(*_: object) -> None:
    raise OSError("no links here")


def test_publish_replaces_an_earlier_attempt(outputs: Outputs) -> None:
    spooled(outputs, "job", b"old")
    outputs.publish("job", ["image_0.png"], {})
    (outputs.output_dir / "job" / "image_1.png").write_bytes(b"of the old attempt")
    spooled(outputs, "job", b"new")
    outputs.publish("job", ["image_0.png"], {})
    assert sorted(path.name for path in outputs.path_of("job").iterdir()) == ["config.json", "image_0.png"]
    assert outputs.path_of("job/image_0.png").read_bytes() == b"new"


def test_failing_publish_shows_nothing(outputs: Outputs) -> None:
    (spooled(outputs, "job") / "config.json.part").mkdir()
    with pytest.raises(OSError):
        outputs.publish("job", ["image_0.png"], {})
    assert outputs.find_published("job") is None
    with pytest.raises(OutputNotFound):
        outputs.path_of("job")


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b"{}", b'{"outputs": 5}', b"\xff\xfe"])
def test_damaged_record_does_not_count_as_whole(outputs: Outputs, record: bytes) -> None:
    (outputs.output_dir / "job").mkdir()
    (outputs.output_dir / "job" / "config.json").write_bytes(record)
    assert outputs.find_published("job") is None


def test_discard_leaves_nothing_and_never_raises(outputs: Outputs) -> None:
    spooled(outputs, "job")
    outputs.publish("job", ["image_0.png"], {})
    spooled(outputs, "job")
    outputs.discard("job")
    outputs.discard("job")
    outputs.discard_spool("nobody")
    outputs.discard_inputs("nobody")
    assert [path.name for path in outputs.output_dir.iterdir()] == [".spool"]
    assert list((outputs.output_dir / ".spool").iterdir()) == []


def test_nothing_comes_back_into_a_spool_that_is_discarded(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that has not heard of the cancel writes the next picture between two removals."""
    spool, rmdir = outputs.spool_of("job"), os.rmdir
    spool.mkdir()
    late = []

    def write_and_rmdir(path: str, **more: Any) -> None:
        try:
            (spool / "image_1.png").write_bytes(b"late")
        except FileNotFoundError:
            late.append(path)
        rmdir(path, **more)

    monkeypatch.setattr(os, "rmdir", write_and_rmdir)
    outputs.discard_spool("job")
    assert late, "nothing was removed"
    assert list(spool.parent.iterdir()) == []


def test_sweep_keeps_what_it_is_told_to_keep(outputs: Outputs) -> None:
    for name in ("a", "b", "c"):
        spooled(outputs, name)
    outputs.sweep(keep=["b"])
    assert [path.name for path in (outputs.output_dir / ".spool").iterdir()] == ["b"]


@for_each_case(
    "path",
    ["..", "../secret", "job/../../secret", "job/..", "/etc/passwd", "\\etc\\passwd", "..\\secret",
     "job\\..\\..\\secret", "C:/windows", "c:\\windows", "a\0b", "//host/share", "job/../image_0.png"],
)  # fmt: skip
def test_path_that_leaves_the_folder_is_refused(outputs: Outputs, path: str) -> None:
    (outputs.output_dir.parent / "secret").write_text("secret")
    with pytest.raises(InvalidRequest, match=r"^Invalid path$"):
        outputs.path_of(path)


@pytest.mark.parametrize(
    "path", ["nobody", "job/nobody.png", ".spool", ".spool/job", "./.spool/job", "job/.hidden", "a" * 5000, "a\ud800",
             "job/image_0.png/more"]
)  # fmt: skip
def test_what_is_not_there_or_hidden_is_not_found(outputs: Outputs, path: str) -> None:
    spooled(outputs, "job")
    outputs.publish("job", ["image_0.png"], {})
    spooled(outputs, "job")
    (outputs.output_dir / "job" / ".hidden").write_text("x")
    with pytest.raises(OutputNotFound):
        outputs.path_of(path)


@pytest.mark.parametrize(
    "path", ["", ".", "job", "job/", "./job/./image_0.png", "job//image_0.png", "job\\image_0.png"]
)
def test_ordinary_paths_are_found(outputs: Outputs, path: str) -> None:
    spooled(outputs, "job")
    outputs.publish("job", ["image_0.png"], {})
    assert outputs.path_of(path).exists()


def test_link_that_leads_out_is_refused(outputs: Outputs, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    os.symlink(tmp_path / "secret", outputs.output_dir / "link")
    os.symlink(tmp_path, outputs.output_dir / "folder")
    for path in ("link", "folder/secret"):
        with pytest.raises(InvalidRequest):
            outputs.path_of(path)


def test_link_into_the_spool_shows_nothing(outputs: Outputs) -> None:
    spooled(outputs, "job")
    os.symlink(outputs.spool_of("job"), outputs.output_dir / "link")
    with pytest.raises(OutputNotFound):
        outputs.path_of("link/image_0.png")


def test_output_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    os.symlink(tmp_path / "disk", tmp_path / "output")
    outputs = Outputs(tmp_path / "output", tmp_path / "inputs")
    spooled(outputs, "job")
    outputs.publish("job", ["image_0.png"], {})
    assert outputs.path_of("job/image_0.png").is_file()


# --- the bin --------------------------------------------------------------------------------------------------------


def published(outputs: Outputs, job_id: str = "job", content: bytes = b"picture") -> Path:
    spooled(outputs, job_id, content)
    outputs.publish(job_id, ["image_0.png"], {})
    return outputs.output_dir / job_id


def test_job_goes_into_the_bin_and_comes_back(outputs: Outputs) -> None:
    folder = published(outputs)
    assert outputs.bin("job")
    assert not folder.exists()
    assert outputs.find_published("job") is None
    for path in ("job", ".bin", ".bin/job/image_0.png"):
        with pytest.raises(OutputNotFound):
            outputs.path_of(path)
    assert outputs.restore("job")
    assert outputs.find_published("job") == ("job/image_0.png",)
    assert (folder / "image_0.png").read_bytes() == b"picture"


def test_every_move_may_be_made_twice(outputs: Outputs) -> None:
    folder = published(outputs)
    assert [outputs.bin("job"), outputs.bin("job")] == [True, False]
    assert [outputs.restore("job"), outputs.restore("job")] == [True, False]
    assert folder.is_dir()
    outputs.bin("job")
    outputs.purge("job")
    outputs.purge("job")
    assert [outputs.bin("job"), outputs.restore("job")] == [False, False]
    assert list((outputs.output_dir / ".bin").iterdir()) == []


def test_purge_takes_nothing_that_is_not_in_the_bin(outputs: Outputs) -> None:
    published(outputs)
    outputs.purge("job")
    assert outputs.find_published("job") == ("job/image_0.png",)


def test_bin_keeps_the_newer_of_two(outputs: Outputs) -> None:
    published(outputs, content=b"old")
    outputs.bin("job")
    published(outputs, content=b"new")
    assert not outputs.restore("job")
    assert outputs.bin("job")
    assert outputs.restore("job")
    assert outputs.path_of("job/image_0.png").read_bytes() == b"new"


def test_failing_move_leaves_the_job_where_it_was(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    published(outputs)
    monkeypatch.setattr(os, "rename", _refuse)
    with pytest.raises(PermissionError):
        outputs.bin("job")
    assert outputs.find_published("job") == ("job/image_0.png",)
    monkeypatch.undo()
    outputs.bin("job")
    monkeypatch.setattr(os, "rename", _refuse)
    with pytest.raises(PermissionError):
        outputs.restore("job")
    monkeypatch.undo()
    assert outputs.restore("job")


def _refuse(source: object, target: object) -> None:
    raise PermissionError(13, "no")


def test_sweep_leaves_the_bin_alone_and_clears_what_a_killed_removal_left(outputs: Outputs) -> None:
    published(outputs)
    outputs.bin("job")
    left = outputs.output_dir / ".spool" / "0123.gone"
    left.mkdir()
    (left / "image_0.png").write_bytes(b"x")
    (outputs.output_dir / ".spool" / "4567.gone").write_bytes(b"a file, not a folder")
    outputs.sweep()
    assert list((outputs.output_dir / ".spool").iterdir()) == []
    assert outputs.restore("job")


@for_each_case("job_id", ["", ".", "..", ".spool", "a/b", "../x", "a\0"])
def test_what_is_no_job_id_never_stands_for_a_folder(outputs: Outputs, job_id: str) -> None:
    published(outputs)
    for move in (outputs.bin, outputs.restore, outputs.purge):
        with pytest.raises(ValueError):
            move(job_id)
    assert outputs.find_published("job") == ("job/image_0.png",)


# --- removal --------------------------------------------------------------------------------------------------------


def test_files_and_folders_are_removed(outputs: Outputs) -> None:
    folder = published(outputs)
    kept = thumbnail_of(folder / "image_0.png")
    kept.parent.mkdir()
    kept.write_bytes(b"x")
    outputs.remove("job/image_0.png")
    assert sorted(path.name for path in folder.rglob("*")) == [".thumbs", "config.json"]
    outputs.remove("./job")
    assert [path.name for path in outputs.output_dir.iterdir()] == [".spool"]
    assert list((outputs.output_dir / ".spool").iterdir()) == []


@pytest.mark.parametrize("path", ["", ".", "./", "..", "../secret", "/etc", "job/.."])
def test_neither_the_root_nor_anything_outside_is_removed(outputs: Outputs, path: str) -> None:
    (outputs.output_dir.parent / "secret").write_text("secret")
    published(outputs)
    with pytest.raises(InvalidRequest):
        outputs.remove(path)
    assert (outputs.output_dir.parent / "secret").exists()
    assert outputs.find_published("job") is not None


@pytest.mark.parametrize("path", [".spool", ".bin", ".bin/binned", "job/.thumbs", "nobody", "job/nobody.png"])
def test_what_is_hidden_or_not_there_is_not_removed(outputs: Outputs, path: str) -> None:
    published(outputs, "binned")
    outputs.bin("binned")
    (published(outputs) / ".thumbs").mkdir()
    with pytest.raises(OutputNotFound):
        outputs.remove(path)
    assert outputs.restore("binned")
    assert (outputs.output_dir / "job" / ".thumbs").is_dir()


def test_of_a_link_only_the_link_is_removed(outputs: Outputs, tmp_path: Path) -> None:
    folder = published(outputs)
    (outputs.output_dir / "link").symlink_to(folder)
    (outputs.output_dir / "out").symlink_to(tmp_path)
    outputs.remove("link")
    assert outputs.find_published("job") is not None
    with pytest.raises(InvalidRequest):
        outputs.remove("out")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "back.png").symlink_to(folder / "image_0.png")
    (outputs.output_dir / "away").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidRequest):
        outputs.remove("away/back.png")
    assert (tmp_path / "elsewhere" / "back.png").is_symlink()


def test_folder_that_goes_away_while_it_is_published_anew_hurts_nobody(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The earlier attempt's folder is removed by a user just when the new one takes its place."""
    folder = published(outputs, content=b"old")
    spooled(outputs, "job", b"new")
    rename = os.rename

    def first_removed(source: Path, target: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        rename(source, target)

    monkeypatch.setattr(os, "rename", first_removed)
    assert outputs.publish("job", ["image_0.png"], {}) == ("job/image_0.png",)
    assert outputs.path_of("job/image_0.png").read_bytes() == b"new"


def test_removal_works_where_nothing_can_be_renamed(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the output folder may be another disk."""
    folder = published(outputs)
    monkeypatch.setattr(os, "rename", _refuse)
    outputs.remove("job")
    assert not folder.exists()


# --- listings -------------------------------------------------------------------------------------------------------


def test_entries_tell_what_is_there_and_nothing_hidden(outputs: Outputs) -> None:
    folder = published(outputs)
    (folder / ".hidden").write_text("x")
    (folder / "more").mkdir()
    os.utime(folder / "image_0.png", (1000, 1000))
    entries = {entry.name: entry for entry in outputs.entries(folder)}
    assert sorted(entries) == ["config.json", "image_0.png", "more"]
    assert entries["image_0.png"] == Entry("image_0.png", False, len(b"picture"), 1_000_000_000_000)
    assert (entries["more"].is_folder, entries["more"].size_bytes) == (True, 0)
    assert [entry.name for entry in outputs.entries(outputs.output_dir)] == ["job"]
    with pytest.raises(OutputNotFound):
        outputs.entries(folder / "nobody")


def test_entries_leave_out_links_that_lead_out(outputs: Outputs, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = published(outputs)
    for name, target in (
        ("out", tmp_path / "secret"), ("out_folder", tmp_path), ("nowhere", tmp_path / "nothing"), ("self", "self"),
        ("spool", outputs.output_dir / ".spool"), ("within", folder / "image_0.png"),
    ):  # fmt: skip
        (outputs.output_dir / name).symlink_to(target)
    assert sorted(entry.name for entry in outputs.entries(outputs.output_dir)) == ["job", "within"]


@pytest.mark.parametrize(
    ("record", "title"),
    [
        ('{"title": "A cat", "params": {"prompt": "cat"}}', "A cat"),
        ('{"title": null, "params": {"prompt": "cat"}}', "cat"),
        ('{"params": {"prompt": "half of one: \\ud83d"}}', "half of one: ?"),
        ('{"params": {"prompt": ""}}', None),
        ('{"params": {"prompt": 5}}', None),
        ('{"params": []}', None),
        ("[]", None),
        ("{", None),
        ("[" * 100_000, None),
        ('{"title": "large", "rest": "' + "x" * 300_000 + '"}', None),
        (None, None),
    ],
)  # fmt: skip
def test_a_folder_is_called_as_its_record_says(outputs: Outputs, record: str | None, title: str | None) -> None:
    folder = outputs.output_dir / "job"
    folder.mkdir()
    if record is not None:
        (folder / "config.json").write_text(record)
    assert outputs.title_of(folder) == title


def test_a_record_elsewhere_gives_no_title(outputs: Outputs, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('{"title": "secret"}')
    (outputs.output_dir / "job").mkdir()
    (outputs.output_dir / "job" / "config.json").symlink_to(tmp_path / "secret.json")
    assert outputs.title_of(outputs.output_dir / "job") is None


def test_everything_is_on_the_disk_before_it_is_in_sight(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    replace = os.replace
    monkeypatch.setattr(durable_files, "_sync", lambda path, flags: steps.append(f"sync {path.name}"))

    def note_replace(source: Path, target: Path) -> None:
        replace(source, target)
        steps.append(f"name {target.parent.name}/{target.name}")

    monkeypatch.setattr(os, "replace", note_replace)
    spooled(outputs, "job")
    outputs.publish("job", ["image_0.png"], {})
    assert sorted(steps[1:3]) == ["sync config.json", "sync image_0.png"]
    assert steps[3:] == ["sync job", "name output/job", "sync output"]
    # What is deleted is out of sight for good before it is gone.
    steps.clear()
    outputs.discard("job")
    assert steps == ["sync output"]
    outputs.inputs_of("next").mkdir()
    (outputs.inputs_of("next") / "init_image.png").write_bytes(b"given")
    outputs.keep_inputs("next")
    outputs.keep_inputs("a job without any")
    assert steps[1:] == ["sync init_image.png", "sync next", "sync inputs"]


def test_inputs_of_jobs_that_never_came_to_be_are_swept(outputs: Outputs) -> None:
    for job_id in ("known", "never"):
        outputs.inputs_of(job_id).mkdir()
    outputs.sweep_inputs(lambda ids: {job_id for job_id in ids if job_id == "known"})
    assert [path.name for path in outputs.inputs_dir.iterdir()] == ["known"]


def test_title_that_cannot_be_written_leaves_nothing_in_sight(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    spooled(outputs, "job")
    outputs.publish("job", ["image_0.png"], {"title": "old"})

    def fail(path: Path, flags: int) -> None:
        raise OSError("broken")

    monkeypatch.setattr(durable_files, "_sync", fail)
    outputs.retitle("job", "new")
    assert sorted(path.name for path in (outputs.output_dir / "job").iterdir()) == ["config.json", "image_0.png"]
