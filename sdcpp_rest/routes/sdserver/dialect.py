"""sd-server's dialect, whole: what `web.app` registers."""

from __future__ import annotations

from sdcpp_rest.routes.http.dialect import Dialect
from sdcpp_rest.routes.sdserver.errors import SD_SERVER_ERROR
from sdcpp_rest.routes.sdserver.views import sd_server

SD_SERVER = Dialect("sd-server", blueprints=(sd_server,), error_shapes={"/sdcpp": SD_SERVER_ERROR})
