"""Looks through a server's house after harm was done to it: is every job there once, whole, and nothing else?"""

from __future__ import annotations

import io
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import psutil
import requests
from PIL import Image

from sdcpp_rest.durable_files import IN_PLACE
from tests.e2e.conftest import TIMEOUT, ServerProcess
from tests.faults.fault_layer import wait_until

_DRAWN = ("txt2img", "img2img", "upscale")
ENDS = ("completed", "failed", "cancelled")


class Findings:
    """Counts what was found, by kind, and keeps the first sentence of each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def add(self, kind: str, sentence: str) -> None:
        self.counts[kind] += 1
        self.first.setdefault(kind, sentence)
        print(f"  {kind}: {sentence}", flush=True)


def end(server: ServerProcess) -> None:
    """End the server and all its children at once, and wait until they are gone."""
    assert server.process is not None
    family = []
    if server.process.poll() is None:
        family = psutil.Process(server.process.pid).children(recursive=True)
    server.kill()
    wait_until(lambda: all(is_gone(process) for process in family), "the end of a server's children")


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended, if nobody has asked for its end yet either."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE or not process.is_running()
    except psutil.NoSuchProcess:
        return True


def start(server: ServerProcess) -> str:
    """Start the server; what it said where it did not, else nothing."""
    server.log.unlink(missing_ok=True)
    try:
        server.start()
    except (AssertionError, subprocess.SubprocessError) as error:
        return str(error)[-1500:] or "the server did not start"
    return ""


def check_database(folder: Path) -> str:
    """What SQLite says of the database's integrity; nothing where all is well. The server may run."""
    with sqlite3.connect(f"file:{folder / 'data' / 'sdcpp_rest.db'}?mode=ro", uri=True, timeout=TIMEOUT) as opened:
        found = str(opened.execute("PRAGMA integrity_check").fetchone()[0])
        (twice,) = opened.execute("SELECT count(*) FROM jobs JOIN recycle_bin USING (id)").fetchone()
    opened.close()
    return f"{twice} jobs are in the queue and in the bin" if found == "ok" and twice else found.replace("ok", "")


def all_jobs(server: ServerProcess) -> dict[str, dict[str, Any]]:
    """Every job that the queue lists, by id."""
    return {job["job_id"]: job for job in server.get("/queue?limit=1000")["items"]}


def wait_all(server: ServerProcess) -> None:
    """Until nothing runs or waits."""

    def is_done() -> bool:
        counts = server.get("/queue?limit=1")
        return counts["pending_count"] + counts["processing_count"] == 0

    wait_until(is_done, "all jobs to end")


def pixels_of(picture: bytes) -> bytes:
    """The pixels of a picture's file. Raises what Pillow raises on half a file."""
    with Image.open(io.BytesIO(picture)) as opened:
        opened.load()
        return opened.convert("RGB").tobytes()


def pictures_in(folder: Path) -> dict[str, bytes]:
    """The pixels of every picture in the output folder, by its path there."""
    found = folder.glob("*/*.png")
    return {path.relative_to(folder).as_posix(): pixels_of(path.read_bytes()) for path in found}


def inspect(
    server: ServerProcess,
    findings: Findings,
    accepted: Collection[str],
    *,
    gone: Collection[str] = (),
    expected: Mapping[str, bytes] | None = None,
    may_fail: Collection[str] = (),
) -> None:
    """Look at everything in a house in which nothing runs any more.

    Args:
        accepted: jobs that a client was told of.
        gone: those of them that somebody has deleted, or tried to.
        expected: the pixels of pictures by their paths.
        may_fail: jobs whose engine was killed.
    """
    jobs = all_jobs(server)
    binned = {item["job_id"] for item in server.get("/queue/recycle-bin")["items"]}
    output = server.folder / "output"
    if said := check_database(server.folder):
        findings.add("databases that are not whole", said)
    for job_id in accepted:
        if job_id not in jobs and job_id not in binned and job_id not in gone:
            findings.add("jobs lost", job_id)
        job = jobs.get(job_id)
        if job is not None and job["status"] == "failed" and job_id not in may_fail:
            findings.add("jobs failed", f"{job_id}: {job['error']}")
    for job_id, job in jobs.items():
        for path in job["outputs"] if job["status"] == "completed" else ():
            file = output / path
            try:
                pixels = pixels_of(file.read_bytes())
            except Exception as error:  # whatever Pillow makes of half a file
                findings.add("done jobs without whole files", f"{path}: {error}")
                continue
            if expected is not None and expected.get(path, pixels) != pixels:
                findings.add("other pictures than before", path)
        if job["status"] == "completed" and job["type"] in _DRAWN and not job["outputs"]:
            findings.add("done jobs without whole files", f"{job_id} has no outputs")
    _look_at_folders(server, findings, jobs, binned, gone)


def _look_at_folders(
    server: ServerProcess,
    findings: Findings,
    jobs: Mapping[str, Any],
    binned: Collection[str],
    gone: Collection[str],
) -> None:
    output = server.folder / "output"
    for folder in (path for path in output.iterdir() if not path.name.startswith(".")):
        # Of a deletion that was not answered the row may be gone before the files.
        if folder.name not in jobs and folder.name not in gone:
            findings.add("folders without a job", folder.name)
        for path in folder.iterdir():
            # Hidden files are not listed.
            if path.suffix in (".part", ".raw", ".gone") and not path.name.startswith("."):
                findings.add("half files in sight", str(path.relative_to(output)))
    left = [path.name for path in (output / ".spool").iterdir()]
    if left:
        findings.add("spools left behind", ", ".join(left))
    for path in (server.folder / "models").rglob("*"):
        # What a write of some notes has left is hidden, and goes with a start later than this.
        if (
            path.is_file()
            and (path.name.startswith(".") or path.suffix == ".part")
            and not IN_PLACE.fullmatch(path.name)
        ):
            findings.add("half files in sight", str(path.relative_to(server.folder)))
    inputs = server.folder / "data" / "inputs"
    strangers = [path.name for path in inputs.iterdir() if path.name not in jobs and path.name not in binned]
    if strangers:
        findings.add("input folders without a job", ", ".join(strangers))
    _look_at_gallery(server, findings, jobs)


def _look_at_gallery(server: ServerProcess, findings: Findings, jobs: Mapping[str, Any]) -> None:
    requests.post(f"{server.url}/gallery/scan", json={}, timeout=TIMEOUT).raise_for_status()
    listed = Counter(item["path"] for item in server.get("/gallery?limit=1000")["items"])
    made = {path for job in jobs.values() if job["status"] == "completed" for path in job["outputs"]}
    for path, times in listed.items():
        if times > 1:
            findings.add("pictures listed twice", path)
        if not (server.folder / "output" / path).is_file():
            findings.add("pictures listed that are not there", path)
    for path in made - listed.keys():
        if path.endswith(".png") and (server.folder / "output" / path).is_file():
            findings.add("pictures not listed", path)
