"""The rest of AUTOMATIC1111's API: memory, the model in and out, what scripts there are, extensions (there are none),
training (there is none either)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from sdcpp_rest.errors import NoModelLoaded, NotSupported
from sdcpp_rest.routes.a1111 import answers as told
from sdcpp_rest.routes.a1111.errors import A1111Error
from sdcpp_rest.routes.a1111.scripts.all_scripts import describe_scripts, list_scripts
from sdcpp_rest.routes.a1111.scripts.choosing import open_script_choices
from sdcpp_rest.routes.a1111.wire import A1111Anything
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.scopes import needs

a1111_system = Blueprint("a1111_system", __name__)


@a1111_system.get("/sdapi/v1/memory")
@needs("read")
@documents({200: told.A1111Memory}, refusals=(A1111Error,))
def a1111_memory() -> Response:
    """Tell how much memory there is. What is not known of a GPU is zero."""
    memory = runtime().status.memory()
    system = memory["system"]
    used = memory["server"]["rss_bytes"] + (memory["engine"]["rss_bytes"] or 0)
    ram = {"free": system["available_bytes"], "used": used, "total": system["total_bytes"]}
    gpu = next((device for device in memory["devices"] if device["is_gpu"]), None)
    return answer({"ram": ram, "cuda": {"error": "no GPU"} if gpu is None else _cuda_object(gpu)})


@a1111_system.post("/sdapi/v1/unload-checkpoint")
@needs("generate")
@documents({200: told.A1111Empty}, refusals=(A1111Error,))
@blocking
def a1111_unload_checkpoint() -> Response:
    """Free the model. It stays selected: the next picture loads it again."""
    runtime().models.slot.unload_keeping_selection()
    return answer({})


@a1111_system.post("/sdapi/v1/reload-checkpoint")
@needs("generate")
@documents({200: told.A1111Empty}, errors=(400,), refusals=(A1111Error,))
@blocking
def a1111_reload_checkpoint() -> Response:
    """Load the selected model, if it is not loaded. Waits until it is."""
    models = runtime().models.slot
    if models.selected is None:
        raise NoModelLoaded("No model is selected; choose one with the option sd_model_checkpoint")
    models.select(models.selected).result()
    return answer({})


@a1111_system.get("/sdapi/v1/scripts")
@needs("read")
@documents({200: told.A1111Scripts}, refusals=(A1111Error,))
def a1111_scripts() -> Response:
    """List the scripts that a call can name as script_name."""
    return answer(list_scripts())


@a1111_system.get("/sdapi/v1/script-info")
@needs("read")
@documents({200: told.A1111ScriptFacts}, refusals=(A1111Error,))
def a1111_script_facts() -> Response:
    """Describe the scripts with their arguments, once for each kind of call that has them."""
    return answer(describe_scripts(open_script_choices()))


@a1111_system.get("/sdapi/v1/extensions")
@needs("read")
@documents({200: told.A1111NoItems}, refusals=(A1111Error,))
def a1111_extensions() -> Response:
    """List the extensions: there are none."""
    return answer([])


@a1111_system.get("/config")
@needs("read")
@documents({200: told.A1111Dict})
def a1111_page_config() -> Response:
    """Tell what is on the page of those programs, which some clients read first: nothing."""
    return answer({"components": []})


@a1111_system.post("/sdapi/v1/create/embedding")
@needs("generate")
@documents({200: told.A1111Created}, errors=(501,), body=A1111Anything, refusals=(A1111Error,))
def a1111_create_embedding() -> Response:
    """Refuse to make an embedding: the library does not train."""
    raise _training_refusal()


@a1111_system.post("/sdapi/v1/create/hypernetwork")
@needs("generate")
@documents({200: told.A1111Created}, errors=(501,), body=A1111Anything, refusals=(A1111Error,))
def a1111_create_hypernetwork() -> Response:
    """Refuse to make a hypernetwork: the library does not train."""
    raise _training_refusal()


@a1111_system.post("/sdapi/v1/train/embedding")
@needs("generate")
@documents({200: told.A1111Created}, errors=(501,), body=A1111Anything, refusals=(A1111Error,))
def a1111_train_embedding() -> Response:
    """Refuse to train an embedding: the library does not train."""
    raise _training_refusal()


@a1111_system.post("/sdapi/v1/train/hypernetwork")
@needs("generate")
@documents({200: told.A1111Created}, errors=(501,), body=A1111Anything, refusals=(A1111Error,))
def a1111_train_hypernetwork() -> Response:
    """Refuse to train a hypernetwork: the library does not train."""
    raise _training_refusal()


def _cuda_object(gpu: Mapping[str, Any]) -> dict[str, Any]:
    held = gpu["total_bytes"] - gpu["free_bytes"]
    counted = {"current": held, "peak": held}
    return {
        "system": {"free": gpu["free_bytes"], "used": held, "total": gpu["total_bytes"]},
        "active": counted,
        "allocated": counted,
        "reserved": counted,
        "inactive": {"current": 0, "peak": 0},
        "events": {"retries": 0, "oom": 0},
    }


def _training_refusal() -> NotSupported:
    return NotSupported("Training is not possible with stable-diffusion.cpp; it only draws")
