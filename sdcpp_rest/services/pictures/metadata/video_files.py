"""Finds the texts of MP4 and WebM files: their comments and other tags, box by box.

Neither format is demuxed: boxes that hold the streams are stepped over by their lengths.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice

from sdcpp_rest.services.pictures.metadata.file_texts import COMMENT, FileTexts

_MOST_PARTS = 20_000
_ITEM_NAMES = {b"\xa9cmt": COMMENT, b"\xa9des": "description", b"desc": "description", b"\xa9too": "encoder"}
_SEGMENT, _TAGS, _TAG, _SIMPLE_TAG = 0x18538067, 0x1254C367, 0x7373, 0x67C8
_TAG_NAME, _TAG_TEXT = 0x45A3, 0x4487


def read_mp4(file: bytes) -> FileTexts:
    """The texts of an MP4 or QuickTime file, in each of the places where programs put them."""
    found = FileTexts("mp4")
    for kind, start, end in _boxes(file, 0, len(file), found):
        if kind != b"moov":
            continue
        for inner, inner_start, inner_end in _boxes(file, start, end, found):
            if inner == b"meta":
                _add_items(found, file, inner_start, inner_end)
            elif inner == b"udta":
                for place, place_start, place_end in _boxes(file, inner_start, inner_end, found):
                    if place == b"meta":
                        _add_items(found, file, place_start, place_end)
                    elif place in _ITEM_NAMES:
                        # QuickTime's own form: a length and a language before the text.
                        _add(found, _ITEM_NAMES[place], file, place_start + 4, place_end)
    return found


def _add_items(found: FileTexts, file: bytes, start: int, end: int) -> None:
    """The items of a ``meta`` box, whose names may be numbers of another box's list."""
    # In QuickTime's form it lacks the four bytes of version and flags.
    start += 0 if file[start + 4 : start + 8] == b"hdlr" else 4
    keys: list[str] = []
    for kind, inner_start, inner_end in _boxes(file, start, end, found):
        if kind == b"keys":
            keys = [_text(file, at, stop) for _, at, stop in _boxes(file, inner_start + 8, inner_end, found)]
        elif kind == b"ilst":
            for item, item_start, item_end in _boxes(file, inner_start, inner_end, found):
                number = int.from_bytes(item, "big")
                name = _ITEM_NAMES.get(item) or (keys[number - 1] if 0 < number <= len(keys) else "")
                for value, at, stop in _boxes(file, item_start, item_end, found):
                    if value == b"data" and name:
                        _add(found, name, file, at + 8, stop)


def _boxes(file: bytes, start: int, end: int, found: FileTexts) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of what each box holds."""
    for _ in range(_MOST_PARTS):
        if start + 8 > end:
            return
        length, kind = struct.unpack_from(">I4s", file, start)
        head = 8
        if length == 1 and start + 16 <= end:
            (length,) = struct.unpack_from(">Q", file, start + 8)
            head = 16
        elif length == 0:
            length = end - start
        if length < head or start + length > end:
            found.note_end()
            return
        yield kind, start + head, start + length
        start += length


def read_webm(file: bytes) -> FileTexts:
    """The texts of a WebM or Matroska file: its tags."""
    found = FileTexts("webm")
    for id, start, end in _elements(file, 0, len(file)):
        if id != _SEGMENT:
            continue
        for inner, inner_start, inner_end in _elements(file, start, end):
            if inner == _TAGS:
                _add_tags(found, file, inner_start, inner_end)
    return found


def _add_tags(found: FileTexts, file: bytes, start: int, end: int) -> None:
    for tag, tag_start, tag_end in _elements(file, start, end):
        for simple, simple_start, simple_end in _elements(file, tag_start, tag_end) if tag == _TAG else ():
            if simple != _SIMPLE_TAG:
                continue
            parts = {id: place for id, *place in islice(_elements(file, simple_start, simple_end), 16)}
            if _TAG_NAME in parts and _TAG_TEXT in parts:
                _add(found, _text(file, *parts[_TAG_NAME]).lower(), file, *parts[_TAG_TEXT])


def _elements(file: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Id, start and end of what each element holds; one of unknown or impossible length goes to the end."""
    for _ in range(_MOST_PARTS):
        id, start = _number(file, start, end, keeps_mark=True)
        length, start = _number(file, start, end, keeps_mark=False)
        if id < 0 or length < 0:
            return
        stop = min(end, start + length)
        yield id, start, stop
        start = stop


def _number(file: bytes, start: int, end: int, *, keeps_mark: bool) -> tuple[int, int]:
    """A number of 1 to 8 bytes whose first bit that is set tells how many, and where it ends; -1 for none."""
    if not 0 <= start < end or not file[start]:
        return -1, end
    size = 9 - file[start].bit_length()
    if start + size > end:
        return -1, end
    number = int.from_bytes(file[start : start + size], "big")
    return number if keeps_mark else number & ((1 << 7 * size) - 1), start + size


def _add(found: FileTexts, name: str, file: bytes, start: int, end: int) -> None:
    if found.has_room(name, max(0, end - start)):
        found.add(name, _text(file, start, end))


def _text(file: bytes, start: int, end: int) -> str:
    return file[start:end].decode("utf-8", "replace").rstrip("\0")
