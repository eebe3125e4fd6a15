"""The pictures of one call of OpenAI's images API, out of the queue. Knows the rounds, and no HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sdcpp_rest.core.job import Job
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.openai.translate import Asked, in_client_words
from sdcpp_rest.services.submission.picture_rounds import PictureRounds, Round, select_completed

ORIGIN = "openai"


def draw(rounds: PictureRounds, asked: Asked) -> list[Job]:
    """The jobs with pictures, in order; blocks. Raises as `open_round` and `PictureRounds.take`, and Conflict when all
    were cancelled."""
    with open_round(rounds, asked) as opened:
        return select_completed(rounds.take_all(opened))


@contextlib.contextmanager
def open_round(rounds: PictureRounds, asked: Asked) -> Iterator[Round]:
    """A round whose jobs are in the queue. Raises what `Submission.picture` raises, in this dialect's words."""
    with rounds.open(None, asked.request.kind, asked.count) as opened:
        try:
            rounds.submit_series(opened, asked.request, origin=ORIGIN)
        except InvalidRequest as error:
            raise in_client_words(error) from None
        yield opened
