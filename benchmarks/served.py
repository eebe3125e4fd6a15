"""A real server process to measure, and the two clients that measure it: lean ones, so that little of what is seen is
theirs."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import psutil
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from benchmarks.figures import EngineName, Figure

PATIENCE_SECONDS = 300.0
PROMPT = "a red circle on a blue background"
DEMO_MODEL = "demo_dit_q8_0.gguf"
# More steps than any benchmark waits for: such a job runs until it is cancelled.
ENDLESS_STEPS = 9000
_Seen = TypeVar("_Seen")
_ENDS = ("completed", "failed", "cancelled")


class Server:
    """``sdcpp-rest serve`` in a process of its own, on free ports, with folders that go away with it."""

    def __init__(self, engine: EngineName = "native", n_threads: int = 1, *settings: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sdcpp-rest-bench-")
        self.folder = Path(self._folder.name)
        self.port = free_port()
        self.start_seconds = 0.0
        self._log = self.folder / "server.log"
        overrides = (
            f"server.port={self.port}", "server.ws_port=0", f"engine.runner={engine}", f"engine.n_threads={n_threads}",
            *settings,
        )  # fmt: skip
        self._command = [sys.executable, "-m", "sdcpp_rest", "serve"]
        for name in ("data", "models", "output"):
            self._command += [f"--{name}-dir", str(self.folder / name)]
        for override in overrides:
            self._command += ["--set", override]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._log.exists():
            print(self._log.read_text(errors="replace")[-4000:], file=sys.stderr)
        self.stop()
        self._folder.cleanup()

    def start(self) -> None:
        """Start; ``start_seconds`` is the time from here to the first answer of /health."""
        started = time.perf_counter()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        while not self._answers():
            if self._process.poll() is not None or time.perf_counter() - started > PATIENCE_SECONDS:
                self.stop()
                raise RuntimeError("the server did not start:\n" + self._log.read_text(errors="replace")[-4000:])
            time.sleep(0.01)
        self.start_seconds = time.perf_counter() - started

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        # Twice: the second signal leaves at once, and nobody wants what still runs.
        for _ in range(2):
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
                return
        self._process.kill()
        self._process.wait()

    def connect(self) -> Client:
        return Client(self.port)

    def listen(self) -> Listener:
        return Listener(f"ws://127.0.0.1:{self.port}/ws")

    def wait_loaded(self) -> None:
        """Until the bundled model is in the engine."""
        with self.connect() as client:
            until(lambda: client.get("/health")["model_loaded"], "the model was not loaded")

    def process(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def engine(self) -> psutil.Process:
        with self.connect() as client:
            return psutil.Process(client.get("/health")["engine"]["pid"])

    def complaints(self) -> Figure:
        """How many warnings and errors are in the logs; the first one as a note."""
        return complaints((self._log, *self.folder.glob("data/**/*.log")))

    def _answers(self) -> bool:
        try:
            with self.connect() as client:
                return bool(client.get("/health")["status"] == "ok")
        except OSError:
            return False


def complaints(logs: Iterable[Path]) -> Figure:
    """How many warnings and errors are in ``logs``; the first one as a note."""
    pattern = re.compile(r" (WARNING|ERROR|CRITICAL) |Traceback")
    lines = [line for log in logs for line in log.read_text(errors="replace").splitlines() if pattern.search(line)]
    return Figure("warnings and errors in the logs", len(lines), "lines", note=lines[0][:100] if lines else "")


class Client:
    """One keep-alive HTTP connection. Times every call: ``sent_at``, ``answered_at`` on the clock of `perf_counter`."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        self.sent_at = self.answered_at = 0.0

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    @property
    def seconds(self) -> float:
        """How long the last call took, its answer read whole."""
        return self.answered_at - self.sent_at

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        raw = None if body is None else json.dumps(body).encode()
        sent = {**({"Content-Type": "application/json"} if raw else {}), **(headers or {})}
        self.sent_at = time.perf_counter()
        self._connection.request(method, path, raw, sent)
        response = self._connection.getresponse()
        answer = response.read()
        self.answered_at = time.perf_counter()
        return response.status, answer

    def get(self, path: str) -> Any:
        status, answer = self.call("GET", path)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {answer[:300]!r}")
        return json.loads(answer)

    def post(self, path: str, body: Any) -> Any:
        status, answer = self.call("POST", path, body)
        if status not in (200, 202):
            raise RuntimeError(f"POST {path}: {status} {answer[:300]!r}")
        return json.loads(answer)

    def submit(self, **fields: Any) -> str:
        status, answer = self.call("POST", "/txt2img", {"prompt": PROMPT, **fields})
        if status != 202:
            raise RuntimeError(f"POST /txt2img: {status} {answer[:300]!r}")
        return str(json.loads(answer)["job_id"])

    def picture(self, job_id: str) -> bytes:
        status, answer = self.call("GET", f"/output/{job_id}/image_0.png")
        if status != 200:
            raise RuntimeError(f"the picture of {job_id}: {status}")
        return answer


