"""Reports the engines one by one: what each works on, what it holds, what it has done, and why it does nothing.

Reads what the engines last said of themselves, and never waits for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import psutil

from sdcpp_rest.engine.places import engine_file
from sdcpp_rest.engine.protocol import Device
from sdcpp_rest.services.dispatch.engine_pool import EnginePool
from sdcpp_rest.services.dispatch.lane import Lane
from sdcpp_rest.services.jobs.job_queue import JobQueue

_NONE_OF_ITS_OWN = "This server has no engine of its own (engines.devices is none)"
NO_ENGINE = f"{_NONE_OF_ITS_OWN}: jobs wait, and nothing is computed here"
_WORKS = frozenset({"loading", "running"})
_REASONS = {
    "starting": "It waits for its engine to start",
    "dead": "Its engine has ended; another one follows",
    "stopped": "The server is stopping",
}


class EnginesStatus:
    """Describes every engine. Thread-safe.

    Args:
        redact_paths: takes out of messages what users must not know.
        describe_cluster: how the cluster stands; ``None`` where there is none.
    """

    def __init__(
        self,
        pool: EnginePool,
        queue: JobQueue,
        *,
        redact_paths: Callable[[str], str],
        describe_cluster: Callable[[], dict[str, Any]] | None = None,
    ) -> None:
        self._pool = pool
        self._describe_cluster = describe_cluster
        self._queue = queue
        self._redact_paths = redact_paths

    @property
    def home(self) -> Lane:
        return self._pool.home

    @property
    def lanes(self) -> list[Lane]:
        """Those that compute, the home one first; none on a server without engines."""
        return [lane for lane in self._pool.lanes if lane.has_engine]

    def describe(self) -> dict[str, Any]:
        """The body of ``GET /engines``."""
        lanes = self.lanes
        waits = bool(self._queue.counts()["pending"])
        return {
            "engines": [self._describe(lane, waits) for lane in lanes],
            "why": None if lanes else self.tell_no_engine(),
            "cluster": self.describe_cluster(),
        }

    def tell_no_engine(self) -> str:
        """Why this server has no engine, and with a cluster what it waits for, in a sentence."""
        cluster = self.describe_cluster()
        if cluster is None:
            return NO_ENGINE
        address, nodes = cluster["address"], cluster["nodes"]
        if not cluster["is_connected"]:
            return f"{_NONE_OF_ITS_OWN}, and the cluster at {address} cannot be reached: {cluster['trouble']}"
        if nodes:
            faults = ", ".join(f"{node['name']} ({node['fault'] or _tell_unused(node)})" for node in nodes)
            return f"{_NONE_OF_ITS_OWN}, and no machine of the cluster at {address} is used: {faults}"
        where = "HOST:PORT" if address == "auto" else address
        return (
            f"{_NONE_OF_ITS_OWN} and waits for machines of the cluster at {address}, which has none yet. Each joins "
            f"with: sdcpp-rest cluster join {where} --token-file FILE"
        )

    def describe_cluster(self) -> dict[str, Any] | None:
        """The cluster's part of ``GET /engines``; ``None`` where there is none."""
        return None if self._describe_cluster is None else self._describe_cluster()

    def counts(self) -> dict[str, int]:
        """How many engines there are, and how many of them could compute now."""
        lanes = self.lanes
        return {"count": len(lanes), "available": sum(is_available(lane) for lane in lanes)}

    def kept_models(self) -> list[dict[str, Any]]:
        """Every model that an engine holds: ``name``, ``engine``, and ``bytes``, ``None`` where nobody knows."""
        return [
            {"name": model.spec.model.name, "engine": lane.name, "bytes": model.needed_bytes or None}
            for lane in self.lanes
            for model in tuple(lane.holding.held.values())
        ]

    def kept_by(self) -> dict[str, tuple[str, ...]]:
        """Which engines hold a model, by the path of its file."""
        found: dict[str, tuple[str, ...]] = {}
        for lane in self.lanes:
            for path in {spec.model.path for spec in lane.holding.specs}:
                found[path] = (*found.get(path, ()), lane.name)
        return found

    def find_trouble(self, lane: Lane) -> str | None:
        """Why ``lane`` cannot compute now, in a sentence; ``None``: it can."""
        if is_available(lane):
            return None
        if lane.trouble:
            return self._redact_paths(lane.trouble)
        return _REASONS.get(lane.supervisor.state, _REASONS["starting"])

    def describe_process(self, lane: Lane | None) -> dict[str, Any]:
        """The process of ``lane``'s engine, or of the home one's: ``pid`` and ``restarts``."""
        supervisor = (lane or self.home).supervisor
        client = supervisor.client
        return {
            "pid": client.pid if client is not None and client.alive else None,
            "restarts": supervisor.restarts,
        }

    def log_name(self, lane: Lane | None) -> str:
        """The file in the folder of logs that the engine of ``lane`` writes, which is on this machine, or the home
        one's."""
        here = [one for one in self._pool.lanes if one.supervisor.read_log is None]
        return engine_file(1 if lane is None else here.index(lane) + 1, "log")

    def _find_reason(self, lane: Lane, waits: bool) -> str | None:
        """Why ``lane`` computes nothing, in a sentence; ``None``: it does. ``waits``: whether any job does."""
        trouble = self.find_trouble(lane)
        if trouble is not None or is_busy(lane):
            return trouble
        if self._queue.is_paused:
            return "The queue is paused"
        return "No job waits that it may take now" if waits else "No job waits"

    def _describe(self, lane: Lane, waits: bool) -> dict[str, Any]:
        supervisor, holding = lane.supervisor, lane.holding
        client, ready, current, loading = supervisor.client, supervisor.ready, holding.current, holding.loading
        upscaler = holding.upscaler
        devices = devices_of(lane)
        device = _main_of(devices)
        memory = model_memory(lane)
        report = client.memory if client is not None and client.alive else None
        return {
            "name": lane.name or None,
            "device": (device.description or device.name) if device is not None else None,
            "devices": [
                {"name": one.name, "description": one.description, "is_used": one is device} for one in devices
            ],
            "is_home": lane is self._pool.home,
            "is_available": is_available(lane),
            "state": supervisor.state,
            "why": self._find_reason(lane, waits),
            **self.describe_process(lane),
            "backend": ready.backend if ready else None,
            "job_id": lane.job_id,
            "model_name": current.spec.model.name if current else None,
            "loading_model_name": loading.model.name if loading else None,
            "models": [
                {"name": model.spec.model.name, "bytes": model.needed_bytes or None, "is_current": model is current}
                for model in reversed(tuple(holding.held.values()))
            ],
            "upscaler_name": upscaler.model.name if upscaler else None,
            "threads": report.threads.model_dump() if report and report.threads else None,
            "memory": {
                "rss_bytes": report.rss_bytes if report else None,
                "free_bytes": memory and memory[0],
                "total_bytes": memory and memory[1],
            },
            "counters": {
                "busy_seconds": round(lane.counts.busy_seconds, 3),
                "loads": lane.residency.loads,
                "affinity_hits": lane.counts.hits,
            },
        }


