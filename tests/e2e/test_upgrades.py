"""Who upgrades keeps everything: today's server opens the folders that each released version has left."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from sdcpp_rest.runtime import DEMO_ROOT
from tests.e2e.conftest import TIMEOUT, ServerProcess

RELEASES = Path(__file__).resolve().parents[1] / "releases"
pytestmark = pytest.mark.e2e


def lay_out(release: Path, folder: Path) -> dict[str, str]:
    """Put the folders of ``release`` where a server of ``folder`` looks. Returns its jobs' ids by what they are."""
    now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
    told = {"@DEMO@": str(DEMO_ROOT), "@DELETED_AT@": now}
    text = (release / "database.sql").read_text()
    for mark, value in told.items():
        text = text.replace(mark, value)
    shutil.copytree(release / "output", folder / "output")
    shutil.copytree(release / "inputs", folder / "data" / "inputs")
    with closing(sqlite3.connect(folder / "data" / "sdcpp_rest.db")) as database:
        database.executescript(text)
    return dict(json.loads((release / "jobs.json").read_text()))


@pytest.mark.parametrize("release", sorted(path.name for path in RELEASES.iterdir() if path.is_dir()))
def test_everything_of_a_released_version_is_there_and_goes_on(
    release: str, make_server: Callable[..., ServerProcess]
) -> None:
    server = make_server(start=False)
    jobs = lay_out(RELEASES / release, server.folder)
    server.start()
    told = server.get("/queue")["items"]
    assert {job["job_id"] for job in told} == {*jobs.values()} - {jobs["binned"]}
    assert {server.job(jobs[name])["status"] for name in ("circle", "squares", "from_picture")} == {"completed"}
    assert server.job(jobs["squares"])["title"] == "two squares"
    assert server.job(jobs["cancelled"])["status"] == "cancelled"
    assert server.get("/queue/recycle-bin")["items"][0]["job_id"] == jobs["binned"]
    defaults = server.get("/settings/generation/txt2img")
    assert (defaults["width"], defaults["steps"]) == (128, 7)
    assert server.get("/settings/preferences")["theme"] == "dark"
    kept = RELEASES / release / "output" / jobs["squares"]
    assert [server.picture(jobs["squares"], n) for n in (0, 1)] == [
        (kept / f"image_{n}.png").read_bytes() for n in (0, 1)
    ]

    assert send(server.url, "POST", f"/queue/{jobs['binned']}/restore")["success"]
    assert server.picture(jobs["binned"]).startswith(b"\x89PNG")
    waiting = [jobs["waiting"], jobs["waiting_picture"]]
    assert {server.job(job_id)["status"] for job_id in waiting} == {"pending"}, "the queue was paused, and still is"
    send(server.url, "POST", "/queue/resume")
    assert {server.wait(job_id)["status"] for job_id in waiting} == {"completed"}
    # The same picture as the release drew.
    circle = server.job(jobs["circle"])["params"]
    again = server.wait(send(server.url, "POST", "/txt2img", circle)["job_id"])
    assert again["status"] == "completed"
    drawn = [Image.open(BytesIO(server.picture(job_id))).tobytes() for job_id in (jobs["circle"], again["job_id"])]
    assert drawn[0] == drawn[1]
    listed = {item["path"] for item in server.get("/gallery?limit=50")["items"]}
    assert f"{jobs['circle']}/image_0.png" in listed
    assert len(listed) == 8
    assert "Traceback" not in server.log.read_text()


def send(url: str, method: str, path: str, body: Any = None) -> Any:
    response = requests.request(method, url + path, json=body, timeout=TIMEOUT)
    response.raise_for_status()
    return response.json()
