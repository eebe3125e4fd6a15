"""Has a thousand clients listen while jobs are drawn, of which some never read."""

from __future__ import annotations

import asyncio
import base64
import os
import resource
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from websockets.asyncio.client import connect

from benchmarks.figures import Figure, spread
from benchmarks.job_overhead import pause
from benchmarks.served import PATIENCE_SECONDS, PROMPT, Server, until
from tests.faults.study import Options

_MIB = 2**20


def examine_listeners(options: Options) -> list[Figure]:
    """900 of 1,000 WebSockets read everything; the others nothing, with as small a window as the kernel gives."""
    readers, mutes, jobs = options.samples(900, 20), options.samples(100, 4), options.samples(200, 10)
    allow_files(readers + mutes)
    with Server("fake") as server, server.connect() as client:
        server.wait_loaded()
        process = server.process()
        before = process.memory_info().rss
        silent = [_listen_in_silence(server.port) for _ in range(mutes)]
        try:
            with _Crowd(server.port, readers) as crowd:
                listening = process.memory_info().rss
                ids = [client.submit(seed=seed, width=64, height=64, steps=4) for seed in range(jobs)]
                seconds = []
                while not crowd.has_heard(jobs):
                    client.get("/health")
                    seconds.append(client.seconds)
                    pause()
                lost = sum(jobs - len(heard & {*ids}) for heard in crowd.heard)
                twice = sum(sum(count > 1 for count in told.values()) for told in crowd.told)
                most = process.memory_info().rss
            statuses = Counter(client.get(f"/queue/{job_id}")["status"] for job_id in ids)
        finally:
            for one in silent:
                one.close()
        until(lambda: len(process.net_connections()) < 20, "the connections of who has left stay")
        return [
            Figure("ends of jobs that a reader was not told", lost, "events", readers * jobs, 0, f"{readers} read"),
            Figure("ends of jobs that a reader was told twice", twice, "events", readers * jobs, 0),
            Figure("jobs not completed", jobs - statuses["completed"], "jobs", jobs, 0),
            *spread(f"GET /health, {readers} read and {mutes} do not", seconds, (50, 99)),
            Figure("memory for each listener", (listening - before) / (readers + mutes) / 1024, "KiB"),
            Figure("memory with all of them, at the end", most / _MIB, "MiB", note=f"{before / _MIB:.0f} without"),
            dead(server),
        ]


def allow_files(count: int) -> None:
    """Let this process and what it starts have so many connections, and some more. Raises ValueError, OSError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * count + 500
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))


def dead(server: Server) -> Figure:
    try:
        # One that has ended is a zombie until it is waited for.
        is_dead = server.process().status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        is_dead = True
    return Figure("server deaths", int(is_dead), "deaths", at_most=0)


def _listen_in_silence(port: int) -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    one.settimeout(PATIENCE_SECONDS)
    one.connect(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    one.sendall(
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return one


class _Crowd:
    """WebSockets that read all in one thread, and note which jobs they were told to be completed."""

    def __init__(self, port: int, count: int) -> None:
        self.told: list[Counter[str]] = [Counter() for _ in range(count)]
        self._url = f"ws://127.0.0.1:{port}/ws"
        self._greeted = threading.Semaphore(0)
        self._leave: asyncio.Event
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._listen(),), daemon=True)

    def __enter__(self) -> _Crowd:
        self._thread.start()
        for _ in self.told:
            if not self._greeted.acquire(timeout=PATIENCE_SECONDS):
                raise RuntimeError("a listener was not greeted")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join(PATIENCE_SECONDS)

    @property
    def heard(self) -> list[set[str]]:
        return [set(told) for told in self.told]

    def has_heard(self, jobs: int) -> bool:
        return all(len(told) >= jobs for told in self.told)

    async def _listen(self) -> None:
        self._leave = asyncio.Event()
        # Some at a time: a thousand at once would be a test of the backlog.
        door = asyncio.Semaphore(50)
        listening = [asyncio.ensure_future(self._hear(told, door)) for told in self.told]
        await self._leave.wait()
        for one in listening:
            one.cancel()
        await asyncio.gather(*listening, return_exceptions=True)

    async def _hear(self, told: Counter[str], door: asyncio.Semaphore) -> None:
        await door.acquire()
        try:
            connection = await connect(self._url, compression=None, open_timeout=PATIENCE_SECONDS, max_size=None)
            await connection.recv()
        finally:
            door.release()
        self._greeted.release()
        async with connection:
            async for text in connection:
                # Not parsed: a crowd's own work must not be what is measured.
                if isinstance(text, str) and "job_status_changed" in text and '"completed"' in text:
                    told[text.split('"job_id":', 1)[1].split('"', 2)[1]] += 1


@contextmanager
def held_queue(server: Server) -> Iterator[str]:
    """A job that runs until it is cancelled, so that all others wait."""
    with server.listen() as listener, server.connect() as client:
        job_id = client.submit(prompt=f"{PROMPT} fake:hold", width=64, height=64)
        listener.wait_started(job_id)
        yield job_id
        client.call("DELETE", f"/queue/{job_id}")
