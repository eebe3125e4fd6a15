"""Reads the files of pictures in the format that was asked for: they lie in the output folder as PNG.

Knows files and formats; must not know requests.
"""

from __future__ import annotations

from pathlib import Path

from sdcpp_rest.core.job import Job
from sdcpp_rest.routes.swarmui.history_paths import is_lossless
from sdcpp_rest.services.pictures.picture_formats import recode

_FORMS = {".jpg": "jpeg", ".webp": "webp"}
_QUALITY = 95


def read_as(file: Path, ending: str, job: Job) -> bytes:
    """The file's bytes, in the format of ``ending``. Raises OSError and ValueError where it takes no such picture."""
    data = file.read_bytes()
    if ending == file.suffix or ending not in _FORMS:
        return data
    return recode(data, _FORMS[ending], _QUALITY, is_lossless=ending == ".webp" and is_lossless(job))
