"""Finds the name that is meant by one that was written loosely: without its folder, its ending or its capitals."""

from __future__ import annotations

from collections.abc import Iterable

_LEFT_OUT = str.maketrans("", "", " \t()[]{}")
_ENDING = ".safetensors"


def fold_name(name: str) -> str:
    """``name`` as it is compared: lower case, ``/`` for ``\\``, without blanks, brackets and ``.safetensors``."""
    return name.lower().replace("\\", "/").translate(_LEFT_OUT).removesuffix(_ENDING)


class NameIndex:
    """Finds names among many, again and again."""

    def __init__(self, names: Iterable[str]) -> None:
        # The shortest first, so that the first hit is the one.
        ordered = sorted(set(names), key=lambda name: (len(name), name))
        self._names = frozenset(ordered)
        self._folded = [(fold_name(name), name) for name in ordered]
        self._by_folded: dict[str, str] = {}
        for folded, name in self._folded:
            self._by_folded.setdefault(folded, name)

    def find(self, wanted: str) -> str | None:
        """The name that ``wanted`` is, or else the shortest that contains it; ``None`` where none does."""
        folded = fold_name(wanted)
        if wanted in self._names or not folded:
            return wanted if folded else None
        if folded in self._by_folded:
            return self._by_folded[folded]
        return next((name for other, name in self._folded if folded in other), None)
