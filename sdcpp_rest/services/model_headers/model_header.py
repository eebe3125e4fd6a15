"""Defines what every reader of model headers shares: the bounds within which a header is believed, and what it finds.

Knows no format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sdcpp_rest.core.architectures import Shapes
from sdcpp_rest.errors import InvalidRequest

MAX_HEADER_BYTES = 48 << 20
"""Real headers stay below 10 MB (a language model's vocabulary); a larger one is taken for an attack on our memory."""

MAX_TENSORS = 50_000
MAX_KEYS = 10_000
KEPT_TEXT = 500
"""Characters up to which a text of the metadata is kept."""

NOT_WHOLE = "it was not downloaded or copied to its end"
"""How the sentence about a truncated file ends."""

Format = Literal["gguf", "safetensors", "torch"]
Metadata = dict[str, str | int | float | bool]


class NotAModel(InvalidRequest):
    """The file is no model, or not a whole one; the message says what it is instead."""

    code = "not_a_model"


@dataclass(frozen=True)
class Header:
    """One file's header. ``tensors`` maps names to shapes in ggml order, ``tensor_types`` to number formats;
    ``declared`` is what the file calls its architecture, in lower case; ``trained_words`` are those it was taught;
    ``paired_format`` names a number format that the library would read by halves."""

    format: Format
    tensors: Shapes
    tensor_types: dict[str, str]
    parameter_count: int
    metadata: Metadata
    declared: str = ""
    trained_words: tuple[str, ...] = ()
    paired_format: str = ""
