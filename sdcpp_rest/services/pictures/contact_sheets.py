"""Draws a contact sheet: small pictures in rows and columns, with texts above and beside them.

Pure but for reading the picture files. Must not know what the pictures are of.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

import sdcpp_rest.services.pictures.pillow_setup  # noqa: F401
from sdcpp_rest.services.pictures.labelled_grids import Label, add_labels, make_grid

MARGIN = 4


def draw_sheet(pictures: Sequence[Path | None], columns: Sequence[str], rows: Sequence[str], side: int) -> bytes:
    """A PNG file of ``pictures``, row after row, none larger than ``side`` pixels. ``None``, and a file that is no
    picture, is black."""
    small = [None if path is None else _shrink(path, side) for path in pictures]
    grid, cell = make_grid(small, len(rows), (side, side))
    labels = [[[Label(text)] for text in texts] for texts in (columns, rows)]
    buffer = io.BytesIO()
    add_labels(grid, cell, labels[0], labels[1], MARGIN).save(buffer, "PNG")
    return buffer.getvalue()


def _shrink(path: Path, side: int) -> Image.Image | None:
    try:
        with Image.open(path) as opened:
            opened.draft("RGB", (side, side))
            picture: Image.Image = opened.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture
