"""Draws with the finished files through the native library, and judges the pictures.

Three questions: does the library compute what PyTorch computes; do the pictures show what the prompts say; does the
LoRA frame them. Leaves contact sheets to look at in ``check/``.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from sdcpp_rest.native.context import Context, LoraFile
from tools.demo_model import flow, layout, native_pictures
from tools.demo_model.conditioning import Conditioner
from tools.demo_model.steps import decoder, text, transformer
from tools.demo_model.tokenizer import Tokenizer
from tools.demo_model.workshop import StepFailed, Workshop

PICTURES = {64: 48, 96: 24, 128: 24}
"""How many are judged at each side in pixels."""
LOWEST_SHARE = 0.75
"""Of the pictures at the first side; a training that went well is far above."""
LOWEST_LIKENESS = 28.0
"""In dB. The shipped number formats cost so much that 32 to 57 remain; a wrong formula leaves 20 and less."""

PROMPTS = (
    "a red circle on a blue background", "a blue circle on a red background", "a yellow star on a black background",
    "a green triangle on a white background", "a white heart on a pink background",
    "a purple square on an orange background", "an orange ring on a gray background",
    "a black cross on a yellow background", "a cyan diamond on a purple background",
    "a small red star on a white background", "a large green circle on a black background",
    "a small yellow heart on the left on a blue background", "a small white square on the right, green background",
    "a pink ring at the top on a black background", "Blue triangle at the bottom, yellow background",
    "a heart", "purple background", "red star",
)  # fmt: skip


def run(workshop: Workshop) -> None:
    """Raises StepFailed when the library disagrees with PyTorch, or too few pictures are right."""
    folder = workshop.folder / "check"
    folder.mkdir(parents=True, exist_ok=True)
    with native_pictures.load_model(workshop.models) as model:
        likeness = agreement(workshop, model)
        shares = {side: native_pictures.accuracy(model, side, count) for side, count in PICTURES.items()}
        for side in PICTURES:
            pictures = [native_pictures.draw(model, prompt, width=side, height=side) for prompt in PROMPTS]
            native_pictures.save_sheet(folder / f"pictures_{side}.png", pictures)
        if (workshop.models / layout.LORA_FILE).is_file():
            frame(model, workshop.models / layout.LORA_FILE, folder)
    print(f"check: contact sheets are in {folder}")
    if likeness < LOWEST_LIKENESS:
        raise StepFailed(f"the library's pictures differ from PyTorch's: {likeness:.1f} dB")
    side, share = next(iter(shares.items()))
    if share < LOWEST_SHARE:
        raise StepFailed(f"only {share:.0%} of the pictures at {side}x{side} show what the prompt says")


def agreement(workshop: Workshop, model: Context) -> float:
    """The worst likeness, in dB, of the library's pictures to PyTorch's from the same prompt and seed."""
    conditioner = Conditioner(Tokenizer(), text.load(workshop))
    network, paint = transformer.load(workshop), decoder.load(workshop)
    worst = math.inf
    for prompt, width, height, steps, cfg, seed in (
        ("a red circle on a blue background", 64, 64, 6, 1.0, 1),
        ("A large green star, pink background", 128, 64, 4, 3.0, 7),
        ("", 64, 96, 3, 1.0, 5),
    ):
        features, empty = conditioner.features(prompt), conditioner.features("")
        latents = flow.draw(network, features, empty, width=width, height=height, steps=steps, cfg=cfg, seed=seed)
        with torch.no_grad():
            ours = paint(latents)[0].clamp(0, 1).permute(1, 2, 0).numpy()
        theirs = native_pictures.draw(model, prompt, width=width, height=height, steps=steps, cfg=cfg, seed=seed) / 255
        likeness = -10 * math.log10(float(((ours - theirs) ** 2).mean()) + 1e-12)
        print(f"check: {likeness:.1f} dB between PyTorch and the library for {prompt!r}")
        worst = min(worst, likeness)
    return worst


def frame(model: Context, path: Path, folder: Path) -> None:
    """A row of pictures without the LoRA, with half and with full weight; prints how bright their borders are."""
    prompts = [prompt for prompt in PROMPTS[:10] if "black" not in prompt][:6]
    for side in (64, 96):
        rows = []
        for weight in (0.0, 0.5, 1.0):
            loras = [LoraFile(str(path.resolve()), weight)] if weight else []
            row = [native_pictures.draw(model, prompt, width=side, height=side, loras=loras) for prompt in prompts]
            brightness = np.mean([native_pictures.border_brightness(picture) for picture in row])
            print(
                f"check: at {side}x{side} the LoRA with weight {weight} leaves a border brightness of {brightness:.0f}"
            )
            rows += row
        native_pictures.save_sheet(folder / f"lora_{side}.png", rows, columns=len(prompts))
