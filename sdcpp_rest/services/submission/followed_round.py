"""Follows a round of pictures for a caller who is told how they come along: events, ends, and that the caller has left.

For answers that are streams: they are made on a thread of their own, which waits here for news. Knows no dialect.
"""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from sdcpp_rest.core.events import Event
from sdcpp_rest.core.job import Job
from sdcpp_rest.services.jobs.departure import Departure
from sdcpp_rest.services.jobs.event_bus import EventBus
from sdcpp_rest.services.submission.picture_rounds import PictureRounds, Round, RoundResult

# Only steps and previews count here, and only the newest ones.
_MAILBOX_EVENTS = 200


class FollowedRound:
    """Opens a round and follows its jobs until it is closed. Its jobs are in the queue when it is built.

    A client that leaves takes the jobs that are not finished with it, as `PictureRounds` does it.

    Args:
        open_round: opens the round and submits its jobs; raises what that raises.
        leaving: of the client that is told.
    """

    def __init__(
        self,
        open_round: Callable[[], AbstractContextManager[Round]],
        leaving: Departure,
        rounds: PictureRounds,
        bus: EventBus,
    ) -> None:
        self._leaving = leaving
        self._rounds = rounds
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        with contextlib.ExitStack() as resources:
            # Before the jobs begin: no event may be missed.
            self._mailbox = resources.enter_context(bus.subscribe(_MAILBOX_EVENTS))
            self._mailbox.on_ready(self._wake)
            leaving.on_leaving(self._wake)
            self._round = resources.enter_context(open_round())
            self._resources = resources.pop_all()
        self.jobs: tuple[Job, ...] = tuple(self._round.jobs)

    @property
    def has_left(self) -> bool:
        """Whether the client has left, so that nobody is to be told anything any more."""
        return self._leaving.has_left

    def watch(self, index: int) -> Iterator[list[Event]]:
        """What has happened to any of the jobs since the last look, until the job of that number has ended or the
        client has left; the last look comes after that."""
        ending = self._rounds.ending(self._round, index)
        ending.add_done_callback(lambda _: self._wake())
        while True:
            is_over = ending.done() or self.has_left
            yield self._mailbox.drain()
            if is_over:
                return
            self._news.get()

    def take(self, index: int) -> RoundResult:
        """The end of a job. Raises as `PictureRounds.take`."""
        return self._rounds.take(self._round, index)

    def close(self) -> None:
        """End the round: what is not finished is cancelled where the client has left."""
        self._resources.close()

    def _wake(self) -> None:
        self._news.put(None)
