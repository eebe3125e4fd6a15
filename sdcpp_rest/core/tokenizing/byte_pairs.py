"""Cuts texts into byte pairs: CLIP's way, and that of the language models.

The two differ in how words are told apart before; pairs of bytes are joined in the order of a list of merges. Pure.
"""

from __future__ import annotations

import heapq
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from sdcpp_rest.core.tokenizing.tokens import Tokens, special_pattern, split_specials

_END_OF_WORD = "</w>"
_SHOWN = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_HIDDEN = [byte for byte in range(256) if byte not in set(_SHOWN)]
_SIGNS = {**{byte: chr(byte) for byte in _SHOWN}, **{byte: chr(256 + n) for n, byte in enumerate(_HIDDEN)}}
"""How lists of merges write bytes: each as one character that can be seen."""

_BLANKS = " \t\n\v\f\r"
_CLIP_WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^ \t\n\v\f\ra-z0-9]+")
_CLIP_SPECIALS = ("<|startoftext|>", "<|endoftext|>")
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class BytePairs:
    """Joins the bytes of words. ``merges`` are lines of two signs with a blank between, the first joined first."""

    def __init__(self, merges: Sequence[str], *, ends_words: bool) -> None:
        self._ranks = {line: rank for rank, line in enumerate(merges)}
        self._ends_words = ends_words

    def lengths(self, word: bytes) -> list[int]:
        """How many bytes each token of ``word`` has."""
        signs = [_SIGNS[byte] for byte in word]
        if self._ends_words:
            signs[-1] += _END_OF_WORD
        sizes = [1] * len(signs)
        after = [*range(1, len(signs)), -1]
        before = [*range(-1, len(signs) - 1)]
        waiting: list[tuple[int, int, str]] = []
        for at in range(len(signs) - 1):
            self._wait(waiting, signs, at, at + 1)
        while waiting:
            _, at, pair = heapq.heappop(waiting)
            following = after[at]
            if not sizes[at] or following < 0 or f"{signs[at]} {signs[following]}" != pair:
                continue  # one of the two has been joined with another meanwhile
            signs[at] += signs[following]
            sizes[at] += sizes[following]
            sizes[following] = 0
            after[at] = after[following]
            if after[at] >= 0:
                before[after[at]] = at
            for left, right in ((before[at], at), (at, after[at])):
                if left >= 0 and right >= 0:
                    self._wait(waiting, signs, left, right)
        return [size for size in sizes if size]

    def _wait(self, waiting: list[tuple[int, int, str]], signs: Sequence[str], left: int, right: int) -> None:
        pair = f"{signs[left]} {signs[right]}"
        if (rank := self._ranks.get(pair)) is not None:
            heapq.heappush(waiting, (rank, left, pair))


def _token_starts(pairs: BytePairs, word: str, places: Sequence[int]) -> Iterator[int]:
    """Where the tokens of ``word`` begin, whose characters stand at ``places``."""
    of_bytes = [place for one, place in zip(word, places, strict=True) for _ in one.encode("utf-8")]
    at = 0
    for length in pairs.lengths(word.encode("utf-8")):
        yield of_bytes[at]
        at += length


class ClipTokenizer:
    """Cuts a text as CLIP's text encoders have it. ``embeddings``: how many tokens the word of each has, by the word in
    lower case; ``None`` where that cannot be foreseen."""

    def __init__(self, pairs: BytePairs, embeddings: Mapping[str, int | None]) -> None:
        self._pairs = pairs
        self._embeddings = embeddings
        self._specials = special_pattern([*_CLIP_SPECIALS, *embeddings])

    def tokenize(self, text: str) -> Tokens:
        text, places = _clean(text)
        starts: list[int] = []
        is_exact = True
        for at, piece, is_special in split_specials(text, self._specials):
            if is_special:
                count = self._embeddings.get(piece, 1)
                starts += [places[at]] * (1 if count is None else count)
                is_exact &= count is not None
                continue
            for word in _CLIP_WORDS.finditer(piece):
                begin = at + word.start()
                starts += _token_starts(self._pairs, word.group(), places[begin : begin + len(word.group())])
        return Tokens(starts, is_exact)


