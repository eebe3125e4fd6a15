"""Reads a picture or video file: which format it has, which tool wrote into it, and what that says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sdcpp_rest.core.png_text import SIGNATURE
from sdcpp_rest.services.pictures.metadata.comfyui_reader import read_comfyui
from sdcpp_rest.services.pictures.metadata.drawthings_reader import read_drawthings
from sdcpp_rest.services.pictures.metadata.file_texts import FileTexts
from sdcpp_rest.services.pictures.metadata.fooocus_reader import read_fooocus
from sdcpp_rest.services.pictures.metadata.found_settings import FoundSettings
from sdcpp_rest.services.pictures.metadata.infotext_reader import read_bare_prompt, read_infotext
from sdcpp_rest.services.pictures.metadata.invokeai_reader import read_invokeai
from sdcpp_rest.services.pictures.metadata.novelai_reader import read_novelai
from sdcpp_rest.services.pictures.metadata.picture_files import read_avif, read_jpeg, read_png, read_webp
from sdcpp_rest.services.pictures.metadata.swarmui_reader import read_swarmui
from sdcpp_rest.services.pictures.metadata.video_files import read_mp4, read_webm

_READERS: tuple[Callable[[FileTexts], FoundSettings | None], ...] = (
    read_swarmui,
    read_fooocus,
    read_infotext,
    read_novelai,
    read_invokeai,
    read_drawthings,
    read_comfyui,
    read_bare_prompt,
)
"""In this order. Texts in AUTOMATIC1111's layout go before graphs: who writes both says the same, and more plainly."""

_AVIF_BRANDS = (b"avif", b"avis")
_LONGEST_BRANDS = 256


@dataclass(frozen=True)
class ReadFile:
    """What a file says, and its texts as they are."""

    file: FileTexts
    found: FoundSettings


def read_file(file: bytes) -> ReadFile | None:
    """What a file says; `FoundSettings` of an unknown tool where it says nothing. ``None`` for what is no file of these
    formats."""
    texts = _read_texts(file)
    if texts is None:
        return None
    found = next((found for read in _READERS if (found := read(texts)) is not None), FoundSettings())
    if found.kind == "txt2vid" and (texts.kind in ("mp4", "webm") or texts.is_animated):
        found.put("output_format", texts.kind)
    for sentence in texts.notes:
        found.note(sentence)
    return ReadFile(texts, found)


def _read_texts(file: bytes) -> FileTexts | None:
    if file.startswith(SIGNATURE):
        return read_png(file)
    if file.startswith(b"\xff\xd8\xff"):
        return read_jpeg(file)
    if file.startswith(b"RIFF") and file[8:12] == b"WEBP":
        return read_webp(file)
    if file.startswith(b"\x1aE\xdf\xa3"):
        return read_webm(file)
    if file[4:8] == b"ftyp":
        brands = file[8 : min(int.from_bytes(file[:4], "big"), _LONGEST_BRANDS)]
        return read_avif(file) if any(brand in brands for brand in _AVIF_BRANDS) else read_mp4(file)
    return None
