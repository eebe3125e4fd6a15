"""ComfyUI's API below /api; the same at the root is in `root_views`.

Graphs become jobs of the same queue as everybody's.
"""

from __future__ import annotations

import platform
import sys

from flask import Blueprint, Response, request, send_file

from sdcpp_rest.errors import InvalidRequest, NotFound
from sdcpp_rest.routes.comfyui.errors import ComfyError, GraphRefused
from sdcpp_rest.routes.comfyui.node_types import NodeClass
from sdcpp_rest.routes.comfyui.nodes import BY_NAME
from sdcpp_rest.routes.comfyui.object_info import describe_class, describe_classes, describe_machine
from sdcpp_rest.routes.comfyui.opening import (
    open_lists,
    open_prompts,
    open_watch,
    show_history,
    show_prompt,
    show_queue,
)
from sdcpp_rest.routes.comfyui.pictures import find_picture, read_upload, read_wanted, render, store_mask, store_picture
from sdcpp_rest.routes.comfyui.surroundings import FOLDER_ALIASES, MODEL_LISTS
from sdcpp_rest.routes.comfyui.wire import (
    ComfyClassPath,
    ComfyFolderPath,
    ComfyFreeBody,
    ComfyHistoryBody,
    ComfyHistoryQuery,
    ComfyInterruptBody,
    ComfyMaskUpload,
    ComfyNames,
    ComfyObject,
    ComfyPromptBody,
    ComfyPromptPath,
    ComfyQueue,
    ComfyQueueBody,
    ComfyQueued,
    ComfyStatus,
    ComfyStored,
    ComfyUpload,
    ComfyViewQuery,
)
from sdcpp_rest.routes.http.answers import answer, runtime, shorten
from sdcpp_rest.routes.http.openapi import ANY_FILE, documents
from sdcpp_rest.routes.http.pools import blocking, transfer
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import read_query, validate

comfyui = Blueprint("comfyui", __name__)

REFUSALS = (ComfyError,)
NOTHING = "text/plain"
"""Of answers without a body."""


@comfyui.post("/api/prompt")
@needs("generate")
@documents({200: ComfyQueued}, errors=(429, 501, 503), body=ComfyPromptBody, refusals=REFUSALS)
@transfer
@submitting
def comfy_submit() -> Response:
    """Draw a graph, as ComfyUI does. Answers at once; nothing is queued of a graph that is refused, and the answer
    names every node and input at fault."""
    try:
        body, _ = validate(ComfyPromptBody, read_body())
    except InvalidRequest as error:
        raise GraphRefused("invalid_prompt", "Invalid prompt", error.message) from None
    kept = open_prompts().submit(body.sent_fields())
    return answer({"prompt_id": kept.id, "number": kept.number, "node_errors": {}})


@comfyui.get("/api/prompt")
@needs("read")
@documents({200: ComfyStatus}, refusals=REFUSALS)
def comfy_status() -> Response:
    """Tell how many jobs wait or run, as ComfyUI does."""
    return answer({"exec_info": {"queue_remaining": open_watch().remaining()}})


@comfyui.get("/api/queue")
@needs("read")
@documents({200: ComfyQueue}, refusals=REFUSALS)
def comfy_queue() -> Response:
    """List the prompts that run and wait, as ComfyUI does."""
    return answer(show_queue())


@comfyui.post("/api/queue")
@needs("generate")
@documents({200: NOTHING}, body=ComfyQueueBody, refusals=REFUSALS)
def comfy_change_queue() -> Response:
    """Take prompts that wait off the queue, as ComfyUI does."""
    body, _ = validate(ComfyQueueBody, read_body())
    if body.clear:
        open_watch().drop_pending(None)
    elif body.delete:
        open_watch().drop_pending(body.delete)
    return answer_nothing()


@comfyui.get("/api/history")
@needs("read")
@documents({200: ComfyObject}, query=ComfyHistoryQuery, refusals=REFUSALS)
@transfer
def comfy_history() -> Response:
    """List the prompts that have ended with their pictures, as ComfyUI does."""
    query = read_query(ComfyHistoryQuery)
    return answer(show_history(query.max_items, query.offset))


@comfyui.get("/api/history/<prompt_id>")
@needs("read")
@documents({200: ComfyObject}, path=ComfyPromptPath, refusals=REFUSALS)
def comfy_history_of(prompt_id: str) -> Response:
    """Look at a prompt that has ended, as ComfyUI does. An empty object until then."""
    return answer(show_prompt(prompt_id))


@comfyui.post("/api/history")
@needs("generate")
@documents({200: NOTHING}, body=ComfyHistoryBody, refusals=REFUSALS)
def comfy_forget() -> Response:
    """Forget prompts, as ComfyUI does. Their pictures and jobs stay."""
    body, _ = validate(ComfyHistoryBody, read_body())
    if body.clear or body.delete:
        runtime().jobs.kept_calls.forget(None if body.clear else body.delete)
    return answer_nothing()