def _clean(text: str) -> tuple[str, list[int]]:
    """``text`` in lower case, with one blank where there were several and none at its ends; and where its characters
    stood."""
    kept: list[str] = []
    places: list[int] = []
    for place, one in enumerate(text.translate(_LOWER)):
        is_blank = one in _BLANKS
        if is_blank and (not kept or kept[-1] == " "):
            continue
        kept.append(" " if is_blank else one)
        places.append(place)
    if kept and kept[-1] == " ":
        kept.pop()
        places.pop()
    return "".join(kept), places


class LanguageTokenizer:
    """Cuts a text as the library does for the language models that encode prompts (Qwen, Mistral)."""

    def __init__(self, pairs: BytePairs, specials: Sequence[str]) -> None:
        self._pairs = pairs
        self._specials = special_pattern(specials)

    def tokenize(self, text: str) -> Tokens:
        starts: list[int] = []
        is_exact = True
        for at, piece, is_special in split_specials(text, self._specials):
            if is_special:
                starts.append(at)
                continue
            is_exact &= all(_is_foreseen(one) for one in piece)
            for begin, word in _language_words(piece):
                starts += _token_starts(self._pairs, word, range(at + begin, at + begin + len(word)))
        return Tokens(starts, is_exact)


def _is_foreseen(one: str) -> bool:
    # The library asks C's isspace() of every other sign, which is defined for bytes alone: what it answers is chance.
    return one <= "\xff" or unicodedata.category(one).startswith("L")


def _is_letter(one: str) -> bool:
    return unicodedata.category(one).startswith("L")


_DIGITS = "0123456789"
_ALL_BLANKS = frozenset(_BLANKS + "\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B))))
_SHORT_ENDINGS = ("s", "t", "m")
_LONG_ENDINGS = ("re", "ve", "ll")


def _language_words(text: str) -> Iterator[tuple[int, str]]:
    """The words of ``text`` with their places: letters with the sign before them, single digits, runs of other signs
    with the blank before and the line ends behind them, and blanks."""
    at, end = 0, len(text)
    while at < end:
        begin, one = at, text[at]
        following = text[at + 1] if at + 1 < end else ""
        if one == "'" and (ending := _short_form(text, at)):
            at += 1 + len(ending)
            yield begin, "'" + ending
            continue
        if one in _DIGITS:
            at += 1
        elif _is_letter(one) or (one not in "\r\n" and following and _is_letter(following)):
            at += 1
            while at < end and _is_letter(text[at]):
                at += 1
        elif _is_sign(one) or (one == " " and following and _is_sign(following)):
            at += 1
            while at < end and _is_sign(text[at]):
                at += 1
            while at < end and text[at] in "\r\n":
                at += 1
        elif one in _ALL_BLANKS:
            word, at = _blanks(text, at)
            yield begin, word
            continue
        else:
            at += 1
            continue
        yield begin, text[begin:at]


def _blanks(text: str, begin: int) -> tuple[str, int]:
    """A run of blanks and line ends, and where to go on: a blank after the line ends is the library's twice, as the end
    of this word and in the next one."""
    at, seen_line_end = begin, False
    while at < len(text) and text[at] in _ALL_BLANKS:
        if text[at] in "\r\n":
            seen_line_end = True
        elif seen_line_end:
            return text[begin : at + 1], at
        at += 1
    return text[begin:at], at


def _is_sign(one: str) -> bool:
    return one not in _BLANKS and one not in _DIGITS and not _is_letter(one)


def _short_form(text: str, at: int) -> str:
    for length, endings in ((1, _SHORT_ENDINGS), (2, _LONG_ENDINGS)):
        ending = text[at + 1 : at + 1 + length].translate(_LOWER)
        if ending in endings:
            return ending
    return ""
