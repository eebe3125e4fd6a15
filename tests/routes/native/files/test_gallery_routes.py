from __future__ import annotations

import contextlib
import io
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from sdcpp_rest.core.events import GalleryChanged
from tests.cases import for_each_case
from tests.routes.conftest import House


def listed(house: House, query: str = "") -> dict[str, Any]:
    answer = house.client.get(f"/gallery{query}")
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def paths(house: House, query: str = "") -> list[str]:
    return [item["path"] for item in listed(house, query)["items"]]


def draw(house: House, prompt: str = "a red circle", **more: Any) -> list[str]:
    return list(house.finished(house.submit(prompt=prompt, **more))["outputs"])


def by_hand(house: House, name: str) -> str:
    Image.new("RGB", (8, 8)).save(Path(house.config.paths.output_dir) / name)
    assert house.client.post("/gallery/scan", json={}).status_code == 200
    return name


def ids(house: House, query: str = "") -> list[int]:
    return [item["id"] for item in listed(house, query)["items"]]


def test_a_picture_is_told_as_soon_as_its_job_has_ended(house: House) -> None:
    with house.runtime.jobs.bus.subscribe() as mailbox:
        job_id = house.submit(prompt="a green star", seed=5, width=64, height=64, batch_count=2)
        while getattr(event := mailbox.get(20), "status", "") != "completed":
            assert event is not None
        found = listed(house)
    assert (found["total"], found["next"]) == (2, None)
    first, second = found["items"]
    assert (first["path"], second["path"]) == (f"{job_id}/image_0.png", f"{job_id}/image_1.png")
    assert (first["job_id"], first["index"], first["kind"]) == (job_id, 0, "image")
    assert (first["seed"], second["seed"], first["prompt"]) == (5, 6, "a green star")
    assert (first["starred"], first["rating"], "board" in first) == (False, 0, False)
    thumb = house.client.get(first["thumb"])
    assert thumb.status_code == 200
    assert "immutable" in thumb.headers["Cache-Control"]


def test_pages_go_on_by_cursor_and_jump_by_offset(house: House) -> None:
    drawn = [draw(house, seed=number)[0] for number in range(5)]
    page, seen = listed(house, "?limit=2"), []
    while True:
        seen += [item["path"] for item in page["items"]]
        if page["next"] is None:
            break
        page = listed(house, f"?limit=2&cursor={page['next']}")
        assert page["total"] == 5
    assert seen == paths(house) == drawn[::-1]
    assert paths(house, "?order=asc") == drawn
    assert paths(house, "?offset=3") == drawn[1::-1]


def test_pictures_that_belong_together_are_one_row_that_tells_what_unfolds_it(house: House) -> None:
    axes = [{"field": "seed", "values": [1, 2]}]
    by_hand(house, "alone.png")
    batch = draw(house, "a batch", batch_count=3)
    for cell in (0, 1):
        draw(house, "a grid", seed=cell + 1, group={"id": "grid-1", "axes": axes, "cell": [cell]})
    folded = listed(house, "?grouped=true")
    assert (folded["total"], folded["pictures"], folded["next"]) == (3, 6, None)
    grid, drawn, alone = folded["items"]
    assert (grid["group"]["id"], grid["group"]["count"], grid["seed"]) == ("group:grid-1", 2, 2)
    assert (drawn["group"]["id"], drawn["group"]["count"]) == (f"job:{drawn['job_id']}", 3)
    assert (drawn["path"], "group" in alone) == (batch[0], False)
    assert ids(house, f"?group={drawn['group']['id']}") == drawn["group"]["ids"]
    body = {"filter": {"group": "group:grid-1"}, "action": "star"}
    assert house.client.post("/gallery/batch", json=body).get_json()["changed"] == 2
    assert ids(house, "?starred=true") == grid["group"]["ids"]
    assert listed(house, "?grouped=true&seed=1")["items"][0]["group"]["ids"] == [grid["group"]["ids"][1]]
    months = house.client.get("/gallery/months?grouped=true").get_json()
    assert (months["total"], house.client.get("/gallery/months").get_json()["total"]) == (3, 6)
    plain = listed(house)
    assert (plain["total"], "pictures" in plain, any("group" in item for item in plain["items"])) == (6, False, False)


