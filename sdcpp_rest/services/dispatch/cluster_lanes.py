"""Keeps a lane for each engine of a cluster: nodes join and leave, and their lanes with them.

Knows nodes as the gateway tells of them, and builds lanes with what it is given; must not know what kind of cluster it
is.
"""

from __future__ import annotations

import functools
import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.engine.client import EngineClient
from sdcpp_rest.engine.remote.cluster import ClusterNode
from sdcpp_rest.services.dispatch.engine_pool import EnginePool
from sdcpp_rest.services.dispatch.lane import Lane
from sdcpp_rest.services.dispatch.loss_watch import LossWatch
from sdcpp_rest.services.dispatch.node_history import NodeHistory
from sdcpp_rest.services.dispatch.quarantine import Quarantine
from sdcpp_rest.services.models.file_stamps import spec_files, stamps_of
from sdcpp_rest.store.settings_store import SettingsStore

log = logging.getLogger(__name__)

# A lane whose node is gone, or that has come to rest: its thread ends as soon as it hears of it.
_END_SECONDS = 5.0
_DRAINED = "cluster.drained_nodes"


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
        most: engines that are used.
        name_file: the name of a model file on all machines, by its path here; ``None`` for one that is only here.
        settings: where the names of drained nodes are remembered: a server that comes back gives them no jobs either.
    """

    def __init__(
        self,
        pool: EnginePool,
        build: Callable[[Seat], Lane],
        most: int,
        name_file: Callable[[str], str | None],
        settings: SettingsStore,
        *,
        sends_models: bool = False,
    ) -> None:
        self._sends_models = sends_models
        self._pool = pool
        self._name_file = name_file
        self._build = build
        self._most = most
        self._settings = settings
        self._drained = frozenset[str](settings.get(_DRAINED, ()))
        self.quarantine = Quarantine()
        self.losses = LossWatch()
        self.history = NodeHistory()
        self._loss_lock = threading.Lock()
        self._lost: weakref.WeakSet[EngineClient] = weakref.WeakSet()
        self._timers: set[threading.Timer] = set()
        self._lock = threading.Lock()
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._leaving: set[tuple[str, int]] = set()
        self._is_closed = False
        self.nodes: tuple[ClusterNode, ...] = ()

    def take(self, nodes: Sequence[ClusterNode], *, is_reached: bool = True) -> None:
        """Take in which nodes there are now; ``is_reached``: whether the cluster says so, or cannot be reached."""
        with self._lock:
            if self._is_closed:
                return
            for node in set(nodes) - set(self.nodes):
                level = logging.WARNING if node.fault else logging.INFO
                log.log(level, "node %s %s", node.name, f"is not used: {node.fault}" if node.fault else "is there")
            changed = {node.id for node in nodes if node not in self.nodes}
            self.nodes = tuple(nodes)
            self.history.take({node.name for node in nodes})
            self._settle(counts_losses=is_reached)
            for key, lane in self._lanes.items():
                if key[0] in changed:
                    # It may have a model now that a job waits for.
                    lane.wake()

    def set_drained(self, name: str, is_drained: bool) -> None:
        """Drain every node of this name, or use it again; remembered beyond the server's end. A drained node's engines
        finish what they run, however long, and leave then."""
        with self._lock:
            drained = self._drained | {name} if is_drained else self._drained - {name}
            self._settings.put(_DRAINED, sorted(drained))
            self._drained = drained
            if not self._is_closed:
                self._settle()
        log.info("node %s is %s", name, "drained" if is_drained else "used again")

    def list_drained_away(self) -> list[str]:
        """Names that are drained, of nodes that are not there now."""
        return sorted(self._drained - {node.name for node in self.nodes})

    def is_draining(self, node: ClusterNode) -> bool:
        """Whether a node finishes what it runs and takes nothing more: the cluster says so, or somebody wants it."""
        return node.is_draining or node.name in self._drained

    def find_fault(self, node: ClusterNode) -> str:
        """Why a node is not used, in a sentence; empty: it is."""
        return node.fault or self.quarantine.find_fault(node.name)

    def note_end(self, name: str, *, was_lost: bool, client: EngineClient | None = None) -> None:
        """Take in that an engine of the node of this name was lost, which had started (its ``client``), or could not
        start; on any thread."""
        if was_lost:
            # An engine that does not start says nothing of its machine, which answers.
            self._note_loss(name, client)
        self._keep_from_jobs(name, self.quarantine.note_end(name))

    def pass_on(self, name: str, job: Job) -> bool:
        """Take in that the node of this name has no room for a job; on any thread. Returns whether an engine elsewhere
        can do it: the node gets no jobs for a while then, or it would take this one again at once."""
        with self._lock:
            others = [] if self._is_closed or job.device else self._pool.lanes
            if not any(_node_name(lane.name) != name and _can_do(lane, job) for lane in others):
                return False
        self._keep_from_jobs(name, self.quarantine.note_full(name))
        return True

    def _keep_from_jobs(self, name: str, seconds: float | None) -> None:
        if seconds is None:
            return
        log.warning("node %s is %s", name, self.quarantine.find_fault(name))
        with self._lock:
            if not self._is_closed:
                timer = threading.Timer(seconds, self.look_again)
                timer.daemon = True
                self._timers = {one for one in self._timers if one.is_alive()} | {timer}
                timer.start()
        self.look_again()

    def _note_loss(self, name: str, client: EngineClient | None) -> None:
        with self._loss_lock:
            # It is missed by who reads from it, and with its machine.
            if client is not None and client in self._lost:
                return
            if client is not None:
                self._lost.add(client)
        self.losses.note(name)
        self.history.note_loss(name)

    def were_most_lost(self) -> bool:
        """Whether more machines were lost in the last seconds than are left: no job is to blame for that."""
        return self.losses.were_most_lost({node.name for node in self.nodes if not node.fault})

    def note_completed(self, engine: str) -> None:
        """Take in that the engine of this name, here or on a node, has completed a job; on any thread."""
        if self.quarantine.note_completed(_node_name(engine)):
            self.look_again()

    def look_again(self) -> None:
        """Take in that a quarantine has begun or ended."""
        with self._lock:
            if not self._is_closed:
                self._settle()

    def close(self) -> None:
        """Take in nothing more; the pool stops the lanes. Idempotent."""
        with self._lock:
            self._is_closed = True
            for timer in self._timers:
                timer.cancel()

    def _settle(self, *, counts_losses: bool = False) -> None:
        """Have the lanes that there should be, now that nodes or what is wanted of them may have changed."""
        used = [node for node in self.nodes if not self.find_fault(node) and not self.is_draining(node)]
        wanted = {seat.key: seat for node in used for seat in (Seat(node, slot) for slot in range(node.engines))}
        there = {node.id for node in self.nodes}
        for key, lane in list(self._lanes.items()):
            if key[0] not in there:
                client = lane.supervisor.client
                if counts_losses and not lane.is_held and client is not None and client.may_be_lost:
                    # Its engine may not have been missed yet.
                    self._note_loss(_node_name(lane.name), client)
                self._remove(key, is_there=False)
            elif lane.is_held != (key not in wanted):
                # One that is wanted again before it has left goes on: another one there would end its job.
                lane.is_held = key not in wanted
                lane.wake()
        for key, seat in wanted.items():
            if key not in self._lanes and key not in self._leaving and len(self._lanes) < self._most:
                self._lanes[key] = lane = self._build(seat)
                lane.lacks = functools.partial(self._lacks, seat.node.id)
                lane.on_rest = functools.partial(self._let_go, key, lane)
                self._pool.add(lane, is_running=True)
                log.info("engine %s has joined", seat.name)

    def _lacks(self, node_id: str, spec: LoadSpec) -> str | None:
        """The name of the first file of ``spec`` that a node lacks, or has another one in its place; ``None``: it has
        all of them."""
        files = next((node.files for node in self.nodes if node.id == node_id), {})
        for file in spec_files(spec):
            path = file.path
            name, stamps = self._name_file(path), stamps_of([path])
            is_missing = name is not None and name not in files
            if is_missing and self._sends_models and path in stamps:
                continue
            if name is None or is_missing or (path in stamps and files[name] != stamps[path].size_bytes):
                return file.name
        return None

    def _let_go(self, key: tuple[str, int], lane: Lane) -> None:
        """Take out a lane that is held and runs nothing any more. On its thread."""
        with self._lock:
            if not self._is_closed and lane.is_held and self._lanes.get(key) is lane:
                self._leaving.add(key)
                self._remove(key, is_there=True)

    def _remove(self, key: tuple[str, int], *, is_there: bool) -> None:
        lane = self._lanes.pop(key)
        self._pool.remove(lane)
        log.info("engine %s has left", lane.name)
        threading.Thread(target=self._end, args=(key, lane, is_there), name="lane-end", daemon=True).start()

    def _end(self, key: tuple[str, int], lane: Lane, is_there: bool) -> None:
        if is_there:
            # Its engine still writes the last pictures.
            lane.finishing.shutdown()
        lane.stop(_END_SECONDS)
        lane.supervisor.stop()
        if is_there:
            with self._lock:
                self._leaving.discard(key)
                if not self._is_closed:
                    self._settle()


def _node_name(engine: str) -> str:
    return engine.rpartition(":")[0]


def _can_do(lane: Lane, job: Job) -> bool:
    """Whether a lane takes jobs like this one now, as far as anybody knows."""
    if not lane.has_engine or lane.is_held or lane.trouble is not None or job.kind not in lane.kinds:
        return False
    return lane.lacks is None or job.load_spec is None or lane.lacks(job.load_spec) is None
