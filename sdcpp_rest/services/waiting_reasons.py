"""Finds out why a job waits, in one sentence. Asks the engines and the queue's pause; never the database."""

from __future__ import annotations

from sdcpp_rest.core.job import JobKind
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.services.dispatch.lane import Lane
from sdcpp_rest.services.engines_status import EnginesStatus, is_busy
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.jobs.job_reader import ENGINE_KINDS

_PLACE = "at the same place below its folder of models"


class WaitingReasons:
    """Tells why jobs wait. Thread-safe, and cheap enough for every row of a listing.

    Args:
        has_cluster: whether there are engines on machines that may lack a model.
    """

    def __init__(self, engines: EnginesStatus, queue: JobQueue, *, has_cluster: bool = False) -> None:
        self._engines = engines
        self._queue = queue
        self.has_cluster = has_cluster

    def find(self, kind: JobKind, device: str | None, position: int, spec: LoadSpec | None = None) -> str:
        """Why the job of this kind, which asked for engine ``device`` and model ``spec``, waits at ``position`` (from
        1)."""
        if self._queue.is_paused:
            return "The queue is paused"
        if kind not in ENGINE_KINDS:
            return "Other files are being fetched or read first"
        lanes = self._engines.lanes
        if not lanes:
            return self._engines.tell_no_engine()
        lack = self.find_lack(kind, device, spec)
        if lack is not None:
            return lack
        if device is not None:
            return self._find_for_engine(device, lanes, position)
        troubles = [self._engines.find_trouble(lane) for lane in lanes]
        if all(troubles):
            return f"No engine is available: {troubles[0]}"
        if position > 1:
            return count_before(position)
        if any(trouble is None and not is_busy(lane) for lane, trouble in zip(lanes, troubles, strict=True)):
            return "It is about to begin"
        return "The engine works on another job" if len(lanes) == 1 else "All engines work on other jobs"

    def find_lack(self, kind: JobKind, device: str | None, spec: LoadSpec | None) -> str | None:
        """What every engine that could take such a job lacks for it, in a sentence; ``None``: one has what it needs, or
        there is no engine."""
        if not self.has_cluster or spec is None:
            return None
        found: set[str] = set()
        for lane in self._engines.lanes:
            if lane.is_held or kind not in lane.kinds or device not in (None, lane.name):
                continue
            lacked = None if lane.lacks is None else lane.lacks(spec)
            if lacked is None:
                return None
            found.add(lacked)
        if not found:
            return None
        if device is not None:
            return f"Engine {device}, which it asked for, lacks {found.pop()}: copy it to its machine, {_PLACE}"
        if len(found) > 1:
            return f"No engine has all files of {spec.model.name}: copy them to a machine of the cluster, {_PLACE}"
        return f"No engine has {found.pop()}: copy it to a machine of the cluster, {_PLACE}"

    def _find_for_engine(self, device: str, lanes: list[Lane], position: int) -> str:
        lane = next((lane for lane in lanes if lane.name == device), None)
        if lane is None:
            return f"Engine {device}, which it asked for, is not there"
        trouble = self._engines.find_trouble(lane)
        if trouble is not None:
            return f"Engine {device}, which it asked for, is not available: {trouble}"
        if is_busy(lane):
            return f"Engine {device}, which it asked for, works on another job"
        return count_before(position) if position > 1 else "It is about to begin"


def count_before(position: int) -> str:
    """How many jobs are before the one at ``position`` (from 1), in a sentence."""
    return "1 job is before it" if position == 2 else f"{position - 1} jobs are before it"
