"""Loads the model that a call of SwarmUI's names, by HTTP and by WebSocket.

Knows the model slot; what a model is called is told elsewhere.
"""

from __future__ import annotations

import asyncio
import logging

from sdcpp_rest.errors import InvalidRequest, ModelNotFound, SdcppRestError
from sdcpp_rest.routes.swarmui.model_types import MAIN, MODEL_TYPES, clean_path
from sdcpp_rest.routes.swarmui.sockets import SwarmSocket
from sdcpp_rest.routes.swarmui.status import BACKEND_ID, current_status
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.services.dispatch.model_slot import ModelSlot, PendingLoad
from sdcpp_rest.services.models.load_specs import LoadRequest
from sdcpp_rest.services.submission.model_choice import ModelChoice

log = logging.getLogger(__name__)

_NOT_LOADED = "Model failed to load."


def begin_select(name: str, backend_id: str, choice: ModelChoice, slot: ModelSlot) -> PendingLoad:
    """Select the model that ``name`` means, and have it loaded; does not wait. Raises InvalidRequest."""
    if not name.strip():
        raise InvalidRequest("Invalid empty name.", field="model")
    if backend_id not in ("", BACKEND_ID):
        raise InvalidRequest(_NOT_LOADED, field="backendId")
    try:
        file = choice.find(MODEL_TYPES[MAIN], clean_path(name))
    except (ModelNotFound, InvalidRequest):
        raise InvalidRequest("Model not found.", field="model") from None
    selected = slot.selected
    if selected is not None and selected.model.path == file.path:
        # With the options that it was loaded with.
        return PendingLoad(selected, (), slot.select(selected))
    try:
        return slot.begin_load(LoadRequest(model_name=file.name, model_type=file.type))
    except InvalidRequest as error:
        raise _failure(error) from None


def finish_select(pending: PendingLoad) -> None:
    """Wait until the model is loaded. Raises InvalidRequest."""
    try:
        pending.outcome()
    except SdcppRestError as error:
        raise _failure(error) from None


async def serve_select_model(call: SwarmSocket, runtime: Runtime) -> None:
    """Serve SelectModelWS: how the server stands, what became of it, and how it stands then."""
    name, rounds, status = call.arguments.text("model"), runtime.submission.rounds, runtime.status
    choice, slot = runtime.submission.model_choice, runtime.models.slot
    try:
        pending = await asyncio.to_thread(begin_select, name, "", choice, slot)
        await call.send(await asyncio.to_thread(current_status, call.session, rounds, status))
        await asyncio.to_thread(finish_select, pending)
        await call.send({"success": True})
    except InvalidRequest as error:
        await call.send_error(error)
    await call.send(await asyncio.to_thread(current_status, call.session, rounds, status))


def _failure(error: SdcppRestError) -> InvalidRequest:
    log.warning("a model was selected and could not be loaded: %s", error.message)
    return InvalidRequest(f"{_NOT_LOADED} {error.message}", field="model")
