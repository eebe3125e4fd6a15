"""Pages in a real browser, from a file, from another origin, from another port: who may use the server, and who not."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import TIMEOUT, ServerProcess

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.native,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("SDCPP_REST_NO_SKIPS"),
        reason="no Chromium here: apt-get install chromium",
    ),
]

FOREIGN = "pictures.example"
# What a page can do to the server: look, submit a job, listen. What came of each is told to the test.
PAGE = """<!doctype html><title>page</title><script>
const server = "%(server)s";
async function attempt(work) {
  try { return await work(); } catch (error) { return "refused"; }
}
function listen() {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(server.replace("http", "ws") + "/ws");
    socket.onmessage = (message) => resolve(JSON.parse(message.data).event);
    socket.onerror = () => reject(new Error("closed"));
  });
}
(async () => {
  const told = {
    origin: self.origin,
    health: await attempt(async () => (await (await fetch(server + "/health")).json()).status),
    job: await attempt(async () => (await fetch(server + "/txt2img", {
      method: "POST", headers: {"Content-Type": "text/plain"},
      body: JSON.stringify({prompt: "from a page", steps: 1, width: 64, height: 64}),
    })).status),
    stream: await attempt(listen),
  };
  await fetch("%(results)s", {method: "POST", mode: "no-cors", body: JSON.stringify(told)});
})();
</script>"""


class PageServer:
    """Serves the page from an origin of its own, and hears what came of it."""

    def __init__(self) -> None:
        self.told: queue.Queue[dict[str, Any]] = queue.Queue()
        self.page = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(outer.page.encode())

            def do_POST(self) -> None:
                outer.told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def pages() -> Iterator[PageServer]:
    pages = PageServer()
    yield pages
    pages.close()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path_factory.mktemp("strict")).start()
    server.wait_loaded()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def allowing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    origins = f'server.cors_origins=["null", "http://{FOREIGN}:*"]'
    server = ServerProcess(tmp_path_factory.mktemp("allowing"), origins).start()
    server.wait_loaded()
    yield server
    server.stop()


def visit(server: ServerProcess, pages: PageServer, folder: Path, place: str) -> dict[str, Any]:
    """What a page at ``place`` (``file``, or a host) could do; its jobs are counted in ``jobs``."""
    assert CHROMIUM is not None, "a run that may not skip needs Chromium"
    pages.page = PAGE % {"server": server.url, "results": f"http://127.0.0.1:{pages.port}/told"}
    file = folder / "page.html"
    file.write_text(pages.page)
    address = file.as_uri() if place == "file" else f"http://{place}:{pages.port}/"
    before = server.get("/queue?limit=1")["total_count"]
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
        f"--user-data-dir={folder / 'profile'}", f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1", address,
    ]  # fmt: skip
    with (folder / "chromium.log").open("wb") as log:
        browser = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        told = pages.told.get(timeout=TIMEOUT)
    finally:
        browser.terminate()
        browser.wait(TIMEOUT)
    return {**told, "jobs": server.get("/queue?limit=1")["total_count"] - before}


@pytest.mark.parametrize("place", ["file", FOREIGN])
def test_pages_of_others_can_neither_look_nor_draw_nor_listen(
    strict: ServerProcess, pages: PageServer, tmp_path: Path, place: str
) -> None:
    told = visit(strict, pages, tmp_path, place)
    assert told["origin"] == ("null" if place == "file" else f"http://{FOREIGN}:{pages.port}")
    assert (told["health"], told["job"], told["stream"], told["jobs"]) == ("refused", "refused", "refused", 0)


@pytest.mark.parametrize("place", ["file", FOREIGN])
def test_pages_that_are_listed_can_do_all_of_it(
    allowing: ServerProcess, pages: PageServer, tmp_path: Path, place: str
) -> None:
    told = visit(allowing, pages, tmp_path, place)
    assert (told["health"], told["job"], told["stream"], told["jobs"]) == ("ok", 202, "server_status", 1)


def test_pages_of_this_machine_are_let_in(strict: ServerProcess, pages: PageServer, tmp_path: Path) -> None:
    told = visit(strict, pages, tmp_path, "127.0.0.1")
    assert (told["health"], told["job"], told["stream"], told["jobs"]) == ("ok", 202, "server_status", 1)
