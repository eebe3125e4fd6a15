"""Finished pictures before a real server: told with the end of their job, known after a SIGKILL, sent as a zip."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import pytest
import requests
from PIL import Image

from tests.e2e.conftest import ServerProcess

pytestmark = [pytest.mark.native, pytest.mark.e2e]


def draw(server: ServerProcess, **fields: object) -> list[str]:
    job = server.wait(server.submit(prompt="a green star", steps=2, **fields))
    assert job["status"] == "completed", job
    return list(job["outputs"])


def test_pictures_are_listed_marked_deleted_and_restored(server: ServerProcess) -> None:
    first, second = draw(server, seed=5, batch_count=2)
    listed = server.get("/gallery?q=green")["items"]
    assert [(item["path"], item["seed"]) for item in listed] == [(first, 5), (second, 6)]
    chosen = listed[0]["id"]
    assert (
        requests.request("PATCH", server.url + f"/gallery/{chosen}", json={"starred": True}, timeout=60).status_code
        == 200
    )
    before = requests.request("GET", server.url + f"/output/{first}", timeout=60).content
    assert requests.request("DELETE", server.url + f"/gallery/{chosen}", timeout=60).json()["place"] == "bin"
    assert requests.request("GET", server.url + f"/output/{first}", timeout=60).status_code == 404
    done = server.post("/gallery/batch", {"filter": {"deleted": True}, "action": "restore"}).json()
    assert done["changed"] == 1
    assert requests.request("GET", server.url + f"/output/{first}", timeout=60).content == before
    assert [item["path"] for item in server.get("/gallery?starred=true")["items"]] == [first]


def test_a_zip_comes_in_pieces_and_is_whole(server: ServerProcess) -> None:
    draw(server, seed=1, batch_count=3)
    answer = requests.request("GET", server.url + "/gallery/zip?q=star", timeout=60)
    assert answer.headers["Content-Type"] == "application/zip"
    assert "Content-Length" not in answer.headers
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [f"a-green-star_{seed}.png" for seed in (1, 2, 3)]


def test_what_lies_there_without_its_database_is_known_again(make_server: Callable[..., ServerProcess]) -> None:
    server = make_server()
    server.wait_loaded()
    (path,) = draw(server)
    server.kill()
    Image.new("RGB", (8, 8)).save(server.folder / "output" / "by_hand.png")
    for file in (server.folder / "data").glob("sdcpp_rest.db*"):
        file.unlink()
    server.start()
    assert server.post("/gallery/scan", {}).json()["total"] == 2
    assert {item["path"] for item in server.get("/gallery")["items"]} == {path, "by_hand.png"}
