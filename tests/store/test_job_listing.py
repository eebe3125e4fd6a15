"""Which jobs a listing finds, in which order, and that it finds them quickly among ten thousand."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

import pytest

from sdcpp_rest.core.job import FINISHED, Job
from sdcpp_rest.core.job_filter import JobFilter, SortKey
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.store import job_listing
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_store import JobStore
from tests.cases import for_each_case
from tests.store.test_job_store import KINDS, ids, spec, submit

T = TypeVar("T")
START = datetime(2024, 1, 1, 12, tzinfo=timezone.utc)


def add(store: JobStore, job_id: str, **fields: Any) -> None:
    architecture = fields.pop("architecture", None)
    model = FileRef(name=f"{job_id}.gguf", path=f"/{job_id}.gguf")
    spec = LoadSpec(model=model, kind="diffusion", architecture=architecture)
    store.insert(Job(**{"id": job_id, "kind": "txt2img", "load_spec": spec, **fields}), max_pending=100_000)


@pytest.fixture
def five(store: JobStore) -> JobStore:
    """a to e, a day apart; a and c are completed, b failed, d waits, e runs."""
    rows: list[dict[str, Any]] = [
        {"architecture": "SDXL 1.0", "title": "Zebra"},
        {"architecture": "Z-Image", "title": "apple", "kind": "img2img"},
        {"architecture": "SDXL 1.0", "title": "apple"},
        {"title": "100%, really"},
        {},
    ]
    for number, (name, fields) in enumerate(zip("abcde", rows, strict=True)):
        add(store, name, created_at=START + timedelta(days=number), **fields)
    moment = datetime(2024, 2, 1, tzinfo=timezone.utc)
    store.transition("a", "completed", ["pending"], completed_at=moment + timedelta(hours=2))
    store.transition("b", "failed", ["pending"], completed_at=moment + timedelta(hours=3))
    store.transition("c", "completed", ["pending"], completed_at=moment + timedelta(hours=1))
    store.to_front("e")
    store.claim_next(["txt2img"])
    return store


def found(store: JobStore, order: str = "asc", sort: SortKey = "created_at", **wanted: Any) -> str:
    jobs = store.find(JobFilter(**wanted), order=order, sort=sort, active_first=False)  # type: ignore[arg-type]
    return "".join(job.id for job in jobs)


@for_each_case(
    ("wanted", "expected"),
    [
        ({}, "abcde"),
        ({"architecture": "sdxl"}, "ac"),
        ({"architecture": "Z-IMAGE"}, "b"),
        ({"architecture": "%"}, ""),
        ({"titles": ("apple",)}, "bc"),
        ({"titles": ("Zebra", "100%, really")}, "ad"),
        ({"titles": ("Apple", "app")}, ""),
        ({"before": START + timedelta(days=2)}, "ab"),
        ({"after": START + timedelta(days=2)}, "cde"),
        ({"after": START + timedelta(days=1), "before": START + timedelta(days=3)}, "bc"),
        ({"status": frozenset({"completed"}), "architecture": "sdxl", "search": "zebra"}, "a"),
        ({"status": frozenset(), "kind": None}, ""),
        ({"kind": "img2img"}, "b"),
    ],
)
def test_filters_are_all_applied(five: JobStore, wanted: dict[str, Any], expected: str) -> None:
    assert found(five, **wanted) == expected
    assert found(five, order="desc", **wanted) == expected[::-1]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [("created_at", "abcde"), ("completed_at", "decab"), ("title", "edbca"), ("type", "bacde"), ("status", "acbde")],
)
def test_jobs_are_sorted_and_equal_ones_by_submission(five: JobStore, sort: SortKey, expected: str) -> None:
    assert found(five, sort=sort) == expected
    assert found(five, order="desc", sort=sort) == expected[::-1]


def test_counts_of_a_filter_leave_its_status_out(five: JobStore) -> None:
    counts = five.counts(JobFilter(architecture="sdxl", status=frozenset({"failed"})))
    assert (counts["completed"], counts["total"]) == (2, 2)


def test_days_are_counted_in_utc(five: JobStore) -> None:
    add(five, "f", created_at=datetime(2024, 1, 2, 1, tzinfo=timezone(timedelta(hours=2))))
    assert five.days(JobFilter(), ["2024-01-01", "2024-01-02", "2023-01-01"]) == {"2024-01-01": 2, "2024-01-02": 1}
    assert five.days(JobFilter(status=FINISHED), ["2024-01-01"]) == {"2024-01-01": 1}


def test_titles_come_once_and_sorted_whatever_their_case(five: JobStore) -> None:
    assert five.titles() == ("100%, really", "apple", "Zebra")


def test_heads_say_what_the_jobs_say(five: JobStore) -> None:
    heads = five.heads(JobFilter(), limit=10)
    jobs = five.find(JobFilter(), limit=10)
    assert "".join(head.id for head in heads) == "edcba"
    assert [(head.id, head.status, head.title) for head in heads] == [(job.id, job.status, job.title) for job in jobs]
    assert heads[-1].completed_at == "2024-02-01T02:00:00.000000+00:00"
    assert five.heads(JobFilter(), limit=10) == heads


def test_many_jobs_are_read_at_once_and_missing_ones_left_out(five: JobStore) -> None:
    names = [*(f"none{number}" for number in range(1100)), "b", "\ud83d", "e"]
    assert five.get_many(names) == {name: five.get(name) for name in "be"}
    assert five.get_many([]) == {}


def many(db: Database, count: int) -> None:
    """Rows as wide as real ones; four families, ten titles, one in a hundred failed, one in ten pending."""
    template = JobStore(db)
    add(
        template,
        "template",
        params=ImageParams(prompt="a red circle on a blue background, " * 8).model_dump(mode="json"),
    )
    template.transition("template", "cancelled", ["pending"])
    with db.write() as connection:
        own = ("seq", "id", "status", "search_text", "architecture", "title", "created_at")
        names = [row[1] for row in connection.exec_driver_sql("PRAGMA table_info(jobs)") if row[1] not in own]
        connection.exec_driver_sql(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1}) "
            f"INSERT INTO jobs (id, status, search_text, architecture, title, created_at, {', '.join(names)}) "
            "SELECT 'n' || i, CASE WHEN i % 10 = 0 THEN 'pending' WHEN i % 100 = 1 THEN 'failed' ELSE 'completed' END, "
            "'number ' || i || search_text, 'Family ' || (i % 4), 'title ' || (i % 10), "
            "strftime('%Y-%m-%dT%H:%M:%S.000000+00:00', 1704067200 + i * 60, 'unixepoch'), "
            f"{', '.join(names)} FROM n, jobs WHERE jobs.id = 'template'"
        )


@pytest.mark.slow
def test_ten_thousand_rows_are_filtered_rightly(
    store: JobStore, db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    many(db, 10_000)
    lines = []

    def timed(name: str, work: Callable[[], T]) -> T:
        begin = time.perf_counter()
        result = work()
        lines.append(f"{name} {(time.perf_counter() - begin) * 1e3:.1f} ms")
        return result

    family = JobFilter(architecture="family 1")
    heads = timed("family", lambda: store.heads(family, limit=3, active_first=False))
    assert [head.id for head in heads] == ["n9997", "n9993", "n9989"]
    assert timed("its counts", lambda: store.counts(family))["total"] == 2500
    last = timed("last page", lambda: store.heads(JobFilter(), limit=3, offset=9997, active_first=False))
    assert [head.id for head in last] == ["n2", "n1", "template"]
    by_title = timed("by title", lambda: store.heads(JobFilter(), limit=2, sort="title", active_first=False))
    assert [head.title for head in by_title] == ["title 9"] * 2
    assert len(timed("titles", store.titles)) == 10
    before = JobFilter(before=datetime(2024, 1, 2, tzinfo=timezone.utc))
    assert timed("before", lambda: store.counts(before))["total"] == 1439
    assert timed("days", lambda: store.days(JobFilter(), ["2024-01-02"])) == {"2024-01-02": 1440}
    assert len(timed("plain", lambda: store.heads(JobFilter(), limit=200))) == 1199
    searched = timed("search", lambda: store.heads(JobFilter(search="number 4711circle"), limit=5))
    assert searched == []
    with capsys.disabled():
        print("\n  10,000 jobs: " + ", ".join(lines))


@pytest.mark.parametrize(
    "statement",
    [
        job_listing.TITLES,
        job_listing.counts(JobFilter(architecture="x", kind="txt2img")),
        job_listing.days(JobFilter(), ["2024-01-01"]),
    ],
    ids=["titles", "counts", "days"],
)
def test_filters_read_an_index_and_no_row(tmp_path: Path, statement: Any) -> None:
    Database(tmp_path / "plan.db").close()
    raw = sqlite3.connect(tmp_path / "plan.db")
    text = str(statement.compile(compile_kwargs={"literal_binds": True}))
    plan = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {text}")]
    raw.close()
    assert all("COVERING INDEX" in step for step in plan if "jobs" in step), json.dumps(plan)


# --- the short way ----------------------------------------------------------------------------------------------------


@pytest.fixture
def six(store: JobStore) -> list[str]:
    """In order of submission: completed, failed, processing, cancelled, pending, pending."""
    jobs = [submit(store, id=f"j{i}", prompt=f"picture {i}", kind="img2img" if i % 2 else "txt2img") for i in range(6)]
    store.transition("j0", "completed", ["pending"])
    store.transition("j1", "failed", ["pending"])
    store.claim_next(KINDS)
    store.transition("j3", "cancelled", ["pending"])
    return ids(jobs)


def test_a_listing_shows_the_active_jobs_and_then_the_newest_finished(store: JobStore, six: list[str]) -> None:
    assert ids(store.list()) == ["j2", "j4", "j5", "j3", "j1", "j0"]
    assert ids(store.list(order="asc")) == ["j2", "j4", "j5", "j0", "j1", "j3"]


def test_the_limit_counts_finished_jobs_only(store: JobStore, six: list[str]) -> None:
    assert ids(store.list(limit=1)) == ["j2", "j4", "j5", "j3"]
    assert ids(store.list(limit=0)) == ["j2", "j4", "j5"]


def test_later_pages_hold_finished_jobs_only(store: JobStore, six: list[str]) -> None:
    assert ids(store.list(limit=1, offset=1)) == ["j1"]
    assert ids(store.list(limit=5, offset=3)) == []


def test_a_plain_listing_is_one_list_by_time(store: JobStore, six: list[str]) -> None:
    assert ids(store.list(active_first=False)) == six[::-1]
    assert ids(store.list(active_first=False, limit=2, offset=1, order="asc")) == ["j1", "j2"]


def test_a_listing_filters_by_status_and_kind(store: JobStore, six: list[str]) -> None:
    assert ids(store.list(status={"pending"})) == ["j4", "j5"]
    assert ids(store.list(status={"failed", "processing"})) == ["j2", "j1"]
    assert ids(store.list(status=set())) == []
    assert ids(store.list(kind="img2img")) == ["j5", "j3", "j1"]


def test_search_finds_every_word_in_any_case(store: JobStore) -> None:
    one = submit(store, prompt="A Red ÄPFEL tree", title="Garden")
    two = submit(store, prompt="a red_car 100%", load_spec=spec("Klein-4B.gguf"))
    assert ids(store.list(search="RED äpfel")) == [one.id]
    assert ids(store.list(search="garden tree")) == [one.id]
    assert ids(store.list(search="klein-4b")) == [two.id]
    assert ids(store.list(search=two.id[:13].upper())) == [two.id]
    assert ids(store.list(search="red")) == [one.id, two.id]
    assert ids(store.list(search="0%")) == [two.id]
    assert ids(store.list(search="d_c")) == [two.id]
    assert ids(store.list(search="blue")) == []
    assert ids(store.list(search="   ")) == [one.id, two.id]
    assert store.counts(JobFilter(search="red car"))["total"] == 1


# --- ten thousand -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ten_thousand_rows_are_listed_and_counted_rightly(
    store: JobStore, db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(store, id="template")
    store.transition("template", "cancelled", ["pending"])
    with db.write() as connection:
        columns = [r[1] for r in connection.exec_driver_sql("PRAGMA table_info(jobs)") if r[1] not in ("seq", "id", "status", "search_text")]  # fmt: skip  # noqa: E501
        names = ", ".join(columns)
        connection.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) "
            f"INSERT INTO jobs (id, status, search_text, {names}) SELECT 'n' || i, "
            "CASE WHEN i > 9950 THEN 'pending' WHEN i % 100 = 0 THEN 'failed' ELSE 'completed' END, "
            f"'number ' || i || ' end', {names} FROM n, jobs WHERE jobs.id = 'template'"
        )
    lines = []

    def timed(name: str, work: Callable[[], T]) -> T:
        begin = time.perf_counter()
        result = work()
        lines.append(f"{name}: {(time.perf_counter() - begin) * 1e3:.1f} ms")
        return result

    assert timed("counts", store.counts) == {
        "cancelled": 1, "completed": 9851, "failed": 99, "pending": 49, "processing": 0, "total": 10_000,
    }  # fmt: skip
    listed = timed("list", store.list)
    assert ids(listed[:49]) == [f"n{i}" for i in range(9951, 10_000)]
    assert ids(listed[49:]) == [f"n{i}" for i in range(9950, 9750, -1)]
    last_page = timed("last page", lambda: store.list(limit=200, offset=9900))
    assert ids(last_page) == [*(f"n{i}" for i in range(50, 0, -1)), "template"]
    failed = timed("failed", lambda: store.list(limit=3, status={"failed"}))
    assert ids(failed) == ["n9900", "n9800", "n9700"]
    assert ids(timed("search", lambda: store.list(search="number 4711 end"))) == ["n4711"]
    claimed = timed("claim", lambda: store.claim_next(KINDS))
    assert claimed is not None
    assert claimed.id == "n9951"
    assert timed("position", lambda: store.position("n9999")) == 48
    with capsys.disabled():
        print("\n  10,000 jobs: " + ", ".join(lines))


@for_each_case(
    "statement",
    [
        "SELECT status, count(*) FROM jobs GROUP BY status",
        "SELECT count(*) FROM jobs WHERE status = 'pending'",
        "SELECT seq FROM jobs WHERE status = 'pending' AND kind IN ('txt2img') ORDER BY priority DESC, seq LIMIT 1",
        "SELECT seq FROM jobs WHERE status IN ('failed') ORDER BY seq DESC LIMIT 200",
    ],
)
def test_what_is_asked_all_the_time_is_answered_from_an_index_alone(tmp_path: Path, statement: str) -> None:
    Database(tmp_path / "plan.db").close()
    raw = sqlite3.connect(tmp_path / "plan.db")
    plan = " / ".join(row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}"))
    raw.close()
    assert "COVERING INDEX" in plan, plan
    assert "TEMP B-TREE" not in plan, plan
