"""Answers pages on other addresses as CORS wants it. Imported by the first request that has an Origin."""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from sdcpp_rest.config import Config
from sdcpp_rest.routes.http.safe_retries import REPLAYED
from sdcpp_rest.web.access import origin_allowed


class CrossOrigin(CORSMiddleware):
    """Answers CORS requests for the origins that `access` has let through."""

    def __init__(self, app: ASGIApp, config: Config) -> None:
        super().__init__(
            app,
            allow_methods=("*",),
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=("Content-Disposition", "ETag", REPLAYED, "Mcp-Session-Id", "Retry-After"),
        )
        self._config = config

    def is_allowed_origin(self, origin: str) -> bool:
        return origin_allowed(self._config, origin)
