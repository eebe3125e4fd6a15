"""Fills the tables of docs/model-files.md and docs/troubleshooting.md: what stands between ``<!-- table: name -->`` and
``<!-- end -->``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from tools.model_tables.component_page import component_tables_text, files_text
from tools.model_tables.lora_page import lora_tables_text
from tools.model_tables.mistakes import MISTAKES, make_mistakes

_TABLE = re.compile(r"(<!-- table: (\w+) -->)\n.*?(<!-- end -->)", re.DOTALL)


def fill_tables(text: str) -> str:
    """The page ``text`` with its tables made anew. Raises KeyError for one that nobody makes."""
    return _TABLE.sub(lambda match: f"{match[1]}\n{_TABLES[match[2]]()}\n{match[3]}", text)


def mistakes_text() -> str:
    """A section for each mistake: the request, the answer, and what helps."""
    answers = make_mistakes()
    lines = []
    for mistake in MISTAKES:
        answer = answers[mistake.title]
        code = f", `{answer.code}`" if answer.code else ", and with the finished job"
        lines += [
            f"## {mistake.title}",
            "",
            f"`POST {mistake.url}` `{json.dumps(dict(mistake.request))}`",
            "",
            f"{answer.status}{code}:",
            "",
            *(f"> {sentence}" for sentence in answer.sentences),
            "",
            mistake.remedy,
            "",
        ]
    return "\n".join(lines).rstrip()


_TABLES: dict[str, Callable[[], str]] = {
    "loras": lora_tables_text,
    "components": component_tables_text,
    "files": files_text,
    "mistakes": mistakes_text,
}
