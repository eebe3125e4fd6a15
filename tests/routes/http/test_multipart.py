from __future__ import annotations

import io
import os

import pytest

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.multipart import CHUNK_BYTES, FormFile, chunks_of, parts_of
from tests.cases import for_each_case

TYPE = "multipart/form-data; boundary=edge"


def form(*parts: tuple[str, bytes], end: bytes = b"--edge--\r\n") -> io.BytesIO:
    """A form of (disposition, content) parts."""
    written = b"".join(
        b"--edge\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + content + b"\r\n"
        for head, content in parts
    )
    return io.BytesIO(written + end)


def read(stream: io.BytesIO, content_type: str = TYPE) -> list[tuple[str, str, bytes]]:
    """(name, file name or "", content) of each part."""
    found = []
    for part in parts_of(stream, content_type):
        if isinstance(part, FormFile):
            found.append((part.name, part.filename, b"".join(part.chunks)))
        else:
            found.append((part.name, "", part.value.encode()))
    return found


@for_each_case("size", [0, 1, CHUNK_BYTES - 60, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 7])
@for_each_case("filler", [None, b"\r\n", b"\r", b"--edge", b"\r\n--edg"])
def test_files_of_any_size_and_content_come_out_as_they_went_in(size: int, filler: bytes | None) -> None:
    content = (
        os.urandom(size)
        if filler is None
        else (filler * (size // len(filler) + 1))[:size].replace(b"--edge", b"--edg_")
    )
    parts = form(('name="type"', b"vae"), ('name="file"; filename="a.gguf"', content), ('name="z"', "ü".encode()))
    assert read(parts) == [("type", "", b"vae"), ("file", "a.gguf", content), ("z", "", "ü".encode())]


def test_a_file_that_nobody_reads_is_skipped() -> None:
    stream = form(('name="file"; filename="a"', b"x" * 1_000_000), ('name="type"', b"vae"))
    assert [part.name for part in parts_of(stream, TYPE)] == ["file", "type"]


@for_each_case(
    "body",
    [b"", b"nothing", b"--edge", b"--edge\r\n",
     b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nxx',
     b"--edge\r\nX: y\r\n\r\nz\r\n--edge--", b"--edge\r\n" + b"x" * 3_000_000, b"\xff" * 3_000_000],
)  # fmt: skip
def test_what_is_no_whole_form_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read(io.BytesIO(body))


def test_a_form_without_a_boundary_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="boundary"):
        read(form(), "multipart/form-data")


def test_fields_are_bounded_in_length_and_number() -> None:
    with pytest.raises(InvalidRequest, match=r"^type: "):
        read(form(('name="type"', b"x" * 20_000)))
    with pytest.raises(InvalidRequest):
        read(form(*[(f'name="f{number}"', b"") for number in range(200)]))
    with pytest.raises(InvalidRequest, match="UTF-8"):
        read(form(('name="type"', b"\xff")))


def test_a_bare_body_comes_in_pieces() -> None:
    content = os.urandom(CHUNK_BYTES + 5)
    pieces = list(chunks_of(io.BytesIO(content)))
    assert b"".join(pieces) == content
    assert len(pieces) == 2
