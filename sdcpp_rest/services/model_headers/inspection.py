"""Reads the headers of model files and keeps from the library what would end the process there.

Headers only, with bounded reads and counts checked against the file's size before they are believed. It must not know
where models are kept, and it never unpickles: of torch files the opcodes are read, and none is obeyed.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import IO

from sdcpp_rest.core import family_signs, quantization
from sdcpp_rest.core.architectures import Architecture, Contents, Shapes
from sdcpp_rest.core.catalog import INDEX_ENDING, part_name
from sdcpp_rest.core.paired_formats import describe_paired
from sdcpp_rest.services.model_headers.gguf_header import GgufReader, split_count
from sdcpp_rest.services.model_headers.model_header import (
    MAX_HEADER_BYTES,
    MAX_KEYS,
    MAX_TENSORS,
    NOT_WHOLE,
    Format,
    Header,
    NotAModel,
)
from sdcpp_rest.services.model_headers.safetensors_header import read_safetensors
from sdcpp_rest.services.model_headers.torch_header import read_torch

__all__ = [
    "MAX_BLOCK_INDEX",
    "MAX_HEADER_BYTES",
    "MAX_KEYS",
    "MAX_TENSORS",
    "Format",
    "Inspection",
    "NotAModel",
    "advise_merging",
    "check_format",
    "inspect_file",
    "inspect_parts",
]

MAX_BLOCK_INDEX = 999


@dataclass(frozen=True)
class Inspection:
    """What a model file's header says.

    ``tensors`` maps names to shapes in ggml order, ``tensor_types`` to number formats; ``types`` counts tensors by
    number format; ``metadata`` holds the short text and number entries; ``trained_words`` are what a LoRA or embedding
    was taught. ``paired_format`` names a number format that the library cannot use, as `check_format` says.
    """

    path: str
    format: Format
    size_bytes: int
    architecture: Architecture | None = None
    contents: Contents = "unknown"
    tensors: Shapes = field(default_factory=dict, repr=False)
    parameter_count: int = 0
    types: Mapping[str, int] = field(default_factory=dict)
    metadata: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    tensor_types: Mapping[str, str] = field(default_factory=dict, repr=False)
    trained_words: tuple[str, ...] = ()
    declared: str = ""
    paired_format: str = ""

    @property
    def tensor_count(self) -> int:
        return len(self.tensors)

    @property
    def is_quantized(self) -> bool:
        by_name = quantization.BY_NAME
        return any(by_name[name].is_quantized for name in self.types if name in by_name)


# --- one file ---------------------------------------------------------------------------------------------------------

_CACHE_SIZE = 64
_cache: OrderedDict[tuple[str, int, int, int], Inspection] = OrderedDict()
_cache_lock = threading.Lock()


def inspect_file(path: str | os.PathLike[str]) -> Inspection:
    """Inspect the model file at ``path``, which is to be loaded; repeated calls for an unchanged file are answered from
    memory.

    Raises NotAModel with a sentence that says what is wrong with the file. One part of a split model is refused too:
    the library reads the file it is given and no other, and would miss the tensors of the rest.
    """
    shown = os.path.basename(os.fspath(path))
    if shown.lower().endswith(INDEX_ENDING):
        raise NotAModel(
            f"{shown} is the index of a split model; {advise_merging('safetensors', shown)}", path=os.fspath(path)
        )
    inspected = _inspect_one(path)
    part = _part_count(inspected)
    if part > 1:
        raise NotAModel(
            f"{shown} is one of {part} parts of a split model; {advise_merging(inspected.format, shown)}",
            path=os.fspath(path),
        )
    return inspected


def check_format(inspected: Inspection) -> Inspection:
    """The same, for a file that the library is to read. Raises NotAModel where it would read the numbers by halves."""
    if inspected.paired_format:
        name = os.path.basename(inspected.path)
        raise NotAModel(describe_paired(name, inspected.paired_format), path=inspected.path)
    return inspected


def inspect_parts(paths: Sequence[str]) -> Inspection:
    """Inspect the parts of a split model as the one model they are (a single path: a file, whether whole or a part).
    For looking at, not for loading. Raises NotAModel."""
    parts = [_inspect_one(path) for path in paths]
    first = parts[0]
    if len(parts) == 1:
        return first
    shown = os.path.basename(first.path)
    tensors = {name: shape for part in parts for name, shape in part.tensors.items()}
    whole = replace(
        first,
        size_bytes=sum(part.size_bytes for part in parts),
        tensors=tensors,
        tensor_types={name: kind for part in parts for name, kind in part.tensor_types.items()},
        parameter_count=sum(part.parameter_count for part in parts),
        types=dict(sum((Counter(part.types) for part in parts), Counter())),
        warnings=(f"This model is split into {len(parts)} files; {advise_merging(first.format, shown)}.",),
    )
    return _recognise(whole)


def advise_merging(format: Format, shown: str) -> str:
    """Say what to do with a model in parts, the first of which is the file ``shown``."""
    whole = "the library loads whole files only"
    if format == "torch":
        return whole
    if format == "safetensors":
        return (
            f"{whole}: merge them first (load every part with the safetensors package and save all tensors into one "
            "file)"
        )
    merge = (
        f"merge them first, with `sdcpp-rest convert {shlex.quote(shown)} keep` or POST /convert and output_type keep"
    )
    if part_name(shown) is None:
        return f"{whole}: give all parts names such as x-00001-of-00003.gguf, then {merge}"
    return f"{whole}: {merge}"


def _part_count(inspected: Inspection) -> int:
    """Of how many files this one is a part, by its own word (GGUF) or by its name."""
    if inspected.format == "gguf":
        return split_count(inspected.metadata)
    part = part_name(os.path.basename(inspected.path))
    return part.total if part else 0


def _inspect_one(path: str | os.PathLike[str]) -> Inspection:
    path = os.fspath(path)
    shown = os.path.basename(path) or path
    try:
        if os.path.isdir(path):
            raise NotAModel(f"{shown} is a folder, not a model file", path=path)
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            # Opening a pipe waits for a writer, for ever.
            raise NotAModel(f"{shown} is not a regular file", path=path)
    except FileNotFoundError:
        raise NotAModel(f"{shown} does not exist", path=path) from None
    except (OSError, ValueError) as error:
        raise NotAModel(f"{shown} cannot be read: {error}", path=path) from None
    key = (path, status.st_size, status.st_mtime_ns, status.st_ino)
    with _cache_lock:
        known = _cache.get(key)
        if known is not None:
            _cache.move_to_end(key)
            return known
    try:
        with open(path, "rb") as file:
            inspected = _inspect(path, shown, file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise NotAModel(f"{shown} cannot be read: {error.strerror or error}", path=path) from None
    with _cache_lock:
        _cache[key] = inspected
        while len(_cache) > _CACHE_SIZE:
            _cache.popitem(last=False)
    return inspected


def _inspect(path: str, shown: str, file: IO[bytes], size: int) -> Inspection:
    if size == 0:
        raise NotAModel(f"{shown} is empty", path=path)
    start = file.read(512)
    if start.startswith(b"GGUF"):
        return _describe(path, shown, size, GgufReader(path, shown, file, size).read())
    if _looks_like_torch(start):
        return _describe(path, shown, size, read_torch(path, shown, file, size, is_zip=start.startswith(b"PK")))
    _refuse_text(path, shown, start)
    if size > 8:
        header_bytes = int.from_bytes(start[:8], "little")
        if 2 <= header_bytes < size and start[8:9] in (b"{", b"[", b" ", b'"'):
            return _describe(path, shown, size, read_safetensors(path, shown, file, size, header_bytes))
        if header_bytes >= size and start[8:9] == b"{":
            raise NotAModel(
                f"{shown} is truncated: its header alone should take {header_bytes} bytes, it has {size}; {NOT_WHOLE}",
                path=path,
            )
    raise NotAModel(f"{shown} is not a model file: it is neither GGUF, safetensors nor a torch file", path=path)


def _looks_like_torch(start: bytes) -> bool:
    is_pickle = (
        start[:1] == b"\x80" and len(start) > 2 and 2 <= start[1] <= 5 and start[2:3] in (b"\x8a", b"}", b"c", b"\x95")
    )
    return start.startswith(b"PK\x03\x04") or is_pickle


def _refuse_text(path: str, shown: str, start: bytes) -> None:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"version https://git-lfs"):
        raise NotAModel(
            f"{shown} is a git-lfs pointer: the model itself was never downloaded (git lfs pull)", path=path
        )
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<body")):
        raise NotAModel(f"{shown} is a web page saved under a model's name; download the file itself", path=path)


_BLOCK_INDEX = re.compile(r"\.(\d{4,})(?=\.|$)")


def _describe(path: str, shown: str, size: int, header: Header) -> Inspection:
    # The library builds as many layers as the highest number in a name says, whether they are there or not.
    for name in header.tensors:
        match = _BLOCK_INDEX.search(name)
        if match and int(match.group(1)[:18]) > MAX_BLOCK_INDEX:
            raise NotAModel(
                f"{shown} is damaged: the tensor {name[:80]!r} belongs to a layer beyond {MAX_BLOCK_INDEX}", path=path
            )
    inspected = _recognise(
        Inspection(
            path=path,
            format=header.format,
            size_bytes=size,
            tensors=header.tensors,
            parameter_count=header.parameter_count,
            types=dict(Counter(header.tensor_types.values())),
            metadata=header.metadata,
            tensor_types=header.tensor_types,
            trained_words=header.trained_words,
            declared=header.declared,
            paired_format=header.paired_format,
        )
    )
    if inspected.paired_format:
        return replace(inspected, warnings=(f"{describe_paired(shown, inspected.paired_format)}.",))
    if inspected.contents == "unknown":
        return replace(inspected, warnings=(f"What {shown} holds was not recognised by its tensor names.",))
    return inspected


def _recognise(inspected: Inspection) -> Inspection:
    """The same, with the kind of contents and the family that the tensors give away."""
    contents = family_signs.contents_of(inspected.tensors, inspected.declared)
    architecture = family_signs.detect(inspected.tensors) if contents == "picture model" else None
    return replace(inspected, contents=contents, architecture=architecture)
