"""Loads a model and draws with it: the owning class over ``sd_ctx_t``.

Refuses values that would end the process (see ``refusals``). Knows nothing of jobs, model folders or limits.
"""

from __future__ import annotations

import ctypes
import re
import threading
from typing import Any

from sdcpp_rest.native.call_structs import ImageCall, VideoCall, context_params
from sdcpp_rest.native.guard import NativeCancelled, NativeError
from sdcpp_rest.native.images import RawImage
from sdcpp_rest.native.library import Library, open_library
from sdcpp_rest.native.refusals import refuse_deadly_identity
from sdcpp_rest.native.requests import (
    CACHE_MODES,
    CacheSettings,
    ContextOptions,
    Guidance,
    HiresFix,
    ImageRequest,
    LoraFile,
    PhotoMaker,
    Sampling,
    SkipLayers,
    Tiling,
    VideoRequest,
)

READING_HIRES_UPSCALERS = ("Lanczos", "Nearest", "Model")
"""Hires upscalers that decode the picture, enlarge it and encode it again; the others enlarge its latents."""

__all__ = [
    "CACHE_MODES",
    "CacheSettings",
    "Context",
    "ContextOptions",
    "Guidance",
    "HiresFix",
    "ImageRequest",
    "LoraFile",
    "NativeCancelled",
    "NativeError",
    "PhotoMaker",
    "RawImage",
    "Sampling",
    "SkipLayers",
    "Tiling",
    "VideoRequest",
]


class Context:
    """Owns one loaded model. Not more than one call at a time: a second caller waits, as does ``close()``."""

    def __init__(self, library: Library, pointer: int, options: ContextOptions, architecture: str | None) -> None:
        self._library = library
        self._pointer: int | None = pointer
        self._lock = threading.Lock()
        self.options = options
        self.architecture = architecture
        """The library's own verdict on the file, such as ``Ovis Image``."""
        self.supports_images = bool(library.raw.sd_ctx_supports_image_generation(self._require_handle()))
        self.supports_video = bool(library.raw.sd_ctx_supports_video_generation(self._require_handle()))

    @classmethod
    def load(cls, options: ContextOptions, library: Library | None = None) -> Context:
        """Load a model.

        Raises:
            ValueError: a name the library does not know, or text that a C string cannot hold; nothing was called.
            NativeError: the library could not load it; loading something else still works.
        """
        library = library or open_library()
        params, kept = context_params(library, options)
        pointer = ctypes.c_void_p()
        library.call("guard_new_context", library.raw.new_sd_ctx, ctypes.byref(params), ctypes.byref(pointer))
        del kept
        assert pointer.value is not None
        return cls(library, pointer.value, options, _architecture(library.log_tail()))

    def generate_image(self, request: ImageRequest, run: int) -> list[RawImage]:
        """Draw ``request.batch_count`` pictures of 3 channels. ``run`` (> 0) is what ``Library.cancel`` takes.

        Raises:
            ValueError: a value that is known to end the process; nothing was called.
            NativeCancelled: cancelled by number.
            NativeError: the library failed, threw or asserted; the context is still good unless it `is_broken`.
        """
        library = self._library
        params = ImageCall(library, request)
        if not self.supports_images:
            raise ValueError("this model does not draw pictures")
        if self.options.vae_decode_only and (request.init_image or request.ref_images):
            raise ValueError("the model was loaded with vae_decode_only, so it cannot read pictures")
        upscaler = request.hires.upscaler if request.hires else "None"
        if self.options.vae_decode_only and upscaler in READING_HIRES_UPSCALERS:
            raise ValueError(
                f"the model was loaded with vae_decode_only: the hires upscaler {upscaler} needs the encoder"
            )
        if self.options.photo_maker_path:
            refuse_deadly_identity(request)
        images = ctypes.POINTER(library.raw.sd_image_t)()
        with self._lock:
            library.call(
                "guard_generate_image",
                library.raw.generate_image,
                self._require_handle(),
                ctypes.byref(params.struct),
                run,
                ctypes.byref(images),
                run=run,
            )
        pictures = library.take_images(images, request.batch_count)
        if len(pictures) != request.batch_count:
            raise NativeError(f"the library drew {len(pictures)} of {request.batch_count} pictures")
        return pictures

    def generate_video(self, request: VideoRequest, run: int) -> list[RawImage]:
        """Draw ``request.frame_count`` frames of 3 channels, first to last; ``run`` and errors as ``generate_image``.

        Raises:
            ValueError: a value that is known to end the process; nothing was called.
            NativeCancelled: cancelled by number.
            NativeError: the library failed, threw or asserted; the context is still good unless it `is_broken`.
        """
        library = self._library
        params = VideoCall(library, request)
        if not self.supports_video:
            raise ValueError("this model does not draw videos")
        if self.options.vae_decode_only and (request.init_image or request.end_image or request.control_frames):
            raise ValueError("the model was loaded with vae_decode_only, so it cannot read pictures")
        frames = ctypes.POINTER(library.raw.sd_image_t)()
        count = ctypes.c_int(0)
        with self._lock:
            library.call(
                "guard_generate_video",
                library.raw.generate_video,
                self._require_handle(),
                ctypes.byref(params.struct),
                run,
                ctypes.byref(count),
                ctypes.byref(frames),
                run=run,
            )
        pictures = library.take_images(frames, count.value)
        if len(pictures) != count.value or not pictures:
            raise NativeError(f"the library drew {len(pictures)} of {request.frame_count} frames")
        return pictures

    def close(self) -> None:
        """Free the model; waits for a running call. Closing twice does nothing."""
        with self._lock:
            if self._pointer is not None:  # the library's free function does not survive NULL
                self._library.raw.free_sd_ctx(self._require_handle())
                self._pointer = None

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_handle(self) -> Any:
        if self._pointer is None:
            raise ValueError("the model has been unloaded")
        return ctypes.cast(self._pointer, self._library.raw.sd_ctx_t_p_ctypes)


def _architecture(log_tail: tuple[str, ...]) -> str | None:
    """The library's verdict on the model loaded last. Chroma is a Flux to it until a later line tells the two apart."""
    verdict = None
    for line in log_tail:
        if found := re.search(r" - Version: (.+)$", line):
            verdict = found[1].strip()
        elif verdict == "Flux" and "Using pruned modulation (Chroma)" in line:
            verdict = "Chroma"
    return verdict
