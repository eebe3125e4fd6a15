"""Qwen2's byte-level BPE, so that training sees the very tokens which the native library will make of a prompt.

The merges are read from the library's pinned source, which the build unpacks; nothing of them is copied here. Needs no
PyTorch, and reads that one file.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from sdcpp_rest.native.build import fetch_source

PREFIX = (
    "<|im_start|>user\nDescribe the image by detailing the color, quantity, text, shape, size, texture, "
    "spatial relationships of the objects and background:"
)
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
"""The library's own words around a prompt for this architecture (29 and 9 tokens)."""

PAD = 151643
SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>",
    "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>",
    "<think>", "</think>",
)  # fmt: skip
"""In the order of their ids, from PAD on."""

_SPECIAL = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + ")")
_PIECE = re.compile(
    r"'(?:[sdmt]|ll|ve|re)"  # the tail of "it's"
    r"|[^\r\n\w]?[^\W\d_]+"  # a word, with the space before it
    r"|\d"  # digits, one by one
    r"| ?[^\s\w]+[\r\n]*|_"  # punctuation
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"  # white space
)


def merges_path() -> Path:
    """The header of the pinned source that holds the merges; fetched when it is not there. Raises BuildError."""
    return fetch_source() / "vendor/stable-diffusion.cpp/src/tokenizers/vocab/qwen.hpp"


class Tokenizer:
    """Text to token ids."""

    def __init__(self, path: Path | None = None) -> None:
        path = path or merges_path()
        merges = _read_merges(path)
        self._letters = _byte_letters()
        tokens = [*self._letters.values(), *("".join(pair) for pair in merges), *SPECIAL]
        self._ids = {token: number for number, token in enumerate(tokens)}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._known: dict[str, list[int]] = {}
        if self._ids[SPECIAL[0]] != PAD:
            raise ValueError(f"{path} holds {len(merges)} merges, which are not Qwen2's: <|endoftext|> is not {PAD}")

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``, special tokens included."""
        ids: list[int] = []
        for part in _SPECIAL.split(text):
            if part in SPECIAL:
                ids.append(self._ids[part])
            else:
                for piece in _PIECE.findall(part):
                    ids += self._encode_piece(piece)
        return ids

    def _encode_piece(self, piece: str) -> list[int]:
        if piece not in self._known:
            letters = [self._letters[byte] for byte in piece.encode()]
            self._known[piece] = [self._ids[token] for token in self._merge(letters)]
        return self._known[piece]

    def _merge(self, tokens: list[str]) -> list[str]:
        """Join the neighbours of the lowest rank until no rule applies."""
        never = len(self._ranks)
        while len(tokens) > 1:
            first, second = min(pairwise(tokens), key=lambda pair: self._ranks.get(pair, never))
            if (first, second) not in self._ranks:
                break
            joined: list[str] = []
            for token in tokens:
                # `first` may equal `second`: a token that was just joined must not be joined again.
                if joined and token == second and joined[-1] == first:
                    joined[-1] = first + second
                else:
                    joined.append(token)
            tokens = joined
        return tokens


def _read_merges(path: Path) -> list[tuple[str, str]]:
    source = path.read_text()
    array = source[source.index("{") + 1 : source.index("}")]
    text = bytes(int(byte, 16) for byte in re.findall(r"0x([0-9a-fA-F]{2})", array)).decode()
    lines = [line for line in text.split("\n") if " " in line and not line.startswith("#version")]
    return [(first, second) for first, _, second in (line.partition(" ") for line in lines)]


def _byte_letters() -> dict[int, str]:
    """GPT-2's printable letter for every byte, in the order of the first 256 ids."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}
