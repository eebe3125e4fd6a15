"""Every example of `examples/` works as its README says, with a key and without, and draws what it was asked for."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import requests
import websockets.sync.client
from websockets.exceptions import InvalidStatus

from sdcpp_rest.core import events
from tests.e2e.conftest import TIMEOUT, ServerProcess
from tests.e2e.test_pictures import nearest_colour, pixels_of

pytestmark = [pytest.mark.e2e, pytest.mark.native]

FOLDER = Path(__file__).parents[2] / "examples"
PROMPT = "a red circle on a blue background"
KEY = "a key with spaces & signs"
STEPS = "12"
COMMANDS: dict[str, list[str]] = {
    "draw.sh": ["bash", "{file}", PROMPT, "{picture}"],
    "draw.py": [sys.executable, "{file}", PROMPT, "--output", "{picture}", "--steps", STEPS],
    "own_client.py": [sys.executable, "{file}", PROMPT, "{picture}"],
    "openai_client.py": [sys.executable, "{file}", PROMPT, "{picture}"],
    "webui_client.py": [sys.executable, "{file}", PROMPT, "{picture}"],
}
PAGE = "live.html"


@pytest.fixture(scope="module")
def locked_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that asks for a key."""
    server = ServerProcess(tmp_path_factory.mktemp("locked"), f"auth.api_keys={json.dumps([KEY])}").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def page_origin() -> Iterator[str]:
    """Where the examples' folder is served, as `python -m http.server --bind 127.0.0.1` does."""

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(FOLDER))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run(name: str, server: ServerProcess, picture: Path, key: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SDCPP_REST_URL": server.url, "STEPS": STEPS}
    environment.pop("SDCPP_REST_API_KEY", None)
    if key:
        environment["SDCPP_REST_API_KEY"] = key
    command = [part.format(file=FOLDER / name, picture=picture) for part in COMMANDS[name]]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2 * TIMEOUT)


def check_red_circle_on_blue(png: bytes) -> None:
    pixels = pixels_of(png)
    assert pixels.shape == (64, 64, 3)
    assert nearest_colour(np.median(pixels[28:36, 28:36].reshape(-1, 3), axis=0)) == "red"
    corners = np.concatenate([pixels[:4, :4].reshape(-1, 3), pixels[-4:, -4:].reshape(-1, 3)])
    assert nearest_colour(np.median(corners, axis=0)) == "blue"


def test_every_example_is_run_here_and_told_in_the_readme() -> None:
    there = {path.name for path in FOLDER.iterdir() if path.is_file()} - {"README.md"}
    assert there == {*COMMANDS, PAGE}
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in there if f"[{name}]({name})" not in told] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_example_saves_what_the_prompt_says(name: str, shared_server: ServerProcess, tmp_path: Path) -> None:
    ran = run(name, shared_server, tmp_path / "circle.png")
    assert ran.returncode == 0, ran.stderr
    assert f"saved {tmp_path / 'circle.png'}" in ran.stdout
    check_red_circle_on_blue((tmp_path / "circle.png").read_bytes())
    newest = shared_server.get("/queue")["items"][0]
    assert newest["params"]["steps"] == int(STEPS)


@pytest.mark.parametrize("name", COMMANDS)
def test_example_shows_the_key_that_a_server_asks_for(name: str, locked_server: ServerProcess, tmp_path: Path) -> None:
    refused = run(name, locked_server, tmp_path / "refused.png")
    assert refused.returncode != 0
    assert not (tmp_path / "refused.png").exists()
    ran = run(name, locked_server, tmp_path / "circle.png", KEY)
    assert ran.returncode == 0, ran.stderr
    check_red_circle_on_blue((tmp_path / "circle.png").read_bytes())


@pytest.mark.parametrize("name", ["draw.sh", "draw.py", "own_client.py"])
def test_example_ends_with_the_servers_own_sentence(name: str, locked_server: ServerProcess, tmp_path: Path) -> None:
    ran = run(name, locked_server, tmp_path / "refused.png")
    assert ran.returncode == 1
    assert "a valid API key is required" in ran.stderr


