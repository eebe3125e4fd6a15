"""Refuses conversions that could not work, before anything is written: types, names, room.

Looks at one request and the disk; knows no queue and no catalogue.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import psutil

from sdcpp_rest.core import quantization
from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.core.params import KEEP
from sdcpp_rest.core.quantization import WeightType
from sdcpp_rest.errors import Conflict, InvalidRequest
from sdcpp_rest.services.model_headers.inspection import Inspection

ENDINGS = (".gguf", ".safetensors")
_SAFETENSORS_TYPES = ("f32", "f16", "bf16")
# While it is written it has a hidden name, some fifty bytes longer; most file systems allow 255.
_MAX_NAME_BYTES = 200
# A result and what the file system keeps for itself.
_SPARE_BYTES = 64 << 20


def parse_output_type(value: str) -> WeightType | None:
    """The weight type to write; ``None`` for KEEP."""
    if value.lower() == KEEP:
        return None
    found = quantization.BY_NAME.get(value.lower())
    if found is None or not found.writable:
        allowed = [*(entry.name for entry in quantization.WRITABLE), KEEP]
        why = "is not a weight type" if found is None else "cannot hold a model's weights"
        raise InvalidRequest(
            f"output_type: {value[:80]!r} {why}; allowed: {', '.join(allowed)}",
            field="output_type",
            value=value[:200],
            allowed=allowed,
        )
    return found


def check_merge(file: ModelFile, vae_path: str, tensor_type_rules: str) -> None:
    """KEEP merges and does nothing else: what it would not do is refused."""
    if not file.parts:
        raise InvalidRequest(
            f"output_type: {KEEP!r} merges the parts of a split model, and {file.name} is one file; give a weight type",
            field="output_type",
            value=KEEP,
            allowed=[entry.name for entry in quantization.WRITABLE],
        )
    for field, value in (("vae_path", vae_path), ("tensor_type_rules", tensor_type_rules)):
        if value:
            raise InvalidRequest(
                f"{field}: {value[:80]!r} changes the model, and output_type {KEEP!r} only merges its parts; give a "
                "weight type, or leave it out",
                field=field,
                value=value[:200],
            )


def check_path(target: Path, folder: Path) -> None:
    """Refuse names that file systems have no room for, or that no list can show."""
    for part in target.relative_to(folder).parts if target.is_relative_to(folder) else (target.name,):
        if not part.isprintable():
            raise InvalidRequest(
                f"output_path: {part[:80]!r} holds a character that cannot be shown",
                field="output_path",
                value=part[:200],
            )
        if len(os.fsencode(part)) > _MAX_NAME_BYTES:
            raise InvalidRequest(
                f"output_path: {part[:80]!r}... is longer than {_MAX_NAME_BYTES} bytes",
                field="output_path",
                value=part[:200],
                allowed=f"names of at most {_MAX_NAME_BYTES} bytes",
            )


def check_ending(target: Path, kind: WeightType | None, rules: str) -> None:
    """Refuse a name whose ending names no format, or one that cannot hold what is asked for."""
    if target.suffix not in ENDINGS:
        raise InvalidRequest(
            f"output_path: {target.name!r} must end in {' or '.join(ENDINGS)}",
            field="output_path",
            value=target.name,
            allowed=list(ENDINGS),
        )
    if target.suffix != ".safetensors":
        return
    if kind is None:
        raise InvalidRequest(
            f"output_path: parts are merged into a GGUF file, and {target.name!r} does not end in .gguf",
            field="output_path",
            value=target.name,
            allowed=[".gguf"],
        )
    ruled = [entry for _, entry in quantization.tensor_type_rules("tensor_type_rules", rules)]
    for entry in (kind, *ruled):
        if entry.name not in _SAFETENSORS_TYPES:
            raise InvalidRequest(
                f"output_path: a safetensors file cannot hold {entry.name}; allowed: {', '.join(_SAFETENSORS_TYPES)}, "
                "or a name that ends in .gguf",
                field="output_path",
                value=target.name,
                allowed=list(_SAFETENSORS_TYPES),
            )


def check_source(target: Path, inspected: Inspection) -> None:
    """Some tensors keep the type they have, and a safetensors file cannot hold a quantized one."""
    if target.suffix == ".safetensors" and inspected.is_quantized:
        raise InvalidRequest(
            "output_path: a quantized model cannot become a safetensors file; give a name that ends in .gguf",
            field="output_path",
            value=target.name,
            allowed=[".gguf"],
        )


def check_free(target: Path, overwrite: bool, read: Collection[str]) -> None:
    """Refuse to write over what is there, unless that is asked for and is not what is read."""
    if not target.exists():
        return
    if target.is_dir():
        raise InvalidRequest(f"output_path: {target.name} is a folder", field="output_path", value=target.name)
    if any(os.path.samefile(target, path) for path in read):
        raise InvalidRequest(
            f"output_path: {target.name} is the file to convert; give another name",
            field="output_path",
            value=target.name,
        )
    if not overwrite:
        raise Conflict(
            f"{target.name} exists already; give another output_path, or overwrite with overwrite=true",
            field="output_path",
        )


def check_disk(target: Path, expected: int) -> None:
    """Refuse what the disk has no room for: ``expected`` bytes in the folder of ``target``."""
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK):
        raise InvalidRequest(f"output_path: the folder of {target.name} cannot be written to", field="output_path")
    if expected + _SPARE_BYTES > free:
        raise InvalidRequest(
            f"The result needs about {expected / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free on its disk",
            field="output_path",
            needed_bytes=expected,
            free_bytes=free,
        )


def warn_of_memory(expected: int) -> list[str]:
    """The library holds the whole result in memory before it writes the first byte."""
    available = psutil.virtual_memory().available
    if expected <= available:
        return []
    needed, free = f"{expected / 1e9:.2f} GB", f"{available / 1e9:.2f} GB"
    return [f"The result of about {needed} is made in memory, of which {free} are free: this will be slow, or fail."]


def estimate_size(shapes: Iterable[Sequence[int]], kind: WeightType) -> int:
    """About how many bytes tensors of ``shapes`` (rows' length first) take: matrices in the new type where their rows
    divide, the rest in floats."""
    total = 0
    for shape in shapes:
        elements = math.prod(shape)
        row = kind.row_bytes(shape[0]) if len(shape) == 2 else None
        if row is not None:
            total += row * (elements // shape[0])
        else:
            total += elements * (2 if len(shape) > 1 else 4)
    return total


def outside_folders(path: str) -> InvalidRequest:
    """The refusal of an ``output_path`` that leads out of the model folders."""
    return InvalidRequest(
        f"output_path: {path[:80]!r} leads out of the model folders", field="output_path", value=path[:200]
    )
