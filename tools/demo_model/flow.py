"""Flow matching: how noise and latents mix, what the transformer is asked, and how a picture is drawn from noise.

The formulas are the library's; ``check`` compares pictures of both. Knows no prompts.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from tools.demo_model.layout import LATENT_CHANNELS, LATENT_SCALE
from tools.demo_model.lessons import Batch
from tools.demo_model.networks.transformer import Transformer
from tools.demo_model.workshop import half_precision


def shifted(t: Tensor) -> Tensor:
    """Times in 0..1 to sigmas in 0..1, moved towards the noise as the library does (mu = 1)."""
    return math.e * t / (1 + (math.e - 1) * t)


def random_sigmas(n: int, shifted_share: float = 0.6) -> Tensor:
    """[n]; most of them distributed as sampling meets them, the others evenly."""
    t = torch.rand(n)
    return torch.where(torch.rand(n) < shifted_share, shifted(t), t).clamp(0.002, 0.9999)


def velocity_loss(transformer: Transformer, batch: Batch, sigmas: Tensor) -> Tensor:
    """Mean square error of the predicted velocity, noise minus latent."""
    noise = torch.randn_like(batch.latents)
    velocity = noise - batch.latents
    noisy = batch.latents + velocity * sigmas[:, None, None, None]
    with half_precision():
        predicted = transformer(noisy, sigmas, batch.text, batch.text_positions, batch.text_bias)
    return (predicted.float() - velocity).pow(2).mean()


def schedule(steps: int) -> list[float]:
    """Sigmas of the library's "discrete" scheduler: ``steps`` of them, and 0."""
    times = torch.linspace(1000, 1, steps, dtype=torch.double) / 1000 if steps > 1 else torch.ones(1)
    return [*shifted(times).tolist(), 0.0]


@torch.no_grad()
def draw(
    transformer: Transformer, text: Tensor, empty: Tensor, *, width: int, height: int, steps: int, cfg: float, seed: int
) -> Tensor:
    """Latents [1, 16, height / 8, width / 8] by Euler steps from the noise of ``seed`` (the library's rng "cpu").

    ``text`` and ``empty`` are the features [1, 256, 64] of the prompt and of the negative prompt. Sizes in pixels.
    """
    shape = (1, LATENT_CHANNELS, height // LATENT_SCALE, width // LATENT_SCALE)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    positions = torch.arange(text.shape[1])
    sigmas = schedule(steps)
    for sigma, following in pairwise(sigmas):
        at = torch.tensor([sigma])
        velocity = transformer(latents, at, text, positions)
        if cfg != 1:
            away = transformer(latents, at, empty, positions)
            velocity = away + cfg * (velocity - away)
        latents = latents + (following - sigma) * velocity
    return latents
