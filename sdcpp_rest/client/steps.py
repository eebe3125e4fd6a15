"""Describes what a method of the client does, without doing it: requests, pauses, and what is heard in between.

A method is written once, as a generator of steps; `Client` and `AsyncClient` each take them in their own way, and send
back what came of each.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar
from urllib.parse import quote

if TYPE_CHECKING:
    from sdcpp_rest.client.model_upload import ModelUpload

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Steps(Protocol[T_co]):
    """What a method does, step by step, and returns in the end: a request alone, or a generator of several steps."""

    def __iter__(self) -> Generator[Any, Any, T_co]: ...


class Step:
    """Something to be done; what comes of it is sent back, or thrown."""


@dataclass(frozen=True)
class Tell(Generic[T]):
    """Hand something to whoever iterates."""

    told: T


Doing: TypeAlias = Generator[Step, Any, T]
"""Steps that return a ``T``."""
Telling: TypeAlias = Generator[Step | Tell[T], Any, None]
"""Steps that tell one ``T`` after the other."""


@dataclass(frozen=True)
class Request(Step, Generic[T]):
    """A request, and what its answer is read as: ``bytes``, ``str``, ``None``, or the type of a JSON object.

    ``route`` is the path as the server spells it, ``places`` fills its braces. ``is_long``: the server may take as long
    as it takes, because it waits for the engine or for another server. ``key``: its name, by which the server knows it
    when it is sent twice.
    """

    answer: type[T]
    method: str
    route: str
    places: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    upload: ModelUpload | None = None
    is_long: bool = False
    key: str = ""

    def __iter__(self) -> Doing[T]:
        answer: T = yield self
        return answer

    @property
    def path(self) -> str:
        """The route with its places filled in. Raises ValueError for one that would lead elsewhere."""
        return self.route.format_map({name: _place(name, value) for name, value in self.places.items()})

    @property
    def query_pairs(self) -> tuple[tuple[str, str], ...]:
        """The query as the server reads it: lists with commas, tuples as repeated names, ``None`` not at all."""
        pairs: list[tuple[str, str]] = []
        for name, value in self.query.items():
            if isinstance(value, tuple):
                pairs += [(name, str(one)) for one in value]
            elif isinstance(value, list):
                pairs.append((name, ",".join(map(str, value))))
            elif value is not None:
                pairs.append((name, str(value).lower() if isinstance(value, bool) else str(value)))
        return tuple(pairs)


@dataclass(frozen=True)
class Saving(Step):
    """Write the answer of a request into a file as it comes in, beside ``target`` until it is whole."""

    request: Request[bytes]
    target: Path


@dataclass(frozen=True)
class OpenLines(Step):
    """Send a request whose answer is an event stream."""

    request: Request[str]


@dataclass(frozen=True)
class ReadLine(Step):
    """Wait for its next line; ``None`` at its end."""


@dataclass(frozen=True)
class OpenSocket(Step):
    """Open the WebSocket of the server's events, instead of the one that was open. ``since``: behind which event, by
    its number and the epoch of that."""

    since: tuple[int, str] | None = None


@dataclass(frozen=True)
class Receive(Step):
    """Wait for the WebSocket's next message. Raises TimeoutError, and ConnectionFailed when it is closed."""

    seconds: float


@dataclass(frozen=True)
class Pause(Step):
    """Let some time pass."""

    seconds: float


class Walk(Generic[T]):
    """Goes through steps one by one, for a driver that carries them out."""

    def __init__(self, steps: Steps[T]) -> None:
        self._going = iter(steps)
        self.is_over = False
        self.value: T | None = None
        self.step: Any = None
        self._advance(lambda: next(self._going))

    @contextlib.contextmanager
    def carry_out(self) -> Iterator[list[Any]]:
        """Go on when the current step is done: with what the list got, if anything, or with what was raised."""
        outcome: list[Any] = []
        try:
            yield outcome
        except Exception as fault:
            raised = fault
            self._advance(lambda: self._going.throw(raised))
        else:
            self._advance(lambda: self._going.send(outcome[0] if outcome else None))

    def _advance(self, resume: Callable[[], Any]) -> None:
        try:
            self.step = resume()
        except StopIteration as end:
            self.is_over, self.value = True, end.value


def _place(name: str, value: str) -> str:
    """A part of a path, quoted. Dots would be resolved on the way: then it would be another route's path."""
    if not value or any(part in (".", "..") for part in value.split("/")):
        raise ValueError(f"{name} must be a name without dot segments that is not empty, got {value!r}")
    return quote(value, safe="/" if name == "path" else "")
