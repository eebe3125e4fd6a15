"""Talks to a served house as agents do: with the official client, in either protocol, or by bare requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import requests

from tests.routes.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    # Half a second: only tests that talk pay for it.
    from mcp import Client
    from mcp.types import CallToolResult

T = TypeVar("T")

HANDSHAKE, STATELESS = "legacy", "2026-07-28"
ERAS = (HANDSHAKE, STATELESS)
"""The two protocols, as the official client calls them."""

ACCEPT = {"Accept": "application/json, text/event-stream"}
SMALL = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 3}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def talk(url: str, conversation: Callable[[Client], Awaitable[T]], era: str = STATELESS) -> T:
    """What ``conversation`` returns, held with the official client at ``url``."""
    from mcp import Client

    async def run() -> T:
        async with Client(f"{url}/mcp", mode=era) as client:
            return await conversation(client)

    return asyncio.run(asyncio.wait_for(run(), PATIENCE_SECONDS))


def call(url: str, tool: str, era: str = STATELESS, **arguments: Any) -> CallToolResult:
    """The result of one tool."""
    return talk(url, lambda client: client.call_tool(tool, arguments), era)


def facts_of(result: CallToolResult) -> dict[str, Any]:
    """The structured content of a result that is no error; its text holds the same."""
    assert not result.is_error, text_of(result)
    assert result.structured_content is not None
    assert json.loads(text_of(result).partition("\n")[2]) == result.structured_content
    return result.structured_content


def text_of(result: CallToolResult) -> str:
    assert result.content[0].type == "text"
    return result.content[0].text


def refusal_of(result: CallToolResult) -> str:
    assert result.is_error, text_of(result)
    return text_of(result)


def pictures_of(result: CallToolResult) -> list[Any]:
    return [block for block in result.content if block.type == "image"]


def post(url: str, message: object, headers: Mapping[str, str] | None = None, **more: Any) -> requests.Response:
    """The answer to a bare message; ``data`` in ``more`` is sent as it is."""
    body = more.pop("data", None) or json.dumps(message)
    sent = {"Content-Type": "application/json", **ACCEPT, **(headers or {})}
    return requests.post(f"{url}/mcp", data=body, headers=sent, timeout=PATIENCE_SECONDS, **more)


def stateless(method: str, params: Mapping[str, Any] | None = None, name: str = "") -> tuple[dict[str, Any], Any]:
    """A request of the protocol without a handshake, and its headers."""
    meta = {"io.modelcontextprotocol/protocolVersion": STATELESS, "io.modelcontextprotocol/clientCapabilities": {}}
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {**(params or {}), "_meta": meta}}
    headers = {"MCP-Protocol-Version": STATELESS, "Mcp-Method": method}
    return message, {**headers, **({"Mcp-Name": name} if name else {})}


def begin_session(url: str) -> str:
    """The id of a new session of the protocol with a handshake."""
    answer = post(url, INITIALIZE)
    assert answer.status_code == 200, answer.text
    return answer.headers["Mcp-Session-Id"]
