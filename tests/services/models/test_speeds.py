from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.core.job_work import Work
from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec, UpscalerSpec
from sdcpp_rest.core.step_times import StepTimes
from sdcpp_rest.services.models.speeds import Forecast, Speeds
from sdcpp_rest.store.database import Database, DatabaseUnusable
from sdcpp_rest.store.speed_store import SpeedStore

ONE = Work(way="picture", steps=4, megapixels=1.0, decoded=1.0, saved=1.0)


class Lab:
    """Speeds over a database, for a model whose file a test may replace."""

    def __init__(self, folder: Path) -> None:
        self.device = "CPU"
        self.db = Database(folder / "rest.db")
        self.file = folder / "m.gguf"
        self.file.write_bytes(b"model")
        self.spec = LoadSpec(model=FileRef(name="m", path=str(self.file)), kind="diffusion")
        self.speeds = self.reopened()

    def reopened(self) -> Speeds:
        return Speeds(SpeedStore(self.db), lambda: self.device)

    def draw(self, work: Work = ONE, seconds: float = 1.0, spec: LoadSpec | None = None) -> None:
        """Learn from a job whose steps took so long; the first one ten times that."""
        began = self.speeds.bind(spec or self.spec, None)
        self.speeds.note_job(began, times_of(work, seconds), saving_seconds=0.5)

    def forecast(self, work: Work = ONE, spec: LoadSpec | None = None, *, is_resident: bool = True) -> Forecast:
        return self.speeds.forecast(self.speeds.bind(spec or self.spec, None), work, is_resident=is_resident)


def times_of(work: Work, seconds: float) -> StepTimes:
    times = StepTimes(0.0)
    times.work = work
    times.enter("conditioning", 0, 1.0)
    now = 3.0
    times.enter("sampling", 0, now)
    for step in range(work.steps):
        now += seconds * (10 if step == 0 else 1)
        times.take_step("sampling", 0, now)
    times.enter("decoding", 0, now)
    times.enter("encoding", 0, now + 2.0)
    return times


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.db.close()


def test_nothing_is_foretold_before_anything_was_drawn(lab: Lab) -> None:
    found = lab.forecast()
    assert (found.jobs, found.is_exact, found.expected.step) == (0, False, None)
    assert lab.forecast(is_resident=False).expected.load is None


def test_the_same_job_takes_what_it_took(lab: Lab) -> None:
    lab.draw(seconds=2.0)
    expected = lab.forecast().expected
    assert (expected.step, expected.conditioning, expected.decoding, expected.saving) == (2.0, 2.0, 2.0, 0.5)
    assert (lab.forecast().jobs, lab.forecast().is_exact) == (1, True)


def test_another_size_is_scaled_and_says_so(lab: Lab) -> None:
    lab.draw(seconds=2.0)
    larger = ONE._replace(megapixels=4.0, decoded=4.0)
    assert lab.forecast(larger).expected.step == 8.0
    assert lab.forecast(larger).is_exact is False
    lab.draw(larger, seconds=16.0)
    assert lab.forecast(larger).expected.step == 16.0
    assert lab.forecast(larger).is_exact is True
    assert lab.forecast().expected.step == 2.0, "the smaller one keeps its own"


def test_another_way_of_the_same_model_is_scaled_by_its_passes(lab: Lab) -> None:
    lab.draw(seconds=2.0)
    guided = ONE._replace(way="picture passes=2", passes=2.0)
    assert lab.forecast(guided).expected.step == 4.0
    assert lab.forecast(guided).is_exact is False
    assert lab.forecast(ONE._replace(way="video")).expected.step is None


def test_the_second_pass_is_foretold_at_its_own_size(lab: Lab) -> None:
    lab.draw(seconds=2.0)
    lab.draw(ONE._replace(megapixels=4.0), seconds=16.0)
    both = ONE._replace(hires_steps=3, hires_megapixels=4.0, pictures=2)
    assert lab.forecast(both).expected.hires == 16.0 * 3 * 2
    assert lab.forecast().expected.hires is None


def test_loads_are_foretold_once_there_was_one(lab: Lab) -> None:
    lab.speeds.note_load(lab.spec, 30.0)
    assert lab.forecast(is_resident=False).expected.load == 30.0
    assert lab.forecast(is_resident=True).expected.load == 0.0


