"""Several engines, one queue: every job once, nobody starves, one engine's end is nobody else's, and what is kept."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.config.engines_section import EnginesConfig
from sdcpp_rest.core.events import EngineChanged, JobStatusChanged, ModelLoaded
from sdcpp_rest.core.job import Job
from sdcpp_rest.engine.fake_runner import FakeRunner, SimulatedDeath
from sdcpp_rest.engine.launchers import _EngineThread
from sdcpp_rest.engine.protocol import Device, Ready, RunJob
from sdcpp_rest.engine.runner import RunFailed
from sdcpp_rest.errors import Conflict, EngineDied, EngineUnavailable, LoadFailed
from sdcpp_rest.services.dispatch.engine_calls import ModelCall
from sdcpp_rest.services.jobs.job_reader import ENGINE_KINDS
from sdcpp_rest.store.job_claiming import ClaimTerms
from tests.services.conftest import PATIENCE_SECONDS, Gate, House, config_below, of_job, shown, spec_named

MODELS = tuple(spec_named(f"model{number}.gguf") for number in range(5))


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what no event tells."""
    until, nobody = time.monotonic() + PATIENCE_SECONDS, threading.Event()
    while not condition():
        assert time.monotonic() < until, "it never came"
        nobody.wait(0.002)


def two(make_house: Callable[..., House], *more: str, **kind: Any) -> House:
    house = make_house("engines.devices=cpu,cpu", "limits.pending_jobs=2000", *more, **kind)
    started: House = house.start()
    # Else the other engine takes the first job, as long as the home one is not done with its load.
    wait_until(lambda: all(lane.is_waiting for lane in started.runtime.engine.pool.lanes))
    return started


def engines(jobs: list[Job]) -> set[str | None]:
    return {job.engine for job in jobs}


def lane_named(house: House, name: str) -> Any:
    lane = house.runtime.engine.pool.find(name)
    assert lane is not None
    return lane


def test_one_engine_alone_is_strictly_first_in_first_out(house: House) -> None:
    gate = Gate()
    house.at_step = gate
    first = house.submit()
    gate.wait()
    rest = [house.submit(spec=MODELS[number % 2]) for number in range(6)]
    gate.open()
    done = [house.finished(job_id) for job_id in (first, *rest)]
    begun = [job.started_at for job in done]
    assert begun == sorted(begun, key=lambda moment: moment or 0)  # type: ignore[arg-type,return-value]
    assert engines(done) == {"cpu:0"}


def test_two_engines_work_at_the_same_time_and_say_who_did_what(make_house: Callable[..., House]) -> None:
    house = two(make_house)
    first, second = house.running(), house.running()
    assert house.runtime.jobs.queue.counts()["processing"] == 2
    jobs = [house.runtime.jobs.queue.get(job_id) for job_id in (first, second)]
    assert engines(jobs) == {"cpu:0", "cpu:1"}
    for job_id in (first, second):
        house.runtime.jobs.queue.cancel(job_id)
        assert house.finished(job_id).status == "cancelled"


def test_what_is_left_to_a_free_engine_is_anybodys_once_that_is_busy(make_house: Callable[..., House]) -> None:
    """Both need what the home engine holds: the other engine leaves the first one to it, and must not sleep then."""
    house = two(make_house)
    pool, queue = house.runtime.engine.pool, house.runtime.jobs.queue
    home, other = pool.lanes
    # Only the other one hears of the jobs at first.
    queue._workers = ((other.wake, ENGINE_KINDS),)
    asked = threading.Semaphore(0)
    claim = other._claim

    def claim_and_tell(lane: Any) -> Any:
        try:
            return claim(lane)
        finally:
            asked.release()

    other._claim = claim_and_tell
    jobs = [house.submit("fake:hold") for _ in range(2)]
    assert asked.acquire(timeout=PATIENCE_SECONDS)
    assert house.runtime.jobs.active.all() == []
    home.wake()
    wait_until(lambda: len(house.runtime.jobs.active.all()) == 2)
    for job_id in jobs:
        queue.cancel(job_id)
        assert house.finished(job_id).status == "cancelled"


