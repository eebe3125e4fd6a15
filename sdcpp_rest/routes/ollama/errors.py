"""How Ollama says that something went wrong. Knows errors, and no request."""

from __future__ import annotations

from typing import Any

from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.routes.http.dialect import ErrorShape
from sdcpp_rest.routes.http.openapi import Answer


class OllamaError(Answer):
    """An error."""

    error: str


def error_body(error: SdcppRestError) -> dict[str, Any]:
    """The body of any error."""
    fault = f" ({error.detail['error_id']})" if "error_id" in error.detail else ""
    return {"error": error.message + fault}


OLLAMA_ERROR = ErrorShape("ollama", OllamaError, error_body)
