"""Says what a tag is, and writes tags down as their readers want them.

Stands apart from the tagging, which needs numpy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Category = Literal["general", "character", "rating"]

# Tags that are drawings: their underscores are part of them.
_FACES = frozenset(
    {
        "0_0", "(o)_(o)", "+_+", "+_-", "._.", "<o>_<o>", "<|>_<|>", "=_=", ">_<", "3_3", "6_9", ">_o", "@_@", "^_^",
        "o_o", "u_u", "x_x", "|_|", "||_||",
    }
)  # fmt: skip
_SPECIAL = re.compile(r"([\\()])")


@dataclass(frozen=True)
class Tag:
    """``score``: how sure the model is, 0 to 1."""

    name: str
    category: Category
    score: float = 0.0


@dataclass(frozen=True)
class TagStyle:
    """Which tags are told, and how.

    ``leaves_out``: names, with underscores. ``escapes``: a backslash before ``\\``, ``(`` and ``)``, which mean weights
    in prompts.
    """

    general_threshold: float = 0.35
    character_threshold: float = 0.85
    sorts_by_name: bool = False
    uses_spaces: bool = True
    escapes: bool = True
    shows_scores: bool = False
    leaves_out: frozenset[str] = frozenset()


def write_tags(tags: Iterable[Tag], style: TagStyle) -> str:
    """The tags that are sure enough, as a prompt has them: ``1girl, solo, smile``. Ratings are left out."""
    limits: dict[Category, float] = {"general": style.general_threshold, "character": style.character_threshold}
    told = [
        tag
        for tag in tags
        if tag.category in limits and tag.score >= limits[tag.category] and tag.name not in style.leaves_out
    ]
    # The name decides between equals, so that the same picture has the same words.
    told.sort(key=lambda tag: (0.0 if style.sorts_by_name else -tag.score, tag.name))
    return ", ".join(_word(tag, style) for tag in told)


def _word(tag: Tag, style: TagStyle) -> str:
    word = tag.name.replace("_", " ") if style.uses_spaces and tag.name not in _FACES else tag.name
    if style.escapes:
        word = _SPECIAL.sub(r"\\\1", word)
    return f"({word}:{tag.score:.3f})" if style.shows_scores else word
