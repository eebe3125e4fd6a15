"""Ollama's dialect, whole: what `web.app` registers."""

from __future__ import annotations

from sdcpp_rest.routes.http.dialect import Dialect
from sdcpp_rest.routes.ollama.errors import OLLAMA_ERROR
from sdcpp_rest.routes.ollama.views import ollama_pictures

_PATHS = ("generate", "chat", "tags", "ps", "show", "version", "embed", "pull")

OLLAMA = Dialect(
    "ollama",
    blueprints=(ollama_pictures,),
    error_shapes={f"/api/{name}": OLLAMA_ERROR for name in _PATHS},
)
