"""ComfyUI's API at the root, where most of its clients call it; all of it is below /api, too.

``GET /queue`` and ``GET /models`` with all that is below it are not here: those are the native API's.
"""

from __future__ import annotations

from flask import Blueprint, Response

from sdcpp_rest.routes.comfyui import views
from sdcpp_rest.routes.comfyui.views import NOTHING, REFUSALS
from sdcpp_rest.routes.comfyui.wire import (
    ComfyClassPath,
    ComfyFreeBody,
    ComfyHistoryBody,
    ComfyHistoryQuery,
    ComfyInterruptBody,
    ComfyMaskUpload,
    ComfyNames,
    ComfyObject,
    ComfyPromptBody,
    ComfyPromptPath,
    ComfyQueued,
    ComfyStatus,
    ComfyStored,
    ComfyUpload,
    ComfyViewQuery,
)
from sdcpp_rest.routes.http.openapi import ANY_FILE, documents
from sdcpp_rest.routes.http.pools import blocking, transfer
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs

comfyui_root = Blueprint("comfyui_root", __name__)


@comfyui_root.post("/prompt")
@needs("generate")
@documents({200: ComfyQueued}, errors=(429, 501, 503), body=ComfyPromptBody, refusals=REFUSALS)
@transfer
@submitting
def comfy_root_submit() -> Response:
    """Draw a graph: `/api/prompt` at the root."""
    return views.comfy_submit()


@comfyui_root.get("/prompt")
@needs("read")
@documents({200: ComfyStatus}, refusals=REFUSALS)
def comfy_root_status() -> Response:
    """Tell how many jobs wait or run: `/api/prompt` at the root."""
    return views.comfy_status()


@comfyui_root.get("/history")
@needs("read")
@documents({200: ComfyObject}, query=ComfyHistoryQuery, refusals=REFUSALS)
@transfer
def comfy_root_history() -> Response:
    """List the prompts that have ended: `/api/history` at the root."""
    return views.comfy_history()


@comfyui_root.get("/history/<prompt_id>")
@needs("read")
@documents({200: ComfyObject}, path=ComfyPromptPath, refusals=REFUSALS)
def comfy_root_history_of(prompt_id: str) -> Response:
    """Look at a prompt that has ended: `/api/history/{prompt_id}` at the root."""
    return views.comfy_history_of(prompt_id)


@comfyui_root.post("/history")
@needs("generate")
@documents({200: NOTHING}, body=ComfyHistoryBody, refusals=REFUSALS)
def comfy_root_forget() -> Response:
    """Forget prompts: `/api/history` at the root."""
    return views.comfy_forget()


@comfyui_root.post("/interrupt")
@needs("generate")
@documents({200: NOTHING}, body=ComfyInterruptBody, refusals=REFUSALS)
def comfy_root_interrupt() -> Response:
    """Stop the prompt that runs: `/api/interrupt` at the root."""
    return views.comfy_interrupt()


@comfyui_root.post("/free")
@needs("generate")
@documents({200: ComfyObject}, body=ComfyFreeBody, refusals=REFUSALS)
@blocking
def comfy_root_free() -> Response:
    """Unload the model: `/api/free` at the root."""
    return views.comfy_free()


@comfyui_root.get("/view")
@needs("read")
@documents({200: ANY_FILE, 206: ANY_FILE, 304: ()}, errors=(404, 416), query=ComfyViewQuery, refusals=REFUSALS)
@transfer
def comfy_root_view() -> Response:
    """Get a picture: `/api/view` at the root."""
    return views.comfy_view()


@comfyui_root.post("/upload/image")
@needs("generate")
@documents({200: ComfyStored}, errors=(400, 413), form=ComfyUpload, refusals=REFUSALS)
@transfer
def comfy_root_upload_image() -> Response:
    """Upload a picture for LoadImage: `/api/upload/image` at the root."""
    return views.comfy_upload_image()


@comfyui_root.post("/upload/mask")
@needs("generate")
@documents({200: ComfyStored}, errors=(400, 404, 413), form=ComfyMaskUpload, refusals=REFUSALS)
@transfer
def comfy_root_upload_mask() -> Response:
    """Lay a mask over a picture: `/api/upload/mask` at the root."""
    return views.comfy_upload_mask()


@comfyui_root.get("/object_info")
@needs("read")
@documents({200: ComfyObject}, refusals=REFUSALS)
@transfer
def comfy_root_classes() -> Response:
    """Describe the classes of nodes that work here: `/api/object_info` at the root."""
    return views.comfy_classes()


@comfyui_root.get("/object_info/<node_class>")
@needs("read")
@documents({200: ComfyObject}, path=ComfyClassPath, refusals=REFUSALS)
def comfy_root_class(node_class: str) -> Response:
    """Describe one class of nodes: `/api/object_info/{node_class}` at the root."""
    return views.comfy_class(node_class)


@comfyui_root.get("/system_stats")
@needs("read")
@documents({200: ComfyObject}, refusals=REFUSALS)
def comfy_root_machine() -> Response:
    """Tell of the machine's memory and devices: `/api/system_stats` at the root."""
    return views.comfy_machine()


@comfyui_root.get("/embeddings")
@needs("read")
@documents({200: ComfyNames}, refusals=REFUSALS)
def comfy_root_embeddings() -> Response:
    """List the embeddings: `/api/embeddings` at the root."""
    return views.comfy_embeddings()
