"""The web page below /ui: which file is sent, how long it may be kept, and that nothing else is to be had."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.cases import for_each_case
from tests.routes.conftest import House, ServedHouse, make_config

INDEX = (
    b"<!doctype html><title>./page</title><link href=\"./icon.svg\"><script src='./assets/app-1a2b.js'></script>"
    b"<a href='https://example.org/./x'></a>"
)
SCRIPT = b"console.log('hello')" * 50
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a build makes it, with things around it and in it that nobody may have."""
    around = tmp_path_factory.mktemp("around")
    folder = around / "dist"
    (folder / "assets").mkdir(parents=True)
    (around / "secret.txt").write_text("secret")
    (around / "dist-secret").mkdir()
    (around / "dist-secret" / "x.js").write_text("secret")
    for name, content in (
        ("index.html", INDEX),
        ("assets/app-1a2b.js", SCRIPT),
        ("assets/app-1a2b.js.gz", gzip.compress(SCRIPT)),
        ("assets/app-1a2b.js.br", b"as brotli makes it"),
        ("assets/app-3c4d.css", b"a{}"),
        ("manifest.webmanifest", b"{}"),
        ("icon.svg", b"<svg/>"),
        (".env", b"secret"),
        ("assets/new.js", b"1"),
    ):
        (folder / name).write_bytes(content)
    (folder / "outside.txt").symlink_to(around / "secret.txt")
    (folder / "round.js").symlink_to(folder / "round.js")
    (folder / "assets" / "new.js.br").symlink_to(around / "secret.txt")
    return folder


