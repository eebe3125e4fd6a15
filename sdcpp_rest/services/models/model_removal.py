"""Deletes, renames and moves model files, with all that lies beside them: sidecar, notes and previews.

Only in the user's own folders, and a file of several parts only as a whole. Whether a model is in use is the caller's
to say. Must not know the queue.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sdcpp_rest.core.catalog import EXTENSIONS, ModelFile, part_name
from sdcpp_rest.errors import Conflict, InvalidRequest
from sdcpp_rest.services.models.files_beside import list_beside, stem_path
from sdcpp_rest.services.models.model_names import check_name, check_part

_MAX_DEPTH = 9
_OTHER_ENDINGS = EXTENSIONS | {".json", ".txt", ".yaml", ".info", ".png", ".jpg", ".jpeg", ".webp", ".part"}


class FolderOnlyRead(InvalidRequest):
    """The model lies in a folder where nothing is ever changed: another program's, or the bundled one."""

    code = "folder_only_read"
    status = 403


def remove_model(file: ModelFile, own_folder: Path) -> None:
    """Delete a model and what lies beside it, unless another model of that name has a share in it; of a link, the link.
    Raises FolderOnlyRead for one that does not lie in ``own_folder``, Conflict when the disk refuses."""
    check_own(file, own_folder)
    try:
        beside = [] if _shares_its_name(file) else [path for path, _ in list_beside(file)]
        for path in _own_paths(file):
            os.unlink(path)
    except OSError as error:
        raise Conflict(f"{file.name} cannot be deleted: {error.strerror or error}") from error
    for path in (*beside, *_index_of(file)):
        # What is left names a model that is gone, and is read by nobody.
        with suppress(OSError):
            os.unlink(path)


def move_model(file: ModelFile, own_folder: Path, target_folder: Path, name: str) -> str:
    """Give a model another name below ``target_folder`` (``name`` may have folders; the file keeps its ending),
    with all its parts and what lies beside it, or leave everything as it is. Returns its name there.

    Raises FolderOnlyRead, InvalidRequest, Conflict when that name is taken or the disk refuses.
    """
    check_own(file, own_folder)
    wanted = _check_new_name(file, name)
    target = target_folder / f"{wanted}{file.file_extension}"
    if not Path(os.path.realpath(target.parent)).is_relative_to(os.path.realpath(target_folder)):
        raise InvalidRequest(f"name: {name[:80]!r} leads out of the folder of its type", field="name")
    try:
        moves = _plan(file, str(target))
        for move in moves:
            if os.path.lexists(move.target) and not _is_same(move):
                raise Conflict(f"There is a file {os.path.basename(move.target)} already", field="name")
        target.parent.mkdir(parents=True, exist_ok=True)
        _carry_out(moves)
    except OSError as error:
        raise Conflict(f"{file.name} cannot be renamed: {error.strerror or error}") from error
    return os.path.join(os.path.dirname(wanted), os.path.basename(moves[0].target)).replace(os.sep, "/")


def check_own(file: ModelFile, own_folder: Path) -> None:
    """Raise FolderOnlyRead unless a model lies in the user's own folder: all others are only read."""
    folder = os.path.realpath(os.path.dirname(file.path))
    if not Path(folder).is_relative_to(os.path.realpath(own_folder)):
        raise FolderOnlyRead("That model lies in a folder that is only read.", field="model")


class _Move(NamedTuple):
    """One file on its way; ``is_shared``: another model keeps it."""

    source: str
    target: str
    is_shared: bool = False


