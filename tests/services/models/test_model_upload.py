"""Uploads: whole and looked into, or nothing at all; never beside the model folders, never over a file unasked."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import pytest

from sdcpp_rest.errors import Conflict, EngineUnavailable, InvalidRequest
from sdcpp_rest.services.model_headers.inspection import NotAModel
from sdcpp_rest.services.models import model_upload
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.models.model_upload import DiskFull, ModelUploads, Uploaded, UploadTarget
from tests.cases import for_each_case
from tests.model_files import LORA, VAE, gguf_bytes, reversed_shapes, safetensors_bytes, write

MODEL = safetensors_bytes(reversed_shapes(VAE))
LORA_FILE = safetensors_bytes(reversed_shapes(LORA))


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def library(models_dir: Path) -> ModelLibrary:
    return ModelLibrary(models_dir)


@pytest.fixture
def uploads(library: ModelLibrary, models_dir: Path) -> ModelUploads:
    return ModelUploads(library, models_dir)


def send(uploads: ModelUploads, wish: UploadTarget, content: bytes = MODEL, *, is_told_first: bool = True) -> Uploaded:
    with uploads.begin(wish if is_told_first else None, len(content)) as upload:
        for start in range(0, len(content), 100):
            upload.write(content[start : start + 100])
        return upload.finish(wish)


def files(models_dir: Path) -> list[str]:
    return sorted(str(path.relative_to(models_dir)) for path in models_dir.rglob("*") if path.is_file())


@pytest.mark.parametrize("is_told_first", [True, False])
def test_an_uploaded_model_is_listed_at_once(
    uploads: ModelUploads, library: ModelLibrary, models_dir: Path, is_told_first: bool
) -> None:
    assert library.list()["vae"] == []
    done = send(uploads, UploadTarget("vae", "a.safetensors", "sub/deep"), is_told_first=is_told_first)
    assert (done.file.name, done.file.type, done.is_listed) == ("sub/deep/a.safetensors", "vae", True)
    assert done.file.size_bytes == len(MODEL)
    assert [file.name for file in library.list()["vae"]] == ["sub/deep/a.safetensors"]
    assert files(models_dir) == ["vae/sub/deep/a.safetensors"]
    assert (models_dir / "vae/sub/deep/a.safetensors").read_bytes() == MODEL


def test_a_list_name_means_its_type(uploads: ModelUploads, models_dir: Path) -> None:
    send(uploads, UploadTarget("loras", "x.safetensors"), LORA_FILE)
    assert files(models_dir) == ["loras/x.safetensors"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GGUF",
        b"<!DOCTYPE html><html>",
        b"version https://git-lfs.github.com/spec/v1\n",
        bytes(range(100, 200)) * 10,
        MODEL[:-1],
        gguf_bytes({"a.weight": (32, 2)}, fill=False),
    ],
)
def test_what_is_no_model_is_refused_by_its_own_name_and_leaves_nothing(
    uploads: ModelUploads, models_dir: Path, content: bytes
) -> None:
    with pytest.raises(NotAModel, match=r"^a\.safetensors ") as caught:
        send(uploads, UploadTarget("vae", "a.safetensors"), content)
    assert ".upload-" not in str(caught.value.detail)
    assert files(models_dir) == []


def test_a_web_page_is_told_to_be_one(uploads: ModelUploads) -> None:
    with pytest.raises(NotAModel, match="web page"):
        send(uploads, UploadTarget("vae", "a.safetensors"), b"<html><body>Sign in to download</body></html>")


@pytest.mark.parametrize("is_told_first", [True, False])
def test_a_taken_name_is_refused_unless_it_may_be_replaced(
    uploads: ModelUploads, models_dir: Path, is_told_first: bool
) -> None:
    wish = UploadTarget("vae", "a.safetensors")
    send(uploads, wish)
    with pytest.raises(Conflict, match="exists already"):
        send(uploads, wish, LORA_FILE, is_told_first=is_told_first)
    assert (models_dir / "vae/a.safetensors").read_bytes() == MODEL
    send(uploads, UploadTarget("vae", "a.safetensors", overwrite=True), LORA_FILE, is_told_first=is_told_first)
    assert (models_dir / "vae/a.safetensors").read_bytes() == LORA_FILE
    assert files(models_dir) == ["vae/a.safetensors"]


def test_of_two_uploads_of_one_name_the_second_to_end_is_refused(uploads: ModelUploads, models_dir: Path) -> None:
    wish = UploadTarget("vae", "a.safetensors")
    with uploads.begin(wish) as first, uploads.begin(wish) as second:
        first.write(MODEL)
        second.write(LORA_FILE)
        second.finish(wish)
        with pytest.raises(Conflict):
            first.finish(wish)
    assert (models_dir / "vae/a.safetensors").read_bytes() == LORA_FILE
    assert files(models_dir) == ["vae/a.safetensors"]


def test_a_folder_of_that_name_is_not_replaced(uploads: ModelUploads, models_dir: Path) -> None:
    (models_dir / "vae" / "a.safetensors").mkdir(parents=True)
    with pytest.raises(Conflict, match="folder"):
        uploads.begin(UploadTarget("vae", "a.safetensors", overwrite=True))


@for_each_case(
    "name",
    ["../a.gguf", "/a.gguf", "a/b.gguf", "a\\b.gguf", "..gguf", ".a.gguf", "a.gguf ", "a\0.gguf", "a\n.gguf",
     "C:a.gguf", "", ".gguf", "x" * 300 + ".gguf", "a.txt", "a", "a.gguf.exe", "a?.gguf",
     "CON.gguf", "nul.gguf", "Com1.x.gguf", "lpt9 .gguf", "a.gguf:x", "a.gguf::$DATA", "a.gguf.",
     "\\\\?\\C:\\a.gguf", "..\\a.gguf"],
)  # fmt: skip
def test_names_with_tricks_are_refused(uploads: ModelUploads, models_dir: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^name: ") as caught:
        uploads.begin(UploadTarget("vae", name))
    assert caught.value.detail["field"] == "name"
    assert files(models_dir) == []


@for_each_case(
    "subfolder",
    [
        "..",
        "a/../../b",
        "/etc",
        "a//b",
        ".hidden",
        "a\0",
        "C:/x",
        "/".join("abcdefghi"),
        "con",
        "a/NUL",
        "a/aux.d",
        "..\\x",
        "\\\\server\\share",
        "a.",
        "a /b",
        "a:x",
        "C:x",
    ],
)
def test_subfolders_with_tricks_are_refused(uploads: ModelUploads, subfolder: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^subfolder: "):
        uploads.begin(UploadTarget("vae", "a.gguf", subfolder))


def test_a_link_that_leads_out_is_not_followed(uploads: ModelUploads, models_dir: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (models_dir / "vae").mkdir(parents=True)
    (models_dir / "vae" / "link").symlink_to(outside)
    with pytest.raises(InvalidRequest, match="leads out"):
        uploads.begin(UploadTarget("vae", "a.safetensors", "link"))
    wish = UploadTarget("vae", "a.safetensors", "later")
    with uploads.begin(wish) as upload:
        upload.write(MODEL)
        (models_dir / "vae" / "later").symlink_to(outside)
        with pytest.raises(InvalidRequest, match="leads out"):
            upload.finish(wish)
    assert list(outside.iterdir()) == []


def test_an_unknown_type_is_refused(uploads: ModelUploads) -> None:
    with pytest.raises(InvalidRequest, match=r"^type: "):
        uploads.begin(UploadTarget("motion", "a.gguf"))


def test_an_upload_that_is_given_up_leaves_nothing(uploads: ModelUploads, models_dir: Path) -> None:
    with uploads.begin(UploadTarget("vae", "a.gguf")) as upload:
        upload.write(b"GGUF")
        assert len(files(models_dir)) == 1
    assert files(models_dir) == []


def test_a_half_file_is_hidden_from_the_list(uploads: ModelUploads, library: ModelLibrary) -> None:
    with uploads.begin(UploadTarget("vae", "a.safetensors")) as upload:
        upload.write(MODEL)
        assert library.list()["vae"] == []


def test_no_room_is_told_before_anything_is_sent(
    uploads: ModelUploads, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(models_dir.parent)
    with pytest.raises(DiskFull, match="MB free") as caught:
        uploads.begin(UploadTarget("vae", "a.gguf"), usage.free + 1)
    assert caught.value.status == 507
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DiskFull):
        uploads.begin(UploadTarget("vae", "a.gguf"))
    assert files(models_dir) == []


class FullFile:
    """A file on a disk that has become full."""

    def write(self, _: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def close(self) -> None:
        """Nothing was written."""


def test_a_disk_that_fills_up_ends_the_upload(uploads: ModelUploads, models_dir: Path) -> None:
    upload = uploads.begin(UploadTarget("vae", "a.gguf"))
    upload._file.close()
    upload._file = FullFile()  # type: ignore[assignment]
    with pytest.raises(DiskFull, match="is full"), upload:
        upload.write(b"GGUF")
    assert files(models_dir) == []


def test_a_stopping_server_gives_uploads_up(uploads: ModelUploads, models_dir: Path) -> None:
    with uploads.begin(UploadTarget("vae", "a.gguf")) as upload:
        uploads.close()
        with pytest.raises(EngineUnavailable):
            upload.write(b"GGUF")
    assert files(models_dir) == []


def test_what_a_killed_server_left_is_swept_and_what_is_being_written_is_not(
    uploads: ModelUploads, models_dir: Path
) -> None:
    old, young, own = (
        write(models_dir / "vae" / name, b"x") for name in (".upload-1.part", ".upload-2.part", ".x.part")
    )
    loose = write(models_dir / ".upload-3.part", b"x")
    for path in (old, own, loose):
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    send(uploads, UploadTarget("lora", "a.safetensors"), LORA_FILE)
    assert (old.exists(), loose.exists()) == (True, False), "an upload looks into its own folder alone"
    uploads.sweep()
    assert (old.exists(), young.exists(), own.exists()) == (False, True, True)


def test_a_file_in_the_wrong_folder_is_stored_with_a_warning(uploads: ModelUploads) -> None:
    done = send(uploads, UploadTarget("vae", "a.safetensors"), LORA_FILE)
    assert any("belong to type 'lora'" in warning for warning in done.warnings)
    assert send(uploads, UploadTarget("lora", "a.safetensors"), LORA_FILE).warnings == ()


def test_parts_of_a_split_model_are_taken_one_by_one_and_listed_when_all_are_there(
    uploads: ModelUploads, library: ModelLibrary
) -> None:
    first = send(uploads, UploadTarget("vae", "a-00001-of-00002.safetensors"))
    assert (first.is_listed, first.file.name) == (False, "a-00001-of-00002.safetensors")
    assert any("when all of its 2 parts are there" in warning for warning in first.warnings)
    second = send(uploads, UploadTarget("vae", "a-00002-of-00002.safetensors"))
    assert (second.is_listed, second.file.name) == (True, "a-00001-of-00002.safetensors")
    assert [file.name for file in library.list()["vae"]] == ["a-00001-of-00002.safetensors"]


def test_a_file_received_on_another_disk_is_moved_beside_its_place(
    uploads: ModelUploads, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_upload, "_on_one_disk", lambda one, other: False)
    moved: list[str] = []
    copy = shutil.copyfile

    def copy_noticed(source: Path, to: Path) -> None:
        moved.append(str(to))
        copy(source, to)

    monkeypatch.setattr(shutil, "copyfile", copy_noticed)
    wish = UploadTarget("vae", "a.safetensors")
    with uploads.begin(None) as upload:
        upload.write(MODEL)
        upload.finish(wish)
    assert len(moved) == 1
    assert files(models_dir) == ["vae/a.safetensors"]
