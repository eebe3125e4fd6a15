"""Loads a model into every engine, and frees one wherever it is held.

Knows engines by their calls and by what they hold; what a load does is theirs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError  # the builtin one only since Python 3.11
from dataclasses import dataclass, field

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.engine.protocol import Loaded
from sdcpp_rest.errors import EngineUnavailable, ModelNotFound, SdcppRestError
from sdcpp_rest.services.dispatch.engine_calls import ModelCall
from sdcpp_rest.services.dispatch.engine_pool import EnginePool
from sdcpp_rest.services.dispatch.model_slot import ModelSlot
from sdcpp_rest.services.models.model_library import ModelLibrary


@dataclass(frozen=True)
class LoadElsewhere:
    """A load under way on another engine than the home one."""

    engine: str
    loaded: Future[Loaded | None]
    begun_at: float = field(default_factory=time.monotonic)


class ModelsEverywhere:
    """Loads and frees models on all engines. Thread-safe.

    Args:
        redact_paths: takes out of messages what users must not know.
    """

    def __init__(
        self, pool: EnginePool, slot: ModelSlot, library: ModelLibrary, redact_paths: Callable[[str], str]
    ) -> None:
        self._pool = pool
        self._slot = slot
        self._library = library
        self._redact_paths = redact_paths

    def begin_elsewhere(self, spec: LoadSpec) -> tuple[LoadElsewhere, ...]:
        """Have every engine but the home one load ``spec``; does not wait. Raises EngineUnavailable when the server
        stops."""
        loads = []
        for lane in self._pool.lanes[1:]:
            call = ModelCall("load", spec, is_choice=False)
            if lane.trouble is None:
                lane.calls.put(call)
            else:
                # It would be tried when there is an engine again, whenever that is.
                call.answer.set_exception(EngineUnavailable(lane.trouble))
            loads.append(LoadElsewhere(lane.name, call.answer))
        return tuple(loads)

    def wait_elsewhere(self, loads: Sequence[LoadElsewhere], timeout_seconds: float | None = None) -> list[str]:
        """Wait for the loads' ends, ``timeout_seconds`` from their beginning; a sentence for each engine that has not
        loaded."""
        troubles = []
        for load in loads:
            try:
                passed = time.monotonic() - load.begun_at
                load.loaded.result(None if timeout_seconds is None else max(0.0, timeout_seconds - passed))
            except FutureTimeoutError:
                troubles.append(f"{load.engine} has not loaded it within {timeout_seconds:g} s; it goes on")
            except SdcppRestError as error:
                troubles.append(f"{load.engine} has not loaded it: {self._redact_paths(error.message)}")
        return troubles

    def unload_named(self, name: str, *, force: bool) -> list[str]:
        """Free the model ``name`` wherever it is held; where it is the selected one, none is selected then. Blocks.
        Returns warnings.

        Raises ModelNotFound, InvalidRequest, and Conflict while pending jobs need it as the selected one, unless
        ``force``.
        """
        held = [spec for lane in self._pool.lanes for spec in lane.holding.specs]
        selected = self._slot.selected
        path = self._find_path(name, [*held, *([selected] if selected else [])])
        keys = tuple(dict.fromkeys(spec.key for spec in held if spec.model.path == path))
        if selected is not None and selected.model.path == path:
            self._slot.unload(force, keys)
            return []
        if not keys:
            return [f"No engine holds {name}"]
        self._slot.unload_kept(keys)
        return []

    def _find_path(self, name: str, known: Sequence[LoadSpec]) -> str:
        for spec in known:
            if spec.model.name == name:
                return spec.model.path
        try:
            return self._library.find("checkpoint", name).path
        except ModelNotFound:
            return self._library.find("diffusion", name).path
