"""Several real engines and one queue: the same pictures as from one engine, and a killed server loses none of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.e2e.conftest import TIMEOUT, ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.native]

MakeServer = Callable[..., ServerProcess]
TWO = ("engines.devices=cpu,cpu", "engine.n_threads=1")
PROMPTS = ("a red circle on a blue background", "a green star on a white background", "a yellow moon")


def ask(server: ServerProcess, **more: Any) -> list[str]:
    return [server.submit(prompt, steps=3, seed=seed, **more) for prompt in PROMPTS for seed in (1, 2)]


def test_two_engines_draw_the_same_pictures_as_one(make_server: MakeServer) -> None:
    one, two = make_server(name="one"), make_server(*TWO, name="two")
    expected, drawn = ask(one), ask(two)
    jobs = [two.wait(job_id) for job_id in drawn]
    assert {job["status"] for job in jobs} == {"completed"}
    assert {job["engine"] for job in jobs} == {"cpu:0", "cpu:1"}
    for before, after in zip(expected, drawn, strict=True):
        assert one.wait(before)["status"] == "completed"
        assert two.picture(after) == one.picture(before)
    engines = two.get("/engines")["engines"]
    assert [engine["name"] for engine in engines] == ["cpu:0", "cpu:1"]
    assert len({engine["pid"] for engine in engines}) == 2


def test_a_killed_server_with_two_jobs_running_loses_neither(make_server: MakeServer) -> None:
    server = make_server(*TWO)
    server.wait_loaded()
    long = [server.submit("a long one", steps=3000, seed=seed) for seed in (1, 2)]
    for job_id in long:
        server.wait_running(job_id)
    waiting = server.submit(PROMPTS[0], steps=1, seed=1)
    server.kill()
    server.start()
    for job_id in long:
        server.wait_running(job_id)
        assert requests.delete(f"{server.url}/queue/{job_id}", timeout=TIMEOUT).status_code == 200
        assert server.wait(job_id)["status"] == "cancelled"
    assert server.wait(waiting)["status"] == "completed"
