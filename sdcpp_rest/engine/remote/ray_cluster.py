"""Runs engines on the nodes of a Ray cluster: one actor for each engine, which owns the engine's process there.

The only module that knows Ray, and it is imported in the gateway's process and in the actors alone. Ray gives the
membership, the placement, the lives of actors, the streams and the store of objects.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import ray
import ray.exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sdcpp_rest.engine.launchers import ProcessLauncher
from sdcpp_rest.engine.log_tail import RawLog
from sdcpp_rest.engine.remote.cluster import ClusterNode, tell_apart
from sdcpp_rest.engine.remote.head_tls import TlsMismatch, check_tls
from sdcpp_rest.engine.remote.host import EngineHost, first_folder, take_folder
from sdcpp_rest.engine.remote.model_places import ModelPlaces
from sdcpp_rest.engine.remote.node_logs import ANSWER_SECONDS, LOG_FILE, SILENT, read_node_log
from sdcpp_rest.engine.remote.node_settings import (
    ENGINE_RESOURCE,
    NAME_LABEL,
    VERSION_LABEL,
    NodeSettings,
    our_version,
)
from sdcpp_rest.engine.remote.shipping import LinkLost, Shipment, count_beside
from sdcpp_rest.engine.worker_options import WorkerOptions

log = logging.getLogger(__name__)

NAMESPACE = "sdcpp-rest"
_START_SECONDS = 120.0
_FILES_SECONDS = 30.0
_HEAD_SECONDS = 5.0
# Where a store is full to its last byte, Ray cannot even note that something does not fit, and lets one wait for ever.
_PIECE_SECONDS = 120.0
# With the message around it, less than what Ray keeps out of its store of objects (100 KiB).
_SMALL_BYTES = 64 * 1024
_SMALL_MESSAGE_BYTES = 90 * 1024
# What Ray sets for its own workers, and what would make an engine compute with one thread.
_RAYS_OWN = ("OMP_NUM_THREADS",)
_Full = (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError)
_Error = (ray.exceptions.RayError, ConnectionError, TimeoutError)


class RayCarrier:
    """Carries pieces of files in Ray's store of objects; small ones in the message itself. A full store spills to the
    disk: there is no room when that is full, too."""

    def put(self, piece: bytes, beside_bytes: int = 0) -> Any:
        """Raises OSError."""
        if beside_bytes + len(piece) <= _SMALL_BYTES:
            return piece
        try:
            return ray.put(piece)
        except _Full as error:
            raise _no_room() from error

    def get(self, piece: Any) -> bytes:
        """Raises LinkLost, OSError."""
        if isinstance(piece, bytes):
            return piece
        try:
            found: bytes = ray.get(piece, timeout=_PIECE_SECONDS)
        except _Full as error:
            raise _no_room() from error
        except _Error as error:
            raise LinkLost(_sentence(error)) from error
        return found


class EngineHostActor:
    """Owns one engine on its node. Ray ends it with the process that has made it."""

    def __init__(self, options: bytes, slot: int) -> None:
        for name in _RAYS_OWN:
            os.environ.pop(name, None)
        settings = NodeSettings.of_environment(os.environ)
        folder, self._lock = take_folder(Path(settings.data_dir), slot)
        launcher = ProcessLauncher(
            replace(
                WorkerOptions.from_json(options),
                log_path=str(folder / LOG_FILE),
                last_words_path=str(folder / "last_words"),
            )
        )
        places = ModelPlaces({word: Path(root) for word, root in settings.roots.items()})
        self._folder = folder.name
        self._host = EngineHost(launcher, places, RayCarrier(), folder / "jobs")

    @ray.method(concurrency_group="commands")
    def introduce(self) -> tuple[int, str]:
        return self._host.pid, self._folder

    @ray.method(concurrency_group="commands")
    def take(self, shipment: Shipment) -> None:
        self._host.take(shipment)

    @ray.method(concurrency_group="commands")
    def find_missing(self, places: list[str]) -> list[tuple[str, int]]:
        return self._host.find_missing(places)

    @ray.method(concurrency_group="commands")
    def add_piece(self, place: str, offset: int, piece: list[Any]) -> str:
        return self._host.add_piece(place, offset, piece[0])

    @ray.method(concurrency_group="urgent")
    def take_urgent(self, message: bytes) -> None:
        self._host.take_urgent(message)

    @ray.method(concurrency_group="events", num_returns="streaming")
    def events(self) -> Iterator[Shipment]:
        yield from self._host.events()


_Actor: Any = ray.remote(
    num_cpus=0, max_restarts=0, max_task_retries=0, concurrency_groups={"commands": 1, "urgent": 1, "events": 1}
)(EngineHostActor)


class RayLink:
    """Carries messages to one actor and back."""

    def __init__(self, actor: Any) -> None:
        self.carrier = RayCarrier()
        self._actor = actor
        try:
            self.pid, self.folder = cast("tuple[int, str]", ray.get(actor.introduce.remote(), timeout=_START_SECONDS))
            self._events = actor.events.remote()
        except _Error as error:
            ray.kill(actor)
            raise LinkLost(_sentence(error)) from error

    def send(self, shipment: Shipment) -> None:
        """Raises OSError, LinkLost."""
        size = len(shipment.message) + count_beside(shipment.files)
        try:
            taken = self._actor.take.remote(shipment)
            if size > _SMALL_MESSAGE_BYTES:
                # It goes through the store of objects, on both machines: nobody else would hear that it did not.
                ray.get(taken, timeout=_PIECE_SECONDS)
        except _Full as error:
            raise _no_room() from error
        except TimeoutError as error:
            raise LinkLost(f"a command has not arrived for {_PIECE_SECONDS:.0f} s") from error
        except _Error as error:
            raise OSError(_sentence(error)) from error

    def send_urgent(self, message: bytes) -> None:
        self._actor.take_urgent.remote(message)

    def receive(self) -> Shipment:
        """Raises LinkLost."""
        try:
            shipment: Shipment = ray.get(next(self._events))
        except StopIteration:
            raise LinkLost("what holds the engine on its node has ended") from None
        except _Error as error:
            raise LinkLost(_sentence(error)) from error
        return shipment

    def find_missing(self, places: Sequence[str]) -> Sequence[tuple[str, int]]:
        """Raises LinkLost."""
        return cast("Sequence[tuple[str, int]]", _get(self._actor.find_missing.remote(list(places))))

    def add_piece(self, place: str, offset: int, piece: Any) -> str:
        """Raises LinkLost."""
        # In a list it stays a reference, which the actor takes from the store by itself.
        return str(_get(self._actor.add_piece.remote(place, offset, [piece])))

    def kill(self) -> None:
        ray.kill(self._actor)


def _no_room() -> OSError:
    return OSError(errno.ENOSPC, "Ray's store of objects is full, and so is the disk that it spills to")


def _get(reference: Any) -> Any:
    """What an actor answers. Raises LinkLost."""
    try:
        return ray.get(reference)
    except _Error as error:
        raise LinkLost(_sentence(error)) from error


def _list_here() -> dict[str, int]:
    """The model files of the node on which this runs."""
    settings = NodeSettings.of_environment(os.environ)
    return ModelPlaces({word: Path(root) for word, root in settings.roots.items()}).list_files()


_list_files: Any = ray.remote(num_cpus=0, max_retries=0)(_list_here)


def _read_here(folder: str, count: int) -> RawLog:
    """The log of the engine that has this folder of the node on which this runs."""
    settings = NodeSettings.of_environment(os.environ)
    return read_node_log(Path(settings.data_dir) / folder, (settings.data_dir, *settings.roots.values()), count)


_read_log: Any = ray.remote(num_cpus=0, max_retries=0)(_read_here)


class RayCluster:
    """Starts engines on the nodes of one cluster.

    Args:
        address: ``HOST:PORT`` of its head, or ``auto`` for the one that this machine is part of.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._files: dict[str, dict[str, int]] = {}
        self._names: dict[str, str] = {}
        self._asked: dict[str, Any] = {}
        # What engines have called their folders: machines may have one data folder.
        self._folders: dict[tuple[str, int], str] = {}
        self._look_at = 0.0

    def connect(self) -> None:
        """Raises LinkLost."""
        host, is_place, port = self._address.rpartition(":")
        if is_place:
            _check_head(host.strip("[]"), int(port))
        # Ray takes the machine's own address for 127.0.0.1, and looks for a node of that.
        where = {"_node_ip_address": host} if host.startswith("127.") else {}
        try:
            ray.init(
                address=self._address,
                namespace=NAMESPACE,
                log_to_driver=False,
                configure_logging=False,
                logging_level=logging.WARNING,
                **where,
            )
        except ConnectionError as error:
            # It does not say which: a head of another token answers nobody.
            why = "no head answers there, or its token is another one than that of cluster.token_file"
            raise LinkLost(f"{_sentence(error)}: {why}") from error
        except (*_Error, RuntimeError, ValueError, OSError) as error:
            raise LinkLost(_sentence(error)) from error

    def nodes(self) -> Sequence[ClusterNode]:
        """Raises LinkLost."""
        try:
            there = [node for one in ray.nodes() if one["Alive"] and (node := _node_of(one)).engines]
        except _Error as error:
            raise LinkLost(_sentence(error)) from error
        there = tell_apart(there, self._names)
        self._ask_for_files([node for node in there if not node.fault])
        # One that has not said yet which models it has could be given no job.
        told = [node for node in there if node.fault or node.id in self._files]
        return [replace(node, files=self._files.get(node.id, {})) for node in told]

    def _ask_for_files(self, nodes: Sequence[ClusterNode]) -> None:
        """Have every node list its model files now and then; takes in what has been listed."""
        if is_due := time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _FILES_SECONDS
        there = {node.id for node in nodes}
        for gone in (self._files.keys() | self._asked.keys()) - there:
            self._files.pop(gone, None)
            self._asked.pop(gone, None)
        for node_id in there:
            if node_id not in self._asked and (is_due or node_id not in self._files):
                here = NodeAffinitySchedulingStrategy(node_id, soft=False)
                self._asked[node_id] = _list_files.options(scheduling_strategy=here).remote()
        waiting = list(self._asked.values())
        answered = ray.wait(waiting, num_returns=len(waiting), timeout=0)[0] if waiting else ()
        for node_id in [one for one, asked in self._asked.items() if asked in answered]:
            try:
                self._files[node_id] = ray.get(self._asked.pop(node_id))
            except _Error as error:
                log.warning("node %s does not list its models: %s", node_id, _sentence(error))

    def open(self, node_id: str, slot: int, options: WorkerOptions) -> RayLink:
        """Raises LinkLost."""
        name = f"engine-{node_id}-{slot}"
        try:
            _end_earlier(name)
            gpus = next((_node_of(one).gpus for one in ray.nodes() if one["NodeID"] == node_id), 0)
            actor = _Actor.options(
                name=name,
                resources={ENGINE_RESOURCE: 1},
                num_gpus=1 if slot < gpus else 0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
            ).remote(options.to_json(), slot)
        except (*_Error, ValueError) as error:
            raise LinkLost(_sentence(error)) from error
        link = RayLink(actor)
        self._folders[node_id, slot] = link.folder
        return link

    def read_log(self, node_id: str, slot: int, count: int) -> RawLog:
        """Raises LinkLost."""
        here = NodeAffinitySchedulingStrategy(node_id, soft=False)
        folder = self._folders.get((node_id, slot)) or first_folder(slot)
        asked = _read_log.options(scheduling_strategy=here).remote(folder, count)
        try:
            return cast("RawLog", ray.get(asked, timeout=ANSWER_SECONDS))
        except ray.exceptions.GetTimeoutError:
            ray.cancel(asked)
            raise LinkLost(SILENT) from None
        except _Error as error:
            raise LinkLost(_sentence(error)) from error

    def want(self, engines: int) -> None:
        """Raises LinkLost."""
        from ray.autoscaler.sdk import request_resources

        try:
            request_resources(bundles=[{ENGINE_RESOURCE: 1}] * engines)
        except _Error as error:
            raise LinkLost(_sentence(error)) from error

    def close(self) -> None:
        ray.shutdown()


