"""Speed and time left, by a clock that the test turns."""

from __future__ import annotations

import pytest

from sdcpp_rest.services.downloads import speed_meter
from sdcpp_rest.services.downloads.speed_meter import SpeedMeter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(speed_meter.time, "monotonic", lambda: now[0])
    return now


def test_speed_is_that_of_the_last_seconds(clock: list[float]) -> None:
    meter = SpeedMeter()
    told = meter.at(1_000_000, 9_000_000)
    assert (told.bytes_per_second, told.eta_seconds) == (0, None)
    for k in range(1, 11):
        clock[0] += 1
        told = meter.at(1_000_000 + 100_000 * k, 9_000_000)
    assert told.bytes_per_second == 100_000
    assert told.eta_seconds == 70.0
    for k in range(1, 11):
        clock[0] += 1
        told = meter.at(2_000_000 + 500_000 * k, 9_000_000)
    assert told.bytes_per_second == 500_000
    assert told.eta_seconds == 4.0


def test_silence_slows_it_down_and_the_end_is_the_end(clock: list[float]) -> None:
    meter = SpeedMeter()
    meter.at(0, 100)
    clock[0] += 10
    assert meter.at(0, 100).eta_seconds is None
    clock[0] += 1
    assert meter.at(100, 100).eta_seconds == 0.0


def test_an_unknown_end_has_no_time(clock: list[float]) -> None:
    meter = SpeedMeter()
    meter.at(0, None)
    clock[0] += 1
    told = meter.at(500, None)
    assert (told.bytes_per_second, told.total_bytes, told.eta_seconds) == (500, None, None)


def test_a_new_beginning_forgets_the_old_one(clock: list[float]) -> None:
    meter = SpeedMeter()
    meter.at(5_000, 10_000)
    meter.restart()
    clock[0] += 1
    assert meter.at(0, 10_000).bytes_per_second == 0
