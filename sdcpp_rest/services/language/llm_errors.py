"""Defines how a call to a language model server can fail, each way with its own status and code.

A fault of that server is never told with its own status: a 401 of Ollama must not look like a 401 of ours.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.services.language.llm_connection import Line

_SHOWN_CHARACTERS = 300


class LlmDisabled(SdcppRestError):
    code = "llm_disabled"
    status = 503


class LlmUnreachable(SdcppRestError):
    """No connection: nothing listens there, or nobody knows the name."""

    code = "llm_unreachable"
    status = 503


class LlmBusy(SdcppRestError):
    """The server has too much to do (a 429 or 503 of its own)."""

    code = "llm_busy"
    status = 503


class LlmFailed(SdcppRestError):
    """The server answered with an error, with nonsense, or broke off. ``upstream_status``: its HTTP status, if any."""

    code = "llm_failed"
    status = 502

    @property
    def upstream_status(self) -> int | None:
        found = self.detail.get("upstream_status")
        return found if isinstance(found, int) else None


class LlmKeyRefused(LlmFailed):
    """The server does not accept the key, or wants one."""

    code = "llm_key_refused"


class LlmModelNotFound(LlmFailed):
    """The server does not have the model."""

    code = "llm_model_not_found"


class LlmTimeout(SdcppRestError):
    code = "llm_timeout"
    status = 504


class CallEnded(SdcppRestError):
    """The caller left, and the call with him: nobody reads this."""

    code = "call_ended"


@contextlib.contextmanager
def explain_failures(base_url: str, timeout_seconds: float, line: Line, secret: str = "") -> Iterator[None]:
    """Turn every way in which the block's call can fail into one of the classes above.

    ``secret``: does not appear in the messages, whatever the server repeats.
    """
    try:
        yield
        if line.has_ended:
            raise _silence_error(base_url, timeout_seconds, line)
    except SdcppRestError:
        raise
    except Exception as error:
        # Whatever a call dies of after it was ended, it dies of that.
        if line.has_ended:
            raise _silence_error(base_url, timeout_seconds, line) from None
        raise _failure(error, base_url, timeout_seconds, secret) from error


def refusal(status: int, said: str, base_url: str, secret: str = "") -> SdcppRestError:
    """A server's own error, in our words and some of its own."""
    told = _quote_words(said, secret)
    detail = {"upstream_status": status} if status > 0 else {}
    if status in (401, 403):
        return LlmKeyRefused(f"The language model server at {base_url} refused the key{told}", **detail)
    if status == 404:
        return LlmModelNotFound(f"The language model server at {base_url} has no such model or URL{told}", **detail)
    if status in (429, 503):
        return LlmBusy(f"The language model server at {base_url} is busy{told}", **detail)
    if status > 0:
        return LlmFailed(f"The language model server at {base_url} answered with status {status}{told}", **detail)
    return LlmFailed(f"The language model server at {base_url} failed{told}")


def _failure(error: Exception, base_url: str, timeout_seconds: float, secret: str) -> SdcppRestError:
    # Here, because loading it takes longer than most calls, and most starts of the server make none.
    import httpx

    from sdcpp_rest.services.language.llm_transport import AnswerTooLarge

    where = f"The language model server at {base_url}"
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError | ConnectionError):
        # Without a number it is the client library's own advertisement.
        why = _quote_words(str(error), secret) if isinstance(error, httpx.HTTPError) or error.errno else ""
        return LlmUnreachable(f"{where} cannot be reached{why}; is it running?", base_url=base_url)
    if isinstance(error, httpx.TimeoutException):
        return LlmTimeout(f"{where} was silent for {timeout_seconds:g} seconds", base_url=base_url)
    if isinstance(error, AnswerTooLarge):
        return LlmFailed(f"{where} said too much: {error}")
    if isinstance(error, httpx.DecodingError | httpx.InvalidURL | httpx.UnsupportedProtocol):
        return LlmFailed(f"{where} cannot be understood{_quote_words(str(error), secret)}")
    if isinstance(error, httpx.HTTPError | OSError):
        return LlmFailed(f"{where} broke off{_quote_words(str(error), secret)}")
    # Junk: the client library stumbles over what it cannot read, each time in another way.
    return LlmFailed(f"{where} answered with something that is not its protocol")


def _silence_error(base_url: str, timeout_seconds: float, line: Line) -> SdcppRestError:
    if line.has_expired:
        return LlmTimeout(
            f"The language model server at {base_url} did not finish within {timeout_seconds:g} seconds",
            base_url=base_url,
        )
    return line.because or CallEnded("The call was ended")


def _quote_words(said: str, secret: str) -> str:
    """``: its words``, on one line, cut, and without what may be a key."""
    text = " ".join(said.split())
    if secret:
        text = text.replace(secret, "***")
    text = re.sub(r"(?i)(bearer\s+|sk-)[\w.~+/=-]+", r"\1***", text)
    text = "".join(character if character.isprintable() else "?" for character in text)
    if len(text) > _SHOWN_CHARACTERS:
        text = text[:_SHOWN_CHARACTERS] + "..."
    return f": {text}" if text else ""
