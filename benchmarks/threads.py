"""Pictures and GET /health beside busy neighbours: how many CPU threads, how they wait, and at what niceness.

Neighbours are programs that count, at niceness 0, each in a session of its own, like programs started apart.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from benchmarks.figures import EngineName, Figure, Options, main
from benchmarks.served import Listener, Server, cores

_SIDE, _STEPS = 64, 4
# What takes longer is cancelled: spinning threads on busy cores may need minutes.
_PATIENCE_SECONDS = 20.0
_HEALTH_PAUSE_SECONDS = 0.02
# What GCC's OpenMP does when nobody asks for anything: looks so many times before it sleeps.
_SPINNING = {"GOMP_SPINCOUNT": "300000"}


@dataclass(frozen=True)
class Case:
    """One way to compute."""

    name: str
    n_threads: str
    environment: Mapping[str, str] = field(default_factory=dict)
    nice: int = 0


def cases() -> list[Case]:
    most = str(cores())
    return [
        Case("1 thread", "1"),
        Case(f"{most} threads", most),
        Case(f"{most} threads, niceness 5", most, nice=5),
        Case(f"{most} threads that spin", most, _SPINNING),
        Case("auto", "auto"),
    ]


def measure(options: Options) -> list[Figure]:
    loads = (0, 1) if options.quick else (0, 1, cores(), 4 * cores())
    return [
        figure
        for case in cases()
        for figure in measure_case(options.engine, case, loads, pictures=options.samples(4, 1))
    ]


def measure_case(engine: EngineName, case: Case, loads: tuple[int, ...], *, pictures: int) -> list[Figure]:
    """Two figures for each load: a picture's seconds, and GET /health meanwhile."""
    figures: list[Figure] = []
    settings = (f"engine.nice={case.nice}", "preview.enabled=false", f"engine.n_threads={case.n_threads}")
    with _variables(case.environment), Server(engine, 1, *settings) as server:
        server.wait_loaded()
        with server.listen() as listener:
            _draw(server, listener)
            idle = 0.0
            for load in loads:
                drawn: list[tuple[float, list[float]]] = []
                with neighbours(load):
                    while len(drawn) < pictures and not any(took >= _PATIENCE_SECONDS for took, _ in drawn):
                        drawn.append(_draw(server, listener))
                seconds = float(np.median([took for took, _ in drawn]))
                idle = idle or seconds
                is_given_up = max(took for took, _ in drawn) >= _PATIENCE_SECONDS
                given_up = f"one was given up after {_PATIENCE_SECONDS:g} s" if is_given_up else ""
                name, health = f"{case.name}, {load} neighbours", [one for _, waited in drawn for one in waited]
                figures.append(Figure(f"{name}: picture", seconds, "s", len(drawn), note=given_up))
                target = 2.5 if case.n_threads == "auto" and 0 < load <= cores() else None
                figures.append(Figure(f"{name}: picture / idle", seconds / idle, "x", len(drawn), at_most=target))
                p99, median = (float(np.percentile(health, q)) * 1000 for q in (99, 50))
                figures.append(Figure(f"{name}: GET /health, p99", p99, "ms", len(health), note=f"median {median:.1f}"))
                if is_given_up:
                    break  # with more neighbours it would take longer still
            if case.n_threads == "auto":
                figures.append(server.complaints())
    return figures


@contextlib.contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many programs that use a core each."""
    # They end by themselves when the benchmark is killed.
    code = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(100_000))"
    command = [sys.executable, "-S", "-c", code]
    running = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()


@contextlib.contextmanager
def _variables(environment: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _draw(server: Server, listener: Listener) -> tuple[float, list[float]]:
    """Seconds of one picture, and of every GET /health meanwhile."""
    waited: list[float] = []
    with server.connect() as client, server.connect() as other:
        job_id = client.submit(width=_SIDE, height=_SIDE, steps=_STEPS, seed=1)
        started = client.sent_at
        while (end := listener.ended(job_id)) is None:
            if time.perf_counter() - started > _PATIENCE_SECONDS:
                client.call("DELETE", f"/queue/{job_id}")
                listener.wait_end(job_id)
                return _PATIENCE_SECONDS, waited
            other.get("/health")
            waited.append(other.seconds)
            time.sleep(_HEALTH_PAUSE_SECONDS)
    return end[0] - started, waited


if __name__ == "__main__":
    main(__doc__ or "", measure)
