"""SDCN's dialect, whole: what `web.app` registers. Its root paths are shared with the native API; see
`routes.root_pictures`."""

from __future__ import annotations

from sdcpp_rest.routes.http.dialect import Dialect
from sdcpp_rest.routes.sdcn.errors import SDCN_API_ERROR, SDCN_INTERROGATE_ERROR
from sdcpp_rest.routes.sdcn.views import sdcn

SDCN = Dialect(
    "sdcn",
    blueprints=(sdcn,),
    error_shapes={"/api/sd": SDCN_API_ERROR, "/api/user": SDCN_API_ERROR, "/interrogate": SDCN_INTERROGATE_ERROR},
)
