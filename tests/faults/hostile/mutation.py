"""Breaks bytes and JSON values at random: what stands in the places where counts, lengths and types do.

Used for the seeded inputs, and by the fuzzer between two looks at what it covers.
"""

from __future__ import annotations

import copy
import random
import struct
from collections.abc import Sequence
from typing import Any

_NUMBERS = (
    0,
    1,
    2,
    7,
    8,
    127,
    128,
    255,
    256,
    65_535,
    65_536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**53,
    2**62,
    2**63 - 1,
    2**64 - 1,
)
_FORMS = ("<B", "<H", "<I", "<Q", ">H", ">I", ">Q")
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**40, 1.5, -0.0, 1e300, float("nan"), float("inf"), "", "x",
    "0", "\0",
    "\ud800", "../../etc/passwd", "9" * 400, "a" * 5000, [], {}, [[]], [None], ["4", 0], ["nope", 0], ["4", -1], ["4",
    "0"], {"": None},
)  # fmt: skip
_WORDS = (
    "(", ")", "[", "]", "{", "}", ":", "|", "<", ">", ",", "\\", "<lora:", "<lora:demo_lora:0.5>", ":1.5)", ":.",
    "BREAK", "AND", "$$", "__a__",
    "{2$$a|b}", "[a:b:0.5]", "<random:a,b>", "<wildcard:a>", "embedding:x", "\n", "\r", "\t", "\u202e", "\U0001f9d1",
    "\u0301", "e", "1e9", "-", "%",
    "<sd_cpp_extra_args>", "</sd_cpp_extra_args>", '{"steps":', "a red circle ",
)  # fmt: skip


def mutate_bytes(content: bytes, chance: random.Random, *, within: int = 0, times: int = 0) -> bytes:
    """``content`` changed in one to eight ways (``times``: so many), in its first ``within`` bytes if that is given."""
    changed = bytearray(content)
    for _ in range(times or chance.choice((1, 1, 2, 3, 5, 8))):
        end = min(within or len(changed), len(changed))
        _CHANGES[chance.randrange(len(_CHANGES))](changed, chance, end)
    return bytes(changed)


def _flip(changed: bytearray, chance: random.Random, end: int) -> None:
    if end:
        changed[chance.randrange(end)] ^= 1 << chance.randrange(8)


def _set(changed: bytearray, chance: random.Random, end: int) -> None:
    if end:
        changed[chance.randrange(end)] = chance.choice((0, 1, 32, 34, 47, 92, 127, 128, 255, chance.randrange(256)))


def _write_number(changed: bytearray, chance: random.Random, end: int) -> None:
    form = chance.choice(_FORMS)
    size = struct.calcsize(form)
    if end >= size:
        at = chance.randrange(end - size + 1)
        changed[at : at + size] = struct.pack(form, chance.choice(_NUMBERS) % (1 << (8 * size)))


def _cut(changed: bytearray, chance: random.Random, end: int) -> None:
    at = chance.randrange(end + 1)
    del changed[at : at + chance.choice((1, 1, 2, 4, 8, 64, 1 << 40))]


def _double(changed: bytearray, chance: random.Random, end: int) -> None:
    at = chance.randrange(end + 1)
    part = changed[at : at + chance.choice((1, 4, 8, 16, 64, 300))]
    changed[at:at] = part * chance.choice((1, 1, 2, 16))


def _insert(changed: bytearray, chance: random.Random, end: int) -> None:
    at = chance.randrange(end + 1)
    changed[at:at] = bytes(chance.randrange(256) for _ in range(chance.choice((1, 2, 4, 8))))


def _swap(changed: bytearray, chance: random.Random, end: int) -> None:
    size = chance.choice((1, 4, 8, 16))
    if end > 2 * size:
        one, other = sorted(chance.sample(range(end - size), 2))
        changed[one : one + size], changed[other : other + size] = (
            changed[other : other + size],
            changed[one : one + size],
        )


_CHANGES = (_flip, _set, _write_number, _cut, _double, _insert, _swap)


def mutate_json(value: Any, chance: random.Random, values: Sequence[Any] = VALUES) -> Any:
    """``value`` with one to four of its parts replaced, removed, doubled or renamed."""
    changed = copy.deepcopy(value)
    for _ in range(chance.choice((1, 1, 2, 4))):
        places = [
            (holder, key)
            for holder in _holders(changed)
            for key in (holder if isinstance(holder, dict) else range(len(holder)))
        ]
        if not places:
            return chance.choice(values)
        holder, key = chance.choice(places)
        what = chance.randrange(6)
        if what == 0:
            del holder[key]
        elif what == 1 and isinstance(holder, dict):
            holder[chance.choice((key + "x", "", "\0", str(chance.randrange(20))))] = holder.pop(key)
        elif what == 2:
            other, place = chance.choice(places)
            # A copy: a value inside itself would be no JSON.
            holder[key] = copy.deepcopy(other[place]) if place in other or isinstance(other, list) else None
        else:
            holder[key] = copy.deepcopy(chance.choice(values))
    return changed


def _holders(value: Any) -> list[Any]:
    found, left = [], [value]
    while left:
        one = left.pop()
        if isinstance(one, (dict, list)):
            found.append(one)
            left += one.values() if isinstance(one, dict) else one
    return found


def random_text(chance: random.Random, most: int) -> str:
    """Words that mean something in some program's prompts, and letters that are hardly ever seen."""
    pieces = []
    for _ in range(chance.randrange(1, 40)):
        if chance.random() < 0.75:
            pieces.append(chance.choice(_WORDS) * chance.choice((1, 1, 1, 2, 30)))
        else:
            pieces.append(
                "".join(chr(chance.choice((chance.randrange(32, 127), chance.randrange(0x110000)))) for _ in range(9))
            )
    return "".join(pieces)[:most]
