"""Model files that are there already, over HTTP: deleting, renaming and moving them."""

from __future__ import annotations

from typing import Literal

from flask import Blueprint, Response
from flask.blueprints import BlueprintSetupState
from pydantic import Field
from werkzeug.routing import BaseConverter

from sdcpp_rest.core.catalog import LIST_NAMES, ModelType
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Text, Wire, optional, read_query, validate
from sdcpp_rest.routes.native.wire.model_wire import ModelPath, ModelShown, model_object

model_changes = Blueprint("model_changes", __name__)


class ModelTypeConverter(BaseConverter):
    """A model type in a path, by its own name or its list's. Any other word there is no path of these views: below
    `/models` are many others, and what does not exist is a 404 whatever the method."""

    regex = "|".join(sorted({*LIST_NAMES, *LIST_NAMES.values()}))


@model_changes.record
def _know_model_types(state: BlueprintSetupState) -> None:
    # Before the views below are registered.
    state.app.url_map.converters["model_type"] = ModelTypeConverter


class ConfirmQuery(Wire):
    confirm: Text = Field(
        "", max_length=1000, description="The file's name, as `GET /models` tells it, without folders."
    )


class ModelBody(Wire):
    """What is to be otherwise; what is not given stays."""

    name: Text = optional(
        "File name; without an ending it keeps its own.", min_length=1, max_length=1000, examples=["style_v2"]
    )
    folder: Text = optional(
        "Folder below that of its type, made when it is not there; empty for none.", max_length=1000, examples=["SDXL"]
    )
    type: Text = optional("A model type.", examples=["lora"])


class ModelDeleted(Answer):
    """It is gone, with all that lay beside it."""

    success: Literal[True]
    message: str
    model_name: str
    model_type: ModelType
    warnings: list[str] = optional("What was ignored.")


class ModelMoved(Answer):
    """Where it is now."""

    success: Literal[True]
    message: str
    model: ModelShown
    previous_name: str
    previous_type: ModelType
    warnings: list[str] = optional("What was ignored.")


@model_changes.delete("/models/<model_type:model_type>/<path:model_name>")
@needs("models")
@documents({200: ModelDeleted}, errors=(400, 404, 409), path=ModelPath, query=ConfirmQuery)
@blocking
def delete_model(model_type: str, model_name: str) -> Response:
    """Delete a model file for good, with its parts and what lies beside it. `confirm` repeats the file's name. Refused
    while it is selected, loaded, or needed by a job, and in folders that are only read."""
    file = runtime().upkeep.changes.delete_confirmed(model_type, model_name, read_query(ConfirmQuery).confirm)
    shown = {"success": True, "message": f"{file.name} is deleted", "model_name": file.name, "model_type": file.type}
    return answer(shown)


@model_changes.patch("/models/<model_type:model_type>/<path:model_name>")
@needs("models")
@documents({200: ModelMoved}, errors=(404, 409), body=ModelBody, path=ModelPath)
@blocking
def change_model(model_type: str, model_name: str) -> Response:
    """Rename a model file, or move it to another folder or type, with its parts and what lies beside it. Its sum is
    still known then. Refused while it is selected, loaded, or needed by a job, and in folders that are only read."""
    body, ignored = validate(ModelBody, read_body())
    asked = body.sent_fields()
    if not asked:
        raise InvalidRequest("Nothing is to be changed: give name, folder or type", field="name")
    running = runtime()
    file = running.models.library.find(model_type, model_name)
    moved = running.upkeep.changes.move(
        file, name=asked.get("name"), folder=asked.get("folder"), model_type=asked.get("type")
    )
    shown = {
        "success": True,
        "message": f"{file.name} is {moved.name} now",
        "model": model_object(moved, running.models.hashes.known_sum(moved), None, {}),
        "previous_name": file.name,
        "previous_type": file.type,
    }
    return answer({**shown, "warnings": ignored} if ignored else shown)
