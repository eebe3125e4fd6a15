"""Selected and resident: loading, failing to load, swapping for jobs, and what is remembered."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from sdcpp_rest.core.events import ModelLoaded, ModelLoadFailed, ModelLoading, ModelUnloaded
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.engine.fake_runner import FakeRunner, SimulatedDeath
from sdcpp_rest.engine.protocol import Device, Ready
from sdcpp_rest.errors import (
    Conflict,
    EngineDied,
    EngineUnavailable,
    InvalidRequest,
    LoadFailed,
    ModelNotFound,
    NoModelLoaded,
    OutOfMemory,
)
from sdcpp_rest.services.models.load_specs import LoadRequest, build_spec
from tests.services.conftest import PATIENCE_SECONDS, Gate, House, copy_demo, spec_named

DEMO = "demo_dit_q8_0.gguf"


def loaded_names(house: House) -> list[str]:
    return [event.model_name for event in house.mailbox.drain() if isinstance(event, ModelLoaded)]


# --- loading and unloading --------------------------------------------------------------------------------------------


def test_default_model_is_selected_at_the_first_start(house: House) -> None:
    models = house.runtime.models.slot
    assert models.selected == models.resident
    assert models.selected is not None
    assert models.selected.model.name == DEMO
    assert house.runtime.status.health()["selected_model_name"] == DEMO


def test_load_replaces_the_model_and_tells(any_house: House) -> None:
    copy_demo(any_house.config, "mine.gguf")
    outcome = any_house.runtime.models.slot.load(LoadRequest(model_name="mine.gguf"))
    assert outcome.spec.model.name == "mine.gguf"
    assert outcome.spec == any_house.runtime.models.slot.resident == any_house.runtime.models.slot.selected
    events = any_house.mailbox.drain()
    kinds = [type(event) for event in events]
    assert kinds[0] is ModelUnloaded
    assert kinds[-1] is ModelLoaded
    assert set(kinds[1:-1]) == {ModelLoading}
    assert any_house.runtime.status.health()["model_loading"] is False


def test_load_of_what_is_loaded_already_does_nothing(house: House) -> None:
    outcome = house.runtime.models.slot.load(LoadRequest(model_name=DEMO))
    assert outcome.spec == house.runtime.models.slot.resident
    assert house.mailbox.drain() == []


def test_loads_come_before_pending_jobs(house: House) -> None:
    gate = Gate()
    house.at_step = gate
    running, waiting = house.submit(), house.submit()
    gate.wait()
    answer = house.runtime.models.slot.select(spec_named("other.gguf"))
    gate.open()
    assert answer.result(PATIENCE_SECONDS) is not None
    assert house.finished(running).status == house.finished(waiting).status == "completed"
    house.until(ModelLoaded, model_name="other.gguf")
    house.until(ModelLoaded, model_name=DEMO)
    house.until(ModelLoaded, model_name="other.gguf")


def test_new_jobs_bind_to_a_model_that_is_still_loading(house: House) -> None:
    gate = Gate()
    house.at_load = gate
    other = spec_named("other.gguf")
    house.runtime.models.slot.select(other)
    gate.wait()
    assert house.runtime.status.health()["loading_model_name"] == "other.gguf"
    job_id = house.submit()
    gate.open()
    job = house.finished(job_id)
    assert (job.status, job.load_spec) == ("completed", other)


def test_unload_empties_the_engine_and_selects_nothing(any_house: House) -> None:
    models = any_house.runtime.models.slot
    models.unload()
    models.unload()
    assert models.selected is None
    assert models.resident is None
    assert any_house.runtime.status.health()["model_loaded"] is False
    assert [type(event) for event in any_house.mailbox.drain()] == [ModelUnloaded]
    with pytest.raises(NoModelLoaded, match=r"^No model loaded$"):
        any_house.submit()


def test_unload_is_refused_while_pending_jobs_need_the_model(house: House) -> None:
    gate = Gate()
    house.at_step = gate
    house.submit()
    waiting = house.submit()
    gate.wait()
    models = house.runtime.models.slot
    with pytest.raises(Conflict, match=r"1 pending job\(s\) need demo_dit_q8_0.gguf.*force=true") as caught:
        models.unload()
    assert caught.value.detail == {"bound": 1}
    assert models.selected is not None
    unloading = threading.Thread(target=lambda: models.unload(force=True))
    unloading.start()
    gate.open()
    unloading.join(PATIENCE_SECONDS)
    assert models.selected is None
    assert house.finished(waiting).status == "completed", "a bound job brings its model along"


# --- swapping for jobs ------------------------------------------------------------------------------------------------


def test_job_runs_with_the_model_it_is_bound_to_and_resident_returns(any_house: House) -> None:
    other = spec_named("other.gguf")
    job = any_house.draw(spec=other)
    assert (job.status, job.load_spec) == ("completed", other)
    assert job.timings.load_seconds > 0
    any_house.until(ModelLoaded, model_name="other.gguf")
    any_house.until(ModelLoaded, model_name=DEMO)
    assert any_house.runtime.models.slot.selected == any_house.runtime.models.slot.resident


def test_job_keeps_its_model_when_another_is_selected(house: House) -> None:
    gate = Gate()
    house.at_step = gate
    house.submit()
    bound = house.submit()
    gate.wait()
    drawn_with: list[LoadSpec | None] = []
    house.at_step = lambda command, step: drawn_with.append(house.runtime.models.slot.resident)
    house.runtime.models.slot.select(spec_named("other.gguf"))
    gate.open()
    job = house.finished(bound)
    assert job.load_spec is not None
    assert job.load_spec.model.name == DEMO
    assert drawn_with[-1] == job.load_spec


def test_jobs_of_one_model_are_not_separated_by_a_swap_back(house: House) -> None:
    other = spec_named("other.gguf")
    gate = Gate()
    house.at_step = gate
    jobs = [house.submit(spec=other) for _ in range(3)]
    gate.wait()
    gate.open()
    for job_id in jobs:
        house.finished(job_id)
    house.until(ModelLoaded, model_name=DEMO)
    assert house.runtime.jobs.queue.counts()["completed"] == 3
    assert loaded_names(house) == []


# --- loads that fail --------------------------------------------------------------------------------------------------


def test_failed_load_says_why_and_leaves_a_usable_engine(any_house: House) -> None:
    copy_demo(any_house.config, "refuse.gguf")
    runtime = any_house.runtime
    with pytest.raises(LoadFailed, match=r"Failed to load model: refuse.gguf: .*refuses"):
        runtime.models.slot.load(LoadRequest(model_name="refuse.gguf"))
    any_house.until(ModelLoadFailed, model_name="refuse.gguf")
    health = runtime.status.health()
    assert health["model_loaded"] is False
    assert "refuses this model" in health["last_error"]
    assert health["engine"]["restarts"] == 0
    with pytest.raises(NoModelLoaded, match="No model loaded"):
        any_house.submit()
    runtime.models.slot.load(LoadRequest(model_name=DEMO))
    assert runtime.status.health()["last_error"] is None
    assert any_house.draw().status == "completed"


def test_load_of_an_unknown_model_leaves_the_loaded_one(house: House) -> None:
    with pytest.raises(ModelNotFound):
        house.runtime.models.slot.load(LoadRequest(model_name="nobody.gguf"))
    assert house.runtime.models.slot.resident == house.runtime.models.slot.selected
    assert house.draw().status == "completed"


def test_model_that_kills_the_engine_is_not_loaded_again_by_itself(any_house: House) -> None:
    copy_demo(any_house.config, "die.gguf")
    runtime = any_house.runtime
    with pytest.raises(EngineDied, match=r"Failed to load model: die.gguf"):
        runtime.models.slot.load(LoadRequest(model_name="die.gguf"))
    deadly = LoadSpec.model_validate(build_spec(runtime.models.library, LoadRequest(model_name="die.gguf"))[0])
    for _ in range(2):
        job = any_house.draw(spec=deadly)
        assert (job.status, job.error_code) == ("failed", "load_failed")
        assert "not loaded again by itself" in str(job.error)
    assert runtime.engine.supervisor.restarts == 2, "one more engine may be spent on a maybe, and then none"
    with pytest.raises(EngineDied):
        runtime.models.slot.load(LoadRequest(model_name="die.gguf"))
    runtime.models.slot.load(LoadRequest(model_name=DEMO))
    assert any_house.draw().status == "completed"
    assert runtime.engine.supervisor.restarts >= 3, "asking for it explicitly was allowed"


def test_load_without_memory_is_told_as_such_and_not_tried_again(any_house: House) -> None:
    copy_demo(any_house.config, "hungry.gguf")
    with pytest.raises(OutOfMemory, match=r"^Failed to load model: hungry.gguf: asked to be hungry$"):
        any_house.runtime.models.slot.load(LoadRequest(model_name="hungry.gguf"))
    assert any_house.runtime.models.slot.selected is None
    job = any_house.draw(spec=spec_named("hungry.gguf"))
    assert (job.status, job.error_code) == ("failed", "out_of_memory")
    assert any_house.runtime.engine.supervisor.restarts == 0


@pytest.mark.slow
def test_load_that_the_engine_dies_of_for_want_of_memory_is_not_tried_again(process_house: House) -> None:
    copy_demo(process_house.config, "starve.gguf")
    with pytest.raises(OutOfMemory) as caught:
        process_house.runtime.models.slot.load(LoadRequest(model_name="starve.gguf"))
    assert caught.value.message.startswith("Failed to load model: starve.gguf: Not enough memory: asked to starve. ")
    assert "The engine process ended: signal SIGSEGV" in caught.value.message
    assert process_house.runtime.models.slot.selected is None
    job = process_house.draw(spec=spec_named("starve.gguf"))
    assert (job.status, job.error_code) == ("failed", "out_of_memory")
    assert process_house.draw(spec=spec_named("mine.gguf")).status == "completed"
    assert process_house.runtime.engine.supervisor.restarts == 2, "once for each load"


def test_job_whose_model_cannot_be_loaded_fails_and_the_next_one_runs(house: House) -> None:
    job = house.draw(spec=spec_named("refuse.gguf"))
    assert (job.status, job.error_code) == ("failed", "load_failed")
    assert "refuse.gguf" in str(job.error)
    house.until(ModelLoaded, model_name=DEMO)
    assert house.draw().status == "completed"


def test_job_whose_model_kills_the_engine_fails_and_the_next_one_runs(any_house: House) -> None:
    job = any_house.draw(spec=spec_named("die.gguf"))
    assert (job.status, job.error_code) == ("failed", "load_failed")
    assert "repeatedly" in str(job.error)
    assert any_house.draw().status == "completed"
    assert any_house.runtime.models.slot.selected is not None
    assert any_house.runtime.models.slot.selected.model.name == DEMO


@pytest.mark.slow
def test_engine_that_cannot_start_does_not_cost_the_selection(make_house: Callable[..., House]) -> None:
    house = make_house("engine.start_timeout_seconds=0.05", "engine.backoff_max_seconds=0.05")
    started = threading.Event()
    real, launches = house._runner, []

    def no_runner_at_first() -> object:
        launches.append(1)
        if len(launches) < 3:
            return _NeverReady(started)
        return real()

    house.runtime.engine.supervisor._launcher._make_runner = no_runner_at_first  # type: ignore[attr-defined]
    house.start()
    started.set()
    assert house.runtime.models.slot.selected is not None
    assert len(launches) == 3
    assert house.draw().status == "completed"


class _NeverReady:
    def __init__(self, released: threading.Event) -> None:
        self._released = released

    def ready(self) -> None:
        self._released.wait(PATIENCE_SECONDS)
        raise SimulatedDeath


def test_selected_model_is_loaded_by_its_call_and_not_twice(house: House) -> None:
    """The dispatcher may look for what is missing at the very moment when something is selected."""
    gate = Gate()
    house.at_step = gate
    house.submit()
    gate.wait()
    answer = house.runtime.models.slot.select(spec_named("other.gguf"))
    assert house.runtime.models.slot.missing() is None
    gate.open()
    answer.result(PATIENCE_SECONDS)
    assert house.runtime.models.slot.missing() is None


# --- remembering ------------------------------------------------------------------------------------------------------


def test_selection_survives_a_restart(make_house: Callable[..., House]) -> None:
    first = make_house().start()
    copy_demo(first.config, "mine.gguf")
    first.runtime.models.slot.load(LoadRequest(model_name="mine.gguf"))
    first.stop()
    second = make_house()
    second.runtime.start()
    second.until(ModelLoaded, model_name="mine.gguf")
    assert second.runtime.models.slot.selected is not None


def test_vanished_selection_falls_back_to_the_default(make_house: Callable[..., House]) -> None:
    first = make_house().start()
    path = copy_demo(first.config, "mine.gguf")
    first.runtime.models.slot.load(LoadRequest(model_name="mine.gguf"))
    first.stop()
    path.unlink()
    second = make_house()
    second.runtime.start()
    assert second.until(ModelLoaded).model_name == DEMO


def test_vanished_selection_without_a_default_is_explained(make_house: Callable[..., House]) -> None:
    first = make_house().start()
    path = copy_demo(first.config, "mine.gguf")
    first.runtime.models.slot.load(LoadRequest(model_name="mine.gguf"))
    first.stop()
    path.unlink()
    second = make_house("models.include_demo=false")
    second.runtime.models.slot.restore(None)
    assert second.runtime.models.slot.selected is None
    assert "selected last cannot be used" in str(second.runtime.models.slot.last_error)


def test_unusable_default_leaves_a_server_without_a_model(make_house: Callable[..., House]) -> None:
    house = make_house("models.default=nobody.gguf")
    house.runtime.models.slot.restore(LoadRequest(model_name=house.runtime.default_model))
    assert house.runtime.models.slot.selected is None
    assert "nobody.gguf" in str(house.runtime.models.slot.last_error)


def test_unloaded_model_stays_unloaded_after_a_restart_with_no_default(make_house: Callable[..., House]) -> None:
    first = make_house().start()
    first.runtime.models.slot.unload()
    first.stop()
    second = make_house("models.include_demo=false")
    second.runtime.models.slot.restore(None)
    assert second.runtime.models.slot.selected is None
    assert second.runtime.models.slot.last_error is None


# --- stopping ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_patience_at_stop")
def test_stop_in_the_middle_of_a_load_does_not_forget_the_selection(make_house: Callable[..., House]) -> None:
    first = make_house("engine.stop_timeout_seconds=0").start()
    copy_demo(first.config, "mine.gguf")
    gate, errors = Gate(), []
    first.at_load = gate

    def load() -> None:
        try:
            first.runtime.models.slot.load(LoadRequest(model_name="mine.gguf"))
        except EngineUnavailable as error:
            errors.append(error)

    loading = threading.Thread(target=load)
    loading.start()
    gate.wait()
    first.stop()
    loading.join(PATIENCE_SECONDS)
    gate.open()
    assert len(errors) == 1
    second = make_house()
    second.runtime.start()
    assert second.until(ModelLoaded).model_name == "mine.gguf"


def test_waiting_loads_are_released_when_the_server_stops(house: House) -> None:
    gate = Gate()
    house.at_step = gate
    house.submit()
    gate.wait()
    answer = house.runtime.models.slot.select(spec_named("other.gguf"))
    house.runtime.begin_stop()
    with pytest.raises(EngineUnavailable, match="stopping"):
        answer.result(PATIENCE_SECONDS)
    with pytest.raises(EngineUnavailable, match="stopping"):
        house.runtime.models.slot.select(spec_named("another.gguf"))
    gate.open()


# --- a GPU ------------------------------------------------------------------------------------------------------------


class CudaRunner(FakeRunner):
    """Says that it computes on a GPU."""

    def ready(self) -> Ready:
        card = Device(name="CUDA0", description="a card", backend="CUDA", is_gpu=True)
        return super().ready().model_copy(update={"backend": "CUDA", "devices": (card,)})


def test_weights_that_the_gpu_cannot_compute_with_are_refused_before_the_old_model_goes(
    make_house: Callable[..., House],
) -> None:
    house = make_house(make_runner=CudaRunner).start()
    models = house.runtime.models.slot
    resident, ternary = models.resident, {"weight_type": "tq1_0"}
    with pytest.raises(InvalidRequest, match=r"weight_type: 'tq1_0', which CUDA cannot compute with"):
        models.load(LoadRequest(model_name=DEMO, options=ternary))
    assert models.selected == models.resident == resident
    assert house.mailbox.drain() == []

    # A job may have been bound to it while the engine was started.
    spec = build_spec(house.runtime.models.library, LoadRequest(model_name=DEMO, options=ternary))[0]
    job = house.draw(spec=spec)
    assert (job.status, job.error_code) == ("failed", "load_failed")
    assert "which CUDA cannot compute with" in (job.error or "")
    assert house.draw().status == "completed"


def test_weights_that_only_a_cpu_computes_with_are_loaded_there(house: House) -> None:
    outcome = house.runtime.models.slot.load(LoadRequest(model_name=DEMO, options={"weight_type": "tq1_0"}))
    assert outcome.spec.options.weight_type == "tq1_0"
