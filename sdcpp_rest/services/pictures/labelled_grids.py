"""Puts pictures into rows and columns, with texts above and beside them, as plots and contact sheets have them.

Pure functions over picture files and Pillow images; sizes are (width, height) in pixels. Knows no job.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

Size = tuple[int, int]
Picture = Image.Image | bytes
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_PAPER, _INK, _FAINT, _NOTHING = "white", (0, 0, 0), (153, 153, 153), "black"
_SMALLEST_FONT = 9
# A text of many lines makes the whole grid larger.
_LONGEST_LABEL = 300


@dataclass(frozen=True)
class Label:
    """One text; one that is not active is grey and crossed out."""

    text: str
    is_active: bool = True


Labels = Sequence[Sequence[Label]]


def make_grid(pictures: Sequence[Picture | None], rows: int, blank: Size) -> tuple[Image.Image, Size]:
    """Pictures, row after row, and the size of a cell. Every cell is as large as the largest picture, ``None`` is black
    (of the size ``blank``, where there is no picture at all)."""
    columns = math.ceil(len(pictures) / rows)
    sizes = [_size_of(one) for one in pictures if one is not None] or [blank]
    width, height = max(size[0] for size in sizes), max(size[1] for size in sizes)
    whole = Image.new("RGB", (columns * width, rows * height), _PAPER)
    for k in range(rows * columns):
        left, top = k % columns * width, k // columns * height
        one = pictures[k] if k < len(pictures) else None
        if one is None:
            whole.paste(_NOTHING, (left, top, left + width, top + height))
            continue
        picture = one if isinstance(one, Image.Image) else Image.open(io.BytesIO(one)).convert("RGB")
        whole.paste(picture, (left + (width - picture.width) // 2, top + (height - picture.height) // 2))
    return whole, (width, height)


def add_labels(grid: Image.Image, cell: Size, columns: Labels, rows: Labels, margin: int = 0) -> Image.Image:
    """``grid`` with the texts of its ``columns`` above and of its ``rows`` to the left, and ``margin`` pixels between
    cells of the size ``cell``. Texts that are all empty take no room."""
    width, height = cell
    font = ImageFont.load_default(max(_SMALLEST_FONT, (width + height) // 25))
    above, beside = [_wrap(one, font, width) for one in columns], [_wrap(one, font, width * 3 // 4) for one in rows]
    gap = _line_height(font) // 2
    tallest = max((len(lines) for lines in above), default=0) if _has_text(columns) else 0
    top = tallest * _line_height(font) + 2 * gap if tallest else 0
    left = width * 3 // 4 if _has_text(rows) else 0
    size = left + grid.width + margin * (len(columns) - 1), top + grid.height + margin * (len(rows) - 1)
    whole = Image.new("RGB", size, _PAPER)
    for row in range(len(rows)):
        for column in range(len(columns)):
            box = (column * width, row * height, (column + 1) * width, (row + 1) * height)
            whole.paste(grid.crop(box), (left + column * (width + margin), top + row * (height + margin)))
    pen = ImageDraw.Draw(whole)
    for column, lines in enumerate(above):
        _write(pen, font, lines, left + column * (width + margin) + width / 2, top / 2)
    for row, lines in enumerate(beside):
        _write(pen, font, lines, left / 2, top + row * (height + margin) + height / 2)
    return whole


def megapixels(count: int, size: Size) -> float:
    """How large a grid of ``count`` pictures is."""
    return count * size[0] * size[1] / 1_000_000


def prompt_labels(parts: Sequence[str]) -> tuple[list[list[Label]], list[list[Label]]]:
    """The texts of a grid of all combinations of ``parts``: of its columns and its rows. The first half of the parts
    changes from column to column."""
    half = math.ceil(len(parts) / 2)
    return [*_combinations(parts[:half])], [*_combinations(parts[half:])]


def _combinations(parts: Sequence[str]) -> Iterator[list[Label]]:
    for bits in range(1 << len(parts)):
        yield [Label(part, bool(bits & 1 << k)) for k, part in enumerate(parts)]


def _size_of(picture: Picture) -> Size:
    if isinstance(picture, Image.Image):
        return picture.size
    with Image.open(io.BytesIO(picture)) as opened:
        size: Size = opened.size
        return size


def _has_text(labels: Labels) -> bool:
    return any(label.text.strip() for one in labels for label in one)


def _line_height(font: Font) -> int:
    box = font.getbbox("Ag")
    return math.ceil((box[3] - box[1]) * 1.3)


def _wrap(labels: Sequence[Label], font: Font, width: int) -> list[Label]:
    """Labels as lines of at most ``width`` pixels; a word that is longer has a line of its own."""
    lines: list[Label] = []
    for label in labels:
        text = label.text if len(label.text) <= _LONGEST_LABEL else label.text[:_LONGEST_LABEL] + "..."
        line = ""
        for word in text.split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > width:
                lines.append(Label(line, label.is_active))
                line = word
            else:
                line = longer
        lines.append(Label(line, label.is_active))
    return lines


def _write(pen: ImageDraw.ImageDraw, font: Font, lines: Sequence[Label], x: float, y: float) -> None:
    """Lines around the middle (``x``, ``y``)."""
    step = _line_height(font)
    y -= step * (len(lines) - 1) / 2
    for label in lines:
        pen.text((x, y), label.text, font=font, fill=_INK if label.is_active else _FAINT, anchor="mm")
        if not label.is_active:
            half = font.getlength(label.text) / 2
            pen.line((x - half, y, x + half, y), fill=_FAINT, width=max(1, step // 8))
        y += step
