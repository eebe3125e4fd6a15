"""Keeps the folders into which engines on other machines write, where those see the server's folders.

An engine gets a folder of its own for each run, beside the one that is published: of one that was believed dead and
goes on later, nothing gets between the files of the job, which another engine may have drawn meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path


class SharedDesks:
    """Keeps a folder for each run of one engine. One thread may open them while another takes and clears."""

    def __init__(self) -> None:
        self._desks: dict[int, Path] = {}

    def open(self, run: int, spool: Path) -> Path:
        """Make the folder of a run whose files belong into ``spool``. Raises OSError."""
        self._desks[run] = desk = spool.with_name(f"{spool.name}.{uuid.uuid4().hex[:8]}")
        desk.mkdir(parents=True)
        return desk

    def take(self, run: int, names: Iterable[str], spool: Path, *, is_end: bool) -> None:
        """Put files of a run where they belong; with its end, nothing stays. Raises OSError."""
        desk = self._desks[run]
        try:
            for name in names:
                spool.mkdir(parents=True, exist_ok=True)
                if is_end:
                    os.replace(desk / name, spool / name)
                else:
                    # The next preview may have taken the place of this one, and needs to be there, too.
                    copy = spool / f"{name}.part"
                    shutil.copyfile(desk / name, copy)
                    os.replace(copy, spool / name)
        finally:
            if is_end:
                self._remove(run)

    def clear(self) -> None:
        """Remove all of them: their engine has ended or is gone. What it writes later is removed at the server's next
        start."""
        for run in list(self._desks):
            self._remove(run)

    def _remove(self, run: int) -> None:
        with contextlib.suppress(KeyError):
            shutil.rmtree(self._desks.pop(run), ignore_errors=True)
