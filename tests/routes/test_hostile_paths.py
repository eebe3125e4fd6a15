"""Names that lead elsewhere, in the forms of every system, at every route that takes a name: nothing outside of the
server's folders is read, written or told. Routes with a name in their path are found by themselves.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from PIL import Image

from sdcpp_rest.web.access_table import access_table
from tests.routes.conftest import House, make_config

CANARY = "canary-outside-3f9c"
UPWARDS = [f"{'../' * depth}outside/secret{ending}" for depth in range(1, 6) for ending in (".txt", ".png")]
FORMS = [
    *UPWARDS,
    *(name.replace("/", "\\") for name in UPWARDS[::4]),
    *(
        "..",
        ".",
        "../",
        "..\\",
        "./x",
        "x/../../y",
        "x/./y",
        "....//outside",
        "..;/outside",
        "%2e%2e/outside",
        "..%00/x",
    ),
    *("C:\\Windows\\win.ini", "C:/Windows/win.ini", "C:x", "c:", "\\\\server\\share\\x.png", "//server/share/x.png"),
    *(
        "\\\\?\\C:\\x.png",
        "\\\\.\\C:",
        "\\Device\\x",
        "file:///etc/passwd",
        "/etc/passwd",
        "//etc/passwd",
        "~/.ssh/id_rsa",
    ),
    *("CON", "con.png", "NUL.txt", "aux.safetensors", "COM1", "lpt9.gguf", "PRN:", "CONIN$"),
    *("a.png.", "a.png ", " a.png", "a.png:x", "a.png::$DATA", "a<b>.png", "a|b", "a?b", "a*b", 'a"b'),
    *("a\0b.png", "a\nb", "a\rb", "\x7f", "\u202egnp.exe", "\uff0e\uff0e/outside/secret.txt", "x" * 300, "x/" * 200),
    *("link/secret.txt", "link/secret.png", ".spool/x", ".git/config", "sdcpp_rest.db", "../data/session.secret"),
    *("../data/sdcpp_rest.db", "../logs/server.log", "$HOME/x", "${HOME}", "`id`", "$(id)", "|id", "-rf"),
]

BODIES: dict[str, dict[str, Any]] = {
    "/styles": {"prompt": "x"},
    "/wildcards": {"entries": ["x"]},
    "/ui/presets": {"settings": {"prompt": "x"}},
    "/gallery/boards": {},
}
"""Bodies that are taken, by the beginning of the route."""


def calls_by_body(name: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path, and what the test client is to send, where a name stands elsewhere than in the path."""
    swarm = {
        "EditWildcard": {"card": name, "options": "x"},
        "DeleteWildcard": {"card": name},
        "DeleteImage": {"path": name},
        "ToggleImageStarred": {"path": name},
        "DescribeModel": {"modelName": name, "subtype": "LoRA"},
        "SelectModel": {"model": name},
        "DeleteModel": {"modelName": name, "subtype": "LoRA"},
        "RenameModel": {"oldName": name, "newName": f"{name}2", "subtype": "LoRA"},
        "GetModelHash": {"modelName": name, "subtype": "LoRA"},
        "ListImages": {"path": name, "depth": 3},
        "ListModels": {"path": name, "depth": 3, "subtype": "LoRA"},
    }
    for route, arguments in swarm.items():
        yield "POST", f"/API/{route}", {"json": arguments}
    drawn = {"prompt": "x", "steps": 1, "width": 64, "height": 64}
    yield "POST", "/txt2img", {"json": {**drawn, "loras": [{"name": name}]}}
    yield "POST", "/txt2img", {"json": {**drawn, "prompt": f"x <lora:{name}:1> __{name}__ <wildcard:{name}>"}}
    yield "POST", "/img2img", {"json": {**drawn, "init_image": name}}
    yield "POST", "/img2img", {"json": {**drawn, "init_image": f"file://{name}"}}
    yield "POST", "/models/load", {"json": {"model_name": name}}
    yield "POST", "/models/load", {"json": {"model_name": "demo_dit_q8_0.gguf", "vae": name}}
    yield "POST", "/upscaler/load", {"json": {"model_name": name}}
    yield "POST", "/controlnet/load", {"json": {"model_name": name}}
    yield "POST", "/convert", {"json": {"input_path": name, "output_type": "q8_0"}}
    yield "POST", "/convert", {"json": {"model_name": "demo_dit_q8_0.gguf", "output_path": name, "output_type": "q8_0"}}
    yield "POST", "/models/upload", {"query_string": {"name": name, "type": "lora"}, "data": b"x"}
    yield (
        "POST",
        "/models/upload",
        {"query_string": {"name": "a.gguf", "type": "lora", "subfolder": name}, "data": b"x"},
    )
    yield "POST", "/prompt/expand", {"json": {"prompt": f"__{name}__ <preset:{name}>"}}
    yield "POST", "/wildcards", {"json": {"name": name, "entries": ["x"]}}
    yield "POST", "/gallery/batch", {"json": {"ids": [1], "board": name, "action": "move"}}
    yield "POST", "/sdapi/v1/options", {"json": {"sd_model_checkpoint": name}}
    yield "POST", "/sdapi/v1/png-info", {"json": {"image": name}}
    yield "GET", "/gallery/zip", {"query_string": {"ids": name}}
    yield "GET", "/logs/engine", {"query_string": {"engine": name}}
    yield "GET", "/output", {"query_string": {"path": name, "folder": name}}
    for base in ("", "/api"):
        for place in ("output", "input", "temp"):
            yield "GET", f"{base}/view", {"query_string": {"filename": name, "type": place}}
            yield "GET", f"{base}/view", {"query_string": {"filename": "secret.txt", "subfolder": name, "type": place}}
        form = {"image": (io.BytesIO(_picture()), name), "type": "input", "overwrite": "true"}
        yield "POST", f"{base}/upload/image", {"data": form}
        form = {"image": (io.BytesIO(_picture()), "a.png"), "subfolder": name, "type": "input"}
        yield "POST", f"{base}/upload/image", {"data": form}