def test_another_file_of_the_same_name_is_another_model(lab: Lab) -> None:
    lab.draw()
    lab.file.write_bytes(b"another model")
    assert lab.forecast().jobs == 0
    lab.draw(seconds=9.0)
    assert lab.forecast().expected.step == 9.0, "not mixed with the old one's"


def test_a_file_that_is_replaced_while_it_draws_teaches_nothing(lab: Lab) -> None:
    began = lab.speeds.bind(lab.spec, None)
    os.utime(lab.file, ns=(1, 1))
    lab.speeds.note_job(began, times_of(ONE, 1.0), 0.0)
    assert lab.forecast().jobs == 0


@pytest.mark.parametrize(
    ("options", "is_shared"),
    [
        ({"offload_to_cpu": True}, False),
        ({"n_threads": 3}, False),
        ({"diffusion_flash_attn": True}, False),
        ({"vae_decode_only": False}, True),
        ({"flow_shift": 3.0}, True),
        ({"vae_tiling": True}, True),
    ],
)
def test_options_that_change_the_speed_are_kept_apart(lab: Lab, options: dict[str, Any], is_shared: bool) -> None:
    lab.draw()
    other = lab.spec.model_copy(update={"options": LoadOptions(**options)})
    assert (lab.forecast(spec=other).jobs == 1) is is_shared


def test_another_device_is_another_machine(lab: Lab) -> None:
    lab.draw()
    lab.device = "CUDA|a card"
    assert lab.forecast().jobs == 0


def test_averages_survive_a_restart(lab: Lab) -> None:
    lab.speeds.note_load(lab.spec, 30.0)
    lab.draw(seconds=2.0)
    lab.speeds = lab.reopened()
    found = lab.forecast(is_resident=False).expected
    assert (found.step, found.load) == (2.0, 30.0)


def test_one_small_write_follows_each_job(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    writes, write = [], lab.db.write
    monkeypatch.setattr(lab.db, "write", lambda: (writes.append(1), write())[1])
    lab.speeds.note_load(lab.spec, 30.0)
    assert writes == []
    lab.draw()
    assert len(writes) == 1


def test_a_full_disk_is_only_a_warning_and_what_was_learned_is_written_later(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise DatabaseUnusable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(SpeedStore, "put", fail)
        lab.draw(seconds=2.0)
    assert "the disk is full" in caplog.text
    lab.draw(ONE._replace(megapixels=4.0), seconds=8.0)
    lab.speeds = lab.reopened()
    assert lab.forecast().expected.step == 2.0


def test_memory_is_bounded_as_the_table_is(lab: Lab) -> None:
    lab.speeds = Speeds(SpeedStore(lab.db, most=8), lambda: lab.device)
    for number in range(20):
        lab.device = f"device {number}"
        lab.draw()
    assert lab.forecast().jobs == 1
    lab.device = "device 0"
    assert lab.forecast().jobs == 0


def test_upscaling_is_told_apart_by_the_upscalers_file(lab: Lab, tmp_path: Path) -> None:
    upscaler = UpscalerSpec(model=FileRef(name="u", path=str(tmp_path / "u")))
    work = Work(way="upscale", enlarged=2.0, saved=32.0)
    times = StepTimes(0.0)
    times.work = work
    times.take_step("upscaling", 0, 1.0)
    times.enter("encoding", 0, 7.0)
    lab.speeds.note_job(lab.speeds.bind(None, upscaler), times, 1.0)
    found = lab.speeds.forecast(lab.speeds.bind(None, upscaler), work, is_resident=True)
    assert (found.expected.upscaling, found.jobs, found.is_exact) == (6.0, 1, True)
    finer = upscaler.model_copy(update={"tile_size": 64})
    assert lab.speeds.forecast(lab.speeds.bind(None, finer), work, is_resident=True).jobs == 0


def test_engines_on_other_devices_learn_for_themselves(lab: Lab) -> None:
    lab.draw(seconds=1.0)
    slow = lab.speeds.bind(lab.spec, None, "another card")
    assert lab.speeds.forecast(slow, ONE, is_resident=True).jobs == 0
    lab.speeds.note_job(slow, times_of(ONE, 60.0), saving_seconds=0.5)
    assert lab.speeds.forecast(slow, ONE, is_resident=True).expected.step == pytest.approx(60, rel=0.01)
    assert lab.forecast().expected.step == pytest.approx(1, rel=0.01), "the home engine's is as it was"
