"""Prompts as AUTOMATIC1111's users write them, made readable for the library: tags of networks that are not there are
taken out, those with several weights keep the one that counts. Pure functions over text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

_TAG = re.compile(r"<(lora|lyco|hypernet):([^<>]*)>", re.IGNORECASE)


def readable(prompt: str, has_lora: Callable[[str], bool]) -> tuple[str, list[str]]:
    """``prompt`` with tags that the library can use, and the names of the networks that were left out.

    ``has_lora`` says whether a LoRA of that name is there.
    """
    left_out: list[str] = []
    kept: list[str] = []
    position = 0
    for match in _TAG.finditer(prompt):
        kept.append(prompt[position : match.start()])
        position = match.end()
        name, _, weights = match.group(2).partition(":")
        name = name.strip()
        weight = _weight(weights)
        if match.group(1).lower() == "hypernet" or not name or weight is None or not has_lora(name):
            left_out.append(name or match.group())
        else:
            kept.append(f"<lora:{name}:{weight:g}>")
    kept.append(prompt[position:])
    return "".join(kept), list(dict.fromkeys(left_out))


def _weight(text: str) -> float | None:
    """Of ``0.8``, ``0.5:0.8`` (text encoder, network) and ``te=0.5:unet=0.8`` the network's; 1 of nothing."""
    named: dict[str, str] = {}
    plain: list[str] = []
    for part in text.split(":"):
        key, equals, value = part.strip().partition("=")
        if equals:
            named[key.strip().lower()] = value
        elif key:
            plain.append(key)
    chosen = named.get("unet") or (plain[1] if len(plain) > 1 else None) or (plain[0] if plain else None)
    chosen = chosen or named.get("te") or "1"
    if "_" in chosen or not chosen.isascii():
        return None
    try:
        number = float(chosen)
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) <= 1000 else None
