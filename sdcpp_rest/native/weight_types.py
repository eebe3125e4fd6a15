"""Lists the weight types of the library: their ids, and which ones it can write.

A table, because the library answers a wrong type with a division by zero: type ids that it lists but cannot write
(q8_1, q8_K, the integers, f64) or that it has removed must never reach it. How large a weight is, the library is asked.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WeightType:
    """``id`` is the wire's word, ``name`` what people read, ``value`` the library's enum."""

    id: str
    name: str
    value: int
    can_write: bool = True


WEIGHT_TYPES: tuple[WeightType, ...] = (
    WeightType("f32", "F32 (32-bit float)", 0),
    WeightType("f16", "F16 (16-bit float)", 1),
    WeightType("bf16", "BF16 (Brain float 16)", 30),
    WeightType("q8_0", "Q8_0 (8-bit)", 8),
    WeightType("q5_0", "Q5_0 (5-bit)", 6),
    WeightType("q5_1", "Q5_1 (5-bit)", 7),
    WeightType("q4_0", "Q4_0 (4-bit)", 2),
    WeightType("q4_1", "Q4_1 (4-bit)", 3),
    WeightType("q6_k", "Q6_K (6-bit K-quant)", 14),
    WeightType("q5_k", "Q5_K (5-bit K-quant)", 13),
    WeightType("q4_k", "Q4_K (4-bit K-quant)", 12),
    WeightType("q3_k", "Q3_K (3-bit K-quant)", 11),
    WeightType("q2_k", "Q2_K (2-bit K-quant)", 10),
    WeightType("iq4_nl", "IQ4_NL (4-bit, non-linear)", 20),
    WeightType("iq4_xs", "IQ4_XS (4-bit I-quant)", 23),
    WeightType("iq3_s", "IQ3_S (3-bit I-quant)", 21),
    WeightType("iq3_xxs", "IQ3_XXS (3-bit I-quant)", 18),
    WeightType("iq2_s", "IQ2_S (2-bit I-quant)", 22),
    WeightType("iq2_xs", "IQ2_XS (2-bit I-quant)", 17),
    WeightType("iq2_xxs", "IQ2_XXS (2-bit I-quant)", 16),
    WeightType("iq1_m", "IQ1_M (1-bit I-quant)", 29),
    WeightType("iq1_s", "IQ1_S (1-bit I-quant)", 19),
    WeightType("tq2_0", "TQ2_0 (ternary, 2-bit)", 35),
    WeightType("tq1_0", "TQ1_0 (ternary, 1.7-bit)", 34),
    WeightType("mxfp4", "MXFP4 (4-bit microscaling float)", 39),
    WeightType("nvfp4", "NVFP4 (4-bit float)", 40),
    WeightType("q8_1", "Q8_1 (8-bit, activations only)", 9, can_write=False),
    WeightType("q8_k", "Q8_K (8-bit, activations only)", 15, can_write=False),
    WeightType("i8", "I8 (integer)", 24, can_write=False),
    WeightType("i16", "I16 (integer)", 25, can_write=False),
    WeightType("i32", "I32 (integer)", 26, can_write=False),
    WeightType("i64", "I64 (integer)", 27, can_write=False),
    WeightType("f64", "F64 (64-bit float)", 28, can_write=False),
)

_BY_ID = {weight_type.id: weight_type for weight_type in WEIGHT_TYPES}


def writable_types() -> tuple[WeightType, ...]:
    """The types that weights can be converted to, when a model is loaded or written."""
    return tuple(weight_type for weight_type in WEIGHT_TYPES if weight_type.can_write)


def writable_type(type_id: str) -> WeightType:
    """The type called ``type_id`` (any case). ValueError for unknown types and those the library cannot write."""
    found = _BY_ID.get(type_id.lower())
    if found is None or not found.can_write:
        allowed = ", ".join(weight_type.id for weight_type in writable_types())
        raise ValueError(f"weight type {type_id!r} cannot be written; allowed: {allowed}")
    return found


def weight_type_value(type_id: str) -> int:
    """The library's enum value of ``type_id``; ValueError as ``writable_type``."""
    return writable_type(type_id).value
