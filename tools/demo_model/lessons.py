"""What the diffusion transformer and LoRAs learn from: latents of lesson pictures, with the features of their prompts.

Knows how to make them and how to keep a stock of them; knows nothing of the transformer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tools.demo_model.conditioning import DROPPED, TEXT_TOKENS, Conditioner
from tools.demo_model.layout import LATENT_CHANNELS, LATENT_SCALE, TEXT_WIDTH
from tools.demo_model.networks.autoencoder import LinearEncoder
from tools.demo_model.scenes import Pixels, Scene, random_lesson, render

Painter = Callable[[Random, Scene, int, int], Pixels]
"""(rng, scene, width, height) -> picture [3, height, width]; ``scenes.render`` or a variation of it."""


class Batch(NamedTuple):
    """latents [n, 16, h, w]; text [n, t, 64]; text_positions [n, t] in 0..255; text_bias [n, t] for the attention."""

    latents: Tensor
    text: Tensor
    text_positions: Tensor
    text_bias: Tensor


class School:
    """Makes lessons for a given encoder and text encoder, both finished."""

    def __init__(self, encoder: LinearEncoder, conditioner: Conditioner, seed: int, painter: Painter = render) -> None:
        self.encoder = encoder
        self.conditioner = conditioner
        self.rng = Random(seed)
        self.painter = painter

    def pictures(self, scenes: Sequence[Scene], width: int, height: int) -> Tensor:
        """[n, 3, height, width] in 0..1"""
        return torch.from_numpy(np.stack([self.painter(self.rng, scene, width, height) for scene in scenes]))


class Stock:
    """A ring of lessons of one picture size: new ones replace the oldest.

    Of the 256 text tokens it keeps the real ones and some of the padding, and hands out fewer still. The number of
    tokens that one stands for is added to its attention logits, as a logarithm: so the transformer feels all 256.
    """

    REAL, PADDING = 32, 20

    def __init__(self, school: School, width: int, height: int, capacity: int) -> None:
        self.width, self.height = width, height
        self._school = school
        self._capacity = capacity
        self._count = self._next = 0
        kept = self.REAL + self.PADDING
        self._latents = torch.zeros(capacity, LATENT_CHANNELS, height // LATENT_SCALE, width // LATENT_SCALE)
        self._text = torch.zeros(capacity, kept, TEXT_WIDTH)
        self._positions = torch.zeros(capacity, kept, dtype=torch.long)
        self._real = torch.zeros(capacity, dtype=torch.long)

    @torch.no_grad()
    def add(self, count: int) -> None:
        """Draw and encode ``count`` new lessons."""
        school = self._school
        lessons = [random_lesson(school.rng) for _ in range(count)]
        latents = school.encoder.encode(school.pictures([lesson.shown for lesson in lessons], self.width, self.height))
        tokens = school.conditioner.tokens([lesson.prompt for lesson in lessons], school.rng, self.PADDING)
        features = school.conditioner.encoder(*tokens)[:, DROPPED:]
        positions = tokens.positions[:, DROPPED:] - DROPPED
        for index, real in enumerate((tokens.is_real.sum(1) - DROPPED).tolist()):
            if real > self.REAL:
                continue  # a very long prompt; rare
            place, self._next = self._next, (self._next + 1) % self._capacity
            self._count = max(self._count, place + 1)
            padding = slice(real, real + self.PADDING)
            self._latents[place], self._real[place] = latents[index], real
            self._text[place, :real], self._positions[place, :real] = features[index, :real], positions[index, :real]
            self._text[place, self.REAL :] = features[index, padding]
            self._positions[place, self.REAL :] = positions[index, padding]

    def sample(self, n: int, few_tokens: bool) -> Batch:
        """``n`` lessons, with 5 real tokens and 6 of the padding (fast), or with all real tokens and 8 (better)."""
        chosen = torch.randint(self._count, (n,))
        real = self._real[chosen]
        if few_tokens:
            places, bias = self._few(real)
        else:
            places, bias = self._all(real)
        return Batch(
            self._latents[chosen],
            self._text[chosen].gather(1, places[..., None].expand(-1, -1, TEXT_WIDTH)),
            self._positions[chosen].gather(1, places),
            bias,
        )

    def _few(self, real: Tensor, words: int = 5, pads: int = 6) -> tuple[Tensor, Tensor]:
        unused = torch.arange(self.REAL) >= real[:, None]
        chosen = (torch.rand(len(real), self.REAL) + 9.0 * unused).argsort(1)[:, :words]
        weight = torch.log(real / words)[:, None].expand(-1, words)
        return self._with_padding(chosen, weight, real, pads)

    def _all(self, real: Tensor, pads: int = 8) -> tuple[Tensor, Tensor]:
        words = torch.arange(int(real.max())).expand(len(real), -1)
        weight = torch.zeros(words.shape).masked_fill(words >= real[:, None], -1e4)
        return self._with_padding(words, weight, real, pads)

    def _with_padding(self, words: Tensor, weight: Tensor, real: Tensor, pads: int) -> tuple[Tensor, Tensor]:
        padding = torch.rand(len(real), self.PADDING).argsort(1)[:, :pads] + self.REAL
        padding_weight = torch.log((TEXT_TOKENS - real) / pads)[:, None].expand(-1, pads)
        return torch.cat([words, padding], 1), torch.cat([weight, padding_weight], 1)
