"""Opens the native library: its version, its names, its guarded calls, and the three callbacks of the process.

Knows the C API's names; knows nothing of jobs. Loading happens in ``open_library()``, never on import: the server
process imports nothing from here and must stay alive whatever the library does.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import itertools
import logging
import os
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdcpp_rest.native.binding import BINDING, import_binding
from sdcpp_rest.native.driver_libraries import advise_driver
from sdcpp_rest.native.guard import LOG_SINK, PROGRESS_SINK, Guard, guard_path
from sdcpp_rest.native.images import RawImage, copy_image
from sdcpp_rest.native.prebuilt import PrebuiltError
from sdcpp_rest.native.prebuilt_loading import preload_engine
from sdcpp_rest.native.weight_types import WeightType, writable_types

log = logging.getLogger(__name__)

LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR = range(4)
_LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")

LogCallback = Callable[[int, str], None]
"""(level, line): level 0 debug, 1 info, 2 warning, 3 error; called on whatever thread the library logs from."""
ProgressCallback = Callable[[int, int, float], None]
"""(step, steps, seconds per step): sampling steps, VAE tiles and loaded tensors all count here."""
StepChoice = Callable[[int], bool] | None
PreviewCallback = Callable[[int, Sequence[RawImage], bool], None]
"""(step, frames, is_noisy): one frame for pictures, several for video."""


class LibraryMissing(RuntimeError):
    """stable-diffusion-cpp-python, or the shared library in it, is not installed or cannot be loaded."""


@dataclass(frozen=True)
class _Names:
    """One enum of the library and the pair of functions that translate it; ``count`` is also the "unknown" value."""

    what: str
    count: int
    name: Any
    value: Any

    def all(self) -> tuple[str, ...]:
        return tuple(self.name(value).decode() for value in range(self.count))

    def resolve(self, name: str | None) -> int:
        """The enum value of ``name``; the library's "decide yourself" for None and ``""``. ValueError if unknown."""
        if not name:
            return self.count
        value = int(self.value(encode(name, self.what)))
        if not 0 <= value < self.count:
            raise ValueError(f"unknown {self.what} {name!r}; allowed: {', '.join(self.all())}")
        return value


