"""Keeps which language model is used and how: what the configuration says, and what users changed since. The prompt
enhancer and the assistant have one each.

Decides which hosts may be named, and which of them gets the key. Calls nobody.
"""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from sdcpp_rest.config import LanguageModelConfig, LlmConfig, llm_url
from sdcpp_rest.core.chat import Api
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.errors import InvalidRequest, NotAllowed
from sdcpp_rest.services.address_check import name_allowed
from sdcpp_rest.services.language.llm_client import LlmEndpoint
from sdcpp_rest.store.settings_store import SettingsStore

log = logging.getLogger(__name__)

MASK = "***masked***"
"""Stands for a key in answers; sent back, it means "as it was"."""

_PORTS = {"http": 80, "https": 443}


class LlmChoice(Frozen):
    """What is chosen, without the key. The last three are the assistant's; ``None`` leaves one to the server."""

    enabled: bool
    api: Api
    base_url: str
    model: str = Field(min_length=1)
    timeout_seconds: int
    max_history: int
    system_prompt: str
    temperature: float | None = None
    max_tokens: int | None = None
    proactive_suggestions: bool = True


class LlmSettings:
    """Keeps which language model is used, and decides which host gets the key.

    Thread-safe.

    Args:
        key: where in ``store`` the changes are kept.
        defaults: the configuration's values, which hold until somebody changes them.
    """

    def __init__(self, store: SettingsStore, key: str, defaults: LanguageModelConfig, rules: LlmConfig) -> None:
        self._store = store
        self._key = key
        self._defaults = defaults
        self._rules = rules
        self._lock = threading.Lock()

    def current(self) -> LlmChoice:
        return self._choice(self._read_stored())

    def has_key(self) -> bool:
        """Whether there is a key for the server that is called now."""
        stored = self._read_stored()
        return bool(self._key_for(self._choice(stored).base_url, stored))

    def endpoint(self) -> LlmEndpoint:
        """The server that is called now, with its key."""
        stored = self._read_stored()
        choice = self._choice(stored)
        return LlmEndpoint(
            api=choice.api,
            base_url=choice.base_url,
            model=choice.model,
            timeout_seconds=choice.timeout_seconds,
            connect_timeout_seconds=self._rules.connect_timeout_seconds,
            api_key=self._key_for(choice.base_url, stored),
        )

    def change(self, sent: Mapping[str, Any], *, any_host: bool) -> tuple[LlmChoice, list[str]]:
        """Change the fields that are in ``sent`` (those of `LlmChoice`, and ``api_key``). Returns all, and warnings.

        Args:
            any_host: whether the caller may name any host: one who has shown a key of ours may.

        A key belongs to the scheme, host and port that it was given for. Naming another server does not send it there:
        else everybody who may change the address could have the key sent to himself.
        Raises InvalidRequest, NotAllowed.
        """
        changes = {name: value for name, value in sent.items() if name in LlmChoice.model_fields}
        with self._lock:
            stored = self._read_stored()
            before = self._choice(stored)
            if "base_url" in changes:
                changes["base_url"] = self._check_url(changes["base_url"], before.base_url, any_host)
            stored = {**stored, **changes}
            after = self._choice(stored)
            key = sent.get("api_key")
            had_key = bool(self._key_for(before.base_url, stored))
            if key is not None and key != MASK:
                stored |= {"api_key": _check_key(key), "api_key_origin": _origin(after.base_url)}
            self._store.put(self._key, stored)
        warnings = []
        if had_key and not self._key_for(after.base_url, stored) and key in (None, MASK):
            warnings.append("the api_key belongs to the server that was named before; give it again for this one")
        return after, warnings

    def _read_stored(self) -> dict[str, Any]:
        stored = self._store.get(self._key)
        return stored if isinstance(stored, dict) else {}

    def _choice(self, stored: Mapping[str, Any]) -> LlmChoice:
        names = LlmChoice.model_fields
        given = {name: getattr(self._defaults, name) for name in names if hasattr(self._defaults, name)}
        try:
            return LlmChoice.model_validate({**given, **{name: stored[name] for name in names if name in stored}})
        except ValidationError:
            log.warning("the stored settings %r cannot be read any more; the configuration's are used", self._key)
            return LlmChoice.model_validate(given)

    def _key_for(self, base_url: str, stored: Mapping[str, Any]) -> str:
        origin = _origin(base_url)
        if "api_key" in stored and stored.get("api_key_origin") == origin:
            return str(stored["api_key"])
        return self._defaults.api_key.get_secret_value() if _origin(self._defaults.base_url) == origin else ""

    def _check_url(self, base_url: str, before: str, any_host: bool) -> str:
        try:
            url = llm_url(base_url)
        except ValueError as error:
            words = str(error).partition("Input should be ")[2]
            raise InvalidRequest(
                f'base_url must be {words}, got "{base_url[:200]}"',
                field="base_url",
                value=base_url[:200],
                allowed=words,
            ) from None
        known = {_origin(before), _origin(self._defaults.base_url)}
        if any_host or _origin(url) in known or self._may_be_named(url):
            return url
        host = urlsplit(url).hostname
        raise NotAllowed(
            f"base_url names the host {host!r}; without auth.api_keys only this machine and the hosts in "
            "llm.allowed_hosts may be named over the API",
            field="base_url",
            value=url,
            setting="llm.allowed_hosts",
        )

    def _may_be_named(self, url: str) -> bool:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        if host == "localhost":
            return True
        with_address = host.partition("%")[0]
        try:
            address = ipaddress.ip_address(with_address)
        except ValueError:
            return name_allowed(host, port, self._rules.allowed_hosts)
        return address.is_loopback or name_allowed(host, port, self._rules.allowed_hosts)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"


def _check_key(key: str) -> str:
    if not key.isascii() or not key.isprintable() or " " in key:
        # Not told with its value: it may be a real key with a typing error.
        raise InvalidRequest("api_key must be printable ASCII characters without spaces", field="api_key")
    return key
