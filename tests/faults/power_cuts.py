"""What cuts of the power leave: the disk's changes are written down while a server works, and the server is started on
what a cut at many moments could have left of them.

    python -m tests.faults.power_cuts [--quick] [--seed N] [--save]
"""

from __future__ import annotations

import base64
import io
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests
from PIL import Image

from benchmarks.figures import Figure
from tests.e2e.conftest import TIMEOUT, ServerProcess
from tests.faults import houses
from tests.faults.disk_states import DiskHistory
from tests.faults.fault_layer import FaultLayer, find_obstacle
from tests.faults.study import Options, main

_SETTINGS = ('engine.runner="fake"', "models.include_demo=true")
_HELD = "fake:hold"
_PROMISES = (
    "servers that did not start",
    "databases that are not whole",
    "jobs lost",
    "jobs failed",
    "done jobs without whole files",
    "done jobs that are not done any more and not done again",
    "other pictures than before",
    "half files in sight",
    "folders without a job",
    "spools left behind",
    "input folders without a job",
    "pictures listed twice",
    "pictures listed that are not there",
    "pictures not listed",
)


@dataclass(frozen=True)
class Told:
    """What clients had been told at a moment: ids of jobs."""

    accepted: frozenset[str]
    done: frozenset[str]
    doomed: frozenset[str]
    """Those that somebody has asked to delete or to cancel."""


def examine(options: Options) -> Iterator[Figure]:
    if obstacle := find_obstacle():
        yield Figure("power cuts", 0, "cuts", note=f"SKIPPED: {obstacle}")
        return
    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-cuts-") as folder:
        yield from cut(Path(folder), options.samples(200, 6), options.seed)


def cut(folder: Path, count: int, seed: int) -> Iterator[Figure]:
    """Record a server at work and cut its power ``count`` times."""
    root = folder / "house"
    root.mkdir()
    layer = FaultLayer(folder / "layer", root)
    layer.record()
    server = ServerProcess(root, *_SETTINGS, prefix=layer.prefix)
    _work(server.start(), layer)
    expected = houses.pictures_in(root / "output")
    layer.record(is_on=False)
    server.stop()
    history = DiskHistory(layer.records())
    chance = random.Random(seed)
    points = _choose(history, count, chance)
    findings = houses.Findings()
    again = ServerProcess(root, *_SETTINGS, prefix=layer.prefix)
    redrawn = 0
    for number, point in enumerate(points):
        keep = (0.0, 0.5, 0.9, chance.random())[number % 4]
        own = random.Random(f"{seed}/{number}")
        layer.boot_anew(f"after cut {number}")
        history.build(root, point, own, keep)
        before = sum(findings.counts.values())
        redrawn += _look(again, findings, _told(history.marks(point)), expected)
        if sum(findings.counts.values()) > before:
            print(f"^ cut {number}: after record {point}, keep {keep:.2f}, at {history.records[point - 1].path}")
    made = f"{len(history.records)} changes of the disk recorded, cut at {count} places"
    yield Figure("cuts of the power", count, "cuts", count, note=made)
    for kind in _PROMISES:
        yield Figure(kind, findings.counts[kind], "", count, at_most=0, note=findings.first.get(kind, "")[:120])
    yield Figure("jobs told as done that were drawn again", redrawn, "jobs", count, note="the same pictures")


