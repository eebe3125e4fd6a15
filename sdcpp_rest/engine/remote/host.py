"""Owns one engine process for a server on another machine: passes its commands on, and its events and files back.

Runs beside the engine. Knows the protocol as far as it names files; decides nothing.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sdcpp_rest.engine.launchers import Launcher
from sdcpp_rest.engine.protocol import (
    Failed,
    Finished,
    Preview,
    decode_event,
    encode,
)
from sdcpp_rest.engine.protocol import LoadFailed as LoadNotDone
from sdcpp_rest.engine.remote.model_pieces import ModelPieces
from sdcpp_rest.engine.remote.model_places import ModelPlaces, PlaceError, places_in
from sdcpp_rest.engine.remote.shipping import (
    Carrier,
    EngineEnd,
    LinkLost,
    Parcel,
    Shipment,
    count_beside,
    is_full,
    pack,
    unpack,
)
from sdcpp_rest.errors import GenerationFailed, LoadFailed, MachineFull

log = logging.getLogger(__name__)

_END_SECONDS = 10.0
_RUN_ENDS = ("finished", "failed", "cancelled")
_NO_ROOM = os.strerror(errno.ENOSPC)


def first_folder(slot: int) -> str:
    """What the folder of engine number ``slot`` of a machine is called that shares its data folder with no other."""
    return f"engine-{slot}"


def take_folder(data_dir: Path, slot: int, patience_seconds: float = 1.0) -> tuple[Path, FileLock]:
    """Find the folder of engine number ``slot`` of a machine, and lock it until the lock is released or the process
    ends. Machines that have been given one data folder, as pods with a common volume, get a folder each; one that ends
    at this moment is waited for. Raises OSError.
    """
    for number in itertools.count(1):
        folder = data_dir / (first_folder(slot) if number == 1 else f"{first_folder(slot)}.{number}")
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock", thread_local=False)
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=patience_seconds if number == 1 else 0)
            return folder, lock
    raise AssertionError


class EngineHost:
    """Owns one engine, from its launch to its end.

    Args:
        launcher: starts the engine's process here.
        places: where the models of this machine lie.
        folder: for the files of jobs, while they are here. What an earlier host has left there is removed.
    """

    def __init__(self, launcher: Launcher, places: ModelPlaces, carrier: Carrier, folder: Path) -> None:
        self._places = places
        self._carrier = carrier
        # A folder of its own: what cannot be removed, or is still being written by an engine that is ending, is in
        # nobody's way.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="host-", dir=folder))
        self._own: list[Shipment] = []
        self._own_lock = threading.Lock()
        self._spools: dict[int, Path] = {}
        # Runs whose files the server reads and removes itself.
        self._shared: set[int] = set()
        # The engine names a model by the digest of its spec, which has other paths here.
        self._keys: dict[str, str] = {}
        self._key = ""
        self._pieces = ModelPieces(places, folder.parent.name)
        # Why a model file that was on its way did not come, by its place.
        self._not_kept: dict[str, Exception] = {}
        self._engine = launcher.launch()

    @property
    def pid(self) -> int:
        """The engine's process, on this machine."""
        return self._engine.pid

    def take(self, shipment: Shipment) -> None:
        """Pass a command on."""
        command: dict[str, Any] = json.loads(shipment.message)
        kind = command["type"]
        if shipment.refusal:
            self._refuse(command, shipment.refusal, GenerationFailed.code)
            return
        try:
            if kind == "run_job" and shipment.shares_files:
                _check_shared(command)
                self._shared.add(int(command["run"]))
            elif kind == "run_job":
                self._prepare(command, shipment.files)
            if kind in ("load_model", "load_upscaler", "run_job"):
                command = self._places.receive(command)
        except (PlaceError, LinkLost, OSError) as error:
            whys = [why for place in places_in(command) if (why := self._not_kept.get(place))]
            if kind == "run_job":
                self._forget(int(command["run"]))
            full = next((one for one in (error, *whys) if is_full(one)), None)
            if full is not None:
                self._refuse(command, _describe_full(full), MachineFull.code)
            else:
                self._refuse(command, ". ".join(map(str, [error, *whys])), LoadFailed.code)
            return
        for name in ("free", "keys"):
            if isinstance(command.get(name), list):
                command[name] = [self._keys.get(key, key) for key in command[name]]
        if kind == "run_job":
            command["model_key"] = self._keys.get(command["model_key"], command["model_key"])
        if kind == "load_model":
            self._key = shipment.key
        self.take_urgent(json.dumps(command).encode())

    def find_missing(self, places: Sequence[str]) -> list[tuple[str, int]]:
        """Which of these model files are not here, with how many bytes of each have come before."""
        return self._pieces.find_missing(places)

    def add_piece(self, place: str, offset: int, piece: Any) -> str:
        """Take in the next piece of a model file. Returns why it could not be kept; empty if it was."""
        try:
            self._pieces.add(place, offset, self._carrier.get(piece))
        except (LinkLost, OSError, PlaceError) as error:
            self._not_kept[place] = error
            return str(error)
        self._not_kept.pop(place, None)
        return ""

    def take_urgent(self, message: bytes) -> None:
        """Pass a command on as it is, before what waits."""
        try:
            self._engine.connection.send_bytes(message)
        except (OSError, ValueError):
            log.debug("the engine is gone")  # `events` tells

    def events(self) -> Iterator[Shipment]:
        """What the engine says, with the files that it speaks of; the last one is its end."""
        while True:
            try:
                raw = self._engine.connection.recv_bytes()
            except (EOFError, OSError):
                break
            yield self._ship(raw)
        if not self._engine.wait_for_end(_END_SECONDS):
            self._engine.kill()
            self._engine.wait_for_end(_END_SECONDS)
        refused = self._engine.refused_memory()
        yield Shipment(end=EngineEnd(self._engine.exit_description(), self._engine.signal_name, refused))

    def kill(self) -> None:
        self._engine.kill()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _prepare(self, command: dict[str, Any], files: dict[str, Parcel] | Any) -> None:
        """Put a job's input pictures here, and name its folder."""
        run = int(command["run"])
        spool = self._folder / str(run)
        spool.mkdir(parents=True)
        self._spools[run] = spool
        for role in command["inputs"]:
            path = self._folder / f"{run}.inputs" / f"{role}.png"
            if role not in files:
                raise OSError(f"The picture {role} of the job did not come to the engine's machine")
            unpack(files[role], path, self._carrier)
            command["inputs"][role] = str(path)
        command["spool"] = str(spool)

    def _refuse(self, command: dict[str, Any], message: str, code: str) -> None:
        """Answer a command that cannot be passed on, as the engine would. The engine itself is asked to say it, so
        that its answers stay in order."""
        if command["type"] == "run_job":
            answer = encode(Failed(run=command["run"], code=code, message=message))
        else:
            answer = encode(LoadNotDone(message=message, code=code))
        with self._own_lock:
            self._own.append(Shipment(answer))
        # Its answer to this comes at once, and brings ours along.
        self.take_urgent(b'{"type": "tell_memory"}')

    def _ship(self, raw: bytes) -> Shipment:
        event = json.loads(raw)
        with self._own_lock:
            if self._own and event["type"] == "memory":
                return self._own.pop(0)
        kind = event["type"]
        if kind == "loaded":
            self._keys[self._key] = event["key"]
            event["key"] = self._key
            return Shipment(json.dumps(event).encode())
        if event.get("run") in self._shared:
            if kind in _RUN_ENDS:
                self._shared.discard(event["run"])
            return Shipment(raw)
        if kind == "preview" and event["path"]:
            return self._ship_files(raw, Path(event["path"]).parent, (Path(event["path"]).name,))
        if kind == "finished":
            return self._ship_finished(raw)
        if kind in _RUN_ENDS:
            self._forget(int(event["run"]))
        if kind == "failed" and event["code"] == "output_failed" and _NO_ROOM in event["message"]:
            message = _describe_full(OSError(errno.ENOSPC, _NO_ROOM))
            return Shipment(encode(Failed(run=event["run"], code=MachineFull.code, message=message)))
        return Shipment(raw)

    def _ship_finished(self, raw: bytes) -> Shipment:
        event = decode_event(raw)
        assert isinstance(event, Finished)
        try:
            return self._ship_files(raw, self._spools[event.run], event.files)
        finally:
            self._forget(event.run)

    def _ship_files(self, raw: bytes, folder: Path, names: tuple[str, ...]) -> Shipment:
        files: dict[str, Parcel] = {}
        try:
            for name in names:
                files[name] = pack(folder / name, self._carrier, count_beside(files))
            return Shipment(raw, files)
        except OSError as error:
            event = decode_event(raw)
            if isinstance(event, Preview):
                return Shipment(encode(event.model_copy(update={"path": ""})))
            assert isinstance(event, Finished)
            if is_full(error):
                return Shipment(encode(Failed(run=event.run, code=MachineFull.code, message=_describe_full(error))))
            message = f"The result could not be read on the engine's machine: {error.strerror or error}"
            return Shipment(encode(Failed(run=event.run, code="output_failed", message=message)))

    def _forget(self, run: int) -> None:
        self._spools.pop(run, None)
        for name in (str(run), f"{run}.inputs"):
            shutil.rmtree(self._folder / name, ignore_errors=True)


def _describe_full(error: BaseException) -> str:
    why = error.strerror if isinstance(error, OSError) and error.strerror else error
    return f"The engine's machine has no room for what the job needs there: {why}"


def _check_shared(command: dict[str, Any]) -> None:
    """Raises OSError where this machine does not see the server's files."""
    for path in (Path(command["spool"]), *map(Path, command["inputs"].values())):
        if not path.exists():
            raise OSError(
                f"{path.name} is not in {path.parent} as the engine's machine sees it: with cluster.files = "
                '"shared" all machines must have that folder under the same path'
            )
