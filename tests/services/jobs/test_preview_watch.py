"""Previews are made for those who see them: listeners, and whoever has asked for one lately."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sdcpp_rest.core.job import Job
from sdcpp_rest.services.jobs import preview_watch
from sdcpp_rest.services.jobs.active_jobs import ActiveJob
from sdcpp_rest.services.jobs.event_bus import EventBus
from sdcpp_rest.services.jobs.preview_watch import PreviewWatch
from tests.clocks import Clock
from tests.services.conftest import PATIENCE_SECONDS


def active_job() -> ActiveJob:
    return ActiveJob(Job(id="a", kind="txt2img", params={"steps": 4}))


def test_nobody_watches_until_somebody_listens_and_again_when_all_have_left() -> None:
    bus, begun = EventBus(), []
    watch = PreviewWatch(bus)
    watch.call_on_begin(lambda: begun.append(watch.is_watched))
    assert not watch.is_watched
    with bus.subscribe():
        assert watch.is_watched
    assert not watch.is_watched
    assert begun == [True]


def test_who_asks_for_a_preview_watches_for_a_while() -> None:
    clock, begun = Clock(), []
    watch = PreviewWatch(EventBus(), clock)
    watch.call_on_begin(lambda: begun.append(watch.is_watched))
    assert watch.read(active_job()) is None
    assert (begun, watch.is_watched) == ([True], True)
    clock.now += 14
    assert watch.is_watched
    clock.now += 2
    assert not watch.is_watched


def test_the_first_who_asks_gets_what_the_engine_has_although_it_was_no_file(tmp_path: Path) -> None:
    file, active = tmp_path / "preview.jpg", active_job()
    active.note_preview("")
    watch = PreviewWatch(EventBus())

    def show() -> None:
        file.write_bytes(b"jpeg")
        active.note_preview(str(file))

    threads: list[threading.Thread] = []

    def begin() -> None:
        threads.append(threading.Thread(target=show))
        threads[-1].start()

    watch.call_on_begin(begin)
    assert watch.read(active) == b"jpeg"
    threads[0].join(PATIENCE_SECONDS)


def test_an_engine_that_does_not_show_it_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview_watch, "_PATIENCE_SECONDS", 0.01)
    active = active_job()
    active.note_preview("")
    assert PreviewWatch(EventBus()).read(active) is None


def test_a_preview_whose_file_has_gone_with_its_job_is_none(tmp_path: Path) -> None:
    active = active_job()
    active.note_preview(str(tmp_path / "gone.jpg"))
    assert PreviewWatch(EventBus()).read(active) is None
