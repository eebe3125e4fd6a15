"""Where a training run lives: its folder of checkpoints and finished files, how long it may take, and its loop.

Knows no network and no step; every step gets one ``Workshop`` and reads and writes only through it.
"""

from __future__ import annotations

import copy
import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

import torch
from torch import nn

SECONDS_PER_REPORT = 10.0
SECONDS_PER_SAVE = 60.0


class StepFailed(Exception):
    """A step cannot run yet, or its result is not good enough; the message is for whoever started it."""


@dataclass(frozen=True)
class Workshop:
    """What the user asked for. ``minutes`` and ``iterations`` of None: the step's own default."""

    folder: Path
    minutes: float | None = None
    iterations: int | None = None
    resume: bool = False
    seed: int = 1

    @property
    def models(self) -> Path:
        """The finished files, in the same sub-folders as the bundled model."""
        return self.folder / "models"

    def model_path(self, file: PurePosixPath) -> Path:
        """The path of a finished file; its folder exists."""
        path = self.models / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def save(self, name: str, state: Any) -> None:
        """Keep a step's result. An interrupted run leaves the last whole one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f".{name}.pt"
        torch.save(state, unfinished)
        os.replace(unfinished, self.folder / f"{name}.pt")

    def load(self, name: str) -> Any:
        """The result of step ``name``. StepFailed when it has not run here."""
        path = self.folder / f"{name}.pt"
        if not path.is_file():
            raise StepFailed(f"{path} does not exist: run the step {name!r} (or adopt) first")
        return torch.load(path)

    def asked_for(self, *, minutes: float | None = None, resume: bool = False) -> Workshop:
        """The same workshop for one step of a longer run."""
        return replace(self, minutes=minutes, iterations=None, resume=resume)

    def training(self, name: str, default_iterations: int, save: Callable[[], None]) -> Training:
        """The loop of step ``name``, as long as was asked for."""
        if self.minutes is None and self.iterations is None:
            return Training(name, None, default_iterations, save)
        return Training(name, self.minutes, self.iterations, save)


class Training:
    """Iterates over (iteration, progress in 0..1) until the time is up or the iterations are done.

    Reports losses and saves on the way; ``losses`` holds one number per iteration.
    """

    def __init__(self, name: str, minutes: float | None, iterations: int | None, save: Callable[[], None]) -> None:
        self.name = name
        self.losses: list[float] = []
        self._seconds = None if minutes is None else minutes * 60
        self._iterations = iterations
        self._save = save

    def __iter__(self) -> Iterator[tuple[int, float]]:
        started = reported = saved = time.monotonic()
        for iteration in itertools.count():
            now = time.monotonic()
            progress = self._progress(iteration, now - started)
            if progress >= 1:
                break
            if now - reported >= SECONDS_PER_REPORT:
                reported = now
                self._report(progress, now - started)
            if now - saved >= SECONDS_PER_SAVE:
                saved = now
                self._save()
            yield iteration, progress
        self._save()
        self._report(1.0, time.monotonic() - started)

    def note(self, loss: float) -> None:
        self.losses.append(loss)

    def _progress(self, iteration: int, seconds: float) -> float:
        return max(
            seconds / self._seconds if self._seconds else 0.0,
            iteration / self._iterations if self._iterations else 0.0,
        )

    def _report(self, progress: float, seconds: float) -> None:
        recent = self.losses[-100:] or [float("nan")]
        print(
            f"{self.name}: {progress:4.0%}, {seconds:.0f} s, {len(self.losses)} iterations, "
            f"loss {sum(recent) / len(recent):.4f}",
            flush=True,
        )


M = TypeVar("M", bound=nn.Module)


class Average(Generic[M]):
    """A copy of a network whose weights follow it slowly; it draws better than the network itself."""

    def __init__(self, module: M) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False)

    @torch.no_grad()
    def follow(self, module: M, iteration: int) -> None:
        """Faster at first, or the random start would linger."""
        pace = 1 - min(0.998, (iteration + 1) / (iteration + 15))
        for mine, theirs in zip(self.module.parameters(), module.parameters(), strict=True):
            mine.lerp_(theirs, pace)


def descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor, rate: float, max_norm: float = 1.0) -> None:
    """One step down the gradient of ``loss``, clipped to ``max_norm``, with learning rate ``rate``."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    nn.utils.clip_grad_norm_(parameters, max_norm)
    optimizer.step()


def half_precision() -> torch.autocast:
    """bfloat16 arithmetic: faster where the CPU has it, and exact enough to learn with."""
    return torch.autocast("cpu", dtype=torch.bfloat16)