def _tell_unused(node: dict[str, Any]) -> str:
    """Why a node without a fault has no engine."""
    if node["is_draining"]:
        return "drained"
    return "its engine is about to be started" if node["engines"] else "it offers none"


def is_available(lane: Lane) -> bool:
    """Whether a job could begin on ``lane``'s engine, or does something there."""
    supervisor = lane.supervisor
    can_work = supervisor.is_alive and supervisor.state in ("idle", *_WORKS)
    return lane.has_engine and lane.trouble is None and can_work


def is_busy(lane: Lane) -> bool:
    """Whether ``lane``'s engine computes or loads."""
    return lane.job_id is not None or lane.supervisor.state in _WORKS


def devices_of(lane: Lane) -> Sequence[Device]:
    """What the engine of ``lane`` last said of its devices; free memory is never more than there is."""
    client, ready = lane.supervisor.client, lane.supervisor.ready
    report = client.memory if client is not None and client.alive else None
    devices: Sequence[Device] = report.devices if report else (ready.devices if ready else ())
    return [device.model_copy(update={"free_bytes": min(device.free_bytes, device.total_bytes)}) for device in devices]


def main_device(lane: Lane) -> Device | None:
    """The device that models of ``lane`` run on."""
    return _main_of(devices_of(lane))


def _main_of(devices: Sequence[Device]) -> Device | None:
    return next((device for device in devices if device.is_gpu), devices[0] if devices else None)


def model_memory(lane: Lane) -> tuple[int, int] | None:
    """Bytes of the memory that the models of ``lane`` lie in: free now, and all of it; ``None`` before its engine has
    said where that is."""
    device = main_device(lane)
    if device is None:
        return None
    if device.is_gpu:
        return device.free_bytes, device.total_bytes
    system = psutil.virtual_memory()
    return int(system.available), int(system.total)


def free_bytes_now(lane: Lane) -> int | None:
    """Free bytes of the memory that the models of ``lane`` lie in, as its engine says when it is asked; ``None`` where
    it does not answer."""
    client = lane.supervisor.client
    if client is None or client.look_at_memory() is None:
        return None
    memory = model_memory(lane)
    return None if memory is None else memory[0]
