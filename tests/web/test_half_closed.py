"""The bytes that are sent ahead, and the doubt that they end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sdcpp_rest.web.half_closed import BEGINNING, BegunAnswer, Peer

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class Transport:
    """Collects what is written."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_shut = False

    def write(self, sent: bytes) -> None:
        self.writes.append(sent)

    def is_closing(self) -> bool:
        return self.is_shut


def begun(count: int = 0) -> tuple[BegunAnswer, Transport]:
    transport: Any = Transport()
    answer = BegunAnswer(transport)
    for _ in range(count):
        answer.send_ahead()
    return answer, transport


def test_an_answer_is_the_same_bytes_however_many_were_sent_ahead() -> None:
    for count in range(20):
        answer, transport = begun(count)
        answer.write(ANSWER)
        answer.write(b"more")
        answer.send_ahead()
        assert b"".join(transport.writes) == ANSWER + b"more"
        assert len(transport.writes) == min(count, len(BEGINNING)) + 2


def test_nothing_is_sent_ahead_on_a_connection_that_closes() -> None:
    answer, transport = begun()
    transport.is_shut = True
    answer.send_ahead()
    assert transport.writes == []
    assert answer.is_shut, "everything else is the transport's"


@pytest.mark.usefixtures("short_doubt")
def test_doubt_ends_by_itself_or_with_the_connection() -> None:
    async def doubt(is_lost: bool) -> bool:
        peer = Peer(asyncio.get_running_loop())
        await peer.settle()
        peer.begin_doubt(begun()[0])
        settling = asyncio.create_task(peer.settle())
        done, _ = await asyncio.wait({settling}, timeout=0)
        assert not done
        if is_lost:
            peer.close()
        await settling
        return peer.is_lost

    assert not asyncio.run(doubt(is_lost=False))
    assert asyncio.run(doubt(is_lost=True))


@pytest.mark.usefixtures("short_doubt")
def test_the_end_is_seen_twice_and_doubted_once() -> None:
    async def look() -> None:
        peer = Peer(asyncio.get_running_loop())
        (first, _), (second, transport) = begun(), begun()
        peer.begin_doubt(first)
        peer.begin_doubt(second)
        await peer.settle()
        assert transport.writes == []

    asyncio.run(look())
