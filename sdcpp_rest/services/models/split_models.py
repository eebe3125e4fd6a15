"""Checks that the parts of a split model make one: complete, in order, of one model, no tensor twice.

Headers only, read with our own bounds: what merges the parts afterwards believes them. Knows no folders.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from sdcpp_rest.services.model_headers.gguf_header import split_count
from sdcpp_rest.services.model_headers.inspection import (
    MAX_TENSORS,
    Inspection,
    NotAModel,
    advise_merging,
    inspect_parts,
)

# The merged file is laid out by the first part's word: each tensor may take up to so much more than in its part.
_MAX_ALIGNMENT = 1 << 16


def inspect_split(paths: Sequence[str]) -> Inspection:
    """Inspect the GGUF files at ``paths``, all parts of a split model in order, as the one model they can be merged
    into. Raises NotAModel, naming the part that is at fault."""
    parts = [inspect_parts([path]) for path in paths]
    for number, part in enumerate(parts):
        if part.format != "gguf":
            advice = advise_merging(part.format, os.path.basename(part.path))
            _refuse(part, f"is a {part.format} file, and only GGUF files are merged here; {advice}")
        _check_place(part, number, len(parts))
        if part.declared and part.declared != parts[0].declared:
            _refuse(part, f"is of another model: its architecture is {part.declared!r}, not {parts[0].declared!r}")
    alignment = parts[0].metadata.get("general.alignment", 0)
    if not isinstance(alignment, int) or alignment > _MAX_ALIGNMENT:
        _refuse(parts[0], f"asks for an alignment of {alignment} bytes; {_MAX_ALIGNMENT} at most can be merged")
    _check_tensors(parts)
    return inspect_parts(paths)


def _check_place(part: Inspection, number: int, count: int) -> None:
    said_count, said_number = split_count(part.metadata), part.metadata.get("split.no")
    if said_count == 0 or said_number is None:
        _refuse(part, "does not say which part of a split model it is (split.no, split.count)")
    if (said_number, said_count) != (number, count):
        _refuse(
            part,
            f"is part {number + 1} of {count} by its name, and by its own word (split.no {said_number}, split.count "
            f"{said_count}) another one; parts of different models cannot be merged",
        )


def _check_tensors(parts: Sequence[Inspection]) -> None:
    holder: dict[str, Inspection] = {}
    for part in parts:
        for name in part.tensors:
            first = holder.setdefault(name, part)
            if first is not part:
                _refuse(part, f"holds the tensor {name[:80]!r} again, which {os.path.basename(first.path)} holds")
    for part in parts:
        expected = part.metadata.get("split.tensors.count")
        if expected is not None and expected != len(holder):
            _refuse(part, f"is of a model with {expected} tensors; the {len(parts)} parts hold {len(holder)}")
    if not 0 < len(holder) <= MAX_TENSORS:
        _refuse(parts[0], f"and the other parts hold {len(holder)} tensors; a model has 1 to {MAX_TENSORS}")


def _refuse(part: Inspection, why: str) -> NoReturn:
    raise NotAModel(f"{os.path.basename(part.path)} {why}", path=part.path)
