"""Remembers which cluster this machine is part of, keeps its token, and ends the processes that our command started.

What was started is known by a mark in its environment, which all processes below it inherit: Ray's own end of
everything takes other people's clusters with it. Knows processes and two files of the data folder; knows no Ray.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

MARK_VARIABLE = "SDCPP_REST_CLUSTER_MARK"
_FILE = "cluster.json"
_TOKEN_BYTES = 32
_LEAVE_SECONDS = 10.0
# One of Ray's looks for the head that is gone, and hears nothing meanwhile.
_END_SECONDS = 4.0
_TRIES = 3


@dataclass(frozen=True)
class Membership:
    """What this data folder's machine has started. ``role``: head or node; ``address``: the head's; ``mark``: what its
    processes have in their environment."""

    role: str
    address: str
    name: str
    engines: int
    mark: str


def read_membership(data_dir: Path) -> Membership | None:
    """What was started here and not stopped, whether it still runs or not."""
    try:
        return Membership(**json.loads((data_dir / _FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_membership(data_dir: Path, membership: Membership) -> None:
    """Raises OSError."""
    (data_dir / _FILE).write_text(json.dumps(asdict(membership)) + "\n", encoding="utf-8")


def forget_membership(data_dir: Path) -> None:
    """Idempotent. Raises OSError."""
    (data_dir / _FILE).unlink(missing_ok=True)


def make_mark() -> str:
    return secrets.token_hex(8)


def ensure_token(path: Path) -> bool:
    """Make the file with the cluster's token, readable for its owner alone. Returns whether it was missing.

    Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(file, "w", encoding="ascii") as opened:
        opened.write(secrets.token_hex(_TOKEN_BYTES))
    return True


def find_processes(mark: str) -> list[psutil.Process]:
    """The processes that have ``mark`` in their environment, and their children: some of Ray's write their title over
    it. Those of other users show none."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK_VARIABLE) == mark:
                found |= {one.pid: one for one in (process, *process.children(recursive=True))}
    found.pop(os.getpid(), None)
    return list(found.values())


def end_processes(mark: str) -> int:
    """End what has ``mark``, in two steps, and returns how many processes that were.

    What holds the node together goes first: it says goodbye to the head, and ends its own.
    """
    found = find_processes(mark)
    _terminate([one for one in found if _name_of(one) == "raylet"], _LEAVE_SECONDS)
    _terminate(find_processes(mark), _END_SECONDS)
    for _ in range(_TRIES):
        if not (left := find_processes(mark)):
            break
        for one in left:
            _signal(one, kill=True)
        psutil.wait_procs(left, _END_SECONDS)
    return len(found)


def _terminate(processes: Sequence[psutil.Process], timeout_seconds: float) -> None:
    for one in processes:
        _signal(one, kill=False)
    psutil.wait_procs(processes, timeout_seconds)


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        process.kill() if kill else process.terminate()
    except psutil.Error:
        return


def _name_of(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""
