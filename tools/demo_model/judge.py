"""Says what a picture shows: nearest palette colours, and the shape whose outline fits best.

Judges pictures of the demo model without believing its prompt. Knows no network; needs no PyTorch.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from tools.demo_model.scenes import COLOURS, SHAPES, Placement, Scene, coverage

_NAMES = list(COLOURS)
_PALETTE = np.array([COLOURS[name] for name in _NAMES]) * 255


def judge(picture: NDArray[np.uint8]) -> Scene:
    """The colour, background and shape that [height, width, 3] shows; None for what cannot be told.

    Size and position are not judged. The shape is the best fitting of the eight, however badly it fits.
    """
    pixels = picture.astype(np.float64)
    nearest = ((pixels[:, :, None] - _PALETTE) ** 2).sum(-1).argmin(-1)
    background = _background(nearest)
    ground = np.median(pixels[nearest == background], axis=0)
    stands_out = np.sqrt(((pixels - ground) ** 2).sum(-1)) > 60
    votes = nearest[stands_out & (nearest != background)]
    if stands_out.sum() < 12 or not votes.size:
        return Scene(background=_NAMES[background])
    colour = np.bincount(votes).argmax()
    mask = ((pixels - _PALETTE[colour]) ** 2).sum(-1) < ((pixels - ground) ** 2).sum(-1)
    return Scene(_NAMES[colour], _NAMES[background], _shape(mask))


def _background(nearest: NDArray[np.intp]) -> int:
    """The commonest colour along the picture's border."""
    border = max(2, nearest.shape[0] // 16)
    edges = nearest[:border], nearest[-border:], nearest[:, :border], nearest[:, -border:]
    return int(np.bincount(np.concatenate([edge.ravel() for edge in edges])).argmax())


def _shape(mask: NDArray[np.bool_]) -> str | None:
    rows, columns = np.nonzero(mask)
    if len(rows) < 8:
        return None
    height, width = mask.shape
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    x, y, extent = (left + right) / 2, (top + bottom) / 2, max(bottom - top, right - left) / 2
    best, found = 0.0, None
    # A template's radius is not its extent, and its centre not that of its box: try some of each.
    for shape, stretch, shift in itertools.product(SHAPES, (0.85, 0.93, 1.0, 1.08, 1.16), (-0.12, 0.0, 0.12)):
        radius = extent * stretch
        template = coverage(shape, Placement(x, y + shift * radius, radius), width, height)
        overlap = float(np.minimum(template, mask).sum() / np.maximum(template, mask).sum())
        if overlap > best:
            best, found = overlap, shape
    return found
