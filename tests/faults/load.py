"""Counts what becomes of a server that has more clients, jobs, rows and files than it can serve."""

from __future__ import annotations

from benchmarks.figures import Figure
from tests.faults.loads.callers import examine_dribblers, examine_leavers
from tests.faults.loads.crowd import examine_listeners
from tests.faults.loads.plenty import examine_bytes, examine_rows
from tests.faults.loads.soak import examine_soak
from tests.faults.study import Options, main

PARTS = (examine_listeners, examine_leavers, examine_dribblers, examine_soak, examine_rows, examine_bytes)


def examine(options: Options) -> list[Figure]:
    figures = []
    for part in PARTS:
        print(f"   {part.__name__}", flush=True)
        figures += part(options)
    return figures


if __name__ == "__main__":
    main("More clients than it can serve, for long", examine)