def _work(server: ServerProcess, layer: FaultLayer) -> None:
    """Have the server do what changes the disk, and mark what it tells of it."""

    def submit(path: str, body: dict[str, object]) -> str:
        answer = server.post(path, body)
        assert answer.status_code == 202, answer.text
        job_id = str(answer.json()["job_id"])
        layer.mark(f"accepted {job_id}")
        return job_id

    def finish(job_ids: list[str]) -> None:
        for job_id in job_ids:
            assert server.wait(job_id)["status"] == "completed", server.job(job_id)
            layer.mark(f"done {job_id}")

    def doom(job_id: str) -> str:
        layer.mark(f"doomed {job_id}")
        return job_id

    def delete(path: str, **body: object) -> None:
        requests.delete(server.url + path, json=body or None, timeout=TIMEOUT).raise_for_status()

    picture = _picture()
    plain = [submit("/txt2img", {"prompt": f"a cat {k}", "steps": 2, "width": 128, "height": 64}) for k in range(3)]
    finish(plain)
    given = {"prompt": "a dog", "steps": 2, "width": 64, "height": 64, "init_image_base64": picture}
    finish([submit("/img2img", given), submit("/img2img", {**given, "mask_image_base64": picture, "seed": 7})])
    finish([submit("/txt2img", {"prompt": "four", "steps": 1, "width": 64, "height": 64, "batch_count": 4})])
    requests.patch(f"{server.url}/queue/{plain[0]}", json={"title": "a title"}, timeout=TIMEOUT).raise_for_status()
    item = server.get("/gallery")["items"][0]
    requests.patch(f"{server.url}/gallery/{item['id']}", json={"starred": True}, timeout=TIMEOUT).raise_for_status()
    delete("/queue/jobs", job_ids=[doom(plain[1])])
    server.post(f"/queue/{plain[1]}/restore", {})
    delete("/queue/jobs", job_ids=[plain[1]])
    delete(f"/queue/{plain[1]}/purge")
    requests.put(f"{server.url}/settings/recycle-bin", json={"enabled": False}, timeout=TIMEOUT).raise_for_status()
    delete("/queue/jobs", job_ids=[doom(plain[2])])
    held = doom(submit("/txt2img", {"prompt": _HELD, "steps": 1, "width": 64, "height": 64}))
    waiting = [submit("/img2img", {**given, "prompt": f"waits {k}"}) for k in range(3)]
    server.post(f"/queue/{held}/cancel")
    finish(waiting)
    finish([submit("/txt2img", {"prompt": f"last {k}", "steps": 3, "width": 64, "height": 64}) for k in range(4)])


def _picture() -> str:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _choose(history: DiskHistory, count: int, chance: random.Random) -> list[int]:
    """Half of the cuts anywhere, half right after names have changed or clients were told something."""
    points = history.points()
    pointed = [
        point
        for point in points
        if history.records[point - 1].other
        or (point < len(history.records) and not history.records[point].path)
        or history.records[point - 1].path.startswith("output")
    ]
    return sorted(chance.choices(points, k=count - count // 2) + chance.choices(pointed, k=count // 2))


def _told(marks: list[str]) -> Told:
    told: dict[str, set[str]] = {"accepted": set(), "done": set(), "doomed": set()}
    for mark in marks:
        kind, _, job_id = mark.partition(" ")
        told[kind].add(job_id)
    return Told(*(frozenset(told[kind]) for kind in ("accepted", "done", "doomed")))


def _look(server: ServerProcess, findings: houses.Findings, told: Told, expected: dict[str, bytes]) -> int:
    """Start the server on what is left; how many jobs it draws again of which clients were told that they are done."""
    if said := houses.start(server):
        findings.add("servers that did not start", said.splitlines()[-1] if said.splitlines() else said)
        return 0
    try:
        jobs = houses.all_jobs(server)
        again = [job for job in told.done - told.doomed if jobs.get(job, {}).get("status") not in houses.ENDS]
        # Held until it is cancelled.
        held = [job["job_id"] for job in jobs.values() if job["params"].get("prompt") == _HELD]
        for job_id in held:
            server.post(f"/queue/{job_id}/cancel")
        houses.wait_all(server)
        houses.inspect(server, findings, told.accepted, gone=told.doomed, expected=expected)
        after = houses.all_jobs(server)
        for job_id in again:
            if after.get(job_id, {}).get("status") != "completed":
                findings.add("done jobs that are not done any more and not done again", job_id)
        return len(again)
    finally:
        server.kill()


if __name__ == "__main__":
    main("Cuts of the power.", examine)