def test_a_walk_over_rows_meets_every_picture_once_while_a_group_grows(house: House) -> None:
    axes = [{"field": "seed", "values": [1, 2]}]
    draw(house, group={"id": "growing", "axes": axes, "cell": [0]})
    draw(house, batch_count=2)
    page, seen = listed(house, "?grouped=true&limit=1"), []
    seen += page["items"][0]["group"]["ids"]
    draw(house, group={"id": "growing", "axes": axes, "cell": [1]})
    page = listed(house, f"?grouped=true&limit=1&cursor={page['next']}")
    seen += page["items"][0]["group"]["ids"]
    assert (len(set(seen)), page["next"]) == (3, None)
    assert [item["group"]["count"] for item in listed(house, "?grouped=true")["items"]] == [2, 2]


def test_a_group_is_whole_when_the_index_was_made_anew(house: House) -> None:
    axes = [{"field": "seed", "values": [1, 2]}]
    for cell in (0, 1):
        draw(house, seed=cell, group={"id": "grid-1", "axes": axes, "cell": [cell]})
    assert house.client.post("/gallery/scan", json={"anew": True}).status_code == 200
    assert [item["group"]["count"] for item in listed(house, "?grouped=true")["items"]] == [2]


def test_filters_are_combined(house: House) -> None:
    sea = draw(house, "a lighthouse by the sea", seed=3)[0]
    draw(house, "a lighthouse on land", seed=4)
    assert len(paths(house, "?q=light")) == 2
    assert paths(house, "?q=light%20sea") == paths(house, '?q="the%20sea"') == paths(house, "?q=light%20-land") == [sea]
    assert paths(house, "?seed=3&kind=image&width=64") == [sea]
    assert paths(house, "?after=2000-01-01&before=2001-01-01") == []
    assert paths(house, '?q="unbalanced%20NEAR(*') == []
    assert paths(house, "?q=%20") == paths(house)
    model = listed(house)["items"][0]["model"]
    assert len(paths(house, f"?model={model}")) == 2


@for_each_case(
    ("query", "field"),
    [
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?cursor=x", "cursor"),
        ("?cursor=MS4y%0A", "cursor"),
        ("?cursor=" + "A" * 101, "cursor"),
        ("?cursor=ZmZmZmZmZmZmZmZmZmZmZi4x", "cursor"),
        ("?cursor=MS4y&offset=1", "offset"),
        ("?offset=-1", "offset"),
        ("?order=newest", "order"),
        ("?kind=sound", "kind"),
        ("?rating=6", "rating"),
        ("?seed=-1", "seed"),
        ("?seed=9223372036854775808", "seed"),
        ("?starred=maybe", "starred"),
        ("?before=soon", "before"),
        ("?q=" + "w%20" * 17, "q"),
        ("?q=" + "x" * 501, "q"),
        ("?q=sea&deleted=true", "q"),
        ("?q=!!!", "q"),
        ("?q=cat%20%3F%3F%3F", "q"),
        ("?q=%22%22", "q"),
        ("?grouped=maybe", "grouped"),
        ("?group=" + "x" * 301, "group"),
        ("?grouped=true&cursor=MS4yLg==", "cursor"),
        ("/months?utc_offset=900", "utc_offset"),
        ("/months?grouped=2", "grouped"),
        ("/zip?ids=1,x", "ids"),
        ("/zip?ids=" + "9" * 30, "ids"),
    ],
)
def test_a_query_that_is_wrong_names_its_parameter(shared_client: FlaskClient, query: str, field: str) -> None:
    answer = shared_client.get(f"/gallery{query}")
    assert (answer.status_code, answer.get_json()["field"]) == (400, field)


def test_marks_are_kept_and_found(house: House) -> None:
    draw(house)
    chosen = ids(house)[0]
    body = {"starred": True, "rating": 4, "board": " Sea "}
    with house.runtime.jobs.bus.subscribe() as mailbox:
        answer = house.client.patch(f"/gallery/{chosen}", json=body).get_json()
        assert mailbox.get(20) == GalleryChanged(change="marked", ids=(chosen,), count=1)
    assert (answer["starred"], answer["rating"], answer["board"]) == (True, 4, "Sea")
    assert ids(house, "?starred=true&board=Sea&rating=4") == [chosen]
    assert house.client.patch(f"/gallery/{chosen}", json={"board": ""}).get_json()["starred"] is True
    assert ids(house, "?board=Sea") == []
    assert house.client.get(f"/gallery/{chosen}").get_json()["negative_prompt"] == ""


