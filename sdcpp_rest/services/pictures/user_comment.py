"""EXIF's UserComment: the text in it, in every encoding that programs of this field write. Pure: bytes in, text out."""

from __future__ import annotations

import codecs

_CODE_BYTES = 8
_UNICODE, _ASCII, _JIS, _UNDEFINED = b"UNICODE\0", b"ASCII\0\0\0", b"JIS\0\0\0\0\0", b"\0" * _CODE_BYTES
_BOMS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def encode_comment(text: str, most_bytes: int) -> bytes:
    """``text`` as the entry's value, cut to about ``most_bytes``."""
    # An even number: half of a character would be read as another one.
    return _UNICODE + text.encode("utf-16-be", "replace")[: most_bytes // 2 * 2]


def decode_comment(raw: bytes, *, is_little_endian: bool = False) -> str:
    """The text of the entry's value; ``is_little_endian`` is the byte order of the EXIF around it."""
    code, body = raw[:_CODE_BYTES], raw[_CODE_BYTES:]
    if code == _JIS:
        text = _decode_jis(body)
    elif code == _UNICODE:
        text = _decode_unicode(body, is_little_endian)
    else:
        body = body if code in (_ASCII, _UNDEFINED) else raw
        # A code is only a claim: zeros between the letters tell more.
        text = _decode_unicode(body, is_little_endian) if body.strip(b"\0").count(0) else decode_bytes(body)
    return text.lstrip("\ufeff").rstrip("\0").lstrip("\0")


def decode_bytes(body: bytes) -> str:
    """Text that names no encoding: UTF-8 if it can be that, else Latin-1."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("latin-1")


def _decode_unicode(body: bytes, is_little_endian: bool) -> str:
    """UTF-16 whose byte order nobody wrote down: the zeros of its Latin letters tell, else the order of the EXIF."""
    for bom, encoding in _BOMS:
        if body.startswith(bom):
            return _decode_utf16(body[len(bom) :], encoding)
    high_first, low_first = body[0::2].count(0), body[1::2].count(0)
    if not high_first and not low_first and (body.isascii() or b"Steps:" in body):
        return decode_bytes(body)
    if low_first == high_first:
        order = "utf-16-le" if is_little_endian else "utf-16-be"
    else:
        order = "utf-16-le" if low_first > high_first else "utf-16-be"
    return _decode_utf16(body, order)


def _decode_utf16(body: bytes, order: str) -> str:
    if len(body) % 2:
        # The zero at the end of a text is cut off by readers that take it for the end's mark.
        body = body + b"\0" if order == "utf-16-le" else body[:-1]
    return body.decode(order, "replace")


def _decode_jis(body: bytes) -> str:
    for encoding in ("iso2022_jp",) if b"\x1b" in body else ("utf-8", "shift_jis", "euc_jp"):
        try:
            return body.decode(encoding)
        except UnicodeDecodeError:
            continue
    return decode_bytes(body)
