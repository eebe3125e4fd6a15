"""Keeps which upscaler was chosen (``selected``) and which one the engine holds (``resident``), beside the model.

A job that upscales binds to the selected one when it is submitted. Never touches the engine: its lane does what the
calls say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from sdcpp_rest.core.bounds import check_value
from sdcpp_rest.core.changes import note_change
from sdcpp_rest.core.component_fit import upscaler_fault
from sdcpp_rest.core.load_spec import FileRef, UpscalerSpec
from sdcpp_rest.engine.protocol import UpscalerReady
from sdcpp_rest.services.dispatch.engine_calls import EngineCalls, OtherEngine, UpscalerCall
from sdcpp_rest.services.dispatch.holding import Holding
from sdcpp_rest.services.model_headers.inspection import NotAModel, check_format, inspect_file
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.store.settings_store import SettingsStore

log = logging.getLogger(__name__)

_SELECTED = "upscaler.selected"


@dataclass(frozen=True)
class UpscalerOutcome:
    """A finished load: what was loaded, and how many times larger it makes a picture."""

    spec: UpscalerSpec
    factor: int


class UpscalerSlot:
    """Holds which upscaler is selected and which one is resident, and queues loads and unloads.

    Thread-safe.
    """

    def __init__(self, library: ModelLibrary, settings: SettingsStore, calls: EngineCalls, holding: Holding) -> None:
        self._library = library
        self._settings = settings
        self._calls = calls
        self.selected: UpscalerSpec | None = None
        self._holding = holding
        self._others: Callable[[], Sequence[OtherEngine]] = tuple

    def reach_others(self, others: Callable[[], Sequence[OtherEngine]]) -> None:
        """Have unloads reach these engines too. For the start: not thread-safe."""
        self._others = others

    @property
    def is_holding(self) -> bool:
        """Whether any engine holds an upscaler."""
        return self.resident is not None or any(other.holding.upscaler for other in self._others())

    @property
    def resident(self) -> UpscalerSpec | None:
        """The upscaler that the home engine holds."""
        return self._holding.upscaler

    @property
    def ready(self) -> UpscalerReady | None:
        """What the library said of ``resident``."""
        return self._holding.upscaler_ready

    def load(self, model_name: str, n_threads: int = -1, tile_size: int = 128) -> UpscalerOutcome:
        """Choose and load an upscaler; blocks until it is loaded.

        Raises ModelNotFound, InvalidRequest, LoadFailed, EngineDied, EngineUnavailable.
        """
        spec = self.build_spec(model_name, n_threads, tile_size)
        with self._calls.lock:
            self._calls.refuse_if_closed()
            self._settings.put(_SELECTED, spec.model_dump(mode="json"))
            note_change("models.upscaler", _name_of(self.selected), _name_of(spec))
            self.selected = spec
            call = UpscalerCall(spec)
            self._calls.put(call)
        ready = call.answer.result()
        assert ready is not None
        return UpscalerOutcome(spec, ready.factor)

    def unload(self) -> None:
        """Free the upscaler and choose none; blocks. Idempotent."""
        with self._calls.lock:
            self._calls.refuse_if_closed()
            self._settings.delete(_SELECTED)
            note_change("models.upscaler", _name_of(self.selected), None)
            self.selected = None
            answers = self._enqueue_unloads()
        for answer in answers:
            answer.result()

    def unload_keeping_selection(self) -> None:
        """Free the upscaler but keep it chosen: the next job that needs it loads it again. Blocks."""
        with self._calls.lock:
            self._calls.refuse_if_closed()
            answers = self._enqueue_unloads()
        for answer in answers:
            answer.result()

    def _enqueue_unloads(self) -> list[Future[UpscalerReady | None]]:
        """Have all engines free their upscalers."""
        answers = []
        for queue in (self._calls, *(other.calls for other in self._others())):
            call = UpscalerCall()
            queue.put(call)
            answers.append(call.answer)
        return answers

    @property
    def is_busy(self) -> bool:
        """Whether something is about to be loaded or unloaded."""
        return bool(self._calls)

    def restore(self) -> None:
        """At start: choose what was chosen last. It is loaded when a job needs it."""
        kept = self._settings.get(_SELECTED, None)
        if kept is None:
            return
        try:
            spec = UpscalerSpec.model_validate(kept)
            check_upscaler(spec.model)
        except Exception as error:  # moved, replaced, or written by another version
            log.warning("the upscaler chosen last cannot be used: %s", error)
            return
        self.selected = spec

    def deselect(self, spec: UpscalerSpec) -> None:
        """Deselect ``spec``, which turned out to be unusable: new jobs must not bind to it."""
        with self._calls.lock:
            if self.selected == spec:
                self.selected = None
                self._settings.delete(_SELECTED)

    def build_spec(self, model_name: str, n_threads: int = -1, tile_size: int = 128) -> UpscalerSpec:
        """The spec for an upscaler of the ``esrgan`` folder. Raises ModelNotFound, InvalidRequest."""
        check_value(UpscalerSpec, "tile_size", tile_size)
        check_value(UpscalerSpec, "n_threads", n_threads)
        file = self._library.find("esrgan", model_name)
        reference = FileRef(name=file.name, path=file.path)
        check_upscaler(reference)
        return UpscalerSpec(model=reference, tile_size=tile_size, n_threads=n_threads)


def check_upscaler(file: FileRef) -> None:
    """Refuse a file that is no upscaler, as far as its header tells. Raises NotAModel."""
    inspected = check_format(inspect_file(file.path))
    fault = upscaler_fault(inspected.tensors)
    if fault is None and inspected.contents != "upscaler":
        what = inspected.contents if inspected.contents != "unknown" else "something else"
        fault = f"is no ESRGAN upscaler: it holds {what}"
    if fault is not None:
        raise NotAModel(f"{file.name} {fault}", field="model_name", value=file.name)


def _name_of(spec: UpscalerSpec | None) -> str | None:
    return spec.model.name if spec is not None else None
