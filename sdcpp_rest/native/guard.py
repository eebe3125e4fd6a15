"""Loads ``guard.cpp`` and turns its status codes into exceptions.

Knows which calls are guarded and how a status reads; what the library's functions mean is for its callers to know.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

GUARD_VERSION = 6
GUARD_VARIABLE = "SDCPP_REST_GUARD"

OK, FAILED, CANCELLED, EXCEPTION, ASSERTION, BROKEN = range(6)
_KINDS = {FAILED: "failed", EXCEPTION: "exception", ASSERTION: "assertion", BROKEN: "broken"}


class NativeError(Exception):
    """The library refused or failed, and the process lives on; the context too, unless the error `is_broken`.

    ``kind`` is ``failed`` (the library said no), ``exception`` (a C++ exception of the library's own code was caught),
    ``assertion`` (a GGML_ASSERT was caught) or ``broken`` (an exception of a compute backend, such as a lost device);
    ``log_tail`` holds what the library logged during the call, oldest line first.
    """

    def __init__(self, message: str, *, kind: str = "failed", log_tail: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.log_tail = tuple(log_tail)

    @property
    def is_broken(self) -> bool:
        """Whether nothing more may be computed in this process: the next call would end it."""
        return self.kind == "broken"


class NativeCancelled(Exception):
    """The run was cancelled by its number; the context is as good as before."""

    def __init__(self, run: int) -> None:
        super().__init__(f"run {run} was cancelled")
        self.run = run


class GuardMissing(RuntimeError):
    """``guard.cpp`` has not been built, or was built from another version of this package."""


def guard_path() -> Path:
    """Where the built guard is looked for: ``SDCPP_REST_GUARD``, else beside this file."""
    if chosen := os.environ.get(GUARD_VARIABLE):
        return Path(chosen)
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    prefix = "" if sys.platform == "win32" else "lib"
    return Path(__file__).parent / f"{prefix}sdcpp_guard{suffix}"


# typedef void (*ProgressSink)(int step, int steps, float seconds, void* user);
PROGRESS_SINK = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_int, ctypes.c_float, ctypes.c_void_p)
# typedef void (*LogSink)(int level, const char* text, void* user);
LOG_SINK = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class Guard:
    """Calls the library through the loaded guard. One per process: what it holds (sinks, the cancelled number) is
    global."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise GuardMissing(f"the native guard is not built ({path} is missing): run `make setup`")
        try:
            self._cdll = ctypes.CDLL(str(path))
            version = self._cdll.guard_version()
        except (OSError, AttributeError) as error:
            raise GuardMissing(f"{path} is not a usable native guard ({error}): run `make setup`") from error
        if version != GUARD_VERSION:
            raise GuardMissing(f"{path} is guard version {version}, needed is {GUARD_VERSION}: run `make setup`")
        pointer, int64, text = ctypes.c_void_p, ctypes.c_int64, ctypes.c_char_p
        for name, result, arguments in (
            # const char* guard_text();
            ("guard_text", text, []),
            # void guard_cancel(int64_t run);
            ("guard_cancel", None, [int64]),
            # void guard_set_progress_sink(ProgressSink sink);
            ("guard_set_progress_sink", None, [pointer]),
            # void guard_set_log_sink(LogSink sink);
            ("guard_set_log_sink", None, [pointer]),
            # void guard_catch_terminate();
            ("guard_catch_terminate", None, []),
            # void guard_set_last_words(const char* path);
            ("guard_set_last_words", None, [text]),
            # int guard_take_threads(void* backend_registry);
            ("guard_take_threads", ctypes.c_int, [pointer]),
            # void guard_choose_threads(int count);
            ("guard_choose_threads", None, [ctypes.c_int]),
            # int guard_used_threads();
            ("guard_used_threads", ctypes.c_int, []),
            # int guard_shorten_sleeps(const void* function);
            ("guard_shorten_sleeps", ctypes.c_int, [pointer]),
            # int guard_bound_letters(const void* function);
            ("guard_bound_letters", ctypes.c_int, [pointer]),
            # int64_t guard_short_sleeps();
            ("guard_short_sleeps", int64, []),
            # int guard_check_pattern(const char* pattern);
            ("guard_check_pattern", ctypes.c_int, [text]),
            # int guard_new_context(load, const void* params, void** context);
            ("guard_new_context", ctypes.c_int, [pointer] * 3),
            # int guard_generate_image(generate, void* context, const void* params, int64_t run, void** images);
            ("guard_generate_image", ctypes.c_int, [pointer, pointer, pointer, int64, pointer]),
            # int guard_generate_video(generate, void* context, const void* params, int64_t run, int*, void** frames);
            ("guard_generate_video", ctypes.c_int, [pointer, pointer, pointer, int64, pointer, pointer]),
            # int guard_new_upscaler(load, const char* path, bool offload, bool direct, int n_threads, int tile_size,
            #                        void** upscaler);
            (
                "guard_new_upscaler",
                ctypes.c_int,
                [pointer, text, ctypes.c_bool, ctypes.c_bool, ctypes.c_int, ctypes.c_int, pointer],
            ),
            # int guard_upscale(upscale, void* upscaler, const Image* input, uint32_t factor, int64_t run, Image*);
            ("guard_upscale", ctypes.c_int, [pointer, pointer, pointer, ctypes.c_uint32, int64, pointer]),
            # int guard_convert(convert, const char* input, const char* vae, const char* output, int type,
            #                   const char* rules, bool convert_name);
            ("guard_convert", ctypes.c_int, [pointer, text, text, text, ctypes.c_int, text, ctypes.c_bool]),
            # int guard_canny(canny, const Image* image, float high, float low, float weak, float strong, bool inverse);
            ("guard_canny", ctypes.c_int, [pointer, pointer, *[ctypes.c_float] * 4, ctypes.c_bool]),
        ):
            function = getattr(self._cdll, name)
            function.restype = result
            function.argtypes = arguments

    def address(self, name: str) -> ctypes.c_void_p:
        """The address of one of the guard's own callbacks, to be given to the library."""
        return ctypes.cast(getattr(self._cdll, name), ctypes.c_void_p)

    def cancel(self, run: int) -> None:
        """Stop run number ``run`` at its next sampling step. Harmless when that run is over or has not begun."""
        self._cdll.guard_cancel(run)

    def set_sinks(self, progress: Any, log: Any) -> None:
        """Install C callbacks (``PROGRESS_SINK``, ``LOG_SINK``), or None for nobody. The caller keeps them alive."""
        self._cdll.guard_set_progress_sink(ctypes.cast(progress, ctypes.c_void_p) if progress else None)
        self._cdll.guard_set_log_sink(ctypes.cast(log, ctypes.c_void_p) if log else None)

    def catch_terminate(self) -> None:
        """Install the last-words writer as the process's std::terminate function."""
        self._cdll.guard_catch_terminate()

    def set_last_words(self, path: str | os.PathLike[str] | None) -> None:
        """Where the text of a deadly assertion is written before the process dies; None for nowhere."""
        self._cdll.guard_set_last_words(os.fsencode(path) if path else None)

    def take_threads(self, registry: int) -> bool:
        """Decide from now on how many threads a CPU backend computes with; whether its registry can be taken over."""
        return bool(self._cdll.guard_take_threads(registry))

    def choose_threads(self, count: int) -> None:
        """Compute with ``count`` threads from the next graph on, also of a running call; 0: as the model asks for."""
        self._cdll.guard_choose_threads(count)

    @property
    def used_threads(self) -> int:
        """How many threads the last graph was given on the CPU; 0 before the first one."""
        return int(self._cdll.guard_used_threads())

    def shorten_sleeps(self, function: Any) -> bool:
        """Have the library of ``function`` wait for its loader threads no longer than it must; whether it does."""
        return bool(self._cdll.guard_shorten_sleeps(ctypes.cast(function, ctypes.c_void_p)))

    def bound_letters(self, function: Any) -> bool:
        """Have the library of ``function`` look up no letter beyond C's table of them; whether it looks up any."""
        return bool(self._cdll.guard_bound_letters(ctypes.cast(function, ctypes.c_void_p)))

    @property
    def short_sleeps(self) -> int:
        """How often such a wait was shortened."""
        return int(self._cdll.guard_short_sleeps())

    def pattern_error(self, pattern: bytes) -> str | None:
        """Why C++ cannot use ``pattern`` as a regular expression; None when it can."""
        if self._cdll.guard_check_pattern(pattern) == OK:
            return None
        return str(self._cdll.guard_text().decode("utf-8", "replace"))

    def call(self, name: str, function: Any, *arguments: Any, run: int, log_lines: Callable[[], Sequence[str]]) -> None:
        """Run one guarded call.

        Raises:
            NativeCancelled: ``run`` was cancelled.
            NativeError: anything else but success; ``log_lines`` is then asked what the library said meanwhile.
        """
        status = getattr(self._cdll, name)(ctypes.cast(function, ctypes.c_void_p), *arguments)
        if status == OK:
            return
        if status == CANCELLED:
            raise NativeCancelled(run)
        text = self._cdll.guard_text().decode("utf-8", "replace")
        lines = tuple(log_lines())
        raise NativeError(_sentence(status, text, lines), kind=_KINDS[status], log_tail=lines[-40:])


_SOURCE_PATH = re.compile(r"(?:[^\s:]*[/\\])([\w.-]+\.(?:c|cpp|h|hpp|cu|m)):")
_LOG_ORIGIN = re.compile(r"^[\w.-]+:\d+\s+- ")


def _sentence(status: int, text: str, lines: Sequence[str]) -> str:
    """What went wrong in one line: the guard's text, else the library's own error lines, else its last line."""
    if status == ASSERTION:
        where_and_what = _SOURCE_PATH.sub(r"\1:", text)
        return f"assertion failed in the native library: {where_and_what}"
    errors = [line for line in lines if line.startswith("[ERROR]")]
    said = "; ".join(_LOG_ORIGIN.sub("", line.split("] ", 1)[1]) for line in errors[-3:])
    if status in (EXCEPTION, BROKEN):
        return f"C++ exception in the native library: {text}" + (f" ({said})" if said else "")
    if said:
        return said
    return f"the native library failed: {lines[-1]}" if lines else "the native library failed without a word"
