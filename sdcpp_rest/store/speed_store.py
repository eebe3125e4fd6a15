"""Stores moving averages of how long parts of jobs take, a bounded number of them.

Knows nothing of jobs or models; averages are made by who measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import text

from sdcpp_rest.core.speed import Speed
from sdcpp_rest.store.database import Database

_ALL = text("SELECT model, part, way, size, seconds, amount, jobs FROM speeds ORDER BY turn")
_LAST = text("SELECT coalesce(max(turn), 0) FROM speeds")
_PUT = text(
    "INSERT INTO speeds (model, part, way, size, seconds, amount, jobs, turn) "
    "VALUES (:model, :part, :way, :size, :seconds, :amount, :jobs, :turn) "
    "ON CONFLICT (model, part, way, size) DO UPDATE SET seconds = excluded.seconds, amount = excluded.amount, "
    "jobs = excluded.jobs, turn = excluded.turn"
)
_TRIM = text("DELETE FROM speeds WHERE turn <= (SELECT turn FROM speeds ORDER BY turn DESC LIMIT 1 OFFSET :most)")


class SpeedKey(NamedTuple):
    """What an average is of: ``model`` is a digest of what was loaded, ``size`` a size class."""

    model: str
    part: str
    way: str = ""
    size: int = 0


class SpeedStore:
    """Stores averages by what they are of. Those that have not changed for the longest time make room for others."""

    def __init__(self, db: Database, most: int = 4_000) -> None:
        self._db = db
        self.most = most

    def all(self) -> dict[SpeedKey, Speed]:
        """Every average, the one that changed last at the end."""
        with self._db.read() as connection:
            return {SpeedKey(*row[:4]): Speed(*row[4:]) for row in connection.execute(_ALL)}

    def put(self, speeds: Mapping[SpeedKey, Speed]) -> None:
        """Store averages, in place of what they were; one transaction. Raises DatabaseUnusable."""
        with self._db.write() as connection:
            last: int = connection.execute(_LAST).scalar_one()
            rows = [
                {**key._asdict(), **speed._asdict(), "turn": last + number}
                for number, (key, speed) in enumerate(speeds.items(), 1)
            ]
            if rows:
                connection.execute(_PUT, rows)
                connection.execute(_TRIM, {"most": self.most})
