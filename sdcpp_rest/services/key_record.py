"""Notes at a start which keys have come, gone or changed since the last one: that is done in the configuration, where
nobody watches. Knows no request.
"""

from __future__ import annotations

from typing import Any

from sdcpp_rest.config.auth_section import SCOPES, ApiKey, AuthConfig
from sdcpp_rest.core.changes import Change
from sdcpp_rest.services.audit_log import AuditLog
from sdcpp_rest.services.session_seal import SessionSeal
from sdcpp_rest.store.settings_store import SettingsStore

_KNOWN = "known_keys"


def record_keys(auth: AuthConfig, seal: SessionSeal, store: SettingsStore, audit: AuditLog) -> None:
    """Compare the keys with those of the last start, and record what is different. ``seal`` stands for their texts."""
    before = store.get(_KNOWN, {})
    after = {_name_of(key, number): _describe(key, seal) for number, key in enumerate(auth.all_keys)}
    if not isinstance(before, dict) or before == after:
        return
    store.put(_KNOWN, after)
    names = [*after, *(name for name in before if name not in after)]
    changes = [
        Change(f"keys.{name}", _show(before.get(name)), _show(after.get(name)))
        for name in names
        if before.get(name) != after.get(name)
    ]
    audit.record("start", changes)


def _name_of(key: ApiKey, number: int) -> str:
    return key.name or f"auth.api_keys.{number}"


def _describe(key: ApiKey, seal: SessionSeal) -> dict[str, Any]:
    scopes = [scope for scope in SCOPES if scope in key.scopes]
    return {"scopes": scopes, "requests_per_minute": key.requests_per_minute, "mark": seal.mark(key.secret)}


def _show(described: Any) -> Any:
    """As it may be read: the mark only tells one text from another."""
    return {**described, "mark": str(described.get("mark", ""))[:6]} if isinstance(described, dict) else None
