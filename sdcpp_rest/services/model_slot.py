"""Two words for models: what the user chose (``selected``, kept across restarts), what the engine holds (``resident``).

Loading and unloading are calls to the dispatcher, not jobs: they take their turn between jobs, before pending ones, and
block until done. Never touches the engine: the dispatcher does what the calls say.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.engine.protocol import Loaded
from sdcpp_rest.errors import Conflict, EngineUnavailable
from sdcpp_rest.services.load_checks import check_loadable
from sdcpp_rest.services.model_library import LoadRequest, ModelLibrary
from sdcpp_rest.store.settings_store import SettingsStore

log = logging.getLogger(__name__)

_SELECTED = "models.selected"


@dataclass(frozen=True)
class LoadOutcome:
    """A finished load: what was loaded, what the user should know about it, and the seconds it took."""

    spec: LoadSpec
    loaded: Loaded
    warnings: tuple[str, ...]


@dataclass
class ModelCall:
    """One load (of ``spec``), unload or rest on its way to the dispatcher."""

    verb: Literal["load", "unload", "rest"]
    spec: LoadSpec | None = None
    is_choice: bool = True
    answer: Future[Loaded | None] = field(default_factory=Future)


class ModelSlot:
    """See the module. Thread-safe; ``resident``, ``loaded`` and ``loading`` are written by the dispatcher alone."""

    def __init__(
        self, library: ModelLibrary, settings: SettingsStore, pending_bound_to: Callable[[LoadSpec], int]
    ) -> None:
        self._library = library
        self._settings = settings
        self._pending_bound_to = pending_bound_to
        self._lock = threading.Lock()
        self._calls: deque[ModelCall] = deque()
        self._closed = False
        self.on_call: Callable[[], None] = lambda: None
        self.selected: LoadSpec | None = None
        self.resident: LoadSpec | None = None
        self.loaded: Loaded | None = None
        self.loading: LoadSpec | None = None
        self.last_error: str | None = None

    def load(self, request: LoadRequest) -> LoadOutcome:
        """Select and load a model; blocks until it is loaded.

        Everything that can be known is checked before the old model is unloaded. Raises ModelNotFound, InvalidRequest,
        NotSupported, LoadFailed, EngineDied, EngineUnavailable.
        """
        spec, warnings = self._library.build_spec(request)
        loaded = self.select(spec).result()
        assert loaded is not None
        return LoadOutcome(spec, loaded, tuple(warnings))

    def select(self, spec: LoadSpec, *, is_choice: bool = True) -> Future[Loaded | None]:
        """Choose ``spec`` for the jobs to come and have it loaded; does not wait.

        ``is_choice``: somebody asked for it just now, so that it replaces what is remembered.
        """
        with self._lock:
            self._refuse_if_closed()
            if is_choice:
                # Written first: a choice that cannot be remembered (the disk is full) is refused as a whole.
                self._settings.put(_SELECTED, spec.model_dump(mode="json"))
                self.last_error = None
            self.selected = spec
            return self._enqueue(ModelCall("load", spec, is_choice))

    def unload(self, force: bool = False) -> None:
        """Free the model and select none; blocks. Idempotent.

        Raises Conflict while pending jobs are bound to the selected model, unless ``force``.
        """
        self._refuse_if_closed()
        selected = self.selected
        if selected is not None and not force:
            bound = self._pending_bound_to(selected)
            if bound:
                raise Conflict(
                    f"{bound} pending job(s) need {selected.model.name}; cancel them, or unload with force=true",
                    bound=bound,
                )
        with self._lock:
            self._refuse_if_closed()
            self._settings.delete(_SELECTED)
            self.selected = None
            answer = self._enqueue(ModelCall("unload"))
        answer.result()

    def rest(self) -> None:
        """Free the model but keep it selected: the next job loads it again. Blocks; nothing to do when none is."""
        with self._lock:
            self._refuse_if_closed()
            if self.selected is None:
                return
            answer = self._enqueue(ModelCall("rest"))
        answer.result()

    @property
    def is_busy(self) -> bool:
        """Whether a model is being loaded, or is about to be."""
        return self.loading is not None or bool(self._calls)

    def restore(self, default: LoadRequest | None) -> None:
        """At start: select what was selected last, else ``default``; loads in the background."""
        spec = self._remembered()
        if spec is None and default is not None:
            try:
                spec, _ = self._library.build_spec(default)
            except Exception as error:  # a server without a model is still a server
                self.last_error = str(error)
                log.warning("the default model %s cannot be used: %s", default.model_name, error)
        if spec is not None:
            self.select(spec, is_choice=False)

    def deselect(self, spec: LoadSpec, *, forget: bool) -> None:
        """``spec`` turned out to be unusable: new jobs must not bind to it.

        ``forget`` it for the next start too, or let that try again: what is wrong may be the machine's state today.
        """
        with self._lock:
            if self.selected == spec:
                self.selected = None
                if forget:
                    self._settings.delete(_SELECTED)

    def next_call(self) -> ModelCall | None:
        """For the dispatcher: the oldest waiting call."""
        with self._lock:
            return self._calls.popleft() if self._calls else None

    def missing(self) -> LoadSpec | None:
        """For the dispatcher: the selected model if it is not resident.

        None while calls wait: a model that was selected a moment ago is loaded by its own call, and not twice.
        """
        with self._lock:
            return None if self._calls or self.resident == self.selected else self.selected

    def close(self) -> None:
        """Refuse further calls and release those who wait. Idempotent."""
        with self._lock:
            self._closed = True
            calls = list(self._calls)
            self._calls.clear()
        for call in calls:
            call.answer.set_exception(EngineUnavailable("The server is stopping"))

    def _refuse_if_closed(self) -> None:
        """Before anything is changed: a choice that cannot be carried out is none."""
        if self._closed:
            raise EngineUnavailable("The server is stopping")

    def _enqueue(self, call: ModelCall) -> Future[Loaded | None]:
        self._calls.append(call)
        self.on_call()
        return call.answer

    def _remembered(self) -> LoadSpec | None:
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
