"""Hashes of model files: right, remembered, computed once, and given up when the server stops."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sdcpp_rest.errors import Conflict, EngineUnavailable, InvalidRequest, ModelNotFound
from sdcpp_rest.services.models import hashing
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.hash_store import HashStore

PATIENCE_SECONDS = 20
CONTENT = os.urandom(300_000)
SUM = hashlib.sha256(CONTENT).hexdigest()


class SlowDigest:
    """SHA-256 that waits at its first bytes, and counts how often one was begun."""

    begun = 0

    def __init__(self) -> None:
        type(self).begun += 1
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self._digest = hashlib.sha256()

    def __call__(self) -> SlowDigest:
        type(self).begun += 1
        return self

    def update(self, part: memoryview) -> None:
        self.reached.set()
        assert self.go_on.wait(PATIENCE_SECONDS)
        self._digest.update(part)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "models" / "vae" / "sub" / "some vae.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HashStore]:
    db = Database(tmp_path / "rest.db")
    yield HashStore(db)
    db.close()


@pytest.fixture
def hashes(tmp_path: Path, file: Path, store: HashStore) -> ModelHashes:
    return ModelHashes(ModelLibrary(tmp_path / "models"), store)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> SlowDigest:
    digest = SlowDigest()
    SlowDigest.begun = 0
    monkeypatch.setattr(hashing.hashlib, "sha256", digest)
    return digest


def test_a_sum_is_that_of_the_files_bytes(hashes: ModelHashes) -> None:
    found = hashes.hash_of("vae", "sub/some vae.safetensors")
    assert (found.hash, found.name, found.type) == (SUM, "sub/some vae.safetensors", "vae")


@pytest.mark.parametrize("size", [0, 1, hashing._CHUNK_BYTES, hashing._CHUNK_BYTES + 1])
def test_sizes_around_a_piece_are_read_whole(hashes: ModelHashes, file: Path, size: int) -> None:
    file.write_bytes(b"x" * size)
    assert hashes.hash_of("vae", "some vae").hash == hashlib.sha256(b"x" * size).hexdigest()


def test_a_known_sum_is_not_computed_again(
    hashes: ModelHashes, file: Path, store: HashStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes.hash_of("vae", "some vae")

    def read(*_: object) -> str:
        raise AssertionError("the file was read again")

    monkeypatch.setattr(ModelHashes, "_read", read)
    assert hashes.hash_of("vae", "some vae").hash == SUM
    status = file.stat()
    assert store.get(str(file), status.st_size, status.st_mtime_ns) == SUM


def test_a_rewritten_file_gets_a_new_sum(hashes: ModelHashes, file: Path) -> None:
    hashes.hash_of("vae", "some vae")
    other = bytes(len(CONTENT))
    file.write_bytes(other)
    os.utime(file, ns=(1, 1))
    assert hashes.hash_of("vae", "some vae").hash == hashlib.sha256(other).hexdigest()


def test_listings_show_the_sums_that_are_known(hashes: ModelHashes, file: Path, tmp_path: Path) -> None:
    library = ModelLibrary(tmp_path / "models")
    (listed,) = library.list()["vae"]
    key = (listed.path, listed.size_bytes, listed.mtime_ns)
    assert hashes.known_sums().get(*key) is None
    hashes.hash_of("vae", "some vae")
    assert hashes.known_sums().get(*key) == SUM


def test_many_who_ask_for_one_file_have_it_read_once(hashes: ModelHashes, slow: SlowDigest) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(hashes.hash_of, "vae", "some vae") for _ in range(8)]
        assert slow.reached.wait(PATIENCE_SECONDS)
        slow.go_on.set()
        assert {one.result(PATIENCE_SECONDS).hash for one in asked} == {SUM}
    assert SlowDigest.begun == 1


def test_a_file_that_changes_while_it_is_read_has_no_sum(hashes: ModelHashes, file: Path, slow: SlowDigest) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(hashes.hash_of, "vae", "some vae")
        assert slow.reached.wait(PATIENCE_SECONDS)
        with file.open("ab") as growing:
            growing.write(b"more")
        slow.go_on.set()
        with pytest.raises(Conflict, match="changed while it was being read"):
            asked.result(PATIENCE_SECONDS)


def test_a_stopping_server_gives_up(
    hashes: ModelHashes, file: Path, slow: SlowDigest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "_CHUNK_BYTES", 1000)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(hashes.hash_of, "vae", "some vae") for _ in range(2)]
        assert slow.reached.wait(PATIENCE_SECONDS)
        hashes.close()
        slow.go_on.set()
        for one in asked:
            with pytest.raises(EngineUnavailable):
                one.result(PATIENCE_SECONDS)


def test_a_failed_reading_is_tried_again_by_the_next_who_asks(
    hashes: ModelHashes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(ModelHashes, "_read", fail)
        with pytest.raises(ZeroDivisionError):
            hashes.hash_of("vae", "some vae")
    assert hashes.hash_of("vae", "some vae").hash == SUM


def remove(file: Path) -> None:
    file.unlink()


def make_a_folder_of(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("spoil", [remove, make_a_folder_of])
def test_a_file_that_is_gone_when_it_is_to_be_read_is_not_found(
    hashes: ModelHashes, file: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None]
) -> None:
    find = ModelLibrary.find

    def find_then_spoil(library: ModelLibrary, kind: str, name: str) -> object:
        found = find(library, kind, name)
        spoil(file)
        return found

    monkeypatch.setattr(ModelLibrary, "find", find_then_spoil)
    with pytest.raises(ModelNotFound):
        hashes.hash_of("vae", "some vae")


def test_unknown_types_and_names_are_told_apart(hashes: ModelHashes) -> None:
    with pytest.raises(InvalidRequest, match="picture"):
        hashes.hash_of("picture", "some vae")
    with pytest.raises(ModelNotFound, match=r"^Model not found: other\.gguf$"):
        hashes.hash_of("vae", "other.gguf")


def test_the_sum_of_a_split_model_is_that_of_its_parts_in_order(hashes: ModelHashes, file: Path) -> None:
    for number, content in ((1, b"one"), (2, b"two")):
        file.with_name(f"x-0000{number}-of-00002.gguf").write_bytes(content)
    assert hashes.hash_of("vae", "x").hash == hashlib.sha256(b"onetwo").hexdigest()
