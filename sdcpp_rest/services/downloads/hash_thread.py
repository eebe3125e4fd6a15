"""Computes a SHA-256 sum on a thread of its own while the next bytes come.

Knows nothing of files.
"""

from __future__ import annotations

import hashlib
import queue
import threading

_PARTS_WAITING = 16


class HashThread:
    """Hashes bytes in order on its own thread. At most a few parts wait: whoever is faster than the sum waits for it.

    A context manager; the thread ends with it.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._parts: queue.Queue[bytes | None] = queue.Queue(_PARTS_WAITING)
        self._thread = threading.Thread(target=self._work, name="download-hash", daemon=True)

    def __enter__(self) -> HashThread:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.put(None)
        self._thread.join()

    def add(self, part: bytes) -> None:
        self._parts.put(part)

    def restart(self) -> None:
        """Forget everything: the file begins anew."""
        self._parts.join()
        self._digest = hashlib.sha256()

    def hexdigest(self) -> str:
        """Of everything that was added."""
        self._parts.join()
        return self._digest.hexdigest()

    def _work(self) -> None:
        while (part := self._parts.get()) is not None:
            self._digest.update(part)
            self._parts.task_done()
