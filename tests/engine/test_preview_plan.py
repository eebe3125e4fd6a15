"""Previews take a share of the sampling time, by what they and the steps cost; the clock is set by hand."""

from __future__ import annotations

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.engine.preview_plan import PreviewPlan, Seconds, StepPreviews
from sdcpp_rest.engine.protocol import PreviewSettings
from tests.clocks import Clock


class Run:
    """A run whose steps and previews take as long as they are told to; ``shown``: the steps whose previews were."""

    def __init__(
        self,
        *,
        share: float = 0.05,
        interval: int = 1,
        seconds: Seconds | None = None,
        is_decoded: bool = True,
        step_seconds: float = 1.0,
        preview_seconds: float = 0.1,
        look_seconds: float = 0.0,
    ) -> None:
        self.clock = Clock()
        self.seconds = seconds or Seconds()
        self.plan = PreviewPlan(share, interval, self.seconds, is_decoded=is_decoded, clock=self.clock)
        self.step_seconds, self.preview_seconds, self.look_seconds = step_seconds, preview_seconds, look_seconds
        self.is_decoded = is_decoded
        self.shown: list[int] = []
        self.looked: list[int] = []

    def draw(self, steps: int, *, is_watched: bool = True, pictures: int = 1) -> Run:
        for _ in range(pictures):
            for step in range(1, steps + 1):
                wanted = self.plan.begin_step(step, steps, pictures, is_watched=is_watched)
                self.clock.now += self.step_seconds
                if wanted:
                    self._make(step)
            self.plan.begin_step(steps + 1, steps, pictures, is_watched=is_watched)
        return self

    def _make(self, step: int) -> None:
        if self.is_decoded:
            self.plan.begin_decoding()
            self.clock.now += self.preview_seconds
        self.clock.now += self.look_seconds
        self.looked.append(step)
        self.plan.end_look(self.look_seconds)
        if self.plan.shows:
            self.shown.append(step)
            if not self.is_decoded:
                self.clock.now += self.preview_seconds
            self.plan.end_show(0.0 if self.is_decoded else self.preview_seconds)


def test_a_preview_that_is_cheap_beside_a_step_is_made_at_every_step() -> None:
    assert Run(step_seconds=10, preview_seconds=0.4).draw(8).shown == list(range(1, 9))


def test_the_first_run_makes_one_to_find_out_what_it_costs_and_then_waits_until_that_is_paid() -> None:
    # Steps of 1 s: the second is due when 0.05 x the sampling time is 0.42 s or more.
    run = Run(preview_seconds=0.21).draw(20)
    assert run.shown == [1, 9, 13, 17]


@pytest.mark.parametrize("preview_seconds", [0.01, 0.049, 0.05, 0.07, 0.3, 0.9, 3.0])
@pytest.mark.parametrize("steps", [1, 4, 20, 150])
def test_once_the_cost_is_known_a_run_never_spends_more_than_its_share(preview_seconds: float, steps: int) -> None:
    seconds = Run(preview_seconds=preview_seconds).draw(20).seconds
    run = Run(preview_seconds=preview_seconds, seconds=seconds).draw(steps)
    assert len(run.shown) * preview_seconds <= 0.05 * steps + 1e-9
    if preview_seconds <= 0.05 * steps:
        assert run.shown, "one at least has its time"


def test_the_first_one_comes_after_a_fifth_of_a_long_picture_although_it_is_not_yet_earned() -> None:
    run = Run(preview_seconds=0.9, seconds=Seconds(step=1.0, shown=0.9)).draw(20)
    assert run.shown == [4]


def test_a_picture_that_is_too_short_for_one_gets_none() -> None:
    assert Run(preview_seconds=0.9, seconds=Seconds(step=1.0, shown=0.9)).draw(12).shown == []


def test_pictures_of_a_batch_share_what_they_have_time_for() -> None:
    run = Run(preview_seconds=0.9, seconds=Seconds(step=1.0, shown=0.9)).draw(12, pictures=4)
    assert len(run.shown) == 2


def test_none_is_made_more_often_than_the_interval_says() -> None:
    assert Run(interval=3, preview_seconds=0.01).draw(10).shown == [3, 6, 9]


@pytest.mark.parametrize(("share", "shown"), [(0.0, []), (1.0, [1, 2, 3, 4])])
def test_no_share_means_none_and_a_whole_one_no_limit(share: float, shown: list[int]) -> None:
    assert Run(share=share, preview_seconds=5.0).draw(4).shown == shown


