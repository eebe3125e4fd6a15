"""What a job takes beyond the library's own call, and how fast the server says "accepted" while every core computes."""

from __future__ import annotations

import os
import random
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Options, main, spread
from benchmarks.served import ENDLESS_STEPS, PROMPT, Server, cores


def measure(options: Options) -> list[Figure]:
    return [*_added_seconds(options), *_accepting(options)]


def _added_seconds(options: Options) -> list[Figure]:
    """Jobs one at a time, the server otherwise idle; then the same number queued at once."""
    count = options.samples(40, 3)
    since_accepted, since_sent, encode = [], [], []
    with Server(options.engine) as server, server.listen() as listener, server.connect() as client:
        server.wait_loaded()
        for seed in range(count + 2):
            job_id = client.submit(seed=seed, width=64, height=64)
            sent_at, accepted_at = client.sent_at, client.answered_at
            ended_at, status = listener.wait_end(job_id)
            assert status == "completed", f"job {job_id} {status}"
            timings = client.get(f"/queue/{job_id}")["timings"]
            if seed >= 2:  # the first ones also pay for imports and connections
                since_accepted.append(ended_at - accepted_at - timings["native_seconds"])
                since_sent.append(ended_at - sent_at - timings["native_seconds"])
                encode.append(timings["encode_seconds"])

        started = time.perf_counter()
        job_ids = [client.submit(seed=seed, width=64, height=64) for seed in range(count)]
        ended_at = max(listener.wait_end(job_id)[0] for job_id in job_ids)
        with server.connect() as later:  # the first connection may have been idle for too long
            native = sum(later.get(f"/queue/{job_id}")["timings"]["native_seconds"] for job_id in job_ids)
        return [
            *spread("job alone: accepted -> completed event, less library", since_accepted, (50, 90), at_most={50: 15}),
            *spread("job alone: POST sent -> completed event, less library", since_sent, (50, 90)),
            *spread("  of that: PNG and spool in the encoder", encode, (50,)),
            Figure(
                "queued at once: wall per job, less library", (ended_at - started - native) / count * 1000, "ms", count
            ),
            server.complaints(),
        ]


def _accepting(options: Options) -> list[Figure]:
    """POST /txt2img while the engine computes with as many threads as there are cores, and somebody watches."""
    count = options.samples(300, 5)
    endless: dict[str, Any] = {"steps": ENDLESS_STEPS}
    if options.engine == "fake":
        endless = {"prompt": f"{PROMPT} fake:hold", **endless}
    with Server(options.engine, cores()) as server, server.listen() as listener, server.connect() as client:
        server.wait_loaded()
        job_id = client.submit(width=64, height=64, **endless)
        if options.engine == "native":
            listener.wait_step(job_id, 3)
        engine = server.engine()
        engine.cpu_percent()
        posts, healths, fresh = [], [], []
        for seed in range(count):
            client.submit(seed=seed, width=64, height=64, steps=12)
            posts.append(client.seconds)
            pause()
            client.get("/health")
            healths.append(client.seconds)
            pause()
            with server.connect() as other:
                other.submit(seed=seed, width=64, height=64, steps=12)
                fresh.append(other.seconds)
            pause()
        busy = engine.cpu_percent() / 100
        fsyncs = _fsyncs(server.folder, options.samples(50, 3))
        beyond = (statistics.median(posts) - statistics.median(fsyncs)) * 1000
        figures = [
            *spread("POST /txt2img, engine on all cores", posts, (50, 90, 99), at_most={50: 10}),
            *spread("the same, each on a new connection", fresh, (50, 99)),
            *spread("GET /health at the same time", healths, (50, 99)),
            Figure("cores the engine had meanwhile", busy, "cores", note=f"it asked for {cores()}"),
            *spread("one 4 KiB write and fsync on this disk", fsyncs, (50,), note="an accepted job is on the disk"),
            Figure("POST /txt2img beyond that, of medians", beyond, "ms", count, at_most=4),
            server.complaints(),
        ]  # fmt: skip
        client.call("DELETE", f"/queue/{job_id}")
    return figures


def pause() -> None:
    """Callers come at any moment; one who comes at once would take the cores that the engine is to have."""
    time.sleep(random.uniform(0.005, 0.035))


def _fsyncs(folder: Path, count: int) -> list[float]:
    seconds = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(count):
            started = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main("Time that the server adds to a job", measure)