@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.slow
def test_every_job_runs_once_and_in_order_per_owner_and_model(make_house: Callable[..., House], count: int) -> None:
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    def note(command: RunJob, step: int) -> None:
        if step == 1:
            with lock:
                seen[command.job_id] += 1

    house = make_house(f"engines.devices={','.join(['cpu'] * count)}", "limits.pending_jobs=2000")
    house.at_step = note
    house.start()
    chance = random.Random(7)
    house.runtime.jobs.queue.pause()
    ids = [
        house.submit(spec=chance.choice(MODELS), owner=chance.choice(["anna", "bert", None]), steps=1)
        for _ in range(500)
    ]
    house.runtime.jobs.queue.resume()
    jobs = [house.finished(job_id) for job_id in ids]
    assert {job.status for job in jobs} == {"completed"}
    assert all(seen[job_id] == 1 for job_id in ids)
    assert len(engines(jobs)) == count
    begun: dict[tuple[str | None, str | None], list[Any]] = defaultdict(list)
    for job in jobs:  # in the order of submission
        begun[job.owner, job.model_name].append(job.started_at)
    assert all(moments == sorted(moments) for moments in begun.values())
    loads = sum(lane.residency.loads for lane in house.runtime.engine.pool.lanes)
    if count > 1:
        assert loads <= 60, f"{loads} loads of 5 models on {count} engines"


def test_an_engine_takes_what_it_holds_and_nobody_waits_for_ever(make_house: Callable[..., House]) -> None:
    house = two(make_house, "queue.affinity_patience_seconds=0", "queue.affinity_stay_seconds=0")
    gate = Gate()
    house.at_step = lambda command, step: gate() if command.params.prompt == "held" else None  # type: ignore[union-attr]
    held = house.submit("held")
    gate.wait()
    assert house.draw(spec=MODELS[0]).engine == "cpu:1"
    gate.open()
    house.finished(held)
    wait_until(lambda: all(lane.is_waiting for lane in house.runtime.engine.pool.lanes))
    jobs = [house.draw(spec=MODELS[0]) for _ in range(3)]
    assert engines(jobs) == {"cpu:1"}, "the engine that holds it is left what needs it"
    # With no patience at all the oldest is next, but for what is left to an engine that is free.
    house.runtime.jobs.queue.pause()
    ids = [house.submit(spec=MODELS[number % 3], steps=1) for number in range(12)]
    house.runtime.jobs.queue.resume()
    begun = sorted(ids, key=lambda job_id: str(house.finished(job_id).started_at))
    assert all(abs(begun.index(job_id) - place) <= 2 for place, job_id in enumerate(ids))


def test_a_job_gets_the_engine_that_it_asks_for(make_house: Callable[..., House]) -> None:
    house = two(make_house)
    queue = house.runtime.jobs.queue
    asked = []
    for number in range(6):
        job, _ = queue.submit(
            "txt2img",
            {"prompt": "x", "width": 8, "height": 8, "steps": 1, "seed": 1},
            load_spec=MODELS[0],
            device=f"cpu:{number % 2}",
        )
        asked.append(job)
    for job in asked:
        done = house.finished(job.id)
        assert (done.status, done.engine) == ("completed", job.device)


def test_an_owner_has_no_more_than_a_share_while_others_wait(make_house: Callable[..., House]) -> None:
    house = make_house("engines.devices=cpu,cpu,cpu,cpu", "queue.owner_share=0.5").start()
    house.runtime.jobs.queue.pause()
    many = [house.submit("fake:hold", owner="anna", steps=1) for _ in range(6)]
    few = [house.submit("fake:hold", owner="bert", steps=1) for _ in range(2)]
    house.runtime.jobs.queue.resume()
    wait_until(lambda: len(house.runtime.jobs.active.all()) == 4)
    running = Counter(active.job.owner for active in house.runtime.jobs.active.all())
    assert running == {"anna": 2, "bert": 2}
    for job_id in few:
        house.runtime.jobs.queue.cancel(job_id)
    wait_until(lambda: Counter(active.job.owner for active in house.runtime.jobs.active.all()) == {"anna": 4})
    for job_id in many:
        house.runtime.jobs.queue.cancel(job_id)
        assert house.finished(job_id).status == "cancelled"


