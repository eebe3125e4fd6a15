"""Watches calls of the native library, and says why one failed: memory that was refused, a device that is lost, or what
the library says itself.

Knows errors and devices; must not know what is computed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence

from sdcpp_rest.core.load_spec import LoadOptions
from sdcpp_rest.core.params import Params
from sdcpp_rest.engine.protocol import Device
from sdcpp_rest.engine.refused_memory import MemoryWatch, memory_of
from sdcpp_rest.engine.runner import RunFailed
from sdcpp_rest.errors import GenerationFailed, OutOfMemory
from sdcpp_rest.native.guard import NativeError

_LOST = re.compile(r"device[ _]?lost", re.IGNORECASE)


class LibraryCalls:
    """Watches one call after another.

    Args:
        devices: what the library last said of its devices; asked in the middle of a call.
        note_path: where refused memory is noted while a call lasts; empty for nowhere.
    """

    def __init__(self, devices: Callable[[], Sequence[Device]], note_path: str = "") -> None:
        self._devices = devices
        self._memory = MemoryWatch(lambda: memory_of(devices()), note_path)
        self.hear = self._memory.hear
        """Take a warning or an error of the library's log."""

    @contextlib.contextmanager
    def watch(
        self, options: LoadOptions | None, params: Params | None = None, *, code: str = GenerationFailed.code
    ) -> Iterator[None]:
        """Around calls of the library: a load with ``options`` (``None``: of an upscaler), or a run with ``params``.

        Raises RunFailed, with ``code`` where nothing better is known; also for calls that went on without the memory
        that they did not get. It `is_broken` where a backend has failed.
        """
        watch, is_broken = self._memory, False
        watch.begin(options, params)
        try:
            yield
        except (NativeError, RunFailed) as error:
            is_broken = isinstance(error, NativeError) and error.is_broken
            watch.hear(error.message)
            if not watch.is_refused:
                if isinstance(error, RunFailed):
                    raise
                message = self._describe_broken(error.message) if is_broken else error.message
                raise RunFailed(message, code=code, is_broken=is_broken) from error
        except ValueError as error:
            raise RunFailed(str(error), code=code) from error
        finally:
            sentence = watch.sentence() if watch.is_refused else ""
            watch.end()
        if sentence:
            raise RunFailed(sentence, code=OutOfMemory.code, is_broken=is_broken)

    def _describe_broken(self, message: str) -> str:
        """What is said of a backend's exception: which device it was, and that another engine takes over."""
        devices = self._devices()
        device = next((one for one in devices if one.is_gpu), devices[0] if devices else None)
        name = "the device" if device is None else f"{device.name} ({device.description or device.backend})"
        what = "was lost" if _LOST.search(message) else "failed"
        return f"{name} {what}, and the engine is replaced: {message}"
