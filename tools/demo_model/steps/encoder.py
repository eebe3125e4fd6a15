"""Computes the autoencoder's encoder from lesson pictures. It is linear: nothing to train, and done in seconds."""

from __future__ import annotations

from random import Random

import numpy as np
import torch

from tools.demo_model.networks.autoencoder import LinearEncoder, encode_by_layout, patches_of
from tools.demo_model.scenes import random_lesson, render
from tools.demo_model.workshop import StepFailed, Workshop

PICTURES = ((64, 250), (96, 120), (128, 60))
"""(side in pixels, how many)"""


def run(workshop: Workshop) -> float:
    """Returns the largest difference between the transform and its convolutions, which must be rounding."""
    rng = Random(workshop.seed)
    patches = torch.cat([patches_of(_pictures(rng, side, count)).flatten(0, 2) for side, count in PICTURES])
    encoder = LinearEncoder.fitted_to(patches)
    pictures = _pictures(rng, 64, 16)
    difference = (encode_by_layout(encoder.file_tensors(), pictures) - encoder.encode(pictures)).abs().max().item()
    if difference > 1e-4:
        raise StepFailed(f"the convolutions differ from the transform by {difference}")
    save(workshop, encoder)
    print(f"encoder: computed from {len(patches)} patches; convolutions differ from the transform by {difference:.0e}")
    return difference


def save(workshop: Workshop, encoder: LinearEncoder) -> None:
    workshop.save("encoder", {"matrix": encoder.matrix, "bias": encoder.bias})


def load(workshop: Workshop) -> LinearEncoder:
    return LinearEncoder(**workshop.load("encoder"))


def _pictures(rng: Random, side: int, count: int) -> torch.Tensor:
    scenes = [random_lesson(rng).shown for _ in range(count)]
    return torch.from_numpy(np.stack([render(rng, scene, side, side, jitter=0.02) for scene in scenes]))
