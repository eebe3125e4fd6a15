from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sdcpp_rest.errors import NotSupported
from sdcpp_rest.services.models import library_vocabulary
from sdcpp_rest.services.models.library_vocabulary import PLACES, LibraryVocabularies, find_bytes

MERGES = b"#version: 0.2\ni n\nt h\na b</w>\n"
T5 = b'{\n  "version": "1.0",\n  "truncation": null,\n  "model": {"vocab": [["", 0.0], ["\xe2\x96\x81a", -1.0]]}}'


def write(path: Path, *contents: bytes) -> Path:
    path.write_bytes(b"\x7fELF" + bytes(100_000) + b"".join(contents) + bytes(1_000))
    return path


def know(monkeypatch: pytest.MonkeyPatch, vocabulary: str, content: bytes) -> None:
    place = PLACES[vocabulary]._replace(size=len(content), sha256=hashlib.sha256(content).hexdigest())  # type: ignore[index]
    monkeypatch.setattr(library_vocabulary, "PLACES", {**library_vocabulary.PLACES, vocabulary: place})


def test_vocabularies_are_found_in_the_librarys_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, "clip", MERGES)
    know(monkeypatch, "t5", T5)
    file = write(tmp_path / "library.so", MERGES, T5)
    found = LibraryVocabularies(lambda: str(file))
    assert len(found.tokenizer("clip", {"x": 3}).tokenize("ab in x").starts) == 6
    assert len(found.tokenizer("t5", {}).tokenize("a").starts) == 1


@pytest.mark.parametrize("gap", [0, 1, 5, 21, 22, 23])
def test_one_that_lies_across_two_pieces_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gap: int) -> None:
    know(monkeypatch, "clip", MERGES)
    monkeypatch.setattr(library_vocabulary, "_PIECE_BYTES", 64)
    file = tmp_path / "library.so"
    file.write_bytes(bytes(128 - gap) + MERGES)
    assert find_bytes(file, library_vocabulary.PLACES["clip"]) == MERGES


def test_another_vocabulary_is_not_counted_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, "clip", MERGES)
    for content in (MERGES.replace(b"a b", b"a c"), MERGES[:-5], b""):
        file = write(tmp_path / "library.so", content)
        with pytest.raises(NotSupported, match=r"library\.so does not hold the vocabulary of clip"):
            LibraryVocabularies(lambda path=file: str(path)).tokenizer("clip", {})  # type: ignore[misc]


@pytest.mark.parametrize("path", ["", "/nowhere/library.so"])
def test_without_a_library_nothing_is_counted(path: str) -> None:
    with pytest.raises(NotSupported, match="no library is at hand"):
        LibraryVocabularies(lambda: path).tokenizer("clip", {})


def test_a_library_that_is_replaced_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, "clip", MERGES)
    file = write(tmp_path / "library.so", MERGES)
    found = LibraryVocabularies(lambda: str(file))
    first = found._find("clip")
    assert found._find("clip") is first
    write(file, b"more", MERGES)
    assert found._find("clip") is not first
