"""Lays out data folders of older versions of the server, with jobs in them, and looks at what became of them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sdcpp_rest.store.database import Database
from sdcpp_rest.store.migrations import MIGRATIONS
from tests.e2e.conftest import ServerProcess
from tests.faults import houses
from tests.faults.fault_layer import FaultLayer

_ADD = """
INSERT INTO jobs (id, kind, status, created_at, completed_at, origin, title, params)
VALUES (?, 'txt2img', 'cancelled', '2026-01-01T00:00:00.000000+00:00', '2026-01-01T00:00:01.000000+00:00', 'native', ?,
'{"prompt": "an old cat", "width": 64, "height": 64}')
"""


def lay_old_house(folder: Path, library: Path, version: int, jobs: int) -> tuple[ServerProcess, FaultLayer]:
    """A house whose database has the format ``version`` and some finished jobs; the server has not been started."""
    root = folder / "house"
    (root / "data").mkdir(parents=True)
    Database(root / "data" / "sdcpp_rest.db", MIGRATIONS[:version]).close()
    with sqlite3.connect(root / "data" / "sdcpp_rest.db") as opened:
        opened.executemany(_ADD, [(f"old-{number}", f"number {number}") for number in range(jobs)])
    opened.close()
    layer = FaultLayer(folder / "layer", root, library)
    server = ServerProcess(root, 'engine.runner="fake"', "engines.devices=none", prefix=layer.prefix)
    return server, layer


def check_old_house(server: ServerProcess, findings: houses.Findings, jobs: int) -> None:
    """Start the server and count the jobs."""
    if said := houses.start(server):
        findings.add("servers that did not start", said)
        return
    try:
        found = houses.all_jobs(server)
        if missing := {f"old-{number}" for number in range(jobs)} - found.keys():
            findings.add("jobs lost", f"{len(missing)} of {jobs} in a migration")
        if said := houses.check_database(server.folder):
            findings.add("databases that are not whole", said)
    finally:
        houses.end(server)