def test_what_nobody_watches_is_never_decoded() -> None:
    assert Run(preview_seconds=0.001).draw(10, is_watched=False).looked == []


def test_what_nobody_watches_is_looked_at_in_the_first_and_the_last_steps_and_hardly_ever_between() -> None:
    """So that a picture that is none is noticed early, and at the end."""
    run = Run(is_decoded=False, look_seconds=0.05).draw(20, is_watched=False)
    assert run.looked == [1, 2, 3, 4, 19, 20]
    assert run.shown == []


def test_looks_that_cost_nothing_are_taken_at_every_step() -> None:
    assert Run(is_decoded=False, look_seconds=0.001).draw(9, is_watched=False).looked == list(range(1, 10))


def test_what_is_projected_is_shown_by_the_same_share() -> None:
    run = Run(is_decoded=False, preview_seconds=0.21, look_seconds=0.001).draw(20)
    assert run.shown == [1, 9, 13, 17]
    assert len(run.looked) == 20


def test_a_step_is_measured_without_what_was_made_beside_it() -> None:
    assert Run(preview_seconds=0.2).draw(20).seconds.step == pytest.approx(1.0)


def test_room_that_was_made_in_an_earlier_step_does_not_count_as_the_previews_time() -> None:
    clock, seconds = Clock(), Seconds()
    plan = PreviewPlan(0.05, 1, seconds, is_decoded=True, clock=clock)
    plan.begin_step(1, 5, is_watched=True)
    plan.begin_decoding()
    clock.now += 7
    plan.begin_step(2, 5, is_watched=True)
    plan.end_look(0.25)
    assert seconds.shown == 0.25


SPEC = LoadSpec(
    model=FileRef(name="a", path="/a"), kind="checkpoint", components={"taesd": FileRef(name="t", path="/t")}
)
LARGE = ImageParams(prompt="", width=512, height=512, steps=20, seed=1)


def run_once(previews: StepPreviews, clock: Clock, params: ImageParams, *, decoding: float) -> str:
    mode = previews.begin_run(params, SPEC)
    for step in range(1, params.steps + 1):
        wanted = previews.begin_step(step, params.steps)
        clock.now += 1
        if wanted:
            if mode == "tae":
                previews.begin_decoding()
                clock.now += decoding
            with previews.looking():
                pass
            previews.show(lambda: True)
    previews.begin_step(params.steps + 1, params.steps)
    return mode


def test_where_there_is_no_time_for_a_single_one_a_coarse_one_is_made_instead() -> None:
    clock = Clock()
    previews = StepPreviews(0.05, clock)
    previews.settings = PreviewSettings(mode="tae")
    assert [run_once(previews, clock, LARGE, decoding=1.5) for _ in range(3)] == ["tae", "proj", "proj"]


def test_another_size_is_another_cost() -> None:
    clock = Clock()
    previews = StepPreviews(0.05, clock)
    previews.settings = PreviewSettings(mode="tae")
    run_once(previews, clock, LARGE, decoding=1.5)
    assert previews.begin_run(LARGE.model_copy(update={"width": 256}), SPEC) == "tae"


@pytest.mark.parametrize(("settings", "mode"), [({"enabled": False}, "none"), ({"mode": "none"}, "none")])
def test_previews_that_are_switched_off_are_not_made(settings: dict[str, object], mode: str) -> None:
    previews = StepPreviews(0.05, Clock())
    previews.settings = PreviewSettings.model_validate(settings)
    assert previews.begin_run(LARGE, SPEC) == mode


def test_a_decoded_preview_needs_a_tiny_autoencoder() -> None:
    previews = StepPreviews(0.05, Clock())
    previews.settings = PreviewSettings(mode="vae")
    assert previews.begin_run(LARGE, SPEC.model_copy(update={"components": {}})) == "proj"


def test_while_nobody_watches_every_look_is_handed_on_for_whoever_comes() -> None:
    previews, handed = StepPreviews(0.05, Clock()), []
    previews.is_watched = False
    previews.begin_run(LARGE, SPEC)
    for step in (1, 2, 3):
        assert previews.begin_step(step, 20)
        with previews.looking():
            pass
        previews.show(lambda step=step: handed.append(step))  # type: ignore[misc]
    assert handed == [1, 2, 3]
