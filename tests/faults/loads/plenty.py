"""Gives a server more rows and more bytes than anybody has: 100,000 jobs in its queue, 100 GB of pictures."""

from __future__ import annotations

import io
import sqlite3
import time
import uuid
from contextlib import closing
from pathlib import Path

from PIL import Image

from benchmarks.figures import Figure, spread
from benchmarks.job_overhead import pause
from benchmarks.served import Client, Server, until
from tests.faults.loads.crowd import dead
from tests.faults.study import Options

_MIB = 2**20


def examine_rows(options: Options) -> list[Figure]:
    """Half of them wait, half are completed. The server starts, answers, takes one more, and goes on drawing."""
    count = options.samples(100_000, 400)
    with Server("fake", 1, f"limits.pending_jobs={count}") as server:
        with server.connect() as client, server.listen() as listener:
            server.wait_loaded()
            client.submit(width=64, height=64, steps=1)
            listener.wait_ends(1)
            client.post("/queue/pause", {})
            client.submit(width=64, height=64, steps=1)
        server.stop()
        _multiply_rows(next(server.folder.glob("data/*.db")), count // 2)
        server.start()
        with server.connect() as client, server.listen() as listener:
            server.wait_loaded()
            told = client.get("/queue?limit=1")
            listed = _time(client, "/queue?limit=50", options)
            searched = _time(client, "/queue?limit=50&search=circle", options)
            paged = _time(client, f"/queue?limit=50&offset={count // 2}", options)
            seconds = []
            for _ in range(options.samples(50, 3)):
                client.submit(width=64, height=64, steps=1)
                seconds.append(client.seconds)
            client.post("/queue/resume", {})
            drawn = options.samples(200, 10)
            listener.wait_ends(drawn)
            memory = server.process().memory_info().rss
            failed = client.get("/queue?limit=1")["failed_count"]
            end = dead(server)
        return [
            Figure("rows that a restart does not list", count + 2 - told["total_count"], "rows", count, 0),
            Figure(f"start to /health with {count} rows", server.start_seconds, "s"),
            *spread(f"GET /queue, a page of 50 of {count}", listed, (50, 99)),
            *spread("GET /queue, a page from the middle", paged, (50,)),
            *spread("GET /queue?search=", searched, (50,)),
            *spread("POST /txt2img", seconds, (50, 99)),
            Figure("jobs failed as it goes on", failed, "jobs", drawn, 0),
            Figure("memory", memory / _MIB, "MiB"),
            end,
        ]


def examine_bytes(options: Options) -> list[Figure]:
    """Pictures of 20 and of 50 MB, as files with holes. The gallery reads what the smaller ones say, whole."""
    count = options.samples(2300, 40)
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(picture, "PNG")
    with Server("fake") as server:
        server.stop()
        folder = server.folder / "output" / "kept"
        folder.mkdir(parents=True)
        told = 0
        for number in range(count):
            size = 20_000_000 if number % 5 == 0 else 50_000_000
            with (folder / f"{number}.png").open("wb") as file:
                file.write(picture.getvalue())
                file.truncate(size)
            told += size
        server.start()
        with server.connect() as client:
            started = time.perf_counter()
            until(lambda: client.get("/gallery?limit=1")["total"] >= count, "the gallery does not have them all")
            indexed = time.perf_counter() - started
            listed = _time(client, "/gallery?limit=100", options)
            status, _ = client.call("GET", "/thumb/kept/7.png")
            memory = server.process().memory_info().rss
            end = dead(server)
        return [
            Figure("bytes of pictures", told / 1e9, "GB", count, note="sparse files"),
            Figure("start -> all of them in the gallery", indexed, "s", count),
            *spread("GET /gallery", listed, (50, 99)),
            Figure("thumbnails of such files not answered", int(status != 200), "", 1, 0, f"{status}"),
            Figure("memory", memory / _MIB, "MiB"),
            end,
        ]


def _time(client: Client, path: str, options: Options) -> list[float]:
    seconds = []
    for _ in range(options.samples(30, 3)):
        pause()
        client.get(path)
        seconds.append(client.seconds)
    return seconds


def _multiply_rows(file: Path, count: int) -> None:
    """``count`` more jobs like each of the two that are there."""
    with closing(sqlite3.connect(file)) as database, database:
        database.create_function("new_id", 0, lambda: str(uuid.uuid4()))
        names = [row[1] for row in database.execute("PRAGMA table_info(jobs)") if row[1] not in ("seq", "id")]
        columns = ", ".join(names)
        for (seq,) in database.execute("SELECT seq FROM jobs").fetchall():
            database.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                f"INSERT INTO jobs (id, {columns}) SELECT new_id(), {columns} FROM n, jobs WHERE seq = ?",
                (count, seq),
            )
