"""AUTOMATIC1111's options: read as one flat object, changed by sending any part of it back."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from sdcpp_rest.routes.a1111.answers import A1111Dict, A1111Null
from sdcpp_rest.routes.a1111.choices import open_choices
from sdcpp_rest.routes.a1111.errors import A1111Error
from sdcpp_rest.routes.a1111.wire import A1111OptionsBody
from sdcpp_rest.routes.http.answers import answer
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs

a1111_options = Blueprint("a1111_options", __name__)

# What clients look for; the switches of a program that is not this one.
_FLAGS: dict[str, Any] = {
    "api": True,
    "api_auth": None,
    "api_log": False,
    "api_server_stop": False,
    "nowebui": True,
    "listen": False,
    "port": None,
    "server_name": None,
    "share": False,
    "ckpt": None,
    "ckpt_dir": None,
    "vae_dir": None,
    "lora_dir": None,
    "embeddings_dir": None,
    "hypernetwork_dir": None,
    "lowvram": False,
    "medvram": False,
    "no_half": False,
    "precision": "autocast",
    "xformers": False,
    "skip_torch_cuda_test": False,
    "enable_insecure_extension_access": False,
    "disable_safe_unpickle": False,
    "cors_allow_origins": None,
    "subpath": None,
}


@a1111_options.get("/sdapi/v1/options")
@needs("read")
@documents({200: A1111Dict}, refusals=(A1111Error,))
def a1111_show_options() -> Response:
    """Tell all options, with the selected model's title."""
    return answer(open_choices().list_options())


@a1111_options.post("/sdapi/v1/options")
@needs("generate")
@documents({200: A1111Null}, errors=(422,), body=A1111OptionsBody, refusals=(A1111Error,))
@blocking
def a1111_change_options() -> Response:
    """Change options, for good. Waits until a model that they choose is loaded."""
    open_choices().change_options(read_body())
    return answer(None)


@a1111_options.get("/sdapi/v1/cmd-flags")
@needs("read")
@documents({200: A1111Dict}, refusals=(A1111Error,))
def a1111_flags() -> Response:
    """Tell the switches that clients look for."""
    return answer(_FLAGS)
