"""Finds the words that a conditioning of ComfyUI's was made of, through whatever combines and changes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sdcpp_rest.services.pictures.metadata.comfyui_graph import Graph, Link, Node
from sdcpp_rest.services.pictures.metadata.found_settings import read_word

# Of the nodes that encode for two encoders, the first text that says something counts.
_TEXTS = ("text", "text_g", "t5xxl", "clip_g", "clip_l", "text_l", "prompt", "text_positive", "bert", "wildcard_text")
_ENCODER_LINKS = ("clip", "vae", "image", "control", "style", "model", "mask", "start_image", "pixels")
_MOST_NODES = 500
POSITIVE, NEGATIVE = 0, 1


@dataclass
class Words:
    """Texts in their order, and what stood on the way to them."""

    texts: list[str] = field(default_factory=list)
    guidance: float | None = None
    is_zeroed: bool = False
    clip: Link | None = None
    passed: list[Node] = field(default_factory=list)

    @property
    def text(self) -> str:
        return ", ".join(dict.fromkeys(self.texts))


def words_of(graph: Graph, start: Link | None, side: int = POSITIVE) -> Words:
    """The words behind a link. Nodes that have both sides hand on the one that their output is for."""
    words = Words()
    waiting = [start] if start is not None else []
    seen: set[Link] = set()
    while waiting and len(seen) < _MOST_NODES:
        link = waiting.pop()
        node = graph.node(link)
        if node is None or link in seen:
            continue
        seen.add(link)
        words.passed.append(node)
        if node.kind == "ConditioningZeroOut":
            words.is_zeroed = True
            continue
        if words.guidance is None and "guidance" in node.inputs:
            words.guidance = graph.number(node, "guidance")
        text = _text(graph, node)
        if text is not None:
            words.texts.append(text)
            words.clip = words.clip or node.link("clip")
            continue
        waiting += reversed(_sources(node, link, side))
    return words


def _text(graph: Graph, node: Node) -> str | None:
    """The text that a node encodes; ``None`` for one that encodes none."""
    found = [read_word(graph.scalar(node, name)) for name in _TEXTS if node.inputs.get(name) is not None]
    is_encoder = "Encode" in node.kind or node.link("clip") is not None
    return next((text for text in found if text), "") if found and is_encoder else None


def _sources(node: Node, link: Link, side: int) -> list[Link]:
    """The conditionings that a node was given."""
    if node.link("positive") is not None and node.link("negative") is not None:
        wanted = {POSITIVE: "positive", NEGATIVE: "negative"}.get(link.slot, ("positive", "negative")[side])
        one = node.link(wanted)
        return [one] if one is not None else []
    return [
        source
        for name in node.inputs
        if not name.startswith(_ENCODER_LINKS) and (source := node.link(name)) is not None
    ]
