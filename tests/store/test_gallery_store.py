from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sdcpp_rest.core.gallery import GalleryFilter, Marks, PictureFacts, Seat, fold_of, path_in_bin
from sdcpp_rest.errors import Conflict, NotFound
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.gallery_store import FolderContent, GalleryStore
from tests.cases import for_each_case
from tests.examples import examples

NOW = datetime(2026, 11, 27, 12, tzinfo=timezone.utc)
NOON_MS = int(NOW.timestamp() * 1000)


@pytest.fixture
def gallery(db: Database) -> GalleryStore:
    return GalleryStore(db)


def facts(path: str, taken_ms: int = NOON_MS, **more: Any) -> PictureFacts:
    folder = path.rpartition("/")[0]
    return PictureFacts(path, folder, folder or None, 0, taken_ms, "image", 100, 1, **more)


def put(gallery: GalleryStore, *pictures: PictureFacts) -> None:
    folders: dict[str, list[PictureFacts]] = {}
    for one in pictures:
        folders.setdefault(one.folder, []).append(one)
    gallery.put_folders(FolderContent(folder, 1, tuple(found)) for folder, found in folders.items())


def paths(gallery: GalleryStore, **wanted: Any) -> list[str]:
    return [one.facts.path for one in gallery.page(GalleryFilter(**wanted), "desc", 1000)]


def id_of(gallery: GalleryStore, path: str) -> int:
    return next(
        one.id
        for is_deleted in (False, True)
        for one in gallery.page(GalleryFilter(is_deleted=is_deleted), "desc", 1000)
        if one.facts.path.endswith(path)
    )


SEVERAL = (
    facts("a/1.png", NOON_MS, prompt="A lighthouse, at dusk", model="sd15.gguf", seed=7, width=512, height=512),
    facts("b/1.png", NOON_MS + 1, prompt="Ein Schloß über dem Fluß", negative_prompt="blurry", architecture="flux"),
    facts("c/1.mp4", NOON_MS + 2, title="Waves", loras=("Oil Paint",))._replace(kind="video"),
)


@for_each_case(
    ("wanted", "expected"),
    [
        ({}, ["c/1.mp4", "b/1.png", "a/1.png"]),
        ({"words": ("LIGHT",)}, ["a/1.png"]),
        ({"words": ("dusk", "light")}, ["a/1.png"]),
        ({"words": ("dusk", "castle")}, []),
        ({"words": ("uber", "schloß")}, ["b/1.png"]),
        ({"words": ("blur",)}, ["b/1.png"]),
        ({"words": ("waves",)}, ["c/1.mp4"]),
        ({"words": ("oil",)}, ["c/1.mp4"]),
        ({"words": ("sd15",)}, ["a/1.png"]),
        ({"phrases": ("at dusk",)}, ["a/1.png"]),
        ({"phrases": ("dusk at",)}, []),
        ({"without": ("lighthouse",)}, ["c/1.mp4", "b/1.png"]),
        ({"without": ("lighthouse", "fluß")}, ["c/1.mp4"]),
        ({"model": "sd15.gguf"}, ["a/1.png"]),
        ({"model": "sd15"}, []),
        ({"lora": "oil paint"}, ["c/1.mp4"]),
        ({"architecture": "flux"}, ["b/1.png"]),
        ({"kind": "video"}, ["c/1.mp4"]),
        ({"seed": 7}, ["a/1.png"]),
        ({"width": 512, "height": 512}, ["a/1.png"]),
        ({"width": 512, "height": 64}, []),
        ({"job_id": "b"}, ["b/1.png"]),
        ({"after": NOW + timedelta(milliseconds=2)}, ["c/1.mp4"]),
        ({"before": NOW + timedelta(milliseconds=1)}, ["a/1.png"]),
        ({"is_starred": True}, []),
        ({"is_starred": False, "kind": "image"}, ["b/1.png", "a/1.png"]),
        ({"words": ("light",), "kind": "video"}, []),
        ({"is_deleted": True}, []),
    ],
)
def test_a_filter_lets_those_pass_that_it_names(tmp_path: Any, wanted: dict[str, Any], expected: Sequence[str]) -> None:
    db = Database(tmp_path / "rest.db")
    gallery = GalleryStore(db)
    put(gallery, *SEVERAL)
    assert paths(gallery, **wanted) == expected
    assert gallery.count(GalleryFilter(**wanted)) == len(expected)
    assert [gallery.get(one).facts.path for one in gallery.ids(GalleryFilter(**wanted), 10)] == expected
    db.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=examples(60))
