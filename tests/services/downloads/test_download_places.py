"""Where partial files lie, and how long."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sdcpp_rest.core.download_source import DownloadParams
from sdcpp_rest.errors import Conflict, InvalidRequest
from sdcpp_rest.services.downloads.download_places import DownloadPlaces
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.models.model_upload import ModelUploads


@pytest.fixture
def places(tmp_path: Path) -> DownloadPlaces:
    return DownloadPlaces(ModelUploads(ModelLibrary(tmp_path), tmp_path))


def params(**more: object) -> DownloadParams:
    given = {"source": "url", "model_type": "lora", "url": "https://example.org/x.gguf", "name": "x.gguf", **more}
    return DownloadParams.model_validate(given)


def test_a_partial_file_lies_hidden_beside_its_place(places: DownloadPlaces, tmp_path: Path) -> None:
    part, note = places.prepare(params(subfolder="a/b"))
    assert part.parent == note.parent == tmp_path / "loras" / "a" / "b"
    assert part.parent.is_dir()
    assert part.name.startswith(".download-")
    assert part.name.endswith(".part")
    assert part.stem == note.stem


def test_the_same_download_finds_its_bytes_again_and_no_others(places: DownloadPlaces) -> None:
    first = places.prepare(params())
    assert places.prepare(params(overwrite=True, hash_job_id="another")) == first
    for other in ({"name": "y.gguf"}, {"url": "https://example.org/y.gguf"}, {"sha256": "0" * 64}, {"size_bytes": 5}):
        assert places.prepare(params(**other)) != first


def test_a_place_that_is_taken_or_outside_is_refused(places: DownloadPlaces, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        places.prepare(params(subfolder="../.."))
    (tmp_path / "loras").mkdir()
    (tmp_path / "loras" / "out").symlink_to("/tmp")
    with pytest.raises(InvalidRequest, match="leads out"):
        places.prepare(params(subfolder="out"))
    (tmp_path / "loras" / "x.gguf").write_bytes(b"")
    with pytest.raises(Conflict):
        places.prepare(params())
    assert places.prepare(params(overwrite=True))


def test_what_is_discarded_is_gone(places: DownloadPlaces, tmp_path: Path) -> None:
    for path in places.prepare(params()):
        path.write_bytes(b"x")
    (tmp_path / "loras" / "x.gguf").write_bytes(b"")
    places.discard(params())
    places.discard(params(subfolder="../.."))
    assert [path.name for path in (tmp_path / "loras").iterdir()] == ["x.gguf"]


def test_leftovers_stay_a_week_and_longer_if_somebody_wants_them(places: DownloadPlaces, tmp_path: Path) -> None:
    old, wanted, new = params(name="old.gguf"), params(name="wanted.gguf"), params(name="new.gguf")
    for one in (old, wanted, new):
        for path in places.prepare(one):
            path.write_bytes(b"x")
            if one is not new:
                os.utime(path, (time.time() - 8 * 86_400,) * 2)
    (tmp_path / "loras" / "old-model.gguf").write_bytes(b"x")
    os.utime(tmp_path / "loras" / "old-model.gguf", (0, 0))
    places.sweep([tmp_path / "loras", tmp_path / "nowhere"], [wanted])
    there = {path.name for path in (tmp_path / "loras").iterdir()}
    kept = {path.name for one in (wanted, new) for path in places.prepare(one)}
    assert there == kept | {"old-model.gguf"}