@for_each_case("picture_id", ["0", "99", "9" * 30])
def test_an_unknown_picture_is_404(shared_client: FlaskClient, picture_id: str) -> None:
    url = f"/gallery/{picture_id}"
    for answer in (shared_client.get(url), shared_client.patch(url, json={}), shared_client.delete(url)):
        assert answer.status_code == 404


def test_one_picture_of_several_goes_by_itself_and_comes_back(house: House) -> None:
    drawn = draw(house, batch_count=2)
    first, second = ids(house)
    house.client.patch(f"/gallery/{first}", json={"starred": True})
    shown = house.client.delete(f"/gallery/{first}").get_json()
    assert (shown["place"], shown["path"], "deleted_at" in shown) == ("bin", drawn[0], True)
    assert house.client.get(f"/output/{drawn[0]}").status_code == 404
    assert house.client.get(f"/thumb/{drawn[0]}").status_code == 404
    assert ids(house) == [second]
    assert ids(house, "?deleted=true") == [first]
    assert house.client.delete(f"/gallery/{first}").status_code == 409
    done = house.client.post("/gallery/batch", json={"ids": [first], "action": "restore"}).get_json()
    assert done == {"success": True, "changed": 1, "failed": 0, "errors": []}
    assert ids(house) == [first, second]
    assert listed(house)["items"][0]["starred"] is True
    assert (Path(house.config.paths.output_dir) / drawn[0]).is_file()


def test_the_last_picture_takes_its_job_along_and_brings_it_back(house: House) -> None:
    job_id = draw(house, batch_count=2)[0].partition("/")[0]
    first, second = ids(house)
    house.client.delete(f"/gallery/{first}")
    assert house.client.delete(f"/gallery/{second}").get_json()["place"] == "job_bin"
    assert house.client.get(f"/queue/{job_id}").status_code == 404
    # The one that went by itself has no folder to come back to, until the job is back.
    refused = house.client.post("/gallery/batch", json={"ids": [first], "action": "restore"}).get_json()
    assert refused["failed"] == 1
    both = house.client.post("/gallery/batch", json={"ids": [first, second], "action": "restore"}).get_json()
    assert (both["changed"], both["success"]) == (2, True)
    assert ids(house) == [first, second]
    assert house.client.get(f"/queue/{job_id}").status_code == 200


def test_a_job_that_is_deleted_and_restored_keeps_its_stars(house: House) -> None:
    job_id = draw(house)[0].partition("/")[0]
    chosen = ids(house)[0]
    house.client.patch(f"/gallery/{chosen}", json={"starred": True})
    house.client.delete("/queue/jobs", json={"job_ids": [job_id]})
    assert ids(house) == []
    house.client.post(f"/queue/{job_id}/restore")
    assert ids(house, "?starred=true") == [chosen]
    house.client.delete("/queue/jobs", json={"job_ids": [job_id]})
    house.client.delete(f"/queue/{job_id}/purge")
    assert house.client.get(f"/gallery/{chosen}").status_code == 404


def test_with_the_bin_off_a_picture_is_gone_for_good(house: House) -> None:
    house.client.put("/settings/recycle-bin", json={"enabled": False})
    name = by_hand(house, "a.png")
    assert house.client.delete(f"/gallery/{ids(house)[0]}").get_json()["path"] == name
    assert ids(house) == ids(house, "?deleted=true") == []
    assert not (Path(house.config.paths.output_dir) / name).exists()


def test_a_picture_is_not_restored_over_another_one(house: House) -> None:
    by_hand(house, "a.png")
    old = ids(house)[0]
    house.client.delete(f"/gallery/{old}")
    by_hand(house, "a.png")
    done = house.client.post("/gallery/batch", json={"ids": [old], "action": "restore"}).get_json()
    assert (done["changed"], done["failed"]) == (0, 1)
    assert "is there" in done["errors"][0]["error"]
    assert ids(house, "?deleted=true") == [old]


def test_what_expires_in_the_bin_is_gone(house: House) -> None:
    by_hand(house, "a.png")
    old = ids(house)[0]
    house.client.delete(f"/gallery/{old}")
    gallery = house.runtime.jobs.gallery
    assert gallery.purge_expired() == 0
    house.client.put("/settings/recycle-bin", json={"retention_minutes": 1})
    later = gallery._now
    gallery._now = lambda: later().replace(year=later().year + 1)
    assert gallery.purge_expired() == 1
    assert ids(house, "?deleted=true") == []
    assert list((Path(house.config.paths.output_dir) / ".bin" / ".pictures").iterdir()) == []


