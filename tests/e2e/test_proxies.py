"""The server behind a real nginx with the configuration that docs/deploy.md gives: links, WebSockets, bodies, keys."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.sync.client import connect

from tests.e2e.conftest import TIMEOUT, ServerProcess
from tests.raw_calls import RawCall

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(NGINX is None, reason="NGINX IS NOT INSTALLED: nothing was tried behind a proxy"),
]
NAME = "pictures.example.org"
KEY = {"Authorization": "Bearer sesame"}


def documented() -> tuple[str, str]:
    """The server and the map of docs/deploy.md."""
    page = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")
    server, map_ = re.findall(r"```nginx\n(.*?)```", page, re.DOTALL)
    return server, map_


def replaced(text: str, pattern: str, by: str) -> str:
    changed, count = re.subn(pattern, lambda _: by, text)
    assert count >= 1, pattern
    return changed


def locations(server: str, port: int) -> str:
    """The documented server on ``port`` before ``server``, with its location at / and copies of it below paths.

    TLS is left out: what nginx would say of it is said all the same.
    """
    text, _ = documented()
    text = replaced(text, r"listen 443 ssl;", f"listen 127.0.0.1:{port};")
    text = replaced(text, r"ssl_certificate.*;", "")
    text = replaced(text, r"\$scheme", "https")
    text = replaced(text, r"server_name .*;", "server_name _;")
    text = replaced(text, r"http://127\.0\.0\.1:8080", server)
    head, location = re.fullmatch(r"(.*?)( +location / \{.*?\n    \}\n)\}\n", text, re.DOTALL).groups()  # type: ignore[union-attr]
    below = replaced(location, r'X-Forwarded-Prefix "";', "X-Forwarded-Prefix /sd;")
    stripped = replaced(replaced(below, "location /", "location /sd/"), f"{server};", f"{server}/;")
    kept = replaced(
        replaced(below, "location /", "location /kept/"), "X-Forwarded-Prefix /sd;", "X-Forwarded-Prefix /kept;"
    )
    silent = f"    location /silent/ {{ proxy_pass {server}/; }}\n"
    return head + location + stripped + kept + silent + "}\n"


class Nginx:
    def __init__(self, folder: Path, server: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "error.log"
        temporary = "".join(
            f"{name}_temp_path {folder / name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off;\nmaster_process off;\npid {folder / 'nginx.pid'};\nerror_log {self.log} warn;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{documented()[1]}{locations(server, self.port)}}}\n"
        )
        assert NGINX is not None
        self.process = subprocess.Popen(
            [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(self.log)]
        )

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    def call(self, path: str, method: str = "GET", host: str = NAME, **more: Any) -> requests.Response:
        headers = {"Host": host, **more.pop("headers", {})}
        return requests.request(
            method, self.url + path, headers=headers, timeout=TIMEOUT, allow_redirects=False, **more
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(TIMEOUT)


def behind_nginx(folder: Path, *settings: str) -> Iterator[tuple[ServerProcess, Nginx]]:
    (folder / "nginx").mkdir()
    wanted = ("engine.runner=fake", f'server.allowed_hosts=["{NAME}"]', 'server.trusted_proxies=["127.0.0.1"]')
    server = ServerProcess(folder, *wanted, *settings).start()
    try:
        nginx = Nginx(folder / "nginx", server.url)
        try:
            server.until(nginx.answers, bool)
            server.until(
                lambda: requests.get(server.url + "/health", headers=KEY, timeout=TIMEOUT).json(),
                lambda health: health["model_loaded"],
            )
            yield server, nginx
        finally:
            nginx.stop()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, Nginx]]:
    """One server and one nginx for the whole module."""
    yield from behind_nginx(tmp_path_factory.mktemp("proxied"), "limits.body_bytes=3000000", "server.access_log=true")


def drawn(nginx: Nginx, below: str, **more: Any) -> str:
    """The link to a new picture, as OpenAI's clients get it."""
    body = {"prompt": "x", "size": "64x64", "response_format": "url"}
    answer = nginx.call(f"{below}/v1/images/generations", "POST", json=body, **more)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"][0]["url"])


