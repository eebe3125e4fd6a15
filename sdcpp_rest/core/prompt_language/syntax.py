"""Parses prompts into text, tags and choices, in one pass and without recursion: nothing that is written can make it
slow or deep.

``<name[predata]:body>`` is a tag; what never closes is text. With ``braces``, ``{a|b}`` is a choice and ``__name__``
a wildcard. It must not know which tags there are, nor what they do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

OUTERMOST_SEPARATORS = ("||", "|", ",")


@dataclass(frozen=True, eq=False, slots=True)
class Tag:
    """One tag. ``name`` is in lower case, empty where ``<...>`` is no tag; ``head`` is what stands before ``body``."""

    name: str
    predata: str | None
    head: str
    body: list[Node]
    source: str
    start: int
    end: int

    @property
    def raw(self) -> str:
        """The tag as it was written."""
        return self.source[self.start : self.end]


@dataclass(frozen=True, eq=False, slots=True)
class Choice:
    """One ``{a|b}``. ``count`` is what stands before ``$$``, ``joiner`` what comes between several. One that has no
    ``|`` and no ``$$`` is none, and ``is_plain``."""

    options: list[list[Node]]
    count: str
    joiner: str
    is_plain: bool
    source: str
    start: int
    end: int

    @property
    def raw(self) -> str:
        """The choice as it was written."""
        return self.source[self.start : self.end]


Node = str | Tag | Choice

_TOKEN = re.compile(r"<(?=[ \t]*[A-Za-z])|>")
_TOKEN_OR_BRACE = re.compile(r"<(?=[ \t]*[A-Za-z])|[>{}]|__(?P<wildcard>[^\W_][\w ./-]{0,200}?)__(?!_)")
_HEAD = re.compile(r"[ \t]*(?P<name>[A-Za-z]+)[ \t]*(?:\[(?P<predata>[^\[\]]*)\])?[ \t]*(?P<colon>:?)")
_COUNT = re.compile(r"\s*(?P<count>\d{1,9}(?:-\d{1,9})?)\$\$(?:(?P<joiner>[^$]*)\$\$)?")


@dataclass(eq=False, slots=True)
class _Frame:
    """What has been read since a ``<`` or ``{`` that is still open."""

    opener: str
    start: int
    nodes: list[Node] = field(default_factory=list)


def parse(text: str, *, braces: bool = False) -> list[Node]:
    """Read ``text`` into nodes, in time that grows with its length alone. Never raises."""
    frames = [_Frame("", 0)]
    still_open = {"<": 0, "{": 0}
    position = 0
    for match in (_TOKEN_OR_BRACE if braces else _TOKEN).finditer(text):
        if match.start() > position:
            frames[-1].nodes.append(text[position : match.start()])
        position = match.end()
        token = match.group()
        opener = {">": "<", "}": "{"}.get(token)
        if token in still_open:
            frames.append(_Frame(token, match.start()))
            still_open[token] += 1
        elif opener is None:
            name = match["wildcard"]
            frames[-1].nodes.append(Tag("wildcard", None, "", [name], text, match.start(), match.end()))
        elif still_open[opener]:
            frame = _close(frames, opener, still_open)
            make = _make_tag if opener == "<" else _make_choice
            frames[-1].nodes.append(make(frame, text, match.end()))
        else:
            frames[-1].nodes.append(token)
    if position < len(text):
        frames[-1].nodes.append(text[position:])
    return _flatten(frames)


def _close(frames: list[_Frame], opener: str, still_open: dict[str, int]) -> _Frame:
    """Take the innermost open frame of ``opener``; what was opened inside of it and never closed is text."""
    inside: list[_Frame] = []
    while True:
        inside.append(frames.pop())
        still_open[inside[-1].opener] -= 1
        if inside[-1].opener == opener:
            break
    inside.reverse()
    frame = inside[0]
    return _Frame(frame.opener, frame.start, _flatten(inside))


def _flatten(frames: Sequence[_Frame]) -> list[Node]:
    """The nodes of frames that lie in each other. The first one's opener is not text: it is the root's, or closed."""
    nodes = frames[0].nodes
    for frame in frames[1:]:
        nodes.append(frame.opener)
        nodes.extend(frame.nodes)
    return nodes


def _make_tag(frame: _Frame, source: str, end: int) -> Tag:
    nodes = frame.nodes
    first = nodes[0] if nodes and isinstance(nodes[0], str) else ""
    head = _HEAD.match(first)
    # Without a colon the name is all there is.
    if head is None or (not head["colon"] and (len(nodes) > 1 or head.end() < len(first))):
        return Tag("", None, "", nodes, source, frame.start, end)
    rest = first[head.end() :]
    body = [rest, *nodes[1:]] if rest else nodes[1:]
    return Tag(head["name"].lower(), head["predata"], head.group(), body, source, frame.start, end)


def _make_choice(frame: _Frame, source: str, end: int) -> Choice:
    nodes, count, joiner = frame.nodes, "", ", "
    first = nodes[0] if nodes and isinstance(nodes[0], str) else ""
    counted = _COUNT.match(first)
    if counted is not None:
        count, joiner = counted["count"], counted["joiner"] if counted["joiner"] is not None else joiner
        nodes = [first[counted.end() :], *nodes[1:]]
    options = split(nodes, "|")
    is_plain = counted is None and len(options) == 1
    return Choice(options, count, joiner, is_plain, source, frame.start, end)


def split_options(body: Sequence[Node]) -> list[list[Node]]:
    """The entries of a list: separated by ``||`` where there is one outside of inner tags, else by ``|``, else by
    ``,``."""
    texts = [node for node in body if isinstance(node, str)]
    separator = next((one for one in OUTERMOST_SEPARATORS if any(one in text for text in texts)), ",")
    return split(body, separator)


def split(body: Sequence[Node], separator: str, most: int = -1) -> list[list[Node]]:
    """``body`` cut at each ``separator`` outside of inner tags, ``most`` times at most (-1: always)."""
    parts: list[list[Node]] = [[]]
    for node in body:
        if not isinstance(node, str):
            parts[-1].append(node)
            continue
        pieces = node.split(separator, -1 if most < 0 else max(0, most + 1 - len(parts)))
        parts[-1].append(pieces[0])
        parts.extend([piece] for piece in pieces[1:])
    return parts


def plain_text(nodes: Sequence[Node]) -> str | None:
    """The text of ``nodes``, or ``None`` where there is a tag among them."""
    if all(isinstance(node, str) for node in nodes):
        return "".join(str(node) for node in nodes)
    return None