@example('"')
@example("NEAR(")
@example("a*")
@example("prompt:x")
@example("AND OR NOT")
@example("***")
@example("\0")
@example("\ud83d")
@given(st.text(min_size=1, max_size=30))
def test_any_words_can_be_searched_for(gallery: GalleryStore, text: str) -> None:
    for field in ("words", "phrases", "without"):
        wanted = GalleryFilter(**{field: (text,)})
        assert gallery.count(wanted) == len(gallery.page(wanted, "desc", 10))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 5), max_size=40), st.integers(1, 7), st.sampled_from(["asc", "desc"]))
def test_pages_hold_every_picture_once_whatever_comes_in_between(
    gallery: GalleryStore, moments: list[int], limit: int, order: Any
) -> None:
    gallery.forget_all()
    put(gallery, *(facts(f"{number}/1.png", NOON_MS + moment) for number, moment in enumerate(moments)))
    seen: list[str] = []
    after: Seat | None = None
    while found := gallery.page(GalleryFilter(), order, limit, after):
        seen += [one.facts.path for one in found]
        after = Seat(found[-1].facts.taken_ms, found[-1].id)
        # Beyond the end that was read already: newer on the way down, older on the way up.
        put(gallery, facts(f"new{len(seen)}/1.png", NOON_MS + (100 if order == "desc" else -100)))
    assert sorted(seen) == sorted(f"{number}/1.png" for number in range(len(moments)))


def folded(gallery: GalleryStore, order: Any = "desc", **wanted: Any) -> list[list[str]]:
    rows = gallery.folded_page(GalleryFilter(**wanted), order, 1000)
    assert all(row.picture.id == row.ids[0] for row in rows)
    assert gallery.count_folded(GalleryFilter(**wanted)) == (len(rows), sum(len(row.ids) for row in rows))
    return [[gallery.get(one).facts.path for one in row.ids] for row in rows]


GROUPED = (
    facts("a/1.png", NOON_MS, fold="job:a", model="x"),
    facts("a/2.png", NOON_MS - 1, fold="job:a"),
    facts("b/1.png", NOON_MS + 1, fold="group:g", model="x"),
    facts("c/1.png", NOON_MS - 5, fold="group:g", seed=7),
    facts("alone.png", NOON_MS - 3),
    facts("other.png", NOON_MS - 2),
)


def test_what_belongs_together_is_one_row_where_its_newest_is(gallery: GalleryStore) -> None:
    put(gallery, *GROUPED)
    expected = [["b/1.png", "c/1.png"], ["a/1.png", "a/2.png"], ["other.png"], ["alone.png"]]
    assert folded(gallery) == expected
    assert folded(gallery, "asc") == expected[::-1]
    assert paths(gallery, group="group:g") == expected[0]
    assert paths(gallery, group="job:a") == expected[1]
    assert paths(gallery, group="job:c") == []


def test_a_row_stands_for_those_that_pass(gallery: GalleryStore) -> None:
    put(gallery, *GROUPED)
    assert folded(gallery, model="x") == [["b/1.png"], ["a/1.png"]]
    assert folded(gallery, seed=7) == [["c/1.png"]]
    gallery.move(id_of(gallery, "b/1.png"), "bin", ".bin/b/1.png", NOW)
    assert folded(gallery)[-1] == ["c/1.png"]
    assert folded(gallery, is_deleted=True) == [[".bin/b/1.png"]]


