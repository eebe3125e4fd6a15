"""The model's whole world: one coloured shape on a coloured background, as a prompt and as a picture.

Knows the grammar (it writes prompts and reads them back) and the renderer. Knows no network; needs no PyTorch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.floating[Any]]
"""A picture [3, height, width] in 0..1, or one channel of it [height, width]."""

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.88, 0.10, 0.12),
    "orange": (1.00, 0.55, 0.05),
    "yellow": (0.98, 0.90, 0.10),
    "green": (0.10, 0.65, 0.20),
    "cyan": (0.15, 0.85, 0.90),
    "blue": (0.10, 0.25, 0.88),
    "purple": (0.52, 0.14, 0.70),
    "pink": (1.00, 0.55, 0.75),
    "white": (0.97, 0.97, 0.97),
    "black": (0.04, 0.04, 0.05),
    "gray": (0.50, 0.50, 0.52),
}
SIZES = {"small": ("small", "tiny", "little"), "large": ("large", "big", "huge")}
POSITIONS = {
    "left": ("on the left", "at the left"),
    "right": ("on the right", "at the right"),
    "top": ("at the top", "on top"),
    "bottom": ("at the bottom", "on the bottom"),
    "center": ("in the center", "in the middle"),
}
UNKNOWN_WORD = "UNK"
"""Stands for any word the model never learned; the text encoder sees nothing there."""

_OPENINGS = ("photo of", "picture of", "image of", "a picture of", "drawing of", "UNK", "UNK UNK", "UNK UNK UNK")
_ENDINGS = (".", "!", ", UNK UNK", " UNK")


@dataclass(frozen=True)
class Scene:
    """What a prompt says, or a picture shows. None: not said; a picture's size and place of None are the usual ones."""

    colour: str | None = None
    background: str | None = None
    shape: str | None = None
    size: str | None = None
    position: str | None = None


@dataclass(frozen=True)
class Lesson:
    """A picture's content, and a prompt that says ``said`` about it: all of it, some of it, or nothing."""

    shown: Scene
    said: Scene
    prompt: str


# --- prompts ----------------------------------------------------------------------------------------------------------


def random_lesson(rng: Random) -> Lesson:
    """65 % of the prompts say everything, 25 % leave things out, 10 % are empty (what cfg_scale pulls away from)."""
    colour, background = rng.sample(list(COLOURS), 2)
    size = rng.choice([None, None, *SIZES])
    position = rng.choice([None, None, *POSITIONS])
    everything = Scene(colour, background, rng.choice(list(SHAPES)), size, position)
    kind = rng.random()
    if kind < 0.65:
        said = everything
    elif kind < 0.90:
        said = Scene(**{name: value for name, value in vars(everything).items() if rng.random() < 0.6})
    else:
        said = Scene()
    # A size or place that nobody mentions must not be drawn: the model could only guess it.
    shown = replace(everything, size=said.size, position=said.position)
    return Lesson(shown, said, write_prompt(rng, said))


def write_prompt(rng: Random, said: Scene) -> str:
    """One of the many ways to say it; ``""`` for the empty scene. ``read_prompt`` is the way back."""
    thing = _thing(rng, said)
    place = rng.choice(POSITIONS[said.position]) if said.position else ""
    if thing and place:
        thing = f"{thing} {place}" if rng.random() < 0.8 else f"{place} {thing}"
    text = _with_background(rng, thing or place, _colour_word(rng, said.background))
    if not text:
        return ""
    if rng.random() < 0.15:
        text = f"{rng.choice(_OPENINGS)} {text}"
    if rng.random() < 0.10:
        text += rng.choice(_ENDINGS)
    if rng.random() < 0.25:
        text = text[0].upper() + text[1:]
    return text


def read_prompt(prompt: str) -> Scene:
    """What a prompt of this grammar says; words it does not know say nothing."""
    words = re.findall(r"[a-z]+", prompt.lower().replace("grey", "gray"))
    text = " ".join(words)
    colour = background = None
    for word, following in pairwise([*words, ""]):
        if word in COLOURS and following in (*SHAPES, "shape", "object"):
            colour = word
        elif word in COLOURS:  # "blue background", and "a ring on blue"
            background = word
    return Scene(
        colour=colour,
        background=background,
        shape=next((shape for shape in SHAPES if shape in words), None),
        size=next((size for size, names in SIZES.items() if set(names) & set(words)), None),
        position=next((place for place, phrases in POSITIONS.items() if any(one in text for one in phrases)), None),
    )


def _thing(rng: Random, said: Scene) -> str:
    if not (said.shape or said.colour or said.size):
        return ""
    words = [rng.choice(SIZES[said.size])] if said.size else []
    words += [_colour_word(rng, said.colour)] if said.colour else []
    words += [said.shape or rng.choice(["shape", "object"])]
    return _maybe_article(rng, " ".join(words))


def _with_background(rng: Random, thing: str, background: str) -> str:
    if not background:
        return thing
    style = rng.random()
    if not thing:
        return _maybe_article(rng, f"{background} background")
    if style < 0.55:
        preposition = rng.choice(["on", "on", "on", "against", "over"])
        return f"{thing} {preposition} {_maybe_article(rng, background)} background"
    if style < 0.70:
        return f"{thing}, {background} background"
    if style < 0.88:
        return f"{_maybe_article(rng, background)} background with {thing}"
    return f"{thing} on {background}"


