"""Which threads a run gets, and which of its steps are measured. Time is made up."""

from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadOptions, UpscalerSpec
from sdcpp_rest.core.params import ConvertParams, ImageParams, UpscaleParams
from sdcpp_rest.engine import thread_tuner
from sdcpp_rest.engine.thread_tuner import ThreadTuner, asked_threads

FILE = FileRef(name="a", path="/a")


class Switch:
    def __init__(self, can_choose: bool = True) -> None:
        self.can_choose = can_choose
        self.chosen: list[int] = []

    def choose(self, count: int) -> None:
        self.chosen.append(count)


class Report:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def loading(self, progress: float | None) -> None:
        self.heard.append(progress)

    def step(self, *told: Any) -> None:
        self.heard.append(told)

    def preview(self, *told: Any) -> None:
        self.heard.append(told)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(thread_tuner, "time", clock)
    return clock


def tuner_of(switch: Switch, n_threads: int = -1, *, chooses: bool = True, cores: int = 8) -> ThreadTuner:
    tuner = ThreadTuner(n_threads, chooses_threads=chooses)
    tuner.begin(switch, cores)
    return tuner


def params(**more: Any) -> ImageParams:
    return ImageParams(prompt="a", width=64, height=64, **more)


def draw(tuner: ThreadTuner, switch: Switch, clock: Clock, report: Report, steps: int = 12, **more: Any) -> None:
    """A run on a machine that is so busy that each thread more makes a step longer."""
    watched = tuner.watch(params(**more), "k", -1, report)
    watched.step(0, 0, 0, "conditioning")
    clock.now += 100
    watched.step(0, 0, 0, "sampling")
    for step in range(1, steps + 1):
        clock.now += switch.chosen[-1]
        watched.step(step, steps, 0, "sampling")
    watched.step(0, 0, 0, "decoding")
    clock.now += 100


def test_a_run_on_a_busy_machine_ends_with_fewer_threads(clock: Clock) -> None:
    switch = Switch()
    tuner = tuner_of(switch)
    draw(tuner, switch, clock, Report())
    told = tuner.describe()
    assert told is not None
    assert (told.chosen, told.most, switch.chosen[-1]) == (1, 8, 1)
    assert told.why == "A step took 1 s with 1 and 2 s with 2"


def test_every_report_is_passed_on(clock: Clock) -> None:
    switch, report = Switch(), Report()
    draw(tuner_of(switch), switch, clock, report, steps=2)
    assert report.heard == [
        (0, 0, 0, "conditioning"), (0, 0, 0, "sampling"), (1, 2, 0, "sampling"), (2, 2, 0, "sampling"),
        (0, 0, 0, "decoding"),
    ]  # fmt: skip


def test_a_number_that_is_tried_is_for_sampling_alone(clock: Clock) -> None:
    switch = Switch()
    tuner = tuner_of(switch)
    draw(tuner, switch, clock, Report(), steps=3)
    assert switch.chosen[-2:] == [4, 8]


def test_threads_that_a_load_asked_for_are_left_alone() -> None:
    switch, report = Switch(), Report()
    assert tuner_of(switch).watch(params(), "k", 3, report) is report
    assert switch.chosen == [0]


def test_threads_that_the_settings_name_are_left_alone() -> None:
    switch, report = Switch(), Report()
    tuner = tuner_of(switch, 3, chooses=False)
    assert tuner.watch(params(), "k", -1, report) is report
    assert switch.chosen == []
    told = tuner.describe()
    assert told is not None
    assert (told.chosen, told.most, told.why) == (3, 3, "The setting engine.n_threads says so")


def test_an_engine_with_a_share_of_the_cores_chooses_among_those() -> None:
    told = tuner_of(Switch(), 4, cores=16).describe()
    assert told is not None
    assert (told.chosen, told.most) == (4, 4)


def test_a_library_that_cannot_change_them_says_so() -> None:
    switch = Switch(can_choose=False)
    tuner = tuner_of(switch)
    assert tuner.watch(params(), "k", -1, Report()) is not None
    told = tuner.describe()
    assert told is not None
    assert (told.chosen, told.why, switch.chosen) == (8, "This library cannot change the number", [])


def test_where_a_gpu_computes_nothing_is_told() -> None:
    tuner, report = ThreadTuner(-1, chooses_threads=True), Report()
    assert tuner.describe() is None
    assert tuner.watch(params(), "k", -1, report) is report


def test_what_has_no_steps_gets_what_was_chosen(clock: Clock) -> None:
    switch, report = Switch(), Report()
    tuner = tuner_of(switch)
    draw(tuner, switch, clock, Report())
    convert = ConvertParams(input=FILE, output=FILE, output_type="q8_0")
    assert tuner.watch(convert, None, -1, report) is report
    assert switch.chosen[-1] == 1


def test_an_upscaler_that_was_loaded_with_threads_of_its_own_keeps_them(clock: Clock) -> None:
    switch = Switch()
    tuner = tuner_of(switch)
    for n_threads, expected in ((3, 0), (-1, 8)):
        spec = UpscalerSpec(model=FILE, n_threads=n_threads)
        watched = tuner.watch(params(upscale=True, upscaler=spec), "k", -1, Report())
        watched.step(0, 0, 0, "upscaling")
        assert switch.chosen[-1] == expected


def test_who_asks_for_threads() -> None:
    upscale = UpscaleParams(upscaler=UpscalerSpec(model=FILE, n_threads=3))
    assert asked_threads(upscale, None) == 3
    assert asked_threads(params(), LoadOptions(n_threads=2)) == 2
    assert asked_threads(params(), LoadOptions()) == -1
    assert asked_threads(ConvertParams(input=FILE, output=FILE, output_type="q8_0"), None) == -1
