"""Runs download and hash jobs on threads of their own, beside what the engine does.

Takes its jobs off the same queue, sees each to its end, and puts back what a stopping server interrupts: the next one
goes on where this one was. Never touches the engine.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sdcpp_rest.config import DownloadsConfig
from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.core.download_source import DownloadParams, HashParams
from sdcpp_rest.core.events import TransferProgress
from sdcpp_rest.core.job import Job, JobKind, Phase, Timings, Transfer, utc_now
from sdcpp_rest.errors import Conflict, EngineUnavailable, JobNotFound, ModelNotFound, SdcppRestError
from sdcpp_rest.services.downloads.download_places import DownloadPlaces, read_params, wish_of
from sdcpp_rest.services.downloads.download_submission import ADDRESS_FILE, Downloads, DownloadSources
from sdcpp_rest.services.downloads.file_to_fetch import FileToFetch, TransferLimits
from sdcpp_rest.services.downloads.source_errors import (
    ContentMismatch,
    DownloadStopped,
    SourceForbidden,
    SourceUnavailable,
)
from sdcpp_rest.services.downloads.speed_meter import SpeedMeter
from sdcpp_rest.services.downloads.stop_switch import StopSwitch
from sdcpp_rest.services.jobs.active_jobs import ActiveJob
from sdcpp_rest.services.jobs.event_bus import EventBus
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.jobs.job_reader import FILE_KINDS
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.models.model_upload import ModelUploads
from sdcpp_rest.services.pictures.outputs import Outputs

log = logging.getLogger(__name__)

# A percentage with one decimal: bytes themselves would not fit the integers of some clients.
_STEPS = 1_000
_PROGRESS_PAUSE_SECONDS = 0.25
_TROUBLE_PAUSE_SECONDS = 5.0


class HashingStopped(Conflict):
    """The reading of a file was given up by whoever had begun it."""


class DownloadLane:
    """Runs downloads and checksum jobs beside the engine, several at a time.

    Args:
        redact_paths: takes out of messages what users must not know.
        is_server: whether leftovers in the model folders may be cleared away at the start.
    """

    def __init__(
        self,
        config: DownloadsConfig,
        sources: DownloadSources,
        downloads: Downloads,
        places: DownloadPlaces,
        queue: JobQueue,
        library: ModelLibrary,
        uploads: ModelUploads,
        hashes: ModelHashes,
        outputs: Outputs,
        bus: EventBus,
        *,
        redact_paths: Callable[[str], str] = str,
        is_server: bool = True,
    ) -> None:
        self._sources = sources
        self._downloads = downloads
        self._places = places
        self._queue = queue
        self._library = library
        self._uploads = uploads
        self._hashes = hashes
        self._outputs = outputs
        self._bus = bus
        self._redact_paths = redact_paths
        self._is_server = is_server
        self._patience = TransferLimits(
            connect_seconds=config.connect_timeout_seconds,
            read_seconds=config.read_timeout_seconds,
            retries=config.retries,
            pause_seconds=config.retry_pause_seconds,
            max_bytes=config.max_bytes,
        )
        self._sums: dict[str, str] = {}
        self._running: set[ActiveJob] = set()
        self._changed = threading.Condition()
        self._calls = 0
        self._stopping = False
        turns = [("download", self._download_turn)] * config.concurrent + [("model-hash", self._hash_turn)]
        self._threads = [
            threading.Thread(target=self._loop, args=(turn,), name=f"{name}-{k}", daemon=True)
            for k, (name, turn) in enumerate(turns)
        ]

    def start(self) -> None:
        """Begin to work. The queue must have recovered: what is claimed here would look interrupted to it."""
        downloads = self._active("model_download")
        if self._is_server:
            active = [params for job in downloads if (params := read_params(job)) is not None]
            self._places.sweep(self._library.folders().values(), active)
        with self._changed:
            if self._stopping:
                return
            # What comes from now on wakes the threads; only what has waited for this start does not.
            self._calls += bool(downloads or self._active("model_hash"))
            for thread in self._threads:
                thread.start()

    def wake(self) -> None:
        """Look for work again: a job of ours came, one ended, the queue goes on."""
        with self._changed:
            self._calls += 1
            self._changed.notify_all()

    def job_finished(self, job: Job) -> None:
        """Clean up after any job that has ended. What has come of a cancelled download goes, also when it waited to be
        gone on with."""
        params = read_params(job) if job.kind == "model_download" and job.status == "cancelled" else None
        if params is not None:
            self._places.discard(params)
        if job.kind in FILE_KINDS:
            self.wake()

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Take nothing more; what runs is put back. Idempotent."""
        with self._changed:
            self._stopping = True
            running = [*self._running]
            self._changed.notify_all()
        for active in running:
            active.request_requeue()
        until = time.monotonic() + timeout_seconds
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))

    # --- the threads ------------------------------------------------------------------------------------------------

    def _loop(self, turn: Callable[[], bool]) -> None:
        seen = 0
        while True:
            with self._changed:
                while self._calls == seen and not self._stopping:
                    self._changed.wait()
                if self._stopping:
                    return
                seen = self._calls
            try:
                while turn():
                    pass
            except Exception:
                # A full disk, say: whatever it was, other jobs are waiting.
                log.exception("the lane of downloads stumbled; it goes on")
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping, _TROUBLE_PAUSE_SECONDS)
                self.wake()

    def _download_turn(self) -> bool:
        if self._stopping:
            return False
        with self._downloads.submitting:
            active = self._queue.claim({"model_download"})
        if active is None:
            return False
        self._see_through(active, self._download)
        return True

    def _hash_turn(self) -> bool:
        """The first hash job whose download has ended, whichever way."""
        if self._stopping:
            return False
        with self._downloads.submitting:
            waiting = self._queue.list(limit=0, status={"pending"}, kind="model_hash")
        for job in waiting:
            download_id = str(job.params.get("download_job_id") or "")
            download = self._find_job(download_id)
            if download is not None and download.status in ("pending", "processing"):
                continue
            if download is not None and download.status == "cancelled":
                try:
                    self._queue.cancel(job.id)
                except Conflict:
                    continue
                return True
            active = self._queue.claim_this(job.id)
            if active is None:
                continue
            if download_id and (download is None or download.status != "completed"):
                said = download.error if download is not None else "it is not there any more"
                self._queue.fail(active, "download_failed", f"The download failed: {said}", _timings(active))
            else:
                self._see_through(active, self._hash)
            return True
        return False

    def _find_job(self, job_id: str) -> Job | None:
        try:
            return self._queue.get(job_id) if job_id else None
        except JobNotFound:
            return None

    def _active(self, kind: JobKind) -> list[Job]:
        return self._queue.list(limit=0, kind=kind)

    # --- one job ----------------------------------------------------------------------------------------------------

    def _see_through(self, active: ActiveJob, work: Callable[[ActiveJob, StopSwitch], tuple[str, ...]]) -> None:
        """Do a claimed job's work and write its end down. Never raises for the job's sake."""
        stop = StopSwitch()
        active.on_stop = stop.set
        with self._changed:
            self._running.add(active)
            if self._stopping:
                active.request_requeue()
        if active.stop_requested_at is not None:
            stop.set()
        try:
            warnings = work(active, stop)
        except DownloadStopped:
            self._end_stopped(active)
        except SdcppRestError as error:
            if active.stop_requested_at is not None:
                self._end_stopped(active)
            else:
                self._forget(active)
                self._queue.fail(active, error.code, self._redact_paths(error.message), _timings(active))
        except Exception as error:
            log.exception("job %s failed", active.job.id)
            self._forget(active)
            self._queue.fail(active, "internal_error", f"{type(error).__name__}: {error}", _timings(active))
        else:
            self._forget(active)
            said = (*active.job.warnings, *warnings)
            if not self._queue.complete(active, (), _timings(active), said) and active.job.kind == "model_download":
                self._take_back(active)
        finally:
            with self._changed:
                self._running.discard(active)
            self.wake()

    def _end_stopped(self, active: ActiveJob) -> None:
        if active.cancel_requested:
            self._queue.mark_cancelled(active, _timings(active))
        else:
            self._queue.requeue(active, _timings(active))

    def _take_back(self, active: ActiveJob) -> None:
        """Cancelled when the file already had its place: nobody wants it."""
        params = DownloadParams.model_validate(active.job.params)
        with contextlib.suppress(OSError):
            (self._library.folders()[params.model_type] / params.model_name).unlink(missing_ok=True)
        self._library.refresh()

    def _forget(self, active: ActiveJob) -> None:
        self._outputs.discard_inputs(active.job.id)

    def _download(self, active: ActiveJob, stop: StopSwitch) -> tuple[str, ...]:
        """Returns the warnings."""
        # Here, as wherever something is asked of a source: its libraries are a tenth of the server's memory, and most
        # servers never download.
        from sdcpp_rest.services.downloads.range_download import RangeDownload

        job, params = active.job, DownloadParams.model_validate(active.job.params)
        wanted, rule, refused = self._resolve(job, params)
        part, note = self._places.prepare(params)
        show = self._shower(active, "downloading")
        transfer = RangeDownload(wanted, part, note, rule, self._patience, stop, show)
        try:
            fetched = transfer.fetch()
        except SourceForbidden as error:
            raise refused(error) from None
        except SourceUnavailable as error:
            error.message += ". Retrying did not help; what has come is kept, and the same download goes on from there."
            raise
        if not active.mark_computed():
            raise DownloadStopped
        try:
            stored = self._uploads.take(part, wish_of(params))
        except Conflict:
            # Somebody else's file has the name by now: with overwrite, the next try finds the bytes where they are.
            transfer.keep_whole(fetched)
            raise
        except BaseException:
            transfer.discard()
            raise
        self._sums[job.id] = fetched.sha256
        return stored.warnings

    def _resolve(
        self, job: Job, params: DownloadParams
    ) -> tuple[FileToFetch, Callable[[str, int], list[str]], Callable[[SourceForbidden], SourceForbidden]]:
        """What to fetch, whom to call for it, and what a refusal means."""
        sources, url, token = self._sources, params.url, None
        rule = sources.rule
        refused: Callable[[SourceForbidden], SourceForbidden] = _as_it_is
        if params.source == "huggingface":
            rule, token = sources.huggingface_rule, sources.huggingface.token
            refused = functools.partial(sources.huggingface.forbidden, params.repo_id)
        elif params.source == "civitai":
            rule, token = sources.civitai_rule, sources.civitai.token
            refused = sources.civitai.explain_refusal
        else:
            kept = self._outputs.inputs_of(job.id) / ADDRESS_FILE
            if kept.is_file():
                url = kept.read_text(encoding="utf-8")
        return FileToFetch(url, token, params.size_bytes, params.sha256), rule, refused

    def _hash(self, active: ActiveJob, stop: StopSwitch) -> tuple[str, ...]:
        params = HashParams.model_validate(active.job.params)
        folder = self._library.folders()[params.model_type]
        file = _file_at(folder, params)
        show, meter = self._shower(active, "hashing"), SpeedMeter()
        done = 0

        def watch(count: int) -> None:
            nonlocal done
            done += count
            if stop.is_set:
                raise HashingStopped(f"The reading of {params.model_name} was given up; ask again")
            show(meter.at(done, file.size_bytes))

        stop.check()
        try:
            found = self._hashes.sum_of(file, watch)
        except EngineUnavailable:
            active.request_requeue()
            raise DownloadStopped from None
        fetched = self._sums.pop(params.download_job_id, None)
        for expected, whose in ((params.sha256, "the source says"), (fetched, "what came had")):
            if expected is not None and found != expected:
                raise ContentMismatch(
                    f"{params.model_name} is damaged on the disk: its SHA-256 is {found}, and {whose} {expected}"
                )
        return ()

    def _shower(self, active: ActiveJob, phase: Phase) -> Callable[[Transfer], None]:
        """Shows a transfer in the job, and tells of it now and then."""
        told_at = 0.0

        def show(transfer: Transfer) -> None:
            nonlocal told_at
            active.transfer = transfer
            total = transfer.total_bytes
            step = min(_STEPS, transfer.downloaded_bytes * _STEPS // total) if total else 0
            progress = active.advance(step, _STEPS, 0, phase)
            now = time.monotonic()
            if now - told_at < _PROGRESS_PAUSE_SECONDS and transfer.downloaded_bytes != total:
                return
            told_at = now
            self._bus.publish(
                TransferProgress(
                    job_id=active.job.id,
                    percentage=progress.percentage,
                    **progress.model_dump(),
                    **transfer.model_dump(),
                )
            )

        return show


def _as_it_is(error: SourceForbidden) -> SourceForbidden:
    return error


def _file_at(folder: Path, params: HashParams) -> ModelFile:
    """The very file, whether it is listed or not: the second part of a split model is not. Raises ModelNotFound."""
    path = folder / params.model_name
    try:
        status = path.stat()
    except OSError:
        raise ModelNotFound(f"Model not found: {params.model_name}", type=params.model_type) from None
    return ModelFile(
        name=params.model_name,
        type=params.model_type,
        path=str(path),
        root=str(folder),
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        file_extension=path.suffix.lower(),
    )


def _timings(active: ActiveJob) -> Timings:
    started_at = active.job.started_at or utc_now()
    return Timings(queued_seconds=max(0.0, round((started_at - active.job.created_at).total_seconds(), 6)))
