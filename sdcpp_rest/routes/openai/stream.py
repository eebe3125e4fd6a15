"""The stream of OpenAI's images API: previews and pictures as server-sent events, in its words.

Runs outside of the request, which Flask has ended by then. Knows jobs, events and the client's departure.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from typing import Any

from sdcpp_rest.core.events import Event, JobPreview
from sdcpp_rest.core.job import Job
from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.routes.http.answers import fault_of, json_text
from sdcpp_rest.routes.openai.answering import b64, encode_pictures, encode_preview, quality_word, usage
from sdcpp_rest.routes.openai.drawing import open_round
from sdcpp_rest.routes.openai.errors import openai_error
from sdcpp_rest.routes.openai.translate import Asked
from sdcpp_rest.routes.openai.wire import EditWishes, MadeWishes
from sdcpp_rest.services.jobs.departure import Departure
from sdcpp_rest.services.jobs.event_bus import EventBus
from sdcpp_rest.services.path_redaction import PathRedaction
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.services.submission.followed_round import FollowedRound
from sdcpp_rest.services.submission.picture_rounds import PictureRounds, RoundResult, select_completed


class PictureStream:
    """The events of one request, an iterator of text. Its jobs are in the queue when it is built.

    A client that leaves takes the jobs that are not finished with it, as `PictureRounds` does it. Raises what
    `open_round` raises.
    """

    def __init__(
        self,
        asked: Asked,
        leaving: Departure,
        rounds: PictureRounds,
        bus: EventBus,
        outputs: Outputs,
        redact_paths: PathRedaction,
    ) -> None:
        self._asked = asked
        self._outputs = outputs
        self._redact_paths = redact_paths
        self._round = FollowedRound(lambda: open_round(rounds, asked), leaving, rounds, bus)
        self.jobs = self._round.jobs
        self._kept: dict[str, list[JobPreview]] = {job.id: [] for job in self.jobs}
        self._events = self._all()

    def __iter__(self) -> Generator[str, None, None]:
        return self._events

    def close(self) -> None:
        """The answer has ended, wholly or not, or was never begun."""
        self._events.close()
        self._round.close()

    def _all(self) -> Generator[str, None, None]:
        drawn: list[RoundResult] = []
        try:
            for index in range(len(self.jobs)):
                one = yield from self._one(index)
                if one is None:
                    return
                drawn.append(one)
            select_completed(drawn)
        except Exception as error:
            self._round.close()
            yield self._error_text(fault_of(error, "a stream of pictures", self._redact_paths))

    def _one(self, index: int) -> Generator[str, None, RoundResult | None]:
        """The events of one picture; its end, or ``None`` when the client has left."""
        job, shown = self.jobs[index], 0
        for events in self._round.watch(index):
            for preview in self._previews(job, events):
                if shown < self._previews_left and not self._round.has_left and self._is_due(preview, job, shown):
                    yield self._partial(preview, job, shown)
                    shown += 1
        if self._round.has_left:
            return None
        drawn = self._round.take(index)
        # One that was cancelled has none.
        for file in encode_pictures(self._outputs, self._asked, [drawn.job]):
            yield self._picture_text(drawn.job, index, b64(file))
        return drawn

    @property
    def _previews_left(self) -> int:
        return self._asked.wishes.partial_images if isinstance(self._asked.wishes, MadeWishes) else 0

    def _previews(self, job: Job, events: Iterable[Event]) -> list[JobPreview]:
        for event in events:
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
        return self._event_text("partial_image", job, b64_json=b64(file), partial_image_index=index)

    def _picture_text(self, job: Job, index: int, b64_json: str) -> str:
        return self._event_text("completed", job, b64_json=b64_json, usage=usage([job], self._asked.given))

    def _error_text(self, error: SdcppRestError) -> str:
        return _event("error", {"type": "error", **openai_error(error)})

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
                "quality": quality_word(self._asked.wishes),
                "background": "opaque",
                "output_format": self._asked.output_format,
                **more,
            },
        )


def _event(name: str, value: Any) -> str:
    # JSON without line breaks: one line of text is one event.
    return f"event: {name}\ndata: {json_text(value)}\n\n"
