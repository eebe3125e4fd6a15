"""Reads what InvokeAI writes: the object of today's versions, and the object and the command line of the first ones."""

from __future__ import annotations

import re
import shlex
from typing import Any

from sdcpp_rest.services.pictures.metadata.file_texts import FileTexts
from sdcpp_rest.services.pictures.metadata.found_settings import FoundSettings, read_float, read_object, read_word

TODAY, FIRST_OBJECT, COMMAND_LINE = "invokeai_metadata", "sd-metadata", "Dream"
_VALUES = {
    "steps": "steps",
    "cfg_scale": "cfg_scale",
    "guidance": "distilled_guidance",
    "seed": "seed",
    "width": "width",
    "height": "height",
}
_FIRST_VALUES = {name: name for name in ("steps", "cfg_scale", "seed", "width", "height")}
_OPTIONS = {"-s": "steps", "-S": "seed", "-W": "width", "-H": "height", "-C": "cfg_scale", "-f": "strength"}
_SAMPLERS = {
    "kdpm_2": "dpm_2",
    "kdpm_2_a": "dpm_2_ancestral",
    "dpmpp_2s": "dpmpp_2s_ancestral",
    "pndm": "plms",
    "deis": "dpm++ 3m sde",
}
_KARRAS = "_k"
_NEGATIVE = re.compile(r"\[([^\[\]]*)\]")
_MOST_WORDS = 100_000


def read_invokeai(file: FileTexts) -> FoundSettings | None:
    """What the newest of these texts says."""
    today = read_object(file.texts.get(TODAY, ""))
    if today is not None:
        return _read_today(today)
    first = read_object(file.texts.get(FIRST_OBJECT, ""))
    if first is not None and isinstance(first.get("image"), dict):
        return _read_first(first, first["image"])
    return _read_command(file.texts[COMMAND_LINE]) if file.texts.get(COMMAND_LINE) else None


def _read_today(settings: dict[str, Any]) -> FoundSettings:
    found = FoundSettings(tool="invokeai")
    found.put_prompts(settings.get("positive_prompt"), settings.get("negative_prompt"))
    for name, ours in _VALUES.items():
        found.put(ours, settings.get(name))
    _put_scheduler(found, read_word(settings.get("scheduler")))
    found.put_model(*_read_model(settings.get("model")))
    found.put_vae(*_read_model(settings.get("vae")))
    for one in settings["loras"] if isinstance(settings.get("loras"), list) else []:
        if isinstance(one, dict):
            name, hash = _read_model(one.get("model") or one.get("lora"))
            found.put_lora(name, one.get("weight"), hash)
    skipped = read_float(settings.get("clip_skip"))
    if skipped is not None and skipped > 0:
        # There the layers that are left out, here the one that is the last.
        found.put("clip_skip", skipped + 1)
    known = {*_VALUES, "positive_prompt", "negative_prompt", "scheduler", "model", "vae", "loras", "clip_skip"}
    mode = read_word(settings.get("generation_mode"))
    if "img2img" in mode or "inpaint" in mode or "outpaint" in mode:
        found.kind = "img2img"
        found.put("strength", settings.get("strength"))
        known.add("strength")
    found.keep_rest(settings, known)
    return found


def _read_first(whole: dict[str, Any], picture: dict[str, Any]) -> FoundSettings:
    found = FoundSettings(tool="invokeai")
    prompt = picture.get("prompt")
    if isinstance(prompt, list):
        parts = [read_word(one.get("prompt")) for one in prompt if isinstance(one, dict)]
        prompt = ", ".join(part for part in parts if part)
    _put_prompt(found, read_word(prompt))
    for name, ours in _FIRST_VALUES.items():
        found.put(ours, picture.get(name))
    _put_scheduler(found, read_word(picture.get("sampler")))
    found.put_model(whole.get("model_weights") or whole.get("model"), whole.get("model_hash"))
    known = {*_FIRST_VALUES, "prompt", "sampler"}
    if picture.get("type") == "img2img":
        found.kind = "img2img"
        found.put("strength", picture.get("strength"))
        known |= {"strength", "type"}
    found.keep_rest(picture, known)
    found.keep_rest(whole, {"image", "model", "model_weights", "model_hash"})
    return found


def _read_command(text: str) -> FoundSettings:
    """``"a cat [dog]" -s 50 -S 1 -W 512 -H 512 -C 7.5 -A k_lms``."""
    found = FoundSettings(tool="invokeai")
    try:
        words = shlex.split(text[:_MOST_WORDS])
    except ValueError:
        words = text[:_MOST_WORDS].split()
    prompt: list[str] = []
    sampler = ""
    position = 0
    while position < len(words):
        word = words[position]
        option = word[:2] if re.match(r"-[A-Za-z]", word) else ""
        if not option:
            prompt.append(word)
            position += 1
            continue
        value = word[2:] or (words[position + 1] if position + 1 < len(words) else "")
        position += 1 if word[2:] else 2
        if option in _OPTIONS:
            found.put(_OPTIONS[option], value)
        elif option == "-A":
            sampler = value
        else:
            found.keep(option, value)
    _put_prompt(found, " ".join(prompt))
    _put_scheduler(found, sampler)
    found.kind = "img2img" if "strength" in found.values else "txt2img"
    return found


def _put_prompt(found: FoundSettings, prompt: str) -> None:
    """In the first versions, what must not be shown stands in square brackets."""
    negative = ", ".join(part.strip() for part in _NEGATIVE.findall(prompt) if part.strip())
    found.put_prompts(_NEGATIVE.sub("", prompt), negative)


def _put_scheduler(found: FoundSettings, name: str) -> None:
    is_karras = name.endswith(_KARRAS)
    plain = name.removesuffix(_KARRAS)
    found.put_sampling(_SAMPLERS.get(plain, plain), "karras" if is_karras else "")


def _read_model(model: Any) -> tuple[str, str]:
    """The name and the hash of a model, where the versions put them."""
    if not isinstance(model, dict):
        return read_word(model), ""
    name = read_word(model.get("name")) or read_word(model.get("model_name")) or read_word(model.get("key"))
    return name, read_word(model.get("hash"))
