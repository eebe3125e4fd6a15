from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.cases import for_each_case


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


def test_hidden_folders_are_neither_listed_nor_served(house: Any) -> None:
    secret = folder_of(house) / ".spool" / "x"
    secret.mkdir(parents=True)
    (secret / "raw").write_bytes(b"x")
    assert ".spool" not in get(house.client, "/output").text
    assert get(house.client, "/output/.spool/x/raw").status_code == 404
    assert get(house.client, "/output/.spool").status_code == 404


@for_each_case(
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


@for_each_case(
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


def test_a_link_that_leads_out_is_not_listed_either(house: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (folder_of(house) / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert "link.txt" not in get(house.client, "/output").text


@for_each_case(
    ("name", "content_type"),
    [("a.mp4", "video/mp4"), ("a.WEBM", "video/webm"), ("a.webp", "image/webp"), ("a.avif", "image/avif"),
     ("a.mkv", "video/x-matroska"), ("a.bmp", "image/bmp"), ("a.unheard", "application/octet-stream")],
)  # fmt: skip
def test_videos_and_pictures_have_their_types_and_can_be_sought_in(house: Any, name: str, content_type: str) -> None:
    (folder_of(house) / name).write_bytes(bytes(range(100)))
    whole = get(house.client, f"/output/{name}")
    assert (whole.mimetype, whole.headers["Accept-Ranges"]) == (content_type, "bytes")
    # What players send first, what they send when one jumps ahead, and for the end.
    for asked, told, body in (
        ("bytes=0-", "bytes 0-99/100", bytes(range(100))),
        ("bytes=40-49", "bytes 40-49/100", bytes(range(40, 50))),
        ("bytes=-10", "bytes 90-99/100", bytes(range(90, 100))),
    ):
        part = get(house.client, f"/output/{name}", headers={"Range": asked})
        assert (part.status_code, part.headers["Content-Range"], part.data) == (206, told, body)
        assert part.mimetype == content_type
    changed = get(house.client, f"/output/{name}", headers={"Range": "bytes=0-1", "If-Range": '"another"'})
    assert (changed.status_code, len(changed.data)) == (200, 100)


# --- removal --------------------------------------------------------------------------------------------------------


def test_a_file_can_be_removed(client: FlaskClient, picture: str) -> None:
    answer = client.delete(picture)
    assert (answer.status_code, answer.get_json()) == (200, {"success": True, "path": picture.removeprefix("/output/")})
    assert get(client, picture).status_code == 404
    assert client.delete(picture).status_code == 404
    assert get(client, picture.rpartition("/")[0] + "/config.json").status_code == 200


def test_the_folder_of_a_job_takes_the_job_with_it_and_both_come_back(client: FlaskClient, picture: str) -> None:
    folder = picture.rpartition("/")[0]
    job_url = "/queue" + folder.removeprefix("/output")
    assert client.delete(folder + "/").status_code == 200
    assert get(client, folder).status_code == 404
    assert client.get(job_url).status_code == 404
    assert client.post(job_url + "/restore").status_code == 200
    assert client.get(job_url).get_json()["status"] == "completed"
    assert get(client, picture).status_code == 200


def test_a_link_to_the_folder_of_a_job_is_removed_alone(house: Any, picture: str) -> None:
    job_id = picture.split("/")[2]
    (folder_of(house) / "link").symlink_to(folder_of(house) / job_id)
    assert house.client.delete("/output/link").status_code == 200
    assert get(house.client, picture).status_code == 200


@for_each_case(
    ("path", "status"),
    [(".", 400), ("./", 400), ("..", 400), ("%2e%2e/data", 400), ("a/../../data", 400), ("C:/Windows", 400),
     (".spool", 404), (".bin", 404), ("nothing.png", 404), ("%00", 400)],
)  # fmt: skip
def test_neither_the_root_nor_what_is_hidden_or_outside_is_removed(house: Any, path: str, status: int) -> None:
    answer = house.client.delete(f"/output/{path}")
    assert (answer.status_code, answer.is_json) == (status, True)
    assert folder_of(house).is_dir()
    assert (folder_of(house) / ".spool").is_dir()
    assert Path(house.config.paths.data_dir).is_dir()


def test_the_root_has_no_removal_at_all(client: FlaskClient) -> None:
    assert client.delete("/output").status_code == 405


def test_a_removal_that_the_disk_refuses_says_so(house: Any, picture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(relative: str) -> None:
        raise PermissionError(13, "Permission denied", "/somewhere/secret")

    monkeypatch.setattr(house.runtime.jobs.outputs, "remove", refuse)
    answer = house.client.delete(picture)
    assert (answer.status_code, answer.get_json()["error"]) == (409, "It cannot be removed: Permission denied")


def test_a_job_that_is_published_while_its_folder_is_removed_ends_well(house: Any) -> None:
    house.gate.clear()
    job_id = house.submit()
    assert house.running.wait(20)
    assert house.client.delete(f"/output/{job_id}").status_code == 404
    house.gate.set()
    assert house.finished(job_id)["status"] == "completed"
    assert house.client.delete(f"/output/{job_id}").status_code == 200
