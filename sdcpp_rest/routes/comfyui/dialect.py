"""ComfyUI's dialect, whole: what `web.app` registers. Its ``/ws`` at the root is shared with the native API; see
`web.root_stream`."""

from __future__ import annotations

from sdcpp_rest.routes.comfyui.errors import COMFY_ERROR
from sdcpp_rest.routes.comfyui.root_views import comfyui_root
from sdcpp_rest.routes.comfyui.socket import serve_prompt_events
from sdcpp_rest.routes.comfyui.views import comfyui
from sdcpp_rest.routes.http.dialect import Dialect

_OWN = ("prompt", "history", "interrupt", "free", "view", "upload", "object_info", "system_stats", "embeddings")

COMFYUI = Dialect(
    "comfyui",
    blueprints=(comfyui, comfyui_root),
    error_shapes=dict.fromkeys(
        (*(f"/{name}" for name in _OWN), *(f"/api/{name}" for name in (*_OWN, "queue", "models"))), COMFY_ERROR
    ),
    sockets={"/api/ws": serve_prompt_events},
)
