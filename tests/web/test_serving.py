"""The server as a process of its own, with an engine that computes nothing: signals, and what they leave behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.e2e

PATIENCE_SECONDS = 30
SCRIPT = """
import json, logging, sys
from sdcpp_rest.web.serving import serve
from sdcpp_rest.config import Config
from sdcpp_rest.runtime import Runtime

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(serve(Runtime(Config(**json.loads(sys.argv[1])))))
"""


class ServerProcess:
    def __init__(self, folder: Path, **engine: Any) -> None:
        (folder / "serve.py").write_text(SCRIPT)
        config = {
            "paths": {f"{name}_dir": str(folder / name) for name in ("data", "models", "output", "log")},
            "server": {"port": 0, "ws_port": 0, "blocking_threads": 1},
            "engine": {"runner": "fake", **engine},
        }
        self.server_file = folder / "data" / "server.json"
        self.process = subprocess.Popen(
            [sys.executable, str(folder / "serve.py"), json.dumps(config)],
            cwd=Path(__file__).parents[2],
            env=_environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "listening on" in line:
                break
        self.url = json.loads(self.server_file.read_text())["url"]

    def post(self, path: str, body: dict[str, Any]) -> requests.Response:
        return requests.post(self.url + path, json=body, timeout=PATIENCE_SECONDS)

    def held(self, prompt: str) -> None:
        """Have the engine busy with a job that does not end by itself."""
        while not requests.get(self.url + "/health", timeout=PATIENCE_SECONDS).json()["model_loaded"]:
            pass
        job = self.post("/txt2img", {"prompt": prompt}).json()["job_id"]
        while requests.get(f"{self.url}/queue/{job}", timeout=PATIENCE_SECONDS).json()["status"] != "processing":
            pass

    def ended(self) -> tuple[int, str]:
        """Exit code and the rest of what it said."""
        _, said = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, said


def _environment() -> dict[str, str]:
    import os

    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    started: list[ServerProcess] = []

    def make(**engine: Any) -> ServerProcess:
        started.append(ServerProcess(tmp_path, **engine))
        return started[-1]

    yield make
    for server in started:
        server.process.kill()
        server.process.communicate()


def released_load(server: ServerProcess, number: signal.Signals) -> requests.Response:
    """Have a load wait for its turn behind a job that does not end, send the signal, and return what the load got."""
    body = {"model_name": "demo_dit_q8_0.gguf", "options": {"n_threads": 3}}

    def load() -> requests.Response:
        while True:
            answer = server.post("/models/load", body)
            if "server.blocking_threads" not in answer.text:
                return answer

    with ThreadPoolExecutor(1) as caller:
        waiting = caller.submit(load)
        # The server lets one call wait: when it has no room for another one, ours is in.
        while server.post("/models/load", {}).status_code != 503:
            pass
        assert not waiting.done()
        server.process.send_signal(number)
        return waiting.result()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_releases_who_waits_and_stops_the_server_in_order(
    start: Callable[..., ServerProcess], number: signal.Signals
) -> None:
    server = start(stop_timeout_seconds=0.5)
    server.held("fake:hold")
    released = released_load(server, number)
    assert released.status_code == 503
    assert "stopping" in released.json()["error"]
    code, said = server.ended()
    assert code == 0
    assert "Traceback" not in said
    assert not server.server_file.exists()


def test_a_second_signal_ends_the_server_at_once(start: Callable[..., ServerProcess]) -> None:
    server = start(stop_timeout_seconds=600)
    server.held("fake:deaf")
    # Released: the first signal has been seen, and the server now waits for a job that will not end.
    assert released_load(server, signal.SIGINT).status_code == 503
    server.process.send_signal(signal.SIGINT)
    code, said = server.ended()
    assert code == 128 + signal.SIGINT
    assert "Traceback" not in said
    assert not server.server_file.exists()
