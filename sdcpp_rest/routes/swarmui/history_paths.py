"""Spells the paths of SwarmUI's image history, and reads those that clients send.

Pure. A path is relative to the user's root: ``raw/2026-11-26/1830004-a red circle-demo.png``.
"""

from __future__ import annotations

import re
import threading

from sdcpp_rest.core.job import Job
from sdcpp_rest.core.json_captions import PARAMS, read_object
from sdcpp_rest.errors import InvalidRequest

STARRED = "Starred/"
RAW = "raw"
_ENDINGS = {"JPG": ".jpg", "WEBP": ".webp", "WEBP_LOSSLESS": ".webp"}
_PART_CHARACTERS = 40
_FORBIDDEN = re.compile(r'[<>:"\\|?*~&@;#$^\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]')
_BLANKS = re.compile(r"\s+")


class RequestNumbers:
    """Counts names within a minute, so that those of one minute sort as they were given. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute = ""
        self._count = 0

    def next(self, minute: str) -> int:
        """The next number of ``minute``, from 0 on."""
        with self._lock:
            if minute != self._minute:
                self._minute, self._count = minute, -1
            self._count += 1
            return self._count


_numbers = RequestNumbers()


def base_of(job: Job) -> str:
    """The path of a job's picture without its ending: day, minute, what was asked for, and with what."""
    moment = job.created_at.astimezone()
    minute = moment.strftime("%H%M")
    number = _numbers.next(moment.strftime("%Y%m%d%H%M"))
    prompt = clean_part(str(job.params.get("prompt") or job.kind)) or job.kind
    model = clean_part((job.model_name or "none").rpartition(".")[0] or job.model_name or "none")
    return f"{RAW}/{moment:%Y-%m-%d}/{minute}{number:03}-{prompt}-{model}"


def spell_name(job: Job, ending: str) -> tuple[str, str]:
    """The name of a job's output, and its ending: that of the format that was asked for, or the file's own."""
    return base_of(job), _ENDINGS.get(_asked_format(job), ending) if ending == ".png" else ending


def is_lossless(job: Job) -> bool:
    """Whether a job's pictures are to lose nothing in their format."""
    return _asked_format(job) == "WEBP_LOSSLESS"


def _asked_format(job: Job) -> str:
    found = read_object(job.caption or "")
    return str(found[PARAMS].get("imageformat")) if found is not None else ""


def clean_part(text: str) -> str:
    """A part of a file's name: without what no file system likes, and not longer than 40 characters."""
    cleaned = _FORBIDDEN.sub("", text).replace(".", "").replace("/", " ")
    return _BLANKS.sub(" ", cleaned).strip()[:_PART_CHARACTERS].strip()


def read_path(sent: str) -> str:
    """A path as a client sent it, below the user's root: backslashes, ``%20``, forbidden characters and ``..`` are
    brought in order, not refused. Raises InvalidRequest for what is still none."""
    path = sent.replace("\\", "/").replace("%20", " ")
    path = _FORBIDDEN.sub("", path).strip()
    while ".." in path:
        path = path.replace("..", "")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if len(path) > 1000:
        raise InvalidRequest("Unacceptable path. If you are the server owner, check program console log.", field="path")
    return "/".join(parts)


def split_star(path: str) -> tuple[str, bool]:
    """A path without ``Starred/``, and whether it had that."""
    return (path.removeprefix(STARRED), True) if path.startswith(STARRED) else (path, False)
