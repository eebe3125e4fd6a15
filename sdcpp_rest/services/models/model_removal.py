"""Deletes and renames model files, with all that lies beside them: sidecar, notes and previews.

Only in the user's own folders, and a file of several parts only as a whole. Whether a model is in use is the caller's
to say. Must not know the queue.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.errors import Conflict, InvalidRequest
from sdcpp_rest.services.models.files_beside import NOTES_ENDING, PREVIEW_ENDINGS, SIDECAR_ENDING
from sdcpp_rest.services.models.model_names import check_name

_BESIDE = (SIDECAR_ENDING, NOTES_ENDING, *PREVIEW_ENDINGS)


def remove_model(file: ModelFile, own_folder: Path) -> None:
    """Delete a model and what lies beside it; of a link, the link. Raises InvalidRequest for one that does not lie in
    ``own_folder``, Conflict when the disk refuses."""
    check_own(file, own_folder)
    try:
        for path in file.parts or (file.path,):
            os.unlink(path)
    except OSError as error:
        raise Conflict(f"{file.name} cannot be deleted: {error.strerror or error}") from error
    for path, _ in _files_beside(file):
        _try_unlink(path)


def rename_model(file: ModelFile, own_folder: Path, name: str) -> None:
    """Give a model another name in the same folder of its type (``name`` may have folders; without an ending it keeps
    its own). Raises InvalidRequest, Conflict when that name is taken or the disk refuses."""
    check_own(file, own_folder)
    if file.parts:
        raise InvalidRequest(f"{file.name} has several parts, which name each other: merge it first", field="name")
    wanted = check_name(name, "name").removesuffix(file.file_extension)
    target = own_folder / f"{wanted}{file.file_extension}"
    if any(part.startswith(".") for part in wanted.split("/")):
        raise InvalidRequest(f"name: {name[:80]!r} would be hidden", field="name")
    if not Path(os.path.realpath(target.parent)).is_relative_to(os.path.realpath(own_folder)):
        raise InvalidRequest(f"name: {name[:80]!r} leads out of the folder of its type", field="name")
    if os.path.lexists(target):
        raise Conflict(f"There is a model {wanted}{file.file_extension} already")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(file.path, target)
        for path, ending in _files_beside(file):
            os.replace(path, str(target)[: -len(file.file_extension)] + ending)
    except OSError as error:
        raise Conflict(f"{file.name} cannot be renamed: {error.strerror or error}") from error


def check_own(file: ModelFile, own_folder: Path) -> None:
    """Raise InvalidRequest unless a model lies in the user's own folder: all others are only read."""
    folder = os.path.realpath(os.path.dirname(file.path))
    if not Path(folder).is_relative_to(os.path.realpath(own_folder)):
        raise InvalidRequest("That model lies in a folder that is only read.", field="model")


def _files_beside(file: ModelFile) -> Iterator[tuple[str, str]]:
    stem = file.path[: -len(file.file_extension)]
    for ending in _BESIDE:
        if os.path.lexists(stem + ending):
            yield stem + ending, ending


def _try_unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        # What is left names a model that is gone, and is read by nobody.
        return
