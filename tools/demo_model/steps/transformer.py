"""Trains the diffusion transformer by flow matching, on latents of lesson pictures and features of their prompts.

In two courses: the first learns everything on small pictures with few text tokens; the second (``--resume``) goes on
from there with larger pictures and all words of the prompt.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from random import Random

import torch

from tools.demo_model.conditioning import Conditioner
from tools.demo_model.flow import random_sigmas, velocity_loss
from tools.demo_model.layout import TransformerSize
from tools.demo_model.lessons import Painter, School, Stock
from tools.demo_model.networks.transformer import Transformer
from tools.demo_model.scenes import render
from tools.demo_model.steps import encoder as encoder_step
from tools.demo_model.steps import text as text_step
from tools.demo_model.tokenizer import Tokenizer
from tools.demo_model.workshop import Average, Training, Workshop, descend


@dataclass(frozen=True)
class Course:
    """``sizes``: (width, height, share of the batches). ``few_tokens_until``: a point of the progress in 0..1."""

    iterations: int
    rate: float
    batch: int
    few_tokens_until: float
    sizes: tuple[tuple[int, int, float], ...]


FIRST = Course(
    iterations=9_500,
    rate=1.5e-3,
    batch=48,
    few_tokens_until=0.65,
    sizes=((64, 64, 0.66), (96, 96, 0.12), (128, 128, 0.06), (96, 64, 0.08), (64, 96, 0.08)),
)
SECOND = Course(
    iterations=6_000,
    rate=1.2e-3,
    batch=64,
    few_tokens_until=0.0,
    sizes=((64, 64, 0.28), (96, 96, 0.26), (128, 128, 0.24), (96, 64, 0.08), (64, 96, 0.07), (128, 64, 0.07)),
)


def run(workshop: Workshop) -> Training:
    course = SECOND if workshop.resume else FIRST
    torch.manual_seed(workshop.seed)
    transformer = (load(workshop) if workshop.resume else Transformer()).requires_grad_()
    average = Average(transformer)
    optimizer = torch.optim.AdamW(_groups(transformer), betas=(0.9, 0.98))
    stocks = filled_stocks(school(workshop), course.sizes)
    training = workshop.training("transformer", course.iterations, lambda: save(workshop, average.module))
    rng = Random(workshop.seed)
    shares = [share for *_, share in course.sizes]
    for iteration, progress in training:
        # Warm up, hold, and from 55 % on sink to nothing.
        rate = course.rate * min(1, (iteration + 1) / 60) * min(1, 2.2 * (1 - progress)) + 1e-6
        stock = rng.choices(stocks, shares)[0]
        if iteration % 3 == 0:
            stock.add(8)
        larger = max(1.0, stock.width * stock.height / (64 * 64) * 2 / 3)
        batch = stock.sample(int(course.batch / larger), few_tokens=progress < course.few_tokens_until)
        loss = velocity_loss(transformer, batch, random_sigmas(len(batch.latents)))
        descend(optimizer, loss, rate)
        average.follow(transformer, iteration)
        training.note(loss.item())
    return training


def school(workshop: Workshop, painter: Painter = render, seed: int = 77) -> School:
    """Lessons in terms of this workshop's finished encoders."""
    conditioner = Conditioner(Tokenizer(), text_step.load(workshop))
    return School(encoder_step.load(workshop), conditioner, seed + workshop.seed, painter)


def filled_stocks(lessons: School, sizes: tuple[tuple[int, int, float], ...], batches: int = 10) -> list[Stock]:
    """A stock for every size, with ``batches`` of 32 lessons shared among them to begin with."""
    stocks = []
    for width, height, share in sizes:
        stock = Stock(lessons, width, height, capacity=4000 if width * height <= 64 * 64 else 1200)
        for _ in range(max(1, round(batches * share))):
            stock.add(32)
        stocks.append(stock)
    return stocks


def save(workshop: Workshop, transformer: Transformer) -> None:
    workshop.save("transformer", {"size": asdict(transformer.size), "weights": transformer.state_dict()})


def load(workshop: Workshop) -> Transformer:
    state = workshop.load("transformer")
    transformer = Transformer(TransformerSize(**state["size"]))
    transformer.load_state_dict(state["weights"])
    return transformer.requires_grad_(False)


def _groups(transformer: Transformer) -> list[dict[str, object]]:
    """Only matrices are pulled towards zero."""
    matrices = [weight for weight in transformer.parameters() if weight.dim() > 1]
    others = [weight for weight in transformer.parameters() if weight.dim() < 2]
    return [{"params": matrices, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
