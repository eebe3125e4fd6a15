"""ComfyUI's view at ``/queue``, which is the native API's address as well: a part of the dialect for itself, so that a
look at the native queue imports no more of it than this.

``GET /queue`` is not here: that is the native API's.
"""

from __future__ import annotations

from flask import Blueprint, Response

from sdcpp_rest.routes.comfyui.errors import COMFY_ERROR, ComfyError
from sdcpp_rest.routes.comfyui.wire import ComfyQueueBody
from sdcpp_rest.routes.http.dialect import Dialect, speak
from sdcpp_rest.routes.http.openapi import Error, documents
from sdcpp_rest.routes.http.scopes import needs

comfyui_root_queue = Blueprint("comfyui_root_queue", __name__)

_EITHER = (ComfyError, Error)
"""Where the path is the native API's as well, which words what goes wrong before a view is called."""


@comfyui_root_queue.post("/queue")
@needs("generate")
@documents({200: "text/plain"}, body=ComfyQueueBody, refusals=_EITHER, tag="comfyui_root")
def comfy_root_change_queue() -> Response:
    """Take prompts that wait off the queue: `/api/queue` at the root. Reading it there is the native API's."""
    # Here, because it brings the whole dialect.
    from sdcpp_rest.routes.comfyui import views

    speak(COMFY_ERROR)
    return views.comfy_change_queue()


ROOT_QUEUE = Dialect("comfyui's queue at the root", blueprints=(comfyui_root_queue,))
