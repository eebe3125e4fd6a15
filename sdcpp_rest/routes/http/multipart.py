"""Forms with files, read as they come in: nothing of a file is kept.

Knows the shape of multipart/form-data and no field of any form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from sdcpp_rest.errors import InvalidRequest

CHUNK_BYTES = 256 * 1024
_MAX_FIELD_BYTES = 16 * 1024
_MAX_PARTS = 100
# The decoder's own bound is on what it has not decoded yet: one chunk, and the start of a part that it cannot yet read.
_MAX_UNDECODED_BYTES = 4 * CHUNK_BYTES


@dataclass(frozen=True)
class FormField:
    """A field that is text."""

    name: str
    value: str


@dataclass(frozen=True)
class FormFile:
    """A field that is a file. ``chunks`` can be read once, before the next field is asked for."""

    name: str
    filename: str
    chunks: Iterator[bytes]


def parts_of(
    stream: IO[bytes], content_type: str, max_field_bytes: int = _MAX_FIELD_BYTES
) -> Iterator[FormField | FormFile]:
    """The fields of a form in their order; one that is text may have ``max_field_bytes``. Raises InvalidRequest for
    what is no whole form."""
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not boundary or not boundary.isascii():
        raise InvalidRequest("Content-Type: multipart/form-data needs a boundary")
    events = _events(stream, boundary.encode())
    for event in events:
        if isinstance(event, File):
            chunks = _file_chunks(events)
            yield FormFile(event.name or "", event.filename or "", chunks)
            for _ in chunks:  # what was not read is skipped
                pass
        elif isinstance(event, Field):
            name = event.name or ""  # whatever its type says: a part need not have one
            yield FormField(name, _text(name, events, max_field_bytes))


def chunks_of(stream: IO[bytes]) -> Iterator[bytes]:
    """A body without a form around it, in pieces."""
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def _file_chunks(events: Iterator[Event]) -> Iterator[bytes]:
    for event in events:
        if isinstance(event, Data):
            if event.data:
                yield event.data
            if not event.more_data:
                return


def _text(name: str, events: Iterator[Event], max_bytes: int) -> str:
    gathered = bytearray()
    for chunk in _file_chunks(events):
        gathered += chunk
        if len(gathered) > max_bytes:
            raise InvalidRequest(f"{name}: longer than {max_bytes} bytes", field=name)
    try:
        return gathered.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"{name}: not valid UTF-8", field=name) from None


def _events(stream: IO[bytes], boundary: bytes) -> Iterator[Event]:
    decoder = MultipartDecoder(boundary, _MAX_UNDECODED_BYTES, max_parts=_MAX_PARTS)
    try:
        while True:
            event = decoder.next_event()
            if isinstance(event, Epilogue):
                return
            if isinstance(event, NeedData):
                decoder.receive_data(stream.read(CHUNK_BYTES) or None)
            else:
                yield event
    except (ValueError, RequestEntityTooLarge):
        raise InvalidRequest("The request body is not a whole multipart/form-data form") from None
