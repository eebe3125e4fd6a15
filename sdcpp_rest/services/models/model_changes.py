"""Deletes, renames and moves models of the catalogue that nothing needs, and tells everybody.

Knows the queue and the catalogue; what the engine holds it is told. How files move is `model_removal`'s business.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sdcpp_rest.core.catalog import ModelFile, ModelType
from sdcpp_rest.core.changes import note_change
from sdcpp_rest.core.events import ModelsChanged
from sdcpp_rest.core.job import Job
from sdcpp_rest.errors import Conflict, InvalidRequest
from sdcpp_rest.services.jobs.event_bus import EventBus
from sdcpp_rest.services.jobs.job_reader import FILE_KINDS, JobReader
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.services.models.model_cards import ModelCards
from sdcpp_rest.services.models.model_folders import model_type_named
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.models.model_names import check_name, check_part
from sdcpp_rest.services.models.model_removal import check_own, move_model, remove_model

_MOST_NAMED = 5


class ModelChanges:
    """Changes model files, one at a time. Thread-safe.

    Args:
        held: the paths of the files that the engine holds or will hold by itself, each with what it is there.
    """

    def __init__(
        self,
        library: ModelLibrary,
        cards: ModelCards,
        hashes: ModelHashes,
        jobs: JobReader,
        bus: EventBus,
        held: Callable[[], Mapping[str, str]],
    ) -> None:
        self._library = library
        self._cards = cards
        self._hashes = hashes
        self._jobs = jobs
        self._bus = bus
        self._held = held
        self._lock = threading.Lock()

    def delete_confirmed(self, model_type: str, name: str, confirm: str) -> ModelFile:
        """Delete the model that ``name`` means, for good, if ``confirm`` is the very name of its file.

        Raises ModelNotFound, InvalidRequest, and as `delete`.
        """
        file = self._library.find(model_type, name)
        wanted = file.name.rsplit("/", 1)[-1]
        if confirm != wanted:
            raise InvalidRequest(
                f"confirm must be the file's name, {wanted}: it is deleted for good", field="confirm", allowed=[wanted]
            )
        self.delete(file)
        return file

    def delete(self, file: ModelFile) -> None:
        """Delete a model for good, with what lies beside it. Raises FolderOnlyRead, and Conflict while it is needed."""
        with self._lock:
            check_own(file, self._library.folders()[file.type])
            self.refuse_if_needed(file)
            remove_model(file, self._library.folders()[file.type])
            self._look_again()
        note_change("models.file", f"{file.type}/{file.name}", None)
        self._bus.publish(ModelsChanged(change="deleted", model_name=file.name, model_type=file.type))

    def move(
        self, file: ModelFile, *, name: str | None = None, folder: str | None = None, model_type: str | None = None
    ) -> ModelFile:
        """Give a model another file name, another folder below that of its type, another type; what is ``None`` stays.

        Returns it as it is listed then. Raises FolderOnlyRead, InvalidRequest naming the field, and Conflict while it
        is needed, or when the name is taken.
        """
        kind = model_type_named("type", model_type) if model_type is not None else file.type
        there, _, own_name = file.name.rpartition("/")
        if name is not None and any(slash in name for slash in "/\\"):
            raise InvalidRequest("name: a file's name has no folders; give them as folder", field="name", value=name)
        if folder:
            there = check_name(folder, "folder")
            for part in there.split("/"):
                check_part("folder", part)
        elif folder is not None:
            there = ""
        return self.move_to(file, kind, f"{there}/{name or own_name}" if there else name or own_name)

    def move_to(self, file: ModelFile, kind: ModelType, wanted: str) -> ModelFile:
        """As `move`; ``wanted`` is the name with its folders."""
        folders = self._library.folders()
        with self._lock:
            check_own(file, folders[file.type])
            self.refuse_if_needed(file)
            name = move_model(file, folders[file.type], folders[kind], wanted)
            self._look_again()
            moved = self._library.find(kind, name)
            self._hashes.follow(file.path, moved.path)
        note_change("models.file", f"{file.type}/{file.name}", f"{kind}/{moved.name}")
        before = {"previous_name": file.name, "previous_type": file.type}
        self._bus.publish(ModelsChanged(change="moved", model_name=moved.name, model_type=kind, **before))
        return moved

    def refuse_if_needed(self, file: ModelFile) -> None:
        """Raise Conflict when the engine holds a file of the model, or a job that waits or runs needs one."""
        own = {file.path, *file.parts}
        real = {os.path.realpath(path) for path in own}
        for path, what in self._held().items():
            if path in own or os.path.realpath(path) in real:
                raise Conflict(f"{file.name} is {what}; load another one or unload it first", used_as=what)
        # Of none: all that wait or run, and no other.
        needing = [job.id for job in self._jobs.list(limit=0) if _needs(job, file, own)]
        if needing:
            raise Conflict(
                f"{len(needing)} job(s) that wait or run need {file.name}: {', '.join(needing[:_MOST_NAMED])}",
                jobs=needing[:_MOST_NAMED],
            )

    def _look_again(self) -> None:
        self._library.refresh()
        self._cards.refresh()


def _needs(job: Job, file: ModelFile, paths: set[str]) -> bool:
    if job.kind in FILE_KINDS:
        # It is being written, or summed.
        return (job.params.get("model_type"), job.params.get("model_name")) == (file.type, file.name)
    spec = job.load_spec.model_dump(mode="json") if job.load_spec is not None else None
    return any(text in paths for text in _texts([job.params, spec]))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)
