"""Holds a graph of ComfyUI's as it lies in files, and follows its links.

Nothing here recurses, and no node is visited twice on one way: graphs may be long, or go in circles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

from sdcpp_rest.services.pictures.metadata.found_settings import read_float, read_word

MOST_NODES = 5_000
MOST_INPUTS = 300
"""Of one node."""
_MOST_HOPS = 30
# Where nodes that only hand a value on keep it.
_VALUE_NAMES = ("value", "text", "string", "prompt", "int", "float", "number", "seed", "Value", "Text", "any", "input")


class Link(NamedTuple):
    """Leads to a node's output."""

    node_id: str
    slot: int


@dataclass(frozen=True)
class Node:
    """One node as it was written."""

    id: str
    kind: str
    inputs: Mapping[str, Any]

    def link(self, *names: str) -> Link | None:
        """Where the first of these inputs that is linked comes from."""
        return next((link for name in names if (link := as_link(self.inputs.get(name))) is not None), None)

    def links(self, *beginnings: str) -> Iterator[Link]:
        """Where all linked inputs come from, or those whose names begin so."""
        for name, link in self._linked:
            if not beginnings or name.startswith(beginnings):
                yield link

    @cached_property
    def _linked(self) -> list[tuple[str, Link]]:
        return [(name, link) for name, value in self.inputs.items() if (link := as_link(value)) is not None]


def as_link(value: Any) -> Link | None:
    """A link, as graphs write it: the other node's id and the number of its output."""
    if not isinstance(value, list) or len(value) != 2 or isinstance(value[1], bool) or not isinstance(value[1], int):
        return None
    node_id = read_word(value[0])
    return Link(node_id, value[1]) if node_id else None


class Graph:
    """Finds nodes, and what flows along their links."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = {node.id: node for node in nodes}

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def node(self, link: Link | None) -> Node | None:
        """The node that a link leads to."""
        return self._nodes.get(link.node_id) if link is not None else None

    def scalar(self, node: Node, *names: str) -> Any:
        """The number or text of the first of these inputs that has one, however many nodes hand it on."""
        for name in names:
            value = self._follow(node.inputs.get(name), name)
            if value is not None:
                return value
        return None

    def number(self, node: Node, *names: str) -> float | None:
        """The same, where it is a number."""
        return read_float(self.scalar(node, *names))

    def _follow(self, value: Any, name: str) -> Any:
        seen: set[str] = set()
        for _ in range(_MOST_HOPS):
            link = as_link(value)
            if link is None:
                return value if isinstance(value, (str, int, float)) else None
            node = self.node(link)
            if node is None or node.id in seen:
                return None
            seen.add(node.id)
            names = (name, *_VALUE_NAMES)
            value = next((node.inputs[one] for one in names if node.inputs.get(one) is not None), None)
            if value is None:
                # A node without a name that is known: what is linked to it, if it is one thing.
                linked = list(node.links())
                value = [*linked[0]] if len(linked) == 1 else None
        return None

    def back_from(self, starts: Iterable[Link | None], *beginnings: str) -> Iterator[Node]:
        """All nodes behind ``starts``, the nearest first; ``beginnings`` of the inputs' names that are followed."""
        waiting = [link for link in starts if link is not None]
        seen: set[str] = set()
        while waiting:
            following: list[Link] = []
            for link in waiting:
                node = self.node(link)
                if node is None or node.id in seen:
                    continue
                seen.add(node.id)
                yield node
                following += node.links(*beginnings)
            waiting = following


def graph_of(sent: Any) -> Graph | None:
    """The graph in the API's format that ``sent`` is; ``None`` for anything else."""
    if not isinstance(sent, dict) or not 0 < len(sent) <= MOST_NODES:
        return None
    nodes = [
        Node(str(node_id), node["class_type"], dict(islice(node["inputs"].items(), MOST_INPUTS)))
        for node_id, node in sent.items()
        if isinstance(node, dict) and isinstance(node.get("class_type"), str) and isinstance(node.get("inputs"), dict)
    ]
    return Graph(nodes) if nodes else None
