"""Waits for jobs that were submitted, follows them, and fetches what they made.

What follows events is imported when it is first needed: most of the time that it takes is pydantic's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sdcpp_rest.client.answers import take
from sdcpp_rest.client.calls import Awaiting, Blocking, Call, TellingCall
from sdcpp_rest.client.job_looks import look_at
from sdcpp_rest.client.steps import Doing, Request, Saving, Steps, Telling
from sdcpp_rest.client.wire.jobs import Cancelled, JobShown

if TYPE_CHECKING:
    from sdcpp_rest.client.async_client import AsyncClient
    from sdcpp_rest.client.client import Client
    from sdcpp_rest.core.events import Event

T = TypeVar("T")


class _JobCalls:
    """Asks about one job."""

    def __init__(self, job_id: str, reconnect_seconds: float) -> None:
        self.id = job_id
        self._reconnect_seconds = reconnect_seconds

    @Call
    def look(self) -> Doing[JobShown]:
        """Look at it."""
        return look_at(self.id)

    @Call
    def cancel(self) -> Request[Cancelled]:
        """Cancel it. Conflict when it has ended."""
        return Request(Cancelled, "POST", "/queue/{job_id}/cancel", {"job_id": self.id})

    @TellingCall
    def events(self, timeout: float | None = None) -> Telling[Event]:
        """Iterate over what happens to it: changes of its status, progress, previews; its end is the last.

        Over the event stream, also across a restart of the server; where there is none, by looking twice a second,
        which shows no previews. Raises ConnectionFailed when the server is gone for too long, and ResultTimeout.
        """
        from sdcpp_rest.client.following import Patience, follow_events
        from sdcpp_rest.client.watches import JobWatch

        return follow_events(JobWatch(self.id), Patience(self._reconnect_seconds, timeout))

    def _wait(self, timeout: float | None) -> Generator[Any, Any, JobShown]:
        from sdcpp_rest.client.following import Patience, wait_for_end

        return wait_for_end(self.id, Patience(self._reconnect_seconds, timeout))


class SubmittedJob(_JobCalls, Blocking):
    """Waits for a job in the queue. ``answer`` is what the server said to it: warnings, and what its endpoint adds."""

    def __init__(self, client: Client, answer: Mapping[str, Any]) -> None:
        super().__init__(take(answer, "job_id", str, "A submission"), client.reconnect_seconds)
        self.answer = answer
        self._client = client

    def run(self, steps: Steps[T]) -> T:
        return self._client.run(steps)

    def iterate(self, steps: Telling[T]) -> Generator[T, None, None]:
        return self._client.iterate(steps)

    def result(self, timeout: float | None = None) -> FinishedJob:
        """Wait for its end, as `events` does. Raises JobFailed, JobWasCancelled, ResultTimeout (it goes on then)."""
        return FinishedJob(self._client, self.run(self._wait(timeout)))


class AsyncSubmittedJob(_JobCalls, Awaiting):
    """Waits for a job in the queue, as `SubmittedJob` does; its calls are awaited."""

    def __init__(self, client: AsyncClient, answer: Mapping[str, Any]) -> None:
        super().__init__(take(answer, "job_id", str, "A submission"), client.reconnect_seconds)
        self.answer = answer
        self._client = client

    async def run(self, steps: Steps[T]) -> T:
        return await self._client.run(steps)

    def iterate(self, steps: Telling[T]) -> AsyncGenerator[T, None]:
        return self._client.iterate(steps)

    async def result(self, timeout: float | None = None) -> AsyncFinishedJob:
        """Wait for its end, as `events` does. Raises JobFailed, JobWasCancelled, ResultTimeout (it goes on then)."""
        return AsyncFinishedJob(self._client, await self.run(self._wait(timeout)))


class _MadeFiles:
    """Fetches what a completed job has made. ``shown`` is the job."""

    def __init__(self, shown: JobShown) -> None:
        self.shown = shown
        self.id = shown["job_id"]
        self.outputs = shown["outputs"]

    @Call
    def images(self) -> Doing[list[bytes]]:
        """Its files, whole: pictures in their order, or the video."""
        found: list[bytes] = []
        for path in self.outputs:
            content = yield from _output(path)
            found.append(content)
        return found

    @Call
    def save(self, folder: str | Path) -> Doing[list[Path]]:
        """Save its files in a folder, which is made if it is not there, each as ``<job id>_<its name>``."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        saved: list[Path] = []
        for path in self.outputs:
            # Only its last part: whatever the server says, nothing is written elsewhere.
            target = Path(folder) / f"{Path(self.id).name}_{Path(path).name}"
            yield Saving(_output(path), target)
            saved.append(target)
        return saved


class FinishedJob(_MadeFiles, Blocking):
    """Fetches the files of a job that is completed."""

    def __init__(self, client: Client, shown: JobShown) -> None:
        super().__init__(shown)
        self.run = client.run


class AsyncFinishedJob(_MadeFiles, Awaiting):
    """Fetches the files of a job that is completed; its calls are awaited."""

    def __init__(self, client: AsyncClient, shown: JobShown) -> None:
        super().__init__(shown)
        self.run = client.run


def _output(path: str) -> Request[bytes]:
    return Request(bytes, "GET", "/output/{path}", {"path": path})
