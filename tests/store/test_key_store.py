"""Requests under a key, and their answers: opened once, answered, forgotten in part or altogether."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from sdcpp_rest.core.job import Job, utc_now
from sdcpp_rest.store.bin_store import BinStore
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_store import JobStore
from sdcpp_rest.store.key_store import KeyRow, KeyStore
from sdcpp_rest.store.migrations import MIGRATIONS

HEADERS = [("content-type", "application/json"), ("x-a", "ä")]


@pytest.fixture
def keys(db: Database) -> KeyStore:
    return KeyStore(db)


def test_the_first_who_opens_a_name_settles_its_seed(keys: KeyStore) -> None:
    first = keys.open("a", "digest", "seed-1")
    assert first == KeyRow("digest", "seed-1", None, [], 0, None)
    assert keys.open("a", "another", "seed-2") == first
    assert keys.open("b", "digest", "seed-3").seed == "seed-3"


def test_an_answer_comes_back_as_it_was(keys: KeyStore) -> None:
    keys.open("a", "digest", "seed")
    keys.answer("a", 202, HEADERS, b"\x00{}", 0)
    assert keys.open("a", "digest", "x") == KeyRow("digest", "seed", 202, HEADERS, 0, b"\x00{}")
    assert keys.files() == []


def test_a_forgotten_answer_leaves_the_request(keys: KeyStore) -> None:
    for name in ("a", "b"):
        keys.open(name, "digest", name)
        keys.answer(name, 200, HEADERS, None, 7)
    assert keys.files() == [("a", 7), ("b", 7)]
    keys.forget_answer("a")
    assert keys.files() == [("b", 7)]
    assert keys.open("a", "digest", "x") == KeyRow("digest", "a", None, [], 0, None)


def test_names_are_dropped_one_by_one_and_by_age(keys: KeyStore) -> None:
    for name in ("a", "b", "c"):
        keys.open(name, "digest", name)
    keys.drop("a")
    assert keys.open("a", "digest", "anew").seed == "anew"
    assert keys.drop_older(utc_now() - timedelta(hours=1)) == []
    assert sorted(keys.drop_older(utc_now() + timedelta(hours=1))) == ["a", "b", "c"]


def test_a_file_from_before_keys_gets_their_table(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    Database(path, migrations=MIGRATIONS[:9]).close()
    db = Database(path)
    assert KeyStore(db).open("a", "digest", "seed").seed == "seed"
    db.close()


def test_a_job_is_given_up_when_its_caller_was_or_it_lies_in_the_bin(db: Database, store: JobStore) -> None:
    for name in ("kept", "left", "binned"):
        store.insert(Job(id=name, kind="txt2img"), max_pending=10)
    store.transition("left", "cancelled", ["pending"], error="gone", error_code="caller_gone")
    store.transition("binned", "cancelled", ["pending"])
    store.transition("kept", "cancelled", ["pending"])
    BinStore(db).put("binned", utc_now())
    given_up = [name for name in ("kept", "left", "binned", "unknown") if store.is_given_up(name, "caller_gone")]
    assert given_up == ["left", "binned"]
