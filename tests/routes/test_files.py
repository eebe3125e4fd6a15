from __future__ import annotations

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
