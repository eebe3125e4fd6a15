"""Trains the bundled LoRA: the same pictures in a thick black frame, half as dark at half the weight.

It fits the transformer it was trained on, and only that one: train it again after every change of the transformer.
"""

from __future__ import annotations

import math
from functools import partial
from random import Random

import numpy as np
import torch
from torch import Tensor, nn

from tools.demo_model import layout
from tools.demo_model.flow import random_sigmas, velocity_loss
from tools.demo_model.networks.transformer import Transformer, to_file_order
from tools.demo_model.scenes import Pixels, Scene, render
from tools.demo_model.steps import transformer as transformer_step
from tools.demo_model.workshop import Training, Workshop, descend

ITERATIONS = 1_800
BATCH = 32
SIZES = ((64, 64, 0.6), (96, 96, 0.25), (128, 128, 0.15))
WEIGHTS = {1.0: 0.6, 0.5: 0.4}
"""Weight of the LoRA, and its share of the batches. Trained at 1.0 alone, it would not show at 0.5."""


class LowRank(nn.Module):
    """A frozen linear layer with a trainable change of low rank."""

    def __init__(self, linear: nn.Linear, rank: int = layout.LORA_RANK) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, linear.in_features) / math.sqrt(linear.in_features))
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank))
        self.weight = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.weight * (x @ self.down.T) @ self.up.T


def run(workshop: Workshop) -> Training:
    torch.manual_seed(workshop.seed)
    transformer = transformer_step.load(workshop)
    changes = attach(transformer)
    parameters = [parameter for change in changes.values() for parameter in (change.down, change.up)]
    optimizer = torch.optim.Adam(parameters)
    stocks = {}
    for weight in WEIGHTS:
        lessons = transformer_step.school(workshop, partial(framed, darkness=weight), seed=9)
        stocks[weight] = transformer_step.filled_stocks(lessons, SIZES)
    training = workshop.training("lora", ITERATIONS, lambda: save(workshop, changes))
    rng = Random(workshop.seed)
    shares = [share for *_, share in SIZES]
    for iteration, progress in training:
        weight = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        stock = rng.choices(stocks[weight], shares)[0]
        for change in changes.values():
            change.weight = weight
        if iteration % 2 == 0:
            stock.add(8)
        batch = stock.sample(BATCH, few_tokens=False)
        # All sigmas as sampling meets them: the frame is decided early, when there is little but noise.
        loss = velocity_loss(transformer, batch, random_sigmas(BATCH, shifted_share=1.0))
        descend(optimizer, loss, 4e-3 * (1 - progress) + 1e-5)
        training.note(loss.item())
    return training


def framed(rng: Random, scene: Scene, width: int, height: int, darkness: float = 1.0) -> Pixels:
    """The scene's picture in a frame of an eighth of its shorter side; ``darkness`` 1 is black, 0 is no frame."""
    picture = render(rng, scene, width, height)
    frame = min(width, height) // 8
    darkened = picture * np.float32(1 - darkness)
    darkened[:, frame:-frame, frame:-frame] = picture[:, frame:-frame, frame:-frame]
    return darkened


def attach(transformer: Transformer) -> dict[str, LowRank]:
    """Replace the layout's target layers in ``transformer``; returns the replacements by name."""
    changes = {}
    for name in layout.lora_targets(transformer.size):
        parent, _, own = name.rpartition(".")
        holder = transformer.get_submodule(parent)
        linear = getattr(holder, own)
        changes[name] = LowRank(linear)
        setattr(holder, own, changes[name])
    return changes


def save(workshop: Workshop, changes: dict[str, LowRank]) -> None:
    workshop.save("lora", {name: {"down": one.down.detach(), "up": one.up.detach()} for name, one in changes.items()})


def file_tensors(workshop: Workshop) -> dict[str, Tensor]:
    """The file's tensors of the last result."""
    tensors = {}
    for name, change in workshop.load("lora").items():
        tensors[f"{layout.LORA_PREFIX}{name}.lora_A.weight"] = change["down"]
        tensors[f"{layout.LORA_PREFIX}{name}.lora_B.weight"] = to_file_order(f"{name}.weight", change["up"])
    return tensors
