"""What broken, full and slow disks do, clocks that jump, and databases that are damaged or of another version.

    python -m tests.faults.disk_and_clock [--quick] [--seed N] [--save]

A disk fails by the layer between the server and the C library (fault_layer.c), which answers some calls below a folder
with ENOSPC, EDQUOT, EROFS or EIO; a really full one is a tmpfs.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import requests

from benchmarks.figures import Figure
from tests.e2e.conftest import TIMEOUT, ServerProcess
from tests.faults import houses
from tests.faults.broken_databases import break_databases, refuse_newer
from tests.faults.clock_jumps import jump
from tests.faults.disk_house import DiskHouse
from tests.faults.fault_layer import (
    LINK,
    MKDIR,
    OPEN,
    RENAME,
    SYNC,
    WRITE,
    FaultLayer,
    compile_layer,
    find_obstacle,
)
from tests.faults.study import Options, main

_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
_PLACES = ("/data/*", "/data/*-wal", "/data/inputs*", "/data/logs/*", "/output/*", "/output/.spool/*", "/*")
_WORKS = ("picture", "given", "retitle", "delete", "settings")
_MADE = OPEN | WRITE | SYNC | RENAME | MKDIR | LINK
_PROMISES = (
    "server deaths",
    "starts that fail without a sentence",
    "refusals and failures without a sentence",
    "jobs lost",
    "jobs that never ended",
    "good jobs that fail afterwards",
    "done jobs without whole files",
    "databases that are not whole",
    "half files in sight",
    "spools left behind",
    "folders without a job",
    "input folders without a job",
    "pictures listed twice",
    "pictures listed that are not there",
    "pictures not listed",
    "pictures lost by a clock",
    "times that run backwards",
    "damaged databases of which nothing was told",
    "damaged databases that are not there any more",
    "newer databases that were touched",
)


def examine(options: Options) -> Iterator[Figure]:
    if obstacle := find_obstacle():
        yield Figure("faults of disks and clocks", 0, "", note=f"SKIPPED: {obstacle}")
        return
    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-disks-") as folder:
        yield from misbehave(Path(folder), options.samples(200, 6), options.samples(30, 2), options.seed)


def misbehave(folder: Path, faults: int, starts: int, seed: int) -> Iterator[Figure]:
    """``faults`` of disks at work, and ``starts`` on broken disks and on damaged databases each."""
    library, chance, findings = compile_layer(folder), random.Random(seed), houses.Findings()
    with DiskHouse(folder / "faulty", library, findings) as house:
        for _ in range(faults):
            fail_once(house, chance)
        yield Figure("faults of a disk at work", faults, "faults", faults, note=house.describe())
        yield Figure("  removed folders", house.lose_folders(), "folders", note="output, inputs, logs; while it ran")
        slow = house.be_slow()
        yield Figure("  a picture on a disk that takes 50 ms for each write", slow, "s")
    _start_on_broken_disks(folder / "starting", library, findings, chance, starts)
    yield Figure("starts on a broken disk", starts, "starts", starts)
    yield _fill(folder / "full", findings)
    yield Figure("jumps of the clock", jump(folder / "clock", library, findings), "jumps", note="a day, 2038, DST")
    told = break_databases(folder / "damaged", findings, chance, starts)
    yield Figure("damaged databases", starts, "files", starts, note="by random bytes, cuts and zeros")
    yield Figure("  of which a copy was used", told, "files", starts, note="the rest was mended by its log, or not met")
    yield Figure("databases of a newer version", refuse_newer(folder / "newer", findings), "files")
    for kind in _PROMISES:
        yield Figure(kind, findings.counts[kind], "", faults, at_most=0, note=findings.first.get(kind, "")[:120])


def fail_once(house: DiskHouse, chance: random.Random) -> None:
    """Ask for something on a disk that fails in a drawn way, and mend it."""
    error, place, work = chance.choice(_ERRORS), chance.choice(_PLACES), chance.choice(_WORKS)
    nth, times = chance.randint(1, 8), chance.choice((1, 1, 3, 0))
    calls = chance.choice((_MADE, WRITE | SYNC, OPEN | MKDIR, RENAME | LINK))
    house.prepare(work)
    house.layer.fail(calls, place, error, nth=nth, times=times)
    house.do(work)
    house.recover(f"{errno.errorcode[error]} {place} {work}, call {nth}, {times or 'all'} times")


def _start_on_broken_disks(
    folder: Path, library: Path, findings: houses.Findings, chance: random.Random, count: int
) -> None:
    """A server that cannot start says why in one sentence; the next start is as if nothing had been."""
    root = folder / "house"
    root.mkdir(parents=True)
    layer = FaultLayer(folder / "layer", root, library)
    server = ServerProcess(root, 'engine.runner="fake"', prefix=layer.prefix)
    accepted = _draw(server.start())
    houses.end(server)
    for number in range(count):
        error, nth = chance.choice(_ERRORS), chance.randint(1, 20)
        # Not the file that takes the server's output: what is written there is the sentence.
        layer.fail(_MADE, chance.choice(("/data/*", "/output*", "/[!s]*")), error, nth=nth, times=chance.choice((1, 0)))
        if said := houses.start(server):
            lines = said.strip().splitlines()
            if "Traceback" in said or not lines or not lines[-1].startswith("Error: "):
                findings.add("starts that fail without a sentence", f"{errno.errorcode[error]}: {lines[-1:]}")
        houses.end(server)
        layer.clear()
        if number % 5 == 4:
            if said := houses.start(server):
                findings.add("starts that fail without a sentence", f"on a good disk again: {said[-200:]}")
                return
            houses.wait_all(server)
            houses.inspect(server, findings, [accepted])
            houses.end(server)


def _draw(server: ServerProcess) -> str:
    job_id = server.submit("a cat", steps=2, width=64, height=64)
    assert server.wait(job_id)["status"] == "completed"
    return job_id


def _fill(folder: Path, findings: houses.Findings) -> Figure:
    """Fill the real disk of the data and output folders, once each; needs root."""
    count = 0
    for name in ("data", "output"):
        root = folder / name / "house"
        (root / name).mkdir(parents=True)
        script = f'mount -t tmpfs -o size=8m tmpfs {root / name}; exec "$@"'
        prefix = ("unshare", "--mount", "sh", "-e", "-c", script, "sh")
        try:
            can_mount = subprocess.run([*prefix, "true"], capture_output=True, timeout=TIMEOUT).returncode == 0
        except OSError:
            can_mount = False
        if not can_mount:
            return Figure("full disks", 0, "disks", note="SKIPPED: a disk of a size cannot be made here (needs root)")
        server = ServerProcess(root, 'engine.runner="fake"', prefix=prefix)
        _fill_one(server, name, findings)
        count += 1
    return Figure("full disks", count, "disks", note="a tmpfs of 8 MiB below data, below output")


def _fill_one(server: ServerProcess, name: str, findings: houses.Findings) -> None:
    with closing(_Inside(server, name)) as inside:
        before = _draw_inside(server)
        inside.fill()
        answer = requests.post(
            f"{server.url}/txt2img", json={"prompt": "a cat", "steps": 1, "width": 256, "height": 256}, timeout=TIMEOUT
        )
        told = answer.json()
        if answer.status_code == 202:
            job = server.wait(told["job_id"])
            told = job if job["status"] == "failed" else {"error": "it was completed"}
        if not told.get("error"):
            findings.add("refusals and failures without a sentence", f"full {name}: {answer.status_code} {told}")
        assert server.process is not None
        if server.process.poll() is not None:
            findings.add("server deaths", f"full {name}")
            return
        inside.clear()
        if server.job(before)["status"] != "completed":
            findings.add("jobs lost", f"full {name}")
        if server.wait(_submit(server))["status"] != "completed":
            findings.add("good jobs that fail afterwards", f"full {name}")


def _submit(server: ServerProcess) -> str:
    return server.submit("a cat", steps=2, width=64, height=64)


def _draw_inside(server: ServerProcess) -> str:
    job_id = _submit(server)
    server.wait(job_id)
    return job_id


class _Inside:
    """A server whose folder ``name`` is a disk of its own, that can be filled."""

    def __init__(self, server: ServerProcess, name: str) -> None:
        self.server = server
        process = _start_inside(server, name)
        self.disk = Path(f"/proc/{process}/root{server.folder / name}")

    def fill(self) -> None:
        """Leave nothing free."""
        status = os.statvfs(self.disk)
        with (self.disk / "filling").open("wb") as file:
            for _ in range(status.f_bavail):
                file.write(bytes(status.f_bsize))

    def clear(self) -> None:
        """Free what was taken."""
        (self.disk / "filling").unlink()

    def close(self) -> None:
        houses.end(self.server)
        shutil.rmtree(self.server.folder, ignore_errors=True)


def _start_inside(server: ServerProcess, name: str) -> int:
    """Start the server, and find where it listens; returns its process."""
    if name == "output":
        server.start()
    else:
        _start_hidden(server)
    assert server.process is not None
    return server.process.pid


def _start_hidden(server: ServerProcess) -> None:
    """The same where the announcement lies on the disk that only the server sees."""
    folder = server.folder
    with server.log.open("ab") as log:
        server.process = subprocess.Popen(server.command(), stdout=log, stderr=log)
    seen = Path(f"/proc/{server.process.pid}/root{folder}")

    def is_there() -> bool:
        server.folder = seen
        try:
            return server._announced()
        except OSError:
            return False
        finally:
            server.folder = folder

    houses.wait_until(is_there, "the server to listen")


if __name__ == "__main__":
    main("Disks and clocks.", examine)
