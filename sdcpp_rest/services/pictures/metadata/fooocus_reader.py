"""Reads the object of settings that Fooocus writes in its own scheme; its other scheme is AUTOMATIC1111's layout."""

from __future__ import annotations

import re
from typing import Any

from sdcpp_rest.services.pictures.metadata.exif_texts import MAKER_NOTE
from sdcpp_rest.services.pictures.metadata.file_texts import COMMENT, PARAMETERS, USER_COMMENT, FileTexts
from sdcpp_rest.services.pictures.metadata.found_settings import FoundSettings, read_object, read_word

SCHEME = "fooocus_scheme"
_SIGNS = ("base_model", "metadata_scheme", "full_prompt")
_VALUES = {"steps": "steps", "guidance_scale": "cfg_scale", "seed": "seed", "clip_skip": "clip_skip"}
_KNOWN = {
    *_VALUES,
    *("prompt", "negative_prompt", "resolution", "width", "height", "base_model", "base_model_hash", "vae", "loras"),
    *("sampler", "scheduler"),
}
_SIZE = re.compile(r"\(?\s*(\d{1,6})\s*[,x\u00d7]\s*(\d{1,6})\s*\)?")
_COMBINED = re.compile(r"lora_combined_\d{1,3}")


def read_fooocus(file: FileTexts) -> FoundSettings | None:
    """What such an object says."""
    is_named = "fooocus" in (file.texts.get(SCHEME), file.texts.get(MAKER_NOTE))
    for key in (PARAMETERS, USER_COMMENT, COMMENT):
        settings = read_object(file.texts.get(key, ""))
        if settings is not None and (is_named or any(sign in settings for sign in _SIGNS)):
            return _read_settings(settings)
    return None


def _read_settings(settings: dict[str, Any]) -> FoundSettings:
    found = FoundSettings(tool="fooocus")
    found.put_prompts(settings.get("prompt"), settings.get("negative_prompt"))
    for name, ours in _VALUES.items():
        found.put(ours, settings.get(name))
    size = _SIZE.fullmatch(read_word(settings.get("resolution")))
    width, height = size.groups() if size else (settings.get("width"), settings.get("height"))
    found.put("width", width)
    found.put("height", height)
    found.put_sampling(settings.get("sampler"), settings.get("scheduler"))
    found.put_model(settings.get("base_model"), settings.get("base_model_hash"))
    found.put_vae(settings.get("vae"))
    known = set(_KNOWN)
    for lora in settings["loras"] if isinstance(settings.get("loras"), list) else []:
        if isinstance(lora, list) and lora:
            name, weight, hash = [*lora, None, None][:3]
            found.put_lora(name, weight, read_word(hash))
    for key, value in settings.items():
        if _COMBINED.fullmatch(key):
            known.add(key)
            name, _, weight = read_word(value).rpartition(" : ")
            found.put_lora(name, weight)
    found.keep_rest(settings, known)
    return found
