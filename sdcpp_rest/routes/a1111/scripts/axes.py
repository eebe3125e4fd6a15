"""Lists the axes of an X/Y/Z plot: what can change from picture to picture, in the order in which that program
numbers it.

Clients send an axis as its number in the list, which has every axis of that program: those that mean nothing to the
library keep their places and are refused by name. Knows requests; draws nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

from sdcpp_rest.core.sampling_names import find_sampling, find_scheduler
from sdcpp_rest.routes.a1111.scripts.script import ScriptChoices
from sdcpp_rest.routes.a1111.wire import A1111Request
from sdcpp_rest.services.submission.picture_rounds import PictureKind

NOTHING = "Nothing"
SEEDS = frozenset({"Seed", "Var. seed"})

Kind = Literal["nothing", "whole", "real", "text", "order"]
Apply = Callable[[A1111Request, Any, Sequence[Any]], dict[str, Any]]
Find = Callable[[ScriptChoices, str], str | None]

_SIZE = re.compile(r"\s*(\d{1,6})\s*x\s*(\d{1,6})\s*", re.ASCII)
_LONGEST_LABEL = 300
# Every place of a word is replaced: a short request could ask for a prompt that fills the memory.
_LONGEST_PROMPT = 200_000


@dataclass(frozen=True)
class Axis:
    """One thing that can change.

    ``apply(body, value, values)`` is what it changes in a request, as fields and their values; ``None``: nothing that
    the library knows. ``choices`` are told where values are chosen from a list; ``find`` gives the name of what one
    means, ``None`` for what is not there. ``cost`` orders axes: what is dear to change, changes least often.
    ``is_bare``: labels are the value alone.
    """

    label: str
    kind: Kind
    apply: Apply | None = None
    only: PictureKind | None = None
    choices: Callable[[ScriptChoices], list[str]] | None = None
    find: Find | None = None
    cost: float = 0.0
    is_bare: bool = False

    def tell(self, value: Any) -> str:
        """The text beside the pictures with that value."""
        if self.kind == "nothing":
            return ""
        if self.kind == "order":
            return ", ".join(value)
        if self.cost == 1.0:
            return PurePath(value).name
        shown = round(value, 8) if isinstance(value, float) else value
        return str(shown) if self.is_bare else f"{self.label}: {shown}"[:_LONGEST_LABEL]


def axes_of(kind: PictureKind) -> list[Axis]:
    """The axes that calls of ``kind`` can choose from, by their numbers."""
    return [axis for axis in _ALL if axis.only in (None, kind)]


def _field(name: str) -> Apply:
    return lambda body, value, values: {name: value}


def _option(name: str) -> Apply:
    return lambda body, value, values: {"override_settings": {**body.override_settings, name: value}}


def _replace(body: A1111Request, value: str, values: Sequence[str]) -> dict[str, Any]:
    wanted = values[0]
    if wanted not in body.prompt and wanted not in body.negative_prompt:
        raise ValueError(f"{wanted[:100]!r} is neither in the prompt nor in the negative prompt")
    if not wanted:
        raise ValueError("the first value is what is replaced; it must not be empty")
    for prompt in (body.prompt, body.negative_prompt):
        if len(prompt) + prompt.count(wanted) * len(value) > _LONGEST_PROMPT:
            raise ValueError(f"with {value[:60]!r} the prompt has more than {_LONGEST_PROMPT} characters")
    return {
        "prompt": body.prompt.replace(wanted, value),
        "negative_prompt": body.negative_prompt.replace(wanted, value),
    }


def _reorder(body: A1111Request, value: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    """The places where the words stand are kept; which word stands at which is what changes."""
    rest, parts = body.prompt, []
    for word in sorted(value, key=body.prompt.find):
        before, found, rest = rest.partition(word)
        if not found:
            raise ValueError(f"{word[:100]!r} is not in the prompt")
        parts.append(before)
    return {"prompt": "".join(part + word for part, word in zip(parts, value, strict=True)) + rest}


def _resize(body: A1111Request, value: str, values: Sequence[Any]) -> dict[str, Any]:
    match = _SIZE.fullmatch(value)
    if match is None:
        raise ValueError(f"{value[:60]!r} is no size such as 512x768")
    return {"width": int(match[1]), "height": int(match[2])}


def _add_styles(body: A1111Request, value: str, values: Sequence[Any]) -> dict[str, Any]:
    return {"styles": [*body.styles, *(name.strip() for name in value.split(","))]}


def _set_strength(body: A1111Request, value: float, values: Sequence[Any]) -> dict[str, Any]:
    if value not in (0, 1):
        raise ValueError(f"{value:g} is a strength that the library cannot draw; it can 0 and 1")
    return {"subseed_strength": value}


def _find_checkpoint(choices: ScriptChoices, value: str) -> str | None:
    return choices.find_checkpoint(value)


def _find_autoencoder(choices: ScriptChoices, value: str) -> str | None:
    return value if value.casefold() in ("automatic", "auto", "none") or choices.has_autoencoder(value) else None


def _find_sampler(choices: ScriptChoices, value: str) -> str | None:
    return value if find_sampling(value) is not None else None


def _find_scheduler(choices: ScriptChoices, value: str) -> str | None:
    return value if value in choices.schedulers() or find_scheduler(value) is not None else None


def _find_hires_upscaler(choices: ScriptChoices, value: str) -> str | None:
    return next((one for one in choices.hires_upscalers() if one.casefold() == value.casefold()), None)


def _samplers(only: PictureKind) -> Axis:
    return Axis(
        "Sampler", "text", _field("sampler_name"), only, lambda there: there.samplers(), _find_sampler, is_bare=True
    )


_ALL: tuple[Axis, ...] = (
    Axis(NOTHING, "nothing", lambda body, value, values: {}),
    Axis("Seed", "whole", _field("seed")),
    Axis("Var. seed", "whole", _field("subseed")),
    Axis("Var. strength", "real", _set_strength),
    Axis("Steps", "whole", _field("steps")),
    Axis("Hires steps", "whole", _field("hr_second_pass_steps"), "txt2img"),
    Axis("CFG Scale", "real", _field("cfg_scale")),
    Axis("Image CFG Scale", "real", _field("image_cfg_scale"), "img2img"),
    Axis("Prompt S/R", "text", _replace, is_bare=True),
    Axis("Prompt order", "order", _reorder),
    _samplers("txt2img"),
    Axis("Hires sampler", "text", None, "txt2img"),
    _samplers("img2img"),
    Axis("Checkpoint name", "text", _option("sd_model_checkpoint"), None, lambda there: there.checkpoints(),
         _find_checkpoint, cost=1.0),
    Axis("Negative Guidance minimum sigma", "real"),
    Axis("Sigma Churn", "real"),
    Axis("Sigma min", "real"),
    Axis("Sigma max", "real"),
    Axis("Sigma noise", "real"),
    Axis("Schedule type", "text", _field("scheduler"), None, lambda there: there.schedulers(), _find_scheduler),
    Axis("Schedule min sigma", "real"),
    Axis("Schedule max sigma", "real"),
    Axis("Schedule rho", "real"),
    Axis("Beta schedule alpha", "real"),
    Axis("Beta schedule beta", "real"),
    Axis("Eta", "real", _field("eta")),
    Axis("Clip skip", "whole", _field("clip_skip")),
    Axis("Denoising", "real", _field("denoising_strength")),
    Axis("Initial noise multiplier", "real"),
    Axis("Extra noise", "real"),
    Axis("Hires upscaler", "text", _field("hr_upscaler"), "txt2img", lambda there: there.hires_upscalers(),
         _find_hires_upscaler),
    Axis("Cond. Image Mask Weight", "real", None, "img2img"),
    Axis("VAE", "text", _option("sd_vae"), None, lambda there: ["Automatic", "None", *there.autoencoders()],
         _find_autoencoder, cost=0.7),
    Axis("Styles", "text", _add_styles, None, lambda there: there.styles()),
    Axis("UniPC Order", "whole"),
    Axis("Face restore", "text"),
    Axis("Token merging ratio", "real"),
    Axis("Token merging ratio high-res", "real"),
    Axis("Always discard next-to-last sigma", "text"),
    Axis("SGM noise multiplier", "text"),
    Axis("Refiner checkpoint", "text"),
    Axis("Refiner switch at", "real"),
    Axis("RNG source", "text"),
    Axis("FP8 mode", "text"),
    Axis("Size", "text", _resize),
)  # fmt: skip
"""As that program's version 1.10 has them."""
