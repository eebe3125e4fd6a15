"""Loads into the engine what a job or a call needs: models, upscalers; and decides which of them are not to be tried
again.

Used by the dispatcher's thread alone. Knows no queue; tells everybody through the bus and the slots what has become of
a load.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from sdcpp_rest.core.events import (
    EngineRestarted,
    ModelLoaded,
    ModelLoadFailed,
    ModelLoading,
    ModelUnloaded,
    UpscalerLoaded,
    UpscalerUnloaded,
)
from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import LoraUse
from sdcpp_rest.engine.client import EngineClient
from sdcpp_rest.engine.protocol import Loaded, UpscalerReady, gpu_backend
from sdcpp_rest.engine.supervisor import EngineSupervisor
from sdcpp_rest.errors import EngineDied, EngineOutOfMemory, LoadFailed, OutOfMemory, SdcppRestError
from sdcpp_rest.services.dispatch.engine_calls import EngineCall, ModelCall, RestartCall, UpscalerCall
from sdcpp_rest.services.dispatch.model_slot import ModelSlot
from sdcpp_rest.services.dispatch.upscaler_slot import UpscalerSlot, check_upscaler
from sdcpp_rest.services.jobs.event_bus import EventBus
from sdcpp_rest.services.models.file_stamps import Stamps, are_replaced, spec_paths, stamps_of
from sdcpp_rest.services.models.load_checks import check_computable

log = logging.getLogger(__name__)

# A load that ends the engine counts against its spec: 1 for SIGKILL (somebody killed it, or memory ran out), 2 for a
# crash. At this sum the spec is not loaded again by itself; a load that works forgives everything.
_DEADLY = 4
# What an engine needs for its files that are being encoded, before it is killed.
_STOP_SECONDS = 10.0


class Residency:
    """Loads and unloads models and upscalers, so that the engine holds what a job needs.

    Args:
        check_spec: refuses files that must not reach the library (they may have been replaced since they were chosen).
        redact_paths: takes out of messages what users must not know.
    """

    def __init__(
        self,
        supervisor: EngineSupervisor,
        models: ModelSlot,
        upscalers: UpscalerSlot,
        bus: EventBus,
        *,
        check_spec: Callable[[LoadSpec], object],
        redact_paths: Callable[[str], str],
    ) -> None:
        self._supervisor = supervisor
        self._models = models
        self._upscalers = upscalers
        self._bus = bus
        self._check_spec = check_spec
        self._redact_paths = redact_paths
        self._loaded_into: EngineClient | None = None
        self._strikes: dict[str, int] = {}
        # Selected models that failed by themselves, or rest: loaded again when a job needs them or somebody asks.
        self._not_restored: set[str] = set()
        # The files as they were when they were loaded: another file under the same name is another model.
        self._stamps: Stamps = {}
        self._upscaler_stamps: Stamps = {}
        # What was merged into the resident model's weights, which nothing takes out again without rounding.
        self._merged: tuple[object, ...] = ()
        self.is_stopping = False

    def engine(self) -> EngineClient:
        """A living engine. What its predecessor held is forgotten here, on the thread that wrote it down: the reader
        thread's "it died" may come before this thread has noted "it is loaded".

        Raises EngineUnavailable.
        """
        client = self._supervisor.ensure()
        if client is not self._loaded_into:
            self._models.resident = self._models.loaded = None
            self._upscalers.resident = self._upscalers.ready = None
        return client

    def execute(self, call: EngineCall) -> None:
        """Do what ``call`` asks for, and tell who waits for it. Never raises."""
        if isinstance(call, RestartCall):
            self._answer_restart(call)
        elif isinstance(call, ModelCall):
            self._answer_model(call)
        else:
            self._answer_upscaler(call)

    def reconcile(self) -> bool:
        """Bring the selected model back, or take one out that nobody has selected; false when all is as it should be.

        Raises EngineUnavailable.
        """
        missing = self._models.missing()
        if missing is not None and missing.key not in self._not_restored:
            self._restore(missing)
            return True
        if self._models.selected is None and self._models.resident is not None:
            # The last job bound to a model that somebody has unloaded by force is done.
            self.unload()
            return True
        return False

    def is_resident(
        self, spec: LoadSpec | None, upscaler: UpscalerSpec | None = None, loras: Sequence[LoraUse] = ()
    ) -> bool:
        """Whether a job bound to these, with ``loras``, can run at once; ``None`` is not needed."""
        resident = self._models.resident
        if spec is not None:
            if resident is None or not resident.serves(spec) or are_replaced(self._stamps):
                return False
            if self._merged and self._merged != _merging(spec, loras):
                return False
        return upscaler is None or (self._upscalers.resident == upscaler and not are_replaced(self._upscaler_stamps))

    def ensure_resident(
        self, spec: LoadSpec | None, upscaler: UpscalerSpec | None, loras: Sequence[LoraUse] = ()
    ) -> None:
        """Make resident what a job is bound to. Raises LoadFailed or EngineDied."""
        if spec is not None:
            if self._merged and not self.is_resident(spec, loras=loras):
                # The same spec, with the LoRAs of another job in its weights.
                self.unload()
            self.load(spec)
        if upscaler is not None:
            self.load_upscaler(upscaler)

    # --- the engine itself ------------------------------------------------------------------------------------------

    def _answer_restart(self, call: RestartCall) -> None:
        """Replace the engine. What it had failed to load is tried again: somebody has asked, just now."""
        try:
            previous, self._models.resident, self._models.loaded = self._models.resident, None, None
            if previous is not None:
                self._bus.publish(ModelUnloaded(model_name=previous.model.name))
            self._forget_upscaler()
            self._strikes.clear()
            self._not_restored.clear()
            self._merged = ()
            client = self._supervisor.replace(_STOP_SECONDS)
            self._bus.publish(EngineRestarted(pid=client.pid, restarts=self._supervisor.restarts))
            call.answer.set_result(None)
        except SdcppRestError as error:
            call.answer.set_exception(error)
        except Exception as error:
            log.exception("a restart failed")
            call.answer.set_exception(error)

    # --- the model --------------------------------------------------------------------------------------------------

    def load(self, spec: LoadSpec, *, exactly: bool = False) -> Loaded:
        """Make ``spec`` resident, or leave one that serves for it unless it is wanted ``exactly``.

        Raises LoadFailed, OutOfMemory or EngineDied; all are in ``last_error`` then.
        """
        client, resident = self.engine(), self._models.resident
        is_here = resident == spec or (not exactly and resident is not None and resident.serves(spec))
        if self._models.loaded is not None and is_here and not self._merged and not are_replaced(self._stamps):
            return self._models.loaded
        if self._strikes.get(spec.key, 0) >= _DEADLY:
            raise LoadFailed(f"{spec.model.name} is not loaded again by itself: it ended the engine process repeatedly")
        try:
            self._check_spec(spec)
            check_computable(spec, gpu_backend(self._supervisor.ready))
        except SdcppRestError as error:
            self._models.last_error = self._redact_paths(f"Failed to load model: {spec.model.name}: {error.message}")
            raise LoadFailed(self._models.last_error) from error
        stamps = stamps_of(spec_paths(spec))
        previous, self._models.resident, self._models.loaded = resident, None, None
        self._models.loading, self._models.loading_progress = spec, 0.0
        self._supervisor.state = "loading"
        if previous is not None:
            self._bus.publish(ModelUnloaded(model_name=previous.model.name))
        self._bus.publish(ModelLoading(model_name=spec.model.name, progress=0.0))
        try:
            loaded = client.load(spec, lambda part: self._tell_loading(spec.model.name, part))
        except (LoadFailed, OutOfMemory, EngineDied) as error:
            message = self._redact_paths(f"Failed to load model: {spec.model.name}: {error.message}")
            self._count_death(spec.key, error)
            self._models.last_error = message
            self._bus.publish(ModelLoadFailed(model_name=spec.model.name, error=message))
            raise _failure_of_load(error)(message, **error.detail) from error
        finally:
            self._models.loading = self._models.loading_progress = None
            self._supervisor.state = "idle" if client.alive else "dead"
        self._supervisor.reset_backoff()
        self._loaded_into = client
        self._not_restored.discard(spec.key)
        self._strikes.pop(spec.key, None)
        self._models.resident, self._models.loaded, self._models.last_error = spec, loaded, None
        self._stamps, self._merged = stamps, ()
        # Before the event: whoever hears of the load must find nothing of it undone.
        self._models.note_loaded(spec, loaded)
        self._bus.publish(
            ModelLoaded(
                model_name=spec.model.name,
                model_type=spec.kind,
                model_architecture=loaded.architecture,
                load_seconds=loaded.seconds,
            )
        )
        return loaded

    def _tell_loading(self, name: str, progress: float | None) -> None:
        self._models.loading_progress = progress
        self._bus.publish(ModelLoading(model_name=name, progress=progress))

    def unload(self) -> None:
        """Take the model out. Raises EngineDied."""
        previous = self._models.resident
        if previous is None:
            return
        client = self._supervisor.client
        self._models.resident = self._models.loaded = None
        self._merged = ()
        if client is not None and client.alive:
            client.unload()
        self._bus.publish(ModelUnloaded(model_name=previous.model.name))

    def before_run(self, spec: LoadSpec | None, loras: Sequence[LoraUse]) -> None:
        """Remember what the run will merge into the weights; also a run that fails or is cancelled may have done so."""
        if spec is not None:
            self._merged = _merging(spec, loras) or self._merged

    def after_run(self, spec: LoadSpec | None) -> None:
        """Take out a model whose parameters are freed by its first run: the next job loads it anew."""
        if spec is not None and spec.options.free_params_immediately and self._models.resident is not None:
            self._not_restored.add(self._models.resident.key)
            if self._models.selected is not None:
                self._not_restored.add(self._models.selected.key)
            self.unload()

    def drop_merged_loras(self) -> None:
        """A LoRA that is merged into the weights and holds no numbers has spoilt them for good: they are loaded anew.
        Raises EngineDied."""
        resident = self._models.resident
        if resident is not None and resident.options.lora_apply_mode == "immediately":
            self.unload()

    def _answer_model(self, call: ModelCall) -> None:
        try:
            if call.spec is None:
                if call.verb == "rest" and self._models.selected is not None:
                    self._not_restored.add(self._models.selected.key)
                self.unload()
                call.answer.set_result(None)
            else:
                self._strikes.pop(call.spec.key, None)
                self._not_restored.discard(call.spec.key)
                call.answer.set_result(self.load(call.spec, exactly=True))
        except SdcppRestError as error:
            # An engine that is not to be had, or that ends because the server stops, says nothing about the model; one
            # that died under it not much, until it does so again: it is restored like any other selected model.
            if isinstance(error, (LoadFailed, OutOfMemory)) and call.spec is not None and not self.is_stopping:
                self._models.deselect(call.spec, forget=call.is_choice)
            call.answer.set_exception(error)
        except Exception as error:
            log.exception("a model call failed")
            call.answer.set_exception(error)

    def _restore(self, spec: LoadSpec) -> None:
        """Bring the selected model back after another model's job, or after the engine was replaced."""
        try:
            self.load(spec)
        except (LoadFailed, OutOfMemory):
            self._not_restored.add(spec.key)
            self._models.deselect(spec, forget=False)
        except EngineDied:
            log.info("the selected model is loaded again by the next engine")

    def _count_death(self, key: str, error: SdcppRestError) -> None:
        if isinstance(error, EngineDied) and not self.is_stopping:
            points = 1 if error.detail.get("signal") == "SIGKILL" else 2
            self._strikes[key] = self._strikes.get(key, 0) + points

    # --- the upscaler -----------------------------------------------------------------------------------------------

    def load_upscaler(self, spec: UpscalerSpec) -> UpscalerReady:
        """Make ``spec`` the resident upscaler. Raises LoadFailed or EngineDied."""
        client = self.engine()
        slot = self._upscalers
        if slot.resident == spec and slot.ready is not None and not are_replaced(self._upscaler_stamps):
            return slot.ready
        key, name = spec.model_dump_json(), spec.model.name
        if self._strikes.get(key, 0) >= _DEADLY:
            raise LoadFailed(f"{name} is not loaded again by itself: it ended the engine process repeatedly")
        try:
            # The file may have been replaced since it was chosen.
            check_upscaler(spec.model)
        except SdcppRestError as error:
            raise LoadFailed(self._redact_paths(f"Failed to load upscaler: {name}: {error.message}")) from error
        stamps = stamps_of([spec.model.path])
        self._forget_upscaler()
        try:
            ready = client.load_upscaler(spec)
        except (LoadFailed, OutOfMemory, EngineDied) as error:
            self._count_death(key, error)
            message = self._redact_paths(f"Failed to load upscaler: {name}: {error.message}")
            raise _failure_of_load(error)(message, **error.detail) from error
        self._supervisor.reset_backoff()
        self._strikes.pop(key, None)
        self._loaded_into = client
        slot.resident, slot.ready = spec, ready
        self._upscaler_stamps = stamps
        self._bus.publish(UpscalerLoaded(model_name=name, upscale_factor=ready.factor))
        return ready

    def unload_upscaler(self) -> None:
        """Take the upscaler out; a selected one is loaded again when a job needs it. Raises EngineDied."""
        client = self._supervisor.client
        if self._forget_upscaler() and client is not None and client.alive:
            client.unload_upscaler()

    def _forget_upscaler(self) -> bool:
        previous = self._upscalers.resident
        self._upscalers.resident = self._upscalers.ready = None
        if previous is not None:
            self._bus.publish(UpscalerUnloaded(model_name=previous.model.name))
        return previous is not None

    def _answer_upscaler(self, call: UpscalerCall) -> None:
        try:
            if call.spec is None:
                self.unload_upscaler()
                call.answer.set_result(None)
            else:
                self._strikes.pop(call.spec.model_dump_json(), None)
                call.answer.set_result(self.load_upscaler(call.spec))
        except SdcppRestError as error:
            is_its_fault = isinstance(error, (LoadFailed, OutOfMemory, EngineDied))
            if is_its_fault and call.spec is not None and not self.is_stopping:
                self._upscalers.deselect(call.spec)
            call.answer.set_exception(error)
        except Exception as error:
            log.exception("an upscaler call failed")
            call.answer.set_exception(error)


def _failure_of_load(error: SdcppRestError) -> type[SdcppRestError]:
    """The kind of error that whoever wanted the load gets. An engine that dies of a load it has no memory for does so
    again: that is no misfortune to try once more after."""
    return OutOfMemory if isinstance(error, EngineOutOfMemory) else type(error)


def _merging(spec: LoadSpec, loras: Sequence[LoraUse]) -> tuple[object, ...]:
    """What a run with ``loras`` merges into the weights of ``spec``: nothing, where they are applied beside them."""
    if spec.options.lora_apply_mode != "immediately":
        return ()
    stamps = stamps_of(lora.path for lora in loras)
    return tuple((lora, stamps.get(lora.path)) for lora in loras)
