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

from sqlalchemy import TextClause, bindparam, text

from sdcpp_rest.core.job import JobKind, utc_now
from sdcpp_rest.store.job_rows import JOB_COLUMNS, stamp, storable


@dataclass(frozen=True)
class ClaimTerms:
    """What decides which job an engine takes. The default takes the first one: strict FIFO.

    ``held``: keys of load specs that need no load here; ``elsewhere``: those that an engine holds which is free now,
    and which are left to it. With ``prefers_held`` the first job of ``held`` goes before older ones, unless
    ``patient_until`` is given and the oldest job was submitted before that. ``full_owners`` have as many engines as
    they may have while others wait. A job that goes ``front`` always does. ``able`` are the keys that can be loaded
    here, ``None``: all. What can not is not named: a job that comes meanwhile may be bound to any other.
    """

    engine: str | None = None
    held: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    prefers_held: bool = False
    patient_until: datetime | None = None
    full_owners: tuple[str | None, ...] = ()
    able: tuple[str, ...] | None = None


FIRST = ClaimTerms()


def peek_statement(kinds: Collection[JobKind], terms: ClaimTerms) -> tuple[TextClause, dict[str, Any]]:
    """The statement that finds what `claim_statement` would take now, and its parameters."""
    return _prepare(kinds, terms, takes=False)


def claim_statement(kinds: Collection[JobKind], terms: ClaimTerms) -> tuple[TextClause, dict[str, Any]]:
    """The statement, which returns the claimed job's `JOB_COLUMNS`, and its parameters."""
    return _prepare(kinds, terms, takes=True)


def _prepare(kinds: Collection[JobKind], terms: ClaimTerms, *, takes: bool) -> tuple[TextClause, dict[str, Any]]:
    held = terms.held if terms.prefers_held else ()
    values: dict[str, Any] = {
        "kinds": list(kinds),
        "engine": terms.engine and storable(terms.engine),
        **{f"held_{place}": key for place, key in enumerate(held)},
    }
    if takes:
        values["now"] = stamp(utc_now())
    elsewhere = tuple(key for key in terms.elsewhere if key not in terms.held)
    if elsewhere:
        values["elsewhere"] = list(elsewhere)
    if terms.able is not None:
        values["able"] = list(terms.able)
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
        takes,
        terms.able is not None,
    )
    return statement, values


@lru_cache(maxsize=64)
def _statement(
    held: int | None,
    has_elsewhere: bool,
    has_owners: bool,
    without_nobody: bool,
    is_bounded: bool,
    takes: bool,
    is_choosy: bool,
) -> TextClause:
    """The statement for so many keys; ``held`` of ``None``: nothing is preferred.

    Text, because SQLite has to be told the indexes: it would rather read all that wait than the first of each.
    """
    anybody = "status = 'pending' AND kind IN :kinds AND (device IS NULL OR device = :engine)"
    if is_choosy:
        anybody += " AND (load_spec_key IS NULL OR load_spec_key IN :able)"
    if has_elsewhere:
        # What asks for this very engine is not left to another one.
        anybody += " AND (device IS NOT NULL OR load_spec_key IS NULL OR load_spec_key NOT IN :elsewhere)"
    others = anybody
    if has_owners:
        others += " AND (owner IS NULL OR owner NOT IN :owners)"
    if without_nobody:
        others += " AND owner IS NOT NULL"
    candidates = []
    if held is not None:
        candidates.append(_find_first(f"{anybody} AND front = 1", "jobs_in_front"))
        candidates.append(_find_held(held, others, is_bounded))
    candidates.append(_find_first(others))
    if has_owners or without_nobody:
        candidates.append(_find_first(anybody))
    # COALESCE wants two; none of the following is looked for when one before it is found.
    chosen = ", ".join([*candidates, "NULL"])
    lists = {"kinds": True, "elsewhere": has_elsewhere, "owners": has_owners, "able": is_choosy}
    columns, found = ", ".join(column.name for column in JOB_COLUMNS), f"seq = COALESCE({chosen})"
    statement = (
        "UPDATE jobs "
        "SET status = 'processing', started_at = :now, attempts = attempts + 1, engine = :engine, front = 0 "
        f"WHERE {found} RETURNING {columns}"
    )
    wanted = statement if takes else f"SELECT {columns} FROM jobs WHERE {found}"
    return text(wanted).bindparams(*(bindparam(name, expanding=True) for name, is_there in lists.items() if is_there))


def _find_first(wanted: str, index: str = "jobs_by_queue_order", columns: str = "seq") -> str:
    return f"(SELECT {columns} FROM jobs INDEXED BY {index} WHERE {wanted} ORDER BY priority DESC, seq LIMIT 1)"


def _find_held(held: int, wanted: str, is_bounded: bool) -> str:
    """The first job that needs no load: of each model the index has its first, and the first of those is taken."""
    keys = ["load_spec_key IS NULL", *(f"load_spec_key = :held_{place}" for place in range(held))]
    firsts = (_find_first(f"{key} AND {wanted}", "jobs_by_model", "seq, priority") for key in keys)
    found = " UNION ALL ".join(f"SELECT seq, priority FROM {first}" for first in firsts)
    patience = ""
    if is_bounded:
        oldest = f"SELECT created_at FROM jobs INDEXED BY jobs_by_age WHERE {wanted} ORDER BY created_at LIMIT 1"
        patience = f"WHERE ({oldest}) >= :patient_until"
    return f"(SELECT seq FROM ({found}) {patience} ORDER BY priority DESC, seq LIMIT 1)"
