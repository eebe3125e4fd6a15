"""A database for each test of this room, and the store that most of them ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_store import JobStore
from tests.quick_runtime import lay_migrated_database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    lay_migrated_database(tmp_path / "rest.db")
    db = Database(tmp_path / "rest.db")
    yield db
    db.close()


@pytest.fixture
def store(db: Database) -> JobStore:
    return JobStore(db)
