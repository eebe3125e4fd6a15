"""The dialects: which paths belong to which, and in what shape each says that something went wrong.

Where two share a path the view decides, with `speak`. Knows no route and no request body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import g, has_request_context
from pydantic import BaseModel

from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.routes.a1111.errors import A1111Error, a1111_error, a1111_headers, a1111_status
from sdcpp_rest.routes.http.answers import json_text
from sdcpp_rest.routes.http.answers import render_error as render_native
from sdcpp_rest.routes.http.openapi import Error
from sdcpp_rest.routes.openai.errors import OpenAiError, openai_error, openai_headers
from sdcpp_rest.routes.sdcn.errors import (
    SdcnApiError,
    SdcnError,
    SdcnInterrogateError,
    sdcn_api_error,
    sdcn_error,
    sdcn_interrogate_error,
    sdcn_status,
)

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Dialect:
    """How one dialect refuses. ``refusal`` is the shape of ``body``'s result; ``body`` of ``None``: the native one."""

    name: str
    refusal: type[BaseModel]
    body: Callable[[SdcppRestError], dict[str, Any]] | None = None
    status: Callable[[SdcppRestError], int] = lambda error: error.status
    headers: Callable[[SdcppRestError], Headers] = lambda error: []


NATIVE = Dialect("native", Error)
A1111 = Dialect("a1111", A1111Error, a1111_error, a1111_status, a1111_headers)
OPENAI = Dialect("openai", OpenAiError, openai_error, headers=openai_headers)
SDCN = Dialect("sdcn", SdcnError, sdcn_error, sdcn_status)
SDCN_INTERROGATE = Dialect("sdcn interrogate", SdcnInterrogateError, sdcn_interrogate_error)
SDCN_API = Dialect("sdcn api", SdcnApiError, sdcn_api_error)

# A path belongs to the first that it is, or lies below.
_PLACES: tuple[tuple[str, Dialect], ...] = (
    ("/sdapi/v1", A1111),
    ("/internal", A1111),
    ("/v1", OPENAI),
    ("/api/sd", SDCN_API),
    ("/interrogate", SDCN_INTERROGATE),
)


def dialect_of(path: str) -> Dialect:
    """Whose words an answer about ``path`` is in, as far as the path tells."""
    for place, dialect in _PLACES:
        if path == place or path.startswith(f"{place}/"):
            return dialect
    return NATIVE


def speak(dialect: Dialect) -> None:
    """Answer the current request in ``dialect``, whatever its path says."""
    g.sdcpp_rest_dialect = dialect


def render_error(path: str, error: SdcppRestError) -> tuple[int, Headers, bytes]:
    """Status, headers and body of an error in the dialect of the request that is being answered, or of ``path``."""
    spoken = g.get("sdcpp_rest_dialect") if has_request_context() else None
    dialect: Dialect = spoken or dialect_of(path)
    status, headers, body = render_native(path, error)
    if dialect.body is None:
        return status, headers, body
    return dialect.status(error), [*headers, *dialect.headers(error)], json_text(dialect.body(error)).encode()
