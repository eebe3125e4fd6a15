"""Calls to a served house whose engine is held, and what becomes of their jobs: for tests of callers who hang up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import requests

from sdcpp_rest.core.events import JobStatusChanged
from sdcpp_rest.core.job import Job
from sdcpp_rest.runtime import DEMO_MODEL
from sdcpp_rest.services.jobs.event_bus import Subscription
from tests.raw_calls import RawCall
from tests.routes.a1111.pictures import plain
from tests.routes.conftest import PATIENCE_SECONDS, ServedHouse

EVER = {"abandoned_grace_seconds": 3600}
AT_ONCE = {"abandoned_grace_seconds": 0}
SOON = {"abandoned_grace_seconds": 0.01}
SMALL = {"prompt": "a cat", "width": 64, "height": 64, "steps": 2}
OPENAI = ("/v1/images/generations", {"prompt": "a cat", "size": "64x64", "steps": 2})
A1111 = ("/sdapi/v1/txt2img", SMALL)
SDCN = ("/txt2img", {**SMALL, "model": DEMO_MODEL})
DIALECTS = {
    "openai": OPENAI,
    "a1111": A1111,
    "a1111-img2img": ("/sdapi/v1/img2img", {**SMALL, "init_images": [plain(size=(64, 64))]}),
    "sdcn": SDCN,
    "sdcn-img2img": ("/img2img", {**SDCN[1], "init_image": plain(size=(64, 64)), "denoising_strength": 0.5}),
    "sdcn-api": ("/api/sd/txt2img", SDCN[1]),
}
EXTRAS = ("/sdapi/v1/extra-single-image", {"image": plain(), "upscaler_1": "esrgan_x2", "upscaling_resize": 2})
"""Held by pausing the queue: the fake engine's gate is for steps, and this has none."""


class Watched:
    """A served house whose engine is held, and what has happened to its jobs."""

    def __init__(self, served: ServedHouse, mailbox: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
        self.served = served
        self.port = served.port
        self.mailbox = mailbox
        self.served.house.gate.clear()
        self.taken_over: list[Any] = []
        self._pool = ThreadPoolExecutor(4)
        self._never = threading.Event()
        abandoned = served.runtime.jobs.abandoned
        take_over = abandoned.take_over

        def note_taking(*arguments: Any) -> Any:
            call = take_over(*arguments)
            if call is not None:
                self.taken_over.append(call)
            return call

        monkeypatch.setattr(abandoned, "take_over", note_taking)

    def call(self, path: str, body: Any, **more: Any) -> RawCall:
        """A call that waits for its first job, or for its call to a model, by now."""
        before = self.total
        sent = RawCall(self.port, path, body, **more)
        self.until(lambda: self.total > before)
        return sent

    def post(self, path: str, body: Any, **more: Any) -> Future[requests.Response]:
        """The same on a thread, with a real client."""
        return self._pool.submit(self.served.post, path, json=body, **more)

    @property
    def total(self) -> int:
        return self.served.runtime.jobs.queue.counts()["total"]

    @property
    def jobs(self) -> list[Job]:
        """The oldest first."""
        return self.served.runtime.jobs.queue.list(limit=100, order="asc")

    def go_on(self) -> None:
        self.served.house.gate.set()

    def until(self, look: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not look():
            assert time.monotonic() < deadline, "it did not come about"
            # Looking all the time would keep the interpreter from the server's threads.
            self._never.wait(0.001)

    def until_ended(self, status: str) -> Job:
        """Wait for the next job that ends so."""
        while (event := self.mailbox.get(PATIENCE_SECONDS)) is not None:
            if isinstance(event, JobStatusChanged) and event.status == status:
                return self.served.runtime.jobs.queue.get(event.job_id)
        raise AssertionError(f"no job is {status}")

    def until_left(self) -> None:
        """Wait until the server has noticed that a caller has gone."""
        self.until(lambda: self.served.runtime.jobs.abandoned.count)

    def id_of(self, response: requests.Response) -> str:
        return response.headers["X-Request-Id"]


@pytest.fixture
def watch(make_served: Callable[..., ServedHouse], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watched]:
    def make(queue: dict[str, Any], **sections: Any) -> Watched:
        served = make_served(queue=queue, **sections)
        return Watched(served, served.runtime.jobs.bus.subscribe(100_000), monkeypatch)

    return make


def shown(response: requests.Response) -> str:
    """What tells one answer from another: pictures and links in it."""
    assert response.status_code == 200, response.text
    return response.text
