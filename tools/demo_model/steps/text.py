"""Trains the text encoder: every token after the prompt must know what the prompt said.

That is where the diffusion transformer will look: the template's last words and the padding outnumber the prompt by
far. Linear probes read the attributes there; they are thrown away.
"""

from __future__ import annotations

import math
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional

from tools.demo_model.conditioning import Conditioner, vocabulary
from tools.demo_model.layout import TEXT_WIDTH
from tools.demo_model.networks.text_encoder import TextEncoder
from tools.demo_model.scenes import COLOURS, POSITIONS, SHAPES, SIZES, Scene, random_lesson
from tools.demo_model.tokenizer import Tokenizer
from tools.demo_model.workshop import Training, Workshop, descend

ITERATIONS = 600
BATCH, PADS = 48, 6
ATTRIBUTES = {
    "colour": list(COLOURS),
    "background": list(COLOURS),
    "shape": list(SHAPES),
    "size": list(SIZES),
    "position": list(POSITIONS),
}


def run(workshop: Workshop) -> Training:
    tokenizer = Tokenizer()
    torch.manual_seed(workshop.seed)
    encoder = TextEncoder(vocabulary(tokenizer))
    conditioner = Conditioner(tokenizer, encoder)
    probe = nn.Linear(TEXT_WIDTH, sum(len(values) + 1 for values in ATTRIBUTES.values()))
    optimizer = torch.optim.AdamW([*encoder.parameters(), *probe.parameters()], betas=(0.9, 0.98), weight_decay=1e-3)
    rng = Random(workshop.seed)
    training = workshop.training("text", ITERATIONS, lambda: save(workshop, encoder))
    accuracy = 0.0
    for iteration, progress in training:
        rate = 3e-3 * min(1, iteration / 50) * (0.5 + 0.5 * math.cos(math.pi * progress)) + 1e-5
        lessons = [random_lesson(rng) for _ in range(BATCH)]
        tokens = conditioner.tokens([lesson.prompt for lesson in lessons], rng, PADS)
        after_prompt = tokens.is_real.sum(1) - conditioner.suffix_length
        asked = tokens.positions >= after_prompt[:, None]
        row = asked.nonzero()[:, 0]
        answers = probe(encoder(*tokens)[asked])
        loss, accuracy = _grade(answers, _targets([lesson.said for lesson in lessons])[row])
        descend(optimizer, loss, rate)
        training.note(loss.item())
    print(f"text: {accuracy:.1%} of the attributes read correctly in the last batch")
    return training


def save(workshop: Workshop, encoder: TextEncoder) -> None:
    workshop.save("text", {"token_ids": encoder.token_ids, "weights": encoder.state_dict()})


def load(workshop: Workshop) -> TextEncoder:
    state = workshop.load("text")
    encoder = TextEncoder(state["token_ids"])
    encoder.load_state_dict(state["weights"])
    return encoder.requires_grad_(False)


def _targets(scenes: list[Scene]) -> Tensor:
    """[n, 5]; 0: not said."""
    choices = {name: [None, *values] for name, values in ATTRIBUTES.items()}
    return torch.tensor([[found.index(getattr(scene, name)) for name, found in choices.items()] for scene in scenes])


def _grade(answers: Tensor, targets: Tensor) -> tuple[Tensor, float]:
    """Answers [k, classes of all attributes], targets [k, 5] -> (cross entropy, share of right answers)"""
    parts = answers.split([len(values) + 1 for values in ATTRIBUTES.values()], -1)
    losses = [functional.cross_entropy(part, targets[:, i]) for i, part in enumerate(parts)]
    right = [(part.argmax(-1) == targets[:, i]).float().mean().item() for i, part in enumerate(parts)]
    return torch.stack(losses).sum(), sum(right) / len(right)
