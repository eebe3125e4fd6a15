"""Keeps wildcards: text files with an entry a line, below the folder ``wildcards`` of the model folders.

A name is a file's path there without ``.txt``. Reads, writes and deletes them; must not know what their entries mean.
"""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdcpp_rest.durable_files import replace_file
from sdcpp_rest.errors import InvalidRequest, NotFound, SdcppRestError
from sdcpp_rest.services.models.file_stamps import Stamps, stamps_of
from sdcpp_rest.services.models.model_folders import is_outside

FOLDER = "wildcards"
MAX_BYTES = 4 << 20
"""Of one wildcard."""

_ENDING = ".txt"
_PREVIEW_ENDING = ".jpg"
_MAX_DEPTH = 16
_MAX_FILES = 20_000
_MAX_PART_BYTES = 200
_KEPT_CHARACTERS = 32 << 20
_LEFT_OUT = frozenset("\r\ufeff\0")
"""Of a file's text: whichever program wrote them, they are no words."""
_NOT_IN_NAMES = re.compile(r'[<>:"|?*~&@;#$^.\x00-\x1f\x7f\x85\u2028\u2029]')


class WildcardNotStored(SdcppRestError):
    """The folder of the wildcards takes no changes: the disk is full, or it cannot be written."""

    code = "wildcard_not_stored"


@dataclass(frozen=True)
class Wildcard:
    """One wildcard: its text as written (BOM and CR aside), its entries, and where its preview is, if it has one."""

    name: str
    text: str
    options: tuple[str, ...]
    preview: Path | None


class Wildcards:
    """Lists, reads, writes and deletes wildcards. All methods may be called from any thread.

    ``models_dir`` need not hold the folder yet. ``follow_links``: also those that lead out of it; they are read, and
    never written through.
    """

    def __init__(self, models_dir: str | os.PathLike[str], *, follow_links: bool = True) -> None:
        self._folder = Path(models_dir).resolve() / FOLDER
        self._follow_links = follow_links
        self._lock = threading.Lock()
        self._read: dict[str, tuple[Stamps, Wildcard]] = {}
        self._kept_characters = 0

    def names(self) -> list[str]:
        """The names of all wildcards, sorted; the first 20,000 where there are more."""
        found = []
        for path in self._walk():
            found.append(path.relative_to(self._folder).as_posix().removesuffix(_ENDING))
            if len(found) >= _MAX_FILES:
                break
        return sorted(found, key=lambda name: (name.casefold(), name))

    def read(self, name: str) -> Wildcard:
        """The wildcard whose whole name is ``name``. Raises NotFound, InvalidRequest for one that is too large."""
        path = self._existing(name)
        stamps = stamps_of([str(path)])
        with self._lock:
            known = self._read.get(name)
        if known is not None and known[0] == stamps:
            return known[1]
        text = _read_text(path, name)
        preview = path.with_name(path.name.removesuffix(_ENDING) + _PREVIEW_ENDING)
        found = Wildcard(name, text, _read_options(text), preview if preview.is_file() else None)
        with self._lock:
            self._kept_characters += len(text)
            if self._kept_characters > _KEPT_CHARACTERS:
                self._read.clear()
                self._kept_characters = len(text)
            self._read[name] = stamps, found
        return found

    def write(self, name: str, text: str, preview: bytes | None = None) -> str:
        """Write a wildcard, whole or not at all, and return the name that it has: ``name`` without what names cannot
        hold. ``preview``: a JPEG picture, empty to take the old one away, which stays where there is none.

        Raises InvalidRequest, WildcardNotStored.
        """
        named = clean_name(name)
        content = text.encode("utf-8", "replace")
        if len(content) > MAX_BYTES:
            raise _too_large("options", len(content))
        path = self._folder / f"{named}{_ENDING}"
        self._check_inside(path.parent)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(path.name.removesuffix(_ENDING) + _PREVIEW_ENDING)
            if preview:
                replace_file(beside, preview)
            elif preview is not None:
                beside.unlink(missing_ok=True)
            replace_file(path, content)
        except OSError as error:
            raise WildcardNotStored(f"The wildcard could not be stored: {error.strerror or error}") from error
        self._forget(named)
        return named

    def delete(self, name: str) -> None:
        """Delete a wildcard and its preview. Raises NotFound, InvalidRequest where it lies behind a link,
        WildcardNotStored."""
        path = self._existing(name)
        self._check_inside(path.parent)
        preview = path.with_name(path.name.removesuffix(_ENDING) + _PREVIEW_ENDING)
        try:
            path.unlink(missing_ok=True)
            preview.unlink(missing_ok=True)
        except OSError as error:
            raise WildcardNotStored(f"The wildcard could not be deleted: {error.strerror or error}") from error
        self._forget(name)

    def _forget(self, name: str) -> None:
        # Another preview does not change the stamp of the text.
        with self._lock:
            self._read.pop(name, None)

    def _existing(self, name: str) -> Path:
        """The file of a wildcard that `names` shows. Raises NotFound."""
        parts = name.split("/")
        is_shown = len(name) <= 2_000 and "\0" not in name and all(part and not part.startswith(".") for part in parts)
        path = self._folder.joinpath(*parts[:-1], parts[-1] + _ENDING) if is_shown else None
        try:
            if path is None or not path.is_file() or not self._may_read(path):
                path = None
        except (OSError, ValueError):
            path = None
        if path is None:
            raise NotFound(f"Wildcard not found: {name[:200]}", field="wildcard", value=name[:200])
        return path

    def _check_inside(self, folder: Path) -> None:
        if is_outside(folder.resolve(), self._folder.resolve()):
            shown = folder.relative_to(self._folder).as_posix()[:200]
            raise InvalidRequest(
                f"name: {shown!r} is a link out of the folder of the wildcards, where nothing is changed",
                field="name",
                value=shown,
            )

    def _may_read(self, path: Path) -> bool:
        return self._follow_links or not is_outside(path.resolve(), self._folder.resolve())

    def _walk(self) -> Iterator[Path]:
        pending = deque([(self._folder, 0)])
        visited: set[Path] = set()
        while pending:
            folder, depth = pending.popleft()
            try:
                real = folder.resolve()
                if real in visited or depth > _MAX_DEPTH or len(visited) >= _MAX_FILES or not self._may_read(folder):
                    continue
                visited.add(real)
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except (OSError, RuntimeError):
                continue
            for entry in entries:
                if entry.name.startswith(".") or not _can_be_shown(entry.name):
                    continue
                path = Path(entry.path)
                try:
                    if entry.is_dir():
                        pending.append((path, depth + 1))
                    elif entry.name.endswith(_ENDING) and entry.is_file() and self._may_read(path):
                        yield path
                except (OSError, RuntimeError):
                    continue