def _check_head(host: str, port: int) -> None:
    """Raises LinkLost where no head listens, or TLS with it cannot be: Ray itself would try for long."""
    try:
        with socket.create_connection((host, port), _HEAD_SECONDS) as connection:
            check_tls(connection, os.environ)
    except TlsMismatch as error:
        raise LinkLost(str(error)) from None
    except OSError as error:
        raise LinkLost(f"no head answers at {host}:{port}: {error.strerror or error}") from error


def _end_earlier(name: str) -> None:
    """End the engine of that name that an earlier gateway has left behind."""
    try:
        ray.kill(ray.get_actor(name, namespace=NAMESPACE))
    except ValueError:
        return


def _node_of(told: dict[str, Any]) -> ClusterNode:
    resources, labels = told["Resources"], told.get("Labels") or {}
    ours, theirs = our_version(), labels.get(VERSION_LABEL, "")
    fault = "" if ours == theirs else f"it has sdcpp-rest {theirs or 'of an unknown version'}, this server has {ours}"
    return ClusterNode(
        id=told["NodeID"],
        name=labels.get(NAME_LABEL) or told["NodeName"],
        address=told["NodeManagerAddress"],
        engines=int(resources.get(ENGINE_RESOURCE, 0)),
        gpus=int(resources.get("GPU", 0)),
        versions={"sdcpp-rest": theirs, "ray": ray.__version__, "python": sys.version.split()[0]},
        fault=fault,
    )


def _sentence(error: BaseException) -> str:
    """The first line of what Ray says, which is long."""
    text = " ".join(str(error).split("\n\t")[0].split()) or type(error).__name__
    return text[:400]
