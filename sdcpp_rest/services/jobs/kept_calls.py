"""Keeps calls that were answered at once: finds them later by their ids, and by the jobs they became.

For dialects whose clients come back with an id of their own, also after a restart. Knows no dialect.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping

from sdcpp_rest.core.kept_call import KeptCall
from sdcpp_rest.store.call_store import CallStore

_REMEMBERED_JOBS = 4_096


class KeptCalls:
    """Keeps calls and finds them again.

    Thread-safe. A call is kept before its jobs are submitted: whoever hears of a job finds its call.

    Args:
        most: calls that are kept; the oldest go first.
    """

    def __init__(self, store: CallStore, most: int) -> None:
        self._store = store
        self._most = most
        self._lock = threading.Lock()
        self._by_job: OrderedDict[str, KeptCall | None] = OrderedDict()
        # Every job is asked for when it ends, and most servers never keep a call.
        self._are_any = not store.is_empty()

    def keep(self, call: KeptCall) -> KeptCall | None:
        """Keep a call; returns it with its number, ``None`` where its id is taken."""
        self._are_any = True
        number = self._store.add(call, self._most)
        if number is None:
            return None
        kept = call.model_copy(update={"number": number})
        for part in kept.parts:
            self._remember(part.job_id, kept)
        return kept

    def find(self, call_id: str) -> KeptCall | None:
        return self._store.find(call_id)

    def find_by_job(self, job_id: str) -> KeptCall | None:
        """The call that a job belongs to; ``None`` for jobs that came otherwise. Quick for jobs that were asked for
        before."""
        with self._lock:
            if job_id in self._by_job:
                return self._by_job[job_id]
        if not self._are_any:
            return None
        found = self._store.find_by_job(job_id)
        self._remember(job_id, found)
        return found

    def texts_of(self, job_id: str) -> Mapping[str, str]:
        """What a job's pictures say beside our own words, by key."""
        call = self.find_by_job(job_id)
        return {} if call is None else call.texts

    def newest_ended(self, limit: int, offset: int = 0) -> list[KeptCall]:
        """The newest calls of which something was begun and nothing waits or runs any more, the last one first."""
        return self._store.newest_ended(limit, offset)

    def forget(self, call_ids: Collection[str] | None) -> None:
        """Forget calls, or all (``None``), of which nothing waits or runs; their jobs and pictures stay."""
        self._store.forget(call_ids)

    def _remember(self, job_id: str, call: KeptCall | None) -> None:
        with self._lock:
            self._by_job[job_id] = call
            while len(self._by_job) > _REMEMBERED_JOBS:
                self._by_job.popitem(last=False)
