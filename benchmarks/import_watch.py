"""Starts a server in an interpreter of its own, until it has answered `GET /health`, and tells what that imported.

The server has no engine: that would go on importing in the background. One that is used besides has one, and draws.
"""

from __future__ import annotations

import importlib._bootstrap as bootstrap  # type: ignore[import-not-found]
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
_PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.005


@dataclass(frozen=True)
class Imported:
    """One module: the CPU time that it took itself, without what it imported, and who imported it first."""

    name: str
    seconds: float
    by: str


@dataclass(frozen=True)
class WatchedStart:
    """What a start cost. ``modules``: dearest first, without those of the bare interpreter. ``threads``: their names,
    and ``processes``: how many there were besides, at its end."""

    modules: tuple[Imported, ...]
    cpu_seconds: float
    rss_bytes: int
    threads: tuple[str, ...]
    processes: int

    @property
    def names(self) -> frozenset[str]:
        return frozenset(one.name for one in self.modules)


def watch_start(folder: Path, *, is_used: bool = False) -> WatchedStart:
    """Start a server whose files lie in ``folder``; ``is_used``: it has an engine, draws a picture, and shows its
    engines, their log and its metrics. Raises CalledProcessError when it does not start."""
    code = f"from benchmarks.import_watch import run_watched; run_watched({str(folder)!r}, {is_used})"
    # As an installed copy: compiled modules are read, and written where they are not there yet.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=_ROOT, env=environment)
    told = json.loads(ran.stdout)
    modules = sorted((Imported(*one) for one in told["modules"]), key=lambda one: -one.seconds)
    return WatchedStart(
        tuple(modules), told["cpu_seconds"], told["rss_bytes"], tuple(sorted(told["threads"])), told["processes"]
    )


def run_watched(folder: str, is_used: bool) -> None:
    """Be that interpreter. Ends the process."""
    root, times = Path(folder), _ImportTimes()
    threading.Thread(target=_tell, args=(root / "data", times, is_used), name="watch", daemon=True).start()
    from sdcpp_rest.cli import main

    settings = {
        "paths.log_dir": root / "data/logs",
        "server.port": 0,
        "server.ws_port": 0,
        **({"engine.runner": "fake"} if is_used else {"engines.devices": "none"}),
    }
    folders = {"data": root / "data", "output": root / "output", "models": root / "models"}
    main(
        [
            "serve",
            *(word for name, path in folders.items() for word in (f"--{name}-dir", str(path))),
            *(word for name, value in settings.items() for word in ("--set", f"{name}={value}")),
        ]
    )


class _ImportTimes:
    """Measures every import from now on. ``found``: name, seconds of the module's own, who asked for it."""

    def __init__(self) -> None:
        self.found: list[tuple[str, float, str]] = []
        self._open = threading.local()
        self._load = bootstrap._load_unlocked
        bootstrap._load_unlocked = self._watch

    def _watch(self, spec: Any) -> Any:
        stack: list[list[Any]] = self._open.__dict__.setdefault("stack", [["the interpreter", 0.0]])
        began = time.thread_time()
        stack.append([spec.name, 0.0])
        try:
            return self._load(spec)
        finally:
            whole = time.thread_time() - began
            _, inner = stack.pop()
            stack[-1][1] += whole
            self.found.append((spec.name, whole - inner, stack[-1][0]))


def _tell(data: Path, times: _ImportTimes, is_used: bool) -> None:
    ending = time.monotonic() + _PATIENCE_SECONDS
    told = data / "server.json"
    while not told.exists() and time.monotonic() < ending:
        time.sleep(_LOOK_SECONDS)
    port = json.loads(told.read_text(encoding="utf-8"))["port"]
    _ask(port, "GET /health")
    cost: dict[str, Any] = {"cpu_seconds": sum(os.times()[:2]), "rss_bytes": _rss_bytes()}
    if is_used:
        _use(port, ending)
    cost |= {"threads": [one.name for one in threading.enumerate()], "processes": _count_processes()}
    print(json.dumps({"modules": times.found, **cost}), flush=True)
    os._exit(0)


def _use(port: int, ending: float) -> None:
    picture = json.dumps({"prompt": "a", "width": 64, "height": 64, "steps": 1})
    job_id = json.loads(_ask(port, "POST /txt2img", picture))["job_id"]
    while json.loads(_ask(port, f"GET /queue/{job_id}"))["status"] != "completed" and time.monotonic() < ending:
        time.sleep(_LOOK_SECONDS)
    for path in ("/engines", "/metrics", "/logs/engine", "/system/doctor"):
        _ask(port, f"GET {path}")


def _ask(port: int, line: str, body: str = "") -> bytes:
    """The body of an answer; one that is no success ends the process."""
    import socket

    head = f"{line} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS) as asking:
        asking.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = b"".join(iter(lambda: asking.recv(65536), b""))
    if not answer.startswith(b"HTTP/1.1 2"):
        sys.stderr.write(answer[:1000].decode(errors="replace"))
        os._exit(1)
    return answer.partition(b"\r\n\r\n")[2]


def _count_processes() -> int:
    import psutil

    return len(psutil.Process().children(recursive=True))


def _rss_bytes() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)
