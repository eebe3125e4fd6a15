"""Reads texts in AUTOMATIC1111's layout: its own, Forge's, Fooocus', and ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from sdcpp_rest.core import infotext
from sdcpp_rest.core.json_captions import read_object as read_swarm_object
from sdcpp_rest.services.pictures.metadata.file_texts import COMMENT, PARAMETERS, USER_COMMENT, FileTexts
from sdcpp_rest.services.pictures.metadata.found_settings import FoundSettings, Tool, read_hash, read_object

_VALUES = {
    "Steps": "steps",
    "CFG scale": "cfg_scale",
    "Distilled CFG Scale": "distilled_guidance",
    "Image CFG scale": "img_cfg_scale",
    "Seed": "seed",
    "Size-1": "width",
    "Size-2": "height",
    "Clip skip": "clip_skip",
    "Eta": "eta",
    "Flow shift": "flow_shift",
    "Frames": "video_frames",
    "FPS": "fps",
}
_HIRES_VALUES = {
    "Hires upscale": "scale",
    "Hires resize-1": "width",
    "Hires resize-2": "height",
    "Hires steps": "steps",
    "Hires upscaler": "upscaler",
}
_KNOWN = {
    *_VALUES,
    *_HIRES_VALUES,
    *("Prompt", "Negative prompt", "Sampler", "Schedule type", "Scheduler", "Model", "Model hash", "VAE", "VAE hash"),
    *("Denoising strength", "Lora hashes", "Lora weights", infotext.SETTINGS),
}
_FORGE_KEYS = ("Distilled CFG Scale", "Module 1", "Diffusion in Low Bits")
_FORGE_VERSION = re.compile(r"^(?:f\d|neo|forge)", re.IGNORECASE)
_VAE_WORD = re.compile(r"(?:^|[^a-z])(?:vae|ae)(?:[^a-z]|$)", re.IGNORECASE)
_MOST_MODULES = 10
_MOST_SETTINGS = 500


def read_infotext(file: FileTexts) -> FoundSettings | None:
    """What a text with a line of pairs says, wherever in the file it stands."""
    for key in (PARAMETERS, USER_COMMENT, COMMENT):
        text = file.texts.get(key, "").strip()
        # A graph may have such a text among its own.
        is_wanted = text[:1] != "{" and ("Steps:" in text or key == PARAMETERS)
        pairs = infotext.parse(text) if is_wanted else {}
        if len(pairs) > 2:
            found = FoundSettings(tool=_tool_of(pairs))
            fill_from_pairs(found, pairs)
            return found
    return None


def read_bare_prompt(file: FileTexts) -> FoundSettings | None:
    """What a text without any pairs says: it is all prompt."""
    text = file.texts.get(PARAMETERS, "").strip()
    if not text or read_object(text) is not None or read_swarm_object(text) is not None:
        return None
    found = FoundSettings(tool="a1111")
    pairs = infotext.parse(text)
    found.put_prompts(pairs["Prompt"], pairs["Negative prompt"])
    return found


def fill_from_pairs(found: FoundSettings, pairs: Mapping[str, str]) -> None:
    """Put the words of such a text where they belong."""
    found.put_prompts(pairs.get("Prompt"), pairs.get("Negative prompt"))
    for key, name in _VALUES.items():
        found.put(name, pairs.get(key))
    found.put_sampling(pairs.get("Sampler"), pairs.get("Schedule type") or pairs.get("Scheduler"))
    found.put_model(pairs.get("Model"), pairs.get("Model hash"))
    found.put_vae(pairs.get("VAE"), pairs.get("VAE hash"))
    settings = read_object(pairs.get(infotext.SETTINGS, "")) if found.tool == "sdcpp-rest" else {}
    found.values.update(islice((settings or {}).items(), _MOST_SETTINGS))
    _fill_modules(found, pairs)
    _fill_loras(found, pairs)
    _fill_strength(found, pairs, is_told_apart="hires_denoising_strength" in (settings or {}))
    if "video_frames" in found.values:
        found.kind = "txt2vid"
    found.keep_rest(pairs, _KNOWN if found.tool == "sdcpp-rest" else _KNOWN - {infotext.SETTINGS})


def _tool_of(pairs: Mapping[str, str]) -> Tool:
    version = pairs.get("Version", "")
    if version.startswith("sdcpp-rest"):
        return "sdcpp-rest"
    if version.startswith("Fooocus"):
        return "fooocus"
    if version.startswith("ComfyUI"):
        return "comfyui"
    is_forge = _FORGE_VERSION.match(version) or any(key in pairs for key in _FORGE_KEYS)
    return "forge" if is_forge else "a1111"


def _fill_strength(found: FoundSettings, pairs: Mapping[str, str], *, is_told_apart: bool) -> None:
    """The same word is that of img2img, or that of the hires fix where there is one."""
    strength = pairs.get("Denoising strength")
    is_hires = any(key in pairs for key in _HIRES_VALUES)
    if is_hires:
        found.start_hires(**{name: pairs.get(key) for key, name in _HIRES_VALUES.items()})
    if not strength:
        return
    if is_hires and not is_told_apart:
        found.put("hires_denoising_strength", strength)
    else:
        found.put("strength", strength)
        found.kind = "img2img"


def _fill_modules(found: FoundSettings, pairs: Mapping[str, Any]) -> None:
    """Forge names the VAE and the text encoders as modules, in any order."""
    for number in range(1, _MOST_MODULES):
        name = pairs.get(f"Module {number}", "")
        if _VAE_WORD.search(name):
            found.put_vae(name)


def _fill_loras(found: FoundSettings, pairs: Mapping[str, str]) -> None:
    """Hashes, and Fooocus' weights, stand in lists of their own."""
    hashes = _split_named(pairs.get("Lora hashes", ""))
    for lora in found.loras:
        lora.hash = read_hash(hashes.get(lora.name, ""))
    # Fooocus names them there alone.
    known = {lora.name for lora in found.loras}
    for name, weight in _split_named(pairs.get("Lora weights", "")).items():
        if name not in known:
            found.put_lora(name, weight, hashes.get(name, ""))


def _split_named(text: str) -> dict[str, str]:
    """``a: 1, b: 2`` by the names."""
    parts = (part.rpartition(":") for part in text.split(","))
    return {name.strip(): value.strip() for name, _, value in parts if name.strip()}
