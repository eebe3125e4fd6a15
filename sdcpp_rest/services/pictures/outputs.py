"""Moves pictures between their folders: the spool of running jobs, the output folder of finished ones, the bin, the
input images.

A job's folder appears in the output folder in one rename, with ``config.json`` (written last) already in it: a folder
with that file is whole, and nothing else is ever listed. It leaves in one rename, too: nobody sees half of one. Knows
nothing of the queue.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sdcpp_rest.core.job import Failure
from sdcpp_rest.durable_files import make_folder, replace_file, sync_contents, sync_folder
from sdcpp_rest.engine.spool import ENCODED_NAME, FAILURE_NAME
from sdcpp_rest.errors import InvalidRequest, OutputNotFound
from sdcpp_rest.services.pictures.moving_files import erase, move, place

SPOOL_NAME = ".spool"
BIN_NAME = ".bin"
THUMBS_NAME = ".thumbs"
RECORD_NAME = "config.json"
_MAX_RECORD_BYTES = 256 * 1024


@dataclass(frozen=True)
class Entry:
    """One file or folder of a listing. ``name`` may hold lone surrogates, where the disk's bytes are no UTF-8;
    ``modified_ns`` is in nanoseconds since 1970; folders have no size."""

    name: str
    is_folder: bool
    size_bytes: int
    modified_ns: int

    @property
    def version(self) -> str:
        """What changes when the file is replaced by another one."""
        return version_of(self.size_bytes, self.modified_ns)


class OutputWatcher(Protocol):
    """Hears what becomes of outputs, on the thread that did it, after it. None of these may raise.

    ``settle``: called before what was published goes out of sight; who has not looked at it yet does so now.
    """

    def settle(self) -> None: ...

    def note_published(self, job_id: str) -> None: ...

    def note_binned(self, job_id: str) -> None: ...

    def note_restored(self, job_id: str) -> None: ...

    def note_job_gone(self, job_id: str) -> None: ...

    def note_removed(self, relative: str) -> None: ...


class Outputs:
    """Publishes, lists, restores and removes files in the output folder and its neighbours.

    Args:
        output_dir: finished jobs, one folder each, named by job id. The spool and the bin lie inside, hidden, on the
        same filesystem.
        inputs_dir: decoded input images, one folder per job.
    """

    def __init__(self, output_dir: Path, inputs_dir: Path) -> None:
        self.output_dir = output_dir
        self.inputs_dir = inputs_dir
        self._spool_root = output_dir / SPOOL_NAME
        self._bin_root = output_dir / BIN_NAME
        make_folder(self._spool_root)
        make_folder(inputs_dir)
        self._watchers: list[OutputWatcher] = []

    def watch(self, watcher: OutputWatcher) -> None:
        """Have ``watcher`` told of every change from now on. For the start: not thread-safe."""
        self._watchers.append(watcher)

    def spool_of(self, job_id: str) -> Path:
        """The folder a running job's files are written to."""
        return self._spool_root / job_id

    def inputs_of(self, job_id: str) -> Path:
        return self.inputs_dir / job_id

    def publish(
        self, job_id: str, files: Iterable[str], record: Mapping[str, Any], given: Mapping[str, str] | None = None
    ) -> tuple[str, ...]:
        """Write the record, move the job's spool folder into the output folder; returns paths relative to it.

        ``given``: pictures that the job was given and that are to lie beside its own, name there -> name among the
        inputs; one that is gone is left out. When it returns, all of it survives a power cut. Raises OSError; then
        nothing of the job is visible.
        """
        spool, target = self.spool_of(job_id), self.output_dir / job_id
        for name, source in (given or {}).items():
            place(self.inputs_of(job_id) / source, spool / name)
        outputs = tuple(f"{job_id}/{name}" for name in files)
        temporary = spool / (RECORD_NAME + ".part")
        whole = {**record, "outputs": list(outputs)}
        temporary.write_text(json.dumps(whole, ensure_ascii=False, indent=2), encoding="utf-8")
        os.replace(temporary, spool / RECORD_NAME)
        # Before its name is in sight: a cut of the power must not leave half a picture under it.
        sync_contents(spool)
        # An earlier attempt may have got this far before the server was killed; this one replaces it.
        self._drop(target)
        os.replace(spool, target)
        sync_folder(self.output_dir)
        for name in (ENCODED_NAME, FAILURE_NAME):
            (target / name).unlink(missing_ok=True)
        for watcher in self._watchers:
            watcher.note_published(job_id)
        return outputs

    def retitle(self, job_id: str, title: str | None) -> None:
        """Write another title into the record of a job, if it has one. Never raises: the title in the queue counts."""
        path = self.output_dir / job_id / RECORD_NAME
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            whole = json.dumps({**record, "title": title}, ensure_ascii=False, indent=2)
            # What a broken disk or a killed server leaves of it is hidden.
            replace_file(path, whole.encode("utf-8", "replace"))
        except (OSError, ValueError, TypeError):
            return
        for watcher in self._watchers:
            watcher.note_published(job_id)

    def find_published(self, job_id: str) -> tuple[str, ...] | None:
        """The outputs of a job whose folder is whole, or ``None``."""
        try:
            record = json.loads((self.output_dir / job_id / RECORD_NAME).read_text(encoding="utf-8"))
            return tuple(str(path) for path in record["outputs"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def find_failure(self, job_id: str) -> Failure | None:
        """Why the job failed whose folder is whole all the same; ``None`` if its record tells of no failure."""
        try:
            record = json.loads((self.output_dir / job_id / RECORD_NAME).read_text(encoding="utf-8"))
            return Failure(code=record["error_code"], message=record["error"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def discard(self, job_id: str) -> None:
        """Remove a job's spool and output folders; inputs stay. Never raises."""
        self.discard_spool(job_id)
        with contextlib.suppress(OSError):
            self._drop(self.output_dir / job_id)
        for watcher in self._watchers:
            watcher.note_job_gone(job_id)

    def discard_spool(self, job_id: str) -> None:
        """Remove what a job has in the spool, also while an engine that has not heard of it still writes there."""
        spool = self.spool_of(job_id)
        gone = spool.with_name(f"{spool.name}.gone")
        try:
            # Under its old name nothing can come into it any more while it is emptied.
            os.replace(spool, gone)
        except OSError:
            gone = spool
        shutil.rmtree(gone, ignore_errors=True)

    def keep_inputs(self, job_id: str) -> None:
        """Wait until a job's inputs are on the disk, if it has any: a job that was accepted needs them. Raises
        OSError."""
        folder = self.inputs_of(job_id)
        if folder.is_dir():
            sync_contents(folder)
            sync_folder(self.inputs_dir)

    def discard_inputs(self, job_id: str) -> None:
        shutil.rmtree(self.inputs_of(job_id), ignore_errors=True)

    def sweep_inputs(self, known: Callable[[Collection[str]], Collection[str]]) -> None:
        """At start, before anybody submits: remove the inputs of jobs that never came to be. ``known``: those of some
        ids that are jobs'. Never raises."""
        with contextlib.suppress(OSError):
            names = os.listdir(self.inputs_dir)
            for name in set(names).difference(known(names)) if names else ():
                erase(self.inputs_dir / name)

    def sweep(self, keep: Iterable[str] = ()) -> None:
        """At start: remove the spool folders of everything but the jobs in ``keep``. The bin is left alone."""
        kept = set(keep)
        for folder in self._spool_root.iterdir():
            if folder.name not in kept:
                erase(folder)

    # --- the bin ----------------------------------------------------------------------------------------------------

    def bin(self, job_id: str) -> bool:
        """Move a job's folder out of sight; says whether there was one. Whatever the bin held of it is replaced.

        Raises OSError; then the folder is where it was.
        """
        source, target = self.output_dir / _plain(job_id), self._bin_root / job_id
        if not os.path.lexists(source):
            return False
        self._bin_root.mkdir(exist_ok=True)
        for watcher in self._watchers:
            watcher.settle()
        self._drop(target)
        moved = move(source, target)
        for watcher in self._watchers:
            watcher.note_binned(job_id)
        return moved

    def restore(self, job_id: str) -> bool:
        """Move a job's folder from the bin back; says whether there was one. A folder that is there already stays, and
        so does the one in the bin.

        Raises OSError; then the folder is still in the bin.
        """
        source, target = self._bin_root / _plain(job_id), self.output_dir / job_id
        moved = not os.path.lexists(target) and move(source, target)
        if moved:
            # The row follows, and must not promise what a power cut takes away.
            sync_folder(self.output_dir)
        for watcher in self._watchers:
            watcher.note_restored(job_id)
        return moved

    def purge(self, job_id: str) -> None:
        """Remove a job's folder from the bin for good. One that is not in the bin stays. Raises OSError."""
        self._drop(self._bin_root / _plain(job_id))
        for watcher in self._watchers:
            watcher.note_job_gone(job_id)

    # --- what users see ---------------------------------------------------------------------------------------------

    def remove(self, relative: str) -> None:
        """Remove a file or folder below the output folder for good; of a link, the link alone.

        Raises as `path_of` does, InvalidRequest for the output folder itself, and OSError.
        """
        target = self.locate(relative)
        self._drop(target)
        self.forget_thumbnails(target)
        for watcher in self._watchers:
            watcher.note_removed(target.relative_to(self.output_dir.resolve()).as_posix())

    def locate(self, relative: str) -> Path:
        """The file, folder or link of that name itself. Raises as `path_of` does, and InvalidRequest for the root."""
        self.path_of(relative)
        parts = [part for part in relative.replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts:
            raise InvalidRequest("The output folder itself cannot be removed")
        # Not the path that was looked at: that is where a link leads to.
        return self.path_of("/".join(parts[:-1])) / parts[-1]

    def forget_thumbnails(self, target: Path) -> None:
        """Remove what small pictures there are of a file."""
        with contextlib.suppress(OSError):
            for kept in thumbnails_of(target):
                kept.unlink(missing_ok=True)

    def entries(self, folder: Path) -> list[Entry]:
        """What is in a folder that `path_of` gave, in no order. Hidden ones, and links that lead out or to something
        hidden, are left out. Raises OutputNotFound when the folder is gone or not readable."""
        try:
            return list(self._entries(folder))
        except OSError:
            raise OutputNotFound(f"Not found: {folder.name}") from None

    def title_of(self, folder: Path) -> str | None:
        """What a job is called by the record in its folder: its title, or else its prompt. ``None`` for other folders,
        and for a record that is damaged or too large to be one."""
        path = folder / RECORD_NAME
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_RECORD_BYTES:
                return None
            record = json.loads(path.read_text(encoding="utf-8"))
            title = record.get("title") or record["params"]["prompt"]
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None
        # Half of an emoji can be written in JSON and cannot be sent.
        return title.encode("utf-8", "replace").decode() if isinstance(title, str) and title else None

    def _entries(self, folder: Path) -> Iterator[Entry]:
        with os.scandir(folder) as found:
            for entry in found:
                if entry.name.startswith("."):
                    continue
                try:
                    if entry.is_symlink():
                        # Size and date of what lies outside are nobody's business.
                        self._check_inside(Path(entry.path).resolve(strict=True))
                    status = entry.stat()
                except (OSError, RuntimeError, InvalidRequest, OutputNotFound):
                    # Removed between the listing and the look, or a link to nowhere.
                    continue
                is_folder = stat.S_ISDIR(status.st_mode)
                if is_folder or stat.S_ISREG(status.st_mode):
                    yield Entry(entry.name, is_folder, 0 if is_folder else status.st_size, status.st_mtime_ns)

    def path_of(self, relative: str) -> Path:
        """An existing file or folder below the output folder, hidden ones excluded.

        Raises InvalidRequest for a path that tries to leave it, OutputNotFound for one that is not there.
        """
        parts = relative.replace("\\", "/").split("/")
        if ".." in parts or "\0" in relative or relative.startswith(("/", "\\")) or ":" in parts[0]:
            raise InvalidRequest("Invalid path")
        if any(part.startswith(".") and part != "." for part in parts):
            raise OutputNotFound(f"Not found: {relative}")
        root = self.output_dir.resolve()
        try:
            path = root.joinpath(*parts).resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            raise OutputNotFound(f"Not found: {relative}") from None
        self._check_inside(path)
        if not (path.is_file() or path.is_dir()):
            # Opening a pipe waits for a writer, for ever.
            raise OutputNotFound(f"Not found: {relative}")
        return path

    def _check_inside(self, path: Path) -> None:
        """Raises InvalidRequest for a resolved path that is not below the output folder, OutputNotFound for one that is
        hidden: a link may lead to either."""
        root = self.output_dir.resolve()
        if path != root and root not in path.parents:
            raise InvalidRequest("Invalid path")
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            raise OutputNotFound(f"Not found: {path.name}")

    def _drop(self, path: Path) -> None:
        """Remove a file or folder, if it is there: first out of sight in one rename, then for good.

        Somebody may be writing a thumbnail into the folder: emptied where it is, it would come back half empty. What
        is left of it when the server is killed meanwhile goes with the next sweep. Raises OSError.
        """
        hidden = self._spool_root / f"{uuid.uuid4().hex}.gone"
        try:
            if move(path, hidden):
                # What was deleted must not be back after a power cut: its row is gone for good.
                sync_folder(path.parent)
                erase(hidden)
        except OSError:
            # No rename from here to there: the spool was removed, or the folder is another disk.
            erase(path)
            if os.path.lexists(path):
                raise


def version_of(size_bytes: int, modified_ns: int) -> str:
    """What tells a file from the one that takes its place."""
    return f"{size_bytes:x}-{modified_ns:x}"


def is_version_of(path: Path, version: str) -> bool:
    """Whether the file is still the one of that version."""
    try:
        status = path.stat()
    except OSError:
        return False
    return version == version_of(status.st_size, status.st_mtime_ns)


def thumbnail_of(path: Path, ending: str = ".jpg") -> Path:
    """Where a thumbnail of a file is kept; ``ending`` says which."""
    return path.parent / THUMBS_NAME / f"{path.name}{ending}"


def thumbnails_of(path: Path) -> list[Path]:
    """Every thumbnail of a file that is kept. Raises OSError."""
    folder = path.parent / THUMBS_NAME
    if not folder.is_dir():
        return []
    # Behind the name come a dot, what the thumbnail is like, and its ending: "a.png" must not take "a.png.png" along.
    kept = re.compile(re.escape(path.name) + r"(\.(cover|inside)\d+)?\.(jpg|webp)")
    return [one for one in folder.iterdir() if kept.fullmatch(one.name)]


def _plain(job_id: str) -> str:
    """``job_id`` as the name of a folder. An empty one would stand for the folder of all jobs."""
    if not job_id or job_id.startswith(".") or "/" in job_id or "\0" in job_id:
        raise ValueError(f"no job id: {job_id!r}")
    return job_id
