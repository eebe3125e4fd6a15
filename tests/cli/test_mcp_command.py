"""``sdcpp-rest mcp`` as clients start it: a process on pipes, with the official client at the other end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import psutil
import pytest

from tests.routes.conftest import PATIENCE_SECONDS, ServedHouse
from tests.routes.mcp.agents import ERAS, INITIALIZE, SMALL

pytestmark = pytest.mark.slow
START_SECONDS = 90.0


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "sdcpp_rest", "mcp", *arguments]


def _draw(arguments: Sequence[str], era: str) -> dict[str, Any]:
    from mcp import Client, StdioServerParameters

    async def run() -> dict[str, Any]:
        command = _command(*arguments)
        parameters = StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))
        async with Client(parameters, mode=era) as client:
            assert len((await client.list_tools()).tools) == 9
            result = await client.call_tool("generate_image", SMALL)
            assert not result.is_error, result.content
            assert result.structured_content is not None
            return result.structured_content

    return asyncio.run(asyncio.wait_for(run(), START_SECONDS))


@pytest.mark.parametrize("era", ERAS)
def test_a_running_server_is_used_and_left_running(served: ServedHouse, era: str) -> None:
    facts = _draw([f"--data-dir={served.runtime.config.paths.data_dir}"], era)
    assert served.runtime.jobs.queue.get(facts["job_id"]).status == "completed"
    assert served.get("/health").json()["status"] == "ok"


def test_a_named_server_is_used(served: ServedHouse) -> None:
    facts = _draw(["--url", served.url + "/"], ERAS[0])
    assert served.runtime.jobs.queue.get(facts["job_id"]).status == "completed"


class Agent:
    """A client that has started the command, on bare pipes."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            _command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        return dict(json.loads(self.process.stdout.readline()))

    def server(self) -> psutil.Process:
        children = psutil.Process(self.process.pid).children()
        (server,) = [child for child in children if "serve" in child.cmdline()]
        return server

    def check_end(self, server: psutil.Process) -> None:
        """Nothing more was written, all is told on standard error, and no process is left."""
        family = [server, *server.children(recursive=True)]
        rest, said = self.process.communicate(timeout=START_SECONDS)
        assert (self.process.returncode, rest) == (0, b""), said.decode()
        assert b"sdcpp-rest" in said
        gone, alive = psutil.wait_procs(family, timeout=PATIENCE_SECONDS)
        assert (len(gone), alive) == (len(family), [])


PORTS = ("--set", "server.port=0", "--set", "server.ws_port=0")


def test_a_server_is_started_where_none_runs_and_ends_with_standard_input(alone: tuple[str, ...]) -> None:
    agent = Agent(*alone, *PORTS)
    assert agent.ask(INITIALIZE)["result"]["serverInfo"]["name"] == "sdcpp-rest"
    agent.check_end(agent.server())


def test_a_server_that_dies_is_started_again_and_ends_with_the_command(alone: tuple[str, ...]) -> None:
    agent = Agent(*alone, *PORTS)
    agent.ask(INITIALIZE)
    first = agent.server()
    first.kill()
    with contextlib.suppress(psutil.NoSuchProcess):  # who has started it has looked already
        while first.status() != psutil.STATUS_ZOMBIE:
            """It is dead in a moment."""
    answer = agent.ask({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
    assert len(answer.get("result", {}).get("tools", [])) == 9, answer
    second = agent.server()
    assert second.pid != first.pid
    agent.process.send_signal(signal.SIGTERM)
    agent.check_end(second)


def test_a_server_that_cannot_start_is_told_on_standard_error(alone: tuple[str, ...]) -> None:
    wrong = ("--set", "server.host=192.0.2.1", "--set", 'auth.api_keys=["secret"]')
    done = subprocess.run(
        _command(*alone, *wrong), stdin=subprocess.DEVNULL, capture_output=True, timeout=START_SECONDS, check=False
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"none could be started" in done.stderr