def _check_new_name(file: ModelFile, name: str) -> str:
    """``name`` without the model's own ending. Raises InvalidRequest."""
    wanted = check_name(name, "name")
    stem, ending = os.path.splitext(wanted)
    if ending.lower() == file.file_extension:
        wanted = stem
    elif ending.lower() in _OTHER_ENDINGS:
        raise InvalidRequest(
            f"name: {name[:80]!r} has another ending than the file, which keeps its own: {file.file_extension}",
            field="name",
            value=name[:200],
        )
    parts = wanted.split("/")
    if len(parts) > _MAX_DEPTH:
        raise InvalidRequest(f"name: at most {_MAX_DEPTH - 1} folders deep", field="name")
    for part in parts:
        if part.startswith("."):
            raise InvalidRequest(f"name: {name[:80]!r} would be hidden", field="name")
        check_part("name", part)
    whole = part_name(f"{parts[-1]}{file.file_extension}")
    if whole is not None and file.parts:
        parts[-1] = whole.base.removesuffix(file.file_extension)
    return "/".join(parts)


def _plan(file: ModelFile, target: str) -> list[_Move]:
    """What moves where, the file that stands for the model first. ``target``: the path of the whole."""
    stem, ending = os.path.splitext(target)
    if file.parts:
        moves = _plan_parts(file, stem, ending)
    else:
        moves = [_Move(file.path, target)]
    new_stem = moves[0].target.removesuffix(".index.json")[: -len(ending)]
    is_shared = _shares_its_name(file)
    return [*moves, *(_Move(path, new_stem + end, is_shared) for path, end in list_beside(file))]


def _plan_parts(file: ModelFile, stem: str, ending: str) -> list[_Move]:
    numbered = [part_name(os.path.basename(path)) for path in file.parts]
    index = [*_index_of(file)] if file.path in file.parts else [file.path]
    folder = os.path.dirname(stem)
    whole = numbered[0].base if numbered[0] is not None else os.path.basename(file.name)
    if index and os.path.basename(stem) + ending != whole:
        raise InvalidRequest(
            f"{file.name} has several parts, which {os.path.basename(index[0])} names: it can be moved, not renamed",
            field="name",
        )
    moves = []
    for path, part in zip(file.parts, numbered, strict=True):
        name = os.path.basename(path) if index or part is None else _part_of(stem, part.number, part.total) + ending
        moves.append(_Move(path, os.path.join(folder, os.path.basename(name))))
    beside = [_Move(path, os.path.join(folder, os.path.basename(path))) for path in index]
    return [*moves, *beside] if file.path in file.parts else [*beside, *moves]


def _part_of(stem: str, number: int, total: int) -> str:
    return f"{stem}-{number:05d}-of-{total:05d}"


def _own_paths(file: ModelFile) -> tuple[str, ...]:
    """Every file that the model is made of, the one that stands for it first."""
    return tuple(dict.fromkeys((file.path, *file.parts)))


def _index_of(file: ModelFile) -> Iterator[str]:
    """The index that lies beside parts with numbers, where there is one."""
    part = part_name(os.path.basename(file.path))
    if part is not None and file.parts:
        path = os.path.join(os.path.dirname(file.path), f"{part.base}.index.json")
        if os.path.lexists(path):
            yield path


def _shares_its_name(file: ModelFile) -> bool:
    """Whether another model's file differs from this one's by the ending alone: what lies beside belongs to both."""
    stem = stem_path(file)
    return any(
        os.path.lexists(stem + ending) and stem + ending not in _own_paths(file)
        for ending in EXTENSIONS - {file.file_extension}
    )


def _is_same(move: _Move) -> bool:
    """Whether both names mean one file: another case, on a disk that does not care."""
    return move.source.lower() == move.target.lower() and os.path.samefile(move.source, move.target)


def _carry_out(moves: list[_Move]) -> None:
    """Do all of it, or undo what was done. Raises OSError."""
    done: list[_Move] = []
    try:
        for move in moves:
            if move.is_shared:
                shutil.copy2(move.source, move.target)
            else:
                os.rename(move.source, move.target)
            done.append(move)
    except OSError:
        for move in reversed(done):
            with suppress(OSError):
                os.unlink(move.target) if move.is_shared else os.rename(move.target, move.source)
        raise
