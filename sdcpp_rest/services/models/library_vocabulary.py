"""Finds the vocabularies of text encoders in the native library's own file, where they lie as plain bytes.

They are what the library counts by, whatever a model's file holds. The file is read, never loaded. Knows no prompts.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from sdcpp_rest.core.tokenizing.attention import round_float
from sdcpp_rest.core.tokenizing.byte_pairs import BytePairs, ClipTokenizer, LanguageTokenizer
from sdcpp_rest.core.tokenizing.encoders import Vocabulary
from sdcpp_rest.core.tokenizing.tokens import Tokenizer
from sdcpp_rest.core.tokenizing.unigram import UnigramTokenizer
from sdcpp_rest.errors import NotSupported
from sdcpp_rest.services.models.file_stamps import FileStamp, stamps_of

_PIECE_BYTES = 4 << 20
_KEPT = 3


class _Place(NamedTuple):
    """How to find one vocabulary: by its first bytes, and what all of them have to be."""

    begin: bytes
    size: int
    sha256: str


PLACES: Mapping[Vocabulary, _Place] = {
    "clip": _Place(
        b"#version: 0.2\ni n\nt h\n", 524_619, "9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a"
    ),
    "qwen2": _Place(
        "\u0120 \u0120\n\u0120\u0120 \u0120\u0120\ni n\n".encode(),
        1_671_839,
        "599bab54075088774b1733fde865d5bd747cbcc7a547c5bc12610e874e26f5e3",
    ),
    "mistral": _Place(
        "\u0120 \u0120\n\u0120 t\ne r\n".encode(),
        3_127_364,
        "ac79ec80145198ae5419ce3433b56fa092d415d5ef483b58cb7a4a0dc0df5b7b",
    ),
    "t5": _Place(
        b'{\n  "version": "1.0",\n  "truncation": null,\n',
        2_424_064,
        "fe2ebbbbde2985be723e0ce18217853e4020c5e9d35bd07be2c27ab9d3ead57a",
    ),
    "umt5": _Place(
        b'{"version": "1.0", "truncation": null, "padding": null, ',
        9_147_613,
        "24568697871e6c50515a706cb0c62d059738bb4a903054abd1fc9db78a2eddd7",
    ),
}
_QWEN_SPECIALS = (
    *(f"<|{name}|>" for name in ("endoftext", "im_start", "im_end", "object_ref_start", "object_ref_end", "box_start",
                                 "box_end", "quad_start", "quad_end", "vision_start", "vision_end", "vision_pad",
                                 "image_pad", "video_pad")),
    "<tool_call>", "</tool_call>",
    *(f"<|{name}|>" for name in ("fim_prefix", "fim_middle", "fim_suffix", "fim_pad", "repo_name", "file_sep")),
    "<tool_response>", "</tool_response>", "<think>", "</think>",
)  # fmt: skip
_MISTRAL_SPECIALS = (
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]",
    "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]",
    *(f"<SPECIAL_{number}>" for number in range(20, 1_000)),
)  # fmt: skip
_T5_SPECIALS = ("<pad>", "</s>", "<unk>")


class LibraryVocabularies:
    """Makes tokenizers of the vocabularies in the library's file; the last three used are kept.

    Thread-safe. ``library_path`` answers where the file is, empty while nobody knows.
    """

    def __init__(self, library_path: Callable[[], str]) -> None:
        self._library_path = library_path
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, FileStamp, Vocabulary], BytePairs | UnigramTokenizer] = OrderedDict()

    def tokenizer(self, vocabulary: Vocabulary, embeddings: Mapping[str, int | None]) -> Tokenizer:
        """What cuts texts by ``vocabulary``; ``embeddings`` as `ClipTokenizer` has them. Raises NotSupported where the
        library's file does not hold it."""
        found = self._find(vocabulary)
        if isinstance(found, UnigramTokenizer):
            return found
        if vocabulary == "clip":
            return ClipTokenizer(found, embeddings)
        return LanguageTokenizer(found, _QWEN_SPECIALS if vocabulary == "qwen2" else _MISTRAL_SPECIALS)

    def _find(self, vocabulary: Vocabulary) -> BytePairs | UnigramTokenizer:
        path = self._library_path()
        stamp = stamps_of([path]).get(path) if path else None
        if stamp is None:
            raise NotSupported("Tokens cannot be counted: no library is at hand whose vocabulary is counted by")
        key = (path, stamp, vocabulary)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = _read(Path(path), vocabulary)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]


def _read(path: Path, vocabulary: Vocabulary) -> BytePairs | UnigramTokenizer:
    try:
        content = find_bytes(path, PLACES[vocabulary])
    except OSError:
        content = None
    if content is None:
        raise NotSupported(
            f"Tokens cannot be counted: {path.name} does not hold the vocabulary of {vocabulary} that is known here"
        )
    if vocabulary in ("t5", "umt5"):
        pieces = json.loads(content)["model"]["vocab"]
        scores = {piece or "<empty_token>": round_float(score) for piece, score in pieces}
        return UnigramTokenizer(scores, _T5_SPECIALS, ("<s>",) if vocabulary == "umt5" else ())
    lines = content.decode("utf-8").split("\n")[:-1]
    # The first line of CLIP's says which version it is.
    return BytePairs(lines[1:] if vocabulary == "clip" else lines, ends_words=vocabulary == "clip")


def find_bytes(path: Path, place: _Place) -> bytes | None:
    """The bytes at ``place`` of a file, piece by piece: a library may have hundreds of megabytes. ``None`` where they
    are not there, or are others."""
    with path.open("rb") as file:
        passed, piece = 0, b""
        while read := file.read(_PIECE_BYTES):
            piece = piece[-len(place.begin) :] + read
            passed += len(read)
            if (at := piece.find(place.begin)) >= 0:
                file.seek(passed - len(piece) + at)
                found = file.read(place.size)
                return found if hashlib.sha256(found).hexdigest() == place.sha256 else None
    return None
