"""Calls a language model server, by either of two protocols: chats that come in pieces, its models, their facts.

Ollama's is spoken by its own client library, OpenAI's chat completions by httpx. Knows nothing of prompts and actions;
every failure is one of `llm_errors`.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from urllib.parse import urlsplit

from sdcpp_rest.core.chat import Api, ChatMessage, ToolCall
from sdcpp_rest.services.language.llm_connection import Line
from sdcpp_rest.services.language.llm_errors import LlmFailed, LlmModelNotFound, explain_failures, refusal

if TYPE_CHECKING:
    import httpx
    import ollama

MAX_ANSWER_CHARACTERS = 200_000
_MAX_CALLS = 64
_MAX_ARGUMENT_CHARACTERS = 65_536
_MAX_MODELS = 1000
_NAME_CHARACTERS = 200
_PROBE_SECONDS = 5.0

Piece: TypeAlias = "str | ToolCall"
"""What a chat is made of: text as it comes (empty while the model thinks), and calls of tools, each whole."""
HttpOptions: TypeAlias = dict[str, Any]
"""Arguments for an httpx client, or a library's client that passes them on."""


@dataclass(frozen=True)
class LlmEndpoint:
    """Where a language model is, and how long to wait for it."""

    api: Api
    base_url: str
    model: str
    timeout_seconds: float
    connect_timeout_seconds: float = 5.0
    api_key: str = field(default="", repr=False)


