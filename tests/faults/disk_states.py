"""Builds what a power cut may have left of a folder, from the record of what was done to it.

What was synced is there. Of what was not, each change may be missing by itself, and the last write of a file may be
torn: the disk owes no order to changes between two syncs. A name (made, moved, taken away) is on the disk when its
folder was synced, the bytes of a file when the file was. A rename is whole or missing.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.fault_layer import (
    LINK,
    MARK,
    MKDIR,
    OPEN,
    RENAME,
    RMDIR,
    SYNC,
    TRUNCATE,
    UNLINK,
    WRITE,
    Record,
)

_SECTOR = 512
_ROOT = 0


@dataclass
class _Change:
    """``node``: whose bytes it changes, or else ``names``: (folder, name) -> what it names from now on, or ``None``."""

    at: int
    node: int | None = None
    offset: int = 0
    data: bytes | None = None
    names: dict[tuple[int, str], int | None] = field(default_factory=dict)
    synced_at: int | None = None


class DiskHistory:
    """Everything that was done to a folder that was empty at the beginning."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records: Sequence[Record] = list(records)
        self._changes: list[_Change] = []
        self._folders: dict[int, dict[str, int]] = {_ROOT: {}}
        self._nodes_of_inodes: dict[int, int] = {}
        self._is_folder: dict[int, bool] = {_ROOT: True}
        self._last = _ROOT
        for at, record in enumerate(self.records):
            self._follow(at, record)

    def points(self) -> list[int]:
        """Every place in the record at which the power may be cut: after so many records."""
        return [at + 1 for at, record in enumerate(self.records) if record.kind not in (MARK,)]

    def marks(self, until: int) -> list[str]:
        """What clients had been told by then."""
        return [record.data.decode() for record in self.records[:until] if record.kind == MARK]

    def build(self, folder: Path, until: int, chance: random.Random, keep: float) -> None:
        """Make ``folder`` anew as a cut after ``until`` records leaves it. ``keep``: how likely a change that was not
        synced is there all the same."""
        contents: dict[int, bytearray] = {}
        tables: dict[int, dict[str, int]] = {}
        last_of = {change.node: change for change in self._changes if change.at < until and change.node is not None}
        for change in self._changes:
            if change.at >= until:
                break
            is_synced = change.synced_at is not None and change.synced_at < until
            is_lost = not is_synced and chance.random() >= keep
            # Some file systems write down a file's new size before its bytes: these are zeros then.
            if is_lost and (change.data is None or chance.random() >= 0.3):
                continue
            if change.node is None:
                for (parent, name), node in change.names.items():
                    table = tables.setdefault(parent, {})
                    table.pop(name, None) if node is None else table.update({name: node})
                continue
            content = contents.setdefault(change.node, bytearray())
            if change.data is None:
                del content[change.offset :]
                content.extend(bytes(change.offset - len(content)))
                continue
            data = bytes(len(change.data)) if is_lost else change.data
            if keep < 1 and not is_synced and change is last_of[change.node] and chance.random() < 0.5:
                data = data[: chance.randrange(0, len(data) + 1, _SECTOR) if len(data) > _SECTOR else 0]
            content.extend(bytes(max(0, change.offset - len(content))))
            content[change.offset : change.offset + len(data)] = data
        shutil.rmtree(folder, ignore_errors=True)
        self._write(folder, _ROOT, tables, contents, set())

    def _write(
        self, path: Path, node: int, tables: dict[int, dict[str, int]], contents: dict[int, bytearray], above: set[int]
    ) -> None:
        path.mkdir(parents=True)
        for name, child in tables.get(node, {}).items():
            if not self._is_folder[child]:
                (path / name).write_bytes(contents.get(child, b""))
            elif child not in above:
                self._write(path / name, child, tables, contents, above | {node})

    # --- what happened -----------------------------------------------------------------------------------------------

    def _follow(self, at: int, record: Record) -> None:
        kind = record.kind
        if kind == MARK or record.path.endswith("-shm"):
            # SQLite's shared memory means nothing after a start.
            return
        if kind == SYNC:
            self._sync(at, record)
        elif kind == WRITE:
            self._change_bytes(at, record, record.data)
        elif kind == TRUNCATE:
            self._change_bytes(at, record, None)
        elif kind == OPEN:
            self._open(at, record)
        elif kind == MKDIR:
            self._name(at, {record.path: self._make(record.inode, is_folder=True)})
        elif kind in (UNLINK, RMDIR):
            self._name(at, {record.path: None})
        elif kind in (RENAME, LINK):
            node = self._find(record.path)
            if node is not None:
                self._name(at, {record.other: node, **({record.path: None} if kind == RENAME else {})})

    def _open(self, at: int, record: Record) -> None:
        node = self._find(record.path)
        if node is None:
            self._name(at, {record.path: self._make(record.inode, is_folder=False)})
        else:
            self._changes.append(_Change(at, node=node, offset=0))

    def _make(self, inode: int, *, is_folder: bool) -> int:
        self._last += 1
        self._is_folder[self._last] = is_folder
        if is_folder:
            self._folders[self._last] = {}
        self._nodes_of_inodes[inode] = self._last
        return self._last

    def _change_bytes(self, at: int, record: Record, data: bytes | None) -> None:
        node = self._nodes_of_inodes.get(record.inode)
        if node is not None:
            self._changes.append(_Change(at, node=node, offset=record.offset, data=data))

    def _name(self, at: int, names: dict[str, int | None]) -> None:
        told: dict[tuple[int, str], int | None] = {}
        for path, node in names.items():
            parent_path, _, name = path.rpartition("/")
            parent = self._find(parent_path)
            if parent is None:
                continue
            told[parent, name] = node
            table = self._folders[parent]
            table.pop(name, None) if node is None else table.update({name: node})
        self._changes.append(_Change(at, names=told))

    def _sync(self, at: int, record: Record) -> None:
        node = self._find(record.path) if record.path else _ROOT
        if node is None or not self._is_folder[node]:
            node = self._nodes_of_inodes.get(record.inode)
        for change in self._changes:
            if change.synced_at is None and (change.node == node or any(parent == node for parent, _ in change.names)):
                change.synced_at = at

    def _find(self, path: str) -> int | None:
        node: int | None = _ROOT
        for part in path.split("/") if path else ():
            node = self._folders.get(node, {}).get(part) if node is not None else None
        return node
