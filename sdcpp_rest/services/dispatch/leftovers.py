"""Knows what cancelled runs have left on a GPU, and whether the next job would fit beside it.

A cancel leaves the library where it is. With offload_to_cpu the weights of the part that was computed, and its buffer,
stay on the GPU until that model's next run has ended; freeing the model frees them. Knows bytes; must not know the
engine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from sdcpp_rest.core.job import Job
from sdcpp_rest.services.dispatch.holding import Holding

log = logging.getLogger(__name__)


class Leftovers:
    """Notes and finds the models of one engine that have left something.

    Args:
        job_bytes: what a job takes of the GPU by the estimate; ``None``: there is no GPU, or nobody knows.
        free_bytes: what is free there at this moment; ``None``: nobody knows.
    """

    def __init__(
        self, holding: Holding, job_bytes: Callable[[Job], int | None], free_bytes: Callable[[], int | None]
    ) -> None:
        self._holding = holding
        self._job_bytes = job_bytes
        self._free_bytes = free_bytes

    def note_run(self, *, was_cancelled: bool) -> None:
        """A run with the current model is over."""
        model = self._holding.current
        if model is not None:
            model.has_leftovers = was_cancelled and model.spec.options.offload_to_cpu

    def find_in_the_way(self, job: Job) -> tuple[str, ...]:
        """Keys of the models that have to leave before ``job``, because it would not fit beside what they have left.
        Nobody is asked anything where no run was cancelled."""
        left = tuple(key for key, model in self._holding.held.items() if model.has_leftovers)
        needed = self._job_bytes(job) if left else None
        free = None if needed is None else self._free_bytes()
        if needed is None or free is None or needed <= free:
            return ()
        log.info("job %s would not fit beside what a cancelled one has left on the GPU, which is freed", job.id)
        return left