@comfyui.post("/api/interrupt")
@needs("generate")
@documents({200: NOTHING}, body=ComfyInterruptBody, refusals=REFUSALS)
def comfy_interrupt() -> Response:
    """Stop the prompt that runs, as ComfyUI does. Jobs of other APIs go on unless `interrupt.scope` is global."""
    body, _ = validate(ComfyInterruptBody, read_body())
    open_watch().interrupt(body.prompt_id or None, everything=runtime().config.interrupt.scope == "global")
    return answer_nothing()


@comfyui.post("/api/free")
@needs("generate")
@documents({200: ComfyObject}, body=ComfyFreeBody, refusals=REFUSALS)
@blocking
def comfy_free() -> Response:
    """Unload the model, as ComfyUI does. The next job loads it again."""
    body, _ = validate(ComfyFreeBody, read_body())
    if body.unload_models or body.free_memory:
        runtime().models.slot.unload_keeping_selection()
    return answer({})


@comfyui.get("/api/view")
@needs("read")
@documents({200: ANY_FILE, 206: ANY_FILE, 304: ()}, errors=(404, 416), query=ComfyViewQuery, refusals=REFUSALS)
@transfer
def comfy_view() -> Response:
    """Get a picture, as ComfyUI does. Whole, as a smaller preview, or one channel of it."""
    query, jobs = read_query(ComfyViewQuery), runtime().jobs
    path = find_picture(jobs.uploaded, jobs.outputs, query.filename, query.subfolder, query.type)
    made, media = render(path, read_wanted(query.preview, query.channel))
    if made is None:
        sent = send_file(path, mimetype=media, conditional=True, etag=True, download_name=path.name)
    else:
        sent = Response(made, mimetype=media)
    sent.headers["X-Content-Type-Options"] = "nosniff"
    sent.headers["Content-Disposition"] = 'filename="picture"' if not path.name.isascii() else f'filename="{path.name}"'
    return sent


@comfyui.post("/api/upload/image")
@needs("generate")
@documents({200: ComfyStored}, errors=(400, 413), form=ComfyUpload, refusals=REFUSALS)
@transfer
def comfy_upload_image() -> Response:
    """Upload a picture for LoadImage, as ComfyUI does."""
    upload = read_upload(request.get_data(cache=False), request.content_type or "")
    return answer(store_picture(runtime().jobs.uploaded, upload))


@comfyui.post("/api/upload/mask")
@needs("generate")
@documents({200: ComfyStored}, errors=(400, 404, 413), form=ComfyMaskUpload, refusals=REFUSALS)
@transfer
def comfy_upload_mask() -> Response:
    """Lay the transparency of an uploaded picture over another one, as ComfyUI does."""
    upload = read_upload(request.get_data(cache=False), request.content_type or "")
    return answer(store_mask(runtime().jobs.uploaded, runtime().jobs.outputs, upload))


@comfyui.get("/api/object_info")
@needs("read")
@documents({200: ComfyObject}, refusals=REFUSALS)
@transfer
def comfy_classes() -> Response:
    """Describe the classes of nodes that work here, as ComfyUI does."""
    return answer(describe_classes(open_lists().words, runtime().config.limits))


@comfyui.get("/api/object_info/<node_class>")
@needs("read")
@documents({200: ComfyObject}, path=ComfyClassPath, refusals=REFUSALS)
def comfy_class(node_class: str) -> Response:
    """Describe one class of nodes, as ComfyUI does. An empty object for one that does not work here."""
    one: NodeClass | None = BY_NAME.get(node_class)
    limits = runtime().config.limits
    return answer({} if one is None else {one.name: describe_class(one, open_lists().words, limits)})


@comfyui.get("/api/system_stats")
@needs("read")
@documents({200: ComfyObject}, refusals=REFUSALS)
def comfy_machine() -> Response:
    """Tell of the machine's memory and devices, as ComfyUI does."""
    running = runtime()
    system = {"Linux": "posix", "Darwin": "posix", "Windows": "nt"}.get(platform.system(), "posix")
    return answer(describe_machine(running.status.memory(), running.version, sys.version, system))


@comfyui.get("/api/embeddings")
@needs("read")
@documents({200: ComfyNames}, refusals=REFUSALS)
def comfy_embeddings() -> Response:
    """List the embeddings by their bare names, as ComfyUI does."""
    return answer([name.rpartition(".")[0] for name in open_lists().words("embeddings")])


@comfyui.get("/api/models")
@needs("read")
@documents({200: ComfyNames}, refusals=REFUSALS)
def comfy_folders() -> Response:
    """List the folders of models, as ComfyUI does."""
    return answer([*MODEL_LISTS, *FOLDER_ALIASES])


@comfyui.get("/api/models/<folder>")
@needs("read")
@documents({200: ComfyNames}, errors=(404,), path=ComfyFolderPath, refusals=REFUSALS)
def comfy_models(folder: str) -> Response:
    """List the models of a folder, as ComfyUI does."""
    name = FOLDER_ALIASES.get(folder, folder)
    if name not in MODEL_LISTS:
        raise NotFound(
            f"There is no folder {shorten(folder)!r}; there are {', '.join([*MODEL_LISTS, *FOLDER_ALIASES])}"
        )
    return answer(open_lists().words(name))


def answer_nothing() -> Response:
    """A 200 without a body."""
    return Response("", mimetype=NOTHING)
