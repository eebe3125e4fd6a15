"""Has the wall clock of a server jump: a day ahead and back, over a change of summer time, beyond the year 2038."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path

import requests

from tests.e2e.conftest import TIMEOUT, ServerProcess
from tests.faults import houses
from tests.faults.fault_layer import FaultLayer

_DAY = 86_400.0
# Berlin's clocks go back from 3:00 to 2:00 at this moment.
_SUMMER_ENDS = datetime(2026, 10, 25, 1, 0, tzinfo=timezone.utc).timestamp()
_END_OF_32_BITS = 2.0**31
# A round of housekeeping is every 5 s; after two, one has begun and ended under the clock.
_TWO_ROUNDS_SECONDS = 11.0


def jump(folder: Path, library: Path, findings: houses.Findings) -> int:
    """Returns how often the clock has jumped."""
    root = folder / "house"
    root.mkdir(parents=True)
    layer = FaultLayer(folder / "layer", root, library)
    prefix = (*layer.prefix[:1], "TZ=Europe/Berlin", *layer.prefix[1:])
    server = ServerProcess(root, 'engine.runner="fake"', "housekeeping.keep_jobs_days=0.5", prefix=prefix).start()
    accepted, count = [], 0

    def move(seconds: float) -> None:
        nonlocal count
        count += 1
        layer.move_clock(seconds)

    def draw(directive: str = "") -> None:
        job_id = server.submit(f"a cat {len(accepted)} {directive}", steps=2, width=64, height=64)
        accepted.append(job_id)
        server.wait(job_id)

    try:
        draw()
        draw()
        binned = accepted[0]
        requests.delete(f"{server.url}/queue/jobs", json={"job_ids": [binned]}, timeout=TIMEOUT).raise_for_status()
        move(400 * _DAY)
        time.sleep(_TWO_ROUNDS_SECONDS)
        move(0)
        held = [item["job_id"] for item in server.get("/queue/recycle-bin")["items"]]
        if held != [binned] or accepted[1] not in houses.all_jobs(server):
            findings.add("pictures lost by a clock", f"the bin has {held}")
        draw()
        # In the middle of a job, and while another waits.
        for seconds in (_DAY, 0, -_DAY, 0, _SUMMER_ENDS - time.time() - 1, 0, _END_OF_32_BITS - time.time() - 1):
            running = server.submit("fake:step=0.1", steps=5, width=64, height=64)
            waiting = server.submit("a cat that waits", steps=1, width=64, height=64)
            accepted.extend((running, waiting))
            server.wait_running(running)
            move(seconds)
            server.wait(waiting)
        houses.end(server)
        # And a start there: the clock says the year 2038, beyond 32 bits.
        move(_END_OF_32_BITS - time.time() + _DAY)
        if said := houses.start(server):
            findings.add("starts that fail without a sentence", f"in 2038: {said[-300:]}")
            return count
        draw()
        move(0)
        draw()
        houses.wait_all(server)
        houses.inspect(server, findings, accepted)
        for job in houses.all_jobs(server).values():
            if job["status"] != "completed":
                findings.add("good jobs that fail afterwards", f"{job['status']}: {job['error']}")
            if any(isinstance(value, float) and value < 0 for value in (job.get("timings") or {}).values()):
                findings.add("times that run backwards", str(job["timings"]))
    finally:
        houses.end(server)
    return count
