"""A local server that speaks OpenAI's chat completions: /v1/chat/completions and /v1/models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.servers.language_model import LanguageModelServer, Said, Wire


class OpenAiServer(LanguageModelServer):
    """``streams``: whether it streams when asked to; some servers do not."""

    def __init__(self) -> None:
        super().__init__()
        self.streams = True

    def error(self, text: str) -> Any:
        return {"error": {"message": text, "type": "invalid_request_error", "code": None}}

    def serve(self, wire: Wire, body: Any) -> None:
        if wire.path == "/v1/models":
            listed = [{"id": name, "object": "model", "meta": {"n_ctx_train": 32768}} for name in self.models]
            wire.answer(200, {"object": "list", "data": listed})
        elif wire.path != "/v1/chat/completions":
            wire.answer(404, self.error("no such URL"))
        elif body["model"] not in self.models:
            wire.answer(404, self.error(f"The model `{body['model']}` does not exist"))
        elif body.get("tools") and not self.has_tools:
            wire.answer(500, self.error("tools param requires --jinja flag"))
        elif body.get("response_format") and not self.has_schemas:
            wire.answer(400, self.error("'response_format' is not supported"))
        elif not self.streams:
            said = self.next_said()
            calls = [{"id": f"c{i}", "type": "function", "function": _function(call)} for i, call in _numbered(said)]
            message = {"role": "assistant", "content": "".join(said.pieces) or None, "tool_calls": calls}
            wire.answer(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
        else:
            wire.stream("text/event-stream", self._lines(self.next_said()))

    def _lines(self, said: Said) -> Iterator[bytes]:
        def line(delta: dict[str, Any], reason: str | None = None) -> bytes:
            part = {
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
            }
            return b"data: " + json.dumps(part).encode() + b"\n\n"

        for piece in said.pieces:
            yield line({"content": piece})
        for place, call in _numbered(said):
            whole = _function(call)
            arguments = whole["arguments"]
            half = len(arguments) // 2
            first = {
                "index": place,
                "id": f"c{place}",
                "function": {"name": whole["name"], "arguments": arguments[:half]},
            }
            yield line({"tool_calls": [first]})
            yield line({"tool_calls": [{"index": place, "function": {"arguments": arguments[half:]}}]})
        yield line({}, "tool_calls" if said.calls else "stop")
        yield b"data: [DONE]\n\n"


def _numbered(said: Said) -> Iterator[tuple[int, tuple[str, Any]]]:
    return iter(enumerate(said.calls))


def _function(call: tuple[str, Any]) -> dict[str, Any]:
    name, arguments = call
    return {"name": name, "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments)}
