"""Defines what a cluster of machines is to the server: nodes that have engines, and the way to each engine.

A kind of cluster is one class with these methods, in a module of its own; it works in the gateway's process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sdcpp_rest.engine.log_tail import RawLog
from sdcpp_rest.engine.remote.shipping import HostLink
from sdcpp_rest.engine.worker_options import WorkerOptions

RAY = "sdcpp_rest.engine.remote.ray_cluster:RayCluster"
"""Where the class of the one kind lies that there is: it imports what most servers never need."""

_ID_CHARACTERS = 6


@dataclass(frozen=True)
class ClusterNode:
    """A machine that has joined. ``engines``: how many it has room for; ``gpus``: how many of them have one of its
    GPUs. ``files``: the model files that it has, by the names that they have on all machines, with their sizes.
    ``fault``: why it is not used, in a sentence; empty if it is."""

    id: str
    name: str
    address: str
    engines: int
    gpus: int = 0
    versions: dict[str, str] = field(default_factory=dict, hash=False)
    files: dict[str, int] = field(default_factory=dict, hash=False, repr=False)
    is_draining: bool = False
    fault: str = ""


def tell_apart(nodes: Sequence[ClusterNode], names: dict[str, str]) -> list[ClusterNode]:
    """Give nodes names that nobody else has: machines of one kind may all have been given the same. ``names``: what
    they were called before, by their ids, which they keep as long as they are there; brought up to date."""
    kept = {node.id: names[node.id] for node in nodes if node.id in names}
    for node in sorted(nodes, key=lambda node: node.id):
        if node.id not in kept:
            is_taken = node.name in kept.values()
            kept[node.id] = f"{node.name}-{node.id[-_ID_CHARACTERS:]}" if is_taken else node.name
    names.clear()
    names.update(kept)
    return [replace(node, name=kept[node.id]) for node in nodes]


class Cluster(Protocol):
    """The machines, as one of them sees them."""

    def connect(self) -> None:
        """Raises LinkLost where there is no cluster at the address, or it does not let us in."""

    def nodes(self) -> Sequence[ClusterNode]:
        """Who is there now. Raises LinkLost."""

    def open(self, node_id: str, slot: int, options: WorkerOptions) -> HostLink:
        """Start the engine number ``slot`` (from 0) of a node; one that is left there from before is ended. Blocks.
        Raises LinkLost."""

    def read_log(self, node_id: str, slot: int, count: int) -> RawLog:
        """The last ``count`` lines of the log of an engine of a node, whether that runs or not. Waits for some seconds
        at most; on any thread. Raises LinkLost."""

    def want(self, engines: int) -> None:
        """Have the cluster see to it that there is room for so many engines, if it can add machines; 0: for those that
        are there. Raises LinkLost."""

    def close(self) -> None:
        """Leave, and end all engines that were started. Idempotent."""
