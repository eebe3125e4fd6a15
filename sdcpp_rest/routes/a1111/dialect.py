"""AUTOMATIC1111's dialect, whole: what `web.app` registers."""

from __future__ import annotations

from flask import Response

from sdcpp_rest.routes.a1111.errors import A1111_ERROR
from sdcpp_rest.routes.a1111.extras import a1111_extras
from sdcpp_rest.routes.a1111.lists import a1111_lists
from sdcpp_rest.routes.a1111.options import a1111_options
from sdcpp_rest.routes.a1111.progress import a1111_progress
from sdcpp_rest.routes.a1111.system import a1111_system
from sdcpp_rest.routes.a1111.views import a1111_generation
from sdcpp_rest.routes.http.dialect import Dialect


def _add_process_time(response: Response, seconds: float) -> None:
    response.headers["X-Process-Time"] = str(round(seconds, 4))


A1111 = Dialect(
    "a1111",
    blueprints=(a1111_generation, a1111_extras, a1111_progress, a1111_options, a1111_lists, a1111_system),
    error_shapes={"/sdapi/v1": A1111_ERROR, "/internal": A1111_ERROR},
    after_request=_add_process_time,
)
