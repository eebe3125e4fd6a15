"""Checks the web page (style, types) and tests it, in Node and in a browser.

What the machine lacks is told in one line each and left out, unless SDCPP_REST_NO_SKIPS is set.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.webui.api_types import check_types
from tools.webui.node import Log, Node, PageError, require_node
from tools.webui.page import build, install_packages

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_LINTERS = {
    "eslint": ("node_modules/eslint/bin/eslint.js", "--max-warnings=0", "."),
    "prettier": ("node_modules/prettier/bin/prettier.cjs", "--check", "--log-level=warn", "."),
    "svelte-check": (
        "node_modules/svelte-check/bin/svelte-check", "--tsconfig", "./tsconfig.json", "--fail-on-warnings",
        "--output", "human",
    ),
}  # fmt: skip


def may_skip() -> bool:
    return not os.environ.get("SDCPP_REST_NO_SKIPS")


def check_style(log: Log = print) -> None:
    """Style and types of the page, and whether its picture of the API is the API. Raises PageError."""
    node = _prepare("NOT checked", log)
    if node is None:
        return
    for name, command in _LINTERS.items():
        if node.run(*command) != 0:
            raise PageError(f"{name} is not content with the web page")
    check_types(log)


def run_tests(log: Log = print) -> None:
    """The tests of the page: those of its logic, its budgets, then those in a browser. Raises PageError."""
    node = _prepare("NOT tested", log)
    if node is None:
        return
    build(log)
    if node.run("node_modules/vitest/vitest.mjs", "run", "--coverage") != 0:
        raise PageError("tests of the web page failed")
    programs = browser_programs()
    if programs is None:
        _tell_lack("web page: NOT tested in a browser (no Chromium here: apt-get install chromium)", log)
        return
    if node.run("node_modules/@playwright/test/cli.js", "test", **programs) != 0:
        raise PageError("tests of the web page in a browser failed")


def browser_programs() -> dict[str, str] | None:
    """The programs that tests in a browser run, as their environment names them; None where there is no browser."""
    browser = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        return None
    return {
        "CHROMIUM": browser,
        "SDCPP_REST_BIN": os.environ.get("SDCPP_REST_BIN") or str(Path(sys.executable).parent / "sdcpp-rest"),
        "SDCPP_REST_PYTHON": sys.executable,
    }


def _prepare(what_is_left_out: str, log: Log) -> Node | None:
    """Node with all packages; None where there is none and that may be so."""
    try:
        node = require_node(log)
        install_packages(node, log, for_tests=True)
    except PageError as error:
        reason, *more = str(error).splitlines()
        _tell_lack(f"web page: {what_is_left_out} ({reason})", log, more)
        return None
    return node


def _tell_lack(line: str, log: Log, more: Sequence[str] = ()) -> None:
    if not may_skip():
        raise PageError("\n".join([f"{line}; SDCPP_REST_NO_SKIPS forbids that", *more]))
    log(line)
