"""Defines what the server and its gateway say to each other: a line of JSON, and behind it what it is about."""

from __future__ import annotations

import json
from typing import Any

from sdcpp_rest.engine.pipe import Pipe


def send(pipe: Pipe, header: dict[str, Any], body: bytes = b"") -> None:
    """Raises OSError when the other end is gone. One thread at a time."""
    pipe.send_bytes(json.dumps(header).encode() + b"\n" + body)


def receive(pipe: Pipe) -> tuple[dict[str, Any], bytes]:
    """Raises EOFError or OSError when the other end is gone."""
    head, _, body = pipe.recv_bytes().partition(b"\n")
    return json.loads(head), body
