"""Computes SHA-256 sums of model files: once per file, remembered, and never in anybody's way.

Callers wait on their own threads; the reading is done in pieces so large that the interpreter's lock is free meanwhile.
Knows the catalogue and the store of sums; must not know the engine.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future

from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.errors import Conflict, EngineUnavailable, ModelNotFound
from sdcpp_rest.services.models.model_library import KnownSums, ModelLibrary
from sdcpp_rest.store.hash_store import HashStore

_CHUNK_BYTES = 4 * 1024 * 1024

_Key = tuple[str, int, int]


class ModelHashes:
    """Computes SHA-256 sums of model files, once per file.

    Thread-safe.
    """

    def __init__(self, library: ModelLibrary, store: HashStore) -> None:
        self._library = library
        self._store = store
        self._lock = threading.Lock()
        self._running: dict[_Key, Future[str]] = {}
        self._closed = False
        self.revision = 0
        """Another number whenever there is one more sum."""

    def hash_of(self, model_type: str, name: str) -> ModelFile:
        """The model that ``name`` means, with its ``hash``; blocks while the file is read, unless the sum is known.

        Whoever asks for a file that is being read already waits for that reading. Raises InvalidRequest for an unknown
        type, ModelNotFound, Conflict when the file is being written, EngineUnavailable when the server stops meanwhile.
        """
        file = self._library.find(model_type, name)
        return file.model_copy(update={"hash": self.sum_of(file)})

    def known_sums(self) -> KnownSums:
        """The sums that have been computed, for a listing. Reads no file."""
        return self._store.known_hashes()

    def known_sum(self, file: ModelFile) -> str | None:
        """The sum of one file, if it has been computed. Reads no file."""
        return self._store.get(file.path, file.size_bytes, file.mtime_ns)

    def follow(self, source: str, target: str) -> None:
        """Keep what is known of a file that has moved from one path to the other."""
        self._store.move(source, target)
        self.revision += 1

    def close(self) -> None:
        """The server stops: give up what is being read, and release everybody who waits for it. Idempotent."""
        self._closed = True

    def sum_of(self, file: ModelFile, watch: Callable[[int], None] = lambda count: None) -> str:
        """The sum of a file that need not be in the catalogue; as `hash_of`. ``watch`` is told of every so many bytes
        that were read, and ends the reading with what it raises, for all who wait for it."""
        key = (file.path, file.size_bytes, file.mtime_ns)
        with self._lock:
            running = self._running.get(key)
            mine: Future[str] | None = None
            if running is None:
                running = mine = self._running[key] = Future()
        if mine is not None:
            try:
                # Asked for here, not before: the reading that this call just missed may have ended in between.
                known = self._store.get(*key)
                sha256 = known or self._read(file, watch)
                if known is None:
                    self._store.put(*key, sha256)
                    self.revision += 1
                mine.set_result(sha256)
            except Exception as error:
                mine.set_exception(error)
            finally:
                with self._lock:
                    del self._running[key]
        return running.result()

    def _read(self, file: ModelFile, watch: Callable[[int], None]) -> str:
        digest, buffer = hashlib.sha256(), memoryview(bytearray(_CHUNK_BYTES))
        size_bytes = mtime_ns = 0
        try:
            # A split model's sum is that of its parts one after the other.
            for path in file.parts or (file.path,):
                with open(path, "rb", buffering=0) as opened:
                    while count := opened.readinto(buffer):
                        if self._closed:
                            raise EngineUnavailable("The server is stopping")
                        digest.update(buffer[:count])
                        watch(count)
                    status = os.fstat(opened.fileno())
                size_bytes, mtime_ns = size_bytes + status.st_size, max(mtime_ns, status.st_mtime_ns)
        except OSError:
            # Removed, or not readable, since the library saw it.
            raise ModelNotFound(f"Model not found: {file.name}", type=file.type) from None
        if (size_bytes, mtime_ns) != (file.size_bytes, file.mtime_ns):
            # A download that is still being written, say: this sum would be that of no file there ever was.
            raise Conflict(f"{file.name} changed while it was being read; try again when it is complete")
        return digest.hexdigest()