def _picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    return buffer.getvalue()


def calls_by_path(name: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every route with a place in its path."""
    for row in access_table():
        if row.method in ("WebSocket", "mount") or "<" not in row.url or row.url.startswith("/docs"):
            continue
        for place in re.findall(r"<(?:path:)?\w+>", row.url):
            spelled = quote(name, safe="/" if place.startswith("<path:") else "")
            url = row.url.replace(place, spelled, 1)
            url = re.sub(r"<int:\w+>", "1", re.sub(r"<model_type:\w+>", "lora", url))
            url = re.sub(r"<model_type>", "lora", url)
            url = re.sub(r"<(?:path:)?\w+>", "x", url)
            body = next((body for start, body in BODIES.items() if row.url.startswith(start)), {})
            yield row.method, url, {} if row.method == "GET" else {"json": body}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[FlaskClient]:
    """Of a house with a canary beside its folders, and a link in its output folder that leads there."""
    outside = folder / "outside"
    outside.mkdir()
    for ending in (".txt", ".json", ".safetensors", ".gguf"):
        (outside / f"secret{ending}").write_text(CANARY)
    (outside / "secret.png").write_bytes(_picture() + CANARY.encode())
    house = House(make_config(folder / "house"))
    (folder / "house" / "output" / "link").symlink_to(outside)
    try:
        # Not the client that knows the document: a name may make another route of one.
        yield FlaskClient(house.start().client.application)
    finally:
        house.close()


def tree_of(folder: Path) -> dict[str, bytes | None]:
    """All that lies in ``folder`` but in the house's own folders."""
    own = {folder / "house" / name for name in ("data", "models", "output", "logs", "webui")}
    found: dict[str, bytes | None] = {}
    for path in sorted(folder.rglob("*")):
        if not any(path == one or one in path.parents for one in own):
            found[str(path)] = path.read_bytes() if path.is_file() else None
    return found


@pytest.mark.slow
@pytest.mark.parametrize("find_calls", [calls_by_path, calls_by_body])
def test_no_name_leads_out_of_the_servers_folders(
    folder: Path, client: FlaskClient, caplog: pytest.LogCaptureFixture, find_calls: Any
) -> None:
    before = tree_of(folder)
    faults: list[str] = []
    names = [*FORMS, str(folder / "outside" / "secret.txt"), str(folder / "outside" / "secret.png")]
    session = client.post("/API/GetNewSession", json={}).get_json()["session_id"]
    count = 0
    for name in names:
        for method, url, sent in find_calls(name):
            if url.startswith("/API/") and "json" in sent:
                sent = {"json": {**sent["json"], "session_id": session}}
            answer = client.open(url, method=method, **sent)
            count += 1
            if CANARY.encode() in answer.get_data():
                faults.append(f"{method} {url[:120]!r} tells what is outside")
            answer.close()
    client.delete("/queue/pending")
    # What some dialects imitate is a 500, too; a fault of the server's own is in its log.
    faults += [line for line in caplog.messages if line.startswith("internal error")]
    assert not faults, "\n".join(dict.fromkeys(faults))
    assert count > 1000
    assert tree_of(folder) == before
    assert not list(folder.parent.glob("*outside*")), "nor beside that"
