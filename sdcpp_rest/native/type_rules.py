"""Parses tensor type rules, ``pattern=type,pattern=type``, checks them and spells them as the library reads them.

The library skips a rule with a type it does not know, and ends the process at a pattern that is no regular expression.
"""

from __future__ import annotations

from sdcpp_rest.native.library import Library, encode
from sdcpp_rest.native.weight_types import WeightType, writable_type


def parse_type_rules(library: Library, rules: str) -> tuple[tuple[str, WeightType], ...]:
    """(pattern, type) in order: the first pattern found in a tensor's name decides. ValueError names the bad rule."""
    parsed = []
    for rule in rules.split(","):
        if not rule.strip():
            continue
        pattern, equals, type_id = rule.partition("=")
        if not pattern or not equals:
            raise ValueError(f"tensor_type_rules: {rule!r} is not of the form pattern=type")
        try:
            weight_type = writable_type(type_id.strip())
        except ValueError as error:
            raise ValueError(f"tensor_type_rules: in {rule!r}: {error}") from error
        if (reason := library.guard.pattern_error(encode(pattern, "tensor_type_rules"))) is not None:
            raise ValueError(f"tensor_type_rules: {pattern!r} is not a regular expression: {reason}")
        parsed.append((pattern, weight_type))
    return tuple(parsed)


def encode_type_rules(library: Library, rules: tuple[tuple[str, WeightType], ...]) -> bytes:
    """The rules with the library's own names of the types: it compares them letter by letter."""
    return ",".join(
        f"{pattern}={library.cdll.sd_type_name(weight_type.value).decode()}" for pattern, weight_type in rules
    ).encode()