def test_days_count_rows_where_what_belongs_together_is_one(gallery: GalleryStore) -> None:
    day = int(NOON_MS / 86_400_000)
    yesterday = NOON_MS - 86_400_000
    put(gallery, *GROUPED, facts("old/1.png", yesterday, fold="job:a"), facts("older/1.png", yesterday))
    assert gallery.days(GalleryFilter(), 0) == [(day, 6), (day - 1, 2)]
    assert gallery.days(GalleryFilter(), 0, is_folded=True) == [(day, 4), (day - 1, 1)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from([None, "job:a", "job:b", "group:c"])), max_size=30),
    st.integers(1, 4),
    st.sampled_from(["asc", "desc"]),
)
def test_rows_hold_every_picture_once_while_groups_grow(
    gallery: GalleryStore, taken: list[tuple[int, str | None]], limit: int, order: Any
) -> None:
    gallery.forget_all()
    put(gallery, *(facts(f"{at}/1.png", NOON_MS + moment, fold=fold) for at, (moment, fold) in enumerate(taken)))
    was_there = set(gallery.ids(GalleryFilter(), 100))
    seen: list[int] = []
    after: Seat | None = None
    until_ms = NOON_MS + 5
    while found := gallery.folded_page(GalleryFilter(), order, limit, after):
        seen += [one for row in found for one in row.ids]
        after = Seat(found[-1].picture.facts.taken_ms, found[-1].picture.id, until_ms)
        put(gallery, *(facts(f"new{len(seen)}/{fold}.png", NOON_MS + 100, fold=fold) for fold in ("job:a", "group:c")))
    assert sorted(seen) == sorted(was_there)


def test_a_group_that_the_record_does_not_tell_is_the_one_of_its_job(gallery: GalleryStore, db: Database) -> None:
    with db.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO jobs (id, kind, status, created_at, origin, group_id) "
            "VALUES ('a', 'txt2img', 'completed', '2024-01-02T03:04:05.000006+00:00', 'native', 'g')"
        )
    put(gallery, facts("a/1.png", fold=fold_of("a", None)))
    assert gallery.page(GalleryFilter(), "desc", 1)[0].facts.fold == "group:g"


def test_an_offset_leaves_so_many_out(gallery: GalleryStore) -> None:
    put(gallery, *SEVERAL)
    assert [one.facts.path for one in gallery.page(GalleryFilter(), "desc", 1, None, 1)] == ["b/1.png"]


def test_what_a_folder_holds_replaces_what_it_held(gallery: GalleryStore) -> None:
    put(gallery, facts("a/1.png", prompt="first"), facts("a/2.png"), facts("b/1.png"))
    kept = id_of(gallery, "a/1.png")
    put(gallery, facts("a/1.png", prompt="second", loras=("new",)))
    assert sorted(paths(gallery)) == ["a/1.png", "b/1.png"]
    assert gallery.get(kept).facts.prompt == "second"
    assert paths(gallery, words=("first",)) == []
    assert paths(gallery, words=("second",)) == paths(gallery, lora="new") == ["a/1.png"]


def test_marks_outlive_the_index(gallery: GalleryStore) -> None:
    put(gallery, *SEVERAL)
    chosen = id_of(gallery, "a/1.png")
    assert gallery.mark([chosen], Marks(is_starred=True, rating=4, board="Sea"), NOW, 10) == [chosen]
    gallery.forget_all()
    assert paths(gallery) == []
    put(gallery, *SEVERAL)
    assert paths(gallery, is_starred=True) == paths(gallery, board="Sea") == paths(gallery, rating_min=4) == ["a/1.png"]
    assert paths(gallery, rating_min=5) == []


def test_a_mark_leaves_the_others_as_they_are(gallery: GalleryStore) -> None:
    put(gallery, *SEVERAL)
    chosen = id_of(gallery, "a/1.png")
    gallery.mark([chosen], Marks(is_starred=True, board="Sea"), NOW, 10)
    gallery.mark([chosen], Marks(rating=2), NOW, 10)
    found = gallery.get(chosen)
    assert (found.is_starred, found.rating, found.board) == (True, 2, "Sea")
    gallery.mark([chosen], Marks(board=""), NOW, 10)
    assert gallery.get(chosen).board is None
    assert [(one.name, one.count) for one in gallery.boards()] == [("Sea", 0)]


def test_boards_are_one_whatever_the_case_and_not_too_many(gallery: GalleryStore) -> None:
    put(gallery, *SEVERAL)
    assert gallery.put_board("Sea", NOW, 2)
    assert not gallery.put_board("sea", NOW, 2)
    gallery.mark([id_of(gallery, "a/1.png")], Marks(board="SEA"), NOW, 2)
    assert [(one.name, one.count, one.cover) for one in gallery.boards()] == [("Sea", 1, "a/1.png")]
    gallery.put_board("Land", NOW, 2)
    with pytest.raises(Conflict):
        gallery.put_board("Sky", NOW, 2)
    with pytest.raises(Conflict):
        gallery.rename_board("land", "sea")
    gallery.rename_board("sea", "SEA")
    gallery.rename_board("sea", "Ocean")
    assert paths(gallery, board="Ocean") == ["a/1.png"]
    gallery.drop_board("ocean")
    assert paths(gallery, board="Ocean") == []
    with pytest.raises(NotFound):
        gallery.drop_board("ocean")


