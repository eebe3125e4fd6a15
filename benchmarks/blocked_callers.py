"""Whether the server still answers while sixty callers wait in calls that block: loads that wait for a running job."""

from __future__ import annotations

import json
import select
import socket
import time
from typing import Any

from benchmarks.figures import Figure, Options, main, spread
from benchmarks.served import DEMO_MODEL, ENDLESS_STEPS, PATIENCE_SECONDS, PROMPT, Server, until

CALLERS = 60


def measure(options: Options) -> list[Figure]:
    count = options.samples(1000, 20)
    endless: dict[str, Any] = {
        "prompt": f"{PROMPT} fake:hold" if options.engine == "fake" else PROMPT,
        "steps": ENDLESS_STEPS,
    }
    with Server(options.engine) as server, server.listen() as listener, server.connect() as client:
        server.wait_loaded()
        alone = _kept(server, count // 2)
        job_id = client.submit(width=64, height=64, **endless)
        if options.engine == "native":
            listener.wait_step(job_id, 2)
        computing = _kept(server, count // 2)
        process = server.process()
        threads_before = process.num_threads()
        callers = [_blocked_call(server.port) for _ in range(CALLERS)]
        try:
            # Each of them holds a thread of the server: when there are so many more, all have been read.
            until(lambda: process.num_threads() >= threads_before + CALLERS, "the callers do not wait")
            waiting = process.num_threads()
            kept = _kept(server, count)
            fresh = _fresh(server, count)
            answered_early = len(select.select(callers, [], [], 0)[0])
            with server.connect() as other:
                other.call("DELETE", f"/queue/{job_id}")
                cancelled_at = other.sent_at
            statuses = [_status(caller) for caller in callers]
            released = time.perf_counter() - cancelled_at
        finally:
            for caller in callers:
                caller.close()
        return [
            *spread("GET /health, nobody waits, engine idle", alone, (50, 99)),
            *spread("GET /health, nobody waits, engine computes", computing, (50, 99)),
            *spread(f"GET /health, {CALLERS} wait, one connection", kept, (50, 99, 100), at_most={99: 50}),
            *spread(f"GET /health, {CALLERS} wait, new connections", fresh, (50, 99, 100), at_most={99: 50}),
            Figure("callers answered too early", answered_early, "callers", CALLERS, note="0: all did wait"),
            Figure("callers answered 200 in the end", statuses.count(200), "callers", CALLERS),
            Figure("cancel of the job -> all of them answered", released, "s", CALLERS),
            Figure("server threads while they wait", waiting, "threads", note=f"{threads_before} before"),
            server.complaints(),
        ]


def _blocked_call(port: int) -> socket.socket:
    """Send a load and read nothing: a bare socket costs this process no thread."""
    body = json.dumps({"model_name": DEMO_MODEL}).encode()
    head = f"POST /models/load HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    caller = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
    caller.sendall(head.encode() + body)
    return caller


def _status(caller: socket.socket) -> int:
    answer = b""
    while part := caller.recv(65536):
        answer += part
    return int(answer.split(b" ", 2)[1])


def _kept(server: Server, count: int) -> list[float]:
    seconds = []
    with server.connect() as client:
        for _ in range(count):
            client.get("/health")
            seconds.append(client.seconds)
    return seconds


def _fresh(server: Server, count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        with server.connect() as client:
            client.get("/health")
        seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main("Answers while callers wait", measure)
