"""Limits what a prompt may cost: its length, its tags, and the text that they make.

A few words can ask for more text than any memory holds, or for ever (a wildcard that names itself twice).
"""

from __future__ import annotations

from sdcpp_rest.errors import InvalidRequest

MAX_WRITTEN = 100_000
"""Characters of a prompt, before and after its tags are resolved."""
MAX_TAGS = 20_000
"""Tags resolved, and entries drawn, for one prompt and its negative prompt."""
MAX_MADE = 2_000_000
"""Characters made for both, those that are made on the way included."""
MAX_NESTING = 1_000
"""Tags within each other, those in wildcards and macros included. What is deeper stays as it was written."""


class Budget:
    """Counts what is made for one request, and refuses it beyond the limits. ``field`` is the one to blame."""

    def __init__(self, field: str) -> None:
        self.field = field
        self._tags_left = MAX_TAGS
        self._characters_left = MAX_MADE

    def check_length(self, text: str, when: str) -> None:
        """Refuse a prompt that is too long; ``when`` says before or after what. Raises InvalidRequest."""
        if len(text) > MAX_WRITTEN:
            raise InvalidRequest(
                f"{self.field}: {len(text)} characters {when} are too many; at most {MAX_WRITTEN} are allowed",
                field=self.field,
                value=len(text),
                allowed=f"at most {MAX_WRITTEN} characters",
            )

    def spend_tag(self) -> None:
        """Count a tag, or an entry that is drawn. Raises InvalidRequest."""
        self._tags_left -= 1
        if self._tags_left < 0:
            raise self._refuse(f"at most {MAX_TAGS} tags, repetitions and entries of wildcards")

    def spend_characters(self, count: int) -> None:
        """Count text that was read or made. Raises InvalidRequest."""
        self._characters_left -= count
        if self._characters_left < 0:
            raise self._refuse(f"at most {MAX_MADE} characters, those made on the way included")

    def _refuse(self, allowed: str) -> InvalidRequest:
        return InvalidRequest(
            f"{self.field}: its tags make too much; {allowed} are allowed. Does a wildcard or a macro name itself, or "
            "do repetitions multiply?",
            field=self.field,
            allowed=allowed,
        )
