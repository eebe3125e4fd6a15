"""Collects everything that a model's header and its sidecar tell, for showing.

Reads headers only; must not know who asks.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from sdcpp_rest.core import quantization
from sdcpp_rest.core.catalog import ModelType, Sidecar
from sdcpp_rest.core.variants import variant
from sdcpp_rest.services.model_headers.inspection import Format, Inspection, inspect_parts
from sdcpp_rest.services.models.model_library import ModelLibrary

MAX_ENTRIES = 200


@dataclass(frozen=True)
class FormatShare:
    """The tensors of one number format: how many, their bytes, and their share of all bytes."""

    type: str
    tensors: int
    bytes: int
    share: float


@dataclass(frozen=True)
class ModelFacts:
    """Collects what a model file's header and sidecar say.

    ``preset`` is the id of the family's or variant's preset.
    """

    model_name: str
    model_type: ModelType
    format: Format
    contents: str
    model_architecture: str | None
    architecture_id: str | None
    preset: str | None
    size_bytes: int
    parts: int
    parameter_count: int
    tensor_count: int
    quantization: tuple[FormatShare, ...]
    metadata: dict[str, str | int | float | bool]
    trained_words: tuple[str, ...]
    sidecar: Sidecar | None
    warnings: tuple[str, ...]


def facts_of(library: ModelLibrary, model_type: str, name: str) -> ModelFacts:
    """What the model called ``name`` is. Raises ModelNotFound, InvalidRequest, NotAModel."""
    file = library.find(model_type, name)
    inspected = inspect_parts(file.parts or (file.path,))
    architecture, sidecar = inspected.architecture, library.sidecar(file.path)
    said = tuple(word for word in (sidecar.activation_text if sidecar else "").split(",") if word.strip())
    return ModelFacts(
        model_name=file.name,
        model_type=file.type,
        format=inspected.format,
        contents=inspected.contents,
        model_architecture=architecture.name if architecture else None,
        architecture_id=architecture.id if architecture else None,
        preset=variant(architecture, inspected.tensors, file.name).preset if architecture else None,
        size_bytes=file.size_bytes,
        parts=len(file.parts) or 1,
        parameter_count=inspected.parameter_count,
        tensor_count=inspected.tensor_count,
        quantization=_shares(inspected),
        metadata=dict(sorted(inspected.metadata.items())[:MAX_ENTRIES]),
        trained_words=tuple(dict.fromkeys([*(word.strip() for word in said), *inspected.trained_words])),
        sidecar=sidecar,
        warnings=inspected.warnings,
    )


def _shares(inspected: Inspection) -> tuple[FormatShare, ...]:
    sizes: Counter[str] = Counter()
    for name, shape in inspected.tensors.items():
        kind = inspected.tensor_types[name]
        entry = quantization.BY_NAME.get(kind)
        size = entry.tensor_bytes(shape) if entry is not None else None
        sizes[kind] += math.prod(shape) if size is None else size
    total = sum(sizes.values()) or 1
    return tuple(
        FormatShare(kind, inspected.types[kind], count, round(count / total, 6)) for kind, count in sizes.most_common()
    )
