"""Writes the tables of docs/model-files.md that say which file a family takes as which component, and what becomes of
the others.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from sdcpp_rest.core.load_spec import Component
from tools.model_tables.component_verdicts import COMPONENT_FILES, LOADABLE, ROLES, Bench, list_accepted

_MAIN_ROLES: tuple[Component, ...] = ("vae", "taesd", "clip_l", "clip_g", "t5xxl", "llm")


def component_tables_text() -> str:
    """Two tables with a row for each family. Headers are written to a temporary folder."""
    other = tuple(role for role in ROLES if role not in _MAIN_ROLES)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        takes = {bench.title(name): list_accepted(bench, name) for name in LOADABLE}
    lines = []
    for roles in (_MAIN_ROLES, other):
        lines += [f"| family | {' | '.join(f'`{role}`' for role in roles)} |", f"|---{'|---' * len(roles)}|"]
        for title, files in takes.items():
            if any(files[role] for role in roles):
                lines.append(f"| {title} | {' | '.join(_cell(files[role]) for role in roles)} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def _cell(files: Sequence[str]) -> str:
    return ", ".join(files)


def files_text() -> str:
    """The files that every family was tried with."""
    return ", ".join(COMPONENT_FILES)