# --- cancel, front, pause ---------------------------------------------------------------------------------------------


def test_cancel_front_and_pause_while_eight_run(make_house: Callable[..., House]) -> None:
    house = make_house(f"engines.devices={','.join(['cpu'] * 8)}").start()
    queue = house.runtime.jobs.queue
    ids = [house.submit("fake:hold", steps=1) for _ in range(8)]
    wait_until(lambda: len(house.runtime.jobs.active.all()) == 8)
    waiting = [house.submit(f"later {number}") for number in range(4)]
    queue.pause()
    queue.to_front(waiting[3])
    assert queue.cancel(ids[2]) == "cancelling"
    assert house.finished(ids[2]).status == "cancelled"
    assert len(house.runtime.jobs.active.all()) == 7, "nothing begins while it is paused"
    assert queue.counts()["pending"] == 4
    queue.resume()
    done = [house.finished(job_id) for job_id in waiting]
    assert min(done, key=lambda job: str(job.started_at)).id == waiting[3]
    for job_id in ids[:2] + ids[3:]:
        queue.cancel(job_id)
        assert house.finished(job_id).status == "cancelled"


# --- misfortune -------------------------------------------------------------------------------------------------------


def test_the_end_of_one_engine_touches_its_own_job_only(make_house: Callable[..., House]) -> None:
    house = two(make_house)
    survivor = house.running()
    dead = house.submit("fake:die")
    assert house.finished(dead).error_code == "engine_crashed"
    assert house.runtime.jobs.queue.get(survivor).status == "processing"
    lanes = house.runtime.engine.pool.lanes
    assert house.draw().status == "completed"
    assert sorted(lane.supervisor.restarts for lane in lanes) == [0, 1]
    if lanes[1].supervisor.restarts:
        assert EngineChanged(engine="cpu:1") in house.mailbox.drain()
    house.runtime.jobs.queue.cancel(survivor)
    assert house.finished(survivor).status == "cancelled"


def test_a_model_that_ends_two_engines_is_struck_for_all(make_house: Callable[..., House]) -> None:
    house = two(make_house)
    bad = spec_named("die.gguf")
    for device in ("cpu:0", "cpu:1"):
        # Asked for by somebody it is tried on each; counted all the same.
        call = ModelCall("load", bad, is_choice=False)
        lane_named(house, device).calls.put(call)
        with pytest.raises(EngineDied, match="ended"):
            call.answer.result(PATIENCE_SECONDS)
    job = house.finished(house.submit(spec=bad))
    assert (job.status, job.error_code) == ("failed", LoadFailed.code)
    assert "not loaded again by itself" in str(job.error)
    assert house.draw().status == "completed"


def test_an_engine_that_does_not_come_holds_nothing_up(make_house: Callable[..., House]) -> None:
    house = two(make_house)
    lane = lane_named(house, "cpu:1")
    wait_until(lambda: lane.supervisor.is_alive)

    def refuse(*_: object) -> Any:
        raise EngineUnavailable("it does not start")

    lane.supervisor.ensure = refuse
    lane.supervisor.client.kill()
    jobs = [house.draw() for _ in range(4)]
    assert {job.status for job in jobs} == {"completed"}
    assert engines(jobs) == {"cpu:0"}
    wait_until(lambda: lane.trouble == "it does not start")
    # Nor does it hold up who frees memory, or loads everywhere.
    house.runtime.models.slot.unload_keeping_selection()
    spec = house.runtime.models.slot.selected
    assert spec is not None
    everywhere = house.runtime.engine.everywhere
    (told,) = everywhere.wait_elsewhere(everywhere.begin_elsewhere(spec), PATIENCE_SECONDS)
    assert told == "cpu:1 has not loaded it: it does not start"
    assert house.runtime.models.slot.last_error is None, "another engine's trouble is not the selected model's"


