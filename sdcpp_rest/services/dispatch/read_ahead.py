"""Reads the model of the next job into the system's file cache while the job before it is computed.

At idle priority, and only where memory allows: it must never take anything from what runs. Knows files; must not know
the engine.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.services.models.file_stamps import spec_paths

log = logging.getLogger(__name__)

# A job that is over sooner is not worth looking behind.
_SETTLE_SECONDS = 0.5
_PIECE_BYTES = 32 * 1024 * 1024
_RESERVE_SHARE = 0.1


class ReadAhead:
    """Reads ahead for one lane, on a thread of its own.

    Args:
        find_next: the model that has to be loaded for the job that will probably be next; ``None``: there is none.
    """

    def __init__(
        self,
        find_next: Callable[[], LoadSpec | None],
        *,
        read: Callable[[str, Callable[[], bool]], None] | None = None,
        settle_seconds: float = _SETTLE_SECONDS,
    ) -> None:
        self._find_next = find_next
        self._read = read or read_into_cache
        self._settle_seconds = settle_seconds
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._run = self._looked = 0
        self._is_running = self._is_asleep = self._is_closed = False
        self._last: str | None = None
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """A job is computed from now on."""
        with self._lock:
            self._run, self._is_running = self._run + 1, True
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="read-ahead", daemon=True)
                self._thread.start()
            elif self._is_asleep:
                self._changed.notify()

    def end(self) -> None:
        """It is over: the engine reads for itself now."""
        with self._lock:
            self._is_running = False

    @contextlib.contextmanager
    def while_computing(self) -> Iterator[None]:
        """Around the compute of a job."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def close(self) -> None:
        """Stop. Idempotent."""
        with self._lock:
            self._is_closed, self._is_running = True, False
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _loop(self) -> None:
        """Looks at the clock and is not woken for each job: short ones must not pay for this thread."""
        _step_behind()
        while True:
            with self._lock:
                self._is_asleep = True
                self._changed.wait_for(lambda: self._is_closed or (self._is_running and self._run != self._looked))
                self._is_asleep = False
                run = self._run
                self._changed.wait_for(lambda: self._is_closed, timeout=self._settle_seconds)
                if self._is_closed:
                    return
                if not self._is_running or self._run != run:
                    continue
                self._looked = run
            try:
                self._look()
            except Exception:
                log.exception("the next model is not read ahead")

    def _has_ended(self) -> bool:
        """Whether the job that was looked behind is over."""
        return self._is_closed or not self._is_running or self._run != self._looked

    def _look(self) -> None:
        spec = self._find_next()
        if spec is None or spec.key == self._last:
            return
        paths = [path for path in spec_paths(spec) if Path(path).is_file()]
        if not has_room(paths):
            return
        for path in paths:
            self._read(path, self._has_ended)
            if self._has_ended():
                return
        self._last = spec.key


def has_room(paths: Iterable[str]) -> bool:
    """Whether the file cache can take these files, and a good part of memory is left."""
    memory = psutil.virtual_memory()
    return bool(sum(os.path.getsize(path) for path in paths) < memory.available - memory.total * _RESERVE_SHARE)


def read_into_cache(path: str, is_over: Callable[[], bool]) -> None:
    """Read a file into the system's cache, piece by piece until ``is_over``. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        piece = None if hasattr(os, "posix_fadvise") else bytearray(_PIECE_BYTES)
        for offset in range(0, size, _PIECE_BYTES):
            if is_over():
                return
            if piece is None:
                # Costs nothing where it is in the cache already.
                os.posix_fadvise(file.fileno(), offset, _PIECE_BYTES, os.POSIX_FADV_WILLNEED)
            else:
                file.readinto(piece)


def _step_behind() -> None:
    """Let this thread come last, for the disk and for the processor."""
    thread = threading.get_native_id()
    with contextlib.suppress(OSError, psutil.Error, AttributeError, ValueError):
        os.setpriority(os.PRIO_PROCESS, thread, 19)
    with contextlib.suppress(OSError, psutil.Error, AttributeError, ValueError):
        psutil.Process(thread).ionice(psutil.IOPRIO_CLASS_IDLE)
