"""A gallery of 100,000 pictures: how fast the index is made anew, and how fast pages, searches and counts are."""

from __future__ import annotations

import io
import json
import random
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.figures import Figure, Options, main, spread
from benchmarks.served import Client, Server

PER_JOB = 4
_WORDS = [
    "lighthouse",
    "cat",
    "dog",
    "forest",
    "sea",
    "painting",
    "oil",
    "sunset",
    "portrait",
    "castle",
    "city",
    "night",
    "rain",
    "detailed",
    "soft",
]
_ASKED = {
    "first page of 100": ("?limit=100", 50),
    "page of a model": ("?limit=100&model=model3.gguf", 50),
    "page of a LoRA": ("?limit=100&lora=ink", 50),
    "page that nothing passes": ("?limit=100&kind=video&starred=true", 50),
    "page at place 90 %": ("?limit=100&offset={far}", 50),
    "first page of rows, four pictures each": ("?limit=100&grouped=true", 250),
    "search, a word that all have": ("?limit=100&q=pict", 100),
    "search, a word that few have": ("?limit=100&q=word17", 100),
    "search, two words": ("?limit=100&q=lighthouse%20sunset", 100),
    "search, a phrase and a model": ("?limit=100&q=%22a%20picture%22&model=model3.gguf", 100),
    "search, without a word": ("?limit=100&q=-cat", 100),
}


def measure(options: Options) -> list[Figure]:
    count = options.samples(100_000, 200)
    with Server(options.engine) as server:
        server.wait_loaded()
        _write_jobs(server.folder / "output", count // PER_JOB)
        with server.connect() as client:
            started = time.perf_counter()
            with ThreadPoolExecutor(1) as pool:
                scan = pool.submit(_scan, server)
                polled = _poll(client, scan.done)
            read = scan.result()
            seconds = time.perf_counter() - started
            again = _timed(client, "POST", "/gallery/scan", {})
            figures = [
                Figure("pictures read by a scan", read, "", 1),
                Figure("pictures indexed anew", count / seconds, "per s", count),
                *spread("GET /health meanwhile", polled, (50, 99)),
                Figure("scan that finds nothing new", again * 1000, "ms"),
            ]
            for name, (query, target) in _ASKED.items():
                asked = f"/gallery{query.format(far=count * 9 // 10)}"
                times = [_timed(client, "GET", asked) for _ in range(options.samples(20, 2))]
                figures += spread(name, times, (50, 100), at_most={50: target})
            for path in ("/gallery/months", "/gallery/facets"):
                figures += spread(f"GET {path}", [_timed(client, "GET", path) for _ in range(options.samples(10, 2))])
            figures += _changes(client, options)
            figures.append(Figure("server memory", server.process().memory_info().rss / 2**20, "MiB"))
        return [*figures, server.complaints()]


def _changes(client: Client, options: Options) -> list[Figure]:
    many = options.samples(1000, 20)
    _, body = client.call("GET", f"/gallery?limit={many}")
    chosen = [item["id"] for item in json.loads(body)["items"]]
    figures = [Figure("bytes per picture in a listing", len(body) / len(chosen), "B", len(chosen))]
    for action in ("star", "delete", "restore"):
        sent = {"ids": chosen, "action": action}
        seconds = _timed(client, "POST", "/gallery/batch", sent)
        figures.append(Figure(f"{action} {many} pictures", seconds * 1000, "ms"))
    sent = {"ids": chosen}
    figures.append(Figure(f"zip of {many} pictures", _timed(client, "POST", "/gallery/zip", sent) * 1000, "ms"))
    return figures


def _scan(server: Server) -> int:
    with server.connect() as client:
        _, body = client.call("POST", "/gallery/scan", {"anew": True})
    return int(json.loads(body)["read"])


def _poll(client: Client, is_done: Callable[[], bool]) -> list[float]:
    times = [_timed(client, "GET", "/health")]
    while not is_done():
        times.append(_timed(client, "GET", "/health"))
        time.sleep(0.01)
    return times


def _timed(client: Client, method: str, path: str, body: Any = None) -> float:
    started = time.perf_counter()
    status, answer = client.call(method, path, body)
    assert status == 200, (path, status, answer[:300])
    return time.perf_counter() - started


def _write_jobs(folder: Path, jobs: int) -> None:
    """Folders as finished jobs leave them, with small pictures."""
    chance = random.Random(0)
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "PNG")
    words = [*_WORDS, *(f"word{number}" for number in range(3000))]
    begin = datetime(2025, 1, 1, tzinfo=timezone.utc)
    for number in range(jobs):
        job_id = str(uuid.UUID(int=chance.getrandbits(128)))
        (folder / job_id).mkdir()
        names = [f"image_{k}.png" for k in range(PER_JOB)]
        for name in names:
            (folder / job_id / name).write_bytes(buffer.getvalue())
        params = {
            "prompt": f"a picture {' '.join(chance.choices(words, k=30))}",
            "negative_prompt": " ".join(chance.choices(words, k=8)),
            "seed": number,
            "loras": [{"name": "ink", "weight": 1}] if number % 3 == 0 else [],
        }
        record = {
            "job_id": job_id,
            "created_at": (begin + timedelta(minutes=10 * number)).isoformat(),
            "params": params,
            "model": {"model": {"name": f"model{number % 17}.gguf"}, "architecture": "sd1"},
            "timings": {"native_seconds": 1.5},
            "outputs": [f"{job_id}/{name}" for name in names],
        }
        (folder / job_id / "config.json").write_text(json.dumps(record), encoding="utf-8")


if __name__ == "__main__":
    main("A gallery of many pictures", measure, default_engine="fake")
