"""Queues loads, unloads and restarts for one engine's lane: they take their turn between jobs, before pending ones, and
who asked for one blocks until it is done. Not jobs: there is no row of them.

Knows nothing of what a call does.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.engine.protocol import Loaded, UpscalerReady
from sdcpp_rest.errors import EngineUnavailable
from sdcpp_rest.services.dispatch.holding import Holding


@dataclass
class ModelCall:
    """One load (of ``spec``), unload or rest of models. ``is_choice``: somebody asked for it just now; ``keys``: those
    that leave, ``None`` for all."""

    verb: Literal["load", "unload", "rest"]
    spec: LoadSpec | None = None
    is_choice: bool = True
    keys: tuple[str, ...] | None = None
    answer: Future[Loaded | None] = field(default_factory=Future)


@dataclass
class UpscalerCall:
    """One load (of ``spec``) or unload of the upscaler."""

    spec: UpscalerSpec | None = None
    answer: Future[UpscalerReady | None] = field(default_factory=Future)


@dataclass
class RestartCall:
    """One end of the engine, and the start of another."""

    answer: Future[None] = field(default_factory=Future)


EngineCall = ModelCall | UpscalerCall | RestartCall


class OtherEngine(NamedTuple):
    """What a slot has to know of an engine besides the home one: its calls, and what it holds."""

    calls: EngineCalls
    holding: Holding


class EngineCalls:
    """Queues the calls that wait, oldest first. Thread-safe.

    ``lock`` also guards what the slots change together with a call: "chosen" and "on its way" are one step.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._waiting: deque[EngineCall] = deque()
        self._closed = False
        self._wake: list[Callable[[], None]] = []

    def wake_on_call(self, wake: Callable[[], None]) -> None:
        """Have ``wake`` called, on any thread, whenever a call has come. For the start: not thread-safe."""
        self._wake.append(wake)

    def put(self, call: EngineCall) -> None:
        with self.lock:
            self.refuse_if_closed()
            self._waiting.append(call)
        for wake in self._wake:
            wake()

    def next(self) -> EngineCall | None:
        """For the lane: the oldest waiting call."""
        with self.lock:
            return self._waiting.popleft() if self._waiting else None

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def refuse_if_closed(self) -> None:
        """Before anything is changed: a choice that cannot be carried out is none. Raises EngineUnavailable."""
        if self._closed:
            raise EngineUnavailable("The server is stopping")

    def close(self) -> None:
        """Refuse further calls and release those who wait. Idempotent."""
        with self.lock:
            self._closed = True
            calls = list(self._waiting)
            self._waiting.clear()
        for call in calls:
            call.answer.set_exception(EngineUnavailable("The server is stopping"))
