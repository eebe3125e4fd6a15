from __future__ import annotations

import base64
import hashlib
import os
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.routes.native.files.file_browser import human_size
from tests.cases import for_each_case

JSON = {"Accept": "application/json"}


def folder_of(house: Any) -> Path:
    return Path(house.config.paths.output_dir)


def names_in(page: str) -> list[str]:
    """What the rows of a page link to, below /output/."""
    return [unquote(unescape(url)) for url in re.findall(r'<tr><td><a href="(?:\.\./)*output/([^"]*)"', page)]


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


@for_each_case(
    ("query", "names"),
    [
        ("?sort=name", ["y", "z", "a.png", "b.png", "C.png"]),
        ("?sort=name&order=desc", ["z", "y", "C.png", "b.png", "a.png"]),
        ("?sort=size", ["y", "z", "b.png", "C.png", "a.png"]),
        ("?sort=size&order=desc", ["z", "y", "a.png", "C.png", "b.png"]),
        ("?sort=date", ["z", "y", "C.png", "a.png", "b.png"]),
        ("?sort=date&order=desc", ["y", "z", "b.png", "a.png", "C.png"]),
    ],
)
def test_a_listing_is_whole_and_sorted_with_folders_first(gallery: FlaskClient, query: str, names: list[str]) -> None:
    page = gallery.get(f"/output{query}").text
    assert names_in(page) == names
    assert "2 folders, and 3 files of 231 bytes beside them" in page
    listing = gallery.get(f"/output{query}", headers=JSON).get_json()
    assert [entry["name"] for entry in listing["entries"]] == names


@for_each_case("query", ["", "?sort=&order=&other=1", "?limit=100"])
def test_the_page_begins_with_the_newest_and_json_with_the_first_name(gallery: FlaskClient, query: str) -> None:
    page = gallery.get(f"/output{query}").text
    assert names_in(page) == ["y", "z", "b.png", "a.png", "C.png"]
    assert re.findall(r'aria-sort="(\w+)"[^/]*>Modified', page) == ["descending"]
    assert page.count("<h1") == 1
    listing = gallery.get(f"/output{query}", headers=JSON).get_json()
    assert (listing["sort"], listing["order"]) == ("name", "asc")
    assert [entry["name"] for entry in listing["entries"]] == ["y", "z", "a.png", "b.png", "C.png"]


def test_the_total_says_nothing_of_what_is_in_folders(gallery: FlaskClient, house: Any) -> None:
    (folder_of(house) / "y" / "x.txt").write_bytes(b"x")
    assert '<p class="totals">1 file of 1 byte</p>' in gallery.get("/output/y").text
    for name in ("a.png", "b.png", "C.png"):
        (folder_of(house) / name).unlink()
    assert '<p class="totals">2 folders</p>' in gallery.get("/output").text