def _colour_word(rng: Random, colour: str | None) -> str:
    return rng.choice(["gray", "grey"]) if colour == "gray" else colour or ""


def _maybe_article(rng: Random, words: str) -> str:
    return rng.choice(["", "an " if words[0] in "aeiou" else "a "]) + words


# --- pictures ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Placement:
    """Centre and radius of a shape, in pixels."""

    x: float
    y: float
    radius: float


def random_placement(rng: Random, scene: Scene, width: int, height: int) -> Placement:
    """Where the scene's shape goes, with a little play."""
    side = min(width, height)
    low, high = {None: (0.24, 0.30), "small": (0.13, 0.16), "large": (0.37, 0.42)}[scene.size]
    shift = {None: 0.21, "small": 0.32, "large": 0.12}[scene.size]
    directions = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1)}
    right, down = directions.get(scene.position or "", (0, 0))
    return Placement(
        x=(0.5 + shift * right) * width + rng.uniform(-0.03, 0.03) * side,
        y=(0.5 + shift * down) * height + rng.uniform(-0.03, 0.03) * side,
        radius=rng.uniform(low, high) * side,
    )


def render(rng: Random, scene: Scene, width: int, height: int, jitter: float = 0.015) -> Pixels:
    """The picture [3, height, width] of a scene with a shape and both colours; colours vary by ``jitter``."""
    if scene.shape is None or scene.colour is None or scene.background is None:
        raise ValueError(f"a picture needs a shape and two colours, got {scene}")
    inside = coverage(scene.shape, random_placement(rng, scene, width, height), width, height)
    colour, background = (
        np.clip([value + rng.uniform(-jitter, jitter) for value in COLOURS[name]], 0, 1)
        for name in (scene.colour, scene.background)
    )
    return blend(inside, colour, background)


def blend(inside: Pixels, colour: Sequence[float] | Pixels, below: Pixels) -> Pixels:
    """``colour`` [3] where ``inside`` [height, width] is 1, else ``below``: a colour [3] or a picture."""
    below = np.asarray(below)
    below = below[:, None, None] if below.ndim == 1 else below
    over = np.asarray(colour)[:, None, None]
    return (inside * over + (1 - inside) * below).astype(np.float32)


def coverage(shape: str, placement: Placement, width: int, height: int) -> Pixels:
    """How much of every pixel the shape covers, [height, width] in 0..1: anti-aliased by its distance."""
    x = (np.arange(width, dtype=np.float32) + 0.5 - placement.x) / placement.radius
    y = (np.arange(height, dtype=np.float32) + 0.5 - placement.y) / placement.radius
    distance = SHAPES[shape](*np.meshgrid(x, y))
    return np.clip(0.5 - distance * placement.radius, 0, 1).astype(np.float32)


# Distance functions: (x, y) in radii, y downwards -> distance to the outline in radii, negative inside.


def _circle(x: Pixels, y: Pixels) -> Pixels:
    return np.hypot(x, y) - 1


def _square(x: Pixels, y: Pixels) -> Pixels:
    return np.maximum(np.abs(x), np.abs(y)) - 0.86


def _triangle(x: Pixels, y: Pixels) -> Pixels:
    y = y - 0.12
    return np.maximum(y - 0.52, 0.866 * np.abs(x) - 0.5 * y - 0.52)


def _star(x: Pixels, y: Pixels) -> Pixels:
    spike = 2 * math.pi / 5
    angle = np.mod(np.arctan2(x, -y), spike)
    angle = np.minimum(angle, spike - angle)  # fold the five spikes into half of one
    along, across = np.hypot(x, y) * np.cos(angle), np.hypot(x, y) * np.sin(angle)
    tip, notch_x, notch_y = 1.1, 0.44 * math.cos(math.pi / 5), 0.44 * math.sin(math.pi / 5)
    return ((along - tip) * notch_y + across * (tip - notch_x)) / math.hypot(notch_y, tip - notch_x)


def _heart(x: Pixels, y: Pixels) -> Pixels:
    x, y = np.abs(x) * 0.62, 0.62 - y * 0.62
    lobe = np.hypot(x - 0.25, y - 0.75) - math.sqrt(2) / 4
    middle = 0.5 * np.maximum(x + y, 0)
    point = np.sqrt(np.minimum(x**2 + (y - 1) ** 2, (x - middle) ** 2 + (y - middle) ** 2)) * np.sign(x - y)
    return np.where(x + y > 1, lobe, point) / 0.62


def _ring(x: Pixels, y: Pixels) -> Pixels:
    return np.abs(np.hypot(x, y) - 0.74) - 0.24


def _cross(x: Pixels, y: Pixels) -> Pixels:
    x, y = np.abs(x), np.abs(y)
    return np.minimum(np.maximum(x - 0.32, y - 0.98), np.maximum(x - 0.98, y - 0.32))


def _diamond(x: Pixels, y: Pixels) -> Pixels:
    return (np.abs(x) / 0.72 + np.abs(y) / 1.08 - 1) * 0.6


SHAPES: dict[str, Callable[[Pixels, Pixels], Pixels]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
    "ring": _ring,
    "cross": _cross,
    "diamond": _diamond,
}
