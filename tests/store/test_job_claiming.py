"""Which job an engine takes: the statement against the rule in plain Python, and how quick it is found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text

from sdcpp_rest.core.job import Job, JobKind
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_claiming import ClaimTerms, claim_statement
from sdcpp_rest.store.job_store import JobStore

KINDS: tuple[JobKind, ...] = ("txt2img", "upscale")
NOW = datetime(2026, 11, 27, 12, tzinfo=timezone.utc)
SPECS = tuple(LoadSpec(model=FileRef(name=f"m{n}", path=f"/m{n}"), kind="diffusion") for n in range(4))


@dataclass(frozen=True)
class Waiting:
    """A job that waits, as the rule sees it. ``place`` counts from the oldest; a higher ``priority`` is first."""

    place: int
    model: int | None
    age_seconds: int
    owner: str | None = None
    device: str | None = None
    priority: int = 0
    is_front: bool = False
    kind: JobKind = "txt2img"

    @property
    def id(self) -> str:
        return f"job{self.place}"

    @property
    def key(self) -> str | None:
        return None if self.model is None else SPECS[self.model].key


def choose(waiting: Sequence[Waiting], terms: ClaimTerms) -> Waiting | None:
    """The rule, without SQL."""
    elsewhere = set(terms.elsewhere) - set(terms.held)
    anybody = [
        job
        for job in waiting
        if job.kind in KINDS
        and job.device in (None, terms.engine)
        and (job.device is not None or job.key not in elsewhere)
        and (terms.able is None or job.key is None or job.key in terms.able)
    ]
    anybody.sort(key=lambda job: (-job.priority, job.place))
    others = [job for job in anybody if job.owner not in terms.full_owners]
    if terms.prefers_held:
        front = [job for job in anybody if job.is_front]
        if front:
            return front[0]
        oldest = min(others, key=lambda job: job.place, default=None)
        is_patient = terms.patient_until is None or (
            oldest is not None and NOW - timedelta(seconds=oldest.age_seconds) >= terms.patient_until
        )
        free = [job for job in others if job.key is None or job.key in terms.held]
        if free and is_patient:
            return free[0]
    return next(iter(others or anybody), None)


def job_of(waiting: Waiting) -> Job:
    return Job(
        id=waiting.id,
        kind=waiting.kind,
        created_at=NOW - timedelta(seconds=waiting.age_seconds),
        load_spec=None if waiting.model is None else SPECS[waiting.model],
        owner=waiting.owner,
        device=waiting.device,
    )


def fill(database: Database, waiting: Sequence[Waiting]) -> JobStore:
    store = JobStore(database)
    with database.write() as connection:
        connection.execute(text("DELETE FROM jobs"))
    for one in waiting:
        store.insert(job_of(one), max_pending=100_000)
    with database.write() as connection:
        for one in waiting:
            connection.execute(
                text("UPDATE jobs SET priority = :priority, front = :front WHERE id = :id"),
                {"priority": one.priority, "front": int(one.is_front), "id": one.id},
            )
    return store


MODELS = st.sampled_from([None, 0, 1, 2, 3])
JOBS = st.lists(
    st.builds(
        Waiting,
        place=st.just(0),
        model=MODELS,
        age_seconds=st.integers(0, 120),
        owner=st.sampled_from([None, "anna", "bert"]),
        device=st.sampled_from([None, None, None, "cpu:0", "cpu:1"]),
        priority=st.sampled_from([0, 0, 0, 1, 2]),
        is_front=st.booleans(),
        kind=st.sampled_from(["txt2img", "txt2img", "upscale", "model_download"]),
    ),
    max_size=8,
)
KEYS = st.lists(st.sampled_from([spec.key for spec in SPECS]), max_size=3, unique=True).map(tuple)
TERMS = st.builds(
    ClaimTerms,
    engine=st.sampled_from(["cpu:0", "cpu:1"]),
    held=KEYS,
    elsewhere=KEYS,
    prefers_held=st.booleans(),
    patient_until=st.sampled_from([None, *(NOW - timedelta(seconds=wait) for wait in (0, 30, 200))]),
    full_owners=st.lists(st.sampled_from([None, "anna", "bert"]), max_size=3, unique=True).map(tuple),
    able=st.none() | KEYS,
)


def ordered(jobs: Sequence[Waiting]) -> list[Waiting]:
    """Their places, and ages that fall from the oldest on."""
    ages = sorted((job.age_seconds for job in jobs), reverse=True)
    return [replace(job, place=place, age_seconds=age) for place, (job, age) in enumerate(zip(jobs, ages, strict=True))]


@pytest.fixture(scope="module")
def shared_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One for all examples: each fills it anew."""
    database = Database(tmp_path_factory.mktemp("claiming") / "rest.db")
    yield database
    database.close()


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(jobs=JOBS, terms=TERMS)
def test_an_engine_takes_what_the_rule_says(shared_database: Database, jobs: list[Waiting], terms: ClaimTerms) -> None:
    waiting = ordered(jobs)
    store = fill(shared_database, waiting)
    while (expected := choose(waiting, terms)) is not None:
        claimed = store.claim_next(KINDS, terms)
        assert claimed is not None
        assert (claimed.id, claimed.status, claimed.engine) == (expected.id, "processing", terms.engine)
        waiting = [job for job in waiting if job.id != expected.id]
    assert store.claim_next(KINDS, terms) is None