@pytest.fixture(scope="module")
def client(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    house = House(with_page(tmp_path_factory.mktemp("house"), build))
    yield house.client
    house.close()


def get(client: FlaskClient, path: str, **more: Any) -> TestResponse:
    """The answer, with its file closed."""
    return client.get(path, buffered=True, **more)


def with_page(folder: Path, build: Path, **sections: Any) -> Any:
    config = make_config(folder, **sections)
    return config.model_copy(update={"paths": config.paths.model_copy(update={"webui_dir": build})})


@for_each_case("path", ["/ui/", "/ui/gallery", "/ui/index.html", "/ui/assets"])
def test_the_page_itself_is_asked_for_again_each_time(client: FlaskClient, path: str) -> None:
    answer = get(client, path)
    assert (answer.status_code, answer.data, answer.content_type) == (200, INDEX, "text/html; charset=utf-8")
    assert answer.headers["Cache-Control"] == "no-cache"
    again = get(client, path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@for_each_case(
    "path, folder",
    [
        ("/ui/gallery/5", "../../ui/"),
        ("/ui/gallery/", "../../ui/"),
        ("/ui/gallery/2026/11", "../../../ui/"),
        ("/ui/a//b", "../../../ui/"),
    ],
)
def test_the_page_at_a_place_further_down_leads_back_up_to_its_files(
    client: FlaskClient, path: str, folder: str
) -> None:
    answer = get(client, path, headers={"Accept-Encoding": "br, gzip"})
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert answer.data == INDEX.replace(b'"./', b'"' + folder.encode()).replace(b"'./", b"'" + folder.encode())
    assert (answer.headers["Cache-Control"], answer.headers["Vary"]) == ("no-cache", "Accept-Encoding")
    assert "Content-Encoding" not in answer.headers
    assert "Content-Security-Policy" in answer.headers
    tag = answer.headers["ETag"]
    assert tag != get(client, "/ui/").headers["ETag"], "other bytes, another name"
    again = get(client, path, headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    assert client.head(path, buffered=True).headers["Content-Length"] == str(len(answer.data))


def test_every_file_says_what_a_browser_may_do_with_it(client: FlaskClient) -> None:
    for path in ("/ui/", "/ui/assets/app-1a2b.js", "/ui/icon.svg"):
        headers = get(client, path).headers
        assert headers["Content-Security-Policy"] == (
            "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self'; "
            "connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'"
        )
        assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")


def test_hashed_files_may_be_kept_for_ever(client: FlaskClient) -> None:
    answer = get(client, "/ui/assets/app-1a2b.js")
    assert (answer.data, answer.content_type) == (SCRIPT, "text/javascript; charset=utf-8")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    head = client.head("/ui/assets/app-1a2b.js", buffered=True)
    assert (head.data, head.headers["Content-Length"]) == (b"", str(len(SCRIPT)))
    assert get(client, "/ui/manifest.webmanifest").headers["Cache-Control"] == "no-cache"


@for_each_case(
    "accepted, coding",
    [
        ("br, gzip", "br"),
        ("gzip, deflate, br;q=0.5", "gzip"),
        ("gzip", "gzip"),
        ("*", "br"),
        ("br;q=0, gzip;q=0", None),
        ("", None),
        ("nonsense;;;", None),
    ],
)
def test_the_packed_neighbour_is_sent_to_who_takes_it(client: FlaskClient, accepted: str, coding: str | None) -> None:
    answer = get(client, "/ui/assets/app-1a2b.js", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == coding
    assert answer.content_type == "text/javascript; charset=utf-8"
    assert answer.headers["Vary"] == "Accept-Encoding"
    plain = get(client, "/ui/assets/app-1a2b.js").headers["ETag"]
    assert (answer.headers["ETag"] == plain) == (coding is None), "other bytes, another name"


def test_a_file_without_packed_neighbours_is_sent_as_it_is(client: FlaskClient) -> None:
    for path in ("/ui/assets/app-3c4d.css", "/ui/assets/new.js"):
        answer = get(client, path, headers={"Accept-Encoding": "br, gzip"})
        assert (answer.status_code, answer.headers.get("Content-Encoding")) == (200, None)
        assert answer.headers["Vary"] == "Accept-Encoding"


@for_each_case(
    "path",
    [
        "/ui/missing.js", "/ui/assets/missing.js", "/ui/../secret.txt", "/ui/..%2fsecret.txt", "/ui/%2e%2e/secret.txt",
        "/ui/assets/..%2f..%2fsecret.txt", "/ui/..%5csecret.txt", "/ui//etc/hostname.txt", "/ui/outside.txt",
        "/ui/.env", "/ui/%00.js", "/ui/round.js", "/ui/../dist-secret/x.js", "/ui/" + "x" * 300 + ".js", "/ui/C:/x.js",
    ],
)  # fmt: skip
def test_nothing_else_is_to_be_had(client: FlaskClient, path: str) -> None:
    answer = get(client, path)
    assert answer.status_code == 404, path
    assert b"secret" not in answer.data


def test_odd_places_are_the_pages_business_and_leave_its_folder_alone(client: FlaskClient) -> None:
    for path in ("/ui/a//b", "/ui/" + "x" * 300, "/ui/job%3A1", "/ui/gallery/%22%3E%3Cscript%3E"):
        answer = get(client, path)
        assert (answer.status_code, answer.mimetype) == (200, "text/html"), path
        assert b"./assets/app-1a2b.js" in answer.data or b"/ui/assets/app-1a2b.js" in answer.data
        assert b"<script>" not in answer.data


def test_the_bare_path_leads_to_the_page(client: FlaskClient) -> None:
    answer = get(client, "/ui?x=1")
    assert (answer.status_code, answer.headers["Location"]) == (307, "/ui/?x=1")


def test_browsers_at_the_root_are_sent_to_the_page_and_programs_are_not(client: FlaskClient) -> None:
    answer = get(client, "/", headers=BROWSER)
    assert (answer.status_code, answer.headers["Location"], answer.headers["Vary"]) == (302, "/ui/", "Accept")
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        assert get(client, "/", headers=accept).get_json()["name"] == "sdcpp-rest"


def test_with_keys_the_page_opens_and_nothing_else_does(
    build: Path, tmp_path: Path, make_served_of: Callable[[House], ServedHouse]
) -> None:
    served = make_served_of(House(with_page(tmp_path, build, auth={"api_keys": ["key"]})))
    for path in ("/ui/", "/ui/gallery", "/ui/assets/app-1a2b.js"):
        assert served.get(path).status_code == 200, path
        assert served.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 200
    assert served.get("/", headers=BROWSER).url.endswith("/ui/")
    below = {**BROWSER, "X-Forwarded-Prefix": "/sd"}
    assert served.get("/", headers=below, allow_redirects=False).headers["Location"] == "/sd/ui/"
    assert served.get("/ui", headers=below, allow_redirects=False).headers["Location"] == "/sd/ui/"
    assert served.get("/sd/ui/assets/app-3c4d.css", headers=below).text == "a{}"
    # As deep as the browser sees it: a slash that is part of a name is none of the address, a proxy's path is above.
    for path, more in (("/ui/models/a%2Fb", {}), ("/sd/ui/models/a%2Fb", below), ("/ui/models/ab", below)):
        assert "src='../../ui/assets/" in served.get(path, headers=more).text, path
    for path in ("/", "/queue", "/docs", "/output"):
        assert served.get(path).status_code == 401, path
    assert served.get("/queue", headers=BROWSER).status_code == 401
    assert served.post("/ui/x").status_code == 401


@pytest.fixture
def make_served_of() -> Iterator[Callable[[House], ServedHouse]]:
    started: list[ServedHouse] = []

    def make(house: House) -> ServedHouse:
        started.append(ServedHouse(house))
        return started[-1].start()

    yield make
    for served in started:
        served.stop()
        served.house.close()


def test_without_a_build_one_sentence_says_so_and_the_root_is_as_ever(tmp_path: Path) -> None:
    house = House(with_page(tmp_path, tmp_path / "nothing"))
    try:
        for path in ("/ui", "/ui/", "/ui/gallery", "/ui/assets/x.js"):
            answer = get(house.client, path)
            assert (answer.status_code, answer.get_json()["code"]) == (501, "not_supported")
            assert "web page is not part of this installation" in answer.get_json()["error"]
            shown = get(house.client, path, headers=BROWSER)
            assert (shown.status_code, shown.mimetype) == (501, "text/html")
            assert len(re.findall(r"<p>", shown.text)) == 1
        assert "<h1>sdcpp-rest" in get(house.client, "/", headers=BROWSER).text
    finally:
        house.close()
