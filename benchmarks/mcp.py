"""What MCP costs: nothing at the start, its SDK at the first call, and then what a tool takes beyond the native route;
and whether the server still answers while forty tools wait.

With the fake engine, because what is looked for is a few milliseconds beside the seconds of a real picture.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import Any

from benchmarks.figures import Figure, Options, main, spread
from benchmarks.served import PATIENCE_SECONDS, PROMPT, Client, Server

WAITING = 40
_VERSION = "2026-07-28"
_WANTED = {"width": 64, "height": 64, "steps": 12, "cfg_scale": 2.5, "sampler": "euler"}
_MEBIBYTE = 1 << 20
# Longer than any benchmark takes; a step now and then, of which all who wait are told.
_LONG = {"prompt": f"{PROMPT} fake:step=0.05", "width": 64, "height": 64, "steps": 9000}
_LOADED = "import sys, sdcpp_rest.web.serving; print(sum(name.partition('.')[0] == 'mcp' for name in sys.modules))"
_IMPORT = """
import time, sdcpp_rest.web.serving
began = time.process_time()
import sdcpp_rest.routes.mcp.server
print(time.process_time() - began)
"""


def measure(options: Options) -> list[Figure]:
    loaded = int(_run(_LOADED))
    imported = [float(_run(_IMPORT)) for _ in range(options.samples(5, 1))]
    with Server(options.engine) as server:
        server.wait_loaded()
        figures = [*_first_call(server), *_calls(server, options), *_health(server, options), server.complaints()]
    return [
        Figure("modules of the SDK that a start loads", loaded, "modules", at_most=0),
        *spread("CPU time of its import, on a thread at the first call", imported, (50,)),
        *figures,
    ]


def _run(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


def _first_call(server: Server) -> list[Figure]:
    before = server.process().memory_info().rss
    with server.connect() as client:
        _ask(client, "list_images")
        first = client.seconds
        _ask(client, "list_images")
        second = client.seconds
    grown = server.process().memory_info().rss - before
    return [
        Figure("the first call", first * 1000, "ms", note=f"the second {second * 1000:.1f} ms"),
        Figure("memory of the server, grown by it", grown / _MEBIBYTE, "MiB"),
    ]


def _calls(server: Server, options: Options) -> list[Figure]:
    """Both ways in turn, so that whatever else the machine does meets both."""
    native, tool, added = [], [], []
    with server.listen() as listener, server.connect() as client:
        for seed in range(options.samples(60, 3) + 3):
            job_id = client.submit(seed=seed, **_WANTED)
            sent_at = client.sent_at
            listener.wait_end(job_id)
            client.picture(job_id)
            one = client.answered_at - sent_at
            result = _ask(client, "generate_image", prompt=PROMPT, seed=seed, **_WANTED)
            assert result["structuredContent"]["status"] == "completed", result
            if seed >= 3:  # the first ones also pay for imports and connections
                native.append(one)
                tool.append(client.seconds)
                added.append(client.seconds - one)
    return [
        *spread("native: POST -> completed event -> picture fetched", native, (50, 90)),
        *spread("generate_image: POST -> result with a small picture", tool, (50, 90)),
        *spread("the second, less the first, same seed", added, (50,), at_most={50: 20}),
    ]


def _health(server: Server, options: Options) -> list[Figure]:
    count = options.samples(1000, 20)
    alone = _look(server, count // 2)
    with server.connect() as client:
        job_id = _ask(client, "generate_image", **_LONG, wait_seconds=0)["structuredContent"]["job_id"]
        waiting = [_wait(server.port, job_id, number) for number in range(WAITING)]
        try:
            for one in waiting:
                one.recv(1, socket.MSG_PEEK)  # told of a step: it waits
            busy = _look(server, count)
            threads = server.process().num_threads()
            _ask(client, "cancel_job", job_id=job_id)
            cancelled = sum(b'"status":"cancelled"' in _rest(one) for one in waiting)
        finally:
            for one in waiting:
                one.close()
    return [
        *spread("GET /health, no tool waits", alone, (50, 99)),
        *spread(f"GET /health, {WAITING} tools wait", busy, (50, 99, 100), at_most={99: 50}),
        Figure("tools that were answered in the end", cancelled, "tools", WAITING),
        Figure("server threads while they wait", threads, "threads"),
    ]


def _look(server: Server, count: int) -> list[float]:
    seconds = []
    with server.connect() as client:
        for _ in range(count):
            client.get("/health")
            seconds.append(client.seconds)
    return seconds


def _message(tool: str, arguments: dict[str, Any], token: int | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    meta: dict[str, Any] = {
        "io.modelcontextprotocol/protocolVersion": _VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    if token is not None:
        meta["progressToken"] = token
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": _VERSION,
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, headers


def _ask(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    message, headers = _message(tool, arguments)
    status, answer = client.call("POST", "/mcp", message, headers)
    assert status == 200, answer[:300]
    return dict(json.loads(answer)["result"])


def _wait(port: int, job_id: str, number: int) -> socket.socket:
    """Call job_status and read nothing: a bare socket costs this process no thread."""
    message, headers = _message("job_status", {"job_id": job_id, "wait_seconds": 600}, number)
    body = json.dumps(message).encode()
    fields = {**headers, "Host": f"127.0.0.1:{port}", "Content-Length": str(len(body)), "Connection": "close",
              "Content-Type": "application/json"}  # fmt: skip
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    caller = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
    caller.sendall(f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body)
    return caller


def _rest(caller: socket.socket) -> bytes:
    answer = b""
    while part := caller.recv(65536):
        answer += part
    return answer


if __name__ == "__main__":
    main("MCP: its SDK, its tools beside the native route, and forty of them that wait", measure, default_engine="fake")
