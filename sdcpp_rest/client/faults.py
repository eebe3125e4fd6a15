"""Translates what the libraries raise: a connection that failed is one error, in one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx

from sdcpp_rest.client.answers import read_refusal
from sdcpp_rest.client.connection import Connection
from sdcpp_rest.client.connection_faults import word_fault
from sdcpp_rest.client.errors import ConnectionFailed, NoEventStream, UnexpectedAnswer

_REFUSALS = (401, 403)
_PASSING = (502, 503, 504)


@contextlib.contextmanager
def http_faults(connection: Connection) -> Iterator[None]:
    """Around what httpx does. Raises ConnectionFailed, UnexpectedAnswer."""
    try:
        yield
    except httpx.DecodingError as fault:
        raise UnexpectedAnswer(f"{connection.base_url} answers in a coding that cannot be read: {fault}") from fault
    except httpx.HTTPError as fault:
        raise _no_answer(connection, fault) from fault


@contextlib.contextmanager
def opening_faults(connection: Connection) -> Iterator[None]:
    """Around the opening of a WebSocket. Raises ApiError for a refusal, ConnectionFailed for what may pass,
    NoEventStream for what will not."""
    from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus

    if not connection.has_sockets:
        raise NoEventStream("There is no event stream over a transport of one's own")
    try:
        yield
    except InvalidStatus as fault:
        status = fault.response.status_code
        if status in _REFUSALS:
            kind = fault.response.headers.get("Content-Type", "")
            raise read_refusal("The event stream", status, kind, bytes(fault.response.body or b"")) from fault
        if status in _PASSING:
            raise ConnectionFailed(f"The event stream of {connection.base_url} was refused with {status}") from fault
        raise NoEventStream(f"{connection.base_url} has no event stream: it was refused with {status}") from fault
    except (InvalidMessage, OSError, EOFError) as fault:
        raise _no_answer(connection, fault) from fault
    except InvalidHandshake as fault:
        raise NoEventStream(f"{connection.base_url} lets no WebSocket through") from fault


@contextlib.contextmanager
def stream_faults(connection: Connection) -> Iterator[None]:
    """Around the reading of a WebSocket. Raises ConnectionFailed."""
    from websockets.exceptions import ConnectionClosed

    try:
        yield
    except ConnectionClosed as fault:
        raise ConnectionFailed(f"The event stream of {connection.base_url} was closed") from fault


def _no_answer(connection: Connection, fault: Exception) -> ConnectionFailed:
    return ConnectionFailed(f"The server at {connection.base_url} does not answer: {word_fault(fault)}")