def test_links_are_those_of_the_browser_at_the_root_and_below_paths(proxied: tuple[ServerProcess, Nginx]) -> None:
    _, nginx = proxied
    for below, host in (("", NAME), ("/sd", f"{NAME}:8443"), ("/kept", NAME)):
        url = drawn(nginx, below, host=host)
        assert url.startswith(f"https://{host}{below}/output/")
        picture = nginx.call(url.removeprefix(f"https://{host}"), host=host)
        assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/png")
        listing = nginx.call(f"{below}/output", host=host, headers={"Accept": "application/json"}).json()
        assert nginx.call(listing["entries"][0]["url"], host=host).status_code == 200
        assert listing["entries"][0]["url"].startswith(f"{below}/output/")
        servers = nginx.call(f"{below}/openapi.json", host=host).json()["servers"]
        assert servers == [{"url": below or "/"}]


def test_the_caller_is_who_called_the_proxy_whatever_it_says_itself(proxied: tuple[ServerProcess, Nginx]) -> None:
    server, nginx = proxied
    # Another address of this machine: one that is not trusted.
    caller = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=TIMEOUT, source_address=("127.0.0.2", 0))
    told = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Forwarded-Prefix": "/evil"}
    caller.request("GET", "/memory", headers={"Host": NAME, **told})
    assert caller.getresponse().status == 200
    caller.close()
    line = re.compile(r"GET /memory 200 \d+ ms (\S+)")
    server.until(lambda: line.search(server.log.read_text()), bool)
    assert line.findall(server.log.read_text()) == ["127.0.0.2"]


@pytest.mark.parametrize("below", ["", "/sd", "/kept", "/silent"])
def test_pages_lead_where_they_should_whatever_the_proxy_says(proxied: tuple[ServerProcess, Nginx], below: str) -> None:
    server, nginx = proxied
    job = server.wait(server.submit("x", steps=1, width=64, height=64))["job_id"]
    for page in ("/", "/docs", "/output", f"/output/{job}", f"/output/{job}/"):
        text = nginx.call(below + page, headers={"Accept": "text/html"}).text
        links = re.findall(r'(?:href|src)="([^"#?]+)"', text)
        assert links, page
        for link in links:
            url = requests.compat.urljoin(f"{nginx.url}{below}{page}", link)
            assert url.startswith(f"{nginx.url}{below}/"), (page, link)
            assert nginx.call(url.removeprefix(nginx.url)).status_code == 200, (page, link)


@pytest.mark.parametrize("below", ["", "/sd", "/kept", "/silent"])
def test_the_web_page_finds_its_files_from_any_place_in_it(proxied: tuple[ServerProcess, Nginx], below: str) -> None:
    server, nginx = proxied
    build = server.folder / "webui"
    build.mkdir()
    (build / "index.html").write_text('<link rel="icon" href="./icon.svg">')
    (build / "icon.svg").write_text("<svg/>")
    try:
        for place in ("", "gallery", "gallery/5", "gallery/", "a/b/c"):
            text = nginx.call(f"{below}/ui/{place}", headers={"Accept": "text/html"}).text
            links = re.findall(r'href="([^"]+)"', text)
            assert [requests.compat.urljoin(f"{nginx.url}{below}/ui/{place}", link) for link in links] == [
                f"{nginx.url}{below}/ui/icon.svg"
            ], place
        assert nginx.call(f"{below}/ui/icon.svg").text == "<svg/>"
    finally:
        shutil.rmtree(build)


@pytest.mark.parametrize("below", ["", "/sd", "/kept"])
def test_events_come_through(proxied: tuple[ServerProcess, Nginx], below: str) -> None:
    server, nginx = proxied
    origin = {"Origin": f"https://{NAME}"}
    with connect(f"ws://{NAME}{below}/ws", sock=socket.create_connection(("127.0.0.1", nginx.port)),
                 additional_headers=origin) as events:  # fmt: skip
        assert json.loads(events.recv(TIMEOUT))["event"] == "server_status"
        job = server.submit("x", steps=1, width=64, height=64)
        while True:
            message = json.loads(events.recv(TIMEOUT))
            if message["event"] == "job_status_changed" and message["data"]["status"] == "completed":
                break
        assert message["data"]["job_id"] == job