def test_a_gpu_that_has_vanished_is_an_engine_that_says_so(make_house: Callable[..., House]) -> None:
    house = make_house("engines.devices=cpu,cuda:1").start()
    lane = lane_named(house, "cuda:1")
    wait_until(lambda: lane.trouble is not None)
    assert "cuda:1: there is no such device any more" in lane.trouble
    assert house.draw().engine == "cpu:0"
    job, _ = house.runtime.jobs.queue.submit(
        "txt2img", {"prompt": "x", "width": 8, "height": 8, "steps": 1, "seed": 1}, load_spec=MODELS[0], device="cuda:1"
    )
    assert house.draw().engine == "cpu:0"
    assert house.runtime.jobs.queue.get(job.id).status == "pending"


def test_stop_puts_the_jobs_of_all_engines_back(make_house: Callable[..., House], no_patience_at_stop: None) -> None:
    house = two(make_house)
    ids = [house.running(), house.running()]
    house.stop()
    again = make_house("engines.devices=cpu,cpu")
    jobs = [again.runtime.jobs.queue.get(job_id) for job_id in ids]
    assert [(job.status, job.engine, job.attempts) for job in jobs] == [("pending", None, 0)] * 2


def test_jobs_of_a_killed_server_are_recovered_all(make_house: Callable[..., House]) -> None:
    house = make_house("engines.devices=cpu,cpu")
    for _ in range(3):
        house.submit(spec=MODELS[0], steps=1)
    store = house.runtime.jobs.queue._store
    for engine in ("cpu:0", "cpu:1", "cpu:2"):
        assert store.claim_next({"txt2img"}, ClaimTerms(engine=engine)) is not None
    ids = [job.id for job in store.list_interrupted()]
    assert len(ids) == 3
    house.start()
    jobs = [house.finished(job_id) for job_id in ids]
    assert [(job.status, job.error) for job in jobs] == [("completed", None)] * 3


@pytest.mark.slow
def test_engines_that_end_at_any_moment_lose_no_job(make_house: Callable[..., House]) -> None:
    house = make_house("engines.devices=cpu,cpu,cpu", "limits.pending_jobs=2000", "engine.backoff_max_seconds=0.02")
    house.start()
    chance = random.Random(3)
    kills = 0
    ids: list[str] = []
    while kills < 100:
        ids += [house.submit("fake:step=0.002", spec=chance.choice(MODELS), steps=3) for _ in range(3)]
        lane = chance.choice(house.runtime.engine.pool.lanes)
        client = lane.supervisor.client
        if client is not None and client.alive:
            client.kill()
            kills += 1
            # A model that happened to be loaded at two such moments would be out, and all of its jobs would fail.
            lane.residency._strikes.forgive_all()
    jobs = [house.finished(job_id) for job_id in ids]
    assert {job.status for job in jobs} <= {"completed", "failed"}
    assert {job.error_code for job in jobs if job.status == "failed"} <= {"engine_crashed", "load_failed"}
    assert sum(job.status == "completed" for job in jobs) > len(jobs) // 2
    assert house.runtime.jobs.active.all() == []
    assert house.draw().status == "completed"


# --- where the selected model is --------------------------------------------------------------------------------------


def test_the_selected_model_returns_home_and_others_keep_what_they_hold(make_house: Callable[..., House]) -> None:
    house = two(make_house)
    selected = house.runtime.models.slot.selected
    gate = Gate()
    house.at_step = lambda command, step: gate() if command.params.prompt == "held" else None  # type: ignore[union-attr]
    held = house.submit("held")
    gate.wait()
    away = house.draw(spec=MODELS[1])
    assert away.engine == "cpu:1"
    gate.open()
    assert house.finished(held).engine == "cpu:0"
    assert lane_named(house, "cpu:1").holding.resident == MODELS[1]
    assert house.runtime.models.slot.resident == selected
    events = house.mailbox.drain()
    assert not any(isinstance(event, ModelLoaded) for event in events), "what others hold is nobody's selected model"
    assert EngineChanged(engine="cpu:1") in events


