"""The folders: what is whole is visible, what is not is not, and nobody gets out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sdcpp_rest.errors import InvalidRequest, OutputNotFound
from sdcpp_rest.services.outputs import Outputs


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
    assert outputs.published("job") is None
    assert outputs.publish("job", ["image_0.png"], {"prompt": "Käse"}) == ("job/image_0.png",)
    assert not folder.exists()
    record = json.loads((outputs.output_dir / "job" / "config.json").read_text(encoding="utf-8"))
    assert record == {"prompt": "Käse", "outputs": ["job/image_0.png"]}
    assert outputs.published("job") == ("job/image_0.png",)
    assert outputs.path_of("job/image_0.png").read_bytes() == b"picture"


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
    assert outputs.published("job") is None
    with pytest.raises(OutputNotFound):
        outputs.path_of("job")


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b"{}", b'{"outputs": 5}', b"\xff\xfe"])
def test_damaged_record_does_not_count_as_whole(outputs: Outputs, record: bytes) -> None:
    (outputs.output_dir / "job").mkdir()
    (outputs.output_dir / "job" / "config.json").write_bytes(record)
    assert outputs.published("job") is None


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


def test_sweep_keeps_what_it_is_told_to_keep(outputs: Outputs) -> None:
    for name in ("a", "b", "c"):
        spooled(outputs, name)
    outputs.sweep(keep=["b"])
    assert [path.name for path in (outputs.output_dir / ".spool").iterdir()] == ["b"]


@pytest.mark.parametrize(
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
