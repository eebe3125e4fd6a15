"""Compiles fault_layer.c and steers it: rules of harm, the record of what was written, and the wall clock of a server's
processes."""

from __future__ import annotations

import ctypes
import mmap
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SOURCE = Path(__file__).with_name("fault_layer.c")
_RULES = 4

OPEN, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, MKDIR, RMDIR, LINK, READ = (1 << bit for bit in range(10))
MARK: Final = 1 << 16
"""A record that the study has written itself: something was told to a client."""
CHANGES = OPEN | WRITE | TRUNCATE | SYNC | RENAME | UNLINK | MKDIR | RMDIR | LINK
_NOTHING, _KILL_BEFORE, _KILL_AFTER, _FAIL, _DELAY = range(5)
SERVER, ENGINE, OTHER = 1, 2, 4


class _Rule(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("action", "calls", "roles", "error", "delay_ms", "hits")),
        *((name, ctypes.c_int32) for name in ("countdown", "times", "also")),
        ("pattern", ctypes.c_char * 220),
    ]


class _Control(ctypes.Structure):
    _fields_ = [
        ("records", ctypes.c_uint32), ("slack", ctypes.c_uint32), ("clock_offset_ns", ctypes.c_int64),
        ("root", ctypes.c_char * 512), ("log", ctypes.c_char * 512), ("boot", ctypes.c_char * 512),
        ("rules", _Rule * _RULES),
    ]  # fmt: skip


class _Head(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_uint32), ("role", ctypes.c_uint32),
        *((name, ctypes.c_uint64) for name in ("inode", "offset", "length")),
        *((name, ctypes.c_uint32) for name in ("path_length", "other_length", "is_new", "slack")),
    ]  # fmt: skip


@dataclass(frozen=True)
class Record:
    """One change of the disk, or a mark. Paths are below the root, without a slash in front; ``offset`` is a
    truncation's new length."""

    kind: int
    inode: int
    offset: int
    data: bytes
    path: str
    other: str
    is_new: bool


def find_obstacle() -> str:
    """Why the layer cannot be used here; empty where it can."""
    if shutil.which("cc") is None:
        return "there is no C compiler (cc)"
    return "" if Path("/proc/self/fd").exists() else "the layer needs Linux's /proc"


def compile_layer(folder: Path) -> Path:
    """The library, built in ``folder``. Raises CalledProcessError."""
    library = folder / "fault_layer.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE)], check=True, timeout=120)
    return library


class FaultLayer:
    """What lies between one server's processes and the C library.

    ``root``: the folder whose changes it sees. Rules hold from the moment they are set, for processes that run as well.
    """

    def __init__(self, folder: Path, root: Path, library: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.library = library or compile_layer(folder)
        self._log, place = folder / "changes.log", folder / "control"
        self._log.write_bytes(b"")
        place.write_bytes(bytes(ctypes.sizeof(_Control)))
        with place.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._control = _Control.from_buffer(self._map)
        self._root = str(root.resolve())
        self._control.root = self._root.encode()
        self._control.log = str(self._log).encode()
        self.prefix = ("env", f"LD_PRELOAD={self.library}", f"FAULT_LAYER_CONTROL={place}")
        """In front of the command of a process that is to be under the layer, with all its children."""

    def run_python(self, script: str) -> int:
        """Run some Python under the layer; its exit code."""
        return subprocess.run([*self.prefix, sys.executable, "-S", "-c", script], timeout=60).returncode

    # --- harm --------------------------------------------------------------------------------------------------------

    def kill(
        self, calls: int, pattern: str, *, nth: int = 1, roles: int = SERVER, is_after: bool = False, also: int = 0
    ) -> None:
        """End the process by SIGKILL that makes the ``nth`` of these calls below the root, before or after it is made,
        and the process ``also`` with it. ``pattern`` is fnmatch's, ``*`` for any text; it begins with a slash."""
        self._set(0, _KILL_AFTER if is_after else _KILL_BEFORE, calls, pattern, roles, nth, 1, also=also)

    def fail(
        self, calls: int, pattern: str, error: int, *, nth: int = 1, times: int = 0, roles: int = 7, rule: int = 0
    ) -> None:
        """Have the ``nth`` of these calls fail with ``error``, and those after it: ``times`` in all, 0 for ever."""
        self._set(rule, _FAIL, calls, pattern, roles, nth, times, error=error)

    def delay(self, calls: int, pattern: str, seconds: float, *, roles: int = 7, rule: int = 0) -> None:
        """Have each of these calls take so much longer."""
        self._set(rule, _DELAY, calls, pattern, roles, 1, 0, delay_ms=int(seconds * 1000))

    def clear(self) -> None:
        """Do no harm any more."""
        for rule in self._control.rules:
            rule.action = _NOTHING

    def hits(self, rule: int = 0) -> int:
        """How many calls the rule has met since it was set."""
        return int(self._control.rules[rule].hits)

    def move_clock(self, seconds: float) -> None:
        """Have the wall clock of all processes differ from the machine's by so much."""
        self._control.clock_offset_ns = int(seconds * 1e9)

    def boot_anew(self, name: str) -> None:
        """Have processes that start from now on find that the machine has been started anew."""
        boot = self._log.with_name("boot_id")
        boot.write_text(name + "\n", encoding="ascii")
        self._control.boot = str(boot).encode()

    def _set(
        self, number: int, action: int, calls: int, pattern: str, roles: int, nth: int, times: int, **more: int
    ) -> None:
        rule = self._control.rules[number]
        rule.action, rule.hits = _NOTHING, 0
        rule.error = rule.delay_ms = rule.also = 0
        rule.calls, rule.roles, rule.countdown, rule.times = calls, roles, nth, times
        rule.pattern = pattern.encode()
        for name, value in more.items():
            setattr(rule, name, value)
        # Last: a process may be looking.
        rule.action = action

    # --- the record --------------------------------------------------------------------------------------------------

    def record(self, *, is_on: bool = True) -> None:
        """Write down every change from now on, or no more."""
        self._control.records = int(is_on)

    def mark(self, words: str) -> None:
        """Write into the record that a client has been told something."""
        raw = words.encode()
        head = _Head(kind=MARK, length=len(raw))
        with self._log.open("ab", buffering=0) as file:
            file.write(bytes(head) + raw)

    def records(self) -> Iterator[Record]:
        """Everything that was written down, in order."""
        raw = memoryview(self._log.read_bytes())
        at, size = 0, ctypes.sizeof(_Head)
        while at < len(raw):
            head = _Head.from_buffer_copy(raw[at : at + size])
            at += size
            path = bytes(raw[at : at + head.path_length]).decode("utf-8", "surrogateescape")
            at += head.path_length
            other = bytes(raw[at : at + head.other_length]).decode("utf-8", "surrogateescape")
            at += head.other_length
            length = head.length if head.kind in (WRITE, MARK) else 0
            data = bytes(raw[at : at + length])
            at += length
            yield Record(
                head.kind, head.inode, head.offset, data, self._below(path), self._below(other), bool(head.is_new)
            )

    def _below(self, path: str) -> str:
        return path[len(self._root) :].lstrip("/")


def wait_until(look: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Look again and again until it is true. Raises TimeoutError that says ``what`` was waited for."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.005)
