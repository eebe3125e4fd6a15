"""Asks a cluster for as many engines as the queue has work for, where machines come when they are asked for.

Knows a number of waiting jobs, and whom to tell; must not know what kind of cluster it is.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0


class Scaling:
    """Looks at the queue every two seconds, and tells how many engines there should be.

    Args:
        count_waiting: how many jobs wait.
        ask: is told how many engines there should be; 0: as many as there are.
        jobs_per_engine: so many jobs may wait; beyond that, one engine is wanted for each such number.
        most: engines that are used.
    """

    def __init__(
        self, count_waiting: Callable[[], int], ask: Callable[[int], None], jobs_per_engine: int, most: int
    ) -> None:
        self._count_waiting = count_waiting
        self._ask = ask
        self._jobs_per_engine = jobs_per_engine
        self._most = most
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="scaling", daemon=True)
        self._wanted = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Look no more. Idempotent."""
        self._stopped.set()

    def look(self) -> None:
        """Ask for more engines, or for none, if that has changed."""
        waiting = self._count_waiting()
        wanted = 0 if waiting <= self._jobs_per_engine else math.ceil(waiting / self._jobs_per_engine)
        wanted = min(wanted, self._most)
        if wanted != self._wanted:
            log.info("%d jobs wait: the cluster is asked for %d engines", waiting, wanted)
            self._wanted = wanted
            self._ask(wanted)

    def _loop(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            try:
                self.look()
            except Exception:
                log.exception("the queue could not be looked at")
