"""Finds the texts of PNG, JPEG, WebP and AVIF files, chunk by chunk.

Lengths that files claim are held against what is there: a file that is cut off gives what stood before the cut.
"""

from __future__ import annotations

import io
import struct
import warnings
from itertools import islice

from PIL import Image

import sdcpp_rest.services.pictures.pillow_setup  # noqa: F401
from sdcpp_rest.core import png_text
from sdcpp_rest.services.pictures.metadata.exif_texts import add_exif
from sdcpp_rest.services.pictures.metadata.file_texts import COMMENT, MOST_TEXT_BYTES, XMP, FileTexts
from sdcpp_rest.services.pictures.user_comment import decode_bytes

_MOST_CHUNKS = 100_000
_LONGEST_KEY = 79
_EXIF_PREFIX, _XMP_PREFIX = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_STARTS_OF_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


def read_png(file: bytes) -> FileTexts:
    """The texts of a PNG, those behind its pixels too."""
    found = FileTexts("png")
    last = b""
    for kind, start, end in islice(png_text.chunks(file), _MOST_CHUNKS):
        last, length = kind, end - start - 12
        if kind == b"IHDR" and length >= 8:
            found.size = struct.unpack_from(">II", file, start + 8)
        elif kind == b"eXIf" and length <= MOST_TEXT_BYTES:
            add_exif(found, file[start + 8 : end - 4])
        elif kind in png_text.TEXT_CHUNKS:
            _add_png_text(found, kind, file, start + 8, end - 4)
    if last != b"IEND":
        found.note_end()
    return found


def _add_png_text(found: FileTexts, kind: bytes, file: bytes, start: int, end: int) -> None:
    stop = file.find(b"\0", start, min(end, start + _LONGEST_KEY + 1))
    if stop < 0:
        return
    key = file[start:stop].decode("latin-1")
    # Compressed ones are shorter than what they become: what is too long as it is, is too long.
    if not found.has_room(key, end - stop - 1):
        return
    body = file[stop + 1 : end]
    plain: bytes | None = body
    if kind == b"zTXt":
        plain = found.inflate(key, body[1:])
    elif kind == b"iTXt":
        parts = body[2:].split(b"\0", 2)
        if len(parts) != 3:
            return
        plain = found.inflate(key, parts[2]) if body[0] else parts[2]
    if plain is None:
        return
    is_unicode = kind == b"iTXt"
    found.add(key, plain.decode("utf-8", "replace") if is_unicode else png_text.read_text(plain.decode("latin-1")))


def read_jpeg(file: bytes) -> FileTexts:
    """The texts of a JPEG: EXIF, XMP and its comment, which stand before the pixels."""
    found = FileTexts("jpeg")
    position = 2
    for _ in range(_MOST_CHUNKS):
        if position + 2 > len(file) or file[position] != 0xFF:
            break
        marker = file[position + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        if marker in (0xD9, 0xDA):  # the end, or the pixels
            return found
        if position + 4 > len(file):
            break
        (length,) = struct.unpack_from(">H", file, position + 2)
        end = position + 2 + length
        if length < 2 or end > len(file):
            break
        _add_segment(found, marker, file[position + 4 : end])
        position = end
    found.note_end()
    return found


def _add_segment(found: FileTexts, marker: int, body: bytes) -> None:
    if marker == 0xE1 and body.startswith(_EXIF_PREFIX):
        add_exif(found, body)
    elif marker == 0xE1 and body.startswith(_XMP_PREFIX):
        found.add(XMP, decode_bytes(body[len(_XMP_PREFIX) :]))
    elif marker == 0xFE:
        found.add(COMMENT, decode_bytes(body))
    elif marker in _STARTS_OF_FRAMES and len(body) >= 5:
        height, width = struct.unpack_from(">HH", body, 1)
        found.size = width, height


def read_webp(file: bytes) -> FileTexts:
    """The texts of a WebP: EXIF and XMP, wherever they stand."""
    found = FileTexts("webp")
    position = 12
    for _ in range(_MOST_CHUNKS):
        if position + 8 > len(file):
            break
        kind, length = struct.unpack_from("<4sI", file, position)
        start, end = position + 8, position + 8 + length
        if end > len(file):
            found.note_end()
            break
        if kind == b"EXIF" and length <= MOST_TEXT_BYTES:
            add_exif(found, file[start:end])
        elif kind == b"XMP " and found.has_room(XMP, length):
            found.add(XMP, decode_bytes(file[start:end]))
        elif kind == b"VP8X" and length >= 10:
            found.size = tuple(int.from_bytes(file[start + at : start + at + 3], "little") + 1 for at in (4, 7))  # type: ignore[assignment]
            found.is_animated = bool(file[start] & 0x02)
        position = end + length % 2
    return found


def read_avif(file: bytes) -> FileTexts:
    """The texts of an AVIF, if Pillow has its codec: it opens the file and decodes nothing."""
    found = FileTexts("avif")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(file), formats=("AVIF",)) as picture:
                found.size = picture.size
                exif, xmp = picture.info.get("exif"), picture.info.get("xmp")
    except Exception as error:  # it raises whatever it likes on broken files, and where it lacks the codec
        found.note(f"The AVIF file could not be opened ({type(error).__name__}).")
        return found
    if isinstance(exif, bytes) and len(exif) <= MOST_TEXT_BYTES:
        add_exif(found, exif)
    if isinstance(xmp, bytes) and found.has_room(XMP, len(xmp)):
        found.add(XMP, decode_bytes(xmp))
    return found
