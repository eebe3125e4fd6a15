"""Draws what the script "X/Y/Z plot" does: one picture for every combination of values along up to three axes, in a
grid for each value of the third, and a grid of those.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from PIL import Image

from sdcpp_rest.routes.a1111 import painting
from sdcpp_rest.routes.a1111.answering import ScriptAnswer
from sdcpp_rest.routes.a1111.scripts import axis_values
from sdcpp_rest.routes.a1111.scripts.arguments import Argument, join_values, refusal, split_values
from sdcpp_rest.routes.a1111.scripts.axes import NOTHING, SEEDS, Axis, axes_of
from sdcpp_rest.routes.a1111.scripts.requests import MOST_SEEDS, check_count, first_picture, fix_seeds
from sdcpp_rest.routes.a1111.scripts.script import (
    TXT2IMG_AND_IMG2IMG,
    DrawnPicture,
    ScriptChoices,
    ScriptStage,
    ScriptTools,
    Shot,
)
from sdcpp_rest.routes.a1111.translate import PictureCall
from sdcpp_rest.routes.a1111.wire import A1111Img2Img, A1111Request
from sdcpp_rest.services.jobs.chance import draw_below
from sdcpp_rest.services.pictures import picture_formats
from sdcpp_rest.services.pictures.labelled_grids import Label, add_labels, make_grid, megapixels
from sdcpp_rest.services.submission.picture_rounds import PictureKind

TITLE = "X/Y/Z plot"
_KINDS: dict[str, type[int] | type[float]] = {"whole": int, "real": float}
_SHOWN = 60

Cell = tuple[int, int, int]


@dataclass(frozen=True)
class PlotAxis:
    """An axis with its values. ``place`` is where its type stands among the arguments, ``name`` its letter, ``text``
    the values as they were sent, ``is_fixed`` whether seeds that were left to chance are drawn once for all.
    """

    place: int
    name: str
    axis: Axis
    values: Sequence[Any]
    text: str
    is_fixed: bool

    @property
    def labels(self) -> list[list[Label]]:
        return [[Label(self.axis.tell(value))] for value in self.values]

    def facts(self) -> dict[str, Any]:
        """What a grid's text says of it."""
        if self.axis.label == NOTHING:
            return {}
        told = {f"{self.name} Type": self.axis.label, f"{self.name} Values": self.text}
        if self.is_fixed and self.axis.label in SEEDS:
            told[f"Fixed {self.name} Values"] = ", ".join(str(value) for value in self.values)
        return told

    def change(self, body: A1111Request, number: int) -> A1111Request:
        """``body`` with the axis' value ``number``. Raises Unreadable."""
        if self.axis.apply is None:
            return body
        try:
            return body.model_copy(update=self.axis.apply(body, self.values[number], self.values))
        except ValueError as error:
            raise refusal(self.place, f"{TITLE}: {self.name} type {self.axis.label}: {error}") from None


class XyzPlot:
    """Draws plots along up to three axes."""

    title = TITLE
    kinds = TXT2IMG_AND_IMG2IMG

    def arguments(self, kind: PictureKind, choices: ScriptChoices) -> tuple[Argument, ...]:
        labels = tuple(axis.label for axis in axes_of(kind))
        axes: list[Argument] = []
        for letter, value in (("x", 1), ("y", 0), ("z", 0)):
            axes += [
                Argument(f"{letter}_type", f"{letter.upper()} type", "index", value, choices=labels),
                Argument(f"{letter}_values", f"{letter.upper()} values", "text", ""),
                Argument(f"{letter}_values_dropdown", f"{letter.upper()} values", "texts", []),
            ]
        return (
            *axes,
            Argument("draw_legend", "Draw legend", "switch", True),
            Argument("include_lone_images", "Include Sub Images", "switch", False),
            Argument("include_sub_grids", "Include Sub Grids", "switch", False),
            Argument("no_fixed_seeds", "Keep -1 for seeds", "switch", False),
            Argument("vary_seeds_x", "Vary seeds for X", "switch", False),
            Argument("vary_seeds_y", "Vary seeds for Y", "switch", False),
            Argument("vary_seeds_z", "Vary seeds for Z", "switch", False),
            Argument("margin_size", "Grid margins (px)", "whole", 0, 0, 500, 2),
            Argument("csv_mode", "Use text inputs instead of dropdowns", "switch", False),
        )

    def prepare(self, body: A1111Request, given: Mapping[str, Any], tools: ScriptTools) -> PlotRun:
        axes = [_read_axis(body, given, letter, place, tools) for place, letter in ((0, "x"), (3, "y"), (6, "z"))]
        if not given["no_fixed_seeds"]:
            body = fix_seeds(body)
        if not body.save_images:
            # Of a cell only the first picture is seen: the others would be drawn for nobody.
            body = body.model_copy(update={"n_iter": 1, "batch_size": 1, **first_picture(body)})
        cells = math.prod(len(one.values) for one in axes)
        shape = " x ".join(str(len(one.values)) for one in axes)
        count = cells * body.n_iter * body.batch_size
        check_count(TITLE, count, tools, f"{shape} cells")
        calls: dict[Cell, PictureCall] = {}
        width = height = 0
        for cell in _order(axes):
            calls[cell] = call = tools.translate(_cell_body(body, given, axes, cell))
            # Asked for each: what the others start from would be in memory as well.
            width, height = max(width, call.picture_size[0]), max(height, call.picture_size[1])
            _check_size(megapixels(count, (width, height)), tools)
        return PlotRun(axes, given, calls)


