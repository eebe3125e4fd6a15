"""Owns the lanes of all engines of this server: starts and stops them, and says which job an engine takes next.

One queue for all. With one engine it is strictly first in, first out; with several an engine first takes what needs no
load there, within two bounds: how long the oldest job waits, and how long the engine has worked since it last loaded. A
bound by age alone would fall back to first in, first out as soon as the queue is long.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from sdcpp_rest.core.job import utc_now
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.engine.protocol import PreviewSettings
from sdcpp_rest.services.dispatch.engine_calls import OtherEngine
from sdcpp_rest.services.dispatch.lane import Lane
from sdcpp_rest.services.jobs.active_jobs import ActiveJob, ActiveJobs
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.jobs.job_reader import ENGINE_KINDS
from sdcpp_rest.store.job_claiming import ClaimTerms


@dataclass(frozen=True)
class AffinityRules:
    """When an engine takes a job that it need not load for before an older one. ``auto``: with several engines.

    ``owner_share``: the part of all engines that one owner may have while others wait.
    """

    affinity: Literal["auto", "on", "off"] = "auto"
    patience_seconds: float = 30.0
    stay_seconds: float = 180.0
    owner_share: float = 1.0


class EnginePool:
    """Owns the lanes. The first is the home lane, which the selected model returns to. Thread-safe.

    Args:
        clock: monotonic seconds, as of `Residency.loaded_at`.
    """

    def __init__(
        self,
        queue: JobQueue,
        active: ActiveJobs,
        rules: AffinityRules,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._active = active
        self._rules = rules
        self._clock = clock
        self._lock = threading.Lock()
        self._preview: PreviewSettings | None = None
        self._on_lane: list[Callable[[Lane], object]] = []
        self._stopping = False
        self.lanes: tuple[Lane, ...] = ()

    @property
    def home(self) -> Lane:
        return self.lanes[0]

    def add(self, lane: Lane, *, is_running: bool = False) -> None:
        """Add a lane; ``is_running``: the others work already."""
        if self._preview is not None:
            lane.supervisor.set_preview(self._preview)
        for callback in self._on_lane:
            callback(lane)
        with self._lock:
            if self._stopping:
                return
            self.lanes = (*self.lanes, lane)
            if is_running:
                lane.start()

    def remove(self, lane: Lane) -> None:
        """Take out a lane that is not the home one; who asks stops it. What was left to it is anybody's."""
        with self._lock:
            self.lanes = tuple(one for one in self.lanes if one is not lane)
        self._queue.forget_worker(lane.wake)
        lane.calls.close()
        self.wake_waiting()

    def call_on_lane(self, callback: Callable[[Lane], object]) -> None:
        """Have ``callback`` called with every lane, also with those to come. For the start: not thread-safe."""
        self._on_lane.append(callback)
        for lane in self.lanes:
            callback(lane)

    def start(self) -> None:
        """Start the home lane, which has the others started (`start_others`) when the queue is recovered: what they
        claim would look interrupted to the recovery."""
        self.home.start()

    def start_others(self) -> None:
        with self._lock:
            for lane in () if self._stopping else self.lanes[1:]:
                lane.start()

    def stop(self, timeout_seconds: float) -> None:
        """Claim nothing more; give what runs ``timeout_seconds``, then put it back to pending. Idempotent."""
        with self._lock:
            self._stopping = True
        until = time.monotonic() + timeout_seconds
        for lane in self.lanes:
            lane.begin_stop()
        # Those that have not ended then are stopped beside each other: each may need some seconds.
        stopping = [
            threading.Thread(target=lane.stop, args=(max(0.0, until - time.monotonic()),)) for lane in self.lanes[1:]
        ]
        for thread in stopping:
            thread.start()
        self.home.stop(timeout_seconds)
        for thread in stopping:
            thread.join()

    def stop_engines(self) -> None:
        """End the engines themselves. Idempotent."""
        for lane in self.lanes:
            lane.supervisor.stop()

    def close_calls(self) -> None:
        """Refuse further loads and unloads on every engine. Idempotent."""
        for lane in self.lanes:
            lane.calls.close()

    def others(self) -> Sequence[OtherEngine]:
        """Every living engine besides the home one: one that is not holds nothing, and answers nobody."""
        return [OtherEngine(lane.calls, lane.holding) for lane in self.lanes[1:] if lane.supervisor.is_alive]

    def set_preview(self, settings: PreviewSettings) -> None:
        """Set the previews of every engine, also of those to come."""
        self._preview = settings
        for lane in self.lanes:
            lane.supervisor.set_preview(settings)

    def watch_previews(self) -> None:
        """Have every engine show what it draws: somebody has begun to watch."""
        for lane in self.lanes:
            lane.supervisor.watch_previews()

    def wake_waiting(self) -> None:
        """Have those look once more that have nothing to do: what they left to a lane that was free is theirs, now that
        it is busy."""
        for lane in self.lanes:
            if lane.is_waiting:
                lane.wake()

    def find(self, name: str) -> Lane | None:
        return next((lane for lane in self.lanes if lane.name == name), None)

    def names(self) -> tuple[str, ...]:
        """Names of the engines that jobs can ask for."""
        return tuple(lane.name for lane in self.lanes if lane.has_engine and lane.name)

    @property
    def has_affinity(self) -> bool:
        """Whether an engine takes what it holds before what is older."""
        affinity = self._rules.affinity
        return affinity == "on" or (affinity == "auto" and len(self.lanes) > 1)

    def claim(self, lane: Lane) -> ActiveJob | None:
        """Take the job that ``lane`` is to run next off the queue; none for one that is held."""
        with self._lock:
            was_waiting = lane.is_waiting
            active = None if lane.is_held else self._queue.claim(lane.kinds, self._terms(lane))
            lane.is_waiting = active is None
        if was_waiting and active is not None:
            self.wake_waiting()
        return active

    def find_next_load(self, lane: Lane) -> LoadSpec | None:
        """The model that ``lane`` will have to load for its next job, as far as anybody can tell now."""
        job = self._queue.peek(self._terms(lane))
        spec = None if job is None else job.load_spec
        return None if spec is None or spec.key in lane.holding.list_served() else spec

    def _terms(self, lane: Lane) -> ClaimTerms:
        rules, lacks = self._rules, lane.lacks
        able = None if lacks is None else tuple(spec.key for spec in self._queue.pending_specs() if not lacks(spec))
        if not self.has_affinity:
            return ClaimTerms(engine=lane.name, full_owners=self._full_owners(), able=able)
        has_stayed = self._clock() - lane.residency.loaded_at >= rules.stay_seconds
        return ClaimTerms(
            engine=lane.name,
            held=lane.holding.list_served(),
            elsewhere=tuple(
                key
                for other in self.lanes
                if other is not lane and other.is_waiting and other.supervisor.is_alive
                for key in other.holding.list_served()
            ),
            prefers_held=True,
            patient_until=utc_now() - timedelta(seconds=rules.patience_seconds) if has_stayed else None,
            full_owners=self._full_owners(),
            able=able,
        )

    def _full_owners(self) -> tuple[str | None, ...]:
        """Owners that have as many engines as they may while others wait."""
        if self._rules.owner_share >= 1 or len(self.lanes) < 2:
            return ()
        most = max(1, int(self._rules.owner_share * len(self.lanes)))
        counts = Counter(one.job.owner for one in self._active.all() if one.job.kind in ENGINE_KINDS)
        return tuple(owner for owner, count in counts.items() if count >= most)
