"""Finds the name that is meant by one that was written loosely: without its folder, its ending or its capitals."""

from __future__ import annotations

from collections.abc import Iterable

_LEFT_OUT = str.maketrans("", "", " \t()[]{}")
_ENDING = ".safetensors"


def fold_name(name: str) -> str:
    """``name`` as it is compared: lower case, ``/`` for ``\\``, without blanks, brackets and ``.safetensors``."""
    return name.lower().replace("\\", "/").translate(_LEFT_OUT).removesuffix(_ENDING)


def best_match(wanted: str, names: Iterable[str]) -> str | None:
    """The one of ``names`` that ``wanted`` is, or else the shortest that contains it; ``None`` where none does."""
    folded = fold_name(wanted)
    if not folded:
        return None
    best: tuple[int, str] | None = None
    for name in names:
        if name == wanted:
            return name
        other = fold_name(name)
        if folded in other:
            rank = (0 if other == folded else len(name), name)
            best = rank if best is None else min(best, rank)
    return best[1] if best is not None else None
