"""Recognises by its first bytes what is no model file: a web page should not fill a disk.

Pure: opens nothing, and does not say whether a model is whole.
"""

from __future__ import annotations

LOOKED_AT_BYTES = 512

_PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<script", b"<body", b"<!--")
_PAGE_TYPES = ("text/html", "application/xhtml+xml", "application/json", "application/xml", "text/xml")
_POINTER = b"version https://git-lfs.github.com/spec/"
_MAX_HEADER_BYTES = 1 << 30


def page_type(content_type: str) -> str | None:
    """The media type of an answer's header, where it is one that no model file has."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind if kind in _PAGE_TYPES else None


def fault_of_beginning(head: bytes) -> str | None:
    """What a file that begins with ``head`` is instead of a model (``is a web page``); ``None`` where it may be one."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
    if not head:
        return "is empty"
    if text.startswith(_PAGES):
        return "is a web page"
    if head.startswith(_POINTER):
        return "is only the pointer that Git LFS keeps in place of the file"
    if head.startswith((b"GGUF", b"PK\x03\x04", b"\x80")):
        return None
    header_bytes = int.from_bytes(head[:8], "little")
    if len(head) > 8 and head[8:9] == b"{" and 2 <= header_bytes <= _MAX_HEADER_BYTES:
        return None
    if text.startswith((b"{", b"[")):
        return "is a JSON text"
    return "does not begin like a model file"
