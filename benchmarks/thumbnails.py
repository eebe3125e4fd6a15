"""Whether the server still answers while several clients look at a folder of large pictures that nobody saw before."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.figures import Figure, Options, main, spread
from benchmarks.served import Server

CLIENTS = 6
AGAIN = 10
_LARGE = "?size=512&fit=inside"


def measure(options: Options) -> list[Figure]:
    count, side = options.samples(120, 6), options.samples(2048, 256)
    with Server(options.engine) as server:
        server.wait_loaded()
        names = _write_pictures(server.folder / "output" / "gallery", count, side)
        smaller = options.samples(1024, 256)
        large_names = _write_pictures(server.folder / "output" / "large", count, smaller)
        idle = _polled(server, lambda: time.sleep(options.samples(3, 1)))
        first_seconds: list[float] = []
        drawing = _polled(server, lambda: first_seconds.extend(_look_at_all(server, names)))
        large_seconds: list[float] = []
        large = _polled(server, lambda: large_seconds.extend(_look_at_all(server, large_names, _LARGE)))
        again_seconds: list[float] = []
        kept = _polled(server, lambda: again_seconds.extend(_look_at_all(server, names * AGAIN)))
        return [
            *spread("GET /health, nobody looks", idle, (50, 99)),
            *spread(f"GET /health, {CLIENTS} clients, {side}x{side} drawn", drawing, (50, 99, 100), at_most={99: 20}),
            *spread(f"GET /health, {CLIENTS} clients, 512 of {smaller}x{smaller}", large, (50, 99), at_most={99: 20}),
            *spread(f"GET /health, {CLIENTS} clients, all drawn already", kept, (50, 99), at_most={99: 20}),
            Figure("thumbnails drawn", count / sum(first_seconds), "per s", count),
            Figure(f"thumbnails of 512 drawn, of {smaller}x{smaller}", count / sum(large_seconds), "per s", count),
            Figure("thumbnails served again", count * AGAIN / sum(again_seconds), "per s", count * AGAIN),
            Figure("server memory afterwards", server.process().memory_info().rss / 2**20, "MiB"),
            server.complaints(),
        ]


def _write_pictures(folder: Path, count: int, side: int) -> list[str]:
    """Pictures with some noise in them: flat ones would be decoded in no time."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    picture = Image.fromarray(smooth ^ rng.integers(0, 8, smooth.shape, dtype=np.uint8))
    picture.save(folder / "0.png", compress_level=4)
    content = (folder / "0.png").read_bytes()
    for k in range(1, count):
        (folder / f"{k}.png").write_bytes(content)
    return [f"{folder.name}/{k}.png" for k in range(count)]


def _look_at_all(server: Server, names: list[str], query: str = "") -> list[float]:
    """Every thumbnail once, by several clients; the seconds it took altogether."""

    def look(part: list[str]) -> None:
        with server.connect() as client:
            for name in part:
                status, body = client.call("GET", f"/thumb/{name}{query}")
                if status != 200 or not body.startswith(b"\xff\xd8"):
                    raise RuntimeError(f"the thumbnail of {name}: {status} {body[:100]!r}")

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(look, [names[k::CLIENTS] for k in range(CLIENTS)]))
    return [time.perf_counter() - started]


def _polled(server: Server, work: Callable[[], None]) -> list[float]:
    """How long each GET /health took while ``work`` was done, one every 5 ms."""
    seconds: list[float] = []
    done = threading.Event()

    def poll() -> None:
        with server.connect() as client:
            while not done.is_set() or not seconds:
                client.get("/health")
                seconds.append(client.seconds)
                done.wait(0.005)

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join()
    return seconds


if __name__ == "__main__":
    main("Answers while thumbnails are drawn", measure, default_engine="fake")
