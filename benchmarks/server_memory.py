"""How large the server's process is after a thousand jobs, whether it still grows, and how soon it answers.

The engine's process is not counted. With the fake engine the jobs pass quickly; ``--engine native`` draws 8x8 pictures
in one step each.
"""

from __future__ import annotations

import collections
import time

import psutil

from benchmarks.figures import Figure, Options, main, spread
from benchmarks.served import Server

_MIB = 2**20


def measure(options: Options) -> list[Figure]:
    return [*_memory(options), *_starts(options)]


def _memory(options: Options) -> list[Figure]:
    count = options.samples(1000, 20)
    few = min(30, count)
    marks = sorted({few, count // 10, count // 4, count // 2, 3 * count // 4, count})
    rss: dict[int, float] = {}
    with Server(options.engine) as server, server.listen() as listener:
        server.wait_loaded()
        process, engine = server.process(), server.engine()
        at_start, threads_at_start = process.memory_info().rss, process.num_threads()
        done, started = 0, time.perf_counter()
        for mark in marks:
            while done < mark:
                # In lots, as a busy server gets them, and looked at, as its users do.
                lot = min(25, mark - done)
                with server.connect() as client:
                    for seed in range(done, done + lot):
                        job_id = client.submit(seed=seed, width=8, height=8, steps=1)
                    done += lot
                    client.get("/queue?limit=50")
                    client.get(f"/queue/{job_id}")
                listener.wait_ends(done)
            rss[mark] = process.memory_info().rss / _MIB
        seconds = time.perf_counter() - started
        half, whole = count // 2, count
        goals: dict[int, float] = {few: 80, whole: 160e6 / _MIB}
        figures = [
            Figure("server RSS before the first job", at_start / _MIB, "MiB"),
            *(Figure(f"server RSS after {mark} jobs", rss[mark], "MiB", at_most=goals.get(mark)) for mark in marks),
            Figure(f"growth from job {half} to job {whole}", rss[whole] - rss[half], "MiB", note="target: none"),
            Figure("engine RSS", engine.memory_info().rss / _MIB, "MiB", note="not counted above"),
            Figure("server threads before, after", process.num_threads(), "threads", note=f"{threads_at_start} before"),
            Figure("server files open", _open_files(process), "files"),
            Figure("jobs per second", count / seconds, "1/s", count),
            server.complaints(),
        ]  # fmt: skip
        print("   threads: " + _thread_names(process), flush=True)
    return figures


def _starts(options: Options) -> list[Figure]:
    seconds = []
    for _ in range(options.samples(5, 1)):
        with Server(options.engine) as server:
            seconds.append(server.start_seconds)
    return spread("start of the process -> first answer of /health", seconds, (50, 100), unit="s", at_most={50: 2})


def _open_files(process: psutil.Process) -> int:
    return process.num_fds() if hasattr(process, "num_fds") else len(process.open_files())


def _thread_names(process: psutil.Process) -> str:
    """How many threads of each name; empty where the system does not tell."""
    names: collections.Counter[str] = collections.Counter()
    for thread in process.threads():
        try:
            with open(f"/proc/{process.pid}/task/{thread.id}/comm", encoding="utf-8") as file:
                names[file.read().strip()] += 1
        except OSError:
            continue
    return ", ".join(f"{count} x {name}" for name, count in names.most_common())


if __name__ == "__main__":
    main("Memory and start of the server", measure, default_engine="fake")
