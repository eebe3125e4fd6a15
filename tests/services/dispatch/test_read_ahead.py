"""The next model's file is read while a job runs: once, only what has to be loaded, and never in anybody's way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.services.dispatch import read_ahead
from sdcpp_rest.services.dispatch.read_ahead import ReadAhead, has_room, read_into_cache
from tests.services.conftest import PATIENCE_SECONDS, Gate, House, copy_demo, spec_named


@pytest.fixture
def model(tmp_path: Path) -> LoadSpec:
    path = tmp_path / "next.gguf"
    path.write_bytes(b"x" * 100)
    return LoadSpec(model=FileRef(name=path.name, path=str(path)), kind="diffusion")


class Reader:
    """Notes what is read."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.came = threading.Semaphore(0)

    def __call__(self, path: str, is_over: Callable[[], bool]) -> None:
        self.paths.append(path)
        self.came.release()

    def wait(self) -> None:
        assert self.came.acquire(timeout=PATIENCE_SECONDS), "nothing was read"


@pytest.fixture
def closing() -> Iterator[list[ReadAhead]]:
    made: list[ReadAhead] = []
    yield made
    for one in made:
        one.close()


def test_it_is_read_while_a_job_runs_and_once(model: LoadSpec, closing: list[ReadAhead]) -> None:
    read = Reader()
    looked = threading.Semaphore(0)

    def find_next() -> LoadSpec:
        looked.release()
        return model

    ahead = ReadAhead(find_next, read=read, settle_seconds=0.0)
    closing.append(ahead)
    ahead.begin()
    read.wait()
    for _ in range(2):
        assert looked.acquire(timeout=PATIENCE_SECONDS)
        ahead.end()
        ahead.begin()
    assert looked.acquire(timeout=PATIENCE_SECONDS)
    assert read.paths == [model.model.path]


def test_a_short_job_is_not_looked_behind(model: LoadSpec, closing: list[ReadAhead]) -> None:
    read = Reader()
    ahead = ReadAhead(lambda: model, read=read, settle_seconds=PATIENCE_SECONDS)
    closing.append(ahead)
    for _ in range(5):
        ahead.begin()
        ahead.end()
    ahead.close()
    assert read.paths == []


def test_what_does_not_fit_is_not_read(model: LoadSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_room([model.model.path])
    monkeypatch.setattr(read_ahead, "_RESERVE_SHARE", 1.0)
    assert not has_room([model.model.path])


def test_reading_ends_when_it_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "_PIECE_BYTES", 10)
    path = tmp_path / "large"
    path.write_bytes(b"x" * 1000)
    asked: list[int] = []

    def is_over() -> bool:
        asked.append(1)
        return len(asked) > 3

    read_into_cache(str(path), is_over)
    assert len(asked) == 4


def test_trouble_is_nobodys(closing: list[ReadAhead]) -> None:
    tried = threading.Semaphore(0)

    def broken() -> LoadSpec:
        tried.release()
        raise OSError("gone")

    ahead = ReadAhead(broken, settle_seconds=0.0)
    closing.append(ahead)
    for _ in range(2):
        ahead.begin()
        assert tried.acquire(timeout=PATIENCE_SECONDS)
        ahead.end()


def test_a_lane_knows_what_it_will_have_to_load(house: House) -> None:
    pool, home = house.runtime.engine.pool, house.runtime.engine.home
    copy_demo(house.config, "other.gguf")
    gate = Gate()
    house.at_step = gate
    house.submit()
    gate.wait()
    assert pool.find_next_load(home) is None
    house.submit()
    assert pool.find_next_load(home) is None, "the model of the next job is there"
    other = spec_named("other.gguf")
    house.runtime.jobs.queue.to_front(house.submit(spec=other))
    assert pool.find_next_load(home) == other
    gate.open()
