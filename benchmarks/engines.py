"""What several engines bring: jobs on two against one, models that engines hold against first in, first out, and what a
claim costs.

The engines are real processes that pretend to compute, with loads and jobs a hundredth as long as those of real models.
"""

from __future__ import annotations

import random
import tempfile
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, Options, main, spread
from benchmarks.served import PATIENCE_SECONDS, complaints
from sdcpp_rest.config import load_config
from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_claiming import FIRST, ClaimTerms
from sdcpp_rest.store.job_store import JobStore

_SCALE = 0.01
_PATIENCE, _STAY = 30 * _SCALE, 180 * _SCALE


@dataclass(frozen=True)
class Work:
    """One job: the number of its model, and seconds."""

    model: int
    seconds: float


def measure(options: Options) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-bench-") as folder:
        logs = Path(folder)
        return [
            *_two_against_one(options.samples(200, 8), logs),
            *_many_models("2 engines, 5 models", 2, 5, options.samples(200, 8), logs),
            *_many_models("10 engines, 20 models", 10, 20, options.samples(600, 20), logs),
            *_claims(options.samples(300, 5)),
            complaints(logs.rglob("*.log")),
        ]


def _two_against_one(count: int, folder: Path) -> list[Figure]:
    works = [Work(0, 0.1)] * count
    walls = {engines: _run(works, [0.0], engines, "auto", folder)[0] for engines in (1, 2)}
    return [
        Figure(f"wall of {count} jobs of 0.1 s on one engine", walls[1], "s", count),
        Figure("  one engine / two engines", walls[1] / walls[2], "x", note="at least 1.95 is wanted"),
    ]


def _many_models(title: str, engines: int, models: int, count: int, folder: Path) -> list[Figure]:
    """A queue of jobs whose models are as popular as words are frequent, all there at the start."""
    chance = random.Random(1)
    popular = [1 / (number + 1) for number in range(models)]
    loads = [chance.uniform(10, 40) * _SCALE for _ in range(models)]
    works = [
        Work(model, min(60.0, max(5.0, chance.lognormvariate(2.9, 0.6))) * _SCALE)
        for model in chance.choices(range(models), popular, k=count)
    ]
    figures = []
    for name, affinity in (("first in, first out", "off"), ("affinity", "on")):
        wall, waits = _run(works, loads, engines, affinity, folder)
        rule_wall, rule_waits = simulate(works, loads, engines, prefers_held=affinity == "on")
        jobs, p95 = count / wall * 3600 * _SCALE, _p95(waits) / _SCALE
        rule_jobs, rule_p95 = count / rule_wall * 3600 * _SCALE, _p95(rule_waits) / _SCALE
        figures += [
            Figure(f"{title}, {name}: jobs an hour", jobs, "", count, note=f"the rule alone: {rule_jobs:.0f}"),
            Figure("  p95 of waiting", p95, "s", count, note=f"the rule alone: {rule_p95:.0f} s"),
        ]
    return figures


def _run(works: list[Work], loads: list[float], engines: int, affinity: str, folder: Path) -> tuple[float, list[float]]:
    """Seconds until all are done, and how long each has waited, on a server with engines that pretend."""
    root = folder / uuid.uuid4().hex
    paths = [f"paths.{name}_dir={root / name}" for name in ("data", "models", "output", "log")]
    config = load_config(
        overrides=[
            *paths,
            f"engines.devices={','.join(['cpu'] * engines)}",
            f"queue.affinity={affinity}",
            f"queue.affinity_patience_seconds={_PATIENCE}",
            f"queue.affinity_stay_seconds={_STAY}",
            "engine.runner=fake",
            "engine.memory_interval_seconds=60",
            "models.include_demo=false",
            "limits.pending_jobs=100000",
        ]
    )
    runtime = Runtime(config, is_server=False)
    specs = [
        LoadSpec(model=FileRef(name=f"fake~load={seconds:.4f}~{number}", path=f"/{number}"), kind="diffusion")
        for number, seconds in enumerate(loads)
    ]
    runtime.start()
    try:
        queue = runtime.jobs.queue
        queue.pause()
        _wait_for_engines(runtime)
        ids = []
        for work in works:
            params = {"prompt": f"fake:step={work.seconds:.4f}", "width": 8, "height": 8, "steps": 1, "seed": 1}
            ids.append(queue.submit("txt2img", params, load_spec=specs[work.model])[0].id)
        started = time.perf_counter()
        queue.resume()
        jobs = [queue.wait(job_id, PATIENCE_SECONDS * 10) for job_id in ids]
        wall = time.perf_counter() - started
    finally:
        runtime.stop()
    assert {job.status for job in jobs} == {"completed"}, {job.error for job in jobs}
    first = min(job.started_at for job in jobs if job.started_at)
    return wall, [(job.started_at - first).total_seconds() for job in jobs if job.started_at]


def _wait_for_engines(runtime: Runtime) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not all(lane.is_waiting for lane in runtime.engine.pool.lanes):
        assert time.monotonic() < until, "the engines did not start"
        time.sleep(0.01)


def simulate(works: list[Work], loads: list[float], engines: int, *, prefers_held: bool) -> tuple[float, list[float]]:
    """The rule in simulated time, with engines that cost nothing besides; seconds as `_run` gives them."""
    waiting = OrderedDict(enumerate(works))
    free_at, held, since = [0.0] * engines, [-1] * engines, [-_STAY] * engines
    waits = []
    while waiting:
        engine = min(range(engines), key=lambda one: free_at[one])
        now = free_at[engine]
        number = next(iter(waiting))
        if prefers_held and (now < _PATIENCE or now - since[engine] < _STAY):
            number = next((one for one, work in waiting.items() if work.model == held[engine]), number)
        work = waiting.pop(number)
        waits.append(now)
        if held[engine] != work.model:
            held[engine] = work.model
            now += loads[work.model]
            since[engine] = now
        free_at[engine] = now + work.seconds
    return max(free_at), waits


def _claims(count: int) -> list[Figure]:
    """Claims with 10,000 jobs pending of 20 models."""
    specs = [LoadSpec(model=FileRef(name=f"m{number}", path=f"/m{number}"), kind="diffusion") for number in range(20)]
    chance = random.Random(2)
    figures = []
    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-bench-") as folder:
        database = Database(Path(folder) / "rest.db")
        store = JobStore(database)
        for number in range(10_000):
            store.insert(
                Job(id=str(number), kind="txt2img", load_spec=chance.choice(specs), params={"prompt": "x"}), 100_000
            )
        held = tuple(spec.key for spec in specs[-2:])
        terms = ClaimTerms(
            engine="cpu:0", held=held, elsewhere=tuple(spec.key for spec in specs[:5]), prefers_held=True
        )
        for name, wanted in (("first in, first out", FIRST), ("affinity, 2 held, 5 elsewhere", terms)):
            took = []
            for _ in range(count):
                started = time.perf_counter()
                assert store.claim_next({"txt2img"}, wanted) is not None
                took.append(time.perf_counter() - started)
            figures += spread(f"claim with 10,000 pending, {name}", took, (50, 95), at_most={95: 5})
        database.close()
    return figures


def _p95(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]


if __name__ == "__main__":
    main("Several engines", measure)
