"""The Python client before a real server with the real library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from sdcpp_rest.client import AsyncClient, Client, JobWasCancelled
from sdcpp_rest.core.events import JobPreview, JobProgress
from tests.e2e.conftest import TIMEOUT, ServerProcess
from tests.e2e.test_pictures import nearest_colour, pixels_of

pytestmark = [pytest.mark.e2e, pytest.mark.native]

CIRCLE = {"prompt": "a red circle on a blue background", "width": 64, "height": 64, "steps": 12, "seed": 42}


def test_both_clients_draw_what_the_prompt_says(shared_server: ServerProcess) -> None:
    with Client(shared_server.url) as client:
        client.change_preview_settings(enabled=True, mode="proj", interval=1)
        job = client.txt2img(**CIRCLE)  # type: ignore[arg-type]
        told = list(job.events(TIMEOUT))
        picture = job.result(TIMEOUT).images()[0]
    assert any(isinstance(event, JobPreview) for event in told)
    assert any(isinstance(event, JobProgress) and event.phase == "sampling" for event in told)
    assert nearest_colour(pixels_of(picture)[32, 32]) == "red"

    async def draw() -> bytes:
        async with AsyncClient(shared_server.url) as client:
            job = await client.txt2img(**CIRCLE)  # type: ignore[arg-type]
            return (await (await job.result(TIMEOUT)).images())[0]

    assert asyncio.run(draw()) == picture


def test_running_job_is_cancelled_and_the_model_stays(shared_server: ServerProcess) -> None:
    with Client(shared_server.url) as client:
        job = client.txt2img(prompt="a red circle", width=256, height=256, steps=200)
        for event in job.events(TIMEOUT):
            if isinstance(event, JobProgress) and event.phase == "sampling":
                job.cancel()
        with pytest.raises(JobWasCancelled):
            job.result(TIMEOUT)
        assert client.health()["model_loaded"]


def test_result_survives_a_killed_server(make_server: Callable[..., ServerProcess]) -> None:
    server = make_server()
    port = server.url.rpartition(":")[2]
    with Client(server.url, reconnect_seconds=TIMEOUT) as client:
        job = client.txt2img(prompt="a red circle", width=64, height=64, steps=60)
        events = job.events(2 * TIMEOUT)
        next(event for event in events if isinstance(event, JobProgress))
        server.kill()
        server.settings = (*server.settings, f"server.port={port}")
        server.start()
        assert [event.status for event in events if event.name == "job_status_changed"][-1] == "completed"  # type: ignore[attr-defined]
        assert len(job.result(TIMEOUT).images()) == 1
