"""Evaluates parsed prompts: an explicit stack takes the place of recursion, so that no nesting reaches Python's limit.

What a tag means is `tags`' to say. A tag says which text it needs evaluated by yielding it, and gets it sent back.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from sdcpp_rest.core.prompt_language import tags
from sdcpp_rest.core.prompt_language.budget import MAX_NESTING
from sdcpp_rest.core.prompt_language.marks import last_section, without_marks
from sdcpp_rest.core.prompt_language.state import State, quote
from sdcpp_rest.core.prompt_language.syntax import Choice, Node, Tag

_Text = Generator[Sequence[Node], str, str]


class Evaluation:
    """Turns nodes into text, and does what their tags say to ``state``."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._depth = 0

    def evaluate(self, nodes: Sequence[Node]) -> str:
        """The text of ``nodes``, with marks (see `marks`). Raises InvalidRequest where it would be too much."""
        stack = [self._body(nodes)]
        made: str | None = None
        while stack:
            self._depth = len(stack)
            try:
                inner = next(stack[-1]) if made is None else stack[-1].send(made)
            except StopIteration as end:
                stack.pop()
                made = end.value
            else:
                stack.append(self._body(inner))
                made = None
        return made or ""

    def _body(self, nodes: Sequence[Node]) -> _Text:
        state, made = self._state, []
        for node in nodes:
            if isinstance(node, str):
                state.budget.spend_characters(len(node))
                made.append(node)
                continue
            state.budget.spend_tag()
            section = state.section
            text = yield from self._node(node)
            # What a tag wrote on its way may be in a variable now, and not here.
            state.section = section if (ends_in := last_section(text)) is None else ends_in
            # Before they are joined: the same long text may come a thousand times.
            state.budget.spend_characters(len(text))
            made.append(text)
        return "".join(made)

    def _node(self, node: Tag | Choice) -> _Text:
        if self._depth > MAX_NESTING:
            self._state.warn(f"{quote(node.raw)} lies deeper than {MAX_NESTING} tags and stays as it is.")
            return node.raw
        if isinstance(node, Choice):
            return (yield from tags.choose(self._state, node))
        text: str | None
        if node.name in tags.FROM_NOTHING:
            text = tags.FROM_NOTHING[node.name](self._state, node)
        elif node.name in tags.FROM_TEXT:
            body = yield node.body
            text = tags.FROM_TEXT[node.name](self._state, node, without_marks(body))
        elif node.name in tags.FROM_PARTS:
            text = yield from tags.FROM_PARTS[node.name](self._state, node)
        else:
            body = yield node.body
            return f"<{node.head}{body}>"
        return node.raw if text is None else text
