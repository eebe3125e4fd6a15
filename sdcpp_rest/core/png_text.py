"""Finds and replaces the text chunks of a PNG file without touching its pixels.

Pure: bytes in, bytes out. Knows nothing of what the text says.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})


def replace_text(png: bytes, key: str, text: str | None) -> bytes:
    """``png`` with one text chunk ``key``, in place of all of that name; ``None`` takes them out.

    Latin-1 text is written as ``tEXt``, other text, and Latin-1 that could be taken for UTF-8, as ``iTXt``. Anything
    that is no whole PNG file comes back as it is.
    """
    pieces = list(chunks(png))
    if not pieces or pieces[-1][0] != b"IEND":
        return png
    name = key.encode("latin-1")
    kept = [SIGNATURE]
    for position, (kind, start, end) in enumerate(pieces):
        if kind in TEXT_CHUNKS and png[start + 8 : end].split(b"\0", 1)[0] == name:
            continue
        kept.append(png[start:end])
        if position == 0 and text is not None:
            kept.append(_text_chunk(name, text))
    return b"".join(kept)


def read_text(text: str) -> str:
    """The words of a ``tEXt`` or ``zTXt`` chunk that was read as Latin-1, as the standard has it: many programs write
    UTF-8, and bytes are hardly ever both by accident."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def chunks(png: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each whole chunk, length and checksum included."""
    if not png.startswith(SIGNATURE):
        return
    position = len(SIGNATURE)
    while position + 12 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        end = position + 12 + length
        if end > len(png):
            return
        yield kind, position, end
        position = end


def _text_chunk(name: bytes, text: str) -> bytes:
    try:
        kind, body = b"tEXt", name + b"\0" + text.encode("latin-1")
    except UnicodeEncodeError:
        kind = b"iTXt"
    if kind == b"iTXt" or read_text(text) != text:
        kind, body = b"iTXt", name + b"\0\0\0\0\0" + text.encode("utf-8", "replace")
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
