"""Writes and parses the text inside a picture that says how it was made, as AUTOMATIC1111's tools do.

Prompt, a line with the negative prompt, a line of ``key: value`` pairs. Pure text: it must not know picture formats.
"""

from __future__ import annotations

import json
import re
from typing import Any

from sdcpp_rest.core.params import ImageParams, SamplingParams, UpscaleParams, VideoParams

SAMPLER_LABELS: dict[str, str] = {
    "euler": "Euler",
    "euler_a": "Euler a",
    "heun": "Heun",
    "dpm2": "DPM2",
    "dpm++2s_a": "DPM++ 2S a",
    "dpm++2m": "DPM++ 2M",
    "dpm++2mv2": "DPM++ 2M v2",
    "ipndm": "IPNDM",
    "ipndm_v": "IPNDM_V",
    "lcm": "LCM",
    "ddim_trailing": "DDIM",
    "tcd": "TCD",
    "res_multistep": "Res Multistep",
    "res_2s": "Res 2S",
    "er_sde": "ER SDE",
}
"""Samplers as those tools call them; a sampler that is not here keeps its own name."""

SCHEDULER_LABELS: dict[str, str] = {
    "discrete": "Discrete",
    "karras": "Karras",
    "exponential": "Exponential",
    "ays": "Align Your Steps",
    "gits": "GITS",
    "sgm_uniform": "SGM Uniform",
    "simple": "Simple",
    "smoothstep": "Smoothstep",
    "kl_optimal": "KL Optimal",
    "lcm": "LCM",
    "bong_tangent": "Bong Tangent",
}

SETTINGS = "Settings"
"""The key of what has no key of its own and is not as usual: JSON, by the names of the parameters."""

_NEGATIVE = "Negative prompt:"
# What the other keys tell, what is no setting of the picture, and what names files.
_NO_SETTINGS = frozenset(
    {
        *("prompt", "negative_prompt", "original_prompt", "original_negative_prompt", "loras", "seed", "batch_count"),
        *("steps", "sampler", "scheduler", "cfg_scale", "width", "height", "strength", "clip_skip", "eta"),
        *("hires", "hires_upscaler", "hires_model", "hires_scale", "hires_width", "hires_height", "hires_steps"),
        *("hires_denoising_strength", "upscale", "upscaler", "upscale_repeats", "upscale_auto_unload", "pm_id_embed"),
        *("video_frames", "fps", "output_format"),
    }
)


def write(
    params: SamplingParams,
    model_name: str | None,
    model_hash: str | None,
    version: str,
    *,
    picture: int = 0,
    is_img2img: bool = False,
) -> str:
    """The text for picture ``picture`` (0-based) of a job, whose seed is ``params.seed + picture``.

    ``model_name`` may be a path relative to its folder; as everywhere in this layout its last part is shown, without
    the extension. ``model_hash`` is a SHA-256 in hex, of which ten characters are shown.
    """
    pairs: list[tuple[str, object]] = [
        ("Steps", params.steps),
        ("Sampler", SAMPLER_LABELS.get(params.sampler, params.sampler)),
        ("Schedule type", SCHEDULER_LABELS.get(params.scheduler, params.scheduler)),
        ("CFG scale", params.cfg_scale),
        ("Seed", params.seed + picture),
        ("Size", f"{params.width}x{params.height}"),
    ]
    if model_hash:
        pairs.append(("Model hash", model_hash[:10]))
    if model_name:
        pairs.append(("Model", _stem(model_name)))
    if is_img2img:
        pairs.append(("Denoising strength", params.strength))
    if isinstance(params, ImageParams) and params.hires:
        pairs += _hires_pairs(params, is_img2img=is_img2img)
    if params.clip_skip > 0:
        pairs.append(("Clip skip", params.clip_skip))
    if params.eta is not None:
        pairs.append(("Eta", params.eta))
    if isinstance(params, ImageParams) and params.upscaler is not None:
        pairs.append(("Postprocess upscaler", _stem(params.upscaler.model.name)))
    if isinstance(params, VideoParams):
        pairs += [("Frames", params.frame_count), ("FPS", params.fps)]
        if params.flow_shift is not None:
            pairs.append(("Flow shift", params.flow_shift))
    settings = _settings(params, is_img2img=is_img2img)
    if settings:
        pairs.append((SETTINGS, json.dumps(settings)))
    pairs.append(("Version", version))
    line = ", ".join(f"{key}: {quote(str(value))}" for key, value in pairs)
    negative = f"\n{_NEGATIVE} {params.negative_prompt}" if params.negative_prompt else ""
    return f"{params.prompt}{negative}\n{line}".strip()


