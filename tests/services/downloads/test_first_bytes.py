"""The first bytes of model files, and of what is none."""

from __future__ import annotations

from sdcpp_rest.services.downloads.first_bytes import fault_of_beginning, page_type
from tests.cases import for_each_case
from tests.model_files import gguf_bytes, safetensors_bytes

MODELS = {
    "gguf": gguf_bytes({"a": (32,)}),
    "safetensors": safetensors_bytes({"a": (4,)}),
    "torch": b"PK\x03\x04" + bytes(60),
    "old torch": b"\x80\x02}q\x00",
}
OTHERS = {
    b"": "is empty",
    b"<!DOCTYPE html><html>": "is a web page",
    b"\xef\xbb\xbf\n <HTML lang=en>": "is a web page",
    b"<?xml version='1.0'?><Error>": "is a web page",
    b'{"error":"Unauthorized"}': "is a JSON text",
    b"[1, 2, 3]": "is a JSON text",
    b"version https://git-lfs.github.com/spec/v1\n": "is only the pointer that Git LFS keeps in place of the file",
    b"\x7fELF" + bytes(100): "does not begin like a model file",
    b"MZ" + bytes(100): "does not begin like a model file",
    b"\xff" * 8 + b"{": "does not begin like a model file",
    b"GG": "does not begin like a model file",
}


@for_each_case("kind", MODELS)
def test_model_files_may_come(kind: str) -> None:
    assert fault_of_beginning(MODELS[kind]) is None


@for_each_case(("head", "fault"), OTHERS.items(), ids=lambda value: str(value)[:20])
def test_others_are_told_by_their_beginning(head: bytes, fault: str) -> None:
    assert fault_of_beginning(head) == fault


def test_media_types_of_pages() -> None:
    assert page_type("text/html; charset=utf-8") == "text/html"
    assert page_type("Application/JSON") == "application/json"
    assert page_type("application/octet-stream") is None
    assert page_type("") is None
    # Some servers call every file this.
    assert page_type("text/plain") is None
