"""Fills the store of objects of one node of a Ray cluster, and holds that until its standard input is closed.

Run as a process: ``python -m tests.cluster.store_filler ADDRESS VIA HOST``; ``VIA`` is the host of the node through
which it speaks to the cluster, ``HOST`` that of the node to be filled. Prints ``ready``, and, when the disk for objects
is full and it has been given a line, ``full``: no 50 kB fit.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import numpy
import ray
import ray.exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

_SIZES = (8_000_000, 1_000_000, 100_000, 20_000)


class Filler:
    """Holds objects of this node, in use, so that they cannot be moved to the disk."""

    def __init__(self) -> None:
        self._held: list[Any] = []

    def start(self) -> None:
        """A worker that starts on a full disk may die of it."""

    def fill(self) -> None:
        for size in _SIZES:
            with contextlib.suppress(ray.exceptions.OutOfDiskError):
                while True:
                    reference = ray.put(numpy.ones(size, dtype=numpy.uint8))
                    self._held.append((reference, ray.get(reference)))
        # Ray needs some room to tell that it has none.
        del reference, self._held[-1]


def main() -> None:
    address, via, host = sys.argv[1:]
    ray.init(address=address, namespace="filler", log_to_driver=False, logging_level="ERROR", _node_ip_address=via)
    node = next(one["NodeID"] for one in ray.nodes() if one["NodeManagerAddress"] == host and one["Alive"])
    here = NodeAffinitySchedulingStrategy(node, soft=False)
    filler: Any = ray.remote(num_cpus=0)(Filler).options(scheduling_strategy=here).remote()
    ray.get(filler.start.remote())
    print("ready", flush=True)
    sys.stdin.readline()
    ray.get(filler.fill.remote())
    print("full", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
