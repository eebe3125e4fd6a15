"""Finds model files: walks one type folder, follows links as far as it may, sees the parts of a split model as one,
notices changes.

Knows nothing of what is in the files.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sdcpp_rest.core.catalog import EXTENSIONS, INDEX_ENDING, LIST_NAMES, ModelFile, ModelType, part_name
from sdcpp_rest.errors import InvalidRequest

log = logging.getLogger(__name__)

_SETTLED_SECONDS = 2.0
_MAX_DEPTH = 16
_MAX_FOLDERS = 10_000
_LEADS_OUT = "is a link out of the model folders, and paths.follow_links is off"
_MAX_INDEX_BYTES = 16 << 20


@dataclass
class TypeFolder:
    """One type folder of one root, and what the last scan of it saw. ``incomplete`` maps the name of what is not listed
    (a split model that lacks parts, a link, a name that no list can show) to a sentence about it. ``follows_links``:
    also those that lead out of the ``allowed`` roots. ``is_extra``: another program's, where nothing is ever written.
    ``visited`` are the real folders that the last scan was in, ``passed_over`` those that it leaves to others."""

    path: Path
    allowed: tuple[Path, ...]
    type: ModelType
    files: dict[str, ModelFile] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    incomplete: dict[str, str] = field(default_factory=dict)
    is_settled: bool = False
    follows_links: bool = False
    is_extra: bool = False
    visited: frozenset[Path] = frozenset()
    passed_over: frozenset[Path] = frozenset()


def model_type_named(name: str, value: str) -> ModelType:
    """The type that ``value`` means, by its own name or its list's; ``name`` is the field to blame. InvalidRequest."""
    for kind, list_name in LIST_NAMES.items():
        if value in (kind, list_name):
            return kind
    raise InvalidRequest(
        f"{name}: {value[:80]!r} is not a model type; allowed: {', '.join(LIST_NAMES)}",
        field=name,
        value=value[:200],
        allowed=list(LIST_NAMES),
    )


def is_outside(path: Path, root: Path) -> bool:
    return path != root and root not in path.parents


def is_unchanged(folder: TypeFolder) -> bool:
    if not folder.is_settled:
        return False
    try:
        return all(os.stat(path).st_mtime_ns == mtime for path, mtime in folder.seen.items())
    except OSError:
        return False


def scan(folder: TypeFolder) -> None:
    """Read the folder again. What changed within the last moments is not trusted to stay: a second change within the
    clock's grain would leave the folder's time as it is, and a file that is being written grows without touching
    it."""
    files: dict[str, ModelFile] = {}
    incomplete: dict[str, str] = {}
    folder.seen = {}
    newest = 0
    for prefix, found in _walk(folder, incomplete):
        split = _split_models(found, incomplete, prefix)
        in_parts = {part for _, parts in split.values() for part in parts}
        for name, one in found.items():
            if name not in in_parts and part_name(name) is None and one.extension in EXTENSIONS:
                files[prefix + name] = _model_file(folder, prefix + name, one.path, (one,))
        for name, (head, parts) in split.items():
            files[prefix + name] = _model_file(
                folder, prefix + name, found[head].path, tuple(found[part] for part in parts)
            )
        newest = max([newest, *(one.status.st_mtime_ns for one in found.values())])
    for name in incomplete.keys() - folder.incomplete.keys():
        log.warning("%s in %s", incomplete[name], folder.path)
    folder.files, folder.incomplete = files, incomplete
    newest = max([newest, *folder.seen.values()])
    folder.is_settled = bool(folder.seen) and time.time() - newest / 1e9 > _SETTLED_SECONDS


class _Found(NamedTuple):
    """One file of a folder, before it is known whether it is a model or a part of one."""

    path: str
    extension: str
    status: os.stat_result


def _model_file(folder: TypeFolder, name: str, path: str, parts: tuple[_Found, ...]) -> ModelFile:
    # Built without validation: these are our own words, and a shelf of ten thousand models is read in one go.
    return ModelFile.model_construct(
        name=name,
        type=folder.type,
        path=path,
        root=str(folder.path),
        size_bytes=sum(part.status.st_size for part in parts),
        mtime_ns=max(part.status.st_mtime_ns for part in parts),
        file_extension=parts[0].extension,
        parts=tuple(part.path for part in parts) if len(parts) > 1 or parts[0].path != path else (),
        is_extra=folder.is_extra,
    )