def test_what_fails_on_another_engine_says_nothing_of_the_selected_model(make_house: Callable[..., House]) -> None:
    house = two(make_house)
    slot, queue = house.runtime.models.slot, house.runtime.jobs.queue
    asked = {"prompt": "x", "width": 8, "height": 8, "steps": 1, "seed": 1}
    job, _ = queue.submit("txt2img", asked, load_spec=spec_named("refuse.gguf"), device="cpu:1")
    assert house.finished(job.id).error_code == LoadFailed.code
    assert (slot.last_error, slot.selected is not None) == (None, True)


def test_unload_frees_the_models_of_all_engines(make_house: Callable[..., House]) -> None:
    house = two(make_house)
    for device in ("cpu:0", "cpu:1"):
        job, _ = house.runtime.jobs.queue.submit(
            "txt2img",
            {"prompt": "x", "width": 8, "height": 8, "steps": 1, "seed": 1},
            load_spec=MODELS[0],
            device=device,
        )
        house.finished(job.id)
    house.runtime.models.slot.unload()
    assert [lane.holding.resident for lane in house.runtime.engine.pool.lanes] == [None, None]


def test_all_engines_load_what_is_wanted_everywhere(make_house: Callable[..., House]) -> None:
    house = two(make_house)
    spec = house.runtime.models.slot.selected
    assert spec is not None
    everywhere = house.runtime.engine.everywhere
    assert everywhere.wait_elsewhere(everywhere.begin_elsewhere(spec), PATIENCE_SECONDS) == []
    assert [lane.holding.resident for lane in house.runtime.engine.pool.lanes] == [spec, spec]


def test_a_server_without_engines_keeps_the_queue(make_house: Callable[..., House]) -> None:
    house = make_house("engines.devices=none")
    house.runtime.start()
    job_id = house.submit(spec=MODELS[0])
    with pytest.raises(EngineUnavailable, match="no engine of its own"):
        house.runtime.models.slot.select(MODELS[0]).result(PATIENCE_SECONDS)
    assert house.runtime.jobs.queue.get(job_id).status == "pending"
    assert house.runtime.engine.home.supervisor.state == "none"
    assert house.runtime.jobs.queue.cancel(job_id) == "cancelled"


# --- several GPUs, found at the start ---------------------------------------------------------------------------------


class TwoGpus(FakeRunner):
    """An engine of a machine with two GPUs."""

    def devices(self) -> tuple[Device, ...]:
        return tuple(
            Device(name=f"CUDA{number}", description="a card", backend="CUDA", is_gpu=True) for number in range(2)
        )

    def ready(self) -> Ready:
        return super().ready().model_copy(update={"backend": "CUDA", "backends": ("CUDA", "CPU")})


def test_a_machine_with_two_gpus_gets_an_engine_for_each(make_house: Callable[..., House]) -> None:
    house = make_house(make_runner=TwoGpus).start()
    pool = house.runtime.engine.pool
    wait_until(lambda: len(pool.lanes) == 2 and all(lane.supervisor.is_alive for lane in pool.lanes))
    assert pool.names() == ("cuda:0", "cuda:1")
    assert house.runtime.engine.home.residency.loads == 1, "nothing was loaded into the engine that saw both"
    first, second = house.running(), house.running()
    assert engines([house.runtime.jobs.queue.get(job_id) for job_id in (first, second)]) == {"cuda:0", "cuda:1"}
    for job_id in (first, second):
        house.runtime.jobs.queue.cancel(job_id)
        house.finished(job_id)


@pytest.mark.parametrize(("device", "name", "restarts"), [("1", "cuda:1", 1), ("cuda:0", "cuda:0", 1)])
def test_one_of_two_gpus_is_the_one_engine_when_asked_for(
    make_house: Callable[..., House], device: str, name: str, restarts: int
) -> None:
    house = make_house(f"engine.device={device}", make_runner=TwoGpus).start()
    assert house.draw().engine == name
    assert house.runtime.engine.pool.names() == (name,)
    home = house.runtime.engine.home
    assert (home.supervisor.restarts, home.residency.loads) == (restarts, 1), "it has been chosen before any load"
    shown = house.runtime.status.engines.describe()["engines"][0]
    assert [(one["name"], one["is_used"]) for one in shown["devices"]] == [("CUDA0", True), ("CUDA1", False)]


