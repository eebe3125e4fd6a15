"""One engine kept alive: replaced when it dies, slower each time, and never again once the server stops."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.engine.client import EngineClient
from sdcpp_rest.engine.fake_runner import FakeRunner, SimulatedDeath
from sdcpp_rest.engine.launchers import InlineLauncher, Launcher
from sdcpp_rest.engine.protocol import PreviewSettings, Ready, RunJob
from sdcpp_rest.engine.runner import RunFailed
from sdcpp_rest.engine.supervisor import EngineSupervisor
from sdcpp_rest.errors import EngineDied, EngineUnavailable
from tests.engine.conftest import TIMEOUT

Jobs = Callable[..., Callable[[int], RunJob]]


@pytest.fixture
def make_supervisor() -> Iterator[Callable[..., EngineSupervisor]]:
    made: list[EngineSupervisor] = []

    def make(launcher: Launcher, **settings: Any) -> EngineSupervisor:
        quick = {"backoff_initial_seconds": 0.0, "start_timeout_seconds": TIMEOUT}
        made.append(EngineSupervisor(launcher, **{**quick, **settings}))
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.stop()


def die(client: EngineClient) -> None:
    client.kill()
    client._reader.join(TIMEOUT)


def test_the_living_engine_is_kept(make_supervisor: Callable[..., EngineSupervisor], launcher: Launcher) -> None:
    supervisor = make_supervisor(launcher)
    assert supervisor.state == "starting"
    client = supervisor.ensure()
    assert supervisor.ensure() is client
    assert (supervisor.state, supervisor.restarts) == ("idle", 0)
    assert supervisor.ready is not None
    assert supervisor.ready.library_version == "fake"


def test_a_dead_engine_is_replaced(make_supervisor: Callable[..., EngineSupervisor], launcher: Launcher) -> None:
    deaths: list[EngineDied] = []
    supervisor = make_supervisor(launcher, on_death=deaths.append)
    first = supervisor.ensure()
    die(first)
    assert supervisor.state == "dead"
    assert len(deaths) == 1
    second = supervisor.ensure()
    assert second is not first
    assert second.alive
    assert (supervisor.state, supervisor.restarts) == ("idle", 1)


def test_run_numbers_go_on_in_the_next_engine(
    make_supervisor: Callable[..., EngineSupervisor], launcher: Launcher, spec: LoadSpec, job: Jobs
) -> None:
    """A late cancel of a run in the dead engine must not name a run of the new one."""
    supervisor = make_supervisor(launcher)
    first = supervisor.ensure()
    first.load(spec)
    number = first.run(job()).number
    die(first)
    second = supervisor.ensure()
    second.load(spec)
    assert second.run(job()).number == number + 1


def test_pause_doubles_with_every_death_in_a_row_and_is_bounded(
    make_supervisor: Callable[..., EngineSupervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = InlineLauncher(lambda: FakeRunner(inline=True))
    supervisor = make_supervisor(launcher, backoff_initial_seconds=1.0, backoff_max_seconds=5.0)
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return False

    monkeypatch.setattr(supervisor._hurried, "wait", wait)
    for _ in range(5):
        die(supervisor.ensure())
    supervisor.ensure()
    assert [round(seconds) for seconds in waited] == [0, 1, 2, 4, 5, 5]
    supervisor.reset_backoff()
    die(supervisor.ensure())
    supervisor.ensure()
    assert round(waited[-1]) == 1, "something worked: the next death counts as the first"


def test_death_is_counted_before_anybody_hears_of_it(
    make_supervisor: Callable[..., EngineSupervisor], launcher: Launcher, spec: LoadSpec, job: Jobs
) -> None:
    """Whoever waits for the run asks for a new engine at once: the pause must be set by then."""
    supervisor = make_supervisor(launcher)
    client = supervisor.ensure()
    client.load(spec)
    states: list[tuple[str, int]] = []
    run = client.run(job("fake:hold"))
    run.computed.add_done_callback(lambda _: states.append((supervisor.state, supervisor._failures)))
    die(client)
    assert states == [("dead", 1)]


def test_stop_is_no_death_and_final(make_supervisor: Callable[..., EngineSupervisor], launcher: Launcher) -> None:
    deaths: list[EngineDied] = []
    supervisor = make_supervisor(launcher, on_death=deaths.append)
    client = supervisor.ensure()
    supervisor.stop()
    supervisor.stop()
    assert not client.alive
    assert supervisor.state == "stopped"
    with pytest.raises(EngineUnavailable, match="stopping"):
        supervisor.ensure()
    assert deaths == []


def test_stop_without_a_start(make_supervisor: Callable[..., EngineSupervisor], launcher: Launcher) -> None:
    supervisor = make_supervisor(launcher)
    supervisor.stop()
    with pytest.raises(EngineUnavailable):
        supervisor.ensure()
    assert supervisor.client is None


def test_stop_ends_the_wait_for_a_new_engine(make_supervisor: Callable[..., EngineSupervisor]) -> None:
    launcher = InlineLauncher(lambda: FakeRunner(inline=True))
    supervisor = make_supervisor(launcher, backoff_initial_seconds=60.0, backoff_max_seconds=60.0)
    die(supervisor.ensure())
    errors: list[Exception] = []

    def ensure() -> None:
        try:
            supervisor.ensure()
        except EngineUnavailable as error:
            errors.append(error)

    waiting = threading.Thread(target=ensure)
    waiting.start()
    began = time.monotonic()
    supervisor.begin_stop()
    waiting.join(TIMEOUT)
    ensure()
    assert len(errors) == 2, "whoever asks again does not wait either"
    assert time.monotonic() - began < 10


class NoLibrary(FakeRunner):
    def ready(self) -> Ready:
        raise RunFailed("libstable-diffusion.so was not found")


class DiesAtStart(FakeRunner):
    def ready(self) -> Ready:
        raise SimulatedDeath


@pytest.mark.parametrize(("runner", "message"), [(NoLibrary, "was not found"), (DiesAtStart, "simulated death")])
def test_engine_that_does_not_start_is_explained_and_blames_nobody(
    make_supervisor: Callable[..., EngineSupervisor], runner: type[FakeRunner], message: str
) -> None:
    runners: list[type[FakeRunner]] = [runner, FakeRunner]
    supervisor = make_supervisor(InlineLauncher(lambda: runners.pop(0)(inline=True)))
    with pytest.raises(EngineUnavailable, match=message) as caught:
        supervisor.ensure()
    assert not isinstance(caught.value, EngineDied), "no job and no model was in it"
    assert supervisor.state == "dead"
    assert supervisor._failures == 1
    assert supervisor.ensure().alive
    assert supervisor.restarts == 1


def test_preview_settings_reach_this_engine_and_the_next(make_supervisor: Callable[..., EngineSupervisor]) -> None:
    arrived: list[PreviewSettings] = []
    told = threading.Semaphore(0)

    class Noting(FakeRunner):
        def set_preview(self, settings: PreviewSettings) -> None:
            arrived.append(settings)
            told.release()

    supervisor = make_supervisor(InlineLauncher(lambda: Noting(inline=True)))
    client = supervisor.ensure()
    settings = PreviewSettings(interval=3)
    supervisor.set_preview(settings)
    assert told.acquire(timeout=TIMEOUT)
    assert told.acquire(timeout=TIMEOUT)
    die(client)
    supervisor.ensure()
    assert told.acquire(timeout=TIMEOUT)
    assert arrived == [PreviewSettings(), settings, settings]


@pytest.mark.parametrize(
    ("mode", "is_watched", "used"),
    [
        ("tae", False, "proj"),
        ("vae", False, "proj"),
        ("vae", True, "vae"),
        ("none", False, "none"),
        ("proj", False, "proj"),
    ],
)
def test_unwatched_previews_cost_no_decoder(
    make_supervisor: Callable[..., EngineSupervisor], mode: str, is_watched: bool, used: str
) -> None:
    arrived: queue.Queue[PreviewSettings] = queue.Queue()

    class Noting(FakeRunner):
        def set_preview(self, settings: PreviewSettings) -> None:
            arrived.put(settings)

    supervisor = make_supervisor(InlineLauncher(lambda: Noting(inline=True)))
    supervisor.set_preview(PreviewSettings(mode=mode))
    client = supervisor.ensure()
    assert arrived.get(timeout=TIMEOUT).mode == mode
    supervisor.prepare_previews(client, is_watched)
    assert arrived.get(timeout=TIMEOUT).mode == used
