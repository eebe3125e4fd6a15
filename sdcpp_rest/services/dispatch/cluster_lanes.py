"""Keeps a lane for each engine of a cluster: nodes join and leave, and their lanes with them.

Knows nodes as the gateway tells of them, and builds lanes with what it is given; must not know what kind of cluster it
is.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.engine.remote.cluster import ClusterNode
from sdcpp_rest.services.dispatch.engine_pool import EnginePool
from sdcpp_rest.services.dispatch.lane import Lane
from sdcpp_rest.services.models.file_stamps import spec_paths, stamps_of

log = logging.getLogger(__name__)

# A node that is gone answers nobody: its lane's thread ends as soon as it hears of it.
_GONE_SECONDS = 5.0
# A node that is drained finishes what it has begun, however long that takes.
_DRAINED_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Seat:
    """Where one engine of a cluster works: the node, and which of its engines, from 0."""

    node: ClusterNode
    slot: int

    @property
    def key(self) -> tuple[str, int]:
        return self.node.id, self.slot

    @property
    def name(self) -> str:
        """What jobs and people call the engine."""
        return f"{self.node.name}:{self.slot}"


class ClusterLanes:
    """Adds lanes to the pool and takes them out. Thread-safe.

    Args:
        build: builds the lane of a seat.
        sends_models: whether a node is given the model files that it lacks.
        name_file: the name of a model file on all machines, by its path here; ``None`` for one that is only here.
        most: engines that are used.
    """

    def __init__(
        self,
        pool: EnginePool,
        build: Callable[[Seat], Lane],
        most: int,
        name_file: Callable[[str], str | None],
        *,
        sends_models: bool = False,
    ) -> None:
        self._sends_models = sends_models
        self._pool = pool
        self._name_file = name_file
        self._build = build
        self._most = most
        self._lock = threading.Lock()
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._is_closed = False
        self.nodes: tuple[ClusterNode, ...] = ()

    def take(self, nodes: Sequence[ClusterNode]) -> None:
        """Take in which nodes there are now."""
        with self._lock:
            if self._is_closed:
                return
            for node in set(nodes) - set(self.nodes):
                level = logging.WARNING if node.fault else logging.INFO
                log.log(level, "node %s %s", node.name, f"is not used: {node.fault}" if node.fault else "is there")
            changed = {node.id for node in nodes if node not in self.nodes}
            self.nodes = tuple(nodes)
            used = [node for node in nodes if not node.fault and not node.is_draining]
            wanted = {seat.key: seat for node in used for seat in (Seat(node, slot) for slot in range(node.engines))}
            there = {node.id for node in nodes}
            for key in [key for key in self._lanes if key not in wanted]:
                self._remove(key, _DRAINED_SECONDS if key[0] in there else _GONE_SECONDS)
            for key, seat in list(wanted.items()):
                if key not in self._lanes and len(self._lanes) < self._most:
                    self._lanes[key] = lane = self._build(seat)
                    lane.lacks = functools.partial(self._lacks, seat.node.id)
                    self._pool.add(lane, is_running=True)
                    log.info("engine %s has joined", seat.name)
            for key, lane in self._lanes.items():
                if key[0] in changed:
                    # It may have a model now that a job waits for.
                    lane.wake()

    def _lacks(self, node_id: str, spec: LoadSpec) -> bool:
        """Whether a node lacks a file of ``spec``, or has another one under its name."""
        files = next((node.files for node in self.nodes if node.id == node_id), {})
        for path in spec_paths(spec):
            name, stamps = self._name_file(path), stamps_of([path])
            is_missing = name is not None and name not in files
            if is_missing and self._sends_models and path in stamps:
                continue
            if name is None or is_missing or (path in stamps and files[name] != stamps[path].size_bytes):
                return True
        return False

    def close(self) -> None:
        """Take in nothing more; the pool stops the lanes. Idempotent."""
        with self._lock:
            self._is_closed = True

    def _remove(self, key: tuple[str, int], timeout_seconds: float) -> None:
        lane = self._lanes.pop(key)
        self._pool.remove(lane)
        log.info("engine %s has left", lane.name)
        threading.Thread(target=_stop, args=(lane, timeout_seconds), name="lane-end", daemon=True).start()


def _stop(lane: Lane, timeout_seconds: float) -> None:
    lane.stop(timeout_seconds)
    lane.supervisor.stop()
