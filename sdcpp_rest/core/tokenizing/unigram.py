"""Cuts texts into the pieces whose scores add up to the most: T5's way, and that of its multilingual kin. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sdcpp_rest.core.tokenizing.attention import round_float
from sdcpp_rest.core.tokenizing.tokens import Tokens, special_pattern, split_specials

_BLANK = "\u2581"
_MANY_BLANKS = re.compile(" {2,}")
_UNKNOWN_PENALTY = 10.0


class UnigramTokenizer:
    """Cuts a text as T5's text encoders have it.

    Args:
        scores: of the pieces, as the library's ``float`` holds them.
        silent: special words that have no token of their own.
    """

    def __init__(self, scores: Mapping[str, float], specials: Sequence[str], silent: Sequence[str] = ()) -> None:
        self._scores = scores
        self._longest = max(map(len, scores), default=1)
        self._unknown = round_float(min(scores.values(), default=0.0) - _UNKNOWN_PENALTY)
        self._specials = special_pattern([*specials, *silent])
        self._silent = frozenset(silent)

    def tokenize(self, text: str) -> Tokens:
        text = _MANY_BLANKS.sub(" ", text)
        starts: list[int] = []
        pieces = [*split_specials(text, self._specials)] or [(0, "", False)]
        for at, piece, is_special in pieces:
            if is_special:
                starts += [] if piece in self._silent else [at]
                continue
            # A blank stands before the first word, one at the end does not count.
            words = _BLANK + piece.removesuffix(" ").replace(" ", _BLANK)
            starts += [at + max(0, begin - 1) for begin in self._cut(words)]
        return Tokens(starts)

    def _cut(self, text: str) -> list[int]:
        """Where the pieces of the best way through ``text`` begin."""
        scores, longest, size = self._scores, self._longest, len(text)
        best: list[float] = [0.0] * (size + 1)
        begins = [-1] * (size + 1)
        for begin in range(size):
            so_far = best[begin]
            for end in range(begin + 1, min(size, begin + longest) + 1):
                score = scores.get(text[begin:end])
                if score is None and end == begin + 1:
                    score = self._unknown
                if score is None:
                    continue
                total = round_float(score + so_far)
                if begins[end] < 0 or total > best[end]:
                    best[end], begins[end] = total, begin
        found = []
        end = size
        while end > 0:
            end = begins[end]
            found.append(end)
        return found[::-1]
