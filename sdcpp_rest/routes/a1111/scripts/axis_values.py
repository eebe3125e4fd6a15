"""Reads the values along an axis of a plot: numbers, ranges with a step or a count, texts, orders of texts.

Pure functions over text. How many values there may be is told by the caller: a short text can mean millions.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sdcpp_rest.routes.a1111.reading import Real, Whole

_NUMBER = r"([+-]?\s*\d+(?:\.\d*)?)"
_RANGE = re.compile(
    rf"\s*{_NUMBER}\s*-\s*{_NUMBER}\s*(?:\(\s*(?P<step>[+-]\s*\d+(?:\.\d*)?)\s*\)|\[\s*(?P<count>\d+)\s*\])?\s*",
    re.ASCII,
)
_READERS: dict[type, TypeAdapter[Any]] = {int: TypeAdapter(Whole), float: TypeAdapter(Real)}
_WANTED = {int: "a whole number", float: "a number"}
_LONGEST_RANGE_TEXT = 60


def read_numbers(values: Sequence[str], kind: type[int] | type[float], most: int) -> list[Any]:
    """Numbers; of ``1-10 (+3)`` every third from 1 to 10, of ``1-10 [5]`` five that are spread evenly, of ``1-10`` all.

    Empty values are passed over. Raises ValueError saying what is wrong.
    """
    found: list[Any] = []
    for value in values:
        if not value.strip():
            continue
        match = _RANGE.fullmatch(value) if len(value) <= _LONGEST_RANGE_TEXT else None
        if match is None:
            found.append(_read_number(value, kind))
        else:
            # One more than there may be is enough to know that they are too many.
            found += itertools.islice(_spread(match, value, kind), most + 1)
        if len(found) > most:
            raise ValueError(f"{value[:60]} makes more than {most} values")
    return found


def read_orders(values: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """Every order of ``values``. Raises ValueError where there are more than ``most``."""
    # 20! and more need not be computed to be too many.
    if len(values) > 20 or math.factorial(len(values)) > most:
        raise ValueError(f"{len(values)} values have more than {most} orders")
    return [*itertools.permutations(values)] if values else []


def _read_number(value: str, kind: type[int] | type[float]) -> Any:
    try:
        return _READERS[kind].validate_python(value)
    except ValidationError:
        wanted = _WANTED[kind]
        raise ValueError(f"{value[:60]!r} is not {wanted}, nor a range such as 1-10 (+3) or 1-10 [5]") from None


def _spread(match: re.Match[str], text: str, kind: type[int] | type[float]) -> Iterator[Any]:
    if kind is int and "." in match[0]:
        raise ValueError(f"{text[:60]!r} is no range of whole numbers")
    start, end = (kind(re.sub(r"\s", "", match[place])) for place in (1, 2))
    if match["count"] is not None:
        count = int(match["count"])
        for k in range(count):
            yield kind(start + (end - start) * k / max(1, count - 1))
        return
    step = kind(re.sub(r"\s", "", match["step"] or "+1"))
    if not step or (end - start) / step < 0:
        raise ValueError(f"{text[:60]!r} never reaches its end")
    for k in range(math.floor((end - start) / step + 1e-9) + 1):
        yield kind(start + k * step)
