"""The ControlNet of the loaded model over HTTP: which one there is, another one, none.

The library takes a ControlNet together with its model: a change is a reload, and every answer says so.
"""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.errors import Conflict, EngineDied, LoadFailed, OutOfMemory
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Flag, Text, Wire, optional, validate

controlnet = Blueprint("controlnet", __name__)

_FORCE = "Also while jobs run or wait: they are drawn as they were submitted, and the model is loaded again for them."


class ControlNetBody(Wire):
    """Which ControlNet to draw with."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"controlnet": "control_canny.safetensors"}]})

    controlnet: Text = Field(min_length=1, description="A ControlNet as `GET /models` names it.")
    force: Flag = Field(False, description=_FORCE)


class NoControlNetBody(Wire):
    """May be left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"force": False}]})

    force: Flag = Field(False, description=_FORCE)


class ControlNetStatus(Answer):
    """The ControlNet that the engine holds."""

    loaded: bool
    name: str | None
    selected: str | None = Field(description="The one that new jobs are drawn with.")


class ControlNetChanged(Answer):
    """The model is in the engine's memory with this ControlNet, or without one."""

    success: Literal[True]
    message: str
    name: str | None = Field(description="The ControlNet that new jobs are drawn with.")
    model_name: str
    reloaded: bool = Field(description="Whether the model was loaded again for it: the library knows no other way.")
    load_seconds: float
    warnings: list[str] = optional("What was ignored, and what has no effect.")


@controlnet.get("/controlnet/status")
@needs("read")
@documents({200: ControlNetStatus})
def show_controlnet() -> Response:
    """Tell which ControlNet is loaded with the model."""
    slot = runtime().models.slot
    resident, selected = (
        spec.component_names["controlnet"] if spec else None for spec in (slot.resident, slot.selected)
    )
    return answer({"loaded": resident is not None, "name": resident, "selected": selected})


@controlnet.post("/controlnet/load")
@needs("generate")
@documents({200: ControlNetChanged}, errors=(404, 409, 507), body=ControlNetBody)
@blocking
def load_controlnet() -> Response:
    """Load a ControlNet with the selected model, instead of the one that is there. The model is loaded again for it,
    because the library cannot do it otherwise; 409 while jobs run or wait, unless ``force``."""
    body, ignored = validate(ControlNetBody, read_body())
    return _change(body.controlnet, body.force, ignored)


@controlnet.post("/controlnet/unload")
@needs("generate")
@documents({200: ControlNetChanged}, errors=(409, 507), body=NoControlNetBody)
@blocking
def unload_controlnet() -> Response:
    """Load the selected model without its ControlNet. The same answer when it has none; 409 while jobs run or wait,
    unless ``force``."""
    body, ignored = validate(NoControlNetBody, read_body())
    return _change(None, body.force, ignored)


def _change(name: str | None, force: bool, ignored: list[str]) -> Response:
    slot, queue = runtime().models.slot, runtime().jobs.queue
    before, resident = slot.selected, slot.resident
    if not force and queue.is_busy:
        raise Conflict(
            "Jobs run or wait, and another ControlNet means to load the model again; wait for them, or send force=true"
        )
    pending = slot.begin_controlnet(name)
    try:
        outcome = pending.outcome()
    except (LoadFailed, OutOfMemory, EngineDied) as error:
        # The model as it was is worth more than none.
        if before is not None:
            slot.select(before)
        raise LoadFailed(error.message, **error.detail) if isinstance(error, EngineDied) else error from None
    reloaded, attached = resident != outcome.spec, outcome.spec.component_names["controlnet"]
    what = f"{attached} is loaded with {outcome.spec.model.name}" if attached else "No ControlNet is loaded"
    how = "the model was loaded again for it" if reloaded else "nothing had to be loaded"
    shown: dict[str, Any] = {
        "success": True,
        "message": f"{what}; {how}",
        "name": attached,
        "model_name": outcome.spec.model.name,
        "reloaded": reloaded,
        "load_seconds": round(outcome.loaded.seconds, 3) if reloaded else 0.0,
    }
    warnings = [*ignored, *outcome.warnings]
    return answer({**shown, "warnings": warnings} if warnings else shown)