class Library:
    """Wraps the library in this process. Get it from ``open_library()``; there is only one."""

    def __init__(self, raw: Any, guard: Guard) -> None:
        self.raw = raw
        self.guard = guard
        self.cdll = raw._lib
        self._declare()
        self._tail: deque[tuple[int, str]] = deque(maxlen=400)
        self._line_numbers = itertools.count()
        self._log: LogCallback | None = None
        self._progress: ProgressCallback | None = None
        self._preview: PreviewCallback | None = None
        self._preview_wanted: StepChoice = None
        self._preview_value, self._preview_interval = 0, 1
        # These C callbacks are made once and live as long as the process: the library keeps bare pointers to them, and
        # a collected callback object is a jump into freed memory at the next step.
        self._c_log = LOG_SINK(self._on_log)
        self._c_progress = PROGRESS_SINK(self._on_progress)
        self._c_preview = raw.sd_preview_callback(self._on_preview)
        guard.set_sinks(self._c_progress, self._c_log)
        guard.catch_terminate()
        guard.shorten_sleeps(self.cdll.new_sd_ctx)
        guard.bound_letters(self.cdll.new_sd_ctx)
        raw.sd_set_log_callback(guard.address("guard_log"), None)
        raw.sd_set_progress_callback(guard.address("guard_progress"), None)
        self.cdll.ggml_set_abort_callback(guard.address("guard_abort"))
        # A library thread that logs while the interpreter is torn down must not call into it.
        atexit.register(self._detach)

    # --- what it is ---------------------------------------------------------------------------------------------------

    @functools.cached_property
    def binding_version(self) -> str:
        """Version of the Python package that brought the library, such as ``0.4.7``."""
        import importlib.metadata

        return importlib.metadata.version(BINDING)

    @functools.cached_property
    def version(self) -> str:
        """The library's own version, or the binding's where it was built outside of its repository."""
        own: str = self.raw.sd_version().decode()
        return own if own != "unknown" else self.binding_version

    @functools.cached_property
    def commit(self) -> str:
        """The commit the library was built from; empty where it does not know."""
        own: str = self.raw.sd_commit().decode()
        return own if own != "unknown" else ""

    @functools.cached_property
    def path(self) -> Path:
        """The shared library's file."""
        return Path(self.cdll._name)

    @functools.cached_property
    def features(self) -> tuple[str, ...]:
        """CPU features the build uses, such as ``("SSE3", "AVX", "AVX2", "LLAMAFILE")``."""
        found = re.findall(r"(\w+) = 1\b", self.raw.sd_get_system_info().decode())
        if hasattr(self.cdll, "ggml_cpu_has_llamafile") and self.cdll.ggml_cpu_has_llamafile():
            found.append("LLAMAFILE")
        return tuple(found)

    @property
    def physical_cores(self) -> int:
        return max(1, int(self.raw.sd_get_num_physical_cores()))

    def samplers(self) -> tuple[str, ...]:
        """Names that ``ImageRequest.sampler`` takes, in the library's order."""
        return self.sampler_names.all()

    def schedulers(self) -> tuple[str, ...]:
        """Names that ``ImageRequest.scheduler`` takes, in the library's order."""
        return self.scheduler_names.all()

    def quantization_types(self) -> tuple[WeightType, ...]:
        """The weight types that the library can write."""
        return writable_types()

    def bits_per_weight(self, weight_type: WeightType) -> float:
        """The size of one weight, with its share of its block's scales."""
        block_bits = 8 * self.cdll.ggml_type_size(weight_type.value)
        return float(block_bits / self.cdll.ggml_blck_size(weight_type.value))

    # --- callbacks of the process -------------------------------------------------------------------------------------

    def set_log(self, callback: LogCallback | None) -> None:
        """Hear every log line. Called on library threads: be quick, and take no lock that a caller of ours holds."""
        self._log = callback

    def set_progress(self, callback: ProgressCallback | None) -> None:
        """Hear progress, before a cancelled run is stopped by it."""
        self._progress = callback

    def set_preview(
        self, callback: PreviewCallback | None, mode: str = "proj", interval: int = 1, wanted: StepChoice = None
    ) -> None:
        """Hear previews every ``interval`` steps, or of steps ``wanted``; ``mode`` none, proj, tae, vae."""
        value = self.preview_names.resolve(mode)
        if interval < 1:
            raise ValueError(f"preview interval must be at least 1 step, got {interval}")
        is_off = callback is None or value == self.preview_names.count or mode == "none"
        self._preview, self._preview_value = (None, 0) if is_off else (callback, value)
        self._preview_interval, self._preview_wanted = interval, wanted
        self._switch_preview(wanted is None and interval == 1)

    def _switch_preview(self, is_wanted: bool) -> None:
        # The library never looks at the interval, but asks at every step whether denoised previews are wanted: that is
        # where we skip the others. In mode tae each one is a run of the decoder.
        self.raw.sd_set_preview_callback(
            ctypes.cast(self._c_preview, ctypes.c_void_p) if self._preview else None,
            self._preview_value,
            self._preview_interval,
            is_wanted,  # denoised
            False,  # noisy
            None,
        )

    def cancel(self, run: int) -> None:
        """Stop run number ``run`` at its next sampling step; does nothing to any other run."""
        self.guard.cancel(run)

    def set_last_words(self, path: str | os.PathLike[str] | None) -> None:
        """Where an assertion that ends the process leaves its text."""
        self.guard.set_last_words(path)

    def log_tail(self) -> tuple[str, ...]:
        """The last few hundred log lines, oldest first, each with its level in brackets."""
        return tuple(line for _, line in tuple(self._tail))

    def call(self, name: str, function: Any, *arguments: Any, run: int = 0) -> None:
        """A guarded call (see Guard.call) whose NativeError carries what was logged during it."""
        start = next(self._line_numbers)

        def lines() -> Sequence[str]:
            return [line for number, line in tuple(self._tail) if number > start]

        self.guard.call(name, function, *arguments, run=run, log_lines=lines)

    def _on_log(self, level: int, text: bytes, _user: int) -> None:
        try:
            line = text.decode("utf-8", "replace").rstrip()
            self._tail.append((next(self._line_numbers), f"[{_LEVELS[level & 3]}] {line}"))
            if callback := self._log:
                callback(level, line)
        except Exception:
            log.exception("a log callback failed")

    def _on_progress(self, step: int, steps: int, seconds: float, _user: int) -> None:
        try:
            if callback := self._progress:
                callback(step, steps, seconds)
            if self._preview_wanted is not None:
                self._switch_preview(self._preview_wanted(step + 1))
            elif self._preview_interval > 1:
                self._switch_preview((step + 1) % self._preview_interval == 0)
        except Exception:
            log.exception("a progress callback failed")

    def _on_preview(self, step: int, frame_count: int, frames: Any, is_noisy: bool, _user: int) -> None:
        try:
            if callback := self._preview:
                if self._preview_wanted:  # some samplers compute a step twice
                    self._switch_preview(False)
                copies = (copy_image(frames[index]) for index in range(frame_count))
                callback(abs(step), [image for image in copies if image], is_noisy)  # negative: within a step
        except Exception:
            log.exception("a preview callback failed")

    def _detach(self) -> None:
        self.guard.set_sinks(None, None)
        self.raw.sd_set_preview_callback(None, 0, 1, False, False, None)

    # --- functions that the binding does not declare, in header order -------------------------------------------------

    def _declare(self) -> None:
        raw = self.raw
        pointer, text, integer, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t

        # SD_API const char* sd_type_name(enum sd_type_t type);
        self._function("sd_type_name", text, integer)
        # GGML_API int64_t ggml_blck_size(enum ggml_type type);
        self._function("ggml_blck_size", ctypes.c_int64, integer)
        # GGML_API size_t ggml_type_size(enum ggml_type type);
        self._function("ggml_type_size", size, integer)
        # SD_API const char* sd_rng_type_name(enum rng_type_t rng_type);
        # SD_API enum rng_type_t str_to_rng_type(const char* str);
        self.rng_names = self._names("rng type", raw.RNGType.RNG_TYPE_COUNT, "sd_rng_type_name", "str_to_rng_type")
        # SD_API const char* sd_sample_method_name(enum sample_method_t sample_method);
        # SD_API enum sample_method_t str_to_sample_method(const char* str);
        self.sampler_names = self._names(
            "sampler", raw.SampleMethod.SAMPLE_METHOD_COUNT, "sd_sample_method_name", "str_to_sample_method"
        )
        # SD_API const char* sd_scheduler_name(enum scheduler_t scheduler);
        # SD_API enum scheduler_t str_to_scheduler(const char* str);
        self.scheduler_names = self._names(
            "scheduler", raw.Scheduler.SCHEDULER_COUNT, "sd_scheduler_name", "str_to_scheduler"
        )
        # SD_API const char* sd_prediction_name(enum prediction_t prediction);
        # SD_API enum prediction_t str_to_prediction(const char* str);
        self.prediction_names = self._names(
            "prediction", raw.Prediction.PREDICTION_COUNT, "sd_prediction_name", "str_to_prediction"
        )
        # SD_API const char* sd_preview_name(enum preview_t preview);
        # SD_API enum preview_t str_to_preview(const char* str);
        self.preview_names = self._names("preview mode", raw.Preview.PREVIEW_COUNT, "sd_preview_name", "str_to_preview")
        # SD_API const char* sd_lora_apply_mode_name(enum lora_apply_mode_t mode);
        # SD_API enum lora_apply_mode_t str_to_lora_apply_mode(const char* str);
        self.lora_mode_names = self._names(
            "LoRA apply mode",
            raw.LoraApplyMode.LORA_APPLY_MODE_COUNT,
            "sd_lora_apply_mode_name",
            "str_to_lora_apply_mode",
        )
        # SD_API const char* sd_hires_upscaler_name(enum sd_hires_upscaler_t upscaler);
        # SD_API enum sd_hires_upscaler_t str_to_sd_hires_upscaler(const char* str);
        self.hires_upscaler_names = self._names(
            "hires upscaler",
            raw.SDHiresUpscaler.SD_HIRES_UPSCALER_COUNT,
            "sd_hires_upscaler_name",
            "str_to_sd_hires_upscaler",
        )
        # SD_API void sd_cache_params_init(sd_cache_params_t* cache_params);
        self._function("sd_cache_params_init", None, ctypes.POINTER(raw.sd_cache_params_t))
        # SD_API void sd_hires_params_init(sd_hires_params_t* hires_params);
        self._function("sd_hires_params_init", None, ctypes.POINTER(raw.sd_hires_params_t))
        # SD_API void sd_ctx_params_init(sd_ctx_params_t* sd_ctx_params);
        self._function("sd_ctx_params_init", None, ctypes.POINTER(raw.sd_ctx_params_t))
        # SD_API void sd_sample_params_init(sd_sample_params_t* sample_params);
        self._function("sd_sample_params_init", None, ctypes.POINTER(raw.sd_sample_params_t))
        # SD_API void sd_img_gen_params_init(sd_img_gen_params_t* sd_img_gen_params);
        self._function("sd_img_gen_params_init", None, ctypes.POINTER(raw.sd_img_gen_params_t))
        # SD_API void sd_vid_gen_params_init(sd_vid_gen_params_t* sd_vid_gen_params);
        self._function("sd_vid_gen_params_init", None, ctypes.POINTER(raw.sd_vid_gen_params_t))

        # GGML_API ggml_abort_callback_t ggml_set_abort_callback(ggml_abort_callback_t callback);
        self._function("ggml_set_abort_callback", pointer, pointer)
        # GGML_API const char* ggml_backend_dev_name(ggml_backend_dev_t device);
        self._function("ggml_backend_dev_name", text, pointer)
        # GGML_API const char* ggml_backend_dev_description(ggml_backend_dev_t device);
        self._function("ggml_backend_dev_description", text, pointer)
        # GGML_API void ggml_backend_dev_memory(ggml_backend_dev_t device, size_t* free, size_t* total);
        self._function("ggml_backend_dev_memory", None, pointer, ctypes.POINTER(size), ctypes.POINTER(size))
        # GGML_API enum ggml_backend_dev_type ggml_backend_dev_type(ggml_backend_dev_t device);
        self._function("ggml_backend_dev_type", integer, pointer)
        # GGML_API ggml_backend_reg_t ggml_backend_dev_backend_reg(ggml_backend_dev_t device);
        self._function("ggml_backend_dev_backend_reg", pointer, pointer)
        # GGML_API const char* ggml_backend_reg_name(ggml_backend_reg_t reg);
        self._function("ggml_backend_reg_name", text, pointer)
        # GGML_API size_t ggml_backend_reg_count(void);
        self._function("ggml_backend_reg_count", size)
        # GGML_API ggml_backend_reg_t ggml_backend_reg_get(size_t index);
        self._function("ggml_backend_reg_get", pointer, size)
        # GGML_API size_t ggml_backend_dev_count(void);
        self._function("ggml_backend_dev_count", size)
        # GGML_API ggml_backend_dev_t ggml_backend_dev_get(size_t index);
        self._function("ggml_backend_dev_get", pointer, size)
        # GGML_BACKEND_API int ggml_cpu_has_llamafile(void);  (elsewhere when backends are loaded at run time)
        if hasattr(self.cdll, "ggml_cpu_has_llamafile"):
            self._function("ggml_cpu_has_llamafile", integer)

        c_library = ctypes.CDLL(None) if os.name != "nt" else ctypes.cdll.msvcrt
        self.free = c_library.free
        # Of glibc alone: int malloc_trim(size_t pad);
        self._trim = getattr(c_library, "malloc_trim", None)
        self.free.restype = None
        self.free.argtypes = [pointer]

    def _function(self, name: str, result: Any, *arguments: Any) -> Any:
        function = getattr(self.cdll, name)
        function.restype = result
        function.argtypes = list(arguments)
        return function

    def _names(self, what: str, count: int, name: str, value: str) -> _Names:
        text, integer = ctypes.c_char_p, ctypes.c_int
        return _Names(what, int(count), self._function(name, text, integer), self._function(value, integer, text))

    def return_memory(self) -> None:
        """Give the system what was freed and the allocator keeps for later: a freed model's tables of words are 80 MB
        of small pieces. Does nothing where the allocator cannot be asked to."""
        if self._trim is not None:
            self._trim(ctypes.c_size_t(0))

    def take_images(self, array: Any, count: int) -> list[RawImage]:
        """Copy ``count`` images that the library allocated, then free each one's pixels and the array."""
        try:
            return [image for image in (copy_image(array[index]) for index in range(count)) if image]
        finally:
            for index in range(count):
                if array[index].data:
                    self.free(array[index].data)
            self.free(array)


def encode(text: str, what: str) -> bytes:
    """UTF-8 for the library. ValueError for what a C string cannot hold (it would be cut off silently)."""
    if "\0" in text:
        raise ValueError(f"{what} contains a NUL character")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} is not valid Unicode text") from error


def encode_path(path: str, what: str) -> bytes:
    """A path as the file system spells it. ValueError for what a C string cannot hold."""
    if "\0" in path:
        raise ValueError(f"{what} contains a NUL character")
    return os.fsencode(path)


@functools.cache
def open_library() -> Library:
    """Load the library and the guard, once per process. Raises LibraryMissing where the binding is not installed or its
    shared library does not load, and GuardMissing where the guard has not been built."""
    # Must be set before the library is loaded: else ggml starts a debugger for a backtrace when it aborts (seconds).
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    guard = Guard(guard_path())
    try:
        with preload_engine():
            raw = import_binding()
    except PrebuiltError as error:
        raise LibraryMissing(str(error)) from error
    except (ImportError, OSError, RuntimeError) as error:
        advice = advise_driver(str(error)) or "run `make setup`, or `sdcpp-rest native build` or `native install`"
        raise LibraryMissing(f"the native library cannot be loaded ({error}): {advice}") from error
    return Library(raw, guard)