def test_bash_example_sends_quotes_and_backslashes_as_they_are(shared_server: ServerProcess, tmp_path: Path) -> None:
    prompt = 'a "red" circle \\ on a\nblue background'
    environment = {**os.environ, "SDCPP_REST_URL": shared_server.url, "STEPS": "1"}
    command = ["bash", str(FOLDER / "draw.sh"), prompt, str(tmp_path / "picture.png")]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=TIMEOUT)
    assert shared_server.get("/queue")["items"][0]["params"]["prompt"] == prompt.replace("\n", " ")


def test_page_may_call_the_server_from_a_loopback_origin_and_not_as_a_file(
    page_origin: str, locked_server: ServerProcess
) -> None:
    """What a browser would send for the page's script; the script itself needs a browser."""
    address = f"{locked_server.url}/txt2img"
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    allowed = requests.options(address, headers={"Origin": page_origin, **asked}, timeout=TIMEOUT)
    assert allowed.headers["access-control-allow-origin"] == page_origin
    assert "authorization" in allowed.headers["access-control-allow-headers"]
    assert requests.options(address, headers={"Origin": "null", **asked}, timeout=TIMEOUT).status_code == 403

    stream = f"{locked_server.ws_url}?token={quote(KEY)}"
    headers = {"Origin": page_origin, "Authorization": f"Bearer {KEY}"}
    with websockets.sync.client.connect(stream, origin=page_origin) as socket:  # type: ignore[arg-type]
        submitted = requests.post(address, json={"prompt": PROMPT, "steps": 2}, headers=headers, timeout=TIMEOUT)
        job_id, heard = submitted.json()["job_id"], []
        while True:
            message = json.loads(socket.recv(TIMEOUT))
            if message["data"].get("job_id") != job_id:
                continue
            heard.append(message["event"])
            if message["data"].get("status") == "completed":
                break
    assert set(page_events()) <= set(heard)
    file = requests.get(f"{locked_server.url}/output/{message['data']['outputs'][0]}", headers=headers, timeout=TIMEOUT)
    assert file.headers["access-control-allow-origin"] == page_origin
    with pytest.raises(InvalidStatus) as refused, websockets.sync.client.connect(stream, origin="null"):  # type: ignore[arg-type]
        pass
    assert refused.value.response.status_code == 403


def test_page_listens_for_events_that_there_are() -> None:
    known = {kind.name for kind in vars(events).values() if isinstance(kind, type) and hasattr(kind, "name")}
    assert len(page_events()) >= 3
    assert set(page_events()) <= known


def test_page_is_served_whole_and_loads_nothing_from_elsewhere(page_origin: str) -> None:
    answer = requests.get(f"{page_origin}/{PAGE}", timeout=TIMEOUT)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html"
    assert re.findall(r"<(?:script|img|link)[^>]*(?:src|href)=", answer.text) == []
    assert len(re.findall(r"<script>", answer.text)) == 1
    # Every element that the script asks for is there.
    wanted = set(re.findall(r'element\("(\w+)"\)', answer.text))
    assert len(wanted) >= 6
    assert wanted <= set(re.findall(r'id="(\w+)"', answer.text))


@pytest.mark.skipif(shutil.which("node") is None, reason="only Node.js can parse the page's script")
def test_page_has_a_script_without_syntax_errors(tmp_path: Path) -> None:
    (tmp_path / "script.js").write_text(page_script(), encoding="utf-8")
    subprocess.run(["node", "--check", str(tmp_path / "script.js")], check=True, timeout=TIMEOUT)


def page_script() -> str:
    found = re.search(r"<script>(.*?)</script>", (FOLDER / PAGE).read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def page_events() -> list[str]:
    return re.findall(r'case "(\w+)":', page_script())
