from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse


def get(client: FlaskClient, url: str, method: str = "GET", **more: Any) -> TestResponse:
    """The whole answer, with the file behind it closed again."""
    return client.open(url, method=method, buffered=True, **more)


@pytest.fixture
def picture(house: Any) -> str:
    """The URL of a finished picture."""
    return "/output/" + str(house.finished(house.submit())["outputs"][0])


def folder_of(house: Any) -> Path:
    return Path(house.config.paths.output_dir)


def test_a_picture_is_served_with_what_caches_need(client: FlaskClient, picture: str) -> None:
    answer = get(client, picture)
    assert (answer.status_code, answer.mimetype) == (200, "image/png")
    assert answer.data.startswith(b"\x89PNG")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    again = get(client, picture, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_a_part_of_a_file_can_be_asked_for(client: FlaskClient, picture: str) -> None:
    part = get(client, picture, headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.data) == (206, b"PNG")
    nothing = get(client, picture, headers={"Range": "bytes=99999999-"})
    assert nothing.status_code == 416
    assert nothing.is_json
    assert nothing.headers["Content-Range"].startswith("bytes */")


def test_head_has_the_length_and_no_body(client: FlaskClient, picture: str) -> None:
    answer = get(client, picture, "HEAD")
    assert (answer.status_code, answer.data) == (200, b"")
    assert int(answer.headers["Content-Length"]) == len(get(client, picture).data)


def test_the_record_of_a_job_is_served_as_json(client: FlaskClient, picture: str) -> None:
    record = get(client, picture.rpartition("/")[0] + "/config.json")
    assert (record.status_code, record.mimetype) == (200, "application/json")
    assert record.get_json()["outputs"]


@pytest.mark.parametrize("name", ["page.html", "picture.svg", "page.xhtml", "code.js"])
def test_what_a_browser_would_run_is_offered_for_saving(house: Any, name: str) -> None:
    (folder_of(house) / name).write_text("<script>alert(1)</script>")
    answer = get(house.client, f"/output/{name}")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_folders_are_listed_with_escaped_links(house: Any, picture: str) -> None:
    odd = folder_of(house) / "<b>&\"' ?#.png"
    odd.write_bytes(b"x")
    page = get(house.client, "/output")
    assert page.mimetype == "text/html"
    assert "<b>" not in page.text
    assert "%3Cb%3E%26%22%27%20%3F%23.png" in page.text
    assert get(house.client, "/output/%3Cb%3E%26%22%27%20%3F%23.png").data == b"x"
    folder = get(house.client, picture.rpartition("/")[0] + "/")
    assert "image_0.png" in folder.text
    assert picture in folder.text


@pytest.fixture
def gallery(house: Any) -> Any:
    """A client, and in its output folder three files and two folders whose names, sizes and dates disagree."""
    folder = folder_of(house)
    for name, size, date in (("b.png", 1, 3000), ("C.png", 30, 1000), ("a.png", 200, 2000)):
        (folder / name).write_bytes(b"x" * size)
        os.utime(folder / name, (date, date))
    for name, date in (("z", 100), ("y", 200)):
        (folder / name).mkdir()
        os.utime(folder / name, (date, date))
    return house.client


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["y", "z", "a.png", "b.png", "C.png"]),
        ("?sort=name&order=desc", ["z", "y", "C.png", "b.png", "a.png"]),
        ("?sort=size", ["y", "z", "b.png", "C.png", "a.png"]),
        ("?sort=size&order=desc", ["z", "y", "a.png", "C.png", "b.png"]),
        ("?sort=date", ["z", "y", "C.png", "a.png", "b.png"]),
        ("?sort=date&order=desc", ["y", "z", "b.png", "a.png", "C.png"]),
        ("?sort=&order=&other=1", ["y", "z", "a.png", "b.png", "C.png"]),
    ],
)
def test_a_listing_is_whole_and_sorted_with_folders_first(gallery: FlaskClient, query: str, names: list[str]) -> None:
    page = get(gallery, f"/output{query}").text
    assert re.findall(r'<tr><td><a href="/output/([^"]*)">', page) == names
    assert "2 folders, 3 files, 231 bytes" in page


