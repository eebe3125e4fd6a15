"""Draws what calls leave to chance: ids of jobs, and seeds. For a call that came under a key it is the same each time.

So a call that is made again after the server has died finds the jobs that it submitted the first time, and tells of
them what they were told. Knows no queue.
"""

from __future__ import annotations

import contextlib
import random
import threading
import uuid
from collections.abc import Iterator
from contextvars import ContextVar

_current: ContextVar[Chance | None] = ContextVar("chance", default=None)


class Chance:
    """Draws ids and numbers, the same ones in the same order from the same seed. Thread-safe.

    ``job_ids``: those so far.
    """

    def __init__(self, seed: str) -> None:
        self._namespace = uuid.UUID(seed)
        self._numbers = random.Random(seed)
        self._lock = threading.Lock()
        self.job_ids: list[str] = []

    def draw_id(self) -> str:
        with self._lock:
            self.job_ids.append(str(uuid.uuid5(self._namespace, str(len(self.job_ids)))))
            return self.job_ids[-1]

    def draw_below(self, count: int) -> int:
        with self._lock:
            return self._numbers.randrange(count)


def new_job_id() -> str:
    """An id that no other job has, but for the same one of the same call, made again."""
    chance = _current.get()
    return str(uuid.uuid4()) if chance is None else chance.draw_id()


def draw_below(count: int) -> int:
    """A number from 0 that is less than ``count``: a seed, say."""
    chance = _current.get()
    return random.randrange(count) if chance is None else chance.draw_below(count)


def is_of_this_call(job_id: str) -> bool:
    """Whether the call that this thread serves has drawn the id, so that a job which has it is the call's own."""
    chance = _current.get()
    return chance is not None and job_id in chance.job_ids


@contextlib.contextmanager
def leaving_to(chance: Chance) -> Iterator[None]:
    """Have everything in the block's context drawn from ``chance``."""
    token = _current.set(chance)
    try:
        yield
    finally:
        _current.reset(token)
