"""Prepares pictures for a ControlNet with the library's own filters.

Knows the filters' parameters; when one is wanted is for its callers to know.
"""

from __future__ import annotations

import ctypes

from sdcpp_rest.native.guard import NativeError
from sdcpp_rest.native.images import LentImages, RawImage, copy_image
from sdcpp_rest.native.library import Library, open_library


def canny(
    image: RawImage,
    *,
    high_threshold: float = 0.08,
    low_threshold: float = 0.08,
    weak: float = 0.8,
    strong: float = 1.0,
    inverse: bool = False,
    library: Library | None = None,
) -> RawImage:
    """Find the edges of a 3-channel picture, as grey in 3 channels of the same size; ``image`` is left as it is.

    Thresholds are fractions of the strongest edge, ``weak`` and ``strong`` the brightness that edges get (0 to 1).

    Raises:
        ValueError: another number of channels; nothing was called.
        NativeError: the library failed.
    """
    library = library or open_library()
    lent = LentImages(library.raw, [image], channels=3, role="canny")  # a copy: the library draws over its input
    library.call(
        "guard_canny",
        library.raw.preprocess_canny,
        ctypes.byref(lent.array[0]),
        high_threshold,
        low_threshold,
        weak,
        strong,
        inverse,
    )
    edges = copy_image(lent.array[0])
    if edges is None:
        raise NativeError("the library made an empty picture")
    return edges