class PlotRun:
    """One plot, ready to be drawn. ``calls`` are its cells, in the order in which they are drawn."""

    def __init__(self, axes: Sequence[PlotAxis], given: Mapping[str, Any], calls: Mapping[Cell, PictureCall]) -> None:
        self._axes = axes
        self._given = given
        self._calls = calls
        self._shots = [(cell, Shot(call, index)) for cell, call in calls.items() for index in range(call.count)]

    @property
    def call(self) -> PictureCall:
        return self._calls[0, 0, 0]

    @property
    def count(self) -> int:
        return len(self._shots)

    def draw(self, stage: ScriptStage) -> ScriptAnswer:
        columns, rows, layers = (len(one.values) for one in self._axes)
        drawn = self._draw_cells(stage)
        cells = [drawn.get((x, y, z)) for z in range(layers) for y in range(rows) for x in range(columns)]
        pictures = [one for one in cells if one is not None]
        if not pictures:
            return ScriptAnswer()
        script = {"Script": TITLE, **self._axes[0].facts(), **self._axes[1].facts()}
        whole = {**script, **self._axes[2].facts()}
        facts = [one.facts for one in pictures]
        files, texts = self._make_grids(cells), [stage.tell_text(pictures[0], whole)]
        if self._given["include_sub_grids"]:
            size = columns * rows
            firsts = [next(filter(None, cells[z * size : (z + 1) * size]), pictures[0]) for z in range(layers)]
            texts += [stage.tell_text(one, script) for one in firsts]
            # As many more as there are grids: clients count from the first picture on.
            facts = [*(one.facts for one in firsts), *facts]
        answer = ScriptAnswer(facts=facts, first_image=1, extra=whole)
        answer.pictures = [stage.encode_image(files[k], text) for k, text in enumerate(texts)]
        if self._given["include_lone_images"]:
            answer.pictures += [stage.encode(one) for one in pictures]
        answer.infotexts = [*texts, *(one.text for one in pictures)]
        return answer

    def _draw_cells(self, stage: ScriptStage) -> dict[Cell, DrawnPicture]:
        """What came of each cell: its picture, or the grid of them."""
        found: dict[Cell, list[DrawnPicture]] = {}
        results = stage.draw_all([shot for _, shot in self._shots])
        for (cell, _), one in zip(self._shots, results, strict=True):
            found.setdefault(cell, []).extend(one.pictures if one is not None else [])
        return {cell: _join(pictures, self.call.picture_size) for cell, pictures in found.items() if pictures}

    def _make_grids(self, cells: Sequence[DrawnPicture | None]) -> list[Image.Image]:
        """The grid of all, and then the grid of each value of Z."""
        across, down, deep = self._axes
        has_legend, margin = self._given["draw_legend"], self._given["margin_size"]
        size = len(across.values) * len(down.values)
        layers: list[Image.Image] = []
        with painting.at_work():
            for z in range(len(deep.values)):
                files = [one.png if one is not None else None for one in cells[z * size : (z + 1) * size]]
                grid, cell = make_grid(files, len(down.values), self.call.picture_size)
                layers.append(add_labels(grid, cell, across.labels, down.labels, margin) if has_legend else grid)
            if deep.axis.label == NOTHING:
                return [*layers, *layers]
            whole, cell = make_grid(layers, 1, self.call.picture_size)
            return [add_labels(whole, cell, deep.labels, [[Label("")]]) if has_legend else whole, *layers]