def clean_name(name: str) -> str:
    """``name`` without what file names cannot hold everywhere. Raises InvalidRequest where nothing is left."""
    writable = name.encode("utf-8", "ignore").decode()
    wanted = _NOT_IN_NAMES.sub("", writable.replace("\\", "/"))
    parts = [part.strip() for part in wanted.split("/") if part.strip()]
    shown = "/".join(parts)
    if not parts or len(parts) > _MAX_DEPTH or any(len(part.encode()) > _MAX_PART_BYTES for part in parts):
        raise InvalidRequest(
            f"name: {name[:80]!r} is no name for a wildcard; letters are needed, in at most {_MAX_DEPTH} parts of "
            f"{_MAX_PART_BYTES} bytes between '/'",
            field="name",
            value=name[:200],
        )
    return shown


def check_name(name: str) -> str:
    """``name``, where it is the whole name of a wildcard as it stands. Raises InvalidRequest."""
    cleaned = clean_name(name)
    if cleaned != name:
        raise InvalidRequest(
            f"name: {name[:80]!r} holds what file names cannot hold everywhere; {cleaned[:80]!r} could be its name",
            field="name",
            value=name[:200],
            nearest=[cleaned],
        )
    return name


def write_entries(entries: Sequence[str]) -> str:
    """The text whose entries these are. Raises InvalidRequest for one that cannot stand in a line."""
    lines = [entry.replace("\n", "\\n") for entry in entries]
    for index, (line, entry) in enumerate(zip(lines, entries, strict=True)):
        if _read_options(line) != (entry,) or _LEFT_OUT & set(entry):
            raise InvalidRequest(
                f"entries[{index}]: {entry[:80]!r} cannot be an entry: it is empty, begins or ends with a blank, "
                "or holds '#', '\\\\n' or a carriage return",
                field=f"entries[{index}]",
                value=entry[:80],
            )
    return "".join(f"{line}\n" for line in lines)


def _read_text(path: Path, name: str) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _too_large(f"wildcard {name[:200]}", size)
        with path.open("rb") as file:
            content = file.read(MAX_BYTES)
    except OSError as error:
        raise NotFound(f"Wildcard not found: {name[:200]}", field="wildcard", value=name[:200]) from error
    text = content.decode("utf-8", "replace")
    return text.translate(dict.fromkeys(map(ord, _LEFT_OUT)))


def _read_options(text: str) -> tuple[str, ...]:
    """The entries: a line each, without comments and blanks around them; a written ``\\n`` is a line break."""
    lines = (line.partition("#")[0].strip().replace("\\n", "\n") for line in text.split("\n"))
    return tuple(line for line in lines if line.strip())


def _too_large(field: str, size: int) -> InvalidRequest:
    return InvalidRequest(
        f"{field}: {size} bytes are too many; at most {MAX_BYTES} are allowed",
        field=field.partition(" ")[0],
        value=size,
        allowed=f"at most {MAX_BYTES} bytes",
    )


def _can_be_shown(name: str) -> bool:
    """Whether a file name can be written as JSON and in one line."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return name.isprintable()
