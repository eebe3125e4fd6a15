"""Loads an ESRGAN upscaler and enlarges pictures with it: the owning class over ``upscaler_ctx_t``.

Knows nothing of jobs or files, beyond the one it is loaded from.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

from sdcpp_rest.native.guard import NativeError
from sdcpp_rest.native.images import LentImages, RawImage, copy_image
from sdcpp_rest.native.library import Library, encode_path, open_library


class Upscaler:
    """Owns one loaded upscaler; one call at a time, a second caller waits."""

    def __init__(self, library: Library, pointer: int) -> None:
        self._library = library
        self._pointer: int | None = pointer
        self._lock = threading.Lock()
        self.factor = int(library.raw.get_upscale_factor(self._require_handle()))
        """How many times wider and higher a picture becomes: decided by the file."""

    @classmethod
    def load(
        cls,
        path: str,
        *,
        n_threads: int = -1,
        tile_size: int = 128,
        offload_params_to_cpu: bool = False,
        direct: bool = False,
        library: Library | None = None,
    ) -> Upscaler:
        """Load an ESRGAN file; ``tile_size`` in pixels of the input, any from 1 up.

        Memory grows with the square of the tile (128: about 110 MiB at factor 2), and small tiles cost time.

        Raises:
            ValueError: no tile; the library would take that as the whole picture at once, 7 KiB and more per pixel.
            NativeError: the file is no upscaler.
        """
        if tile_size < 1:
            raise ValueError(f"tile_size must be at least 1 pixel, got {tile_size}")
        library = library or open_library()
        pointer = ctypes.c_void_p()
        library.call(
            "guard_new_upscaler",
            library.raw.new_upscaler_ctx,
            encode_path(path, "upscaler path"),
            offload_params_to_cpu,
            direct,
            n_threads if n_threads > 0 else library.physical_cores,
            tile_size,
            ctypes.byref(pointer),
        )
        assert pointer.value is not None
        return cls(library, pointer.value)

    def upscale(self, image: RawImage, factor: int | None = None, *, run: int = 0) -> RawImage:
        """A larger copy of a 3-channel picture. ``factor`` is passed on, but the file decides it (``self.factor``).

        With ``run`` > 0 the call can be cancelled between tiles; a picture of one tile runs to its end. The output
        takes 15 bytes per pixel while it is made. Raises NativeCancelled, NativeError, ValueError.
        """
        library = self._library
        lent = LentImages(library.raw, [image], channels=3, role="the upscaler")
        output = library.raw.sd_image_t()
        with self._lock:
            library.call(
                "guard_upscale",
                library.raw.upscale,
                self._require_handle(),
                ctypes.byref(lent.array[0]),
                factor or self.factor,
                run,
                ctypes.byref(output),
                run=run,
            )
        try:
            larger = copy_image(output)
        finally:
            library.free(output.data)
        if larger is None:
            raise NativeError("the upscaler made an empty picture")
        return larger

    def close(self) -> None:
        """Free the upscaler; waits for a running call. Closing twice does nothing."""
        with self._lock:
            if self._pointer is not None:
                self._library.raw.free_upscaler_ctx(self._require_handle())
                self._pointer = None

    def __enter__(self) -> Upscaler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_handle(self) -> Any:
        if self._pointer is None:
            raise ValueError("the upscaler has been unloaded")
        return ctypes.cast(self._pointer, self._library.raw.upscaler_ctx_t_p_ctypes)
