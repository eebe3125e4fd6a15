"""Joins what the library was seen to do with each form of LoRA and what our checks say of it, and writes the table of
docs/model-files.md from both.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import NamedTuple, cast

from tools.model_tables.lora_models import FORMS, WEIGHT_TYPES, WeightType
from tools.model_tables.lora_verdicts import MODES, verdicts

OUTCOMES = Path(__file__).with_name("lora_outcomes.json")
"""model -> weight type -> the library's mode -> form -> what the library does; `lora_trial` writes it."""

_REASONS = (
    ("not loaded", "the mode is refused"),
    ("would have no effect", "no effect"),
    ("is not a LoRA", "no effect"),
    ("quantized", "not on quantized weights"),
    ("can only be merged", "only merged"),
    ("would be applied wrongly", "only beside the weights"),
    ("does not fit", "wrong sizes"),
)
_HEADINGS = {"flux_schnell": "A transformer (Flux)", "sdxs": "A UNet (SD 1.x)"}
_SHOWN = 70


class Cell(NamedTuple):
    """One form on one kind of weights in one of our modes. ``library_mode`` is the mode in which the library is asked
    to apply it, empty where a request is refused; ``library`` what it does in that mode, or would do."""

    model: str
    weight_type: WeightType
    mode: str
    form: str
    server: str
    library_mode: str
    library: str

    @property
    def reason(self) -> str:
        """Why it is refused, in a word or two; empty where it is not."""
        return next((word for sign, word in _REASONS if sign in self.server), "") if not self.library_mode else ""

    @property
    def words(self) -> str:
        """What stands in the table."""
        return f"refused: {self.reason}" if self.reason else self.server


def read_outcomes() -> dict[str, dict[str, dict[str, dict[str, str]]]]:
    """What the library was seen to do."""
    found = json.loads(OUTCOMES.read_text(encoding="utf-8"))
    return cast("dict[str, dict[str, dict[str, dict[str, str]]]]", found)


def lora_table() -> list[Cell]:
    """Every cell; headers are written to a temporary folder."""
    seen, cells = read_outcomes(), []
    with tempfile.TemporaryDirectory() as folder:
        for model in FORMS:
            for weight_type in WEIGHT_TYPES[model]:
                for mode in MODES:
                    for form, server in verdicts(Path(folder), model, weight_type, mode).items():
                        is_refused = server.startswith(("refused", "not loaded"))
                        asked = "immediately" if server.startswith("merged") or mode == "immediately" else "at_runtime"
                        library = seen[model][weight_type].get(asked, {}).get(form, "ends the process")
                        cells.append(Cell(model, weight_type, mode, form, server, "" if is_refused else asked, library))
    return cells


def lora_tables_text() -> str:
    """One table for each model: a row for each form, a column for each kind of weights and mode."""
    cells = {(cell.model, cell.form, cell.weight_type, cell.mode): cell.words for cell in lora_table()}
    lines = []
    for model, forms in FORMS.items():
        quantized = WEIGHT_TYPES[model][1:]
        for weight_type in quantized[1:]:
            for form in forms:
                for mode in MODES:
                    first, other = ((model, form.title, kind, mode) for kind in (quantized[0], weight_type))
                    assert cells[first] == cells[other], f"{form.title}: {quantized[0]} and {weight_type} differ"
        columns = (("f16", "auto"), ("f16", "immediately"), ("f16", "at_runtime"), (quantized[0], "auto"))
        lines += [
            f"### {_HEADINGS[model]}",
            "",
            f"| form | first key | f16, `auto` | f16, `immediately` | f16, `at_runtime` | {', '.join(quantized)} |",
            "|---|---|---|---|---|---|",
        ]
        for form in forms:
            key = form.example if len(form.example) <= _SHOWN else form.example[: _SHOWN - 3] + "..."
            found = [cells[model, form.title, weight_type, mode] for weight_type, mode in columns]
            lines.append(f"| {form.title} | `{key}` | {' | '.join(found)} |")
        lines.append("")
    return "\n".join(lines).rstrip()
