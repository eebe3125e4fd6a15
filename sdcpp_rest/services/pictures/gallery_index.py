"""Keeps the index of pictures equal to what lies in the output folder.

Jobs' folders are indexed soon after they are published, and before anybody looks (`GalleryIndex.settle`): a job does
not wait for it. A scan at the start and now and then finds what was put there, or taken away, by hand. A folder whose
own time has not changed is not opened. Never raises to those who publish.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from sdcpp_rest.core.job import utc_now
from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.store.gallery_store import FolderContent, GalleryStore

log = logging.getLogger(__name__)

_SCAN_EVERY_SECONDS = 300.0
# The server has better things to do while it starts.
_FIRST_SCAN_AFTER_SECONDS = 1.0
_FOLDERS_AT_ONCE = 100
_DEEPEST = 16
# A folder's time has the grain of the disk's clock: what came in the same tick would not be seen.
_SETTLED_SECONDS = 2.0
# What is published one after the other is written down at once.
_PAUSE_SECONDS = 0.25
_UNSETTLED = 0


class GalleryIndex:
    """Fills the index of pictures, and takes out of it what is gone.

    Thread-safe. An `OutputWatcher`.

    Args:
        now: the wall clock, for when a job went into the recycle bin.
    """

    def __init__(self, store: GalleryStore, outputs: Outputs, *, now: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._root = outputs.output_dir
        self._now = now
        self.lock = threading.RLock()
        """Held while a folder is read and written down: nothing in it may be moved meanwhile, nor noted as moved."""
        self._scanning = threading.Lock()
        self._stopping = threading.Event()
        self._published: dict[str, object] = {}
        self._noted = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="gallery", daemon=True)
        outputs.watch(self)

    def start(self) -> None:
        """Scan from now on, on a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, in the middle of a scan if need be. Idempotent."""
        self._stopping.set()
        self._noted.set()
        if self._thread.is_alive():
            self._thread.join()
        self.settle()

    def settle(self) -> None:
        """Index what was published and is not in the index yet. Never raises."""
        if self._published:
            self._safely(lambda: None)

    def scan(self, *, anew: bool = False) -> int:
        """Look through the output folder; returns how many pictures were read. ``anew``: forget the index first.
        One scan at a time: a second one waits."""
        with self._scanning:
            if anew:
                self._store.forget_all()
            known = self._store.scanned_folders()
            total = 0
            changed: list[tuple[str, int]] = []
            for folder, modified_ns in self._folders():
                if known.pop(folder, None) != modified_ns or modified_ns == _UNSETTLED:
                    changed.append((folder, modified_ns))
                if len(changed) >= _FOLDERS_AT_ONCE:
                    total += self._read(changed)
                    changed = []
                if self._stopping.is_set():
                    return total
            total += self._read(changed)
            self._drop(known)
            return total

    # --- as a watcher ------------------------------------------------------------------------------------------------

    def note_published(self, job_id: str) -> None:
        """Have a job's folder indexed."""
        # Each note is another object: one that comes while the folder is read has it read once more.
        self._published[job_id] = object()
        self._noted.set()

    def note_binned(self, job_id: str) -> None:
        """Hide the pictures of a job that is in the recycle bin."""
        self._safely(lambda: self._store.put_job_in_bin(job_id, self._now()))

    def note_restored(self, job_id: str) -> None:
        """Show the pictures of a job that is back."""
        self._safely(lambda: self._store.take_job_from_bin(job_id))
        # It may have been deleted before it was ever looked at: by an older version, or a server that was killed.
        self.note_published(job_id)

    def note_job_gone(self, job_id: str) -> None:
        """Forget the pictures of a job whose files are gone."""
        self._safely(lambda: self._store.drop_job(job_id))

    def note_removed(self, relative: str) -> None:
        """Forget a file or a folder."""
        self._safely(lambda: self._store.drop_below(relative))

    # --- inside ------------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        scan_at = time.monotonic() + _FIRST_SCAN_AFTER_SECONDS
        while not self._stopping.is_set():
            if self._noted.wait(max(0.0, scan_at - time.monotonic())):
                self._noted.clear()
                self._stopping.wait(_PAUSE_SECONDS)
                self.settle()
            if time.monotonic() < scan_at:
                continue
            scan_at = time.monotonic() + _SCAN_EVERY_SECONDS
            started = time.perf_counter()
            try:
                if found := self.scan():
                    log.info("the gallery read %d pictures in %.1f s", found, time.perf_counter() - started)
            except Exception:
                if not self._stopping.is_set():
                    log.exception("the scan of the output folder stumbled; it is tried again")

    def _read(self, folders: list[tuple[str, int]]) -> int:
        # Here, because it brings Pillow and the readers of all metadata along.
        from sdcpp_rest.services.pictures.gallery_facts import read_folder

        with self.lock:
            contents = []
            for folder, modified_ns in folders:
                try:
                    contents.append(FolderContent(folder, modified_ns, read_folder(self._root, folder)))
                except OSError as error:
                    log.debug("the folder %s cannot be read: %s", folder, error)
            return self._store.put_folders(contents) if contents else 0

    def _drop(self, folders: dict[str, int]) -> None:
        """Forget the folders that the scan has not met; one that was published meanwhile is there all the same."""
        with self.lock:
            gone = [folder for folder in folders if not os.path.isdir(self._root / folder)]
            for start in range(0, len(gone), _FOLDERS_AT_ONCE):
                self._store.drop_folders(gone[start : start + _FOLDERS_AT_ONCE])

    def _folders(self) -> Iterator[tuple[str, int]]:
        """Every folder below the output folder that is no link and not hidden, itself first, and its time."""
        waiting = [("", 0)]
        while waiting:
            folder, depth = waiting.pop()
            yield folder, self._time_of(folder)
            if depth >= _DEEPEST:
                continue
            try:
                with os.scandir(self._root / folder) as entries:
                    names = [
                        entry.name
                        for entry in entries
                        if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
                    ]
            except OSError:
                continue
            waiting += [
                (f"{folder}/{name}" if folder else name, depth + 1)
                for name in names
                if name.encode("utf-8", "replace").decode() == name
            ]

    def _time_of(self, folder: str) -> int:
        try:
            modified_ns = os.stat(self._root / folder).st_mtime_ns
        except OSError:
            return _UNSETTLED
        return modified_ns if time.time() - modified_ns / 1e9 > _SETTLED_SECONDS else _UNSETTLED

    def _read_published(self) -> None:
        """Index what was published. Under the lock: whoever finds nothing left to read has it in the index."""
        noted = dict(self._published)
        if not noted:
            return
        try:
            self._read([(job_id, self._time_of(job_id)) for job_id in noted])
        finally:
            # Also what could not be read: the next scan tries it.
            for job_id, note in noted.items():
                if self._published.get(job_id) is note:
                    del self._published[job_id]

    def _safely(self, note: Callable[[], object]) -> None:
        """Note something, after all that was published before. What cannot be noted now is found by the next scan."""
        try:
            with self.lock:
                try:
                    self._read_published()
                finally:
                    note()
        except SdcppRestError as error:
            log.warning("the gallery could not be changed: %s", error.message)
        except Exception:
            log.exception("the gallery could not be changed")
