"""Reads request bodies: into memory within a bound, or as a stream that a view reads as it comes in; decompressed
either way.

Knows sockets' messages and nothing of what a body means. The bounds hold for what is read and for what comes out.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator

from starlette.types import Receive, Scope

from sdcpp_rest.errors import EngineUnavailable, InvalidRequest, PayloadTooLarge
from sdcpp_rest.web.encodings import Decompressor, decompressor_for, to_utf8
from sdcpp_rest.web.loop_calls import LoopCalls, RequestEnded

SILENCE_SECONDS = 60.0


class ClientLeft(Exception):
    """The client closed the connection before its request was whole."""


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole request body, decompressed, and text in UTF-8. Raises PayloadTooLarge (announced or counted),
    UnsupportedBody, InvalidRequest, ClientLeft."""
    check_announced(scope, limit, "limits.body_bytes")
    patience = SILENCE_SECONDS if _has_body(scope) else None
    decompressor = decompressor_for(scope["headers"])
    parts, size = [], 0
    while True:
        part, is_last = await _next_part(receive, patience)
        for piece in decompressor.feed(part) if decompressor is not None else (part,):
            size += len(piece)
            if size > limit:
                raise _too_large(limit, "limits.body_bytes")
            if piece:
                parts.append(piece)
            if decompressor is not None:
                # A small part may come out a thousand times as large, and others want the loop, too.
                await asyncio.sleep(0)
        if is_last:
            if decompressor is not None:
                decompressor.finish()
            return to_utf8(scope["headers"], b"".join(parts))


def _has_body(scope: Scope) -> bool:
    """Whether the request says that it has a body: HTTP knows no other way to have one (RFC 9112, 6.3). Without one its
    end is there with its head, and nobody need be watched."""
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


def check_announced(scope: Scope, limit: int, setting: str) -> None:
    """Raises PayloadTooLarge when the request announces a body beyond ``limit`` bytes, InvalidRequest for nonsense."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            if not value.isdigit():
                raise InvalidRequest("Content-Length is not a number")
            if int(value) > limit:
                raise _too_large(limit, setting)


class StreamedBody(io.RawIOBase):
    """Lets a thread read a body as a file while the event loop receives it. The client is held back by TCP: no more
    than a part of it is ever in memory.

    Reading raises InvalidRequest when the client leaves or falls silent, PayloadTooLarge beyond ``limit`` bytes,
    EngineUnavailable when the server stops: a view that reads to the end knows that the body is whole.
    """

    def __init__(
        self,
        receive: Receive,
        loop: asyncio.AbstractEventLoop,
        limit: int,
        setting: str,
        decompressor: Decompressor | None = None,
    ) -> None:
        super().__init__()
        self._decompressor = decompressor
        self._receive = receive
        self._calls = LoopCalls(loop)
        self._limit = limit
        self._setting = setting
        self._size = 0
        self._part = memoryview(b"")
        self._pieces: Iterator[bytes] = iter(())
        self._is_last = False

    def end(self) -> None:
        """Let the view go that reads: nothing more is received. Call it on the loop, when the request is over."""
        self._calls.end()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._part:
            piece = next(self._pieces, None)
            if piece is None:
                if self._is_last:
                    break
                self._pieces, self._is_last = self._next()
                continue
            self._size += len(piece)
            if self._size > self._limit:
                raise _too_large(self._limit, self._setting)
            self._part = memoryview(piece)
        wanted = memoryview(buffer)
        count = min(len(wanted), len(self._part))
        wanted[:count] = self._part[:count]
        self._part = self._part[count:]
        return count

    def _next(self) -> tuple[Iterator[bytes], bool]:
        try:
            part, is_last = self._calls.run(_next_part, self._receive, SILENCE_SECONDS)
        except ClientLeft:
            raise InvalidRequest("The connection was closed before the body was whole") from None
        except RequestEnded:
            raise EngineUnavailable("The server is stopping") from None
        return self._decompress(part, is_last), is_last

    def _decompress(self, part: bytes, is_last: bool) -> Iterator[bytes]:
        if self._decompressor is None:
            yield part
            return
        yield from self._decompressor.feed(part)
        if is_last:
            self._decompressor.finish()


async def _next_part(receive: Receive, patience_seconds: float | None) -> tuple[bytes, bool]:
    try:
        message = await asyncio.wait_for(receive(), patience_seconds)
    except asyncio.TimeoutError:
        raise InvalidRequest(f"The request body did not go on for {patience_seconds:g} s") from None
    if message["type"] == "http.disconnect":
        raise ClientLeft
    return message.get("body", b""), not message.get("more_body", False)


def _too_large(limit: int, setting: str) -> PayloadTooLarge:
    return PayloadTooLarge(f"The request body is larger than {limit} bytes ({setting})", setting=setting, limit=limit)
