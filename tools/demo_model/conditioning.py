"""From prompts to what the diffusion transformer reads: the token sequence that the library builds, and its features.

Knows the library's template, padding and cuts for this architecture; knows no pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from tools.demo_model.networks.text_encoder import TextEncoder
from tools.demo_model.scenes import UNKNOWN_WORD, random_lesson
from tools.demo_model.tokenizer import PAD, PREFIX, SUFFIX, Tokenizer

TEXT_TOKENS = 256
"""The transformer always reads this many, most of them padding."""
DROPPED = 28
"""Leading tokens of the template that only the text encoder sees (the 29th, a colon, stays)."""
LENGTH = DROPPED + TEXT_TOKENS


class Tokens(NamedTuple):
    """A batch for the text encoder, [n, t] each: embedding slots, positions in 0..283, and False for padding."""

    slots: Tensor
    positions: Tensor
    is_real: Tensor


class Conditioner:
    """A text encoder with its tokenizer."""

    def __init__(self, tokenizer: Tokenizer, encoder: TextEncoder) -> None:
        self.encoder = encoder
        self._tokenizer = tokenizer
        self._prefix = encoder.slots(tokenizer.encode(PREFIX))
        self._suffix = encoder.slots(tokenizer.encode(SUFFIX))
        self._pad = encoder.slots([PAD])[0]
        self.suffix_length = len(self._suffix)

    def tokens(self, prompts: Sequence[str], rng: Random, padding: int | None = None) -> Tokens:
        """Template, prompt and padding of every prompt.

        With ``padding`` of None all of it, as the library does; else only so many pads, at random positions: pads
        differ in nothing but their position, so a few teach as much as all, in a tenth of the time.
        """
        rows = [[*self._prefix, *self._prompt(prompt, rng), *self._suffix] for prompt in prompts]
        length = LENGTH if padding is None else max(map(len, rows)) + padding
        slots = torch.full((len(rows), length), self._pad)
        positions = torch.zeros(len(rows), length, dtype=torch.long)
        is_real = torch.zeros(len(rows), length, dtype=torch.bool)
        for row, known in enumerate(rows):
            real = len(known)
            slots[row, :real] = torch.tensor(known)
            is_real[row, :real] = True
            free = range(real, LENGTH)
            pads = free if padding is None else rng.sample(free, length - real)
            positions[row] = torch.tensor([*range(real), *pads])
        return Tokens(slots, positions, is_real)

    @torch.no_grad()
    def features(self, prompt: str) -> Tensor:
        """All that the transformer reads of one prompt, [1, 256, 64]."""
        return self.encoder(*self.tokens([prompt], Random(0)))[:, DROPPED:]

    def _prompt(self, prompt: str, rng: Random) -> list[int]:
        """The prompt's slots; an unknown word becomes one or two unknown tokens, as rare words do."""
        known, *others = f" {prompt}".split(f" {UNKNOWN_WORD}")
        slots = self._slots(known)
        for text in others:
            slots += [self.encoder.unknown] * rng.choice([1, 2]) + self._slots(text)
        return slots

    def _slots(self, text: str) -> list[int]:
        return self.encoder.slots(self._tokenizer.encode(text))


def vocabulary(tokenizer: Tokenizer) -> set[int]:
    """Every token that a prompt of the grammar can contain, the template's included."""
    rng = Random(1)
    tokens = {PAD, *tokenizer.encode(PREFIX), *tokenizer.encode(SUFFIX), *tokenizer.encode(" ")}
    for _ in range(20_000):
        for text in f" {random_lesson(rng).prompt}".split(f" {UNKNOWN_WORD}"):
            tokens.update(tokenizer.encode(text))
    return tokens
