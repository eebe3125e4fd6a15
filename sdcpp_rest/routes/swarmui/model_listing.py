"""Lists models below a folder as SwarmUI's page asks for them: the folders, and the files in the order wanted.

Pure, over cards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import shorten
from sdcpp_rest.routes.swarmui.model_types import clean_path
from sdcpp_rest.services.models.model_cards import ModelCard

MAX_DEPTH = 20

_Order = Callable[[ModelCard], tuple[object, ...]]
_ORDERS: dict[str, _Order] = {
    "name": lambda card: (card.file.name,),
    "title": lambda card: (card.title, card.file.name),
    # When a file was made is not told by every file system: when it was written stands for both.
    "datecreated": lambda card: (-card.file.mtime_ns, card.file.name),
    "datemodified": lambda card: (-card.file.mtime_ns, card.file.name),
}


def check_order(name: str) -> str:
    """``name`` of an order, in lower case. Raises InvalidRequest."""
    if name.lower() not in _ORDERS:
        raise InvalidRequest(f"Invalid sort mode '{shorten(name)}'.", field="sortBy")
    return name.lower()


def list_below(
    cards: Iterable[ModelCard], path: str, depth: int, order: str, *, is_reversed: bool
) -> tuple[list[str], list[ModelCard]]:
    """The folders below ``path``, to ``depth`` levels and relative to it, and the models in them."""
    levels = min(max(depth, 1), MAX_DEPTH)
    start = clean_path(f"{path}/" if path else "")
    depths: dict[str, int] = {"": 0}
    files = []
    for card in cards:
        name = card.file.name
        if not name.startswith(start) or len(name) <= len(start):
            continue
        folder = name[len(start) :].rpartition("/")[0]
        if folder not in depths:
            depths[folder] = folder.count("/") + 1
        if depths[folder] < levels:
            files.append(card)
    files.sort(key=_ORDERS[order], reverse=is_reversed)
    return _with_parents(depths, levels), files


def _with_parents(depths: Mapping[str, int], levels: int) -> list[str]:
    """Folders and the folders that they lie in, to so many levels."""
    found: set[str] = set()
    for folder, depth in depths.items():
        parts = folder.split("/")
        found.update("/".join(parts[:level]) for level in range(1, min(levels, depth) + 1))
    return sorted(found)
