"""An engine "on another machine": its host works in threads of this process, and the way to it can be cut."""

from __future__ import annotations

import errno
import functools
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sdcpp_rest.engine.launchers import Launcher
from sdcpp_rest.engine.remote.host import EngineHost
from sdcpp_rest.engine.remote.model_places import ModelPlaces
from sdcpp_rest.engine.remote.remote_engine import RemoteEngine
from sdcpp_rest.engine.remote.shipping import HostLink, LinkLost, Shipment


class PieceStore:
    """Carries pieces as numbers, as a store of objects does; what is taken from it is gone. ``full_for``: to whom there
    is no room for more, ``put`` or ``get``."""

    def __init__(self) -> None:
        self.pieces: dict[int, bytes] = {}
        self.sizes: list[int] = []
        self.full_for = ""

    def put(self, piece: bytes, beside_bytes: int = 0) -> Any:
        self._check_room("put")
        self.sizes.append(len(piece))
        self.pieces[len(self.sizes)] = piece
        return len(self.sizes)

    def get(self, piece: Any) -> bytes:
        self._check_room("get")
        if piece not in self.pieces:
            raise LinkLost("the piece is gone with its machine")
        return self.pieces.pop(piece)

    def _check_room(self, who: str) -> None:
        if self.full_for == who:
            raise OSError(errno.ENOSPC, "the store is full")


class ThreadLink:
    """A `HostLink` over queues."""

    def __init__(self, launcher: Launcher, places: ModelPlaces, folder: Path) -> None:
        self.carrier = PieceStore()
        self._arrived: queue.Queue[Shipment | LinkLost] = queue.Queue()
        self._commands: queue.Queue[Shipment | None] = queue.Queue()
        self._is_cut = False
        self.host = EngineHost(launcher, places, self.carrier, folder)
        self.pid = self.host.pid
        for work in (self._take, self._tell):
            threading.Thread(target=work, daemon=True).start()

    def send(self, shipment: Shipment) -> None:
        self._check()
        self._commands.put(shipment)

    def send_urgent(self, message: bytes) -> None:
        self._check()
        self.host.take_urgent(message)

    def receive(self) -> Shipment:
        arrived = self._arrived.get()
        if isinstance(arrived, LinkLost):
            raise arrived
        return arrived

    def find_missing(self, places: Sequence[str]) -> Sequence[tuple[str, int]]:
        return self.host.find_missing(places)

    def add_piece(self, place: str, offset: int, piece: Any) -> str:
        if self._is_cut:
            raise LinkLost("machine two does not answer")
        return self.host.add_piece(place, offset, piece)

    def kill(self) -> None:
        self.host.kill()

    def cut(self) -> None:
        """The machine is gone: nothing comes from it any more, and nothing reaches it."""
        self._is_cut = True
        self._arrived.put(LinkLost("machine two does not answer"))
        self.host.kill()

    def _check(self) -> None:
        if self._is_cut:
            raise OSError("cut")

    def _take(self) -> None:
        while (shipment := self._commands.get()) is not None:
            self.host.take(shipment)

    def _tell(self) -> None:
        for shipment in self.host.events():
            if not self._is_cut:
                self._arrived.put(shipment)
        self._commands.put(None)


class RemoteLauncher:
    """Starts engines over links, as the gateway does."""

    def __init__(self, open_link: Callable[[], HostLink], places: ModelPlaces, **options: bool) -> None:
        """``options``: those of `RemoteEngine`."""
        self._launch = functools.partial(RemoteEngine, open_link, places, **options)

    def launch(self) -> RemoteEngine:
        return self._launch()
