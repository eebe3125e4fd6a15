"""Builds the statement with which an engine takes a job off the queue: which one, it decides by what the engine holds.

Finding and taking are one statement. If they were two, another engine could find the same job, or a cancel could slip
in between and a cancelled job would run.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, and_, bindparam, false, func, literal, or_, select, union_all, update
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.dml import ReturningUpdate

from sdcpp_rest.core.job import JobKind, utc_now
from sdcpp_rest.store.job_rows import JOB_COLUMNS, jobs, stamp, storable


@dataclass(frozen=True)
class ClaimTerms:
    """What decides which job an engine takes. The default takes the first one: strict FIFO.

    ``held``: keys of load specs that need no load here; ``elsewhere``: those that an engine holds which is free now,
    and which are left to it. With ``prefers_held`` the first job of ``held`` goes before older ones, unless
    ``patient_until`` is given and the oldest job was submitted before that. ``full_owners`` have as many engines as
    they may have while others wait. A job that goes ``front`` always does.
    """

    engine: str | None = None
    held: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    prefers_held: bool = False
    patient_until: datetime | None = None
    full_owners: tuple[str | None, ...] = ()


FIRST = ClaimTerms()


def claim_statement(kinds: Collection[JobKind], terms: ClaimTerms) -> tuple[ReturningUpdate[Any], dict[str, Any]]:
    """The statement, which returns the claimed job's `JOB_COLUMNS`, and its parameters."""
    held = terms.held if terms.prefers_held else ()
    values: dict[str, Any] = {
        "kinds": list(kinds),
        "now": stamp(utc_now()),
        "engine": terms.engine and storable(terms.engine),
        **{f"held_{place}": key for place, key in enumerate(held)},
    }
    elsewhere = tuple(key for key in terms.elsewhere if key not in terms.held)
    if elsewhere:
        values["elsewhere"] = list(elsewhere)
    owners = [storable(owner) for owner in terms.full_owners if owner is not None]
    if owners:
        values["owners"] = owners
    if terms.patient_until is not None:
        values["patient_until"] = stamp(terms.patient_until)
    statement = _statement(
        len(held) if terms.prefers_held else None,
        bool(elsewhere),
        bool(owners),
        None in terms.full_owners,
        terms.patient_until is not None,
    )
    return statement, values


@lru_cache(maxsize=64)
def _statement(
    held: int | None, has_elsewhere: bool, has_owners: bool, without_nobody: bool, is_bounded: bool
) -> ReturningUpdate[Any]:
    """The statement for so many keys; ``held`` of ``None``: nothing is preferred."""
    anybody: list[ColumnElement[bool]] = [
        jobs.c.status == "pending",
        jobs.c.kind.in_(bindparam("kinds", expanding=True)),
        or_(jobs.c.device.is_(None), jobs.c.device == bindparam("engine")),
    ]
    if has_elsewhere:
        # What asks for this very engine is not left to another one.
        anybody.append(
            or_(
                jobs.c.device.is_not(None),
                jobs.c.load_spec_key.is_(None),
                jobs.c.load_spec_key.not_in(bindparam("elsewhere", expanding=True)),
            )
        )
    others = list(anybody)
    if has_owners:
        others.append(or_(jobs.c.owner.is_(None), jobs.c.owner.not_in(bindparam("owners", expanding=True))))
    if without_nobody:
        others.append(jobs.c.owner.is_not(None))
    candidates = []
    if held is not None:
        candidates.append(_first(*anybody, jobs.c.front == 1))
        candidates.append(_held(held, others, is_bounded))
    candidates.append(_first(*others))
    if has_owners or without_nobody:
        candidates.append(_first(*anybody))
    chosen = [candidate.scalar_subquery() for candidate in candidates]
    return (
        update(jobs)
        .where(jobs.c.seq == (func.coalesce(*chosen) if len(chosen) > 1 else chosen[0]))
        .values(
            status="processing",
            started_at=bindparam("now"),
            attempts=jobs.c.attempts + 1,
            engine=bindparam("engine"),
            front=0,
        )
        .returning(*JOB_COLUMNS)
    )


def _first(*wanted: ColumnElement[bool]) -> Select[Any]:
    return select(jobs.c.seq).where(*wanted).order_by(jobs.c.priority.desc(), jobs.c.seq).limit(1)


def _held(held: int, wanted: list[ColumnElement[bool]], is_bounded: bool) -> Select[Any]:
    """The first job that needs no load: of each model the index has its first, and the first of those is taken."""
    keys: list[ColumnElement[bool]] = [jobs.c.load_spec_key == bindparam(f"held_{place}") for place in range(held)]
    ones = [
        select(ones.c.seq, ones.c.priority)
        for ones in (
            select(jobs.c.seq, jobs.c.priority)
            .where(key, *wanted)
            .order_by(jobs.c.priority.desc(), jobs.c.seq)
            .limit(1)
            .subquery()
            for key in [jobs.c.load_spec_key.is_(None), *keys]
        )
    ]
    found = union_all(*ones).subquery()
    patience: ColumnElement[bool] = literal(1) == 1
    if is_bounded:
        oldest = select(jobs.c.created_at).where(*wanted).order_by(jobs.c.seq).limit(1).scalar_subquery()
        patience = func.coalesce(oldest >= bindparam("patient_until"), false())
    return select(found.c.seq).where(and_(patience)).order_by(found.c.priority.desc(), found.c.seq).limit(1)
