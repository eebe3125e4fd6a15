"""Makes the OpenAPI document that the web page's types are made from: the native API alone, as the app describes it."""

from __future__ import annotations

import json
import re
from typing import Any

from sdcpp_rest.config import Config
from sdcpp_rest.routes.http.openapi import document, operations
from sdcpp_rest.runtime import VERSION
from sdcpp_rest.web.app import create_app

_NATIVE = "sdcpp_rest.routes.native."
# These are spoken by other clients' words, too: the page sends the native ones.
_SHARED = "sdcpp_rest.routes.root_pictures"
_REF = re.compile(r'"#/components/schemas/([^"]+)"')


def native_document() -> dict[str, Any]:
    """The document, without other dialects' paths and the models that only those use."""
    app = create_app(None)
    wanted = {
        view.__name__
        for _, _, view, _ in operations(app)
        if view.__module__.startswith(_NATIVE) or view.__module__ == _SHARED
    }
    whole = document(app, VERSION, Config().limits)
    paths = {
        path: {method: one for method, one in methods.items() if one["operationId"] in wanted}
        for path, methods in whole["paths"].items()
    }
    whole["paths"] = {path: methods for path, methods in paths.items() if methods}
    whole["tags"] = []
    schemas = whole["components"]["schemas"]
    reached: set[str] = set()
    found = set(_REF.findall(json.dumps([whole["paths"], whole["components"]["responses"]])))
    while found - reached:
        reached |= found
        found = set(_REF.findall(json.dumps([schemas[name] for name in reached])))
    whole["components"]["schemas"] = {name: schemas[name] for name in sorted(reached)}
    return whole
