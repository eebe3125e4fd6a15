"""Defines what travels between a server and an engine on another machine: messages of the protocol, and files.

Knows no way to travel: that is a `HostLink` and a `Carrier`, of which each kind of cluster has its own.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

PIECE_BYTES = 64 * 1024 * 1024
"""How much of a file is in memory at a time, on either machine."""

Parcel = tuple[Any, ...]
"""A file's content in pieces, each as the carrier has it."""


@dataclass(frozen=True)
class Shipment:
    """One message, with the files that it speaks of, by name. ``key``: of a load, what the server calls the model.
    ``shares_files``: the files that it speaks of lie where both machines see them, and are not sent. ``refusal``: why
    its files do not come; the other machine answers so. ``end``: how the engine ended, with the last one, which has no
    message."""

    message: bytes = b""
    files: Mapping[str, Parcel] = field(default_factory=dict)
    key: str = ""
    shares_files: bool = False
    refusal: str = ""
    end: EngineEnd | None = None


@dataclass(frozen=True)
class EngineEnd:
    """How an engine ended, as its own machine tells: see `LaunchedEngine`."""

    description: str
    signal_name: str = ""
    refused_memory: str = ""


class EndingEngine:
    """Tells how an engine elsewhere ended, as `LaunchedEngine` does, from what its own machine has told (``end``)."""

    end: EngineEnd | None = None

    @property
    def signal_name(self) -> str:
        return self.end.signal_name if self.end else ""

    def exit_description(self) -> str:
        return self.end.description if self.end else "it does not answer"

    def refused_memory(self) -> str:
        return self.end.refused_memory if self.end else ""


class LinkLost(Exception):
    """The engine's machine cannot be reached any more; why, for people."""


class Carrier(Protocol):
    """Carries pieces of files."""

    def put(self, piece: bytes, beside_bytes: int = 0) -> Any:
        """A piece that stays bytes travels in its message, with ``beside_bytes`` of others. Raises OSError where there
        is no room for it."""

    def get(self, piece: Any) -> bytes:
        """Raises LinkLost, and OSError where there is no room for it."""


class HostLink(Protocol):
    """The way to one engine on another machine, from its start to its end."""

    pid: int
    carrier: Carrier

    def send(self, shipment: Shipment) -> None:
        """In order. Raises OSError when the engine is gone, or where there is no room for it (`is_full`); LinkLost when
        it cannot be told whether it has come."""

    def send_urgent(self, message: bytes) -> None:
        """Before what waits. Raises OSError when the engine is gone."""

    def receive(self) -> Shipment:
        """Wait for the next one. Raises LinkLost."""

    def find_missing(self, places: Sequence[str]) -> Sequence[tuple[str, int]]:
        """Which of these model files the engine's machine lacks, with how many bytes of each have come before. Raises
        LinkLost."""

    def add_piece(self, place: str, offset: int, piece: Any) -> str:
        """Give the machine the next piece of a model file, as the carrier has it; wait until it is there. Returns why
        it could not be kept, empty if it was. Raises LinkLost."""

    def kill(self) -> None: ...


def is_full(error: BaseException) -> bool:
    """Whether it is for want of room, on a disk or in a store of objects."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def pack(path: Path, carrier: Carrier, beside_bytes: int = 0) -> Parcel:
    """A file's content; ``beside_bytes``: of other files travel in the same message. Raises OSError."""
    return tuple(carrier.put(piece, beside_bytes) for piece in _pieces(path))


def count_beside(files: Mapping[str, Parcel]) -> int:
    """The bytes that travel in the message itself."""
    return sum(len(piece) for parcel in files.values() for piece in parcel if isinstance(piece, bytes))


def unpack(parcel: Parcel, path: Path, carrier: Carrier) -> None:
    """Write a parcel to ``path``, which is there as a whole or not at all. Raises OSError, LinkLost."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            for piece in parcel:
                file.write(carrier.get(piece))
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