@pytest.mark.parametrize("device", ["cuda:1", "0", "gpu:3", "cpu:1"])
def test_a_device_that_is_not_there_is_refused_and_never_replaced(
    make_house: Callable[..., House], device: str
) -> None:
    house = make_house(f"engine.device={device}")
    house.runtime.start()
    home, status = house.runtime.engine.home, house.runtime.status
    wait_until(lambda: home.trouble is not None and status.health()["last_error"] is not None)
    told = f"engine.device: {device} is not here; there are: cpu (the library was built for CPU)"
    assert status.health()["last_error"] == told
    assert status.engines.describe()["engines"][0]["why"] == told
    assert house.runtime.upkeep.doctor.examine()[0].text == told
    job_id = house.submit()
    assert house.runtime.jobs.queue.get(job_id).status == "pending"


def test_an_engine_that_is_to_use_the_cpu_does(make_house: Callable[..., House]) -> None:
    house = make_house("engine.device=cpu").start()
    assert (house.draw().engine, house.runtime.engine.supervisor.restarts) == ("cpu:0", 0)
    other = make_house("engine.device=cpu", folder="other", make_runner=TwoGpus)
    other.runtime.start()
    wait_until(lambda: other.runtime.engine.home.trouble is not None)
    assert "cpu:0: the engine would compute on cuda:0" in str(other.runtime.engine.home.trouble)


def test_the_engine_that_was_found_is_started_again_with_its_variables(tmp_path: Path) -> None:
    variables = EnginesConfig(environment={"cpu": {"SDCPP_REST_TEST": "1"}})
    house = House(config_below(tmp_path).model_copy(update={"engines": variables}), "inline")
    try:
        supervisor = house.start().runtime.engine.supervisor
        assert (supervisor.name, supervisor.restarts) == ("cpu:0", 1)
        assert house.draw().engine == "cpu:0"
    finally:
        house.stop()


# --- models that are kept at hand -------------------------------------------------------------------------------------


def test_one_model_is_kept_unless_told_otherwise(house: House) -> None:
    counts: list[int] = []
    house.at_step = lambda command, step: counts.append(len(house.runtime.engine.home.holding.held))
    for number in (0, 1, 0):
        assert house.draw(spec=MODELS[number]).status == "completed"
    assert set(counts) == {1}


def test_swapping_between_kept_models_loads_nothing(make_house: Callable[..., House]) -> None:
    house = make_house("engine.keep_models=3").start()
    home = house.runtime.engine.home
    for number in (0, 1):
        house.draw(spec=MODELS[number])
    before = home.residency.loads
    for number in (0, 1, 0, 1):
        assert house.draw(spec=MODELS[number]).status == "completed"
    assert home.residency.loads == before
    assert len(home.holding.held) == 3, "the selected one as well"


def test_the_least_recently_used_model_leaves_first(make_house: Callable[..., House]) -> None:
    house = make_house("engine.keep_models=2").start()
    house.runtime.models.slot.unload()
    holding = house.runtime.engine.home.holding
    seen: list[list[str]] = []
    house.at_step = lambda command, step: seen.append([spec.model.name for spec in holding.specs])
    house.runtime.jobs.queue.pause()
    jobs = [house.submit(spec=MODELS[number], steps=1) for number in (0, 1, 0, 2)]
    house.runtime.jobs.queue.resume()
    assert {house.finished(job_id).status for job_id in jobs} == {"completed"}
    zero, one, two = ("model0.gguf", "model1.gguf", "model2.gguf")
    assert seen == [[zero], [zero, one], [one, zero], [zero, two]]


