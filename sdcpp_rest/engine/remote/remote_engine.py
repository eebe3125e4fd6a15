"""Makes an engine on another machine look like one that was started here: its files come and go with its messages.

Knows the protocol as far as it names files. How messages travel is the link's business.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.engine.protocol import Failed, encode
from sdcpp_rest.engine.remote.model_places import ModelPlaces, PlaceError, places_in
from sdcpp_rest.engine.remote.shared_desks import SharedDesks
from sdcpp_rest.engine.remote.shipping import (
    PIECE_BYTES,
    EndingEngine,
    EngineEnd,
    HostLink,
    LinkLost,
    Parcel,
    Shipment,
    count_beside,
    is_full,
    pack,
    unpack,
)

log = logging.getLogger(__name__)

_URGENT = ("cancel_job", "tell_memory", "watch_previews", "shutdown")


class RemoteEngine(EndingEngine):
    """Runs one engine on another machine, from its start to its end; it is its own connection.

    Args:
        sends_models: whether the machine is given the model files that it lacks.
        shares_files: whether it sees the folders in which jobs have their files, under the same paths.
    """

    def __init__(
        self,
        open_link: Callable[[], HostLink],
        places: ModelPlaces,
        *,
        sends_models: bool = False,
        shares_files: bool = False,
    ) -> None:
        self._sends_models = sends_models
        self._desks = SharedDesks() if shares_files else None
        self.is_lost = False
        self._places = places
        self._spools: dict[int, Path] = {}
        self._ended = threading.Event()
        self._was_killed = False
        try:
            self._link: HostLink | None = open_link()
        except LinkLost as error:
            self._link = None
            self._lose(error)

    @property
    def connection(self) -> RemoteEngine:
        return self

    @property
    def pid(self) -> int:
        return 0 if self._link is None else self._link.pid

    # --- as a connection --------------------------------------------------------------------------------------------

    def send_bytes(self, message: bytes) -> None:
        """Raises OSError when the engine is gone."""
        link = self._link
        if link is None:
            raise OSError("the engine is gone")
        command: dict[str, Any] = json.loads(message)
        kind = command["type"]
        if kind in _URGENT:
            link.send_urgent(message)
            return
        files: dict[str, Parcel] = {}
        key = refusal = ""
        if kind == "load_model":
            key = LoadSpec.model_validate(command["spec"]).key
        if kind == "run_job":
            files, refusal = self._give_files(link, command)
        try:
            command = self._places.send(command)
        except PlaceError as error:
            # Left as it is: the machine has no such path, and says so.
            log.warning("%s", error)
        if self._sends_models:
            self._send_models(link, command)
        is_shared = self._desks is not None
        shipment = Shipment(json.dumps(command).encode(), files, key, shares_files=is_shared, refusal=refusal)
        try:
            link.send(shipment)
        except OSError as error:
            if not is_full(error):
                raise
            # Whoever waits for an answer gets one: what says so is small enough for the message.
            stub = {name: command[name] for name in ("type", "run") if name in command}
            why = f"The engine's machine is not told what to do: {error.strerror}"
            link.send(Shipment(json.dumps(stub).encode(), refusal=why))

    def _give_files(self, link: HostLink, command: dict[str, Any]) -> tuple[dict[str, Parcel], str]:
        """Name the folder of a run, and pack its pictures; or why that cannot be done, which the machine says in answer
        to the command."""
        files: dict[str, Parcel] = {}
        what = "The folder of the job is not made for"
        self._spools[command["run"]] = spool = Path(command["spool"])
        try:
            if self._desks is not None:
                command["spool"] = str(self._desks.open(command["run"], spool))
                return files, ""
            for role, path in command["inputs"].items():
                what = f"The picture {role} of the job did not come to"
                files[role] = pack(Path(path), link.carrier, count_beside(files))
        except OSError as error:
            log.warning("the files of job %s are not given to its engine: %s", command["job_id"], error)
            return {}, f"{what} the engine's machine: {error.strerror or error}"
        return files, ""

    def _send_models(self, link: HostLink, command: dict[str, Any]) -> None:
        """Give the machine the model files of a command that it lacks. What does not come there is told by the machine
        when it is given the command."""
        places = places_in(command)
        try:
            for place, offset in link.find_missing(places) if places else ():
                path = Path(self._places.path_at(place))
                log.info("%s is sent to the machine of an engine, from byte %d on", path.name, offset)
                with path.open("rb") as file:
                    file.seek(offset)
                    while piece := file.read(PIECE_BYTES):
                        if why := link.add_piece(place, offset, link.carrier.put(piece)):
                            log.warning("%s", why)
                            break
                        offset += len(piece)
        except (OSError, PlaceError) as error:
            log.warning("a model is not sent: %s", error)
        except LinkLost as error:
            raise OSError(str(error)) from error

    def is_urgent(self, message: bytes) -> bool:
        """Whether a message goes before those that wait for their files."""
        return json.loads(message)["type"] in _URGENT

    def recv_bytes(self) -> bytes:
        """Raises EOFError when there will be nothing more."""
        if self._link is None:
            raise EOFError
        try:
            shipment = self._link.receive()
            if shipment.end is not None:
                self._note_end(shipment.end)
                raise EOFError
            return self._take_files(self._link, shipment)
        except LinkLost as error:
            self._lose(error)
            raise EOFError from None

    def _take_files(self, link: HostLink, shipment: Shipment) -> bytes:
        event: dict[str, Any] = json.loads(shipment.message)
        run = event.get("run")
        is_end = event["type"] in ("finished", "failed", "cancelled")
        if is_end:
            spool = self._spools.pop(int(event["run"]), None)
        else:
            spool = self._spools.get(run) if run is not None else None
        names = [Path(event["path"]).name] if event.get("path") else list(event.get("files", ()))
        if spool is None or not (names or is_end):
            return shipment.message
        try:
            if self._desks is not None:
                self._desks.take(event["run"], names, spool, is_end=is_end)
            else:
                for name in names:
                    unpack(shipment.files[name], spool / name, link.carrier)
        except OSError as error:
            if event["type"] == "preview":
                return json.dumps({**event, "path": ""}).encode()
            message = f"The result could not be written: {error.strerror or error}"
            return encode(Failed(run=event["run"], code="output_failed", message=message))
        if event["type"] == "preview":
            (name,) = names
            return json.dumps({**event, "path": str(spool / name)}).encode()
        return shipment.message

    def _lose(self, error: LinkLost) -> None:
        self.is_lost = not self._was_killed
        self._note_end(EngineEnd("it was ended from here" if self._was_killed else str(error)))

    def _note_end(self, end: EngineEnd) -> None:
        self.end = end
        if self._desks is not None:
            self._desks.clear()
        self._ended.set()

    # --- as a launched engine ---------------------------------------------------------------------------------------

    def kill(self) -> None:
        self._was_killed = True
        if self._link is not None:
            self._link.kill()

    def wait_for_end(self, timeout_seconds: float) -> bool:
        return self._ended.wait(timeout_seconds)
