"""Defines a prompt style, and how it is added to a prompt: for every dialect and every tag in the same way."""

from __future__ import annotations

from sdcpp_rest.core.frozen import Frozen

PLACE = "{prompt}"


class PromptStyle(Frozen):
    """One style. Text with ``{prompt}`` in it is written around a prompt, other text behind it."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""


def merge(style: str, prompt: str) -> str:
    """``prompt`` with one style's text around it or behind it."""
    if PLACE in style:
        return style.replace(PLACE, prompt)
    return ", ".join(part for part in (prompt.strip(), style.strip()) if part)