def _walk(folder: TypeFolder, left_out: dict[str, str]) -> Iterator[tuple[str, dict[str, _Found]]]:
    """Each folder below: its prefix in the names of models, and its files by name; says in ``left_out`` what it leaves
    out."""
    # The nearest first: a folder that is reached in two ways gets the shorter name.
    pending = deque([(folder.path, "", 0)])
    visited: set[Path] = set()
    while pending:
        path, prefix, depth = pending.popleft()
        try:
            real = path.resolve()
            if real in visited or real in folder.passed_over or depth > _MAX_DEPTH:
                continue
            if len(visited) >= _MAX_FOLDERS:
                left_out[prefix] = f"{path} is not listed: there are more than {_MAX_FOLDERS} folders"
                continue
            if not _may_enter(real, folder):
                left_out[prefix.rstrip("/")] = f"{path} is not listed: it {_LEADS_OUT}"
                continue
            visited.add(real)
            folder.seen[str(path)] = os.stat(path).st_mtime_ns
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except (OSError, RuntimeError):
            continue
        found: dict[str, _Found] = {}
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not _can_be_shown(entry.name):
                if os.path.splitext(entry.name)[1].lower() in EXTENSIONS:
                    shown = ascii(entry.name)
                    left_out[prefix + shown] = f"{prefix}{shown} is not listed: its name holds what no list can show"
                continue
            try:
                if entry.is_dir():
                    pending.append((Path(entry.path), f"{prefix}{entry.name}/", depth + 1))
                    continue
                extension = os.path.splitext(entry.name)[1].lower()
                is_index = entry.name.lower().endswith(INDEX_ENDING)
                if (extension not in EXTENSIONS and not is_index) or not entry.is_file():
                    continue
                if entry.is_symlink() and not _may_enter(Path(entry.path).resolve(), folder):
                    left_out[prefix + entry.name] = f"{entry.path} is not listed: it {_LEADS_OUT}"
                    continue
                found[entry.name] = _Found(entry.path, extension, entry.stat())
            except (OSError, RuntimeError):
                continue
        yield prefix, found
    folder.visited = frozenset(visited)


_Split = dict[str, tuple[str, list[str]]]
"""Split models of one folder: shown name -> (the file that stands for it, its parts in order), as names of files."""


def _split_models(found: Mapping[str, _Found], incomplete: dict[str, str], prefix: str) -> _Split:
    """The split models among the files of one folder. Those that lack parts are told in ``incomplete``."""
    split: _Split = {}

    def take(shown: str, base: str, head: str, present: list[str], count: int) -> None:
        if len(present) == count:
            split[shown] = head, present
        else:
            why = f"is not listed: only {len(present)} of its {count} parts are there"
            incomplete[prefix + base] = f"{prefix}{base} {why}"

    sets: dict[tuple[str, int], dict[int, str]] = {}
    for name in found:
        part = part_name(name)
        if part is not None:
            sets.setdefault((part.base, part.total), {})[part.number] = name
    for (base, count), parts in sets.items():
        present = [parts[number] for number in sorted(parts)]
        take(present[0], base, present[0], present, count)
    for name, one in found.items():
        if not name.lower().endswith(INDEX_ENDING):
            continue
        base = name[: -len(".index.json")]
        listed = _parts_of_index(one)
        if base not in found and listed and not any(part_name(part) for part in listed):
            take(base, base, name, [part for part in listed if part in found], len(listed))
    return split


def _parts_of_index(index: _Found) -> list[str]:
    """The files that a ``*.safetensors.index.json`` spreads its tensors over; none where it cannot be understood."""
    try:
        if index.status.st_size > _MAX_INDEX_BYTES:
            return []
        listed = set(json.loads(Path(index.path).read_bytes())["weight_map"].values())
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []
    if not all(isinstance(name, str) and "/" not in name and "\\" not in name for name in listed):
        return []
    return sorted(listed)


def _may_enter(path: Path, folder: TypeFolder) -> bool:
    return folder.follows_links or any(not is_outside(path, root) for root in folder.allowed)


def _can_be_shown(name: str) -> bool:
    """Whether a file name can be written as JSON, as a log line, and in a URL's path, where no line may end."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return not any(letter < " " or letter == "\x7f" or letter in "\x85\u2028\u2029" for letter in name)
