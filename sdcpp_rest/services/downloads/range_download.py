"""Downloads one file over HTTP, in as many attempts as it takes: resumed where it was cut, hashed as it comes, stopped
at once.

Bytes lie in a partial file, and what they are part of in a small note beside it; both outlive the process. Knows
nothing of where the address came from, nor of what becomes of the file.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import requests
from urllib3.exceptions import ProtocolError

from sdcpp_rest.core.job import Transfer
from sdcpp_rest.durable_files import settle
from sdcpp_rest.services.address_check import HostUnknown
from sdcpp_rest.services.downloads.checked_connection import CheckedSession, refusal
from sdcpp_rest.services.downloads.file_to_fetch import FileToFetch, TransferLimits
from sdcpp_rest.services.downloads.first_bytes import LOOKED_AT_BYTES, fault_of_beginning, page_type
from sdcpp_rest.services.downloads.hash_thread import HashThread
from sdcpp_rest.services.downloads.source_errors import (
    ContentMismatch,
    DownloadStopped,
    SourceBusy,
    SourceTimeout,
    SourceUnavailable,
    SourceWrong,
)
from sdcpp_rest.services.downloads.speed_meter import SpeedMeter
from sdcpp_rest.services.downloads.stop_switch import AddressRule, StopSwitch
from sdcpp_rest.services.models.model_upload import check_room, disk_error

log = logging.getLogger(__name__)

_PART_BYTES = 1 << 20
_ROOM_CHECK_BYTES = 64 << 20
_MAX_NOTE_BYTES = 16 << 10
_MAX_PAUSE_SECONDS = 60.0
# A server that gives this much between two faults is worth staying with.
_PROGRESS_BYTES = 1 << 20
_SLOWEST_BYTES_PER_SECOND = 1_000
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


@dataclass(frozen=True)
class FetchedFile:
    """The file is whole, and lies in the partial file."""

    size_bytes: int
    sha256: str


class RangeDownload:
    """Downloads one file over HTTP and resumes it where it was cut.

    For one file; `fetch` may be called once.

    Args:
        part: the partial file; its folder is there.
        note: where what it is part of is remembered.
        rule: which addresses may be called.
        on_progress: called with every part that has come, and once before.
    """

    def __init__(
        self,
        wanted: FileToFetch,
        part: Path,
        note: Path,
        rule: AddressRule,
        patience: TransferLimits,
        stop: StopSwitch,
        on_progress: Callable[[Transfer], None] = lambda transfer: None,
    ) -> None:
        self._wanted = wanted
        self._part = part
        self._note = note
        self._rule = rule
        self._patience = patience
        self._stop = stop
        self._on_progress = on_progress
        self._meter = SpeedMeter()
        self._done = 0
        self._total: int | None = wanted.size_bytes
        self._validator = ""
        self._is_joined = False

    def fetch(self) -> FetchedFile:
        """Fetch the file, or what is missing of it.

        Raises DownloadStopped, and SourceUnavailable when retrying did not help (part and note stay); SourceForbidden,
        SourceNotFound, SourceWrong, ContentMismatch, HostRefused, DiskFull (they are removed).
        """
        try:
            with contextlib.ExitStack() as opened:
                try:
                    file = opened.enter_context(open(self._part, "r+b" if self._part.exists() else "w+b", buffering=0))
                except OSError as error:
                    raise disk_error(error, self._part.parent) from None
                digest = opened.enter_context(HashThread())
                self._restore(file, digest)
                fetched = self._fetch_all(file, digest)
        except (DownloadStopped, SourceUnavailable, HostUnknown):
            raise
        except BaseException:
            self.discard()
            raise
        with contextlib.suppress(OSError):
            self._note.unlink(missing_ok=True)
        return fetched

    def keep_whole(self, fetched: FetchedFile) -> None:
        """Note for the next try that the file is whole, though it could not be taken. Raises DiskFull."""
        self._done = self._total = fetched.size_bytes
        self._save_note()

    def discard(self) -> None:
        """Remove what is there of the file. Never raises."""
        for path in (self._part, self._note):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    # --- attempts ---------------------------------------------------------------------------------------------------

    def _fetch_all(self, file: BinaryIO, digest: HashThread) -> FetchedFile:
        began_anew = False
        while True:
            self._attempts(file, digest)
            fetched = FetchedFile(self._done, digest.hexdigest())
            wanted = self._wanted
            fault = None
            if wanted.size_bytes is not None and fetched.size_bytes != wanted.size_bytes:
                fault = f"{fetched.size_bytes} bytes came, and the source says {wanted.size_bytes}"
            elif wanted.sha256 is not None and fetched.sha256 != wanted.sha256.lower():
                fault = f"its SHA-256 is {fetched.sha256}, and the source says {wanted.sha256.lower()}"
            if fault is None:
                with _disk_faults(self._part):
                    os.fsync(file.fileno())
                return fetched
            if not self._is_joined or began_anew:
                raise ContentMismatch(f"The file is not what was promised: {fault}. It was removed.")
            # Put together from several answers, of which one may have been of another file, or lost in a power cut.
            log.warning("a resumed download does not match (%s); it is begun anew", fault)
            began_anew = True
            self._begin_anew(file, digest)

    def _attempts(self, file: BinaryIO, digest: HashThread) -> None:
        """Attempt after attempt until the last byte is there."""
        failures = 0
        while True:
            before = self._done
            try:
                self._attempt(file, digest)
                return
            except (SourceUnavailable, HostUnknown) as error:
                self._stop.check()
                failures = 1 if self._done - before >= _PROGRESS_BYTES else failures + 1
                if failures > self._patience.retries:
                    raise
                self._save_note()
                pause = min(_MAX_PAUSE_SECONDS, self._patience.pause_seconds * 2 ** (failures - 1))
                if isinstance(error, SourceBusy) and error.retry_after_seconds is not None:
                    pause = min(_MAX_PAUSE_SECONDS, max(pause, error.retry_after_seconds))
                log.info("%s; next attempt in %g s, from byte %d", error.message, pause, self._done)
                self._stop.wait(pause)
                self._stop.check()

    def _attempt(self, file: BinaryIO, digest: HashThread) -> None:
        if self._total is not None and self._done == self._total and self._total > 0:
            return
        patience = self._patience
        with CheckedSession(self._rule, patience.connect_seconds, patience.read_seconds, self._stop) as session:
            for _ in range(2):
                if self._done and not self._can_go_on:
                    self._begin_anew(file, digest)
                headers = {"Range": f"bytes={self._done}-"} if self._done else {}
                if headers and self._validator:
                    headers["If-Range"] = self._validator
                with session.get(self._wanted.url, headers, self._wanted.token) as answer:
                    if self._take_head(answer, file, digest):
                        self._take_body(session, answer, file, digest)
                        return
                # What is there does not go on where this answer does: once more, from the first byte.
                self._begin_anew(file, digest)
        raise SourceWrong("The source answers to a whole file with a part of it")

    @property
    def _can_go_on(self) -> bool:
        """Whether a wrong continuation would be noticed: by the source (the validator), or at the end (the sum)."""
        return bool(self._validator) or self._wanted.sha256 is not None

    def _take_head(self, answer: requests.Response, file: BinaryIO, digest: HashThread) -> bool:
        """Whether the body of ``answer`` is what is wanted next. Raises what its status means."""
        if answer.status_code == 416 and self._done:
            return False
        if answer.status_code not in (200, 206):
            raise refusal(answer)
        found = page_type(answer.headers.get("Content-Type", ""))
        if found is not None:
            raise SourceWrong(f"The address leads to a page ({found}), not to a model file")
        if answer.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
            raise SourceWrong("The source sends the file compressed, which cannot be resumed or measured")
        length = _number(answer.headers.get("Content-Length", ""))
        if answer.status_code == 206:
            match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            total = None if match is None or match[3] == "*" else int(match[3])
            # Servers that do not know If-Range answer with the rest of whatever the file is now.
            if match is None or int(match[1]) != self._done or _validator(answer) not in ("", self._validator):
                return False
            if self._total is not None and total not in (None, self._total):
                return False
            self._is_joined = self._done > 0
        else:
            total = length
            if self._done:
                self._begin_anew(file, digest)
        promised = self._wanted.size_bytes
        if total is not None and promised is not None and total != promised:
            raise ContentMismatch(f"The file has {total} bytes there, and the source says {promised}")
        self._total = total if total is not None else promised
        self._check_size(self._total or 0)
        self._validator = _validator(answer)
        check_room(self._part.parent, (self._total or 0) - self._done)
        self._save_note()
        return True

    def _take_body(
        self, session: CheckedSession, answer: requests.Response, file: BinaryIO, digest: HashThread
    ) -> None:
        self._meter.restart()
        self._tell()
        head, checked = b"", self._done > 0
        next_room_check = self._done + _ROOM_CHECK_BYTES
        slow_since, slow_bytes = time.monotonic(), self._done
        with session.faults_of(answer.url), self._cuts():
            while part := answer.raw.read1(_PART_BYTES, decode_content=False):
                self._stop.check()
                if not checked:
                    head += part
                    if len(head) < LOOKED_AT_BYTES:
                        continue
                    _check_beginning(head)
                    part, checked = head, True
                self._keep(part, file, digest)
                if self._done >= next_room_check:
                    next_room_check = self._done + _ROOM_CHECK_BYTES
                    check_room(self._part.parent, 0)
                now = time.monotonic()
                if now - slow_since > 2 * self._patience.read_seconds:
                    if self._done - slow_bytes < _SLOWEST_BYTES_PER_SECOND * (now - slow_since):
                        raise SourceTimeout("The source sends next to nothing")
                    slow_since, slow_bytes = now, self._done
        # A connection that was cut to stop the transfer looks like one that has ended.
        self._stop.check()
        if not checked:
            if self._total is None and not head:
                raise SourceUnavailable("The connection ended before the first byte")
            if self._total is None or len(head) >= self._total:
                _check_beginning(head)
            self._keep(head, file, digest)
        if self._total is not None and self._done < self._total:
            raise SourceUnavailable(f"The connection ended after {self._done} of {self._total} bytes")
        if self._total is None:
            self._total = self._done

    @contextlib.contextmanager
    def _cuts(self) -> Iterator[None]:
        try:
            yield
        except ProtocolError:
            self._stop.check()
            of = "" if self._total is None else f" of {self._total}"
            raise SourceUnavailable(f"The connection ended after {self._done}{of} bytes") from None

    def _keep(self, part: bytes, file: BinaryIO, digest: HashThread) -> None:
        self._check_size(self._done + len(part))
        if self._total is not None and self._done + len(part) > self._total:
            raise ContentMismatch(f"More than the {self._total} bytes came that the source had announced")
        waiting = memoryview(part)
        with _disk_faults(self._part):
            while waiting:
                waiting = waiting[file.write(waiting) :]
        digest.add(part)
        self._done += len(part)
        self._tell()

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._patience.max_bytes:
            raise SourceWrong(
                f"The file has more than the {self._patience.max_bytes} bytes that downloads.max_bytes allows"
            )

    def _tell(self) -> None:
        self._on_progress(self._meter.at(self._done, self._total))

    # --- what outlives the process ----------------------------------------------------------------------------------

    def _begin_anew(self, file: BinaryIO, digest: HashThread) -> None:
        with _disk_faults(self._part):
            file.seek(0)
            file.truncate()
        digest.restart()
        self._done, self._total, self._validator = 0, self._wanted.size_bytes, ""
        self._is_joined = False

    def _restore(self, file: BinaryIO, digest: HashThread) -> None:
        """Take up what an earlier process has left, if its note says what it is part of."""
        try:
            noted = json.loads(self._note.read_bytes()[:_MAX_NOTE_BYTES])
            validator, total = str(noted["validator"]), noted["total_bytes"]
        except (OSError, ValueError, KeyError, TypeError):
            validator, total = "", None
        there = os.fstat(file.fileno()).st_size
        is_whole = isinstance(total, int) and there == total
        self._validator = validator
        if not there or not (self._can_go_on or is_whole) or (isinstance(total, int) and there > total):
            self._begin_anew(file, digest)
            return
        self._is_joined = True
        self._total = total if isinstance(total, int) else self._wanted.size_bytes
        self._on_progress(Transfer(downloaded_bytes=0, total_bytes=self._total))
        with _disk_faults(self._part):
            while part := file.read(_PART_BYTES):
                self._stop.check()
                digest.add(part)
                self._done += len(part)
        self._tell()

    def _save_note(self) -> None:
        """So that the bytes can be gone on with; without a validator they cannot."""
        noted = json.dumps({"validator": self._validator, "total_bytes": self._total})
        with _disk_faults(self._note):
            beside = self._note.with_name(self._note.name + ".new")
            beside.write_text(noted, encoding="utf-8")
            settle(beside, self._note)


@contextlib.contextmanager
def _disk_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_error(error, path.parent) from None


def _check_beginning(head: bytes) -> None:
    fault = fault_of_beginning(head)
    if fault is not None:
        raise SourceWrong(f"What the source sends {fault}")


def _validator(answer: requests.Response) -> str:
    """What tells this version of the file from another: a strong ETag, else the time of its last change."""
    etag = str(answer.headers.get("ETag", ""))
    if etag and not etag.startswith("W/"):
        return etag[:1_000]
    return str(answer.headers.get("Last-Modified", ""))[:100]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
