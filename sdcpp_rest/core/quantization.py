"""Lists the number formats of model weights: their names, their sizes, and which of them the library survives.

Numbers and sizes are ggml's; a test compares them with the ``gguf`` package, which is not asked at run time because it
brings numpy into every process. What is offered under which label, and what ends the library's
process, is known here. It must not know files, tensors of a particular model, or the native library itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from sdcpp_rest.core.bounds import MAX_RULES_LENGTH
from sdcpp_rest.errors import InvalidRequest


class WeightType(NamedTuple):
    """One ggml number format.

    ``name`` is lower case (the wire's word), ``native_name`` is the library's own spelling (``q4_K``), which it
    compares exactly. A row of weights is stored in blocks of ``block_size`` elements that take ``block_bytes`` bytes.
    ``readable``: weights stored in this format can be turned into numbers. ``writable``: convert can produce it.
    ``loadable``: it may be asked for as ``weight_type``. Asking for any other format ends the process.
    """

    id: int
    native_name: str
    label: str
    block_size: int
    block_bytes: int
    is_quantized: bool = True
    readable: bool = True
    writable: bool = True
    loadable: bool = True

    @property
    def name(self) -> str:
        return self.native_name.lower()

    @property
    def bits_per_weight(self) -> float:
        return self.block_bytes * 8 / self.block_size

    def row_bytes(self, elements: int) -> int | None:
        """Bytes of a row of ``elements`` weights; ``None`` where a row cannot have that length."""
        blocks, rest = divmod(elements, self.block_size)
        return None if rest else blocks * self.block_bytes

    def tensor_bytes(self, shape: Sequence[int]) -> int | None:
        """Bytes of a tensor of ``shape``, its rows' length first; ``None`` where a row cannot have that length."""
        row = self.row_bytes(shape[0])
        return None if row is None else row * math.prod(shape[1:])


def _weight_type(number: int, native_name: str, block_size: int, block_bytes: int, label: str) -> WeightType:
    return WeightType(number, native_name, label, block_size, block_bytes, is_quantized=block_size > 1)


def _unwritable(number: int, native_name: str, block_size: int, block_bytes: int, readable: bool) -> WeightType:
    entry = _weight_type(number, native_name, block_size, block_bytes, native_name.upper())
    return entry._replace(readable=readable, writable=False, loadable=False)


WEIGHT_TYPES: tuple[WeightType, ...] = (
    _weight_type(0, "f32", 1, 4, "F32 (32-bit float)"),
    _weight_type(1, "f16", 1, 2, "F16 (16-bit float)"),
    _weight_type(30, "bf16", 1, 2, "BF16 (Brain float 16)"),
    _weight_type(8, "q8_0", 32, 34, "Q8_0 (8-bit)"),
    _weight_type(7, "q5_1", 32, 24, "Q5_1 (5-bit)"),
    _weight_type(6, "q5_0", 32, 22, "Q5_0 (5-bit)"),
    _weight_type(3, "q4_1", 32, 20, "Q4_1 (4-bit)"),
    _weight_type(2, "q4_0", 32, 18, "Q4_0 (4-bit)"),
    _weight_type(14, "q6_K", 256, 210, "Q6_K (6-bit K-quant)"),
    _weight_type(13, "q5_K", 256, 176, "Q5_K (5-bit K-quant)"),
    _weight_type(12, "q4_K", 256, 144, "Q4_K (4-bit K-quant)"),
    _weight_type(11, "q3_K", 256, 110, "Q3_K (3-bit K-quant)"),
    _weight_type(10, "q2_K", 256, 84, "Q2_K (2-bit K-quant)"),
    _weight_type(20, "iq4_nl", 32, 18, "IQ4_NL (4-bit I-quant)"),
    _weight_type(23, "iq4_xs", 256, 136, "IQ4_XS (4-bit I-quant)"),
    _weight_type(21, "iq3_s", 256, 110, "IQ3_S (3-bit I-quant)"),
    _weight_type(18, "iq3_xxs", 256, 98, "IQ3_XXS (3-bit I-quant)"),
    _weight_type(22, "iq2_s", 256, 82, "IQ2_S (2-bit I-quant)"),
    _weight_type(17, "iq2_xs", 256, 74, "IQ2_XS (2-bit I-quant)"),
    _weight_type(16, "iq2_xxs", 256, 66, "IQ2_XXS (2-bit I-quant)"),
    _weight_type(29, "iq1_m", 256, 56, "IQ1_M (1-bit I-quant)"),
    _weight_type(19, "iq1_s", 256, 50, "IQ1_S (1-bit I-quant)"),
    _weight_type(35, "tq2_0", 256, 66, "TQ2_0 (2-bit ternary)"),
    _weight_type(34, "tq1_0", 256, 54, "TQ1_0 (1.7-bit ternary)"),
    _weight_type(39, "mxfp4", 32, 17, "MXFP4 (4-bit float)"),
    _weight_type(40, "nvfp4", 64, 36, "NVFP4 (4-bit float)"),
    # Formats of intermediate results: nothing turns them back into numbers, so the library aborts when it meets them.
    # The gguf package counts the scale and the sum of q8_1 as four bytes each; they are two bytes each.
    _unwritable(9, "q8_1", 32, 36, readable=False),
    _unwritable(15, "q8_K", 256, 292, readable=False),
    # Whole numbers and doubles: legal for the odd index tensor, an abort when asked for as a weight format.
    _unwritable(24, "i8", 1, 1, readable=True),
    _unwritable(25, "i16", 1, 2, readable=True),
    _unwritable(26, "i32", 1, 4, readable=True),
    _unwritable(27, "i64", 1, 8, readable=True),
    _unwritable(28, "f64", 1, 8, readable=True),
)
"""The formats of the gguf package but for Q1_0, which is newer than the library: its own numbers end at 40."""

REMOVED_NAMES: dict[int, str] = {
    4: "Q4_2",
    5: "Q4_3",
    31: "Q4_0_4_4",
    32: "Q4_0_4_8",
    33: "Q4_0_8_8",
    36: "IQ4_NL_4_4",
    37: "IQ4_NL_4_8",
    38: "IQ4_NL_8_8",
}
"""What ggml no longer has, by id: computing with these ends the process."""

REMOVED_IDS: frozenset[int] = frozenset(REMOVED_NAMES)
"""Numbers of formats that the library once had: their block size is 0 there, and dividing by it ends the process. The
package does not know them either."""

CPU_ONLY: frozenset[str] = frozenset({"tq1_0", "tq2_0"})
"""Names of formats that the library computes with on the CPU alone: no source of its other backends mentions them, and
the first matrix product ends the process there."""

BY_ID: dict[int, WeightType] = {entry.id: entry for entry in WEIGHT_TYPES}
BY_NAME: dict[str, WeightType] = {entry.name: entry for entry in WEIGHT_TYPES}
LOADABLE: tuple[WeightType, ...] = tuple(entry for entry in WEIGHT_TYPES if entry.loadable)
WRITABLE: tuple[WeightType, ...] = tuple(entry for entry in WEIGHT_TYPES if entry.writable)

_SAFE_ESCAPES = frozenset("dDwWsSbBtnrfv")
_MAX_REPEATS_PER_RULE = 3


def weight_type(field: str, value: str) -> WeightType | None:
    """The format called ``value`` in any case; ``None`` for an empty name, which means "as stored in the file".

    Raises InvalidRequest, naming ``field``, for unknown names and for formats that end the process.
    """
    if not value:
        return None
    found = BY_NAME.get(value.lower())
    if found is None or not found.loadable:
        allowed = [entry.name for entry in LOADABLE]
        why = "is not a weight type" if found is None else "cannot hold a model's weights"
        raise InvalidRequest(
            f"{field}: {value[:80]!r} {why}; allowed: {', '.join(allowed)}, or an empty string to keep the file's own",
            field=field,
            value=value[:200],
            allowed=allowed,
        )
    return found


def tensor_type_rules(field: str, value: str) -> tuple[tuple[str, WeightType], ...]:
    """The rules ``regex=type[,regex=type...]``, checked: (pattern, format) in order; the first match of a name wins.

    Patterns run inside the library as ECMAScript expressions over every tensor name. One that does not compile there
    ends the process, and one that backtracks without end blocks the load, so only a plain subset is accepted: printable
    ASCII, no look-around, no counted repeats, no repeated groups, at most three ``*`` or ``+``.
    Raises InvalidRequest naming ``field`` and the rule.
    """

    def refuse(rule: str, why: str) -> InvalidRequest:
        return InvalidRequest(
            f"{field}: the rule {rule[:120]!r} {why}; expected regex=type[,regex=type...], for example ^vae\\.=f16",
            field=field,
            value=value[:200],
        )

    if len(value) > MAX_RULES_LENGTH:
        raise refuse(value, f"is longer than {MAX_RULES_LENGTH} characters")
    rules = []
    for rule in value.split(","):
        if not rule:
            continue
        pattern, equals, name = rule.partition("=")
        if not equals or not pattern or not name:
            raise refuse(rule, "has no pattern or no type")
        flaw = _pattern_flaw(pattern)
        if flaw:
            raise refuse(rule, flaw)
        found = BY_NAME.get(name.lower())
        if found is None or not found.loadable:
            raise refuse(rule, f"names the unknown or unusable type {name[:40]!r}")
        rules.append((pattern, found))
    return tuple(rules)


def _pattern_flaw(pattern: str) -> str | None:
    if not (pattern.isascii() and pattern.isprintable()):
        return "holds characters other than printable ASCII"
    repeats = 0
    in_class = False
    before = ""  # the unescaped character before this one, "" after an escape
    position = 0
    while position < len(pattern):
        character = pattern[position]
        following = pattern[position + 1 : position + 2]
        if character == "\\":
            if following.isalnum() and (following not in _SAFE_ESCAPES or (in_class and following in "bB")):
                return f"uses the escape \\{following}"
            position += 2
            before = ""
            continue
        if in_class:
            if character == "[":
                return "has a [ inside a character class"
            in_class = character != "]"
        elif character == "[":
            if pattern[position + 1 :].startswith(("]", "^]")):
                return "has an empty character class"
            in_class = True
        elif character in "{}":
            return "uses { or }"
        elif character == "]":
            return "has a ] without a ["
        elif character == "(" and following == "?":
            if not pattern.startswith("(?:", position):
                return "uses a look-around or an inline flag"
            position += 3
            before = "("
            continue
        elif character == "?" and before == "?":
            return "repeats a repeat"
        elif character in "*+":
            repeats += 1
            if before and before in "*+?)":
                return "repeats a group or a repeat"
            if repeats > _MAX_REPEATS_PER_RULE:
                return f"has more than {_MAX_REPEATS_PER_RULE} repeats"
        before = character
        position += 1
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is not a regular expression ({error})"
    return None
