"""Defines the tags that ask for what no picture here can have: words for parts of it, for some of its steps, or for
other passes.

Words that are meant for a part must not reach the whole picture: they are cut out, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from sdcpp_rest.core.prompt_language.marks import GONE, MAIN, REFINER, mark_section
from sdcpp_rest.core.prompt_language.state import State, quote
from sdcpp_rest.core.prompt_language.syntax import Node, Tag, plain_text, split_options

_PARTS = "parts of a picture cannot be drawn by themselves"
_PASSES = "there is no such pass"

SECTIONS: dict[str, str] = {
    "segment": _PARTS,
    "object": _PARTS,
    "region": _PARTS,
    "clear": "parts of a picture cannot be made transparent",
    "extend": "videos cannot be made longer afterwards",
    "base": "all passes share one prompt",
    "refiner": "",
    "video": _PASSES,
    "videoswap": _PASSES,
    "pixeldecoder": _PASSES,
}
"""Tags that begin a section, and why it cannot be drawn; the refiner's text is for the pass of hires fix."""


def begin_section(state: State, tag: Tag) -> str:
    """The mark from which on the text is not the picture's; ``<region:end>`` goes back to it."""
    body = (plain_text(tag.body) or "").strip()
    if tag.name == "region" and body == "end":
        return mark_section(MAIN)
    if tag.name != REFINER:
        state.warn(f"{quote(tag.raw)} and the text of its section were cut out: {SECTIONS[tag.name]}.")
    return mark_section(tag.name)


def leave_out_break(state: State, tag: Tag) -> str:
    """Nothing: where a long prompt is cut is the text encoder's to say."""
    state.warn("<break> was left out: the text encoder decides where a long prompt is cut.")
    return GONE


def keep_first(state: State, tag: Tag) -> Generator[Sequence[Node], str, str | None]:
    """The first of several entries that were to take turns while the picture is drawn."""
    state.warn(f"{quote(tag.raw)} became its first entry: words cannot change while a picture is drawn.")
    return (yield split_options(tag.body)[0]).strip()
