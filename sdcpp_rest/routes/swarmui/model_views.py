"""SwarmUI's calls about models: listing, describing, loading, summing."""

from __future__ import annotations

import time

from flask import Blueprint, Response

from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.errors import Conflict
from sdcpp_rest.routes.http.answers import answer, json_text, runtime
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import blocking, drawing
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.swarmui.calls import arguments, open_view, swarm_options
from sdcpp_rest.routes.swarmui.errors import SwarmError
from sdcpp_rest.routes.swarmui.model_listing import list_cards_below, read_listing
from sdcpp_rest.routes.swarmui.model_lists import RefreshGate
from sdcpp_rest.routes.swarmui.model_loading import begin_select, finish_select
from sdcpp_rest.routes.swarmui.model_notes import edit_notes
from sdcpp_rest.routes.swarmui.model_objects import (
    is_no_model,
    model_object,
    models_text,
    models_with_pictures,
    no_model,
)
from sdcpp_rest.routes.swarmui.model_types import MAIN, WILDCARDS, clean_path, find_card, list_cards
from sdcpp_rest.routes.swarmui.model_wire import (
    SwarmDescribed,
    SwarmHash,
    SwarmModelList,
    SwarmModels,
    SwarmWildcard,
    SwarmWildcardList,
)
from sdcpp_rest.routes.swarmui.opening import list_parameters
from sdcpp_rest.routes.swarmui.user_data import read_param_edits
from sdcpp_rest.routes.swarmui.wildcard_files import (
    describe_wildcard,
    list_wildcards,
    remove_wildcard,
    write_wildcard,
)
from sdcpp_rest.routes.swarmui.wire import SwarmCall, SwarmObject, SwarmSuccess

swarmui_models = Blueprint("swarmui_models", __name__)
swarmui_models.before_request(open_view)

_REFUSALS = (SwarmError,)
_DRAWING_SECONDS = 5.0
_gate = RefreshGate()