def test_kept_models_leave_before_a_load_fails(make_house: Callable[..., House]) -> None:
    refused: list[str] = []
    runners: list[FakeRunner] = []

    def make_runner(**more: Any) -> FakeRunner:
        runner = FakeRunner(**more)
        runners.append(runner)
        return runner

    house = make_house("engine.keep_models=4", make_runner=make_runner).start()
    house.draw(spec=MODELS[0])

    def tight(spec: Any) -> None:
        if spec.model.name == "model1.gguf" and runners[-1]._loaded:
            refused.append(spec.model.name)
            raise RunFailed("no memory", code="out_of_memory")

    house.at_load = tight
    assert house.draw(spec=MODELS[1]).status == "completed"
    assert refused == ["model1.gguf"]


def test_kept_models_leave_before_a_run_fails(make_house: Callable[..., House]) -> None:
    house = make_house("engine.keep_models=4").start()
    house.draw(spec=MODELS[0])
    house.mailbox.drain()
    job = house.draw("fake:hungry", spec=MODELS[1])
    assert (job.status, job.error_code) == ("failed", "out_of_memory"), "it found none alone either"
    told = [shown(event) for event in of_job(house.mailbox.drain(), job.id)]
    assert (told.count("processing"), told.count("pending")) == (2, 1), "it was tried once more, alone"
    assert house.draw(spec=MODELS[1]).status == "completed"


def test_an_engine_that_dies_for_want_of_memory_is_tried_without_what_was_kept(
    make_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend that aborts where there is no memory takes the kept models along; alone, the model fits."""
    runners: list[FakeRunner] = []

    def make_runner(**more: Any) -> FakeRunner:
        runner = FakeRunner(**more)
        runners.append(runner)
        return runner

    monkeypatch.setattr(_EngineThread, "refused_memory", lambda engine: "Not enough memory.")
    house = make_house("engine.keep_models=4", make_runner=make_runner).start()
    house.draw(spec=MODELS[0])

    def die(what: Any, step: int = 0) -> None:
        if len(runners[-1]._loaded) > 1 and (step or getattr(what, "model", None) == MODELS[1].model):
            raise SimulatedDeath

    house.at_load = die
    assert house.draw(spec=MODELS[1]).status == "completed"
    assert house.runtime.engine.supervisor.restarts == 1
    house.at_load = lambda spec: None
    house.at_step = die
    assert house.draw(spec=MODELS[2]).status == "completed"
    assert house.runtime.engine.supervisor.restarts == 2
    assert not house.runtime.engine.home.residency._strikes.is_out(MODELS[1].key)


def test_unload_takes_one_or_all(make_house: Callable[..., House]) -> None:
    house = make_house("engine.keep_models=4").start()
    for number in (0, 1):
        house.draw(spec=MODELS[number])
    slot, holding = house.runtime.models.slot, house.runtime.engine.home.holding
    slot.unload_kept([MODELS[0].key])
    assert MODELS[0].key not in holding.held
    assert MODELS[1].key in holding.held
    slot.unload()
    assert holding.held == {}


def test_a_forced_unload_waits_for_nobody(make_house: Callable[..., House]) -> None:
    house = two(make_house)
    house.runtime.jobs.queue.pause()
    selected = house.runtime.models.slot.selected
    house.submit()
    with pytest.raises(Conflict):
        house.runtime.models.slot.unload()
    house.runtime.models.slot.unload(force=True)
    assert house.runtime.models.slot.selected is None
    house.runtime.jobs.queue.resume()
    house.until(JobStatusChanged, status="completed")
    assert selected is not None


def test_idle_engines_are_put_to_rest_with_the_home_one(make_house: Callable[..., House]) -> None:
    house = two(make_house)
    job, _ = house.runtime.jobs.queue.submit(
        "txt2img", {"prompt": "x", "width": 8, "height": 8, "steps": 1, "seed": 1}, load_spec=MODELS[0], device="cpu:1"
    )
    house.finished(job.id)
    slot = house.runtime.models.slot
    wait_until(lambda: slot.is_holding and lane_named(house, "cpu:1").is_waiting)
    slot.unload_keeping_selection()
    assert not slot.is_holding
    assert slot.selected is not None
    assert house.draw().status == "completed"
