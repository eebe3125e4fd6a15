from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from sdcpp_rest.services.pictures import thumbnails
from tests.cases import for_each_case


def folder_of(house: Any) -> Path:
    return Path(house.config.paths.output_dir)


def test_a_picture_has_a_small_jpeg(client: FlaskClient, house: Any) -> None:
    path = house.finished(house.submit())["outputs"][0]
    answer = client.get(f"/thumb/{path}")
    assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(answer.data)).size == (120, 120)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (folder_of(house) / path).parent.joinpath(".thumbs").is_dir()


def test_who_has_it_already_gets_it_only_when_the_file_was_replaced(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder_of(house) / "a.bmp"
    Image.new("RGB", (200, 200), "red").save(path)
    first = house.client.get("/thumb/a.bmp")
    assert first.headers["Cache-Control"] == "private, no-cache"
    known = {"If-None-Match": first.headers["ETag"]}
    with monkeypatch.context() as patched:
        patched.setattr(thumbnails.Image, "open", None)
        again = house.client.get("/thumb/a.bmp", headers=known)
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    Image.new("RGB", (200, 200), "blue").save(path)
    os.utime(path, (1000, 1000))
    replaced = house.client.get("/thumb/a.bmp", headers=known)
    assert replaced.status_code == 200
    assert replaced.data != first.data


@pytest.mark.parametrize("name", ["broken.png", "broken.mp4", "broken.webm"])
def test_what_cannot_be_drawn_is_an_svg_that_nobody_keeps_for_long(house: Any, name: str) -> None:
    (folder_of(house) / name).write_bytes(b"nothing that can be decoded")
    answer = house.client.get(f"/thumb/{name}")
    assert (answer.status_code, answer.mimetype) == (200, "image/svg+xml")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "ETag" not in answer.headers
    assert "max-age=60" in answer.headers["Cache-Control"]
    # An SVG may run scripts and load things.
    assert b"<script" not in answer.data
    assert b"href" not in answer.data


@for_each_case(
    "path",
    ["..", "../data/a.png", "%2e%2e/a.png", "a/../../a.png", "..%5ca.png", "a%00.png", "C:%5ca.png", "."],
)
def test_a_path_that_tries_to_leave_is_refused(shared_client: FlaskClient, path: str) -> None:
    answer = shared_client.get(f"/thumb/{path}")
    assert (answer.status_code, answer.is_json) == (400, True)


@for_each_case("path", ["nothing.png", "nothing.txt", "a/b.mp4", ".spool/x.png", ".thumbs/a.png.jpg", "x" * 5000])
def test_what_is_not_there_or_hidden_is_not_found(shared_client: FlaskClient, path: str) -> None:
    answer = shared_client.get(f"/thumb/{path}")
    assert (answer.status_code, answer.get_json()["code"]) == (404, "output_not_found")


@for_each_case("name", ["config.json", "page.svg", "a.avif", "no_ending", "folder.png"])
def test_what_is_no_picture_is_refused_by_what_is_one(house: Any, name: str) -> None:
    path = folder_of(house) / name
    if name.startswith("folder"):
        path.mkdir()
    else:
        path.write_bytes(b"x")
    answer = house.client.get(f"/thumb/{name}")
    assert (answer.status_code, answer.get_json()["field"]) == (400, "path")
    assert {".png", ".mkv"} <= set(answer.get_json()["allowed"])


def test_a_link_that_leads_out_is_refused(house: Any, tmp_path: Path) -> None:
    Image.new("RGB", (200, 200)).save(tmp_path / "secret.png")
    (folder_of(house) / "link.png").symlink_to(tmp_path / "secret.png")
    assert house.client.get("/thumb/link.png").status_code == 400
    assert not (tmp_path / ".thumbs").exists()


def test_thumbnails_are_drawn_on_threads_of_their_own(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While every one of those is busy, files and short answers come as ever."""
    import threading
    from concurrent.futures import ThreadPoolExecutor

    path = served.house.finished(served.house.submit())["outputs"][0]
    busy, gate = threading.Semaphore(0), threading.Event()
    read_kept = thumbnails._read_kept

    def held(kept: Path, stamp: str) -> bytes | None:
        busy.release()
        gate.wait(20)
        return read_kept(kept, stamp)

    monkeypatch.setattr(thumbnails, "_read_kept", held)
    with ThreadPoolExecutor(40) as clients:
        answers = [clients.submit(served.get, f"/thumb/{path}") for _ in range(40)]
        try:
            assert busy.acquire(timeout=20)
            assert served.get(f"/output/{path}").status_code == 200
            assert served.get("/health").status_code == 200
        finally:
            gate.set()
        assert {answer.result(20).status_code for answer in answers} == {200}


def test_larger_ones_are_webp_for_who_accepts_it_by_name(house: Any) -> None:
    Image.new("RGB", (800, 400), "red").save(folder_of(house) / "a.png")
    url = "/thumb/a.png?size=512&fit=inside"
    browser = house.client.get(url, headers={"Accept": "image/avif,image/webp,*/*;q=0.8"})
    assert (browser.mimetype, browser.headers["Vary"]) == ("image/webp", "Accept")
    assert Image.open(io.BytesIO(browser.data)).size == (512, 256)
    program = house.client.get(url, headers={"Accept": "*/*"})
    assert (program.mimetype, program.headers["Vary"]) == ("image/jpeg", "Accept")
    assert program.headers["ETag"] != browser.headers["ETag"]
    known = {"If-None-Match": browser.headers["ETag"], "Accept": "image/webp"}
    assert house.client.get(url, headers=known).status_code == 304
    refused = house.client.get(url, headers={"Accept": "image/webp;q=0, */*"})
    assert refused.mimetype == "image/jpeg"
    plain = house.client.get("/thumb/a.png", headers={"Accept": "image/webp"})
    assert (plain.mimetype, "Vary" in plain.headers) == ("image/jpeg", False), "the usual one is what it was"


def test_what_is_asked_for_by_its_version_may_be_kept_for_ever(house: Any) -> None:
    Image.new("RGB", (200, 200), "red").save(folder_of(house) / "a.png")
    (entry,) = house.client.get("/output", headers={"Accept": "application/json"}).get_json()["entries"]
    for url in ("/thumb/a.png?v=", "/thumb/a.png?size=256&v=", "/output/a.png?v="):
        kept = house.client.get(url + entry["version"], buffered=True)
        assert kept.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        older = house.client.get(f"{url}1-2", buffered=True)
        assert (older.status_code, "no-cache" in older.headers["Cache-Control"]) == (200, True)
    house.client.get("/thumb/a.png?size=256")
    house.client.delete("/output/a.png")
    assert list((folder_of(house) / ".thumbs").iterdir()) == []


@for_each_case("query", ["size=100", "size=", "size=120x", "fit=stretch", "size=99999999999999999999"])
def test_other_sizes_are_refused_by_name(shared_client: FlaskClient, query: str) -> None:
    answer = shared_client.get(f"/thumb/x.png?{query}")
    if query == "size=":
        assert answer.status_code == 404, "an empty parameter is none"
        return
    assert answer.status_code == 400
    assert "must be one of" in answer.get_json()["error"]
