"""A database for each test of this room, and the store that most of them ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_store import JobStore


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database(tmp_path / "rest.db")
    yield db
    db.close()


@pytest.fixture
def store(db: Database) -> JobStore:
    return JobStore(db)
