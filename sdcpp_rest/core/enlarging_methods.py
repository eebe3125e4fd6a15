"""Names the library's ways of enlarging a latent or a picture, as other programs' settings spell them."""

from __future__ import annotations

from collections.abc import Mapping

ENLARGING_METHODS: Mapping[str, str] = {
    "latent-bilinear": "Latent",
    "latent-nearest": "Latent (nearest)",
    "latent-nearest-exact": "Latent (nearest-exact)",
    "latent-bicubic": "Latent (bicubic)",
    "pixel-lanczos": "Lanczos",
    "pixel-nearest-exact": "Nearest",
}
