"""Defines the settings of keys: which there are, what each may do, and how often.

Knows no request; `core.api_keys` compares.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, SecretStr, model_validator

from sdcpp_rest.config.sections import Integer, Section

Scope = Literal["read", "generate", "models", "admin"]
"""What a key may do, from the least to the most."""

SCOPES: tuple[Scope, ...] = get_args(Scope)

_IMPLIED: Mapping[Scope, frozenset[Scope]] = {
    "read": frozenset({"read"}),
    "generate": frozenset({"read", "generate"}),
    "models": frozenset({"read", "models"}),
    "admin": frozenset(SCOPES),
}
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SUM = re.compile(r"[0-9a-f]{64}")


def _api_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not text.rpartition(":")[2].strip() or text != text.strip():
        raise ValueError("Input should be a key, or user:key; not empty and without spaces around it")
    return key


def _named_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if text and (text != text.strip() or ":" in text):
        raise ValueError("Input should be a key, without a colon in it and without spaces around it")
    return key


def _sum_of_key(text: str) -> str:
    if text and not _SUM.fullmatch(text.lower()):
        raise ValueError("Input should be the SHA-256 of a key: 64 hexadecimal digits")
    return text.lower()


def _names(keys: dict[str, KeyConfig]) -> dict[str, KeyConfig]:
    for name in keys:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"Input should have names of small letters, digits, '.', '_' and '-', at most 64; not {name!r}"
            )
    return keys


ConfiguredKey = Annotated[SecretStr, AfterValidator(_api_key)]


@dataclass(frozen=True)
class ApiKey:
    """A key as the server knows it.

    Args:
        name: for logs and messages; empty for one of ``auth.api_keys``.
        secret: the key's text (``user:key``, or the key alone), or its SHA-256 where only that is known.
        is_sum: whether ``secret`` is that sum.
        scopes: all that it may do, with what those imply.
        requests_per_minute: 0 for any number.
    """

    name: str
    secret: str = field(default="", repr=False)
    is_sum: bool = False
    scopes: frozenset[Scope] = frozenset(SCOPES)
    requests_per_minute: int = 0

    @property
    def shown_name(self) -> str:
        """How logs call it."""
        return self.name or "auth.api_keys"


ANYBODY = ApiKey("anybody")
"""Whoever calls a server that asks for no key."""


class KeyConfig(Section):
    """One key that has a name."""

    key: Annotated[SecretStr, AfterValidator(_named_key)] = Field(default=SecretStr(""), description="The key.")
    sha256: Annotated[str, AfterValidator(_sum_of_key)] = Field(
        default="", description="Instead of the key: its SHA-256."
    )
    scopes: tuple[Scope, ...] = Field(default=("read",), min_length=1, description="What it may do.")
    requests_per_minute: Integer = Field(default=0, ge=0, le=1_000_000, description="0: any number.")

    @model_validator(mode="after")
    def _one_secret(self) -> KeyConfig:
        if bool(self.key.get_secret_value()) == bool(self.sha256):
            raise ValueError("Input should have either key or sha256")
        return self

    @property
    def whole_scopes(self) -> frozenset[Scope]:
        """Its scopes, with those that they imply."""
        return frozenset().union(*(_IMPLIED[scope] for scope in self.scopes))


class AuthConfig(Section):
    """Who may use the server."""

    api_keys: tuple[ConfiguredKey, ...] = Field(
        default=(),
        description="Keys that callers must show, each a bare key or user:key; they may do everything. Empty, and no "
        "auth.keys: nobody is asked.",
        examples=[["a-long-random-key", "anna:another-long-random-key"]],
    )
    keys: Annotated[dict[str, KeyConfig], AfterValidator(_names)] = Field(
        default_factory=dict,
        description="More keys, by name, which may do only what their scopes say: read (look at everything but logs), "
        "generate (draw, load models, change pictures and words), models (add, change and delete model files), admin "
        "(everything). Each has a key, or in its place the sha256 of one, and if you like requests_per_minute.",
        examples=[
            {
                "frame": {"key": "a-third-long-random-key", "scopes": ["read"], "requests_per_minute": 60},
                "bot": {"sha256": hashlib.sha256(b"a-key").hexdigest(), "scopes": ["generate"]},
            }
        ],
    )

    @model_validator(mode="after")
    def _no_key_twice(self) -> AuthConfig:
        """Of two keys with one text, which scopes count would depend on their order."""
        seen: dict[str, str] = {}
        for one in self.all_keys:
            text = one.secret.rpartition(":")[2]
            mark = one.secret if one.is_sum else hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
            if one.name and mark in seen:
                raise ValueError(f"auth.keys.{one.name} is the same key as {seen[mark]}: give each a key of its own")
            seen.setdefault(mark, f"auth.keys.{one.name}" if one.name else "one of auth.api_keys")
        return self

    @cached_property
    def all_keys(self) -> tuple[ApiKey, ...]:
        """Every key: those without a name first."""
        named = [
            ApiKey(name, one.sha256 or one.key.get_secret_value(), bool(one.sha256), one.whole_scopes,
                   one.requests_per_minute)
            for name, one in self.keys.items()
        ]  # fmt: skip
        return (*(ApiKey("", key.get_secret_value()) for key in self.api_keys), *named)

    @property
    def is_on(self) -> bool:
        return bool(self.api_keys or self.keys)

    @property
    def own_key(self) -> str | None:
        """The key with which a command of this machine calls the server: one that may do everything, if there is one
        whose text is known."""
        known = [one for one in self.all_keys if not one.is_sum]
        return max(known, key=lambda one: len(one.scopes)).secret if known else None
