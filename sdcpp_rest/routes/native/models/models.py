"""Models over HTTP: what lies in the model folders, and which of it the engine holds."""

from __future__ import annotations

from typing import Any, Literal
from weakref import WeakKeyDictionary

from flask import Blueprint, Response
from pydantic import Field

from sdcpp_rest.core.catalog import ModelType
from sdcpp_rest.core.load_spec import LoadSpec, ModelKind
from sdcpp_rest.errors import EngineDied, LoadFailed, ModelNotFound
from sdcpp_rest.routes.http.answers import answer, json_text, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import optional, read_query, validate
from sdcpp_rest.routes.native.wire.load_bodies import LoadBody, LoadQuery, ModelsQuery, UnloadBody, to_request
from sdcpp_rest.routes.native.wire.model_wire import ModelNotThere, ModelPath, ModelsShown, model_lists
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.services.models.model_library import ModelLibrary

models = Blueprint("models", __name__)


class Components(Answer):
    """The components that are loaded with a model; ``null`` where it needs none."""

    vae: str | None
    clip_l: str | None
    clip_g: str | None
    t5xxl: str | None
    controlnet: str | None
    llm: str | None
    llm_vision: str | None


class Loaded(Answer):
    """A model that is in the engine's memory now, and that new jobs will use."""

    success: Literal[True]
    message: str
    model_name: str
    model_type: ModelKind
    loaded_components: Components
    model_architecture: str | None = Field(examples=["Flux.2 klein"])
    load_seconds: float
    warnings: list[str] = optional("What was ignored or corrected, and engines that have not loaded it.")


class LoadStarted(Answer):
    """A load under way: `GET /health` and the WebSocket tell of its end."""

    success: Literal[True]
    message: str
    status: Literal["loading"]
    model_name: str
    model_type: ModelKind
    warnings: list[str] = optional("What was ignored or corrected.")


class Unloaded(Answer):
    success: Literal[True]
    message: str
    warnings: list[str] = optional("What was ignored.")


class HashShown(Answer):
    model_name: str
    model_type: ModelType
    hash: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 in hex.")


@models.get("/models")
@needs("read")
@documents({200: ModelsShown}, query=ModelsQuery)
def list_models() -> Response:
    """List model files by type. Filters narrow the lists down; all of them must fit."""
    applied = read_query(ModelsQuery).sent_fields()
    running = runtime()
    library, hashes, resident = running.models.library, running.models.hashes, running.models.slot.resident
    kept_by = running.status.engines.kept_by()
    if not applied:
        return Response(_whole_list(library, hashes, resident, kept_by), mimetype="application/json")
    return answer({**model_lists(library, hashes, resident, kept_by, applied), "applied_filters": applied})


@models.post("/models/load")
@needs("generate")
@documents({200: Loaded, 202: LoadStarted}, errors=(409, 504, 507), body=LoadBody, query=LoadQuery)
@blocking
def load_model() -> Response:
    """Load a model, and select it for the jobs to come. Answers when it is loaded, or at once with ``wait=false``. A
    name that does not exist is a 500 with the nearest names."""
    query = read_query(LoadQuery)
    body, ignored = validate(LoadBody, read_body())
    try:
        pending = runtime().models.slot.begin_load(to_request(body))
        elsewhere = runtime().engine.everywhere.begin_elsewhere(pending.spec) if body.all_engines else ()
        shown: dict[str, Any] = {"success": True}
        if query.wait:
            loaded = pending.outcome(query.sent_fields().get("timeout")).loaded
            shown["message"] = "Model loaded successfully"
        else:
            shown |= {"message": "The model is being loaded", "status": "loading"}
    except ModelNotFound as error:
        raise ModelNotThere(f"Internal error: {error.message}", **error.detail) from None
    except EngineDied as error:
        raise LoadFailed(error.message, **error.detail) from None
    spec = pending.spec
    shown |= {"model_name": spec.model.name, "model_type": spec.kind}
    if query.wait:
        shown |= {
            "loaded_components": spec.component_names,
            "model_architecture": loaded.architecture or spec.architecture,
            "load_seconds": round(loaded.seconds, 3),
        }
    ignored += pending.warnings
    if query.wait:
        ignored += runtime().engine.everywhere.wait_elsewhere(elsewhere, query.sent_fields().get("timeout"))
    if ignored:
        shown["warnings"] = ignored
    return answer(shown, 200 if query.wait else 202)


@models.post("/models/unload")
@needs("generate")
@documents({200: Unloaded}, errors=(404, 409), body=UnloadBody)
@blocking
def unload_model() -> Response:
    """Free the loaded model, or the one that is named. The same answer when there was none; 409 while pending jobs need
    it, unless ``force``."""
    body, warnings = validate(UnloadBody, read_body())
    if body.model_name:
        warnings += runtime().engine.everywhere.unload_named(body.model_name, force=body.force)
    else:
        runtime().models.slot.unload(force=body.force)
    return answer({"success": True, "message": "Model unloaded", **({"warnings": warnings} if warnings else {})})


@models.get("/models/hash/<model_type>/<path:model_name>")
@needs("read")
@documents({200: HashShown}, errors=(400, 404, 409), path=ModelPath)
@blocking
def hash_model(model_type: str, model_name: str) -> Response:
    """Tell a model file's SHA-256. Computed at the first call, which takes seconds for large files, then remembered
    until the file changes."""
    file = runtime().models.hashes.hash_of(model_type, model_name)
    return answer({"model_name": file.name, "model_type": file.type, "hash": file.hash})


# Thousands of files take tens of milliseconds to be written as JSON: the last text is kept until something changes.
_texts: WeakKeyDictionary[ModelLibrary, tuple[tuple[object, ...], str]] = WeakKeyDictionary()


def _whole_list(
    library: ModelLibrary, hashes: ModelHashes, resident: LoadSpec | None, kept_by: dict[str, tuple[str, ...]]
) -> str:
    revision = library.revision
    library.list()  # looks whether anything has changed
    key = (library.revision, hashes.revision, resident, tuple(kept_by.items()))
    kept = _texts.get(library)
    if kept is not None and kept[0] == key:
        return kept[1]
    text = json_text(model_lists(library, hashes, resident, kept_by))
    # What was changed meanwhile may be in the text or not: such a text is not kept.
    if revision == library.revision:
        _texts[library] = (key, text)
    return text