def _join(pictures: Sequence[DrawnPicture], blank: tuple[int, int]) -> DrawnPicture:
    """A cell's pictures as one."""
    if len(pictures) == 1:
        return pictures[0]
    with painting.at_work():
        grid, _ = make_grid([one.png for one in pictures], max(1, round(math.sqrt(len(pictures)))), blank)
        return replace(pictures[0], png=picture_formats.encode(grid, "png", 80, {}))


def _read_axis(body: A1111Request, given: Mapping[str, Any], letter: str, place: int, tools: ScriptTools) -> PlotAxis:
    """Raises Unreadable."""
    kind: PictureKind = "img2img" if isinstance(body, A1111Img2Img) else "txt2img"
    axis = axes_of(kind)[given[f"{letter}_type"]]
    name, is_fixed = letter.upper(), not given["no_fixed_seeds"]
    if axis.kind == "nothing":
        return PlotAxis(place, name, axis, [0], "", is_fixed)
    if axis.apply is None:
        possible = ", ".join(one.label for one in axes_of(kind) if one.apply is not None)
        raise refusal(
            place,
            f"{TITLE}: {letter}_type is {axis.label}, which means nothing to the library; it can be one of {possible}",
        )
    text, chosen = given[f"{letter}_values"], given[f"{letter}_values_dropdown"]
    # Values are chosen from a list where the axis has one; clients that know of no list send their text.
    is_chosen = axis.choices is not None and not given["csv_mode"] and bool(chosen)
    try:
        words = chosen if is_chosen else split_values(text)
        values = _read_values(axis, words, tools)
    except ValueError as error:
        raise refusal(place + (2 if is_chosen else 1), f"{TITLE}: {letter}_values of {axis.label}: {error}") from None
    if is_fixed and axis.label in SEEDS:
        values = [draw_below(MOST_SEEDS) if value < 0 else value for value in values]
    return PlotAxis(place, name, axis, values, join_values(chosen) if is_chosen else text, is_fixed)


def _check_size(size: float, tools: ScriptTools) -> None:
    """Raises Unreadable for a grid of more megapixels than are put together."""
    if size > tools.most_megapixels:
        raise refusal(
            None,
            f"{TITLE} would be a grid of {size:.3g} megapixels; at most {tools.most_megapixels:g} are put together "
            "(option img_max_size_mp)",
        )


def _read_values(axis: Axis, words: Sequence[str], tools: ScriptTools) -> Sequence[Any]:
    """Raises ValueError saying what is wrong."""
    values: Sequence[Any]
    if axis.kind in _KINDS:
        values = axis_values.read_numbers(words, _KINDS[axis.kind], tools.most_pictures)
    elif axis.kind == "order":
        values = axis_values.read_orders(words, tools.most_pictures)
    else:
        values = words
    if not values:
        raise ValueError("at least one value is needed")
    if len(values) > tools.most_pictures:
        raise ValueError(f"there are {len(values)} values; there may be {tools.most_pictures} (a1111.pictures)")
    return values if axis.find is None else [_find(axis, str(value), tools.choices) for value in values]


def _find(axis: Axis, value: str, choices: ScriptChoices) -> str:
    found = axis.find(choices, value) if axis.find is not None else value
    if found is None:
        there = ", ".join(axis.choices(choices)[:_SHOWN]) if axis.choices is not None else ""
        raise ValueError(f"{value[:100]!r} is not there; there is {there or 'none'}")
    return found


def _order(axes: Sequence[PlotAxis]) -> Iterator[Cell]:
    """The cells in the order in which they are drawn: what is dear to change, changes least often; else Z, then Y."""
    outward = sorted((2, 1, 0), key=lambda number: -axes[number].axis.cost)
    for numbers in product(*(range(len(axes[number].values)) for number in outward)):
        place = dict(zip(outward, numbers, strict=True))
        yield place[0], place[1], place[2]


def _cell_body(body: A1111Request, given: Mapping[str, Any], axes: Sequence[PlotAxis], cell: Cell) -> A1111Request:
    """The request that draws one cell. Raises Unreadable."""
    for axis, number in zip(axes, cell, strict=True):
        body = axis.change(body, number)
    if body.seed >= 0:
        across = len(axes[0].values) if given["vary_seeds_x"] else 1
        down = len(axes[1].values) if given["vary_seeds_y"] else 1
        steps = zip(("x", "y", "z"), cell, (1, across, across * down), strict=True)
        more = sum(number * step for letter, number, step in steps if given[f"vary_seeds_{letter}"])
        body = body.model_copy(update={"seed": body.seed + more})
    return body
