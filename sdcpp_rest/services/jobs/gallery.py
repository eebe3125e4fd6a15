"""Lists, marks, deletes and restores pictures, of all jobs and of none.

A picture that is deleted goes into the recycle bin by itself; with the last one that a job shows the whole job goes
there. Knows no request.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from sdcpp_rest.core.events import GalleryChanged
from sdcpp_rest.core.gallery import (
    Board,
    Facet,
    GalleryFilter,
    GalleryOrder,
    GalleryPicture,
    Marks,
    PictureRow,
    Seat,
    original_path,
    path_in_bin,
)
from sdcpp_rest.core.job import utc_now
from sdcpp_rest.errors import JobNotFound, OutputNotFound, SdcppRestError
from sdcpp_rest.services.jobs.event_bus import EventBus
from sdcpp_rest.services.jobs.job_reader import JobReader
from sdcpp_rest.services.jobs.recycle_bin import RecycleBin
from sdcpp_rest.services.pictures.gallery_index import GalleryIndex
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.services.pictures.picture_bin import PictureBin
from sdcpp_rest.services.settings.user_settings import UserSettings
from sdcpp_rest.store.gallery_store import GalleryStore

log = logging.getLogger(__name__)

MOST_PICTURES = 10_000
"""How many pictures one call may be about."""
MOST_BOARDS = 1000
_TOLD_IDS = 100

Change = Literal["marked", "deleted", "restored", "purged", "boards"]
Refused = dict[int, str]


class Gallery:
    """Shows and changes the pictures of the output folder.

    Thread-safe: files are moved one at a time.

    Args:
        now: the wall clock; a test brings its own.
    """

    def __init__(
        self,
        store: GalleryStore,
        index: GalleryIndex,
        outputs: Outputs,
        jobs: JobReader,
        bin: RecycleBin,
        settings: UserSettings,
        bus: EventBus,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.index = index
        self._store = store
        self._outputs = outputs
        self._jobs = jobs
        self._job_bin = bin
        self._picture_bin = PictureBin(outputs)
        self._settings = settings
        self._bus = bus
        self._now = now
        self._lock = threading.Lock()

    @property
    def _pictures(self) -> GalleryStore:
        """The store, with all that was published by now."""
        self.index.settle()
        return self._store

    # --- looking -----------------------------------------------------------------------------------------------------

    def page(
        self, wanted: GalleryFilter, order: GalleryOrder, limit: int, after: Seat | None = None, offset: int = 0
    ) -> list[GalleryPicture]:
        """Pictures that pass, after the one at ``after``, or ``offset`` of them left out."""
        return self._pictures.page(wanted, order, limit, after, offset)

    def count(self, wanted: GalleryFilter) -> int:
        """How many pass."""
        return self._pictures.count(wanted)

    def folded_page(
        self, wanted: GalleryFilter, order: GalleryOrder, limit: int, after: Seat | None = None, offset: int = 0
    ) -> list[PictureRow]:
        """As `page`, with one row for those that belong together."""
        return self._pictures.folded_page(wanted, order, limit, after, offset)

    def count_folded(self, wanted: GalleryFilter) -> tuple[int, int]:
        """How many rows `folded_page` has in all, and how many pictures those are."""
        return self._pictures.count_folded(wanted)

    def get(self, picture_id: int) -> GalleryPicture:
        """Raises NotFound."""
        return self._pictures.get(picture_id)

    def select(self, wanted: GalleryFilter) -> list[int]:
        """The ids of those that pass, newest first, `MOST_PICTURES` and one more at most."""
        return self._pictures.ids(wanted, MOST_PICTURES + 1)

    def files_of(self, ids: Sequence[int]) -> Iterator[tuple[GalleryPicture, Path | None]]:
        """Pictures and their files, in the order of the ids; no file for one that is deleted or has vanished."""
        for picture in self._pictures.get_many(ids):
            try:
                yield picture, self._outputs.path_of(picture.facts.path) if picture.place == "shown" else None
            except SdcppRestError:
                yield picture, None

    def days(self, wanted: GalleryFilter, zone_minutes: int, *, is_folded: bool = False) -> list[tuple[int, int]]:
        """Days since 1970 with pictures that pass, in a zone so far east of UTC, and how many; newest first.
        ``is_folded``: the rows of `folded_page`."""
        return self._pictures.days(wanted, zone_minutes, is_folded=is_folded)

    def facets(self, wanted: GalleryFilter, limit: int) -> dict[str, list[Facet]]:
        """By ``models``, ``loras``, ``architectures`` and ``kinds``: which values those that pass have."""
        return self._pictures.facets(wanted, limit)

    # --- marks -------------------------------------------------------------------------------------------------------

    def mark(self, ids: Sequence[int], marks: Marks) -> list[int]:
        """Note something of pictures; returns of which ones. Raises Conflict for one board too many."""
        changed = self._pictures.mark(ids, marks, self._now(), MOST_BOARDS)
        self._tell("marked", changed)
        return changed

    def boards(self) -> list[Board]:
        """All boards, by name."""
        return self._pictures.boards()

    def put_board(self, name: str) -> bool:
        """Make a board; False where it is there. Raises Conflict for one too many."""
        is_new = self._pictures.put_board(name, self._now(), MOST_BOARDS)
        self._tell("boards")
        return is_new

    def rename_board(self, name: str, to: str) -> None:
        """Give a board another name. Raises NotFound, Conflict."""
        self._pictures.rename_board(name, to)
        self._tell("boards")

    def drop_board(self, name: str) -> None:
        """Forget a board; its pictures stay. Raises NotFound."""
        self._pictures.drop_board(name)
        self._tell("boards")

    # --- the bin -----------------------------------------------------------------------------------------------------

    def delete(self, ids: Sequence[int]) -> tuple[list[int], Refused]:
        """Delete pictures, into the recycle bin or, when that is off, for good.

        Returns the ids of those that are deleted, and why the others are not.
        """
        done: list[int] = []
        with self._lock:
            chosen = [picture for picture in self._pictures.get_many(ids) if picture.place == "shown"]
            refused = dict.fromkeys(
                set(ids) - {picture.id for picture in chosen}, "It is not there, or deleted already"
            )
            whole = self._whole_jobs(chosen)
            for job_id, pictures in whole.items():
                _, faults = self._job_bin.delete([job_id])
                if faults:
                    refused |= {picture.id: faults[job_id] for picture in pictures}
                else:
                    done += [picture.id for picture in pictures]
            for picture in chosen:
                if picture.facts.job_id not in whole:
                    self._attempt(self._delete_one, picture, done, refused)
        self._tell("deleted", done)
        return done, refused

    def restore(self, ids: Sequence[int]) -> tuple[list[int], Refused]:
        """Bring deleted pictures back to where they were. Returns as `delete`."""
        done: list[int] = []
        with self._lock:
            chosen = [picture for picture in self._pictures.get_many(ids) if picture.place != "shown"]
            refused = dict.fromkeys(set(ids) - {picture.id for picture in chosen}, "It is not in the recycle bin")
            # The jobs first: what went by itself comes back into a job's folder.
            for picture in sorted(chosen, key=lambda one: one.place != "job_bin"):
                self._attempt(self._restore_one, picture, done, refused)
        self._tell("restored", done)
        return done, refused

    def purge_expired(self) -> int:
        """Remove what has been in the bin by itself for longer than it is kept; returns how many pictures that were."""
        kept = timedelta(minutes=self._settings.recycle_bin().retention_minutes)
        return self._purge(self._now() - kept)

    def empty_bin(self) -> int:
        """Remove everything for good that is in the bin by itself; returns how many pictures that were."""
        return self._purge()

    def _purge(self, deleted_before: datetime | None = None) -> int:
        done: list[int] = []
        with self._lock:
            for picture in self._pictures.in_bin(deleted_before):
                self._attempt(self._purge_one, picture, done, {})
        self._tell("purged", done)
        return len(done)

    def _whole_jobs(self, chosen: Sequence[GalleryPicture]) -> dict[str, list[GalleryPicture]]:
        """The jobs of which nothing would be shown any more, with what is."""
        by_job: dict[str, list[GalleryPicture]] = {}
        for picture in chosen:
            if picture.facts.job_id is not None:
                by_job.setdefault(picture.facts.job_id, []).append(picture)
        known = self._jobs.get_many(list(by_job))
        ids = {picture.id for picture in chosen}
        return {
            job_id: pictures
            for job_id, pictures in by_job.items()
            if job_id in known and all(one.id in ids for one in self._pictures.of_job(job_id) if one.place == "shown")
        }

    def _attempt(
        self,
        move: Callable[[GalleryPicture], None],
        picture: GalleryPicture,
        done: list[int],
        refused: Refused,
    ) -> None:
        try:
            move(picture)
            done.append(picture.id)
        except SdcppRestError as error:
            refused[picture.id] = error.message
        except FileExistsError:
            refused[picture.id] = "Another file of its name is there by now"
        except FileNotFoundError:
            refused[picture.id] = "Its folder is gone; where its job is in the recycle bin, restore that first"
        except OSError as error:
            refused[picture.id] = f"The disk refuses: {error.strerror or error}"

    def _delete_one(self, picture: GalleryPicture) -> None:
        path = picture.facts.path
        if not self._settings.recycle_bin().enabled:
            self._outputs.remove(path)
            return
        with self.index.lock:
            try:
                self._picture_bin.put(path, picture.id)
            except OutputNotFound:
                self._pictures.drop(picture, path)
                raise
            self._pictures.move(picture.id, "bin", path_in_bin(picture.id, path), self._now())

    def _restore_one(self, picture: GalleryPicture) -> None:
        if picture.place == "job_bin":
            try:
                self._job_bin.restore(str(picture.facts.job_id))
            except JobNotFound:
                # With a picture of the same job, a moment ago.
                if self._pictures.get(picture.id).place != "shown":
                    raise
            return
        path = original_path(picture.id, picture.facts.path)
        with self.index.lock:
            self._picture_bin.restore(path, picture.id)
            self._pictures.move(picture.id, "shown", path)

    def _purge_one(self, picture: GalleryPicture) -> None:
        self._picture_bin.purge(picture.id)
        self._pictures.drop(picture, original_path(picture.id, picture.facts.path))

    def _tell(self, change: Change, ids: Sequence[int] = ()) -> None:
        if not ids and change != "boards":
            return
        self._bus.publish(GalleryChanged(change=change, ids=tuple(ids[:_TOLD_IDS]), count=len(ids)))
