"""Reads the texts of EXIF: the few entries that tools of this field write, by position, never along a chain.

The first folder of entries and the one about the exposure are read, each once: a file cannot make it go in circles, and
what it claims about lengths is held against what is there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sdcpp_rest.services.pictures.metadata.file_texts import MOST_TEXT_BYTES, USER_COMMENT, FileTexts
from sdcpp_rest.services.pictures.user_comment import decode_bytes, decode_comment

MAKER_NOTE, IMAGE_DESCRIPTION, SOFTWARE = "MakerNote", "ImageDescription", "Software"
MAKE, MODEL = "Make", "Model"
_TAGS = {0x010E: IMAGE_DESCRIPTION, 0x010F: MAKE, 0x0110: MODEL, 0x0131: SOFTWARE, 0x927C: MAKER_NOTE}
_USER_COMMENT_TAG, _EXPOSURE_TAG = 0x9286, 0x8769
_PREFIX = b"Exif\0\0"
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1}
_ENTRY_BYTES = 12


def add_exif(texts: FileTexts, exif: bytes) -> None:
    """Add the texts of ``exif``, with or without the prefix that JPEG has. Nothing is raised for broken ones."""
    exif = exif.removeprefix(_PREFIX)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4], "")
    if not order or len(exif) < 8:
        return
    exposure = 0
    for tag, value in _entries(exif, order, struct.unpack_from(f"{order}I", exif, 4)[0]):
        if tag == _EXPOSURE_TAG and len(value) == 4:
            exposure = struct.unpack(f"{order}I", value)[0]
        else:
            _add_entry(texts, tag, value, order)
    for tag, value in _entries(exif, order, exposure) if exposure else ():
        _add_entry(texts, tag, value, order)


def _add_entry(texts: FileTexts, tag: int, value: bytes, order: str) -> None:
    name = USER_COMMENT if tag == _USER_COMMENT_TAG else _TAGS.get(tag, "")
    if not name or name in texts.texts or not texts.has_room(name, len(value)):
        return
    text = decode_comment(value, is_little_endian=order == "<") if name == USER_COMMENT else decode_bytes(value)
    texts.add(name, text.rstrip("\0"))


def _entries(exif: bytes, order: str, start: int) -> Iterator[tuple[int, bytes]]:
    """Tag and bytes of each entry that is wanted in the folder at ``start``, the first of each tag."""
    if start + 2 > len(exif):
        return
    wanted = {*_TAGS, _USER_COMMENT_TAG, _EXPOSURE_TAG}
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    for position in range(start + 2, min(start + 2 + count * _ENTRY_BYTES, len(exif) - _ENTRY_BYTES + 1), _ENTRY_BYTES):
        tag, kind, items = struct.unpack_from(f"{order}HHI", exif, position)
        if tag not in wanted:
            continue
        length = items * _SIZES.get(kind, 0)
        place = position + 8 if length <= 4 else struct.unpack_from(f"{order}I", exif, position + 8)[0]
        if 0 < length <= MOST_TEXT_BYTES and place + length <= len(exif):
            wanted.remove(tag)
            yield tag, exif[place : place + length]
