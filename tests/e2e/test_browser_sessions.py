"""A page of the server's own in a real browser: signing in opens pictures, calls and the WebSocket to it, and to no
page of another origin; signing out closes them."""

from __future__ import annotations

import io
import json
import queue
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from PIL import Image

from tests.e2e.conftest import TIMEOUT, ServerProcess
from tests.e2e.test_browsers import CHROMIUM, pytestmark

__all__ = ["pytestmark"]

KEY = "a-long-random-key"
# Both pages can do the same things; what came of each is carried along in the address, which no policy forbids.
SCRIPT = """
const asked = new URL(location.href).searchParams;
const told = JSON.parse(asked.get("told") || "{}");
const server = asked.get("server") || new URL("..", location.href).href.replace(/\\/$/, "");
const credentials = "include";
async function call(method, path, body) {
  try {
    const sent = body && JSON.stringify(body);
    return (await fetch(server + path, {method, credentials, body: sent})).status;
  } catch (error) { return "refused"; }
}
function picture() {
  return new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve(image.naturalWidth);
    image.onerror = () => resolve("refused");
    image.src = server + "/output/hand/made.png?" + Math.random();
  });
}
function listen() {
  return new Promise((resolve) => {
    const socket = new WebSocket(server.replace("http", "ws") + "/ws");
    socket.onmessage = (message) => resolve(JSON.parse(message.data).event);
    socket.onerror = () => resolve("refused");
  });
}
async function look() {
  return {queue: await call("GET", "/queue"), picture: await picture(), stream: await listen()};
}
function goTo(address, more) {
  location.href = address + "?" + new URLSearchParams({told: JSON.stringify(told), ...more});
}
"""
OWN = """
(async () => {
  const foreign = asked.get("foreign");
  if (!asked.get("told")) {
    told.before = await look();
    told.wrong = await call("POST", "/session", {key: "guess"});
    told.signing = await call("POST", "/session", {key: "%(key)s"});
    told.cookie = document.cookie;
    told.inside = await look();
    goTo(foreign, {server, foreign});
  } else {
    told.still = await look();
    told.leaving = await call("DELETE", "/session");
    told.after = await look();
    goTo(foreign + "told", {});
  }
})();
"""
FOREIGN = """
(async () => {
  told.foreign = await look();
  told.drawing = await call("POST", "/txt2img", {prompt: "from a page"});
  told.ending = await call("DELETE", "/session");
  goTo(server + "/ui/", {foreign: asked.get("foreign")});
})();
"""
NOTHING = {"queue": 401, "picture": "refused", "stream": "refused"}
EVERYTHING = {"queue": 200, "picture": 4, "stream": "server_status"}


class ForeignServer:
    """Serves a page of another origin: the same machine, another port. Hears at /told what came of it all."""

    def __init__(self) -> None:
        self.told: queue.Queue[dict[str, Any]] = queue.Queue()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address = urlsplit(self.path)
                if address.path == "/told":
                    outer.told.put(json.loads(parse_qs(address.query)["told"][0]))
                body = f"<!doctype html><script>{SCRIPT}{FOREIGN}</script>".encode() if address.path == "/" else b""
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def foreign() -> Iterator[ForeignServer]:
    server = ForeignServer()
    yield server
    server.close()


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that asks for a key, with a page and a picture."""
    build = tmp_path / "page"
    (build / "assets").mkdir(parents=True)
    (build / "index.html").write_text("<!doctype html><title>page</title><script src='./assets/app.js'></script>")
    (build / "assets" / "app.js").write_text(SCRIPT + OWN % {"key": KEY})
    pictures = tmp_path / "output" / "hand"
    pictures.mkdir(parents=True)
    drawn = io.BytesIO()
    Image.new("RGB", (4, 3)).save(drawn, "PNG")
    (pictures / "made.png").write_bytes(drawn.getvalue())
    settings = (f'auth.api_keys=["{KEY}"]', f"paths.webui_dir={build}", "engine.runner=fake")
    server = ServerProcess(tmp_path, *settings).start()
    yield server
    server.stop()


def test_signing_in_opens_everything_to_the_own_page_alone_until_it_signs_out(
    locked: ServerProcess, foreign: ForeignServer, tmp_path: Path
) -> None:
    assert CHROMIUM is not None, "a run that may not skip needs Chromium"
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path / 'profile'}", f"{locked.url}/ui/?foreign={foreign.url}",
    ]  # fmt: skip
    with (tmp_path / "chromium.log").open("wb") as log:
        browser = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        told = foreign.told.get(timeout=TIMEOUT)
    finally:
        browser.terminate()
        browser.wait(TIMEOUT)
    assert told["before"] == NOTHING
    assert (told["wrong"], told["signing"], told["cookie"]) == (401, 200, "")
    assert told["inside"] == EVERYTHING
    # The page of the other origin cannot even read what it was refused with.
    assert told["foreign"] == {**NOTHING, "queue": "refused"}
    assert told["drawing"] == "refused"
    assert told["still"] == EVERYTHING, "nobody but its own page signs it out"
    assert (told["leaving"], told["after"]) == (200, NOTHING)
    jobs = requests.get(locked.url + "/queue", headers={"Authorization": f"Bearer {KEY}"}, timeout=TIMEOUT).json()
    assert jobs["total_count"] == 0
