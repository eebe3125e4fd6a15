"""What it costs that files come from another machine: how late previews arrive, and a result of 100 MB on its way.

Helpers of `cluster`, which has the nodes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from benchmarks.figures import Figure, Options, spread
from benchmarks.served import Server

_MIB = 1024 * 1024
_STEP_SECONDS = 0.15  # previews never come more often than ten times a second
_LARGE_SIDE = 5888  # three bytes of noise for each pixel: 104 MB
_LOOK_SECONDS = 0.002


def time_previews(options: Options, here: Server, there: Server) -> list[Figure]:
    """Jobs whose steps take a known time, on an engine here and on the node, in turns: how long after a step its
    preview arrives, the way of the job to its engine included."""
    jobs, steps = options.samples(20, 2), options.samples(20, 4)
    late: dict[str, list[float]] = {"here": [], "on the node": []}
    for seed in range(jobs + 1):
        for where, server in zip(late, (here, there), strict=True):
            with server.listen() as listener, server.connect() as client:
                job_id = client.submit(prompt=f"fake:step={_STEP_SECONDS}", seed=seed, steps=steps, width=64, height=64)
                accepted_at = client.answered_at
                listener.wait_end(job_id)
                seen = listener.previews(job_id)
            if seed:
                late[where] += [at - accepted_at - step * _STEP_SECONDS for at, step in seen]
    return [
        figure
        for where, seconds in late.items()
        for figure in spread(f"engine {where}: accepted -> preview event, less its steps", seconds, (50, 95))
    ]


def send_large(options: Options, server: Server, node_data: Path) -> list[Figure]:
    """A picture of 104 MB, from the moment when it lies whole on the node: its way, and what that takes of memory.

    ``node_data``: the node's data folder, in which its engine has the files of jobs.
    """
    side = options.samples(_LARGE_SIDE, 1024)
    with server.listen() as listener, server.connect() as client:
        pid = client.get("/engines")["engines"][0]["pid"]
        kept = server.folder / "kept.png"
        with _watch_memory(_processes(server, pid)) as peaks, _keep(node_data, kept) as kept_at:
            job_id = client.submit(prompt="fake:noise", seed=1, steps=1, width=side, height=side)
            ended_at, status = listener.wait_end(job_id)
        assert status == "completed", f"job {job_id} {status}"
        arrived = server.folder / "output" / job_id / "image_0.png"
        is_same = _digest(kept) == _digest(arrived)
    size = arrived.stat().st_size
    name = f"picture of {size / 1e6:.0f} MB" if size > 1e6 else "picture"
    # Shared pages are those of Ray's store of objects, each counted in whoever has looked at it.
    return [
        Figure(f"{name}, whole on the node -> completed event", ended_at - kept_at[0], "s"),
        Figure("  SHA-256 on the node and in the output folder", float(is_same), "equal", note="1: yes"),
        *(
            figure
            for process, (private, shared) in peaks.items()
            for figure in (
                Figure(f"  {process}: most more memory of its own", private / _MIB, "MiB"),
                Figure(f"  {process}: most more of the store of objects", shared / _MIB, "MiB"),
            )
        ),
    ]


def _processes(server: Server, engine_pid: int) -> dict[str, psutil.Process]:
    """Those that a result passes through, by what they are."""
    host = psutil.Process(engine_pid).parent()
    raylet = host.parent() if host is not None else None
    assert host is not None
    assert raylet is not None
    gateway = next(one for one in server.process().children() if "gateway_entry" in " ".join(one.cmdline()))
    return {"server": server.process(), "gateway": gateway, "host of the engine": host, "raylet of the node": raylet}


@contextlib.contextmanager
def _watch_memory(processes: Mapping[str, psutil.Process]) -> Iterator[dict[str, tuple[int, int]]]:
    """The most that each process has more than at the beginning, of its own and shared, in bytes, when this is over."""
    first = {name: _memory(process) for name, process in processes.items()}
    most = dict(first)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_LOOK_SECONDS):
            for name, process in processes.items():
                now = _memory(process)
                most[name] = max(most[name][0], now[0]), max(most[name][1], now[1])

    peaks: dict[str, tuple[int, int]] = {}
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()
    peaks |= {name: (most[name][0] - first[name][0], most[name][1] - first[name][1]) for name in first}


def _memory(process: psutil.Process) -> tuple[int, int]:
    """What it has of its own, and shared, in bytes; all of it its own where the system does not tell."""
    told = process.memory_info()
    shared = getattr(told, "shared", 0)
    return told.rss - shared, shared


@contextlib.contextmanager
def _keep(folder: Path, kept: Path) -> Iterator[list[float]]:
    """Have the first picture that lies whole below ``folder`` under a second name, too, and note when that was."""
    ended = threading.Event()
    kept_at: list[float] = []

    def watch() -> None:
        while not (kept_at or ended.wait(_LOOK_SECONDS)):
            for path in folder.glob("engine-*/jobs/*/*/image_0.png"):
                with contextlib.suppress(OSError):
                    os.link(path, kept)
                    kept_at.append(time.perf_counter())
                    break

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield kept_at
    finally:
        ended.set()
        thread.join()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        found = hashlib.sha256()
        while piece := file.read(_MIB):
            found.update(piece)
    return found.hexdigest()
