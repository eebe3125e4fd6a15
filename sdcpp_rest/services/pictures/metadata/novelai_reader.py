"""Reads NovelAI's entries: those of its PNGs, and the object of its other files. One reading serves all who ask."""

from __future__ import annotations

from sdcpp_rest.core import infotext, novelai_text
from sdcpp_rest.services.pictures.metadata.file_texts import USER_COMMENT, FileTexts
from sdcpp_rest.services.pictures.metadata.found_settings import FoundSettings, read_object
from sdcpp_rest.services.pictures.metadata.infotext_reader import fill_from_pairs

_KNOWN = frozenset(
    {"prompt", "uc", "steps", "sampler", "noise_schedule", "scale", "seed", "width", "height", "strength"}
)


def read_novelai(file: FileTexts) -> FoundSettings | None:
    """What such entries say."""
    entries = file.texts
    inside = read_object(entries.get(USER_COMMENT, ""))
    if inside is not None and "Comment" in inside:
        entries = {key: value for key, value in inside.items() if isinstance(value, str)}
    text = novelai_text.write(entries, file.size)
    if not text:
        return None
    found = FoundSettings(tool="novelai")
    pairs = infotext.parse(text)
    settings = read_object(entries.get("Comment", "")) or {}
    # Its strength stands in all pictures; only those with a picture to start from say what drew them.
    is_img2img = settings.get("request_type") in ("Img2ImgRequest", "NativeInfillingRequest")
    if not is_img2img:
        pairs.pop("Denoising strength", None)
    fill_from_pairs(found, pairs)
    found.keep_rest(settings, _KNOWN)
    return found
