"""Finds every ``code`` that the server answers with or notes on a job, and fills in docs/errors.md which HTTP status
each has: the line below a heading that is a code, and the table between ``<!-- statuses -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path

from sdcpp_rest.errors import SdcppRestError

PACKAGE = Path(__file__).parents[1] / "sdcpp_rest"
_HEADING = re.compile(r"^### `(\w+)`\n\n[^\n]*\n", re.MULTILINE)
_TABLE = re.compile(r"(<!-- statuses -->)\n.*?(<!-- end -->)", re.DOTALL)
_PRETENDED = "fake_runner.py"
_OTHER_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}


def error_codes() -> dict[str, set[int]]:
    """Each code's HTTP statuses; none for one that only a job has, which is told with the job and with 200."""
    found: dict[str, set[int]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name == _PRETENDED:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name in _classes_with_codes(tree):
            kind = getattr(importlib.import_module(_module_of(path)), name)
            if issubclass(kind, SdcppRestError):
                found.setdefault(kind.code, set()).add(kind.status)
        for code in _codes_of_jobs(tree):
            found.setdefault(code, set())
    return found


def codes_told(page: str) -> list[str]:
    """The codes that have a section of ``page``, in its order."""
    return [match[1] for match in _HEADING.finditer(page)]


def fill_statuses(page: str) -> str:
    """The page with the statuses of today. A heading of a code that is gone says so."""
    codes = error_codes()
    page = _HEADING.sub(lambda match: f"### `{match[1]}`\n\n{_status_line(match[1], codes)}\n", page)
    return _TABLE.sub(lambda match: f"{match[1]}\n{_table(codes)}\n{match[2]}", page)


def _status_line(code: str, codes: dict[str, set[int]]) -> str:
    if code not in codes:
        return "*no such code any more*"
    return f"*{', '.join(map(_status_name, sorted(codes[code]))) or 'of a job'}*"


def _table(codes: dict[str, set[int]]) -> str:
    rows = ["| status | codes |", "|---|---|"]
    for status in sorted(set().union(*codes.values())):
        rows.append(f"| {_status_name(status)} | {_links(code for code in codes if status in codes[code])} |")
    return "\n".join([*rows, f"| none: of jobs alone | {_links(code for code in codes if not codes[code])} |"])


def _status_name(status: int) -> str:
    # Python's own phrases differ between its versions.
    return f"{status} {_OTHER_PHRASES.get(status) or HTTPStatus(status).phrase}"


def _links(codes: Iterable[str]) -> str:
    return ", ".join(f"[`{code}`](#{code})" for code in sorted(codes))


def _classes_with_codes(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
                if any(isinstance(one, ast.Name) and one.id == "code" for one in targets):
                    yield node.name


def _codes_of_jobs(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for given in node.keywords:
                if given.arg in ("code", "error_code") and isinstance(given.value, ast.Constant):
                    yield str(given.value.value)


def _module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
