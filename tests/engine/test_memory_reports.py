"""An engine tells of its memory when somebody looks, and gives memory back when it rests."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from sdcpp_rest.engine.fake_runner import FakeRunner
from sdcpp_rest.engine.memory_reports import MemoryReports
from sdcpp_rest.engine.protocol import Memory
from tests.engine.conftest import TIMEOUT


class Rig:
    """Reports on a thread, whose looks after the log are counted."""

    def __init__(self, interval_seconds: float) -> None:
        self.runner = FakeRunner(inline=True)
        self.told: list[Memory] = []
        self.has_told = threading.Semaphore(0)
        self._passed = threading.Semaphore(0)
        self.reports = MemoryReports(self.runner, self._take, interval_seconds, self._passed.release)
        self.thread = threading.Thread(target=self.reports.run, daemon=True)
        self.thread.start()

    def _take(self, memory: Memory) -> None:
        self.told.append(memory)
        self.has_told.release()

    def pass_intervals(self, count: int = 4) -> None:
        while self._passed.acquire(blocking=False):
            """What has passed already does not count."""
        for _ in range(count):
            assert self._passed.acquire(timeout=TIMEOUT)

    def ask(self) -> Memory:
        self.reports.want()
        assert self.has_told.acquire(timeout=TIMEOUT)
        return self.told[-1]


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    made = Rig(getattr(request, "param", 0.01))
    yield made
    made.reports.stop()
    made.thread.join(TIMEOUT)
    assert not made.thread.is_alive()


def test_memory_is_given_back_once_after_each_work(rig: Rig) -> None:
    rig.pass_intervals()
    assert rig.runner.rests == 0, "nothing was done"
    with rig.reports.keep_busy():
        rig.pass_intervals()
        assert rig.runner.rests == 0, "something is being done"
    rig.pass_intervals()
    assert rig.runner.rests == 1
    rig.pass_intervals()
    assert rig.runner.rests == 1
    with rig.reports.keep_busy():
        """The next job."""
    rig.pass_intervals()
    assert rig.runner.rests == 2


def test_who_looks_again_and_again_does_not_keep_an_engine_from_its_rest(rig: Rig) -> None:
    with rig.reports.keep_busy():
        """One job."""
    for _ in range(10_000):
        rig.ask()
        if rig.runner.rests:
            break
    assert rig.runner.rests == 1


@pytest.mark.parametrize("rig", [3600.0], indirect=True)
def test_memory_is_told_when_somebody_looks_and_never_else(rig: Rig) -> None:
    assert rig.ask().devices[0].name == "CPU"
    assert rig.ask().rss_bytes > 0
    assert len(rig.told) == 2


@pytest.mark.parametrize("rig", [3600.0], indirect=True)
def test_a_device_that_is_lost_is_asked_nothing_more(rig: Rig) -> None:
    rig.reports.forget_devices()
    assert rig.ask().devices == ()