@dataclass(frozen=True)
class ChatRequest:
    """What a model is asked.

    Args:
        messages: oldest first.
        tools: functions that it may call, as JSON schemas in the shape that both protocols share.
        schema: the JSON schema that its answer must have, for models without tools.
        max_tokens: how long the answer may be; ``None``: as long as the server lets it.
        context_tokens: how much it must be able to read (Ollama would cut the beginning off without a word).
    """

    messages: Sequence[ChatMessage]
    tools: Sequence[Mapping[str, Any]] = ()
    schema: Mapping[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    context_tokens: int | None = None


@dataclass(frozen=True)
class ModelFacts:
    """What a server tells about a model; ``None`` where it does not."""

    model: str
    family: str | None = None
    parameter_size: str | None = None
    quantization: str | None = None
    context_length: int | None = None
    capabilities: tuple[str, ...] | None = None


class LlmClient:
    """Makes one call after the other to one server; not for several threads at a time, but ``line`` may be hung up by
    any."""

    def __init__(self, endpoint: LlmEndpoint, line: Line) -> None:
        self._endpoint = endpoint
        self._line = line
        self._speaks: _Protocol = _Ollama(endpoint) if endpoint.api == "ollama" else _OpenAi(endpoint)

    def chat(self, asked: ChatRequest) -> Iterator[Piece]:
        """The model's answer, piece by piece, until it is complete. Closing the iterator ends the call.

        Raises the errors of `llm_errors`, also after some pieces.
        """
        length = calls = 0
        with self._connect(self._endpoint.timeout_seconds) as http:
            for piece in self._speaks.chat(http, asked):
                if isinstance(piece, ToolCall):
                    calls += 1
                else:
                    length += len(piece)
                if length > MAX_ANSWER_CHARACTERS or calls > _MAX_CALLS:
                    raise LlmFailed(f"The language model at {self._endpoint.base_url} does not come to an end")
                yield piece

    def models(self) -> list[str]:
        """Names of the models that the server has."""
        with self._connect(min(_PROBE_SECONDS, self._endpoint.timeout_seconds)) as http:
            names = self._speaks.models(http)
        return [name[:_NAME_CHARACTERS] for name in names[:_MAX_MODELS]]

    def facts(self) -> ModelFacts:
        """What the server tells about the model. Raises LlmModelNotFound."""
        with self._connect(min(_PROBE_SECONDS, self._endpoint.timeout_seconds)) as http:
            return self._speaks.facts(http, self._endpoint.model)

    @contextlib.contextmanager
    def _connect(self, timeout_seconds: float) -> Iterator[HttpOptions]:
        # Here, because loading them takes longer than most calls, and most starts of the server make none.
        import httpx

        from sdcpp_rest.services.language.llm_transport import LlmTransport

        endpoint = self._endpoint
        transport = LlmTransport(
            self._line, endpoint.api_key, use_tls=urlsplit(endpoint.base_url).scheme.lower() == "https"
        )
        timeout = httpx.Timeout(timeout_seconds, connect=min(endpoint.connect_timeout_seconds, timeout_seconds))
        # No redirects: the address that was allowed is the one that is called.
        options = HttpOptions(transport=transport, timeout=timeout, follow_redirects=False, trust_env=False)
        with explain_failures(endpoint.base_url, timeout_seconds, self._line, endpoint.api_key):
            try:
                yield options
            finally:
                transport.close()


class _Protocol(Protocol):
    def chat(self, http: HttpOptions, asked: ChatRequest) -> Iterator[Piece]: ...

    def models(self, http: HttpOptions) -> list[str]: ...

    def facts(self, http: HttpOptions, model: str) -> ModelFacts: ...


class _Ollama:
    """Speaks Ollama's own protocol, by its own library."""

    def __init__(self, endpoint: LlmEndpoint) -> None:
        self._endpoint = endpoint

    def chat(self, http: HttpOptions, asked: ChatRequest) -> Iterator[Piece]:
        chosen = {
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "seed": asked.seed,
            "num_predict": asked.max_tokens,
            "num_ctx": asked.context_tokens,
        }
        is_done = False
        with self._client(http) as client:
            parts = client.chat(
                model=self._endpoint.model,
                messages=[_ollama_message(message) for message in asked.messages],
                tools=[dict(tool) for tool in asked.tools] or None,
                stream=True,
                format=dict(asked.schema) if asked.schema is not None else None,
                options={name: value for name, value in chosen.items() if value is not None},
            )
            for part in parts:
                # An empty one too: it says that the model is at work (thinking, maybe).
                yield part.message.content or ""
                for call in part.message.tool_calls or ():
                    yield ToolCall(name=call.function.name, arguments=dict(call.function.arguments))
                if part.done:
                    is_done = True
                    break
        if not is_done:
            raise LlmFailed(f"The language model server at {self._endpoint.base_url} broke off")

    def models(self, http: HttpOptions) -> list[str]:
        with self._client(http) as client:
            return [entry.model for entry in client.list().models if entry.model]

    def facts(self, http: HttpOptions, model: str) -> ModelFacts:
        with self._client(http) as client:
            shown = client.show(model)
        details, lengths = shown.details, (shown.modelinfo or {}).items()
        length = next((value for name, value in lengths if name.endswith(".context_length")), None)
        return ModelFacts(
            model=model,
            family=details.family if details else None,
            parameter_size=details.parameter_size if details else None,
            quantization=details.quantization_level if details else None,
            context_length=length if isinstance(length, int) else None,
            capabilities=tuple(shown.capabilities) if shown.capabilities is not None else None,
        )

    @contextlib.contextmanager
    def _client(self, http: HttpOptions) -> Iterator[ollama.Client]:
        import ollama

        try:
            with ollama.Client(self._endpoint.base_url, **http) as client:
                yield client
        except ollama.ResponseError as error:
            raise refusal(error.status_code, error.error, self._endpoint.base_url, self._endpoint.api_key) from None


class _OpenAi:
    """Speaks OpenAI's chat completions, as llama.cpp, LM Studio, vLLM and many others offer them."""

    def __init__(self, endpoint: LlmEndpoint) -> None:
        self._endpoint = endpoint
        has_path = bool(urlsplit(endpoint.base_url).path)
        self._url = endpoint.base_url if has_path else endpoint.base_url + "/v1"

    def chat(self, http: HttpOptions, asked: ChatRequest) -> Iterator[Piece]:
        body: dict[str, Any] = {
            "model": self._endpoint.model,
            "messages": [_openai_message(message) for message in asked.messages],
            "stream": True,
        }
        for name in ("temperature", "top_p", "seed", "max_tokens"):
            if getattr(asked, name) is not None:
                body[name] = getattr(asked, name)
        if asked.tools:
            body["tools"] = [dict(tool) for tool in asked.tools]
        if asked.schema is not None:
            form = {"name": "answer", "schema": dict(asked.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        import httpx

        with (
            httpx.Client(**http) as client,
            client.stream("POST", f"{self._url}/chat/completions", json=body) as response,
        ):
            self._check(response)
            if response.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
                # Some servers do not stream whatever they are asked.
                choice = _object(_object(json.loads(response.read()))["choices"][0])
                yield from _text_and_calls(_object(choice["message"]))
                return
            yield from self._stream_pieces(response)

    def _stream_pieces(self, response: httpx.Response) -> Iterator[Piece]:
        calls: dict[int, _PartialCall] = {}
        is_done = has_begun = False
        for line in response.iter_lines():
            if not line.startswith("data:"):
                continue
            has_begun = True
            said = line.removeprefix("data:").strip()
            if said == "[DONE]":
                is_done = True
                break
            part = _object(json.loads(said))
            if "error" in part:
                raise refusal(0, _error_text(part), self._endpoint.base_url, self._endpoint.api_key)
            choices = part.get("choices") or ()
            if not choices:
                continue
            choice = _object(choices[0])
            delta = _object(choice.get("delta") or {})
            # An empty one too: it says that the model is at work (thinking, maybe).
            yield str(delta.get("content") or "")
            for place, fragment in enumerate(delta.get("tool_calls") or ()):
                calls.setdefault(int(fragment.get("index", place)), _PartialCall()).take(fragment)
            is_done = is_done or choice.get("finish_reason") is not None
        if not has_begun:
            raise TypeError("not an event stream")
        if not is_done:
            raise LlmFailed(f"The language model server at {self._endpoint.base_url} broke off")
        for _, call in sorted(calls.items()):
            yield call.whole()

    def models(self, http: HttpOptions) -> list[str]:
        return [str(entry["id"]) for entry in self._list_models(http)]

    def facts(self, http: HttpOptions, model: str) -> ModelFacts:
        entries = self._list_models(http)
        entry = next((entry for entry in entries if entry["id"] == model), None)
        if entry is None:
            raise LlmModelNotFound(
                f"The language model server at {self._endpoint.base_url} has no model {model!r}",
                allowed=[str(entry["id"])[:_NAME_CHARACTERS] for entry in entries[:50]],
            )
        meta = entry.get("meta") or {}
        # llama.cpp, vLLM and LM Studio each have their own word for it.
        lengths = (meta.get("n_ctx_train"), entry.get("max_model_len"), entry.get("max_context_length"))
        return ModelFacts(model=model, context_length=next((one for one in lengths if isinstance(one, int)), None))

    def _list_models(self, http: HttpOptions) -> list[dict[str, Any]]:
        import httpx

        with httpx.Client(**http) as client, client.stream("GET", f"{self._url}/models") as response:
            self._check(response)
            listed = _object(json.loads(response.read()))["data"]
        return [_object(entry) for entry in listed if "id" in entry]

    def _check(self, response: httpx.Response) -> None:
        if response.status_code == 200:
            return
        text = response.read().decode("utf-8", "replace")
        with contextlib.suppress(ValueError, TypeError):
            text = _error_text(_object(json.loads(text)))
        raise refusal(response.status_code, text, self._endpoint.base_url, self._endpoint.api_key)


class _PartialCall:
    """Collects a tool call whose arguments come as JSON text in pieces."""

    def __init__(self) -> None:
        self._name = ""
        self._arguments = ""

    def take(self, fragment: Mapping[str, Any]) -> None:
        function = fragment.get("function") or {}
        # Some repeat the name with every piece instead of sending it once.
        self._name = self._name or str(function.get("name") or "")[:_NAME_CHARACTERS]
        self._arguments += str(function.get("arguments") or "")
        if len(self._arguments) > _MAX_ARGUMENT_CHARACTERS:
            raise LlmFailed(f"The language model calls a tool with more than {_MAX_ARGUMENT_CHARACTERS} characters")

    def whole(self) -> ToolCall:
        return ToolCall(name=self._name, arguments=_arguments(self._arguments))


def _ollama_message(message: ChatMessage) -> dict[str, Any]:
    shown: dict[str, Any] = {"role": message.role, "content": message.content}
    # As bytes: of text, the library would try whether it is the name of a file.
    return {**shown, "images": list(message.pictures)} if message.pictures else shown


def _openai_message(message: ChatMessage) -> dict[str, Any]:
    if not message.pictures:
        return {"role": message.role, "content": message.content}
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.content}]
    for picture in message.pictures:
        url = "data:image/jpeg;base64," + base64.b64encode(picture).decode("ascii")
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return {"role": message.role, "content": parts}


def _text_and_calls(message: Mapping[str, Any]) -> Iterator[Piece]:
    if message.get("content"):
        yield str(message["content"])
    for call in message.get("tool_calls") or ():
        half = _PartialCall()
        half.take(call)
        yield half.whole()


def _arguments(text: str) -> Any:
    """Of a call that is no JSON, the text: whoever checks it says so."""
    try:
        return json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return text


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def _error_text(body: Mapping[str, Any]) -> str:
    """``{"error": {"message": ...}}`` or ``{"error": "..."}``."""
    error = body.get("error", body)
    return str(error.get("message", error) if isinstance(error, dict) else error)
