"""Trains the autoencoder's decoder: small crops of shapes at any scale, back from the latents of the fixed encoder."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tools.demo_model.networks.autoencoder import Decoder
from tools.demo_model.scenes import COLOURS, SHAPES, Pixels, Placement, blend, coverage
from tools.demo_model.steps import encoder as encoder_step
from tools.demo_model.workshop import Average, Training, Workshop, descend, half_precision

ITERATIONS = 16_000
BATCH, SIDE = 16, 48


def run(workshop: Workshop) -> Training:
    """Trains anew, or with ``workshop.resume`` from the last result."""
    encoder = encoder_step.load(workshop)
    torch.manual_seed(workshop.seed)
    decoder = (load(workshop) if workshop.resume else Decoder()).requires_grad_()
    decoder = decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = Average(decoder)
    optimizer = torch.optim.AdamW(decoder.parameters(), betas=(0.9, 0.99), weight_decay=1e-4)
    rng = Random(workshop.seed)
    training = workshop.training("decoder", ITERATIONS, lambda: save(workshop, average.module))
    squared = 1.0
    for iteration, progress in training:
        rate = 1.5e-3 * min(1, iteration / 50) * (0.5 + 0.5 * math.cos(math.pi * progress)) + 1e-5
        pictures = torch.from_numpy(np.stack([random_crop(rng) for _ in range(BATCH)]))
        latents = _a_little_wrong(encoder.encode(pictures))
        with half_precision():
            drawn = decoder(latents.contiguous(memory_format=torch.channels_last))
        error = drawn.float() - pictures
        loss = error.abs().mean() + 3 * error.pow(2).mean()
        descend(optimizer, loss, rate)
        average.follow(decoder, iteration)
        training.note(loss.item())
        squared = 0.98 * squared + 0.02 * error.detach().pow(2).mean().item()
    print(f"decoder: {-10 * math.log10(squared):.1f} dB")
    return training


def save(workshop: Workshop, decoder: Decoder) -> None:
    workshop.save("decoder", decoder.state_dict())


def load(workshop: Workshop) -> Decoder:
    decoder = Decoder()
    decoder.load_state_dict(workshop.load("decoder"))
    return decoder.requires_grad_(False)


def random_crop(rng: Random) -> Pixels:
    """A piece [3, 48, 48] of a picture: mostly one edge or corner, at any scale, sometimes two objects or a shade."""
    picture = blend(_random_coverage(rng), _random_colour(rng), np.array(_random_colour(rng)))
    if rng.random() < 0.15:
        picture = blend(_random_coverage(rng), _random_colour(rng), picture)
    if rng.random() < 0.05:
        corners = torch.tensor([rng.random() for _ in range(12)]).view(1, 3, 2, 2)
        shade = functional.interpolate(corners, size=(SIDE, SIDE), mode="bilinear", align_corners=True)[0]
        picture = 0.6 * picture + 0.4 * shade.numpy()
    return picture


def _random_coverage(rng: Random) -> Pixels:
    radius = 8 * 10 ** rng.random()
    angle, distance = rng.uniform(0, 2 * math.pi), radius * rng.uniform(0, 1.1)
    centre = Placement(SIDE / 2 + math.cos(angle) * distance, SIDE / 2 + math.sin(angle) * distance, radius)
    return coverage(rng.choice(list(SHAPES)), centre, SIDE, SIDE)


def _random_colour(rng: Random) -> list[float]:
    if rng.random() < 0.85:
        return [min(1.0, max(0.0, value + rng.uniform(-0.015, 0.015))) for value in rng.choice(list(COLOURS.values()))]
    return [rng.random() for _ in range(3)]


def _a_little_wrong(latents: Tensor) -> Tensor:
    """Noise of up to 0.08: the transformer's latents will not be exact either."""
    return latents + torch.randn_like(latents) * 0.08 * torch.rand(len(latents), 1, 1, 1)
