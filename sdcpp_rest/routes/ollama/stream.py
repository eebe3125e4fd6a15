"""The lines of one picture: JSON for each step, and at the end the picture.

Runs outside of the request, which Flask has ended by then. Knows jobs, events and the client's departure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from typing import Any

from sdcpp_rest.core.events import JobProgress
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import fault_of, json_text
from sdcpp_rest.routes.ollama.errors import error_body
from sdcpp_rest.routes.ollama.translate import in_client_words, picture_line, step_line
from sdcpp_rest.services.jobs.departure import Departure
from sdcpp_rest.services.jobs.event_bus import EventBus
from sdcpp_rest.services.path_redaction import PathRedaction
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.services.submission.followed_round import FollowedRound
from sdcpp_rest.services.submission.picture_rounds import PictureRequest, PictureRounds, Round, select_completed

ORIGIN = "ollama"


@contextlib.contextmanager
def open_round(rounds: PictureRounds, request: PictureRequest) -> Iterator[Round]:
    """A round of one picture, which is in the queue. Raises what `Submission.picture` raises, in this dialect's
    words."""
    with rounds.open(None, request.kind, 1) as opened:
        try:
            rounds.submit_series(opened, request, origin=ORIGIN)
        except InvalidRequest as error:
            raise in_client_words(error) from None
        yield opened


class PictureLines:
    """The lines of one request, an iterator of text. Its job is in the queue when it is built.

    A client that leaves takes its job with it, as `PictureRounds` does it. Raises what `Submission.picture` raises.
    """

    def __init__(
        self,
        model: str,
        request: PictureRequest,
        leaving: Departure,
        rounds: PictureRounds,
        bus: EventBus,
        outputs: Outputs,
        redact_paths: PathRedaction,
    ) -> None:
        self._model = model
        self._outputs = outputs
        self._redact_paths = redact_paths
        self._round = FollowedRound(lambda: open_round(rounds, request), leaving, rounds, bus)
        self._lines = self._all()

    def __iter__(self) -> Generator[str, None, None]:
        return self._lines

    def close(self) -> None:
        """The answer has ended, wholly or not, or was never begun."""
        self._lines.close()
        self._round.close()

    def _all(self) -> Generator[str, None, None]:
        try:
            yield from self._steps()
            if self._round.has_left:
                return
            (job,) = select_completed([self._round.take(0)])
            file = self._outputs.path_of(job.outputs[0]).read_bytes()
            yield _line(picture_line(self._model, job, file))
        except Exception as error:
            self._round.close()
            yield _line(error_body(fault_of(error, "the lines of a picture", self._redact_paths)))

    def _steps(self) -> Generator[str, None, None]:
        """A line for each step, until the job has ended or the client has left."""
        (job,) = self._round.jobs
        shown = 0
        for events in self._round.watch(0):
            for event in events:
                if not isinstance(event, JobProgress) or event.job_id != job.id:
                    continue
                if event.step > shown and not self._round.has_left:
                    shown = event.step
                    yield _line(step_line(self._model, shown, event.total_steps))


def _line(value: dict[str, Any]) -> str:
    return json_text(value) + "\n"
