"""Has hundreds of callers wait for their pictures and leave when they like, and others send a byte now and then."""

from __future__ import annotations

import contextlib
import json
import random
import select
import socket
import time

from benchmarks.figures import Figure, spread
from benchmarks.served import PATIENCE_SECONDS, Client, Server, until
from tests.faults.loads.crowd import allow_files, dead, held_queue
from tests.faults.study import Options


def examine_leavers(options: Options) -> list[Figure]:
    """500 callers wait, in two dialects; half leave: before their job runs, while it does, after it."""
    count = options.samples(500, 20)
    allow_files(count)
    dice = random.Random(options.seed)
    with Server("fake", 1, *_make_settings(count)) as server, server.connect() as client:
        server.wait_loaded()
        process = server.process()
        threads = process.num_threads()
        with held_queue(server):
            callers = [_wait_for_picture(server.port, number) for number in range(count)]
            until(lambda: client.get("/queue?limit=1")["total_count"] > count, "the callers' jobs are not there")
            waiting = process.num_threads()
            leaving = dice.sample(range(count), count // 2)
            early, late = leaving[: count // 4], leaving[count // 4 :]
            for number in early:
                callers[number].close()
        left = set(early)
        # The queue goes on; the others leave as it does.
        for number in late:
            callers[number].close()
            left.add(number)
            client.get("/health")
        stayed = [number for number in range(count) if number not in left]
        answers = {number: _read_answer(callers[number]) for number in stayed}
        # Whoever left in the middle has left a job that may be at its last step.
        with contextlib.suppress(RuntimeError):
            until(lambda: _count(client, "pending") + _count(client, "processing") == 0, "jobs go on for nobody")
        abandoned = _count(client, "pending") + _count(client, "processing")
        without = [number for number in stayed if answers[number][0] != 200 or b"iVBOR" not in answers[number][1]]
        return [
            Figure("who stayed and got no picture", len(without), "callers", len(stayed), 0),
            Figure("jobs that still wait or run for nobody", abandoned, "jobs", count, 0),
            Figure("jobs failed", _count(client, "failed"), "jobs", count, 0),
            Figure("jobs cancelled as their callers left", _count(client, "cancelled") - 1, "jobs", len(leaving)),
            Figure("server threads while all wait", waiting, "threads", note=f"{threads} before"),
            Figure("server threads afterwards", process.num_threads(), "threads"),
            dead(server),
        ]


def _make_settings(callers: int) -> tuple[str, ...]:
    """Settings: by themselves 128 calls may wait at once, and more are refused with a 503."""
    return "queue.abandoned_grace_seconds=0", f"server.blocking_threads={callers + 12}"


def examine_dribblers(options: Options) -> list[Figure]:
    """300 connections send a byte of a request every half second, or of a body, or read an answer as slowly."""
    count, seconds = options.samples(300, 12), options.samples(100, 3)
    allow_files(count)
    with Server("fake") as server, server.connect() as client:
        server.wait_loaded()
        (server.folder / "output").mkdir(exist_ok=True)
        with (server.folder / "output" / "large.bin").open("wb") as file:
            file.truncate(64 * 2**20)
        before = server.process().memory_info().rss
        slow = [_begin(server.port, number % 3) for number in range(count)]
        answered: list[float] = []
        refused = 0
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            for one in slow:
                _dribble(one)
            job_id = client.submit(width=64, height=64, steps=2)
            _wait_completed(client, job_id)
            for _ in range(10):
                status, _answer = client.call("GET", "/health")
                refused += status != 200
                answered.append(client.seconds)
            time.sleep(0.5)
        hung_up = sum(_is_closed(one) for one in slow)
        most = server.process().memory_info().rss
        for one in slow:
            one.close()
        return [
            Figure("good calls refused beside them", refused, "calls", len(answered), 0, f"{count} dribble"),
            *spread(f"GET /health beside {count} of them", answered, (50, 99)),
            Figure(f"hung up on after {seconds} s", hung_up, "of them", count),
            Figure("memory for each of them", (most - before) / count / 1024, "KiB"),
            dead(server),
        ]


def _wait_for_picture(port: int, number: int) -> socket.socket:
    path, body = (
        ("/sdapi/v1/txt2img", {"prompt": f"number {number}", "width": 64, "height": 64, "steps": 2}),
        ("/v1/images/generations", {"prompt": f"number {number}", "size": "64x64", "response_format": "b64_json"}),
        ("/sdapi/v1/txt2img", {"prompt": f"number {number}", "width": 64, "height": 64, "steps": 1, "batch_size": 2}),
    )[number % 3]
    raw = json.dumps(body).encode()
    caller = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
    caller.sendall(head.encode() + raw)
    return caller


def _read_answer(caller: socket.socket) -> tuple[int, bytes]:
    parts = []
    with caller:
        while part := caller.recv(65536):
            parts.append(part)
    answer = b"".join(parts)
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0, answer


def _wait_completed(client: Client, job_id: str) -> None:
    until(lambda: client.get(f"/queue/{job_id}")["status"] == "completed", "no picture")


def _count(client: Client, status: str) -> int:
    return int(client.get("/queue?limit=1")[f"{status}_count"])


_LONG_HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
_LONG_BODY = (
    b"POST /txt2img HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
)
_LONG_ANSWER = b"GET /output/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _begin(port: int, kind: int) -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    one.settimeout(PATIENCE_SECONDS)
    one.connect(("127.0.0.1", port))
    one.sendall((_LONG_HEAD, _LONG_BODY, _LONG_ANSWER)[kind])
    one.setblocking(False)
    return one


def _dribble(one: socket.socket) -> None:
    """One byte further, in both directions; whom the server has hung up on stays so."""
    for step in (lambda: one.send(b" "), lambda: one.recv(1)):
        try:
            step()
        except OSError:
            continue


def _is_closed(one: socket.socket) -> bool:
    if not select.select([one], [], [], 0)[0]:
        return False
    try:
        while part := one.recv(65536):
            if not part:
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
