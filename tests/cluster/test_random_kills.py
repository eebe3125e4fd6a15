"""Whatever is killed at whatever moment: no job is lost, none is there twice, none is half there."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import Counter
from typing import Any

import psutil
import pytest

from tests.cluster.conftest import RayCluster
from tests.cluster.test_cluster_failures import MakeServer, engines_of, wait_engines
from tests.e2e.conftest import ServerProcess

pytestmark = pytest.mark.cluster

KILLS = int(os.environ.get("SDCPP_REST_KILLS", "20"))
"""How many: two hundred take some minutes."""


def victim_of(server: ServerProcess, kind: str, chance: random.Random) -> psutil.Process | None:
    """A living process of this kind, if there is one now."""
    assert server.process is not None
    with contextlib.suppress(psutil.Error):
        if kind == "gateway":
            children = psutil.Process(server.process.pid).children()
            return next((one for one in children if "gateway_entry" in " ".join(one.cmdline())), None)
        pids = [engine["pid"] for engine in engines_of(server) if engine["pid"]]
        if not pids:
            return None
        engine = psutil.Process(chance.choice(pids))
        return engine if kind == "engine" else engine.parent()
    return None


def test_random_kills_lose_no_job(cluster: RayCluster, make_server: MakeServer) -> None:
    chance = random.Random(7)
    server = make_server(cluster, "queue.max_requeues=100", "engine.backoff_max_seconds=1")
    wait_engines(server, 2)
    job_ids: list[str] = []
    killed: Counter[str] = Counter()
    while sum(killed.values()) < KILLS:
        job_ids += [server.submit("fake:step=0.05", steps=3, width=64, height=64) for _ in range(2)]
        kind = chance.choice(("engine", "host", "host", "gateway"))
        victim = victim_of(server, kind, chance)
        # The moment is what the test is about: no event stands for "any time".
        time.sleep(chance.uniform(0.0, 1.5))
        if victim is not None:
            with contextlib.suppress(psutil.Error):
                victim.kill()
                killed[kind] += 1
    jobs: list[dict[str, Any]] = [server.wait(job_id) for job_id in job_ids]
    ends = Counter((job["status"], job.get("error_code")) for job in jobs)
    print(f"{dict(killed)} of {len(job_ids)} jobs: {dict(ends)}")
    assert ends.keys() <= {("completed", None), ("failed", "engine_crashed")}
    assert ends["failed", "engine_crashed"] <= killed["engine"]
    output = server.folder / "output"
    completed = {job["job_id"] for job in jobs if job["status"] == "completed"}
    assert {path.name for path in output.iterdir() if not path.name.startswith(".")} == completed
    assert all((output / job_id / "config.json").is_file() for job_id in completed)
    assert list((output / ".spool").iterdir()) == []
