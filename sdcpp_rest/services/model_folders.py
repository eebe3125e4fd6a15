"""Finding model files: walks one type folder, follows links only inside the allowed roots, notices changes.

Knows nothing of what is in the files.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sdcpp_rest.core.catalog import EXTENSIONS, LIST_NAMES, ModelFile, ModelType
from sdcpp_rest.errors import InvalidRequest

log = logging.getLogger(__name__)

_SETTLED_SECONDS = 2.0
_MAX_DEPTH = 16


@dataclass
class TypeFolder:
    """One type folder of one root, and what the last scan of it saw."""

    path: Path
    allowed: tuple[Path, ...]
    type: ModelType
    files: dict[str, ModelFile] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    is_settled: bool = False


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
    folder.files = {}
    folder.seen = {}
    newest = 0
    for file, mtime_ns in _walk(folder):
        folder.files[file.name] = file
        newest = max(newest, mtime_ns)
    newest = max([newest, *folder.seen.values()])
    folder.is_settled = bool(folder.seen) and time.time() - newest / 1e9 > _SETTLED_SECONDS


def _walk(folder: TypeFolder) -> Iterator[tuple[ModelFile, int]]:
    pending = [(folder.path, "", 0)]
    visited: set[Path] = set()
    while pending:
        path, prefix, depth = pending.pop()
        try:
            real = path.resolve()
            if real in visited or depth > _MAX_DEPTH:
                continue
            if not _is_allowed(real, folder.allowed):
                log.warning("%s leads out of the model folders and is left out", path)
                continue
            visited.add(real)
            folder.seen[str(path)] = os.stat(path).st_mtime_ns
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except (OSError, RuntimeError):
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                if entry.is_dir():
                    pending.append((Path(entry.path), f"{prefix}{entry.name}/", depth + 1))
                    continue
                extension = os.path.splitext(entry.name)[1].lower()
                if extension not in EXTENSIONS or not entry.is_file():
                    continue
                if entry.is_symlink() and not _is_allowed(Path(entry.path).resolve(), folder.allowed):
                    log.warning("%s leads out of the model folders and is left out", entry.path)
                    continue
                status = entry.stat()
            except (OSError, RuntimeError):
                continue
            name = f"{prefix}{entry.name}"
            if not _is_text(name):
                continue
            yield (
                ModelFile(
                    name=name,
                    type=folder.type,
                    path=entry.path,
                    root=str(folder.path),
                    size_bytes=status.st_size,
                    mtime_ns=status.st_mtime_ns,
                    file_extension=extension,
                ),
                status.st_mtime_ns,
            )


def _is_allowed(path: Path, roots: tuple[Path, ...]) -> bool:
    return any(not is_outside(path, root) for root in roots)


def _is_text(name: str) -> bool:
    """Whether a file name can be written as JSON and as a log line."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
