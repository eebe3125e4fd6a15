"""Draws what the script "Prompt matrix" does: of ``a cat|in a hat|at night`` one picture for every choice of the parts
behind the first, and a grid of them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sdcpp_rest.routes.a1111 import painting
from sdcpp_rest.routes.a1111.answering import ScriptAnswer
from sdcpp_rest.routes.a1111.scripts.arguments import Argument
from sdcpp_rest.routes.a1111.scripts.requests import check_count, first_picture, fix_seeds
from sdcpp_rest.routes.a1111.scripts.script import (
    TXT2IMG_AND_IMG2IMG,
    DrawnPicture,
    ScriptChoices,
    ScriptStage,
    ScriptTools,
    Shot,
)
from sdcpp_rest.routes.a1111.translate import PictureCall
from sdcpp_rest.routes.a1111.wire import A1111Request
from sdcpp_rest.services.pictures.labelled_grids import add_labels, make_grid, megapixels, prompt_labels
from sdcpp_rest.services.submission.picture_rounds import PictureKind

TITLE = "Prompt matrix"
_FIELDS = {"positive": "prompt", "negative": "negative_prompt"}
_BETWEEN = {"comma": ", ", "space": " "}


class PromptMatrix:
    """Draws every combination of the parts of a prompt."""

    title = TITLE
    kinds = TXT2IMG_AND_IMG2IMG

    def arguments(self, kind: PictureKind, choices: ScriptChoices) -> tuple[Argument, ...]:
        return (
            Argument("put_at_start", "Put variable parts at start of prompt", "switch", False),
            Argument("different_seeds", "Use different seed for each picture", "switch", False),
            Argument("prompt_type", "Select prompt", "word", "positive", choices=tuple(_FIELDS)),
            Argument("variations_delimiter", "Select joining char", "word", "comma", choices=tuple(_BETWEEN)),
            Argument("margin_size", "Grid margins (px)", "whole", 0, 0, 500, 2),
        )

    def prepare(self, body: A1111Request, given: Mapping[str, Any], tools: ScriptTools) -> MatrixRun:
        field = _FIELDS[given["prompt_type"]]
        first, *parts = getattr(body, field).split("|")
        check_count(TITLE, 1 << len(parts), tools, f"2^{len(parts)} combinations")
        body = fix_seeds(body)
        calls = []
        for number in range(1 << len(parts)):
            chosen = [part.strip().strip(",") for k, part in enumerate(parts) if number & 1 << k]
            words = [*chosen, first] if given["put_at_start"] else [first, *chosen]
            one = {
                field: _BETWEEN[given["variations_delimiter"]].join(words),
                "seed": body.seed + (number if given["different_seeds"] else 0),
                "subseed": body.subseed + number,
                "n_iter": 1,
                "batch_size": 1,
                **first_picture(body, number),
            }
            calls.append(tools.translate(body.model_copy(update=one)))
        return MatrixRun(parts, calls, given["margin_size"], tools.most_megapixels)


class MatrixRun:
    """One matrix, ready to be drawn: ``calls`` are its cells, row by row."""

    def __init__(self, parts: Sequence[str], calls: Sequence[PictureCall], margin: int, most_megapixels: float) -> None:
        self._parts = parts
        self._calls = calls
        self._margin = margin
        self._most_megapixels = most_megapixels

    @property
    def call(self) -> PictureCall:
        return self._calls[0]

    @property
    def count(self) -> int:
        return len(self._calls)

    def draw(self, stage: ScriptStage) -> ScriptAnswer:
        drawn = stage.draw_all([Shot(call) for call in self._calls])
        cells = [one.pictures[0] if one is not None and one.pictures else None for one in drawn]
        pictures = [one for one in cells if one is not None]
        answer = ScriptAnswer(
            pictures=[stage.encode(one) for one in pictures],
            infotexts=[one.text for one in pictures],
            facts=[one.facts for one in pictures],
        )
        # Larger than that, the pictures come without a grid.
        if pictures and megapixels(len(cells), self.call.picture_size) <= self._most_megapixels:
            answer.pictures.insert(0, self._make_grid(stage, cells, pictures[0].text))
            answer.infotexts.insert(0, pictures[0].text)
            answer.first_image = 1
        return answer

    def _make_grid(self, stage: ScriptStage, cells: Sequence[DrawnPicture | None], text: str) -> bytes:
        columns, rows = prompt_labels(self._parts)
        files = [one.png if one is not None else None for one in cells]
        with painting.at_work():
            grid, cell = make_grid(files, len(rows), self.call.picture_size)
            labelled = add_labels(grid, cell, columns, rows, self._margin)
        return stage.encode_image(labelled, text)
