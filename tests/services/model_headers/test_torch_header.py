"""Torch files are read by their opcodes, within bounds, and nothing in them is run."""

from __future__ import annotations

import io
import pickle as python_pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.services.model_headers import torch_header
from sdcpp_rest.services.model_headers.inspection import NotAModel, inspect_file
from tests.cases import for_each_case
from tests.model_files import write
from tests.torch_files import (
    dictionary,
    legacy_bytes,
    number,
    pickle,
    storages,
    tensor,
    text,
    torch_bytes,
    zip_bytes,
)

TWO = {"decoder.conv_in.weight": (8, 16, 3, 3), "decoder.conv_in.bias": (8,)}


@pytest.mark.parametrize("content", [torch_bytes(TWO, "HalfStorage"), legacy_bytes(TWO, "HalfStorage")])
def test_names_shapes_and_number_formats_are_found(tmp_path: Path, content: bytes) -> None:
    found = inspect_file(write(tmp_path / "a.pt", content))
    assert found.tensors == {"decoder.conv_in.weight": (3, 3, 16, 8), "decoder.conv_in.bias": (8,)}
    assert set(found.tensor_types.values()) == {"f16"}
    assert found.parameter_count == 1160


def test_dictionaries_inside_are_opened_and_keep_no_prefix(tmp_path: Path) -> None:
    found = inspect_file(write(tmp_path / "a.ckpt", torch_bytes(TWO, wrapper="state_dict")))
    assert found.tensors.keys() == TWO.keys()


def test_nothing_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (open, (str(tmp_path / "made"), "w"))

    for header in (python_pickle.dumps({"a": Evil()}, protocol=2), python_pickle.dumps(Evil(), protocol=4)):
        with pytest.raises(NotAModel, match="holds no tensors"):
            inspect_file(write(tmp_path / "evil.pt", zip_bytes(header, {})))
        inspect_or_refuse(tmp_path / "evil.ckpt", header)
    assert not (tmp_path / "made").exists()


def inspect_or_refuse(path: Path, content: bytes) -> None:
    with pytest.raises(NotAModel):
        inspect_file(write(path, content))


WHOLE = torch_bytes(TWO)
BAD: dict[str, tuple[bytes, str]] = {
    "half a zip": (WHOLE[: len(WHOLE) // 2], "truncated"),
    "no archive at all": (b"PK\x03\x04" + bytes(100), "truncated"),
    "another zip": (zip_bytes(b"", {}).replace(b"data.pkl", b"text.txt"), "no model file"),
    "weights missing": (zip_bytes(pickle(dictionary(TWO)), {"0": bytes(4608)}), "are missing"),
    "weights too short": (zip_bytes(pickle(dictionary(TWO)), {**storages(TWO), "0": bytes(9)}), "ends beyond"),
    "half a legacy file": (legacy_bytes(TWO)[:-100], "truncated"),
    "legacy header cut": (legacy_bytes(TWO)[:60], "truncated"),
    "bytes": (torch_bytes(TWO, "ByteStorage"), "ByteStorage, which cannot be read"),
    "a view": (
        zip_bytes(pickle(b"}(" + text("a") + tensor("0", (2, 3), strides=(1, 2)) + b"u"), {"0": bytes(24)}),
        "not contiguous",
    ),
    "a negative side": (
        zip_bytes(pickle(b"}(" + text("a") + tensor("0", (-2, 3)) + b"u"), {"0": bytes(24)}),
        "damaged",
    ),
    "an object": (zip_bytes(pickle(b"cmodule\nNet\n)\x81}b"), {}), "whole Python objects"),
    "no stop": (zip_bytes(b"\x80\x02}", {}), "pickle"),
    "an empty stack": (zip_bytes(pickle(b"0"), {}), "pickle"),
    "no mark": (zip_bytes(pickle(b"Nt"), {}), "pickle"),
    "memo of nothing": (zip_bytes(pickle(b"h\x07"), {}), "pickle"),
    "a number": (zip_bytes(pickle(number(7)), {}), "no tensors"),
    "noise": (zip_bytes(bytes(range(256)), {}), "pickle"),
}


@for_each_case("name", BAD)
def test_what_is_broken_is_refused_in_words(tmp_path: Path, name: str) -> None:
    content, words = BAD[name]
    with pytest.raises(NotAModel, match=words):
        inspect_file(write(tmp_path / "bad.pt", content))


def test_every_cut_of_a_file_is_refused(tmp_path: Path) -> None:
    for content in (torch_bytes({"a": (2,)}), legacy_bytes({"a": (2,)})):
        for length in range(4, len(content) - 1, 7):
            inspect_or_refuse(tmp_path / "cut.pt", content[:length])


def test_a_dictionary_that_holds_itself_ends(tmp_path: Path) -> None:
    body = b"}q\x00(" + text("self") + b"h\x00" + text("a") + tensor("0", (2,)) + b"u"
    found = inspect_file(write(tmp_path / "a.pt", zip_bytes(pickle(body), {"0": bytes(8)})))
    assert found.tensors == {"a": (2,)}


def test_the_number_of_operations_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_header, "MAX_OPERATIONS", 100)
    with pytest.raises(NotAModel, match="operations"):
        inspect_file(write(tmp_path / "a.pt", zip_bytes(pickle(b"N0" * 200 + b"N"), {})))


def test_the_header_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_header, "MAX_HEADER_BYTES", 200)
    with pytest.raises(NotAModel, match="more than"):
        inspect_file(write(tmp_path / "a.pt", torch_bytes(TWO)))


