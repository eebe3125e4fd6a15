"""Decides where a command puts its pictures: the ending of the name decides the format.

What can be known is checked before anything is drawn. What was drawn is never thrown away.

Knows files and formats; asks a server for finished files only.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from sdcpp_rest.cli.plain_errors import reason_of, silence_stdout
from sdcpp_rest.cli.server_access import ServerAccess

PICTURE_ENDINGS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
"""The format of pictures whose name ends so."""
VIDEO_ENDINGS = {".mp4": "mp4", ".webm": "webm", ".webp": "webp", ".png": "frames"}
"""The API's ``output_format`` of videos whose name ends so."""
_QUALITY = 95
_STDOUT = Path("-")


class OutputPlace:
    """Holds the place that was asked for, or the one beside ``stem`` with the ending of what was made.

    ``output`` may be ``-``: standard output, which takes one file. ``endings``: those that are allowed, with the
    formats they mean. ``format`` is the one that the name asks for, if it asks for any. Raises ClickException and
    OSError when nothing can be saved there.
    """

    def __init__(self, output: Path | None, stem: Path, endings: Mapping[str, str]) -> None:
        self._output = output
        self._stem = stem
        self.is_stdout = output == _STDOUT
        self.format: str | None = None
        if self.is_stdout:
            if sys.stdout.isatty():
                raise click.ClickException("-o -: standard output is a terminal; lead it into a file or a program")
        elif output is not None and not _is_device(output):
            self.format = _format_of(output, endings)
        if not self.is_stdout:
            _check_place(output or stem)

    def check_count(self, count: int) -> None:
        """Raise ClickException when so many files cannot go there."""
        if self.is_stdout and count > 1:
            raise click.ClickException(f"-o -: standard output takes one picture, and {count} would be made")

    def save(self, server: ServerAccess, job: Mapping[str, Any]) -> list[Path]:
        """Save what the job made; further files get _1, _2, ... Returns the paths, without standard output.

        Raises ClickException when a file could not be saved, after all others were: it says where that one is now.
        """
        from sdcpp_rest.client import ClientError

        saved: list[Path] = []
        faults: list[str] = []
        for k, name in enumerate(job["outputs"]):
            path = self._path_of(k, Path(name).suffix.lower())
            try:
                content = server.client.read_output(name)
            except ClientError as error:
                faults.append(f"{server.explain(error)}; {_place_on(server, name) or 'it is lost'}")
                continue
            try:
                self._write(path, content, Path(name).suffix.lower())
            except (OSError, ValueError) as error:
                reason = reason_of(error) if isinstance(error, OSError) else str(error)
                shown = "standard output" if path == _STDOUT else path
                faults.append(f"{shown} {reason}; {_place_on(server, name) or _put_elsewhere(path, name, content)}")
                continue
            if path != _STDOUT:
                saved.append(path)
        if faults:
            for path in saved:
                click.echo(f"saved {path}", err=True)
            raise click.ClickException("\n".join(faults))
        return saved

    def _path_of(self, k: int, ending: str) -> Path:
        """Where the ``k``-th file goes. Only one goes to standard output or to a device."""
        if self._output is not None and (self.is_stdout or _is_device(self._output)):
            return self._output if k == 0 else Path(f"out_{k}{ending}")
        first = self._output or self._stem.with_name(self._stem.name + ending)
        return first if k == 0 else first.with_name(f"{first.stem}_{k}{first.suffix}")

    def _write(self, path: Path, content: bytes, ending: str) -> None:
        """Raises OSError, and ValueError when the picture cannot have this format."""
        if ending == ".png" and self.format in ("jpeg", "webp"):
            from sdcpp_rest.services.pictures.picture_formats import recode

            content = recode(content, self.format, _QUALITY)
        if path == _STDOUT:
            try:
                sys.stdout.buffer.write(content)
                sys.stdout.buffer.flush()
            except OSError:
                silence_stdout()
                raise
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _is_device(path: Path) -> bool:
    """Whether it is there and is no file and no folder, such as /dev/null or a named pipe: its name means nothing."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _format_of(path: Path, endings: Mapping[str, str]) -> str:
    if path.is_dir():
        raise click.ClickException(f"-o {path} is a folder: name a file in it")
    form = endings.get(path.suffix.lower())
    if form is None:
        *some, last = endings
        raise click.ClickException(f"-o {path}: the name must end in {', '.join(some)} or {last}")
    return form


def _check_place(path: Path) -> None:
    """Folders that are missing are made when there is something to put there; those that exist must let us."""
    if path.exists():
        if not os.access(path, os.W_OK):
            raise click.ClickException(f"{path} is there already, and this user may not write to it")
        return
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise click.ClickException(f"{folder} is a file: {path} cannot be in it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise click.ClickException(f"{folder} is not open to this user: {path} could not be saved")


def _place_on(server: ServerAccess, name: str) -> str:
    """Where the server keeps a finished file; empty when it ends with this command."""
    url = server.kept_at(name)
    return f"the server keeps it at {url}" if url else ""


def _put_elsewhere(path: Path, name: str, content: bytes) -> str:
    """Save a file that its own place did not take, as it came from the engine: beside it, or where temporary files are,
    or at home. Says where it is now."""
    own = Path(name).suffix
    for folder in (path.parent, Path(tempfile.gettempdir()), Path.home()):
        stem = path.stem if path != _STDOUT else "out"
        try:
            number, place = tempfile.mkstemp(prefix=f"{stem}_", suffix=own, dir=folder)
        except OSError:
            continue
        try:
            with os.fdopen(number, "wb") as file:
                file.write(content)
        except OSError:
            os.unlink(place)
            continue
        return f"it is saved as {place}"
    return "no other place took it either"
