"""The real server as a user runs it: a process of its own, real sockets, the real library and the demo model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from tests.canaries import CANARY_TOKEN, SENT_KEY

pytestmark = pytest.mark.e2e
_SECRETS = {"HF_TOKEN": CANARY_TOKEN, "CIVITAI_TOKEN": CANARY_TOKEN}
TIMEOUT = 60.0


class ServerProcess:
    """One ``sdcpp-rest serve`` on free ports, with folders of its own below ``folder``."""

    patience_seconds = TIMEOUT
    pause_seconds = 0.02
    """Between two looks at what a test waits for."""

    def __init__(self, folder: Path, *settings: str, prefix: tuple[str, ...] = (), more: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.prefix = prefix
        self.more = more
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None
        self.url = self.ws_url = self.ws_port_url = ""
        self.log = folder / "server.log"

    def start(self) -> ServerProcess:
        """Start (again) and wait until it answers."""
        (self.folder / "data" / "server.json").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, env={**os.environ, **_SECRETS})
        deadline = time.monotonic() + TIMEOUT
        while not self._announced():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)
        return self

    def command(self) -> list[str]:
        overrides = (
            "server.port=0", "server.ws_port=0", "engine.n_threads=1",
            # Not the page of this checkout, which may be built or not.
            f"paths.webui_dir={self.folder / 'webui'}", *self.settings,
        )  # fmt: skip
        command = [sys.executable, "-m", "sdcpp_rest", "serve"]
        for name in ("data", "models", "output"):
            command += [f"--{name}-dir", str(self.folder / name)]
        for override in overrides:
            command += ["--set", override]
        return [*self.prefix, *command, *self.more]

    def _announced(self) -> bool:
        try:
            found = json.loads((self.folder / "data" / "server.json").read_text())
        except (OSError, ValueError):
            return False
        self.url = found["url"]
        self.ws_url = self.url.replace("http", "ws") + "/ws"
        if found["ws_port"]:
            self.ws_port_url = f"ws://127.0.0.1:{found['ws_port']}/"
        return True

    def get(self, path: str, **arguments: Any) -> Any:
        if "auth.api_keys" not in "".join(self.settings):
            # It is ignored there, and never written down.
            arguments["headers"] = {**SENT_KEY, **(arguments.get("headers") or {})}
        response = requests.get(self.url + path, timeout=TIMEOUT, **arguments)
        response.raise_for_status()
        return response.json()

    def post(self, path: str, body: Any = None) -> requests.Response:
        return requests.post(self.url + path, json=body, timeout=self.patience_seconds)

    def submit(self, prompt: str, **fields: Any) -> str:
        response = self.post("/txt2img", {"prompt": prompt, **fields})
        assert response.status_code == 202, response.text
        return str(response.json()["job_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        return self.get(f"/queue/{job_id}")

    def wait(self, job_id: str, reached: Callable[[dict[str, Any]], bool] | None = None) -> dict[str, Any]:
        """Poll until the job is finished, or ``reached(job)``."""
        return self.until(
            lambda: self.job(job_id), reached or (lambda job: job["status"] in ("completed", "failed", "cancelled"))
        )

    def wait_running(self, job_id: str) -> dict[str, Any]:
        """Poll until the job has done its first step."""
        return self.wait(job_id, lambda job: job["status"] != "pending" and job["progress"]["step"] >= 1)

    def wait_loaded(self) -> dict[str, Any]:
        return self.until(lambda: self.get("/health"), lambda health: health["model_loaded"])

    def until(self, look: Callable[[], Any], reached: Callable[[Any], bool]) -> Any:
        deadline = time.monotonic() + self.patience_seconds
        while not reached(seen := look()):
            assert time.monotonic() < deadline, (seen, self.log.read_text()[-4000:])
            time.sleep(self.pause_seconds)
        return seen

    def picture(self, job_id: str, index: int = 0) -> bytes:
        response = requests.get(f"{self.url}/output/{job_id}/image_{index}.png", timeout=TIMEOUT)
        response.raise_for_status()
        return response.content

    def engine(self) -> psutil.Process:
        health = self.until(lambda: self.get("/health"), lambda health: health["engine"]["pid"])
        return psutil.Process(health["engine"]["pid"])

    def kill(self) -> None:
        """kill -9, as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(TIMEOUT)

    def signal(self, number: int) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """``make_server("key=value", ...)`` starts one; all are stopped at the end."""
    servers: list[ServerProcess] = []

    def make(
        *settings: str,
        name: str = "server",
        start: bool = True,
        prefix: tuple[str, ...] = (),
        more: tuple[str, ...] = (),
    ) -> ServerProcess:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        server = ServerProcess(folder, *settings, prefix=prefix, more=more)
        servers.append(server)
        return server.start() if start else server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def server(make_server: Callable[..., ServerProcess]) -> ServerProcess:
    """A server with the demo model loaded."""
    server = make_server()
    server.wait_loaded()
    return server


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for the tests of a module that only submit jobs and look."""
    server = ServerProcess(tmp_path_factory.mktemp("shared")).start()
    server.wait_loaded()
    yield server
    server.stop()


def children_of(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


os.environ.setdefault("PYTHONUNBUFFERED", "1")
