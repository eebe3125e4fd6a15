"""One request of a hostile input, and what came of it."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TIME_LIMIT_SECONDS = 60.0
LEAST_SENTENCE, MOST_SENTENCE = 8, 2000
# What a person should never read. "Internal error: " and the like are some programs' own words before a reason.
_INNARDS = re.compile(
    r"Traceback|Internal error(?!: | occurred: |, backend)|internal_error|File \"|object at 0x|site-packages|pydantic",
    re.IGNORECASE,
)
_KEYS = (
    "error",
    "message",
    "detail",
    "details",
    "msg",
    "errors",
    "text",
    "exception_message",
    "node_errors",
    "content",
)


@dataclass(frozen=True)
class Sent:
    """A request: ``body`` is bytes, or a value that becomes JSON."""

    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Outcome:
    """What a dialect answered. ``sentence``: why not, empty where it was drawn. ``fault``: what is wrong with that,
    empty where nothing is. ``is_stopped``: what it asked for took long, and was cancelled."""

    dialect: str
    input: str
    status: int
    sentence: str = ""
    fault: str = ""
    is_stopped: bool = False

    @property
    def told(self) -> str:
        return f"{self.dialect}: {self.input}: {self.status} {self.fault}: {self.sentence[:300]!r}"


def ask(port: int, sent: Sent, seconds: float = TIME_LIMIT_SECONDS) -> tuple[int, bytes]:
    """Status and body. Raises TimeoutError after ``seconds``, ConnectionError where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(sent.method, sent.path, sent.raw, {"Content-Type": "application/json", **sent.headers})
        response = connection.getresponse()
        return response.status, response.read()
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()


def judge(dialect: str, name: str, status: int, answer: bytes) -> Outcome:
    """An answer that is an error has to be a sentence; one that is none is taken as it is.

    5xx answers that a dialect has for refusals (a model that is not there, what the library cannot do) are refusals.
    """
    text = answer.decode("utf-8", "replace")
    body = _parsed(text)
    words = sentence_of(body)
    is_error = status >= 400 or _is_told_as_error(body)
    if not is_error:
        return Outcome(dialect, name, status)
    if _INNARDS.search(words) or (isinstance(body, dict) and body.get("code") == "internal_error"):
        return Outcome(dialect, name, status, words, "an internal error")
    if body is None:
        return Outcome(dialect, name, status, text[:200], "no JSON")
    return Outcome(dialect, name, status, words, wrong_with(words))


def wrong_with(sentence: str) -> str:
    """What is wrong with a sentence that tells a person why not; empty for nothing."""
    if _INNARDS.search(sentence):
        return "an internal error"
    if len(sentence.strip()) < LEAST_SENTENCE:
        return "no sentence"
    return "the input again" if len(sentence) > MOST_SENTENCE else ""


def sentence_of(value: Any) -> str:
    """The words for a person in an error of any dialect."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, map(sentence_of, value)))
    if isinstance(value, dict):
        found = [sentence_of(value[key]) for key in _KEYS if key in value]
        found += [sentence_of(value[key]) for key in ("result", "status") if key in value]
        # Of many nodes, each with its own, one.
        found += [sentence_of(value[key]) for key in value if key.isdigit()][:1]
        return ": ".join(dict.fromkeys(filter(None, found)))
    return ""


def _is_told_as_error(body: Any) -> bool:
    """Some dialects answer errors with 200."""
    if not isinstance(body, dict):
        return False
    result = body.get("result")
    return bool(
        body.get("error") or body.get("error_id") or body.get("node_errors") or body.get("status") == "failed"
        or (isinstance(result, dict) and result.get("isError"))
        or (isinstance(body.get("code"), int) and body.get("code") not in (0, 200))
    )  # fmt: skip


def _parsed(text: str) -> Any:
    # Server-sent events: the last one counts.
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    try:
        return json.loads(lines[-1] if lines else text)
    except (ValueError, RecursionError):
        return None
