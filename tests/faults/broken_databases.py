"""Damages databases as disks do, or makes them newer than the server, and looks at what the next start says."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from sdcpp_rest.store.backups import read_notes
from sdcpp_rest.store.database import Database
from tests.e2e.conftest import TIMEOUT, ServerProcess
from tests.faults import houses

_SETTINGS = ('engine.runner="fake"', "engines.devices=none", "housekeeping.backup_hours=0.001")
_JOBS = 50
_ADD = """
INSERT INTO jobs (id, kind, status, created_at, completed_at, origin, params, search_text)
VALUES (?, 'txt2img', 'cancelled', '2026-01-01T00:00:00.000000+00:00', '2026-01-01T00:00:01.000000+00:00', 'native',
'{"prompt": "a cat", "width": 64, "height": 64}', 'a cat that fills some pages')
"""


def break_databases(folder: Path, findings: houses.Findings, chance: random.Random, count: int) -> int:
    """Start a server on ``count`` damaged databases; on how many it has used a copy."""
    sound = _lay(folder / "sound")
    restored = 0
    for number in range(count):
        root = folder / f"house_{number}"
        shutil.copytree(sound, root)
        path = root / "data" / "sdcpp_rest.db"
        # As after a power cut: it was not closed.
        (root / "data" / "database.open").touch()
        _damage(path, chance)
        server, before = ServerProcess(root, *_SETTINGS), path.read_bytes()
        restored += _look(server, findings, before, f"damaged database {number}")
        houses.end(server)
        shutil.rmtree(root)
    return restored


def _lay(root: Path) -> Path:
    """A data folder with a copy of a database that holds some jobs, and some jobs more."""
    server = ServerProcess(root, *_SETTINGS)
    (root / "data").mkdir(parents=True)
    path = root / "data" / "sdcpp_rest.db"
    Database(path).close()
    _add(path, 0)
    server.start()
    try:
        houses.wait_until(lambda: any((root / "data" / "backups").glob("*.db")), "a copy of the database")
    finally:
        server.stop()
    _add(path, _JOBS)
    return root


def _add(path: Path, first: int) -> None:
    with sqlite3.connect(path) as opened:
        opened.executemany(_ADD, [(f"job-{first + number}",) for number in range(_JOBS)])
    opened.close()


def _damage(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    how = chance.choice(("bytes", "cut", "zeros", "head", "empty"))
    if how == "bytes":
        for _ in range(chance.randint(1, 200)):
            content[chance.randrange(len(content))] = chance.randrange(256)
    elif how == "cut":
        del content[chance.randrange(1, len(content)) :]
    elif how == "zeros":
        at = chance.randrange(0, len(content), 4096)
        content[at : at + 4096 * chance.randint(1, 8)] = bytes(4096)
    elif how == "head":
        content[:100] = chance.randbytes(100)
    else:
        content.clear()
    path.write_bytes(content)


def _look(server: ServerProcess, findings: houses.Findings, before: bytes, what: str) -> bool:
    """Whether a copy was used."""
    if said := houses.start(server):
        findings.add("starts that fail without a sentence", f"{what}: {said[-300:]}")
        return False
    data = server.folder / "data"
    notes, health = read_notes(data), server.get("/health")
    missing = {f"job-{number}" for number in range(_JOBS)} - houses.all_jobs(server).keys()
    if missing:
        findings.add("jobs lost", f"{what}: {len(missing)} that were copied")
    if said := houses.check_database(server.folder):
        findings.add("databases that are not whole", f"{what}: {said}")
    if not notes:
        return False
    checks = server.get("/system/doctor")["checks"]
    is_told = health["database_note"] and any(check["name"] == "database" for check in checks)
    if not is_told or "is lost" not in server.log.read_text():
        findings.add("damaged databases of which nothing was told", f"{what}: {health['database_note']}")
    if not any(path.read_bytes() == before for path in data.glob("damaged-*/sdcpp_rest.db")):
        findings.add("damaged databases that are not there any more", what)
    if what.endswith(" 0"):
        asked = [sys.executable, "-m", "sdcpp_rest", "doctor", "--data-dir", str(data)]
        if "moved to" not in subprocess.run(asked, capture_output=True, timeout=TIMEOUT, text=True).stdout:
            findings.add("damaged databases of which nothing was told", f"{what}: by sdcpp-rest doctor")
    return True


def refuse_newer(folder: Path, findings: houses.Findings) -> int:
    """Start a server on a database of a newer version: it says so, and leaves it as it is."""
    server = ServerProcess(folder, *_SETTINGS)
    path = folder / "data" / "sdcpp_rest.db"
    path.parent.mkdir(parents=True)
    Database(path).close()
    with sqlite3.connect(path) as opened:
        opened.execute("PRAGMA user_version = 999")
    opened.close()
    before = path.read_bytes()
    said = houses.start(server)
    houses.end(server)
    if "newer version of sdcpp-rest" not in said or "Traceback" in said:
        findings.add("starts that fail without a sentence", said[-300:] or "a newer database was taken")
    if path.read_bytes() != before:
        findings.add("newer databases that were touched", str(path))
    return 1
