"""Draws with a model's files through the native library, and counts what came out right.

Knows the files' layout and the judge; knows nothing of how they were trained. Needs the library; needs no PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdcpp_rest.native.context import Context, ContextOptions, Guidance, ImageRequest, LoraFile
from tools.demo_model import layout
from tools.demo_model.judge import judge
from tools.demo_model.scenes import COLOURS, SHAPES, read_prompt

Picture = NDArray[np.uint8]
"""[height, width, 3]"""


def load_model(models: Path) -> Context:
    """The model in a folder that is laid out like the bundled one; its noise is that of PyTorch's generator."""
    return Context.load(
        ContextOptions(
            diffusion_model_path=str(models / layout.TRANSFORMER_FILE),
            llm_path=str(models / layout.TEXT_ENCODER_FILE),
            taesd_path=str(models / layout.AUTOENCODER_FILE),
            rng_type="cpu",
            n_threads=1,
        )
    )


def draw(
    model: Context,
    prompt: str,
    *,
    width: int = 64,
    height: int = 64,
    seed: int = 7,
    steps: int = 12,
    cfg: float = 2.5,
    loras: Sequence[LoraFile] = (),
) -> Picture:
    """One picture; the settings are those that suit the demo model."""
    request = ImageRequest(
        prompt,
        width=width,
        height=height,
        steps=steps,
        guidance=Guidance(txt_cfg=cfg),
        sampler="euler",
        scheduler="discrete",
        seed=seed,
        loras=tuple(loras),
    )
    (image,) = model.generate_image(request, run=1)
    return np.frombuffer(image.pixels, np.uint8).reshape(image.height, image.width, 3)


def accuracy(model: Context, side: int, count: int) -> float:
    """The share of ``count`` pictures, ``side`` pixels wide and high, with the right colour, background and shape."""
    rng = Random(123)
    right = np.zeros((count, 3), bool)
    for index in range(count):
        colour, background = rng.sample(list(COLOURS), 2)
        shape = list(SHAPES)[index % len(SHAPES)]
        prompt = f"a {colour} {shape} on a {background} background"
        said, seen = read_prompt(prompt), judge(draw(model, prompt, width=side, height=side, seed=1000 + index))
        right[index] = seen.colour == said.colour, seen.background == said.background, seen.shape == said.shape
    whole = right.all(1)
    of_colour, of_background, of_shape = right.mean(0)
    print(
        f"check: at {side}x{side}, {whole.sum()} of {count} pictures are right "
        f"(colour {of_colour:.0%}, background {of_background:.0%}, shape {of_shape:.0%})"
    )
    return float(whole.mean())


def border_brightness(picture: Picture) -> float:
    """Mean (0..255) of the outermost pixels, a tenth of the width: where the bundled LoRA draws black."""
    border = picture.shape[1] // 10
    outside = np.ones(picture.shape[:2], bool)
    outside[border:-border, border:-border] = False
    return float(picture[outside].mean())


def save_sheet(path: Path, pictures: Sequence[Picture], columns: int = 6, shown: int = 128) -> None:
    """One PNG with all pictures, ``shown`` pixels wide each."""
    rows = math.ceil(len(pictures) / columns)
    sheet = Image.new("RGB", (columns * shown, rows * shown), "white")
    for index, picture in enumerate(pictures):
        enlarged = Image.fromarray(picture).resize((shown, shown), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (index % columns * shown, index // columns * shown))
    sheet.save(path)