def test_a_file_that_has_vanished_is_told_and_forgotten(house: House) -> None:
    name = by_hand(house, "a.png")
    (Path(house.config.paths.output_dir) / name).unlink()
    chosen = ids(house)[0]
    assert house.client.delete(f"/gallery/{chosen}").status_code == 409
    assert ids(house) == []


def test_a_batch_is_about_numbers_or_a_filter(house: House) -> None:
    draw(house, "a lighthouse", batch_count=2)
    draw(house, "a boat")
    chosen = {"filter": {"q": "lighthouse"}}
    assert house.client.post("/gallery/batch", json={**chosen, "action": "star"}).get_json()["changed"] == 2
    assert len(ids(house, "?starred=true")) == 2
    house.client.post("/gallery/batch", json={**chosen, "action": "board", "board": "Sea"})
    assert [(one["name"], one["count"]) for one in house.client.get("/gallery/boards").get_json()["boards"]] == [
        ("Sea", 2)
    ]
    assert house.client.post("/gallery/batch", json={**chosen, "action": "delete"}).get_json()["changed"] == 2
    assert len(ids(house)) == 1
    everything = {"filter": {"deleted": True}, "action": "restore"}
    assert house.client.post("/gallery/batch", json=everything).get_json()["changed"] == 2
    unknown = house.client.post("/gallery/batch", json={"ids": [*ids(house), 999], "action": "unstar"}).get_json()
    assert (unknown["changed"], unknown["errors"][0]["id"]) == (3, 999)


@for_each_case(
    ("body", "field"),
    [
        ({"action": "star"}, "ids"),
        ({"action": "star", "ids": [1], "filter": {}}, "ids"),
        ({"action": "star", "ids": []}, "ids"),
        ({"action": "star", "ids": list(range(10_001))}, "ids"),
        ({"action": "star", "ids": ["x"]}, "ids[0]"),
        ({"action": "burn", "ids": [1]}, "action"),
        ({"ids": [1]}, "action"),
        ({"action": "rate", "ids": [1]}, "rating"),
        ({"action": "rate", "ids": [1], "rating": 6}, "rating"),
        ({"action": "board", "ids": [1]}, "board"),
        ({"action": "board", "ids": [1], "board": "x" * 101}, "board"),
        ({"action": "star", "filter": {"rating": 9}}, "filter.rating"),
        ({"action": "delete", "filter": {"q": "???"}}, "q"),
        ({"action": "delete", "ids": [1], "rating": 3}, "rating"),
        ({"action": "rate", "ids": [1], "rating": 3, "board": "Sea"}, "board"),
        ({"action": "board", "ids": [1], "board": "a/b"}, "board"),
        ({"action": "star", "filter": {"before": "soon"}}, "before"),
    ],
)
def test_a_batch_that_is_wrong_names_its_field(shared_client: FlaskClient, body: dict[str, Any], field: str) -> None:
    answer = shared_client.post("/gallery/batch", json=body)
    assert (answer.status_code, answer.get_json()["field"]) == (400, field)


def test_a_filter_with_an_unknown_field_does_nothing_to_anybody(house: House) -> None:
    draw(house)
    for url, body in (("/gallery/batch", {"action": "delete"}), ("/gallery/zip", {})):
        answer = house.client.post(url, json={**body, "filter": {"modle": "x"}})
        assert answer.status_code == 400
        assert "did you mean 'filter.model'" in answer.get_json()["error"]
    assert len(ids(house)) == 1


def test_what_is_not_known_is_told(house: House) -> None:
    draw(house)
    assert "stared" in house.client.patch(f"/gallery/{ids(house)[0]}", json={"stared": True}).get_json()["warnings"][0]


def test_only_what_was_done_is_told_to_others(house: House) -> None:
    with house.runtime.jobs.bus.subscribe() as mailbox:
        house.client.post("/gallery/batch", json={"ids": [999_999], "action": "star"})
        house.client.post("/gallery/batch", json={"ids": [999_999], "action": "delete"})
        assert [event for event in mailbox.drain() if isinstance(event, GalleryChanged)] == []