def test_the_servers_limit_of_bodies_is_the_one_that_counts(proxied: tuple[ServerProcess, Nginx]) -> None:
    _, nginx = proxied
    refused = nginx.call("/txt2img", "POST", data=b" " * 4_000_000)
    assert (refused.status_code, refused.json()["code"]) == (413, "payload_too_large")
    assert "limits.body_bytes" in refused.json()["error"]
    accepted = nginx.call("/txt2img", "POST", data=b'{"prompt": "x", "steps": 1}' + b" " * 2_000_000)
    assert accepted.status_code == 202, "nginx's own limit is 1 MiB"


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[tuple[ServerProcess, Nginx]]:
    yield from behind_nginx(tmp_path, 'auth.api_keys=["sesame"]')


def test_keys_and_signed_links_come_through(locked: tuple[ServerProcess, Nginx]) -> None:
    _, nginx = locked
    assert nginx.call("/sd/health").json() == {"status": "ok"}
    assert nginx.call("/sd/queue").status_code == 401
    url = drawn(nginx, "/sd", headers=KEY)
    assert url.startswith(f"https://{NAME}/sd/v1/images/files/")
    path = url.removeprefix(f"https://{NAME}")
    assert nginx.call(path).status_code == 200, "without a key"
    assert nginx.call(path.replace("image_0", "image_1")).status_code == 401


def test_a_name_that_is_not_listed_is_refused_and_the_log_says_how_to_allow_it(
    proxied: tuple[ServerProcess, Nginx],
) -> None:
    server, nginx = proxied
    refused = nginx.call("/health", host="rebound.example")
    assert (refused.status_code, refused.json()["setting"]) == (403, "server.allowed_hosts")
    assert "host 'rebound.example' is not allowed; add it to server.allowed_hosts" in server.log.read_text()


@pytest.mark.parametrize("below", ["", "/sd", "/silent"])
def test_who_hangs_up_on_the_proxy_and_asks_again_gets_what_was_begun(
    proxied: tuple[ServerProcess, Nginx], below: str
) -> None:
    server, nginx = proxied
    path, body = f"{below}/v1/images/generations", {"prompt": f"retry {below}", "size": "64x64"}
    server.post("/queue/pause")
    before = server.get("/queue")["total_count"]
    left = re.compile(r"POST /v1/images/generations left")
    count_before = len(left.findall(server.log.read_text()))
    with RawCall(nginx.port, path, body, headers={"Host": NAME}):
        server.until(lambda: server.get("/queue")["total_count"], lambda count: count == before + 1)
    server.until(lambda: len(left.findall(server.log.read_text())), lambda count: count == count_before + 1)
    server.post("/queue/resume")
    assert nginx.call(path, "POST", json=body).status_code == 200
    assert server.get("/queue")["total_count"] == before + 1


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[tuple[ServerProcess, Nginx]]:
    yield from behind_nginx(tmp_path, "queue.abandoned_grace_seconds=0.01", "server.blocking_keep_alive_seconds=0.05")


def test_who_hangs_up_on_the_proxy_leaves_no_job_behind(impatient: tuple[ServerProcess, Nginx]) -> None:
    server, nginx = impatient
    for below in ("", "/sd", "/silent"):
        with RawCall(nginx.port, f"{below}/sdapi/v1/txt2img", {"prompt": "fake:hold"}, headers={"Host": NAME}) as call:
            (job,) = server.until(
                lambda: [one for one in server.get("/queue")["items"] if one["status"] == "processing"], bool
            )
            assert call.read_byte() == b"H", "white space comes through at once"
        ended = server.wait(job["job_id"])
        assert (ended["status"], ended["error_code"]) == ("cancelled", "caller_gone")
