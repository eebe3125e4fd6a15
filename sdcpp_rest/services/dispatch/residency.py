"""Loads into one engine what a job or a call needs: models, upscalers; and decides which of them are not to be tried
again.

Used by the lane's thread alone. Knows no queue; tells everybody through the bus and the slots what has become of a
load.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from sdcpp_rest.core.events import (
    EngineChanged,
    EngineRestarted,
    Event,
    ModelLoaded,
    ModelLoadFailed,
    ModelLoading,
    ModelUnloaded,
)
from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import LoraUse
from sdcpp_rest.engine.client import EngineClient
from sdcpp_rest.engine.protocol import Loaded, gpu_backend
from sdcpp_rest.engine.supervisor import EngineSupervisor
from sdcpp_rest.errors import EngineDied, EngineLost, LoadFailed, OutOfMemory, SdcppRestError
from sdcpp_rest.services.dispatch.engine_calls import EngineCall, ModelCall, RestartCall
from sdcpp_rest.services.dispatch.holding import HeldModel, Holding
from sdcpp_rest.services.dispatch.leftovers import Leftovers
from sdcpp_rest.services.dispatch.model_keeping import ModelKeeping
from sdcpp_rest.services.dispatch.model_slot import ModelSlot
from sdcpp_rest.services.dispatch.strikes import Strikes
from sdcpp_rest.services.dispatch.upscaler_residency import UpscalerResidency, failure_of_load
from sdcpp_rest.services.dispatch.upscaler_slot import UpscalerSlot
from sdcpp_rest.services.jobs.event_bus import EventBus
from sdcpp_rest.services.models.file_stamps import are_replaced, spec_paths, stamps_of
from sdcpp_rest.services.models.load_checks import check_computable

log = logging.getLogger(__name__)

# What an engine needs for its files that are being encoded, before it is killed.
_STOP_SECONDS = 10.0


class Residency:
    """Loads and unloads models and upscalers, so that the engine holds what a job needs.

    Args:
        holding: what the engine holds; written here.
        keeping: which models leave when another one comes.
        strikes: the models that have ended engines, of all engines together.
        leftovers: what cancelled runs have left on the GPU.
        is_home: whether the selected model returns to this engine, and everybody hears of its loads.
        check_spec: refuses files that must not reach the library (they may have been replaced since they were chosen).
        redact_paths: takes out of messages what users must not know.
    """

    def __init__(
        self,
        supervisor: EngineSupervisor,
        holding: Holding,
        keeping: ModelKeeping,
        strikes: Strikes,
        leftovers: Leftovers,
        models: ModelSlot,
        upscalers: UpscalerSlot,
        bus: EventBus,
        *,
        is_home: bool,
        check_spec: Callable[[LoadSpec], object],
        redact_paths: Callable[[str], str],
    ) -> None:
        self._supervisor = supervisor
        self._holding = holding
        self._keeping = keeping
        self._strikes = strikes
        self._leftovers = leftovers
        self._models = models
        self._bus = bus
        self._is_home = is_home
        self._check_spec = check_spec
        self._redact_paths = redact_paths
        self._loaded_into: EngineClient | None = None
        self.upscaler = UpscalerResidency(self, supervisor, holding, strikes, upscalers, redact_paths)
        # Selected models that failed by themselves, or rest: loaded again when a job needs them or somebody asks.
        self._not_restored: set[str] = set()
        self.is_stopping = False
        self.loads = 0
        """Models that were loaded since the server started."""
        self.loaded_at = 0.0
        """When the last load ended, on the monotonic clock."""

    def engine(self) -> EngineClient:
        """A living engine. What its predecessor held is forgotten here, on the thread that wrote it down: the reader
        thread's "it died" may come before this thread has noted "it is loaded".

        Raises EngineUnavailable.
        """
        client = self._supervisor.ensure()
        if client is not self._loaded_into:
            self._holding.clear()
        return client

    def engine_for(self, job: Job) -> EngineClient:
        """A living engine, without what cancelled runs have left there if ``job`` would not fit beside it. Raises
        EngineUnavailable."""
        self.engine()
        if in_the_way := self._leftovers.find_in_the_way(job):
            with contextlib.suppress(EngineDied):
                self.unload(in_the_way)
        return self.engine()

    def note_loaded_into(self, client: EngineClient) -> None:
        """Note that what is held is held by this engine."""
        self._loaded_into = client

    def execute(self, call: EngineCall) -> None:
        """Do what ``call`` asks for, and tell who waits for it. Never raises."""
        if isinstance(call, RestartCall):
            self._answer_restart(call)
        elif isinstance(call, ModelCall):
            self._answer_model(call)
        else:
            self.upscaler.answer(call)

    def reconcile(self) -> bool:
        """Bring the selected model back, or take out what nobody has selected; false when all is as it should be. Only
        at home: other engines keep what they hold.

        Raises EngineUnavailable.
        """
        if not self._is_home:
            return False
        missing = self._models.missing()
        if missing is not None and missing.key not in self._not_restored:
            self._restore(missing)
            return True
        if self._models.selected is None and self._holding.held:
            # The last job bound to a model that somebody has unloaded by force is done.
            self.unload()
            return True
        return False

    def serving(self, spec: LoadSpec, loras: Sequence[LoraUse] | None = None) -> HeldModel | None:
        """The model that a job bound to ``spec`` can run with at once, with ``loras`` (``None``: with none merged)."""
        for model in reversed(tuple(self._holding.held.values())):
            if not model.spec.serves(spec) or are_replaced(model.stamps):
                continue
            if not model.merged or (loras is not None and model.merged == _merging(spec, loras)):
                return model
        return None

    def is_resident(
        self, spec: LoadSpec | None, upscaler: UpscalerSpec | None = None, loras: Sequence[LoraUse] = ()
    ) -> bool:
        """Whether a job bound to these, with ``loras``, can run at once; ``None`` is not needed."""
        if spec is not None and self.serving(spec, loras) is None:
            return False
        here = self._holding
        return upscaler is None or (here.upscaler == upscaler and not are_replaced(here.upscaler_stamps))

    def ensure_resident(
        self, spec: LoadSpec | None, upscaler: UpscalerSpec | None, loras: Sequence[LoraUse] = ()
    ) -> None:
        """Make resident what a job is bound to. Raises LoadFailed or EngineDied."""
        if spec is not None:
            served = self.serving(spec, loras)
            if served is None:
                # The same spec with the LoRAs of another job in its weights is loaded anew.
                self.load(spec)
            else:
                self._switch(served)
        if upscaler is not None:
            self.upscaler.load(upscaler)

    # --- the engine itself ------------------------------------------------------------------------------------------

    def _answer_restart(self, call: RestartCall) -> None:
        """Replace the engine. What it had failed to load is tried again: somebody has asked, just now."""
        try:
            self._forget_models()
            self.upscaler.forget()
            self._strikes.forgive_all()
            self._not_restored.clear()
            client = self._supervisor.replace(_STOP_SECONDS)
            self.tell(EngineRestarted(pid=client.pid, restarts=self._supervisor.restarts))
            call.answer.set_result(None)
        except SdcppRestError as error:
            call.answer.set_exception(error)
        except Exception as error:
            log.exception("a restart failed")
            call.answer.set_exception(error)

    def tell(self, event: Event) -> None:
        """Tell everybody what the engine did. What engines hold besides the home one is nobody's selected model."""
        self._bus.publish(event if self._is_home else EngineChanged(engine=self._supervisor.name))

    # --- models -----------------------------------------------------------------------------------------------------

    def load(self, spec: LoadSpec, *, exactly: bool = False) -> Loaded:
        """Make ``spec`` the current model, or one that serves for it unless it is wanted ``exactly``.

        Raises LoadFailed, OutOfMemory or EngineDied; at home all are in ``last_error`` then.
        """
        self.engine()
        held = self.serving(spec)
        if held is not None and (held.spec == spec or not exactly):
            self._switch(held)
            return held.loaded
        if self._strikes.is_out(spec.key):
            raise LoadFailed(f"{spec.model.name} is not loaded again by itself: it ended the engine process repeatedly")
        try:
            self._check_spec(spec)
            check_computable(spec, gpu_backend(self._supervisor.ready))
        except SdcppRestError as error:
            message = self._redact_paths(f"Failed to load model: {spec.model.name}: {error.message}")
            self._note_error(message)
            raise LoadFailed(message) from error
        held_now = list(self._holding.held.values())
        leaving = set(self._keeping.choose_leaving(held_now, spec))
        replaced = {model.spec.key for model in held_now if model.spec.serves(spec) or are_replaced(model.stamps)}
        leaving |= replaced | {spec.key}
        is_beside_others = not leaving.issuperset(self._holding.held)
        try:
            return self._load(spec, leaving, is_last=not is_beside_others)
        except OutOfMemory:
            if not is_beside_others or self.is_stopping:
                raise
            # Models that are only kept at hand leave before anything fails; an engine that has died of it holds none.
            log.info("no memory to load %s beside what is kept; everything else leaves", spec.model.name)
            self.engine()
            return self._load(spec, set(self._holding.held))

    def _load(self, spec: LoadSpec, leaving: set[str], *, is_last: bool = True) -> Loaded:
        """Free the models ``leaving``, and load ``spec``. Unless this is the last try, nobody is to blame for a lack of
        memory."""
        client, name = self.engine(), spec.model.name
        stamps = stamps_of(spec_paths(spec))
        self._forget_models(leaving)
        self._holding.loading, self._holding.loading_progress = spec, 0.0
        self._supervisor.state = "loading"
        self.tell(ModelLoading(model_name=name, progress=0.0))
        try:
            loaded = client.load(spec, lambda part: self._tell_loading(name, part), leaving)
        except (LoadFailed, OutOfMemory, EngineDied) as error:
            message = self._redact_paths(f"Failed to load model: {name}: {error.message}")
            if not is_last and failure_of_load(error) is OutOfMemory:
                raise OutOfMemory(message) from error
            self.count_death(spec.key, error)
            self._note_error(message)
            self.tell(ModelLoadFailed(model_name=name, error=message))
            raise failure_of_load(error)(message, **error.detail) from error
        finally:
            self._holding.loading = self._holding.loading_progress = None
            self._supervisor.state = "idle" if client.alive else "dead"
        self._supervisor.reset_backoff()
        self.note_loaded_into(client)
        self._not_restored.discard(spec.key)
        self._strikes.forgive(spec.key)
        self._holding.put(HeldModel(spec, loaded, stamps, needed_bytes=self._keeping.held_bytes(spec, loaded)))
        self._note_error(None)
        self.loads += 1
        self.loaded_at = time.monotonic()
        # Before the event: whoever hears of the load must find nothing of it undone.
        self._models.note_loaded(spec, loaded)
        self._tell_current(spec, loaded, loaded.seconds)
        return loaded

    def _note_error(self, message: str | None) -> None:
        """What went wrong with the last load, if anything did; elsewhere than at home it is told to who wanted it."""
        if self._is_home:
            self._models.last_error = message

    def _switch(self, model: HeldModel) -> None:
        """Make a model that is kept at hand the current one: that costs nothing."""
        if self._holding.current is not model:
            self._holding.use(model.spec.key)
            self._tell_current(model.spec, model.loaded, 0.0)

    def _tell_current(self, spec: LoadSpec, loaded: Loaded, seconds: float) -> None:
        self.tell(
            ModelLoaded(
                model_name=spec.model.name,
                model_type=spec.kind,
                model_architecture=loaded.architecture,
                load_seconds=seconds,
            )
        )

    def _tell_loading(self, name: str, progress: float | None) -> None:
        self._holding.loading_progress = progress
        if self._is_home:
            self._bus.publish(ModelLoading(model_name=name, progress=progress))

    def unload(self, keys: Sequence[str] | None = None) -> None:
        """Take these models out, or all. Raises EngineDied."""
        dropped = self._forget_models(None if keys is None else set(keys), is_told=False)
        client = self._supervisor.client
        try:
            if dropped and client is not None and client.alive:
                client.unload(tuple(model.spec.key for model in dropped))
        finally:
            for model in dropped:
                self.tell(ModelUnloaded(model_name=model.spec.model.name))

    def _forget_models(self, keys: set[str] | None = None, *, is_told: bool = True) -> tuple[HeldModel, ...]:
        """Note that these models are gone, or all; those that were held."""
        gone = [key for key in self._holding.held if keys is None or key in keys]
        dropped = tuple(model for key in gone if (model := self._holding.drop(key)) is not None)
        for model in dropped if is_told else ():
            self.tell(ModelUnloaded(model_name=model.spec.model.name))
        return dropped

    def before_run(self, spec: LoadSpec | None, loras: Sequence[LoraUse]) -> str | None:
        """The key of the model that the run uses, which is the current one from now on. Remembers what the run will
        merge into its weights: also a run that fails or is cancelled may have done so."""
        if spec is None:
            return None
        model = self.serving(spec, loras)
        if model is None:
            return spec.key  # gone between the load and the run: the engine says so
        self._switch(model)
        model.merged = _merging(spec, loras) or model.merged
        return model.spec.key

    def after_run(self, spec: LoadSpec | None, *, was_cancelled: bool = False) -> None:
        """Take out a model whose parameters are freed by its first run: the next job loads it anew."""
        current = self._holding.current
        if spec is not None:
            self._leftovers.note_run(was_cancelled=was_cancelled)
        if spec is not None and spec.options.free_params_immediately and current is not None:
            self._not_restored.add(current.spec.key)
            if self._models.selected is not None:
                self._not_restored.add(self._models.selected.key)
            self.unload([current.spec.key])

    def drop_merged_loras(self) -> None:
        """A LoRA that is merged into the weights and holds no numbers has spoilt them for good: they are loaded anew.
        Raises EngineDied."""
        current = self._holding.current
        if current is not None and current.spec.options.lora_apply_mode == "immediately":
            self.unload([current.spec.key])

    def make_room(self) -> bool:
        """Take out every model but the current one, because a run found no memory; whether there was any. An engine
        that has died of that holds none any more."""
        others = [model.spec.key for model in self._holding.held.values() if model is not self._holding.current]
        if others and self._supervisor.is_alive:
            with contextlib.suppress(EngineDied):
                self.unload(others)
        return bool(others)

    def _answer_model(self, call: ModelCall) -> None:
        try:
            if call.spec is None:
                if call.verb == "rest" and self._models.selected is not None:
                    self._not_restored.add(self._models.selected.key)
                self.unload(call.keys)
                call.answer.set_result(None)
            else:
                self._strikes.forgive(call.spec.key)
                self._not_restored.discard(call.spec.key)
                call.answer.set_result(self.load(call.spec, exactly=True))
        except SdcppRestError as error:
            # An engine that is not to be had, or that ends because the server stops, says nothing about the model; one
            # that died under it not much, until it does so again: it is restored like any other selected model.
            is_verdict = isinstance(error, (LoadFailed, OutOfMemory)) and self._is_home and not self.is_stopping
            if is_verdict and call.spec is not None:
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

    def count_death(self, key: str, error: SdcppRestError) -> None:
        """Count an engine that a load has ended, unless the server ends it."""
        if isinstance(error, EngineDied) and not isinstance(error, EngineLost) and not self.is_stopping:
            self._strikes.count(key, is_crash=error.detail.get("signal") != "SIGKILL")


def _merging(spec: LoadSpec, loras: Sequence[LoraUse]) -> tuple[object, ...]:
    """What a run with ``loras`` merges into the weights of ``spec``: nothing, where they are applied beside them."""
    if spec.options.lora_apply_mode != "immediately":
        return ()
    stamps = stamps_of(lora.path for lora in loras)
    return tuple((lora, stamps.get(lora.path)) for lora in loras)
