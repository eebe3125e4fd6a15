"""Small requests to the demo model, and what came of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sdcpp_rest.native.context import Guidance, ImageRequest, RawImage


def picture(prompt: str = "a red circle on a blue background", **changes: Any) -> ImageRequest:
    """A small request to the demo model."""
    values: dict[str, Any] = {
        "width": 64,
        "height": 64,
        "steps": 4,
        "guidance": Guidance(txt_cfg=2.5),
        "sampler": "euler",
        "scheduler": "discrete",
        "seed": 3,
    }
    return ImageRequest(prompt, **{**values, **changes})


def digest(images: Sequence[RawImage]) -> str:
    """One hash over the pixels of all pictures."""
    whole = hashlib.sha256()
    for image in images:
        whole.update(f"{image.width}x{image.height}x{image.channels}".encode())
        whole.update(image.pixels)
    return whole.hexdigest()


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit code (negative: the signal's number), what it printed, and what it reported."""

    exit_code: int
    stderr: str
    reported: list[Any]