CALL = b"(S'touch MADE'\nt"
RUNNING = {
    "GLOBAL, REDUCE": b"cos\nsystem\n" + CALL + b"R",
    "STACK_GLOBAL, REDUCE": b"\x8c\x02os\x8c\x06system\x93" + CALL + b"R",
    "INST": b"(S'touch MADE'\nios\nsystem\n",
    "OBJ": b"(cos\nsystem\nS'touch MADE'\no",
    "NEWOBJ": b"cos\nsystem\n" + CALL + b"\x81",
    "NEWOBJ_EX": b"cos\nsystem\n" + CALL + b"}\x92",
    "BUILD": b"cos\nsystem\n)R}(S'x'\nS'touch MADE'\nub",
    "EXT1": b"\x82\x01" + CALL + b"R",
    "PERSID": b"Pos.system\n",
    "BINPERSID": b"(S'storage'\ncos\nsystem\nS'touch MADE'\nS'cpu'\nJ\x01\0\0\0tQ",
    "a builtin": b'cbuiltins\nexec\n(S\'open("MADE", "w")\'\ntR',
    "by getattr": b"cbuiltins\ngetattr\n(cos\nS'system'\ntR" + CALL + b"R",
    "torch's own loader": b"ctorch\nload\n(S'MADE'\ntR",
    "a tensor of another's": b"cos\nsystem\n(S'touch MADE'\ntR",
    "in a list": b"](cos\nsystem\n" + CALL + b"Re",
    "as a name of a tensor": b"}(cos\nsystem\n" + CALL + b"R" + tensor("0", (2,)) + b"u",
}
"""What would run something if it were unpickled, one way each."""


@for_each_case("way", RUNNING)
@for_each_case("protocol", [b"\x80\x02", b"\x80\x04", b""])
def test_no_opcode_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, protocol: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    for header in (protocol + RUNNING[way] + b".", protocol + b"}(" + text("a") + RUNNING[way] + b"u."):
        for content in (header, zip_bytes(header, {"0": bytes(8)})):
            inspect_or_refuse(tmp_path / "evil.pt", content)
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pt"]


def archive_of(*entries: tuple[zipfile.ZipInfo | str, bytes], deflate: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED) as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return buffer.getvalue()


def link_to(target: str) -> tuple[zipfile.ZipInfo, bytes]:
    """An entry that is a symbolic link where it is unpacked."""
    entry = zipfile.ZipInfo("archive/data.pkl")
    entry.create_system, entry.external_attr = 3, 0o120777 << 16
    return entry, target.encode()


HEADER = pickle(dictionary({"a": (2,)}))
ARCHIVES: dict[str, tuple[bytes, str]] = {
    "upwards": (archive_of(("../../made", b"x"), ("../x/data.pkl", b"\x80\x02}.")), "no tensors"),
    "absolute": (archive_of(("/made", b"x"), ("/data.pkl", b"\x80\x02}.")), "no tensors"),
    "a drive": (archive_of(("C:\\made", b"x")), "no model file"),
    "a link": (archive_of(link_to("/etc/passwd")), "pickle"),
    "a bomb": (archive_of(("x/data.pkl", bytes(40 << 20)), deflate=True), "more than|pickle"),
    "a bomb beside": (archive_of(("x/data.pkl", HEADER), ("x/data/0", bytes(9)), ("b", bytes(64 << 20)), deflate=True),
                      ""),
    "one in another": (archive_of(("x.zip", archive_of(("x/data.pkl", HEADER)))), "no model file"),
    "a lie about the size": (
        archive_of(("x/data.pkl", HEADER)).replace(struct.pack("<I", len(HEADER)), struct.pack("<I", 9)),
        "damaged|pickle",
    ),
}  # fmt: skip


@for_each_case("name", ARCHIVES)
def test_archives_with_tricks_write_nothing_and_are_read_within_bounds(tmp_path: Path, name: str) -> None:
    content, words = ARCHIVES[name]
    folder = tmp_path / "one" / "two"
    folder.mkdir(parents=True)
    path = write(folder / "a.pt", content)
    tracemalloc.start()
    try:
        if words:
            with pytest.raises(NotAModel, match=words):
                inspect_file(path)
        else:
            assert inspect_file(path).tensors == {"a": (2,)}
        assert tracemalloc.get_traced_memory()[1] < 2 * torch_header.MAX_HEADER_BYTES, (
            "its reader joins what it has read"
        )
    finally:
        tracemalloc.stop()
    assert [one.name for one in tmp_path.rglob("*") if one.is_file()] == ["a.pt"]
