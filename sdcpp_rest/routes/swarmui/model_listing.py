"""Lists models or wildcards below a folder as SwarmUI's page asks for them: folders, and files in the order wanted.

Pure, over cards and names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import shorten
from sdcpp_rest.routes.swarmui.calls import Arguments
from sdcpp_rest.routes.swarmui.model_types import MAIN, clean_path
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


class Listing(NamedTuple):
    """What a call of ListModels asks for. ``order`` is one of upstream's, in lower case."""

    subtype: str
    path: str
    depth: int
    order: str
    is_reversed: bool
    with_pictures: bool


def read_listing(asked: Arguments) -> Listing:
    """What a call asks for. Raises InvalidRequest."""
    path, depth = asked.text("path"), asked.integer("depth")
    asked.switch("allowRemote", True)
    order = asked.text("sortBy", "Name")
    if order.lower() not in _ORDERS:
        raise InvalidRequest(f"Invalid sort mode '{shorten(order)}'.", field="sortBy")
    return Listing(
        subtype=asked.text("subtype", MAIN),
        path=path,
        depth=depth,
        order=order.lower(),
        is_reversed=asked.switch("sortReverse", False),
        with_pictures=asked.switch("dataImages", False),
    )


def list_below(names: Iterable[str], path: str, depth: int) -> tuple[list[str], list[str]]:
    """The folders below ``path``, to ``depth`` levels and relative to it, and the names in them."""
    levels = min(max(depth, 1), MAX_DEPTH)
    start = clean_path(f"{path}/" if path else "")
    depths: dict[str, int] = {"": 0}
    found = []
    for name in names:
        if not name.startswith(start) or len(name) <= len(start):
            continue
        folder = name[len(start) :].rpartition("/")[0]
        if folder not in depths:
            depths[folder] = folder.count("/") + 1
        if depths[folder] < levels:
            found.append(name)
    return _with_parents(depths, levels), found


def list_cards_below(
    cards: Iterable[ModelCard], path: str, depth: int, order: str, *, is_reversed: bool
) -> tuple[list[str], list[ModelCard]]:
    """The folders, and the models in them in the order wanted."""
    by_name = {card.file.name: card for card in cards}
    folders, names = list_below(by_name, path, depth)
    return folders, sorted((by_name[name] for name in names), key=_ORDERS[order], reverse=is_reversed)


def list_names_below(
    names: Iterable[str], path: str, depth: int, order: str, *, is_reversed: bool
) -> tuple[list[str], list[str]]:
    """The folders, and names that have no dates in the order wanted."""
    folders, found = list_below(names, path, depth)
    key = _last_part if order == "title" else _whole
    return folders, sorted(found, key=key, reverse=is_reversed)


def _last_part(name: str) -> tuple[str, str]:
    return name.rpartition("/")[2], name


def _whole(name: str) -> tuple[str, str]:
    return name, ""


def _with_parents(depths: Mapping[str, int], levels: int) -> list[str]:
    """Folders and the folders that they lie in, to so many levels."""
    found: set[str] = set()
    for folder, depth in depths.items():
        parts = folder.split("/")
        found.update("/".join(parts[:level]) for level in range(1, min(levels, depth) + 1))
    return sorted(found)
