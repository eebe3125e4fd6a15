"""Writes the bytes of small files with texts in every place where programs put them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping

from PIL import Image

from sdcpp_rest.core.png_text import SIGNATURE


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(texts: Mapping[str, str] | None = None, *more: bytes, size: tuple[int, int] = (8, 8)) -> bytes:
    """A PNG of one colour; texts as iTXt, other chunks as they are given, both before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    said = b"".join(
        chunk(b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + text.encode()) for key, text in (texts or {}).items()
    )
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + b"\x40\x80\xc0" * size[0]) * size[1]))
    return SIGNATURE + header + said + b"".join(more) + pixels + chunk(b"IEND", b"")


def latin_text(key: str, text: str) -> bytes:
    return chunk(b"tEXt", key.encode() + b"\0" + text.encode("latin-1"))


def packed_text(key: str, plain: bytes) -> bytes:
    return chunk(b"zTXt", key.encode() + b"\0\0" + zlib.compress(plain, 9))


def exif(entries: Mapping[int, bytes | str], exposure: Mapping[int, bytes] | None = None, order: str = "<") -> bytes:
    """EXIF with these entries (texts are ASCII), and those of its folder about the exposure."""
    start = 8
    listed = dict(entries)
    if exposure:
        listed[0x8769] = b""
    folder_end = start + 2 + 12 * len(listed) + 4
    body = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    exposure_start = folder_end + sum(len(_bytes(value)) for value in listed.values() if len(_bytes(value)) > 4)
    folder, values = _folder(listed, folder_end, order, exposure_start)
    body += folder + values
    if exposure:
        inner, inner_values = _folder(exposure, exposure_start + 2 + 12 * len(exposure) + 4, order, 0)
        body += inner + inner_values
    return body


def _bytes(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode() + b"\0"


def _folder(entries: Mapping[int, bytes | str], place: int, order: str, pointer: int) -> tuple[bytes, bytes]:
    folder, values = struct.pack(f"{order}H", len(entries)), b""
    for tag, value in sorted(entries.items()):
        if tag == 0x8769:
            folder += struct.pack(f"{order}HHII", tag, 4, 1, pointer)
            continue
        raw, kind = _bytes(value), 7 if isinstance(value, bytes) else 2
        if len(raw) <= 4:
            folder += struct.pack(f"{order}HHI", tag, kind, len(raw)) + raw.ljust(4, b"\0")
        else:
            folder += struct.pack(f"{order}HHII", tag, kind, len(raw), place + len(values))
            values += raw
    return folder + b"\0\0\0\0", values


def comment_exif(text: str, encoding: str = "utf-16-be", code: bytes = b"UNICODE\0", order: str = ">") -> bytes:
    """EXIF with a user's comment, where it belongs."""
    return exif({}, {0x9286: code + text.encode(encoding)}, order)


def jpeg(exif_bytes: bytes = b"", xmp: str = "", comment: str = "") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG")
    plain = buffer.getvalue()
    segments = b""
    if exif_bytes:
        segments += _segment(0xE1, b"Exif\0\0" + exif_bytes)
    if xmp:
        segments += _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp.encode())
    if comment:
        segments += _segment(0xFE, comment.encode())
    return plain[:2] + segments + plain[2:]


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def webp(exif_bytes: bytes = b"", xmp: str = "", *, is_animated: bool = False) -> bytes:
    """The frame of a WebP, without pixels: they are never looked at."""
    body = riff_chunk(b"VP8X", bytes([0x02 if is_animated else 0]) + b"\0\0\0" + b"\x07\0\0" + b"\x07\0\0")
    if exif_bytes:
        body += riff_chunk(b"EXIF", exif_bytes)
    if xmp:
        body += riff_chunk(b"XMP ", xmp.encode())
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def avif(exif_bytes: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "AVIF", exif=exif_bytes)
    return buffer.getvalue()


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def _value(text: str) -> bytes:
    return box(b"data", b"\0\0\0\x01\0\0\0\0" + text.encode())


def mp4(comment: str = "", keys: Mapping[str, str] | None = None) -> bytes:
    """An MP4 without streams: a comment as iTunes writes it, other tags by the names in a list."""
    head = box(b"hdlr", b"\0" * 8 + b"mdta" + b"\0" * 13)
    items = box(b"\xa9cmt", _value(comment)) if comment else b""
    inside = b"\0\0\0\0" + head + box(b"ilst", items)
    if keys:
        listed = b"".join(box(b"mdta", key.encode()) for key in keys)
        named = b"".join(box(struct.pack(">I", number), _value(text)) for number, text in enumerate(keys.values(), 1))
        inside = (
            b"\0\0\0\0" + head + box(b"keys", b"\0\0\0\0" + struct.pack(">I", len(keys)) + listed) + box(b"ilst", named)
        )
    movie = box(b"moov", box(b"mvhd", b"\0" * 100) + box(b"udta", box(b"meta", inside)))
    return box(b"ftyp", b"isom\0\0\0\0isom") + box(b"mdat", b"\0" * 32) + movie


def element(id: int, body: bytes) -> bytes:
    name = id.to_bytes((id.bit_length() + 7) // 8, "big")
    return name + (len(body) | 1 << 56).to_bytes(8, "big") + body


def webm(**tags: str) -> bytes:
    """A WebM without streams."""
    simple = b"".join(
        element(0x67C8, element(0x45A3, name.upper().encode()) + element(0x4487, text.encode()))
        for name, text in tags.items()
    )
    header = element(0x1A45DFA3, element(0x4282, b"webm"))
    return header + element(0x18538067, element(0x1F43B675, b"\0" * 20) + element(0x1254C367, element(0x7373, simple)))


def xmp_comment(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description><exif:UserComment><rdf:Alt>'
        f'<rdf:li xml:lang="x-default">{escaped}</rdf:li></rdf:Alt></exif:UserComment></rdf:Description></rdf:RDF>'
        "</x:xmpmeta>"
    )
