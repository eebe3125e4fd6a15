"""Follows an answer of the assistant as it comes, in server-sent events."""

from __future__ import annotations

from dataclasses import dataclass

from sdcpp_rest.client.answers import read_object, read_refusal
from sdcpp_rest.client.errors import ConnectionFailed
from sdcpp_rest.client.steps import OpenLines, ReadLine, Request, Tell, Telling
from sdcpp_rest.client.wire.language import ChatAnswer

_FAILED_MIDWAY = 500


@dataclass(frozen=True)
class ChatPiece:
    """A piece of what the assistant says; the last one has no ``text``, and the whole ``answer``."""

    text: str = ""
    answer: ChatAnswer | None = None


def follow_chat(request: Request[str]) -> Telling[ChatPiece]:
    """Tell every piece, and the whole in the end. Raises ApiError also when the model fails midway."""
    asked = f"{request.method} {request.route}"
    yield OpenLines(request)
    name = ""
    while (line := (yield ReadLine())) is not None:
        word, _, value = line.partition(": ")
        if word == "event":
            name = value
        elif word == "data" and name == "delta":
            text = read_object(asked, "an event", value).get("text")
            yield Tell(ChatPiece(text=str(text)))
        elif word == "data" and name == "done":
            answer: ChatAnswer = read_object(asked, "an event", value)  # type: ignore[assignment]
            yield Tell(ChatPiece(answer=answer))
            return
        elif word == "data" and name == "error":
            raise read_refusal(asked, _FAILED_MIDWAY, "text/event-stream", value.encode())
    raise ConnectionFailed(f"{asked}: the answer broke off before its end")
