"""Decodes bodies that come in another form than the views read: compressed, or in another charset than UTF-8.

Pure. What is decompressed comes out in pieces, so that whoever counts them can stop before a bomb has gone off.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterable, Iterator

from sdcpp_rest.errors import InvalidRequest, UnsupportedBody

ACCEPTED = "gzip, deflate, identity"
"""What the header Accept-Encoding of a 415 says."""

PIECE_BYTES = 256 * 1024

_GZIP_WINDOW = zlib.MAX_WBITS | 16
_CODECS = {
    "iso-8859-1": "latin-1",
    "latin1": "latin-1",
    "latin-1": "latin-1",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
    "iso-8859-15": "iso-8859-15",
    "shift_jis": "shift_jis",
    "euc-jp": "euc-jp",
    "euc-kr": "euc-kr",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5",
    "windows-1251": "cp1251",
    "koi8-r": "koi8-r",
}
_UNICODE = ("utf-8", "utf8", "us-ascii", "ascii", "utf-16", "utf-16le", "utf-16be", "utf-32", "utf-32le", "utf-32be")

Headers = Iterable[tuple[bytes, bytes]]


class Decompressor:
    """Decompresses one body's gzip or deflate, fed as it comes in."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inflater = zlib.decompressobj(_GZIP_WINDOW) if coding == "gzip" else None
        self._waiting = b""
        self._has_begun = False

    def feed(self, part: bytes) -> Iterator[bytes]:
        """What ``part`` decompresses to, in pieces of at most `PIECE_BYTES`. Raises InvalidRequest."""
        waiting = self._waiting + part
        self._waiting = b""
        self._has_begun = self._has_begun or bool(waiting)
        if self._inflater is None:
            # "deflate" is zlib's format, and for some clients the bare stream within; the first two bytes tell.
            if len(waiting) < 2:
                self._waiting = waiting
                return
            is_zlib = waiting[0] & 0x0F == 8 and (waiting[0] << 8 | waiting[1]) % 31 == 0
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        while True:
            if self._inflater.eof:
                # Files of gzip may be several, one behind the other, and be filled up with zeros.
                if not waiting.strip(b"\0"):
                    return
                if self._coding != "gzip":
                    raise self._format_error()
                self._inflater = zlib.decompressobj(_GZIP_WINDOW)
            try:
                piece = self._inflater.decompress(waiting, PIECE_BYTES)
            except zlib.error:
                raise self._format_error() from None
            if piece:
                yield piece
            waiting = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
            if not waiting and (self._inflater.eof or len(piece) < PIECE_BYTES):
                return

    def finish(self) -> None:
        """Raises InvalidRequest unless all of it has come."""
        if self._has_begun and (self._inflater is None or not self._inflater.eof):
            raise InvalidRequest(f"request body ends in the middle of its {self._coding} stream")

    def _format_error(self) -> InvalidRequest:
        return InvalidRequest(f"request body is not valid {self._coding} (Content-Encoding)")


def decompressor_for(headers: Headers) -> Decompressor | None:
    """What undoes a request's Content-Encoding; ``None`` where there is nothing to undo. Raises UnsupportedBody."""
    named = ",".join(value.decode("latin-1") for name, value in headers if name == b"content-encoding")
    codings = [coding.strip().lower() for coding in named.split(",")]
    codings = [coding.removeprefix("x-") for coding in codings if coding not in ("", "identity")]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in ("gzip", "deflate"):
        raise UnsupportedBody(
            f"Content-Encoding '{named[:80]}' is not supported; allowed: gzip or deflate, once, or none",
            allowed=["gzip", "deflate", "identity"],
        )
    return Decompressor(codings[0])


def to_utf8(headers: Headers, body: bytes) -> bytes:
    """A text body in UTF-8, or whichever Unicode form it has. Another charset counts only where the body is no UTF-8:
    many clients name one and send UTF-8 all the same. Raises UnsupportedBody, InvalidRequest.
    """
    charset = _charset(headers)
    if charset is None or _is_utf8(body):
        return body
    if charset not in _CODECS:
        raise UnsupportedBody(f"charset '{charset[:40]}' is not supported; send UTF-8", allowed=["utf-8"])
    try:
        return body.decode(_CODECS[charset]).encode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"request body is not valid {charset} (byte {error.start})") from None


def _charset(headers: Headers) -> str | None:
    """That of a text in another charset than Unicode's; forms and files have their own ways to say it."""
    for name, value in headers:
        if name == b"content-type":
            kind, *parameters = value.decode("latin-1").lower().split(";")
            kind = kind.strip()
            if not (kind.startswith("text/") or kind.endswith(("json", "x-www-form-urlencoded"))):
                return None
            for parameter in parameters:
                word, _, charset = parameter.partition("=")
                charset = charset.strip().strip("\"'")
                if word.strip() == "charset" and charset and charset not in _UNICODE:
                    return charset
    return None


def _is_utf8(body: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(body, final=True)
    except UnicodeDecodeError:
        return False
    return True
