"""Makes webui/src/api.d.ts of the native API's document, and knows whether it still fits.

Its first line names the document, so that a test without Node notices a change.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

from tools.webui.native_document import native_document
from tools.webui.node import WEBUI, Log, PageError, require_node, run_quietly
from tools.webui.page import install_packages

TYPES = WEBUI / "src" / "api.d.ts"
_FIRST_LINE = "// Made by `make webui-types` of the native API's document with this SHA-256: {digest}\n"


def document_text() -> str:
    """The document as text. The version is left out: a release alone changes no type."""
    document = native_document()
    document["info"]["version"] = ""
    return json.dumps(document, indent=1)


def is_stale() -> bool:
    """Whether the API has changed since its types were made."""
    wanted = _FIRST_LINE.format(digest=hashlib.sha256(document_text().encode()).hexdigest())
    with TYPES.open(encoding="utf-8") as file:
        return file.readline() != wanted


def make_types(log: Log = print) -> str:
    """The types of the API as it is now. Raises PageError."""
    node = require_node(log)
    install_packages(node, log, for_tests=True)
    text = document_text()
    with tempfile.TemporaryDirectory() as scratch:
        document, made = Path(scratch) / "native.json", Path(scratch) / "api.d.ts"
        document.write_text(text, encoding="utf-8")
        command = [
            str(node.program), "node_modules/openapi-typescript/bin/cli.js", str(document),
            "--default-non-nullable=false", "--output", str(made),
        ]  # fmt: skip
        run_quietly(command, "making the types of the API", node.environment())
        types = made.read_text(encoding="utf-8")
    return _FIRST_LINE.format(digest=hashlib.sha256(text.encode()).hexdigest()) + types


def write_types(log: Log = print) -> None:
    """Writes the types into the page's sources."""
    TYPES.write_text(make_types(log), encoding="utf-8")


def check_types(log: Log = print) -> None:
    """Raises PageError where the types are not those of the API, or were edited."""
    if make_types(log) != TYPES.read_text(encoding="utf-8"):
        raise PageError(f"{TYPES.relative_to(WEBUI.parent)} does not fit the API: run `make webui-types`")