@pytest.mark.slow
def test_two_who_delete_one_picture_at_once_do_not_lose_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    name = by_hand(house, "a.png")
    chosen = ids(house)
    gallery, looked = house.runtime.jobs.gallery, threading.Barrier(2, timeout=20)
    get_many = gallery._store.get_many

    def look(wanted: Any) -> Any:
        found = get_many(wanted)
        with contextlib.suppress(threading.BrokenBarrierError):
            # Both have looked before either moves, where that is possible at all.
            looked.wait(0.2)
        return found

    monkeypatch.setattr(gallery._store, "get_many", look)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(gallery.delete, [chosen, chosen]))
    assert sorted(len(done) for done, _ in answers) == [0, 1]
    monkeypatch.undo()
    assert gallery.restore(chosen) == (chosen, {})
    assert (Path(house.config.paths.output_dir) / name).is_file()


def test_a_picture_comes_back_to_a_place_that_the_index_believes_taken(house: House) -> None:
    by_hand(house, "a.png")
    old = ids(house)[0]
    house.client.patch(f"/gallery/{old}", json={"starred": True})
    house.client.delete(f"/gallery/{old}")
    (Path(house.config.paths.output_dir) / by_hand(house, "a.png")).unlink()
    done = house.client.post("/gallery/batch", json={"ids": [old], "action": "restore"}).get_json()
    assert (done["changed"], ids(house), ids(house, "?deleted=true")) == (1, [old], [])
    assert ids(house, "?starred=true") == [old]


def test_the_whole_bin_is_emptied(house: House) -> None:
    by_hand(house, "a.png")
    old = ids(house)[0]
    house.client.delete(f"/gallery/{old}")
    assert house.client.delete("/queue/recycle-bin").get_json()["pictures"] == 1
    assert house.client.get(f"/gallery/{old}").status_code == 404
    assert list((Path(house.config.paths.output_dir) / ".bin" / ".pictures").iterdir()) == []
    assert "pictures" not in house.client.delete("/queue/recycle-bin").get_json()


def test_boards_are_made_renamed_and_forgotten(house: House) -> None:
    assert house.client.put("/gallery/boards/Sea").status_code == 201
    assert house.client.put("/gallery/boards/sea").status_code == 200
    assert house.client.patch("/gallery/boards/Sea", json={"name": "Ocean"}).get_json()["name"] == "Ocean"
    assert house.client.delete("/gallery/boards/Sea").status_code == 404
    assert house.client.delete("/gallery/boards/Ocean").status_code == 200
    assert house.client.put("/gallery/boards/%0a").status_code == 400
    assert house.client.put("/gallery/boards/" + "x" * 101).status_code == 400


@pytest.mark.parametrize("by_link", [True, False])
def test_a_zip_holds_the_pictures_under_names_of_people(house: House, by_link: bool) -> None:
    drawn = draw(house, "a red circle", seed=5, batch_count=2)
    missing = by_hand(house, "gone.png")
    (Path(house.config.paths.output_dir) / missing).unlink()
    if by_link:
        answer = house.client.get("/gallery/zip?kind=image")
    else:
        answer = house.client.post("/gallery/zip", json={"ids": ids(house)})
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    assert "attachment" in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["a-red-circle_5.png", "a-red-circle_6.png", "missing.txt"]
        original = (Path(house.config.paths.output_dir) / drawn[0]).read_bytes()
        assert archive.read("a-red-circle_5.png") == original
        assert "gone.png" in archive.read("missing.txt").decode()


def test_months_and_facets_count_what_passes(house: House) -> None:
    draw(house, "a lighthouse", batch_count=2)
    draw(house, "a boat")
    months = house.client.get("/gallery/months?q=lighthouse").get_json()
    assert months["total"] == months["months"][0]["count"] == months["months"][0]["days"][0]["count"] == 2
    facets = house.client.get("/gallery/facets").get_json()
    assert facets["kinds"] == [{"value": "image", "count": 3}]
    assert facets["models"][0]["count"] == 3


def test_another_title_is_found_and_written_down(house: House) -> None:
    path = draw(house)[0]
    job_id = path.partition("/")[0]
    house.client.patch(f"/queue/{job_id}", json={"title": "Seaside"})
    assert paths(house, "?q=seaside") == [path]
    assert house.client.post("/gallery/scan", json={"anew": True}).get_json()["total"] == 1
    assert paths(house, "?q=seaside") == [path]
    house.client.patch(f"/queue/{job_id}", json={"title": ""})
    assert paths(house, "?q=seaside") == []


def test_a_restart_knows_everything(make_house: Any) -> None:
    first = make_house().start()
    draw(first)
    chosen = ids(first)[0]
    first.client.patch(f"/gallery/{chosen}", json={"starred": True})
    first.close()
    again = House(first.config)
    try:
        assert ids(again, "?starred=true") == [chosen]
    finally:
        again.close()