@swarmui_models.post("/API/ListModels")
@needs("read")
@documents({200: (SwarmModelList, SwarmWildcardList, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
@blocking
def list_swarm_models() -> Response:
    """List the models of a type below a folder, or wildcards, as SwarmUI does."""
    asked, models = read_listing(arguments()), runtime().models
    if asked.subtype == WILDCARDS:
        return answer(list_wildcards(models.wildcards, asked))
    cards = list_cards(asked.subtype, models.cards)
    folders, files = list_cards_below(cards, asked.path, asked.depth, asked.order, is_reversed=asked.is_reversed)
    if not asked.with_pictures:
        text = models_text(files, asked.subtype, _loaded_path())
    else:
        until = time.monotonic() + _DRAWING_SECONDS
        shown = models_with_pictures(files, asked.subtype, _loaded_path(), lambda: time.monotonic() < until)
        text = json_text(shown)
    return Response(f'{{"folders":{json_text(folders)},"files":{text}}}', mimetype="application/json")


@swarmui_models.post("/API/DescribeModel")
@needs("read")
@documents({200: (SwarmDescribed, SwarmWildcard, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def describe_swarm_model() -> Response:
    """Describe one model, as SwarmUI does."""
    asked, models = arguments(), runtime().models
    name, subtype = asked.text("modelName"), asked.text("subtype", MAIN)
    if subtype == WILDCARDS:
        return answer(describe_wildcard(models.wildcards, name))
    if subtype == MAIN and is_no_model(name):
        return answer({"model": no_model()})
    card = find_card(subtype, name, models.library, models.cards)
    return answer({"model": model_object(card, subtype, is_loaded=card.file.path == _loaded_path())})


@swarmui_models.post("/API/EditWildcard")
@needs("generate")
@documents({200: (SwarmSuccess, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
@drawing
def edit_wildcard() -> Response:
    """Write a wildcard, as SwarmUI does."""
    write_wildcard(runtime().models.wildcards, arguments())
    return answer({"success": True})


@swarmui_models.post("/API/DeleteWildcard")
@needs("generate")
@documents({200: (SwarmSuccess, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def delete_wildcard() -> Response:
    """Delete a wildcard and its preview, as SwarmUI does."""
    remove_wildcard(runtime().models.wildcards, arguments().text("card"))
    return answer({"success": True})


@swarmui_models.post("/API/EditModelMetadata")
@needs("models")
@documents({200: (SwarmSuccess, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
@blocking
def edit_model_notes() -> Response:
    """Write what the page says of a model beside its file, as SwarmUI does; the file itself stays as it is."""
    asked, models = arguments(), runtime().models
    card = find_card(asked.text("subtype", MAIN), asked.text("model"), models.library, models.cards)
    edit_notes(card, asked, models.library.folders()[card.file.type])
    models.cards.refresh()
    return answer({"success": True})


@swarmui_models.post("/API/DeleteModel")
@needs("models")
@documents({200: (SwarmSuccess, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
@blocking
def delete_swarm_model() -> Response:
    """Delete a model of the user's own folders and what lies beside it, as SwarmUI does."""
    asked, models = arguments(), runtime().models
    card = find_card(asked.text("subtype", MAIN), asked.text("modelName"), models.library, models.cards)
    _check_unused(card.file)
    runtime().upkeep.changes.delete(card.file)
    return answer({"success": True})


@swarmui_models.post("/API/RenameModel")
@needs("models")
@documents({200: (SwarmSuccess, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
@blocking
def rename_swarm_model() -> Response:
    """Give a model of the user's own folders another name, with what lies beside it, as SwarmUI does."""
    asked, models = arguments(), runtime().models
    name = asked.text("newName")
    card = find_card(asked.text("subtype", MAIN), asked.text("oldName"), models.library, models.cards)
    _check_unused(card.file)
    runtime().upkeep.changes.move_to(card.file, card.file.type, clean_path(name))
    return answer({"success": True})


@swarmui_models.post("/API/ListLoadedModels")
@needs("read")
@documents({200: (SwarmModels, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
@blocking
def list_loaded_models() -> Response:
    """List the model that is loaded, as SwarmUI does."""
    path = _loaded_path()
    # By its path: a checkpoint and a diffusion model may have one name.
    loaded = [card for card in list_cards(MAIN, runtime().models.cards) if card.file.path == path]
    return answer({"models": [model_object(card, MAIN, is_loaded=True) for card in loaded]})


@swarmui_models.post("/API/SelectModel")
@needs("generate")
@documents({200: (SwarmSuccess, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
@blocking
def select_swarm_model() -> Response:
    """Load a model for the pictures to come, as SwarmUI does; answers when it is loaded."""
    asked, running = arguments(), runtime()
    name, backend_id = asked.text("model"), asked.text("backendId", "")
    finish_select(begin_select(name, backend_id, running.submission.model_choice, running.models.slot))
    return answer({"success": True})


@swarmui_models.post("/API/GetModelHash")
@needs("read")
@documents({200: (SwarmHash, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
@blocking
def get_model_hash() -> Response:
    """Tell a model's SHA-256, as SwarmUI does; takes as long as reading the file, unless it is known."""
    asked, models = arguments(), runtime().models
    card = find_card(asked.text("subtype", MAIN), asked.text("modelName"), models.library, models.cards)
    return answer({"hash": f"0x{models.hashes.sum_of(card.file)}"})


@swarmui_models.post("/API/TriggerRefresh")
@needs("generate")
@documents({200: (SwarmObject, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
@blocking
def trigger_refresh() -> Response:
    """Look through the model folders again, and tell what there is to choose from, as SwarmUI does."""
    asked, models = arguments(), runtime().models
    asked.text("refreshType", "")
    if asked.switch("strong", True) and _gate.enter():
        models.library.refresh()
        models.cards.refresh()
    return answer(list_parameters(models, runtime().status, read_param_edits(swarm_options())))


def _check_unused(file: ModelFile) -> None:
    """Raise Conflict while jobs wait or run, and for files that the engine holds: it reads them again and again."""
    counts = runtime().jobs.queue.counts()
    # Those of a paused queue, too: they will run some day.
    if counts["pending"] or counts["processing"]:
        raise Conflict("Jobs wait or run, and may need that model; try again when they are done.")
    resident = runtime().models.slot.resident
    held = {resident.model.path, *(one.path for one in resident.components.values())} if resident is not None else set()
    if held & {file.path, *file.parts}:
        raise Conflict("That model is loaded; load another one, or free the memory first.")


def _loaded_path() -> str | None:
    resident = runtime().models.slot.resident
    return resident.model.path if resident is not None else None
