"""Carries MCP messages between standard input, standard output and a server's /mcp.

Bytes go through as they come; only what HTTP wants told in headers is read. Needs no SDK, so that it is there at once.
Knows nothing of tools, and not how a server is found.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

Write = Callable[[bytes], None]
Find = Callable[[], Awaitable[str]]
"""Finds a server that answers, and starts one where there is none; its URL. Raises click.ClickException."""

_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_PLAIN_HEADER = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_UNREACHABLE, _UNREADABLE = -32000, -32700
# A tool waits for as long as its caller asked it to.
_TIMEOUT = httpx.Timeout(None, connect=10.0)
_LAST_CALLS_SECONDS = 1.0
_HANDSHAKE = "initialize"


@dataclass(frozen=True)
class _Message:
    """One message from the client. ``version``: that of the protocol without a handshake, else empty."""

    line: bytes
    method: str
    id: str | int | None
    params: dict[str, Any]
    version: str

    @property
    def is_request(self) -> bool:
        return self.id is not None and bool(self.method)


class McpProxy:
    """Forwards messages to the server at ``url``, and what it answers to ``write``, one message a line.

    Args:
        find: called for another server when that one does not answer.
        key: sent along as a Bearer token; empty for none.
    """

    def __init__(self, url: str, find: Find, write: Write, key: str = "") -> None:
        self._url = url
        self._find = find
        self._finding = asyncio.Lock()
        self._write = write
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # What is on this machine is reached without a proxy, whatever the environment says.
        self._client = httpx.AsyncClient(timeout=_TIMEOUT, headers=headers, trust_env=False, limits=httpx.Limits())
        self._session = self._version = ""
        self._handshake: bytes = b""
        self._calls: dict[str | int, tuple[asyncio.Task[None], _Message]] = {}

    async def run(self, lines: AsyncIterator[bytes]) -> None:
        """Forward every line until there are no more. Calls that have no answer soon after are cut off, and cancelled
        by the server."""
        try:
            async for line in lines:
                if line.strip():
                    await self._take(line)
            if self._calls:
                await asyncio.wait([task for task, _ in self._calls.values()], timeout=_LAST_CALLS_SECONDS)
        finally:
            tasks = [task for task, _ in self._calls.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._session:
                with contextlib.suppress(httpx.HTTPError):
                    await self._client.delete(f"{self._url}/mcp", headers=self._headers(None), timeout=2.0)
            await self._client.aclose()

    async def _take(self, line: bytes) -> None:
        message = _read(line)
        if message is None:
            self._write_error(None, _UNREADABLE, "This line is no JSON-RPC message")
        elif message.method == "notifications/cancelled" and self._is_cut_off(message):
            return
        elif message.is_request and message.method != _HANDSHAKE:
            assert message.id is not None
            task = asyncio.create_task(self._forward(message))
            self._calls[message.id] = (task, message)
            task.add_done_callback(lambda done: self._forget(message.id, done))
        else:
            # In order: what comes next needs the session, or the notification before it.
            await self._forward(message)

    def _is_cut_off(self, message: _Message) -> bool:
        """Without a handshake, a call is cancelled by hanging up, and by nothing else."""
        task, called = self._calls.get(message.params.get("requestId", ""), (None, None))
        if task is None or called is None or not called.version:
            return bool(message.version)
        task.cancel()
        return True

    def _forget(self, id: str | int | None, task: asyncio.Task[None]) -> None:
        if id is not None and self._calls.get(id, (None, None))[0] is task:
            del self._calls[id]
        if not task.cancelled():
            task.exception()  # told already, or the loop is ending

    # --- one message ------------------------------------------------------------------------------------------------

    async def _forward(self, message: _Message) -> None:
        if message.method == _HANDSHAKE:
            self._session = self._version = ""
            self._handshake = message.line
        try:
            if not await self._try(message):
                # The server has ended the session, or was started anew: begin another one, as the client would.
                await self._shake_hands()
                await self._try(message, is_last=True)
        except httpx.HTTPError:
            await self._forward_elsewhere(message)

    async def _forward_elsewhere(self, message: _Message) -> None:
        try:
            async with self._finding:
                self._url = await self._find()
            if message.method == _HANDSHAKE:
                # Of a server that is gone.
                self._session = self._version = ""
            elif self._session:
                await self._shake_hands()
            await self._try(message, is_last=True)
        except Exception as error:  # whatever it is, the client waits for an answer
            reason = getattr(error, "message", "") or str(error) or type(error).__name__
            if message.is_request:
                self._write_error(message.id, _UNREACHABLE, f"The server at {self._url} does not answer: {reason}")

    async def _try(self, message: _Message, *, is_last: bool = False) -> bool:
        """Send a message and write what is answered; false when its session is gone. Raises httpx.HTTPError."""
        async with self._client.stream(
            "POST", f"{self._url}/mcp", content=message.line, headers=self._headers(message)
        ) as answer:
            if answer.status_code == 404 and self._session and not message.version and not is_last:
                return False
            if message.method == _HANDSHAKE:
                self._session = answer.headers.get("mcp-session-id", "")
            kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == "text/event-stream":
                async for data in _events(answer):
                    self._note(message, data)
                    self._write(data + b"\n")
                    if _answers(data, message):
                        # Its stream ends now. A server that is gone before that must not have it asked once more.
                        break
            elif message.is_request:
                self._answer(message, answer.status_code, await answer.aread())
        return True

    def _answer(self, message: _Message, status: int, body: bytes) -> None:
        """Write the one answer to a request; one that is no message of the protocol becomes an error."""
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if isinstance(found, dict) and "jsonrpc" in found:
            # An error about a request that could not be read has no id.
            found["id"] = message.id if found.get("id") is None else found["id"]
            self._note(message, body)
            self._write(_line(found))
            return
        said = found.get("error") if isinstance(found, dict) else None
        self._write_error(message.id, _UNREACHABLE, str(said or f"The server answers with HTTP {status}"))

    def _note(self, message: _Message, data: bytes) -> None:
        """Remember which version a handshake has settled on."""
        if message.method == _HANDSHAKE:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                self._version = str(json.loads(data)["result"]["protocolVersion"])

    async def _shake_hands(self) -> None:
        """Begin a session anew with what the client began its own. Raises httpx.HTTPError."""
        if not self._handshake:
            return
        self._session = self._version = ""
        first = _read(self._handshake)
        assert first is not None
        answer = await self._client.post(f"{self._url}/mcp", content=first.line, headers=self._headers(first))
        self._session = answer.headers.get("mcp-session-id", "")
        done = _line({"jsonrpc": "2.0", "method": "notifications/initialized"})
        await self._client.post(f"{self._url}/mcp", content=done, headers=self._headers(None))

    def _headers(self, message: _Message | None) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if message is not None and message.version:
            named = message.params.get(_NAMED_BY.get(message.method, ""))
            headers |= {"MCP-Protocol-Version": message.version, "Mcp-Method": message.method}
            return headers | ({"Mcp-Name": _header_text(named)} if isinstance(named, str) else {})
        if self._session:
            headers["Mcp-Session-Id"] = self._session
        if self._version:
            headers["MCP-Protocol-Version"] = self._version
        return headers

    def _write_error(self, id: str | int | None, code: int, text: str) -> None:
        self._write(_line({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}}))


def _answers(data: bytes, message: _Message) -> bool:
    """Whether ``data`` is what the request waits for, and no news on the way to it."""
    try:
        found = json.loads(data)
    except ValueError:
        return False
    is_last = isinstance(found, dict) and ("result" in found or "error" in found)
    return is_last and message.id is not None and found.get("id") == message.id


def _read(line: bytes) -> _Message | None:
    """The message in a line; ``None`` for what is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    params = found.get("params")
    params = params if isinstance(params, dict) else {}
    meta = params.get("_meta")
    version = meta.get(_VERSION_KEY) if isinstance(meta, dict) else None
    method, id = found.get("method"), found.get("id")
    return _Message(
        line=line.strip(),
        method=method if isinstance(method, str) else "",
        id=id if isinstance(id, str | int) else None,
        params=params,
        version=_header_text(version) if isinstance(version, str) else "",
    )


async def _events(answer: httpx.Response) -> AsyncIterator[bytes]:
    """The data of each event of a stream."""
    data: list[str] = []
    async for line in answer.aiter_lines():
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            text = "".join(data)
            data.clear()
            if text:
                yield text.encode()


def _header_text(value: str) -> str:
    """``value`` as it may stand in a header; packed as the protocol has it where it may not."""
    if _PLAIN_HEADER.fullmatch(value) and not value.startswith("=?"):
        return value
    return f"=?base64?{base64.b64encode(value.encode('utf-8', 'replace')).decode('ascii')}?="


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"