@pytest.mark.parametrize("query", ["sort=colour", "order=up", "sort=name,size"])
def test_a_listing_in_an_unknown_order_is_refused_by_name(gallery: FlaskClient, query: str) -> None:
    answer = get(gallery, f"/output?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.get_json()["error"]


def test_titles_sort_and_turn_the_order_round(gallery: FlaskClient) -> None:
    page = get(gallery, "/output?sort=size").text
    assert 'href="?sort=size&amp;order=desc"' in page
    assert 'href="?sort=date&amp;order=asc"' in page


def test_a_listing_shows_the_way_back(house: Any) -> None:
    (folder_of(house) / "a b" / "c&d").mkdir(parents=True)
    page = get(house.client, "/output/a%20b/c%26d/").text
    assert '<a href="/output">output</a> / <a href="/output/a%20b">a b</a>' in page
    assert '<a href="/output/a%20b/c%26d">c&amp;d</a>' in page


def test_a_listing_needs_nothing_from_elsewhere_and_runs_nothing(gallery: FlaskClient) -> None:
    answer = get(gallery, "/output")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "script" not in answer.text
    assert "http://" not in answer.text


def test_a_name_that_is_no_text_is_listed_too(house: Any) -> None:
    (folder_of(house) / os.fsdecode(b"odd\xff.png")).write_bytes(b"x")
    page = get(house.client, "/output")
    assert page.status_code == 200
    assert "odd%FF.png" in page.text


def test_a_folder_that_goes_away_while_it_is_read_is_not_found(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder_of(house) / "job").mkdir()

    def gone(path: Path) -> Any:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "iterdir", gone)
    assert get(house.client, "/output/job").status_code == 404


def test_hidden_folders_are_neither_listed_nor_served(house: Any) -> None:
    secret = folder_of(house) / ".spool" / "x"
    secret.mkdir(parents=True)
    (secret / "raw").write_bytes(b"x")
    assert ".spool" not in get(house.client, "/output").text
    assert get(house.client, "/output/.spool/x/raw").status_code == 404
    assert get(house.client, "/output/.spool").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "../data/sdcpp_rest.db", "..", "%2e%2e/data/sdcpp_rest.db", "%2e%2e%2fdata%2fsdcpp_rest.db", "a/../../data",
        "..%5cdata%5csdcpp_rest.db", "..\\data", "a/..%5c..%5cdata", "%00", "a%00.png", "C:%5cWindows", "C:/Windows",
        ".%2e/x", "x/%2e%2e/%2e%2e/data",
    ],
)  # fmt: skip
def test_a_path_that_tries_to_leave_is_refused(client: FlaskClient, path: str) -> None:
    answer = get(client, f"/output/{path}")
    assert (answer.status_code, answer.get_json()["error"]) == (400, "Invalid path")


@pytest.mark.parametrize(
    "path",
    ["nothing.png", "nothing/at/all", "//etc/passwd", "%2Fetc%2Fpasswd", "x" * 5000, "%252e%252e/x", "~root", "%FF"],
)
def test_a_path_that_is_not_there_is_not_found_in_json(client: FlaskClient, path: str) -> None:
    answer = get(client, f"/output/{path}")
    assert answer.status_code in (400, 404)
    assert answer.is_json
    assert "root:" not in answer.text


def test_a_link_that_leads_out_is_refused(house: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (folder_of(house) / "link.txt").symlink_to(tmp_path / "secret.txt")
    answer = get(house.client, "/output/link.txt")
    assert answer.status_code == 400
    assert "secret" not in answer.text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_the_folder_is_not_opened(house: Any) -> None:
    """Opening it would wait for a writer, and hold its thread, for ever."""
    os.mkfifo(folder_of(house) / "pipe.png")
    assert get(house.client, "/output/pipe.png").status_code == 404
