"""Reads the object that Draw Things writes into XMP or EXIF."""

from __future__ import annotations

import html
import re
from typing import Any

from sdcpp_rest.services.pictures.metadata.file_texts import USER_COMMENT, XMP, FileTexts
from sdcpp_rest.services.pictures.metadata.found_settings import FoundSettings, read_float, read_object, read_word

_VALUES = {"steps": "steps", "scale": "cfg_scale", "seed": "seed"}
_NEWER_VALUES = {
    "width": "width",
    "height": "height",
    "shift": "flow_shift",
    "clipSkip": "clip_skip",
    "guidanceEmbed": "distilled_guidance",
}
_KNOWN = {*_VALUES, "c", "uc", "sampler", "model", "lora", "size", "strength"}
_SIZE = re.compile(r"(\d{1,6})\s*x\s*(\d{1,6})")
_START, _ITEM = "<exif:UserComment", "<rdf:li"


def read_drawthings(file: FileTexts) -> FoundSettings | None:
    """What such an object says."""
    for text in (_comment_of(file.texts.get(XMP, "")), file.texts.get(USER_COMMENT, "")):
        settings = read_object(text)
        if settings is not None and "c" in settings and ("sampler" in settings or "scale" in settings):
            return _read_settings(settings)
    return None


def _comment_of(xmp: str) -> str:
    """The user's comment in XMP: looked for, not parsed, so that no entity of a hostile text is ever expanded."""
    start = xmp.find(_START)
    item = xmp.find(_ITEM, start) if start >= 0 else -1
    text = xmp.find(">", item) if item >= 0 else -1
    end = xmp.find("</rdf:li>", text) if text >= 0 else -1
    return html.unescape(xmp[text + 1 : end]) if end >= 0 else ""


def _read_settings(settings: dict[str, Any]) -> FoundSettings:
    found = FoundSettings(tool="drawthings")
    found.put_prompts(settings.get("c"), settings.get("uc"))
    for name, ours in _VALUES.items():
        found.put(ours, settings.get(name))
    newer = settings["v2"] if isinstance(settings.get("v2"), dict) else {}
    for name, ours in _NEWER_VALUES.items():
        # There 1 is no skipping and 0 is not given.
        found.put(ours, newer.get(name) if ours != "clip_skip" or newer.get(name) != 0 else None)
    size = _SIZE.fullmatch(read_word(settings.get("size")))
    if size:
        found.put("width", size[1])
        found.put("height", size[2])
    found.put_sampling(settings.get("sampler"))
    found.put_model(settings.get("model"))
    for one in settings["lora"] if isinstance(settings.get("lora"), list) else []:
        if isinstance(one, dict):
            found.put_lora(one.get("model") or one.get("file"), one.get("weight"))
    strength = read_float(settings.get("strength"))
    if strength is not None and strength < 1:
        found.put("strength", strength)
        found.kind = "img2img"
    found.keep_rest(settings, _KNOWN)
    return found
