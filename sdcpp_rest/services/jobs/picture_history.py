"""Shows finished pictures as files in folders, under names that stay: for clients that think in paths.

The folders are not on the disk; names are given when they are first needed. A star keeps a picture when its original is
deleted, as a copy would. Knows jobs and their outputs; must not know how a dialect spells its names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdcpp_rest.core.job import Job
from sdcpp_rest.core.named_picture import NamedPicture
from sdcpp_rest.errors import Conflict, JobNotFound, NotFound
from sdcpp_rest.services.jobs.job_reader import JobReader
from sdcpp_rest.services.jobs.recycle_bin import RecycleBin
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.store.picture_names import PictureNames

_NAMED_AT_ONCE = 200
Spell = Callable[[Job, str], tuple[str, str]]
"""Makes the name of a job's output, apart from its ending, of the job and the ending of the file."""
_MOST_SUFFIXES = 10_000


@dataclass(frozen=True)
class HistoryPicture:
    """A picture of the history and the job it came of."""

    name: NamedPicture
    job: Job


class PictureHistory:
    """Names, finds, lists, stars and deletes finished pictures.

    Thread-safe.

    Args:
        settle_gallery: has the index of pictures know all that was published: a star is noted there as well.
    """

    def __init__(
        self,
        names: PictureNames,
        jobs: JobReader,
        outputs: Outputs,
        bin: RecycleBin,
        settle_gallery: Callable[[], None] = lambda: None,
    ) -> None:
        self._names = names
        self._settle_gallery = settle_gallery
        self._jobs = jobs
        self._outputs = outputs
        self._bin = bin

    def name_outputs(self, job: Job, spell: Spell) -> list[str]:
        """The names of a job's outputs, in their order. ``spell`` makes a name; one that is
        taken gets a number."""
        return self._names.assign(_outputs_of(job, spell))

    def name_all(self, spell: Spell) -> None:
        """Name the outputs of all jobs that have none yet."""
        while job_ids := self._names.unnamed_jobs(_NAMED_AT_ONCE):
            jobs = self._jobs.get_many(job_ids)
            if not jobs:
                return
            self._names.assign(one for job_id in job_ids if job_id in jobs for one in _outputs_of(jobs[job_id], spell))

    def find(self, path: str, *, starred: bool = False) -> HistoryPicture:
        """The picture of that name, or its starred copy. Raises NotFound."""
        named = self._names.find(path)
        if named is None or not (named.is_starred if starred else named.is_present):
            raise NotFound("There is no picture of that name")
        try:
            job = self._jobs.get(named.job_id)
        except JobNotFound:
            self._names.forget_job(named.job_id)
            raise NotFound("There is no picture of that name") from None
        if named.output >= len(job.outputs):
            raise NotFound("There is no picture of that name")
        return HistoryPicture(named, job)

    def file_of(self, found: HistoryPicture) -> Path:
        """The file of a picture. Raises NotFound when it is gone."""
        return self._outputs.path_of(found.job.outputs[found.name.output])

    def list_below(self, folder: str, limit: int) -> list[NamedPicture]:
        """Names below a folder (empty: all), the last one first."""
        return self._names.list_below(folder, limit)

    def jobs_of(self, job_ids: Sequence[str]) -> dict[str, Job]:
        """The jobs of pictures, by id; without those that are gone."""
        return self._jobs.get_many(job_ids)

    def toggle_star(self, path: str) -> bool:
        """Star a picture, or take its star; returns whether it has one now. A starred copy that is the only one left
        becomes the original again. Raises NotFound."""
        named = self._names.find(path)
        if named is None:
            raise NotFound("There is no picture of that name")
        self._settle_gallery()
        self._names.mark(path, is_present=True, is_starred=not named.is_starred)
        return not named.is_starred

    def delete(self, path: str, *, starred: bool = False) -> None:
        """Delete a picture, or its starred copy; what is left of it stays. With the last picture of a job the job goes
        into the recycle bin. Raises NotFound, Conflict."""
        found = self.find(path, starred=starred)
        is_present = found.name.is_present and starred
        is_starred = found.name.is_starred and not starred
        if is_present or is_starred:
            self._names.mark(path, is_present=is_present, is_starred=is_starred)
            return
        if len(found.job.outputs) > 1:
            self._outputs.remove(found.job.outputs[found.name.output])
        else:
            self._delete_job(found.job.id)
        self._names.mark(path, is_present=False, is_starred=False)

    def _delete_job(self, job_id: str) -> None:
        _, refused = self._bin.delete([job_id])
        if refused:
            raise Conflict(refused[job_id])


def _outputs_of(job: Job, spell: Spell) -> Iterator[tuple[str, int, Iterator[str]]]:
    for output, file in enumerate(job.outputs):
        yield job.id, output, _number_names(*spell(job, Path(file).suffix))


def _number_names(base: str, ending: str) -> Iterator[str]:
    yield f"{base}{ending}"
    for number in range(1, _MOST_SUFFIXES):
        yield f"{base}-{number}{ending}"
