"""Reads the text that SwarmUI and its like put into pictures, a JSON object of parameters, in the layout of
`core.infotext`.

Pure text: it must not know picture formats.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sdcpp_rest.core.infotext import SAMPLER_LABELS, SCHEDULER_LABELS, quote
from sdcpp_rest.core.sampling_names import find_sampling, find_scheduler

PARAMS = "sui_image_params"
"""The key that tells such a text."""

_KEYS = {
    "steps": "Steps",
    "sampler": "Sampler",
    "scheduler": "Schedule type",
    "cfgscale": "CFG scale",
    "seed": "Seed",
    "size": "Size",
    "model": "Model",
    "vae": "VAE",
    "initimagecreativity": "Denoising strength",
    "variationseed": "Variation seed",
    "variationseedstrength": "Variation seed strength",
    "fluxguidancescale": "Distilled CFG Scale",
    "refinerupscale": "Hires upscale",
    "refinersteps": "Hires steps",
    "personalnote": "Note",
}


def read_object(text: str) -> dict[str, Any] | None:
    """The object of such a text; ``None`` for texts of other programs."""
    if PARAMS not in text:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get(PARAMS), dict) else None


def to_infotext(text: str) -> str:
    """``text`` in the layout of infotexts, LoRAs as tags of the prompt; a text of another program as it is."""
    found = read_object(text)
    if found is None:
        return text
    params: Mapping[str, Any] = found[PARAMS]
    prompt = " ".join(filter(None, [_word(params.get("prompt")), *_lora_tags(params)]))
    negative = _word(params.get("negativeprompt"))
    values = {**params, **_words_of(params)}
    pairs = [f"{key}: {quote(_word(values[id]))}" for id, key in _KEYS.items() if _word(values.get(id))]
    lines = [prompt, f"Negative prompt: {negative}" if negative else "", ", ".join(pairs)]
    return "\n".join(line for line in lines if line)


def _words_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Values under the names that infotexts have for them."""
    changed = {}
    sampler = find_sampling(_word(params.get("sampler")))
    if sampler is not None and sampler.is_exact:
        changed["sampler"] = SAMPLER_LABELS.get(sampler.sampler, sampler.sampler)
    scheduler = find_scheduler(_word(params.get("scheduler")))
    if scheduler is not None:
        changed["scheduler"] = SCHEDULER_LABELS.get(scheduler, scheduler)
    if _word(params.get("width")) and _word(params.get("height")):
        changed["size"] = f"{_word(params['width'])}x{_word(params['height'])}"
    return changed


def _lora_tags(params: Mapping[str, Any]) -> list[str]:
    loras, weights = params.get("loras"), params.get("loraweights")
    if not isinstance(loras, list):
        return []
    weights = weights if isinstance(weights, list) else []
    return [
        f"<lora:{_word(name)}:{_word(weights[index]) if index < len(weights) else '1'}>"
        for index, name in enumerate(loras)
        if _word(name)
    ]


def _word(value: Any) -> str:
    """A scalar as text; empty for anything else, and for integers of more digits than any field has."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value) if abs(value) < 10**19 else ""
    return value.strip() if isinstance(value, str) else ""