def test_a_job_that_comes_back_goes_before_older_ones_of_other_models(db: Database) -> None:
    store = fill(db, [Waiting(0, 0, 50), Waiting(1, 1, 40), Waiting(2, 1, 30)])
    terms = ClaimTerms(engine="cpu:0", held=(SPECS[1].key,), prefers_held=True)
    claimed = store.claim_next(KINDS, terms)
    assert claimed is not None
    assert claimed.id == "job1"
    returned = store.transition("job1", "pending", {"processing"}, refund_attempt=True)
    assert returned is not None
    assert returned.engine is None
    for_another = ClaimTerms(engine="cpu:1", held=(SPECS[0].key,), prefers_held=True)
    again = store.claim_next(KINDS, for_another)
    assert again is not None
    assert (again.id, again.engine) == ("job1", "cpu:1")


def test_what_is_moved_to_the_front_wins_and_what_is_moved_behind_does_not(db: Database) -> None:
    store = fill(db, [Waiting(0, 0, 50), Waiting(1, 1, 40), Waiting(2, 0, 30)])
    terms = ClaimTerms(engine="cpu:0", held=(SPECS[0].key,), prefers_held=True)
    store.to_front("job1")
    store.move("job2", before="job1")
    order = [store.claim_next(KINDS, terms) for _ in range(3)]
    assert [job.id for job in order if job] == ["job2", "job1", "job0"]
    store = fill(db, [Waiting(0, 0, 50), Waiting(1, 1, 40)])
    store.to_front("job1")
    store.move("job1", before=None)
    first = store.claim_next(KINDS, terms)
    assert first is not None
    assert first.id == "job0"


def test_the_first_job_of_each_model_is_found_by_an_index(db: Database) -> None:
    terms = ClaimTerms(engine="cpu:0", held=(SPECS[0].key,), prefers_held=True, patient_until=NOW)
    with db.read() as connection:
        sent: list[tuple[str, Any]] = []

        @event.listens_for(connection, "before_cursor_execute")
        def note(_connection: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
            sent.append((sql, parameters))

        statement, values = claim_statement(KINDS, terms)
        connection.execute(statement, values)
        (sql, parameters), *_ = sent
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters).all()
    steps = "\n".join(row[-1] for row in plan)
    assert {"jobs_by_model", "jobs_in_front", "jobs_by_age"} <= set(re.findall(r"jobs_\w+", steps))
    assert not re.search(r"SCAN jobs(?! USING INDEX)", steps), steps


def test_a_job_that_asks_for_an_engine_waits_for_that_one(db: Database) -> None:
    store = fill(db, [Waiting(0, None, 1, kind="upscale", device="cpu:1")])
    assert store.claim_next(KINDS, ClaimTerms(engine="cpu:0")) is None
    assert store.claim_next(KINDS) is None
    claimed = store.claim_next(KINDS, ClaimTerms(engine="cpu:1"))
    assert claimed is not None
    assert (claimed.device, claimed.engine) == ("cpu:1", "cpu:1")
