"""Sets Pillow up, for the whole process: what it can read, and how large. Imported by all that open files with it."""

from __future__ import annotations

import importlib
import importlib.util

from PIL import Image

from sdcpp_rest.services.pictures.picture_formats import CAN_AVIF

_HEIF_PLUGIN = "pillow_heif"


def _readable_formats() -> tuple[str, ...]:
    """Pillow's names of what may come in: AVIF where its build has the codec, HEIC where its plugin is installed."""
    formats = ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]
    if CAN_AVIF:
        formats.append("AVIF")
    if importlib.util.find_spec(_HEIF_PLUGIN) is not None:
        importlib.import_module(_HEIF_PLUGIN).register_heif_opener()
        formats.append("HEIF")
    return tuple(formats)


READABLE_FORMATS = _readable_formats()
"""Pillow's names of what may come in."""

# Ours is the limit that counts, and it is checked before any pixel is decoded. Pillow's own only warns.
Image.MAX_IMAGE_PIXELS = None
