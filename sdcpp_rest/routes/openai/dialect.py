"""OpenAI's dialect, whole: what `web.app` registers."""

from __future__ import annotations

from sdcpp_rest.routes.http.dialect import Dialect
from sdcpp_rest.routes.openai.chat_views import openai_chat
from sdcpp_rest.routes.openai.errors import OPENAI_ERROR
from sdcpp_rest.routes.openai.views import openai

OPENAI = Dialect(
    "openai",
    blueprints=(openai, openai_chat),
    error_shapes={"/v1": OPENAI_ERROR, "/images": OPENAI_ERROR},
    aliases={"/api/v1": "/v1"},
)
