"""Keeps which model the user chose (``selected``, kept across restarts), and tells what the home engine holds.

Loading and unloading are calls to an engine's lane, not jobs: they take their turn between jobs, before pending ones,
and block until done. Never touches an engine: the lanes do what the calls say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError  # the builtin one only since Python 3.11
from dataclasses import dataclass
from typing import Literal

from sdcpp_rest.core.changes import note_change
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.engine.protocol import Loaded, Ready, gpu_backend
from sdcpp_rest.errors import Conflict, NoModelLoaded, WaitTimeout
from sdcpp_rest.services.dispatch.engine_calls import EngineCalls, ModelCall, OtherEngine
from sdcpp_rest.services.dispatch.holding import Holding
from sdcpp_rest.services.models.load_checks import check_computable, check_loadable
from sdcpp_rest.services.models.load_specs import LoadRequest, build_spec
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.store.settings_store import SettingsStore

log = logging.getLogger(__name__)

_SELECTED = "models.selected"


@dataclass(frozen=True)
class LoadOutcome:
    """A finished load: what was loaded, what the user should know about it, and the seconds it took."""

    spec: LoadSpec
    loaded: Loaded
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class PendingLoad:
    """A load under way."""

    spec: LoadSpec
    warnings: tuple[str, ...]
    loaded: Future[Loaded | None]

    def outcome(self, timeout_seconds: float | None = None) -> LoadOutcome:
        """Wait for its end. Raises LoadFailed, EngineDied, EngineUnavailable, WaitTimeout."""
        try:
            loaded = self.loaded.result(timeout_seconds)
        except FutureTimeoutError:
            name = self.spec.model.name
            raise WaitTimeout(f"{name} was not loaded within {timeout_seconds:g} s; it goes on") from None
        assert loaded is not None
        return LoadOutcome(self.spec, loaded, self.warnings)


class ModelSlot:
    """Holds which model is selected, and queues loads and unloads. Thread-safe.

    Args:
        calls: those of the home engine, which loads what is selected.
        holding: what the home engine holds.
        ready: what the home engine said of this machine, once there was one.
    """

    def __init__(
        self,
        library: ModelLibrary,
        settings: SettingsStore,
        calls: EngineCalls,
        holding: Holding,
        pending_bound_to: Callable[[LoadSpec], int],
        ready: Callable[[], Ready | None],
    ) -> None:
        self._library = library
        self._settings = settings
        self._calls = calls
        self._holding = holding
        self._others: Callable[[], Sequence[OtherEngine]] = tuple
        self._pending_bound_to = pending_bound_to
        self._ready = ready
        self.selected: LoadSpec | None = None
        self.last_error: str | None = None
        self._when_loaded: list[Callable[[LoadSpec, Loaded], None]] = []
        self._asked: Future[Loaded | None] | None = None

    @property
    def resident(self) -> LoadSpec | None:
        """The model that the home engine used last of those that it holds."""
        return self._holding.resident

    @property
    def loaded(self) -> Loaded | None:
        """What the library said of ``resident``."""
        return self._holding.loaded

    @property
    def loading(self) -> LoadSpec | None:
        """What the home engine loads now."""
        return self._holding.loading

    @property
    def loading_progress(self) -> float | None:
        """How much of ``loading`` is there, 0..1; ``None`` where nobody counts."""
        return self._holding.loading_progress

    @property
    def is_holding(self) -> bool:
        """Whether any engine holds a model."""
        return bool(self._holding.held) or any(other.holding.held for other in self._others())

    def reach_others(self, others: Callable[[], Sequence[OtherEngine]]) -> None:
        """Have unloads reach these engines too. For the start: not thread-safe."""
        self._others = others

    def call_on_loaded(self, callback: Callable[[LoadSpec, Loaded], None]) -> None:
        """Have ``callback`` called after each load that worked, on the thread of the engine's lane. Not thread-safe."""
        self._when_loaded.append(callback)

    def note_loaded(self, spec: LoadSpec, loaded: Loaded) -> None:
        """For the lanes: tell whoever wants to know of a load that worked."""
        for callback in self._when_loaded:
            callback(spec, loaded)

    def load(self, request: LoadRequest, timeout_seconds: float | None = None) -> LoadOutcome:
        """Select and load a model; blocks until it is loaded.

        Raises what `begin_load` raises, LoadFailed, EngineDied, EngineUnavailable, and WaitTimeout (the load goes on).
        """
        return self.begin_load(request).outcome(timeout_seconds)

    def begin_load(self, request: LoadRequest) -> PendingLoad:
        """Select a model and have it loaded; does not wait.

        Everything that can be known is checked before the old model is unloaded. Raises ModelNotFound, InvalidRequest,
        EngineUnavailable.
        """
        spec, warnings = build_spec(self._library, request)
        check_computable(spec, gpu_backend(self._ready()))
        return PendingLoad(spec, tuple(warnings), self.select(spec))

    def begin_controlnet(self, name: str | None) -> PendingLoad:
        """Select the selected model with another ControlNet, or with none, and have it loaded so; does not wait.

        The library takes a ControlNet when it loads the model, and at no other time. Where the model is there with this
        very ControlNet, nothing is loaded. Raises NoModelLoaded, ModelNotFound, InvalidRequest, EngineUnavailable.
        """
        selected = self.selected
        if selected is None:
            raise NoModelLoaded("No model loaded")
        components = dict(selected.components)
        components.pop("controlnet", None)
        if name is not None:
            file = self._library.find("controlnet", name)
            components["controlnet"] = FileRef(name=file.name, path=file.path)
        spec = selected.model_copy(update={"components": {role: components[role] for role in sorted(components)}})
        warnings = check_loadable(spec)
        check_computable(spec, gpu_backend(self._ready()))
        return PendingLoad(spec, tuple(warnings), self.select(spec))

    def select(self, spec: LoadSpec, *, is_choice: bool = True) -> Future[Loaded | None]:
        """Choose ``spec`` for the jobs to come and have it loaded; does not wait.

        ``is_choice``: somebody asked for it just now, so that it replaces what is remembered.
        """
        with self._calls.lock:
            self._calls.refuse_if_closed()
            if is_choice:
                # Written first: a choice that cannot be remembered (the disk is full) is refused as a whole.
                self._settings.put(_SELECTED, spec.model_dump(mode="json"))
                self.last_error = None
                note_change("models.model", _names_of(self.selected), _names_of(spec))
            self.selected = spec
            self._asked = self._enqueue(ModelCall("load", spec, is_choice))
            return self._asked

    def unload(self, force: bool = False, keys: Sequence[str] | None = None) -> None:
        """Free the models of all engines, or those with these keys, and select none; blocks. Idempotent.

        Raises Conflict while pending jobs are bound to the selected model, unless ``force``.
        """
        self._calls.refuse_if_closed()
        selected = self.selected
        if selected is not None and not force:
            bound = self._pending_bound_to(selected)
            if bound:
                raise Conflict(
                    f"{bound} pending job(s) need {selected.model.name}; cancel them, or unload with force=true",
                    bound=bound,
                )
        with self._calls.lock:
            self._calls.refuse_if_closed()
            self._settings.delete(_SELECTED)
            note_change("models.model", _names_of(self.selected), None)
            self.selected = None
            answers = self._enqueue_everywhere("unload", None if keys is None else tuple(keys))
        for answer in answers:
            answer.result()

    def unload_kept(self, keys: Sequence[str]) -> None:
        """Free these models, whatever engine holds them, and let the selection be; blocks. Idempotent."""
        with self._calls.lock:
            self._calls.refuse_if_closed()
            answers = self._enqueue_everywhere("unload", tuple(keys))
        for answer in answers:
            answer.result()

    def unload_keeping_selection(self) -> None:
        """Free the models of all engines but keep the selection: the next job loads it again. Blocks; nothing to do
        when none is held or selected."""
        with self._calls.lock:
            self._calls.refuse_if_closed()
            if self.selected is None and not self.is_holding:
                return
            answers = self._enqueue_everywhere("rest")
        for answer in answers:
            answer.result()

    @property
    def is_busy(self) -> bool:
        """Whether a model is being loaded, or is about to be."""
        # Between the call's turn and the load itself an engine may have to be started first.
        asked = self._asked
        return self.loading is not None or bool(self._calls) or (asked is not None and not asked.done())

    def restore(self, default: LoadRequest | None) -> None:
        """At start: select what was selected last, else ``default``; loads in the background."""
        spec = self._read_selection()
        if spec is None and default is not None:
            try:
                spec, _ = build_spec(self._library, default)
            except Exception as error:  # a server without a model is still a server
                self.last_error = str(error)
                log.warning("the default model %s cannot be used: %s", default.model_name, error)
        if spec is not None:
            self.select(spec, is_choice=False)

    def deselect(self, spec: LoadSpec, *, forget: bool) -> None:
        """Deselect ``spec``, which turned out to be unusable: new jobs must not bind to it.

        ``forget`` it for the next start too, or let that try again: what is wrong may be the machine's state today.
        """
        with self._calls.lock:
            if self.selected == spec:
                self.selected = None
                if forget:
                    self._settings.delete(_SELECTED)

    def missing(self) -> LoadSpec | None:
        """For the home lane: the selected model if what is resident does not serve for it.

        None while calls wait: a model that was selected a moment ago is loaded by its own call, and not twice.
        """
        with self._calls.lock:
            selected, resident = self.selected, self.resident
            if self._calls or selected is None or (resident is not None and resident.serves(selected)):
                return None
            return selected

    def _enqueue(self, call: ModelCall) -> Future[Loaded | None]:
        self._calls.put(call)
        return call.answer

    def _enqueue_everywhere(
        self, verb: Literal["unload", "rest"], keys: tuple[str, ...] | None = None
    ) -> list[Future[Loaded | None]]:
        """Have all engines free what they hold, or what of it has these keys."""
        answers = []
        for queue in (self._calls, *(other.calls for other in self._others())):
            call = ModelCall(verb, keys=keys)
            queue.put(call)
            answers.append(call.answer)
        return answers

    def _read_selection(self) -> LoadSpec | None:
        kept = self._settings.get(_SELECTED, None)
        if kept is None:
            return None
        try:
            spec = LoadSpec.model_validate(kept)
            check_loadable(spec)
        except Exception as error:  # moved, replaced, or written by another version
            self.last_error = f"The model selected last cannot be used: {error}"
            log.warning("%s", self.last_error)
            return None
        return spec


def _names_of(spec: LoadSpec | None) -> dict[str, str] | None:
    """The files of ``spec`` by what they are for, for the record."""
    if spec is None:
        return None
    return {"model": spec.model.name, **{str(role): file.name for role, file in spec.components.items()}}
