"""Gathers the texts inside a picture or video file, whatever its format, and bounds them.

Reads headers, chunks and boxes only: no pixel is decoded. What a text says is its reader's to know.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

MOST_TEXT_BYTES = 4 * 1024 * 1024
"""Of one text, after it was inflated. The graphs of large workflows have some hundred kilobytes."""
_MOST_BYTES = 2 * MOST_TEXT_BYTES
_MOST_TEXTS = 500
_SHOWN_CHARACTERS = 40

XMP = "XML:com.adobe.xmp"
"""The key of XMP: PNG has a text of that name, the others get it."""
USER_COMMENT = "UserComment"
COMMENT = "comment"
PARAMETERS = "parameters"


@dataclass
class FileTexts:
    """The texts of a file by their keys. The last one of a key counts, as for most programs.

    ``kind`` is the file's format (``png``, ``jpeg``, ``webp``, ``avif``, ``mp4``, ``webm``), ``notes`` are sentences
    about what was not read. ``size`` in pixels where the format's reader came by it.
    """

    kind: str
    texts: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)
    is_animated: bool = False
    _bytes: int = 0
    _count: int = 0

    def add(self, key: str, text: str) -> None:
        """Keep a text, unless it is too long or one too many."""
        length = len(text.encode("utf-8", "replace"))
        if not self.has_room(key, length):
            return
        self._bytes += length
        self._count += 1
        self.texts[key] = text

    def has_room(self, key: str, length: int) -> bool:
        """Whether a text of ``length`` bytes is taken; says why not in `notes`."""
        shown = key[:_SHOWN_CHARACTERS]
        if length > MOST_TEXT_BYTES:
            self.note(f"The text {shown!r} has more than {MOST_TEXT_BYTES} bytes and was not read.")
            return False
        if self._count >= _MOST_TEXTS or self._bytes + length > _MOST_BYTES:
            self.note(
                f"The file has more texts than {_MOST_TEXTS}, or than {_MOST_BYTES} bytes; the others were not read."
            )
            return False
        return True

    def inflate(self, key: str, packed: bytes) -> bytes | None:
        """The bytes of a compressed text; ``None`` for one that is damaged or becomes too long."""
        opened = zlib.decompressobj()
        try:
            plain = opened.decompress(packed, MOST_TEXT_BYTES + 1)
        except zlib.error:
            self.note(f"The compressed text {key[:_SHOWN_CHARACTERS]!r} is damaged.")
            return None
        return plain if self.has_room(key, len(plain)) else None

    def note(self, sentence: str) -> None:
        """Say something once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def note_end(self) -> None:
        """Say that the file is cut off, or says so of its parts."""
        self.note("The file ends in the middle of one of its parts, or lies about their lengths.")
