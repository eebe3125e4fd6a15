"""What previews cost: the library's call through the engine with nobody, one and two listening, against it alone.

All draw the same pictures with one thread, in turns. Who polls for the end of a job is no listener.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from benchmarks.figures import Figure, Options, main
from benchmarks.served import Client, Server, until
from benchmarks.wall import draw_with_fake, draw_with_library, pixels_of, submit_seed

_LISTENERS = (0, 1, 2)
_TARGETS = {0: 1.02, 1: 1.05, 2: 1.05}
_WARM_UP = 2


def measure(options: Options) -> list[Figure]:
    figures: list[Figure] = []
    with ExitStack() as stack:
        draw = draw_with_fake() if options.engine == "fake" else draw_with_library(stack)
        for mode in ("proj", "tae"):
            with Server(options.engine, 1, f"preview.mode={mode}") as server:
                server.wait_loaded()
                for side, full in ((64, 8), (128, 2)):
                    figures += _compare(server, draw, mode, side, options.samples(full, 1))
                figures.append(server.complaints())
    return figures


def _compare(server: Server, draw: Callable[[int, int], bytes], mode: str, side: int, count: int) -> list[Figure]:
    """Each seed once with the raw library and once for each number of listeners."""
    raw, different = [], 0
    called: dict[int, list[float]] = {listeners: [] for listeners in _LISTENERS}
    for seed in range(count + _WARM_UP):
        started = time.perf_counter()
        pixels = draw(seed, side)
        raw.append(time.perf_counter() - started)
        # Whoever comes last must not always be the same.
        for listeners in _LISTENERS[:: 1 if seed % 2 else -1]:
            with ExitStack() as stack:
                for _ in range(listeners):
                    stack.enter_context(server.listen())
                client = stack.enter_context(server.connect())
                job_id = submit_seed(client, seed, side)
                called[listeners].append(_native_seconds(client, job_id))
                different += pixels_of(client.picture(job_id)) != pixels
    under = float(np.median(raw[_WARM_UP:]))
    return [
        *(
            Figure(
                f"{mode}, {side}x{side}: library's call with {listeners} listening / raw library",
                float(np.median(seconds[_WARM_UP:])) / under, "x", count, _TARGETS[listeners],
                f"{float(np.median(seconds[_WARM_UP:])) * 1000:.0f} ms, raw {under * 1000:.0f} ms",
            )
            for listeners, seconds in called.items()
        ),
        Figure(f"{mode}, {side}x{side}: pictures that differ", different, "pictures", len(raw) * len(_LISTENERS)),
    ]  # fmt: skip


def _native_seconds(client: Client, job_id: str) -> float:
    """The library's part in a job, once it has ended."""
    until(lambda: client.get(f"/queue/{job_id}")["status"] == "completed", f"job {job_id} did not end")
    return float(client.get(f"/queue/{job_id}")["timings"]["native_seconds"])


if __name__ == "__main__":
    main("What previews cost", measure)