def test_a_job_in_the_bin_hides_its_pictures_until_it_is_back(gallery: GalleryStore) -> None:
    put(gallery, *SEVERAL)
    gallery.put_job_in_bin("a", NOW)
    assert paths(gallery) == ["c/1.mp4", "b/1.png"]
    assert paths(gallery, words=("lighthouse",)) == []
    assert gallery.count(GalleryFilter(words=("lighthouse",))) == 0
    assert paths(gallery, is_deleted=True) == ["a/1.png"]
    gallery.drop_folders(["a"])
    gallery.take_job_from_bin("a")
    assert paths(gallery, words=("lighthouse",)) == ["a/1.png"]
    gallery.drop_job("a")
    assert paths(gallery) == ["c/1.mp4", "b/1.png"]


def test_what_is_gone_for_good_takes_its_marks_along(gallery: GalleryStore) -> None:
    put(gallery, *SEVERAL, facts("a/deep/1.png"), facts("ab/1.png"))
    gallery.mark(gallery.ids(GalleryFilter(), 10), Marks(is_starred=True), NOW, 10)
    gallery.drop_below("a")
    put(gallery, *SEVERAL, facts("a/deep/1.png"), facts("ab/1.png"))
    assert sorted(paths(gallery, is_starred=True)) == ["ab/1.png", "b/1.png", "c/1.mp4"]


def test_a_file_may_take_the_place_of_one_in_the_bin(gallery: GalleryStore) -> None:
    put(gallery, facts("a/1.png", prompt="old"))
    old = id_of(gallery, "a/1.png")
    gallery.move(old, "bin", path_in_bin(old, "a/1.png"), NOW)
    put(gallery, facts("a/1.png", prompt="new"))
    assert [one.facts.prompt for one in gallery.page(GalleryFilter(), "desc", 9)] == ["new"]
    assert [one.id for one in gallery.in_bin()] == [old]
    assert gallery.in_bin(deleted_before=NOW) == []
    assert [one.id for one in gallery.in_bin(deleted_before=NOW + timedelta(seconds=1))] == [old]


def test_days_begin_where_the_caller_is(gallery: GalleryStore) -> None:
    evening = int(datetime(2026, 11, 27, 23, 30, tzinfo=timezone.utc).timestamp() * 1000)
    put(gallery, facts("a/1.png", evening), facts("b/1.png", evening - 3_600_000))
    day = evening // 86_400_000
    assert gallery.days(GalleryFilter(), 0) == [(day, 2)]
    assert gallery.days(GalleryFilter(), 60) == [(day + 1, 1), (day, 1)]


def test_facets_count_what_passes(gallery: GalleryStore) -> None:
    put(gallery, *SEVERAL, facts("d/1.png", model="sd15.gguf", loras=("oil paint", "ink")))
    found = gallery.facets(GalleryFilter(), 10)
    assert [(one.value, one.count) for one in found["models"]] == [("sd15.gguf", 2)]
    assert {one.value.lower(): one.count for one in found["loras"]} == {"oil paint": 2, "ink": 1}
    assert [(one.value, one.count) for one in found["kinds"]] == [("image", 3), ("video", 1)]
    assert gallery.facets(GalleryFilter(kind="video"), 10)["models"] == []


@pytest.mark.parametrize("name", ["page", "folded_page"])
def test_a_page_reads_only_its_own_rows(gallery: GalleryStore, db: Database, name: str) -> None:
    from sqlalchemy import text

    from sdcpp_rest.store import gallery_queries

    put(gallery, *SEVERAL)
    for wanted in (GalleryFilter(), GalleryFilter(kind="video"), GalleryFilter(seed=7, width=512, is_starred=False)):
        query, named = getattr(gallery_queries, name)(wanted, "desc", 100, None, 0)
        with db.read() as connection:
            plan = [row[3] for row in connection.execute(text("EXPLAIN QUERY PLAN " + query), named)]
        assert any("COVERING INDEX pictures_narrow" in step for step in plan), plan
        assert any("INTEGER PRIMARY KEY" in step for step in plan), plan
        # What is folded is one list in memory, made of the index alone.
        assert not any(step.startswith("SCAN") and "subquery" not in step for step in plan), plan