class Listener:
    """A WebSocket whose every message is stamped by `perf_counter` when it arrives, whatever the measuring thread does.

    A context manager; it listens when it has been entered.
    """

    def __init__(self, url: str) -> None:
        self._arrived = threading.Condition()
        self._ends: dict[str, tuple[float, str]] = {}
        self._started: set[str] = set()
        self._steps: dict[str, deque[tuple[float, int]]] = {}
        self._previews: dict[str, list[tuple[float, int]]] = {}
        self._connecting = connect(url, max_size=2**26, open_timeout=PATIENCE_SECONDS, compression=None)
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Listener:
        self._socket = self._connecting.__enter__()
        self._socket.recv()  # the greeting: from now on every event arrives
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._thread.join(10)

    def wait_end(self, job_id: str) -> tuple[float, str]:
        """When the job's last status arrived, and which it was."""
        return self._wait(lambda: self._ends.get(job_id), f"job {job_id} did not end")

    def ended(self, job_id: str) -> tuple[float, str] | None:
        """The same, if it has arrived."""
        with self._arrived:
            return self._ends.get(job_id)

    def wait_ends(self, count: int) -> None:
        """Until ``count`` jobs have ended since the listener began."""
        self._wait(lambda: len(self._ends) >= count or None, f"{count} jobs did not end")

    def wait_started(self, job_id: str) -> None:
        """Until the job has been taken off the queue."""
        self._wait(lambda: job_id in self._started or job_id in self._ends or None, f"job {job_id} did not start")

    def wait_step(self, job_id: str, step: int) -> list[tuple[float, int]]:
        """Until the job has done ``step`` steps; the (arrival, step) of every progress event so far."""

        def reached() -> list[tuple[float, int]] | None:
            if job_id in self._ends:
                raise RuntimeError(f"job {job_id} ended before step {step}: {self._ends[job_id][1]}")
            seen = self._steps.get(job_id)
            return list(seen) if seen and seen[-1][1] >= step else None

        return self._wait(reached, f"job {job_id} did not reach step {step}")

    def previews(self, job_id: str) -> list[tuple[float, int]]:
        """The (arrival, step) of every preview so far."""
        with self._arrived:
            return list(self._previews.get(job_id, ()))

    def _wait(self, look: Callable[[], _Seen | None], otherwise: str) -> _Seen:
        with self._arrived:
            deadline = time.perf_counter() + PATIENCE_SECONDS
            while (found := look()) is None:
                if not self._arrived.wait(deadline - time.perf_counter()):
                    raise RuntimeError(otherwise)
            return found

    def _listen(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                text = self._socket.recv()
                at = time.perf_counter()
                message = json.loads(text)
                name, told = message["event"], message["data"]
                with self._arrived:
                    if name == "job_status_changed" and told["status"] in _ENDS:
                        self._ends[told["job_id"]] = (at, told["status"])
                        self._steps.pop(told["job_id"], None)
                    elif name == "job_status_changed" and told["status"] == "processing":
                        self._started.add(told["job_id"])
                    elif name == "job_progress" and told["step"]:
                        self._steps.setdefault(told["job_id"], deque(maxlen=200)).append((at, told["step"]))
                    elif name == "job_preview":
                        self._previews.setdefault(told["job_id"], []).append((at, told["step"]))
                    self._arrived.notify_all()


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def until(look: Callable[[], bool], otherwise: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Look again and again until it is true. Raises RuntimeError with ``otherwise`` when that takes longer."""
    deadline = time.perf_counter() + seconds
    while not look():
        if time.perf_counter() > deadline:
            raise RuntimeError(otherwise)
        time.sleep(0.01)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
