"""Tells whether the machine has been started anew since the server last worked: then half of what nobody waited for may
be missing from the disk.

A process that was killed leaves everything it has written. A machine that lost its power does not, and cannot tell
what is missing: what waits in the spool of running jobs is not synced, and is drawn anew.
"""

from __future__ import annotations

import logging
from pathlib import Path

import psutil

from sdcpp_rest.store.settings_store import SettingsStore

log = logging.getLogger(__name__)

KEY = "machine.boot"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class BootMark:
    """Remembers, in the database, during which run of the machine the server works."""

    def __init__(self, settings: SettingsStore) -> None:
        self._settings = settings
        self._now = read_boot()

    def is_same(self) -> bool:
        """Whether the last server here ran since the machine was started, or none has left a mark yet."""
        return bool(self._settings.get(KEY, self._now) == self._now)

    def put(self) -> None:
        """Remember this run of the machine. Before any job begins: what a job writes is younger than the mark."""
        if self._settings.get(KEY) != self._now:
            self._settings.put(KEY, self._now)


def read_boot() -> str:
    """What differs between two starts of this machine, and is the same until the next one."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return str(int(psutil.boot_time()))
