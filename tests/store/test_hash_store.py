"""Sums of files: what makes them count, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdcpp_rest.store.database import Database
from sdcpp_rest.store.hash_store import HashStore

NOT_UTF8 = b"/models/\xff.gguf".decode("utf-8", "surrogateescape")


@pytest.fixture
def hashes(db: Database) -> HashStore:
    return HashStore(db)


@pytest.mark.parametrize("path", ["/models/a.gguf", "/models/ü 😀.gguf", NOT_UTF8, "'; DROP TABLE file_hashes; --"])
def test_a_sum_is_found_by_path_size_and_time(hashes: HashStore, path: str) -> None:
    hashes.put(path, 10, 20, "ab")
    assert hashes.get(path, 10, 20) == "ab"
    assert hashes.known_hashes().get(path, 10, 20) == "ab"


@pytest.mark.parametrize(("path", "size", "mtime"), [("/b", 10, 20), ("/a", 11, 20), ("/a", 10, 21)])
def test_a_sum_of_another_path_size_or_time_does_not_count(hashes: HashStore, path: str, size: int, mtime: int) -> None:
    hashes.put("/a", 10, 20, "ab")
    assert hashes.get(path, size, mtime) is None
    assert hashes.known_hashes().get(path, size, mtime) is None


def test_a_rewritten_file_replaces_its_sum(hashes: HashStore, db: Database) -> None:
    for mtime_ns in range(5):
        hashes.put("/a", 10, mtime_ns, f"sum {mtime_ns}")
    assert hashes.get("/a", 10, 4) == "sum 4"
    assert hashes.get("/a", 10, 3) is None
    with db.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM file_hashes").scalar_one() == 1


def test_a_sum_follows_its_file(hashes: HashStore) -> None:
    hashes.put("/a", 10, 20, "ab")
    hashes.put(NOT_UTF8, 1, 2, "that of a file that was deleted")
    hashes.move("/a", NOT_UTF8)
    assert hashes.get("/a", 10, 20) is None
    assert hashes.get(NOT_UTF8, 10, 20) == "ab"


def test_times_in_nanoseconds_and_sizes_of_terabytes_fit(hashes: HashStore) -> None:
    hashes.put("/a", 2**45, 1_763_000_000_123_456_789, "ab")
    assert hashes.get("/a", 2**45, 1_763_000_000_123_456_789) == "ab"


def test_sums_survive_a_restart(tmp_path: Path) -> None:
    first = Database(tmp_path / "again.db")
    HashStore(first).put("/a", 1, 2, "ab")
    first.close()
    second = Database(tmp_path / "again.db")
    assert HashStore(second).get("/a", 1, 2) == "ab"
    second.close()
