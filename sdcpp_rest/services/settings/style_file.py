"""Reads and changes the CSV file of prompt styles, row by row: what is not changed stays as it was written.

Users edit the file by hand, and other programs do, so that it is never written from memory. Knows no prompts.
"""

from __future__ import annotations

import csv
import io
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sdcpp_rest.core.prompt_style import PromptStyle
from sdcpp_rest.durable_files import settle
from sdcpp_rest.errors import Conflict, InvalidRequest, SdcppRestError

MAX_BYTES = 4 << 20
MAX_STYLES = 10_000
COLUMNS = ("name", "prompt", "negative_prompt")
_TRIES = 5
_BOM = "\ufeff"


class StylesNotStored(SdcppRestError):
    """The file of the styles takes no changes: the disk is full, or it cannot be written."""

    code = "styles_not_stored"


class Row(NamedTuple):
    """One row as it stands in the file, and its fields; a blank line has none."""

    raw: str
    fields: Sequence[str]


class StyleTable:
    """Changes the rows of a file, made of its text, which may be empty. Raises ValueError where that is no table of
    styles."""

    def __init__(self, text: str) -> None:
        self._bom = _BOM if text.startswith(_BOM) else ""
        rows = list(_rows(text.removeprefix(_BOM)))
        # Blank lines may stand above the head.
        head = next((index for index, row in enumerate(rows) if row.fields), None)
        self._above = [row.raw for row in (rows if head is None else rows[:head])]
        self._columns = list(COLUMNS if head is None else rows[head].fields)
        self._head = _line(self._columns, "\n") if head is None else rows[head].raw
        self._rows = [] if head is None else rows[head + 1 :]
        if "name" not in self._columns:
            raise ValueError("its first row has no column called name")
        self._ending = "\r\n" if self._head.endswith("\r\n") else "\n"

    def styles(self) -> dict[str, PromptStyle]:
        """The styles by name, in the order of the file; of two with one name the last counts."""
        found: dict[str, PromptStyle] = {}
        for row in self._rows:
            if len(found) >= MAX_STYLES:
                break
            cells = self._cells(row)
            if name := cells.get("name"):
                # Files of old have a column "text" instead.
                prompt = cells.get("prompt") or cells.get("text") or ""
                found[name] = PromptStyle(name=name, prompt=prompt, negative_prompt=cells.get("negative_prompt") or "")
        return found

    def put(self, styles: Iterable[PromptStyle]) -> None:
        """Write styles in the place of those with the same names, or at the end."""
        places = {name: index for index, row in enumerate(self._rows) if (name := self._cells(row).get("name"))}
        for style in styles:
            written = {"name": style.name, self._prompt_column(): style.prompt}
            if style.negative_prompt or "negative_prompt" in self._columns:
                written["negative_prompt"] = style.negative_prompt
            self._add_columns(written)
            place = places.get(style.name)
            if place is None:
                places[style.name] = len(self._rows)
                self._end_last_row()
                self._rows.append(self._row({}, written))
            else:
                self._rows[place] = self._row(self._cells(self._rows[place]), written)

    def remove(self, name: str) -> bool:
        """Take every row of that name out; true if there was one."""
        kept = [row for row in self._rows if self._cells(row).get("name") != name]
        was_there = len(kept) < len(self._rows)
        self._rows = kept
        return was_there

    def text(self) -> str:
        """The file's text."""
        return "".join([self._bom, *self._above, self._head, *(row.raw for row in self._rows)])

    def _cells(self, row: Row) -> dict[str, str]:
        return dict(zip(self._columns, row.fields, strict=False))

    def _prompt_column(self) -> str:
        return "text" if "text" in self._columns and "prompt" not in self._columns else "prompt"

    def _add_columns(self, written: Mapping[str, str]) -> None:
        missing = [name for name in written if name not in self._columns]
        if missing:
            self._columns += missing
            self._head = _line(self._columns, self._ending)
        if not self._head.endswith(("\n", "\r")):
            self._head += self._ending

    def _end_last_row(self) -> None:
        if self._rows and not self._rows[-1].raw.endswith(("\n", "\r")):
            last = self._rows[-1]
            self._rows[-1] = last._replace(raw=last.raw + self._ending)

    def _row(self, cells: Mapping[str, str], written: Mapping[str, str]) -> Row:
        fields = [written.get(name, cells.get(name, "")) for name in self._columns]
        return Row(_line(fields, self._ending), fields)


def _rows(text: str) -> Iterator[Row]:
    # Universal line ends, kept as they are: what stands in quotes may hold them.
    lines = io.StringIO(text, newline="").readlines()
    reader = csv.reader(iter(lines), skipinitialspace=True, strict=False)
    taken = 0
    try:
        for fields in reader:
            yield Row("".join(lines[taken : reader.line_num]), fields)
            taken = reader.line_num
    except csv.Error as error:
        raise ValueError(f"its row at line {reader.line_num} cannot be read: {error}") from None


def _line(fields: Sequence[str], ending: str) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator=ending).writerow(fields)
    return line.getvalue()


def read_table(path: Path) -> StyleTable:
    """The file as it is now; an empty table where there is none. Raises ValueError saying why it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return StyleTable("")
    except OSError as error:
        raise ValueError(error.strerror or "the disk refuses") from None
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    try:
        return StyleTable(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start})") from None


def stamp_of(path: Path) -> tuple[int, int, int] | None:
    """Tells one version of the file from another; ``None`` where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def change_file(path: Path, change: Callable[[StyleTable], object]) -> None:
    """Read the file, have ``change`` applied, and put the new one in its place in one step; all anew where somebody
    else has written it meanwhile. Raises Conflict for a file that cannot be read, which is left alone, StylesNotStored,
    InvalidRequest for a file that would be too large."""
    target = Path(os.path.realpath(path))
    for _ in range(_TRIES):
        before = stamp_of(target)
        try:
            table = read_table(target)
        except ValueError as error:
            raise Conflict(f"The file {path.name} is left as it is: {error}") from None
        change(table)
        content = table.text().encode("utf-8")
        if len(content) > MAX_BYTES:
            raise InvalidRequest(
                f"{path.name} would have {len(content)} bytes; at most {MAX_BYTES} are kept",
                allowed=f"at most {MAX_BYTES} bytes",
            )
        if _replace(target, content, before):
            return
    raise Conflict(f"The file {path.name} is being changed by somebody else again and again; try again")


def _replace(path: Path, content: bytes, before: tuple[int, int, int] | None) -> bool:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        if before is not None:
            with suppress(OSError):
                os.chmod(temporary, path.stat().st_mode & 0o777)
        if stamp_of(path) != before:
            temporary.unlink()
            return False
        settle(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise StylesNotStored(f"The styles could not be stored: {error.strerror or error}") from error
    return True
