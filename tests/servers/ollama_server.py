"""A local server that speaks Ollama's protocol: /api/chat, /api/tags, /api/show, /api/version, /api/generate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.servers.language_model import LanguageModelServer, Said, Wire


class OllamaServer(LanguageModelServer):
    """``capabilities``: what /api/show tells of every model."""

    def __init__(self) -> None:
        super().__init__()
        self.capabilities = ["completion", "tools"]

    def error(self, text: str) -> Any:
        return {"error": text}

    def serve(self, wire: Wire, body: Any) -> None:
        if wire.path == "/api/version":
            wire.answer(200, {"version": "0.6.3"})
        elif wire.path == "/api/tags":
            details = {"family": "llama", "parameter_size": "3.2B", "quantization_level": "Q4_K_M"}
            wire.answer(200, {"models": [{"model": name, "name": name, "details": details} for name in self.models]})
        elif wire.path in ("/api/show", "/api/chat", "/api/generate") and body["model"] not in self.models:
            wire.answer(404, self.error(f"model '{body['model']}' not found"))
        elif wire.path == "/api/show":
            wire.answer(
                200,
                {
                    "details": {"family": "llama", "parameter_size": "3.2B", "quantization_level": "Q4_K_M"},
                    "model_info": {"general.architecture": "llama", "llama.context_length": 131072},
                    "capabilities": self.capabilities,
                },
            )
        elif wire.path == "/api/chat" and body.get("tools") and not self.has_tools:
            wire.answer(400, self.error(f"registry.ollama.ai/library/{body['model']} does not support tools"))
        elif wire.path == "/api/chat" and body.get("format") and not self.has_schemas:
            wire.answer(500, self.error("unsupported format"))
        elif wire.path in ("/api/chat", "/api/generate"):
            wire.stream("application/x-ndjson", self._lines(body["model"], self.next_said()))
        else:
            wire.answer(404, self.error("404 page not found"))

    def _lines(self, model: str, said: Said) -> Iterator[bytes]:
        def line(message: dict[str, Any], **more: Any) -> bytes:
            whole = {"role": "assistant", "content": "", **message}
            part = {"model": model, "created_at": "2024-01-01T00:00:00Z", "message": whole, "done": False, **more}
            return json.dumps(part).encode() + b"\n"

        for piece in said.pieces:
            yield line({"content": piece})
        if said.calls:
            calls = [{"function": {"name": name, "arguments": arguments}} for name, arguments in said.calls]
            yield line({"tool_calls": calls})
        yield line({}, done=True, done_reason="stop")