def _settings(params: SamplingParams, *, is_img2img: bool) -> dict[str, Any]:
    """Whatever else changes the pixels, where it is not as usual."""
    told = {name: value for name, value in params.model_dump(mode="json").items() if name not in _NO_SETTINGS}
    usual = type(params).model_construct(prompt="").model_dump(mode="json")
    settings = {name: value for name, value in told.items() if value != usual.get(name)}
    if isinstance(params, VideoParams):
        settings.pop("flow_shift", None)  # has a key there
    if "cache_options" in settings:
        settings["cache_options"] = {
            name: value for name, value in settings["cache_options"].items() if value is not None
        }
    if is_img2img and isinstance(params, ImageParams) and params.hires:
        # The one key for strengths is taken.
        settings["hires_denoising_strength"] = params.hires_denoising_strength
    return settings


def upscale_text(text: str, params: UpscaleParams) -> str:
    """The text of a picture that was upscaled, from the text it had before (or none)."""
    pairs = ["Postprocess upscaler: " + quote(_stem(params.upscaler.model.name))]
    if params.upscale_factor is not None:
        pairs.insert(0, f"Postprocess upscale by: {params.upscale_factor**params.repeats}")
    separator = ", " if _pairs(text.rpartition("\n")[2]) else "\n"
    return (text + separator + ", ".join(pairs)).strip()


def _hires_pairs(params: ImageParams, *, is_img2img: bool) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    if not is_img2img:
        pairs.append(("Denoising strength", params.hires_denoising_strength))
    if params.hires_width and params.hires_height:
        pairs.append(("Hires resize", f"{params.hires_width}x{params.hires_height}"))
    else:
        pairs.append(("Hires upscale", params.hires_scale))
    if params.hires_steps:
        pairs.append(("Hires steps", params.hires_steps))
    upscaler = _stem(params.hires_model.name) if params.hires_model else params.hires_upscaler
    return [*pairs, ("Hires upscaler", upscaler)]


def _stem(name: str) -> str:
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, extension = last.rpartition(".")
    return stem if dot and stem and extension.isalnum() else last


def quote(value: str) -> str:
    """A value as it may stand in the line of pairs: as JSON where it would be misread bare."""
    plain = value and value == value.strip() and not any(character in value for character in ',:"\n\r')
    return value if plain else json.dumps(value, ensure_ascii=False)


_KEY = re.compile(r"\s*(\w[\w \-/]*):\s*")
_VALUE = re.compile(r'("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
_SIZE = re.compile(r"(\d{1,9})x(\d{1,9})")
_FEWEST_PAIRS = 3
_FIRST_KEY = "Steps:"


def parse(text: str) -> dict[str, str]:
    """The words of such a text: ``Prompt``, ``Negative prompt`` and one entry per pair, all text; sizes come apart as
    ``Size-1`` and ``Size-2``. A text without a line of pairs is all prompt. Lines may end as on any system; what
    extensions write below the line of pairs (``Template: ...``) is one pair a line.
    """
    lines = [line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").strip().split("\n")]
    lines, pairs = _split_pairs(lines)
    prompt: list[str] = []
    negative: list[str] = []
    in_negative = False
    for line in lines:
        if not in_negative and line.startswith(_NEGATIVE):
            in_negative = True
            line = line[len(_NEGATIVE) :].strip()
        (negative if in_negative else prompt).append(line)
    return {"Prompt": "\n".join(prompt).strip(), "Negative prompt": "\n".join(negative).strip(), **pairs}


def _split_pairs(lines: list[str]) -> tuple[list[str], dict[str, str]]:
    """The lines above the line of pairs, and the pairs of that and of the lines below it."""
    marked = [index for index, line in enumerate(lines) if line.startswith(_FIRST_KEY)]
    for index in (*marked[:-4:-1], len(lines) - 1):
        pairs = _pairs(lines[index])
        if len(pairs) >= _FEWEST_PAIRS:
            for line in lines[index + 1 :]:
                key = _KEY.match(line)
                if key is not None and line[key.end() :]:
                    pairs.setdefault(key.group(1), line[key.end() :])
            return lines[:index], pairs
    return lines, {}


def _pairs(line: str) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while position < len(line):
        key = _KEY.match(line, position)
        if key is None:
            comma = line.find(",", position)
            if comma < 0:
                break
            position = comma + 1
            continue
        value = _VALUE.match(line, key.end())
        if value is None:
            break
        _keep(found, key.group(1), value.group(1))
        position = max(value.end(), key.end())
    return found


def _keep(found: dict[str, str], key: str, value: str) -> None:
    if value.startswith('"') and value.endswith('"') and len(value) > 1:
        try:
            read = json.loads(value)
        except ValueError:
            read = value
        value = read if isinstance(read, str) else value
    size = _SIZE.fullmatch(value)
    if size:
        found[f"{key}-1"], found[f"{key}-2"] = size.groups()
    else:
        found[key] = value
