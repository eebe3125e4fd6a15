"""The stream of OpenAI's images API: previews and pictures as server-sent events, in its words.

Runs outside of the request, which Flask has ended by then. Knows jobs, events and the client's departure.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Generator
from typing import Any

from sdcpp_rest.core.events import JobPreview
from sdcpp_rest.core.job import Job
from sdcpp_rest.errors import Conflict, EngineUnavailable, SdcppRestError
from sdcpp_rest.routes.http.answers import internal_error, json_text
from sdcpp_rest.routes.http.pools import Departure
from sdcpp_rest.routes.openai import translate as words
from sdcpp_rest.routes.openai.errors import openai_error
from sdcpp_rest.routes.openai.pictures import Asked, begin, encode_pictures, encode_preview
from sdcpp_rest.routes.openai.wire import EditWishes, MadeWishes
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.services.submission.picture_runs import job_with_pictures

# Only previews count here, and only the newest ones.
_MAILBOX_EVENTS = 200


class PictureStream:
    """The events of one request, an iterator of text. Its jobs are in the queue when it is built.

    A client that leaves takes the jobs that are not finished with it: nobody else knows of them. Raises what
    `openai_pictures.begin` raises.
    """

    def __init__(self, house: Runtime, asked: Asked, leaving: Departure) -> None:
        self._house = house
        self._asked = asked
        self._leaving = leaving
        self._is_stopping = False
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Before the jobs begin: no preview may be missed.
        self._mailbox = house.bus.subscribe(_MAILBOX_EVENTS)
        self._mailbox.on_ready(self._wake)
        leaving.on_leaving(self._wake)
        try:
            self.jobs = begin(house, asked)
        except BaseException:
            self._mailbox.close()
            raise
        self._kept: dict[str, list[JobPreview]] = {job.id: [] for job in self.jobs}
        self._events = self._all()

    def __iter__(self) -> Generator[str, None, None]:
        return self._events

    def close(self) -> None:
        """The answer has ended, wholly or not, or was never begun."""
        self._events.close()
        self._mailbox.close()
        if not self._is_stopping:
            self._house.picture_runs.cancel(self.jobs)

    def _wake(self) -> None:
        self._news.put(None)

    def _all(self) -> Generator[str, None, None]:
        count = 0
        try:
            for job in self.jobs:
                done = yield from self._one(job)
                if self._leaving.has_left:
                    return
                count += done
            if not count:
                raise Conflict("The job was cancelled before a picture was finished")
        except Exception as error:
            # The server stops: its jobs go on when it is back, as everybody's.
            self._is_stopping = type(error) is EngineUnavailable
            fault = error if isinstance(error, SdcppRestError) else internal_error(error, "a stream of pictures")
            fault.message, fault.detail = (
                self._house.redact_paths(fault.message),
                self._house.redact_paths.in_values(fault.detail),
            )
            yield _event("error", {"type": "error", **openai_error(fault)})

    def _one(self, job: Job) -> Generator[str, None, int]:
        """The events of one picture; says how many pictures it became."""
        ending = self._house.queue.ending(job.id)
        ending.add_done_callback(lambda _: self._wake())
        shown = 0
        while True:
            is_over = ending.done() or self._leaving.has_left
            for preview in self._previews(job):
                if shown < self._previews_left and not self._leaving.has_left and self._is_due(preview, job, shown):
                    yield self._partial(preview, job, shown)
                    shown += 1
            if is_over:
                break
            self._news.get()
        if self._leaving.has_left:
            return 0
        done = job_with_pictures(ending.result())
        if done is None:
            return 0
        for file in encode_pictures(self._house, self._asked, [done]):
            usage = words.usage([done], self._asked.given)
            yield self._event_text("completed", done, b64_json=words.b64(file), usage=usage)
        return 1

    @property
    def _previews_left(self) -> int:
        return self._asked.wishes.partial_images if isinstance(self._asked.wishes, MadeWishes) else 0

    def _previews(self, job: Job) -> list[JobPreview]:
        for event in self._mailbox.drain():
            # The next job may have begun already, while this one's picture is encoded.
            if isinstance(event, JobPreview) and event.job_id in self._kept:
                self._kept[event.job_id].append(event)
        found, self._kept[job.id] = self._kept[job.id], []
        return found

    def _is_due(self, preview: JobPreview, job: Job, shown: int) -> bool:
        """The previews that are wanted are spread over the steps; a picture of few steps has fewer."""
        return preview.step * (self._previews_left + 1) >= (shown + 1) * job.step_count

    def _partial(self, preview: JobPreview, job: Job, index: int) -> str:
        file = encode_preview(self._asked, preview.jpeg, (job.params["width"], job.params["height"]))
        return self._event_text("partial_image", job, b64_json=words.b64(file), partial_image_index=index)

    def _event_text(self, what: str, job: Job, *, b64_json: str, **more: Any) -> str:
        verb = "image_edit" if isinstance(self._asked.wishes, EditWishes) else "image_generation"
        name = f"{verb}.{what}"
        return _event(
            name,
            {
                "type": name,
                "b64_json": b64_json,
                "created_at": int(time.time()),
                "size": f"{job.params['width']}x{job.params['height']}",
                "quality": words.quality_word(self._asked.wishes),
                "background": "opaque",
                "output_format": self._asked.output_format,
                **more,
            },
        )


def _event(name: str, value: Any) -> str:
    # JSON without line breaks: one line of text is one event.
    return f"event: {name}\ndata: {json_text(value)}\n\n"
