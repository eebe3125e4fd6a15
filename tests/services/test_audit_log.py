"""The record of changes: a line each, bounded, without secrets; and which keys have come and gone."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.config.auth_section import ApiKey, AuthConfig
from sdcpp_rest.core import changes
from sdcpp_rest.core.changes import MOST_CHANGES, Change, begin_noting, note_change
from sdcpp_rest.services.audit_log import AUDIT_FILE, AuditLog
from sdcpp_rest.services.key_record import record_keys
from sdcpp_rest.services.session_seal import SessionSeal
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.settings_store import SettingsStore


def noon() -> datetime:
    return datetime(2026, 11, 28, 12, 0, tzinfo=timezone.utc)


@pytest.fixture
def audit(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path, noon)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SettingsStore]:
    database = Database(tmp_path / "rest.db")
    yield SettingsStore(database)
    database.close()


@pytest.fixture(autouse=True)
def nobody_listens() -> Iterator[None]:
    token = changes._noted.set(None)
    yield
    changes._noted.reset(token)


def test_an_entry_tells_who_from_where_by_which_call_and_what(audit: AuditLog, tmp_path: Path) -> None:
    change = Change("settings.output", {"group_by": "none"}, {"group_by": "day"})
    audit.record("PUT /settings/output", [change], key=ApiKey("frame", "s3cret"), address="192.0.2.1", status=200)
    assert audit.read(10) == (
        [
            {
                "at": "2026-11-28T12:00:00.000Z",
                "key": "frame",
                "address": "192.0.2.1",
                "call": "PUT /settings/output",
                "status": 200,
                "changes": [{"name": "settings.output", "before": {"group_by": "none"}, "after": {"group_by": "day"}}],
            }
        ],
        False,
    )
    assert "s3cret" not in (tmp_path / AUDIT_FILE).read_text()
    assert stat.S_IMODE((tmp_path / AUDIT_FILE).stat().st_mode) == 0o600


def test_nothing_is_recorded_of_a_call_that_has_changed_nothing(audit: AuditLog, tmp_path: Path) -> None:
    audit.record("POST /x", [])
    audit.record("PUT /settings/preferences", [Change("settings.preferences", 1, 2)])
    assert list(tmp_path.iterdir()) == []
    audit.record("POST /engine/restart", [], is_change=True)
    assert [entry["call"] for entry in audit.read(10)[0]] == ["POST /engine/restart"]


def test_the_record_is_bounded_and_the_newest_come_first(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path, noon, max_bytes=2000)
    for number in range(100):
        audit.record(f"POST /{number}", [], is_change=True)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2 * 2200
    assert sorted(path.name for path in tmp_path.iterdir()) in (
        [f"{AUDIT_FILE}.1"], [AUDIT_FILE, f"{AUDIT_FILE}.1"]
    )  # fmt: skip
    entries, truncated = audit.read(3)
    assert ([entry["call"] for entry in entries], truncated) == (["POST /99", "POST /98", "POST /97"], True)
    rest, truncated = audit.read(1000)
    assert not truncated
    assert [entry["call"] for entry in rest] == [f"POST /{99 - at}" for at in range(len(rest))]


def test_a_line_that_was_cut_off_hides_no_other(audit: AuditLog, tmp_path: Path) -> None:
    audit.record("POST /1", [], is_change=True)
    with (tmp_path / AUDIT_FILE).open("ab") as file:
        file.write(b'{"at": "2026\n\xff\n17\n')
    audit.record("POST /2", [], is_change=True)
    assert [entry["call"] for entry in audit.read(10)[0]] == ["POST /2", "POST /1"]


def test_a_record_that_cannot_be_written_fails_no_call_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    audit = AuditLog(tmp_path / "no" / "folder")
    for _ in range(3):
        audit.record("POST /1", [], is_change=True)
    assert len(caplog.records) == 1
    assert audit.read(10) == ([], False)


def test_changes_are_noted_for_who_listens_without_secrets_and_in_short() -> None:
    note_change("nobody", 1, 2)
    noted = begin_noting()
    secrets: dict[str, Any] = {"api_key": "s3cret", "model": "llama", "deep": [{"Authorization": "s3cret"}]}
    note_change("llm", {"api_key": ""}, secrets)
    note_change("same", {"a": 1}, {"a": 1})
    note_change("long", None, "x" * 100_000)
    assert [change.name for change in noted] == ["llm", "long"]
    assert noted[0].after == {"api_key": "***", "model": "llama", "deep": [{"Authorization": "***"}]}
    assert len(noted[1].after) < 3000
    for number in range(1000):
        note_change("many", number, None)
    assert len(noted) == MOST_CHANGES


def test_what_is_stored_is_noted_with_what_was_before(store: SettingsStore) -> None:
    store.put("a", 1)
    noted = begin_noting()
    store.put("a", 2)
    store.put("a", 2)
    store.delete("a")
    store.delete("a")
    assert noted == [Change("a", 1, 2), Change("a", 2, None)]


def test_keys_that_come_go_or_change_are_recorded_at_the_next_start(
    audit: AuditLog, store: SettingsStore, tmp_path: Path
) -> None:
    seal = SessionSeal()

    def start(**auth: Any) -> None:
        record_keys(AuthConfig(**auth), seal, store, audit)

    start()
    assert audit.read(10) == ([], False), "a server without keys has nothing to tell"
    start(api_keys=["s3cret"], keys={"frame": {"key": "s3cret-too"}})
    start(api_keys=["s3cret"], keys={"frame": {"key": "s3cret-too"}})
    start(api_keys=["s3cret"], keys={"frame": {"key": "s3cret-too", "scopes": ["generate"]}})
    start(api_keys=["s3cret-new"])
    entries = [
        {change["name"]: (change["before"], change["after"]) for change in entry["changes"]}
        for entry in reversed(audit.read(10)[0])
    ]
    first, second, third = entries
    assert set(first) == {"keys.auth.api_keys.0", "keys.frame"}
    assert first["keys.frame"][0] is None
    assert first["keys.frame"][1]["scopes"] == ["read"]
    assert [one["scopes"] for one in second["keys.frame"]] == [["read"], ["read", "generate"]]
    assert set(third) == {"keys.auth.api_keys.0", "keys.frame"}
    assert third["keys.frame"][1] is None
    assert "s3cret" not in json.dumps(entries)
    assert {entry["key"] for entry in audit.read(10)[0]} == {"server"}
