"""Compressed bodies come out as they went in, however they are cut; bombs, scraps and unknown codings are refused."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_rest.errors import InvalidRequest, UnsupportedBody
from sdcpp_rest.web.encodings import PIECE_BYTES, Decompressor, decompressor_for, to_utf8
from tests.cases import for_each_case


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


PACKERS = {
    "gzip": ("gzip", gzip.compress),
    "several gzips": ("gzip", lambda content: gzip.compress(content[:3]) + gzip.compress(content[3:])),
    "gzip and zeros": ("gzip", lambda content: gzip.compress(content) + b"\0" * 512),
    "zlib": ("deflate", zlib.compress),
    "bare deflate": ("deflate", raw_deflate),
}


def unpack(coding: str, packed: bytes, cut: int) -> bytes:
    decompressor = Decompressor(coding)
    parts = [packed[at : at + cut] for at in range(0, len(packed), cut)]
    found = b"".join(piece for part in parts for piece in decompressor.feed(part))
    decompressor.finish()
    return found


@pytest.mark.parametrize("name", PACKERS)
@given(content=st.binary(max_size=3000), cut=st.integers(1, 400))
def test_what_was_packed_comes_out_however_it_is_cut(name: str, content: bytes, cut: int) -> None:
    coding, pack = PACKERS[name]
    assert unpack(coding, pack(content), cut) == content


@pytest.mark.slow
@for_each_case("name", PACKERS)
def test_a_bomb_comes_out_in_pieces(name: str) -> None:
    coding, pack = PACKERS[name]
    packed = pack(b"\0" * 20_000_000)
    pieces = [len(piece) for piece in Decompressor(coding).feed(packed)]
    assert sum(pieces) == 20_000_000
    assert max(pieces) <= PIECE_BYTES


@for_each_case("name", PACKERS)
def test_a_body_that_ends_in_the_middle_is_refused(name: str) -> None:
    coding, pack = PACKERS[name]
    packed = pack(b"some content, long enough").rstrip(b"\0")
    with pytest.raises(InvalidRequest, match="ends in the middle"):
        unpack(coding, packed[: len(packed) // 3], 5)
    assert unpack(coding, b"", 1) == b"", "no body at all is none"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_nonsense_is_refused(coding: str) -> None:
    for nonsense in (b'{"prompt": "x"}', PACKERS["gzip" if coding == "gzip" else "zlib"][1](b"x") + b"more"):
        with pytest.raises(InvalidRequest, match="is not valid"):
            unpack(coding, nonsense, 1000)


@for_each_case("value", ["gzip", "GZIP", "x-gzip", "identity, gzip", "deflate"])
def test_codings_that_are_read(value: str) -> None:
    assert decompressor_for([(b"content-encoding", value.encode())]) is not None


@pytest.mark.parametrize("value", ["", "identity", " , "])
def test_codings_that_are_none(value: str) -> None:
    assert decompressor_for([(b"content-encoding", value.encode())]) is None
    assert decompressor_for([(b"content-type", b"application/json")]) is None


@for_each_case("value", ["br", "zstd", "gzip, gzip", "gzip, br", "compress", "nonsense"])
def test_codings_that_are_not_read_are_refused_by_name(value: str) -> None:
    with pytest.raises(UnsupportedBody, match="Content-Encoding") as refused:
        decompressor_for([(b"content-encoding", value.encode())])
    assert refused.value.status == 415
    assert value in refused.value.message


def text_headers(value: str) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", value.encode())]


@for_each_case(
    ("content_type", "encoding"),
    [
        ("application/json; charset=iso-8859-1", "latin-1"), ('application/json;charset="ISO-8859-1"', "latin-1"),
        ("text/plain; charset=windows-1252", "cp1252"), ("application/problem+json; charset=gbk", "gbk"),
    ],
)  # fmt: skip
def test_a_text_in_another_charset_becomes_utf8(content_type: str, encoding: str) -> None:
    text = '{"prompt": "狐"}' if encoding == "gbk" else '{"prompt": "ein Bär"}'
    assert to_utf8(text_headers(content_type), text.encode(encoding)) == text.encode()
    assert to_utf8(text_headers(content_type), text.encode()) == text.encode(), "UTF-8 under a wrong name"


@for_each_case(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "application/json; charset=UTF-16", "image/png; charset=x",
     "multipart/form-data; boundary=x; charset=iso-8859-1", "application/octet-stream"],
)  # fmt: skip
def test_everything_else_is_left_as_it_is(content_type: str) -> None:
    assert to_utf8(text_headers(content_type), b"\xff\xfe\xe4") == b"\xff\xfe\xe4"
    assert to_utf8([], b"\xff") == b"\xff"


def test_an_unknown_charset_is_refused_by_name_only_where_it_matters() -> None:
    assert to_utf8(text_headers("text/plain; charset=klingon"), b"plain") == b"plain"
    with pytest.raises(UnsupportedBody, match="klingon"):
        to_utf8(text_headers("text/plain; charset=klingon"), b"\xff")
    with pytest.raises(InvalidRequest, match="not valid shift_jis"):
        to_utf8(text_headers("text/plain; charset=shift_jis"), b"\xff\xff")