@for_each_case(
    "query", ["sort=colour", "order=up", "sort=name,size", "page=0", "page=x", "limit=0", "limit=1001", "limit=1.5"]
)
def test_a_listing_in_an_unknown_order_is_refused_by_name(gallery: FlaskClient, query: str) -> None:
    answer = gallery.get(f"/output?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.get_json()["error"]


def test_titles_sort_turn_the_order_round_and_say_so(gallery: FlaskClient) -> None:
    page = gallery.get("/output?sort=size&limit=4&page=2").text
    assert 'href="?sort=size&amp;order=desc&amp;limit=4"' in page
    assert 'href="?sort=date&amp;order=asc&amp;limit=4"' in page
    assert re.findall(r'aria-sort="(\w+)"[^/]*>Size', page) == ["ascending"]
    assert page.count("aria-sort") == 1
    assert 'aria-sort="descending"' in gallery.get("/output?order=desc").text


def test_rows_have_thumbnails_icons_sizes_and_dates(house: Any) -> None:
    folder = folder_of(house) / "job"
    folder.mkdir()
    for name in ("a.png", "b.mp4", "c.avif", "d.json", "e.zip"):
        (folder / name).write_bytes(b"x" * 1500)
        os.utime(folder / name, (0, 0))
    page = house.client.get("/output/job").text
    rows = page.split("<tr>")[2:]
    assert ['<img src="../thumb/job/a.png" alt=""' in rows[0], "../thumb/job/b.mp4" in rows[1]] == [True, True]
    assert page.count("/thumb/") == 2
    assert page.count('loading="lazy"') == 2
    assert [re.findall(r"#i-(\w+)", row) for row in rows] == [[], ["video"], ["image"], ["text"], ["file"]]
    assert [re.findall(r'data-shows="(\w+)"', row) for row in rows] == [["image"], ["video"], ["image"], [], []]
    assert all(
        "1.5 kB" in row and '<time datetime="1970-01-01T00:00:00.000Z">1970-01-01 00:00:00<' in row for row in rows
    )
    root = house.client.get("/output").text
    assert 'src="thumb/job/a.png"' in root, "a folder is shown by its first picture"
    assert "#i-folder" in root


def test_the_folder_of_a_job_is_called_by_its_prompt(house: Any) -> None:
    job_id = house.finished(house.submit(prompt="a <b>cat</b> & " + "a dog " * 100))["job_id"]
    page = house.client.get("/output").text
    assert '<span class="title">a &lt;b&gt;cat&lt;/b&gt; &amp; a dog' in page
    entry = house.client.get("/output", headers=JSON).get_json()["entries"][0]
    assert (entry["name"], entry["title"][:16], len(entry["title"])) == (job_id, "a <b>cat</b> & a", 200)


def test_names_are_escaped_wherever_they_stand(house: Any) -> None:
    for name in ("<img src=x onerror=alert(1)>.png", "\"><script>alert(1)</script>.mp4".replace("/", "\u2215"),
                 "'&amp; {{ 7*7 }} ?#%.txt"):  # fmt: skip
        (folder_of(house) / name).write_bytes(b"x")
    odd = folder_of(house) / "<b>&\"' ?#"
    odd.mkdir()
    (odd / "x.png").write_bytes(b"x")
    for url in ("/output", "/output/%3Cb%3E%26%22%27%20%3F%23"):
        page = house.client.get(url).text
        assert page.count("<script") == 1
        assert page.count("onerror=alert(1)&gt;") + page.count("onerror=alert(1)>") == (1 if url == "/output" else 0)
        assert "<img src=x" not in page
        assert "<b>" not in page
        assert "49" not in re.sub(r"\d{4}-\d\d-\d\dT?.{0,14}", "", page.split("<tbody>")[1].split("</tbody>")[0])
    assert house.client.get("/output/%3Cb%3E%26%22%27%20%3F%23/x.png", buffered=True).data == b"x"
    assert "%3Cb%3E%26%22%27%20%3F%23/x.png" in page


def test_a_listing_shows_the_way_back(house: Any) -> None:
    (folder_of(house) / "a b" / "c&d").mkdir(parents=True)
    page = house.client.get("/output/a%20b/c%26d/").text
    assert '<a href="../../../output">output</a>' in page
    assert '<a href="../../../output/a%20b">a b</a>' in page
    assert '<a href="../../../output/a%20b/c%26d" aria-current="page">c&amp;d</a>' in page
    assert "Nothing is here." in page


def test_a_page_runs_its_own_script_and_loads_nothing_from_elsewhere(gallery: FlaskClient) -> None:
    answer = gallery.get("/output")
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    for tag in ("script", "style"):
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        assert len(found) == 1
        digest = base64.b64encode(hashlib.sha256(found[0].encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    # What the policy would not let through anyway.
    assert re.findall(r'\s(?:style|on\w+)="', answer.text) == []
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_name_that_is_no_text_is_listed_too(house: Any) -> None:
    (folder_of(house) / os.fsdecode(b"odd\xff.png")).write_bytes(b"x")
    page = house.client.get("/output")
    assert page.status_code == 200
    assert "odd%FF.png" in page.text
    entry = house.client.get("/output", headers=JSON).get_json()["entries"][0]
    assert (entry["name"], entry["url"]) == ("odd\ufffd.png", "/output/odd%FF.png")


def test_a_folder_that_goes_away_while_it_is_read_is_not_found(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder_of(house) / "job").mkdir()

    def gone(path: Path) -> Any:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "scandir", gone)
    assert house.client.get("/output/job").status_code == 404


def test_nothing_hidden_is_listed(house: Any) -> None:
    job_id = house.finished(house.submit())["job_id"]
    assert house.client.get(f"/thumb/{job_id}/image_0.png").status_code == 200
    assert (folder_of(house) / job_id / ".thumbs").is_dir()
    (folder_of(house) / ".bin").mkdir(exist_ok=True)
    for url in ("/output", f"/output/{job_id}"):
        names = names_in(house.client.get(url).text)
        assert names
        assert not any("/." in f"/{name}" for name in names)
    listing = house.client.get(f"/output/{job_id}", headers=JSON).get_json()
    assert [entry["name"] for entry in listing["entries"]] == ["config.json", "image_0.png"]


# --- JSON -----------------------------------------------------------------------------------------------------------


def test_programs_get_json_when_they_prefer_it(gallery: FlaskClient) -> None:
    answer = gallery.get("/output?sort=size&order=desc&limit=3", headers=JSON)
    assert (answer.mimetype, answer.headers["Vary"]) == ("application/json", "Accept")
    listing = answer.get_json()
    entries = listing.pop("entries")
    assert listing == {
        "path": "", "sort": "size", "order": "desc", "page": 1, "pages": 2, "limit": 3,
        "folder_count": 2, "file_count": 3, "total_bytes": 231,
    }  # fmt: skip
    assert entries[0] == {"name": "z", "kind": "folder", "url": "/output/z", "modified_at": "1970-01-01T00:01:40.000Z"}
    assert entries[2] == {
        "name": "a.png", "kind": "image", "url": "/output/a.png", "size_bytes": 200,
        "modified_at": "1970-01-01T00:33:20.000Z", "thumb_url": "/thumb/a.png",
        "version": f"c8-{2_000 * 10**9:x}",
    }  # fmt: skip
    assert gallery.get("/output/y", headers=JSON).get_json()["path"] == "y"


@for_each_case(
    ("accept", "mimetype"),
    [
        (None, "text/html"), ("*/*", "text/html"), ("", "text/html"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"), ("text/html, application/json", "text/html"),
        ("application/json;q=0.1, */*", "text/html"), ("application/json, text/plain, */*", "application/json"),
        ("application/json", "application/json"),
        ("application/json, */*;q=0.5", "application/json"), ("text/html;q=0.5, application/json", "application/json"),
        ("image/png", "text/html"),
    ],
)  # fmt: skip
def test_everybody_else_gets_the_page(shared_client: FlaskClient, accept: str | None, mimetype: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    assert shared_client.get("/output", headers=headers).mimetype == mimetype


# --- many -----------------------------------------------------------------------------------------------------------


def test_a_large_folder_comes_in_parts(house: Any) -> None:
    folder = folder_of(house) / "many"
    folder.mkdir()
    for k in range(501):
        (folder / f"{k:04}.txt").write_bytes(b"x")
    first, second = (house.client.get(f"/output/many?page={page}&sort=name").text for page in (1, 2))
    assert (len(names_in(first)), names_in(second)) == (500, ["many/0500.txt"])
    assert "Page 1 of 2" in first
    assert '<a href="?sort=name&amp;order=asc&amp;page=2" rel="next">' in first
    assert 'rel="prev"' not in first
    assert '<a href="?sort=name&amp;order=asc" rel="prev">' in second
    assert "501 files" in second
    behind = house.client.get("/output/many?page=9")
    assert (behind.status_code, names_in(behind.text)) == (200, [])
    assert "Nothing is on this page." in behind.text
    assert house.client.get("/output/many?page=9", headers=JSON).get_json()["entries"] == []


@for_each_case(
    ("count", "words"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (1500, "1.5 kB"), (99_949, "99.9 kB"),
     (99_951, "100 kB"), (999_499, "999 kB"), (999_500, "1.0 MB"), (1_234_567_890, "1.2 GB"), (5 * 10**15, "5,000 TB")],
)  # fmt: skip
def test_sizes_are_told_in_words(count: int, words: str) -> None:
    assert human_size(count) == words
