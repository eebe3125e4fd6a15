"""Changes of one weight, in each way that trainers store them: the tensors of the file, and the matrix that they mean.

Arrays are in torch's order (outputs first). Seeded by the weight's name, so that two forms that store the same change
of the same weight mean the same model. Knows no keys and no files.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
RANK = 4
ALPHA = 2.0
_STRENGTH = 0.8
"""The standard deviation of a change: as large as that of the synthetic models' own weights, so that it is seen."""


class Stored(NamedTuple):
    """Tensors by the endings of their keys, and what they add to the weight: [outputs, inputs]."""

    tensors: dict[str, Array]
    change: Array


def low_rank(seed: str, outputs: int, inputs: int, down: str = "lora_down", up: str = "lora_up") -> Stored:
    """A pair of matrices with an alpha."""
    first, second = _pair(seed, outputs, inputs)
    tensors = {f"{down}.weight": first, f"{up}.weight": second, "alpha": np.array(ALPHA, np.float32)}
    return Stored(tensors, second @ first * np.float32(ALPHA / RANK))


def without_alpha(stored: Stored) -> Stored:
    """The same, as trainers store it that have no alpha: it counts as the rank."""
    tensors = {ending: array for ending, array in stored.tensors.items() if ending != "alpha"}
    return Stored(tensors, stored.change * np.float32(RANK / ALPHA))


def convolution_shaped(stored: Stored) -> Stored:
    """The same pair with the shape of 1x1 convolutions."""
    return Stored(
        {ending: array[:, :, None, None] if array.ndim == 2 else array for ending, array in stored.tensors.items()},
        stored.change,
    )


def loha(seed: str, outputs: int, inputs: int) -> Stored:
    """Two pairs whose products are multiplied number by number."""
    tensors: dict[str, Array] = {}
    products = []
    for number in (1, 2):
        down, up = _pair(f"{seed} {number}", outputs, inputs, math.sqrt(_STRENGTH * RANK / ALPHA))
        tensors |= {f"hada_w{number}_a": up, f"hada_w{number}_b": down}
        products.append(up @ down)
    tensors["alpha"] = np.array(ALPHA, np.float32)
    return Stored(tensors, products[0] * products[1] * np.float32(ALPHA / RANK))


def lokr(seed: str, outputs: int, inputs: int, *, factored: bool) -> Stored:
    """A Kronecker product of a 4x4 matrix and a larger one; ``factored``: that is a product of two itself."""
    small = _normal(seed + " small", (4, 4), math.sqrt(_STRENGTH))
    rows, columns = outputs // 4, inputs // 4
    if not factored:
        large = _normal(seed + " large", (rows, columns), math.sqrt(_STRENGTH))
        return Stored({"lokr_w1": small, "lokr_w2": large}, np.kron(small, large))
    second, first = _pair(seed + " factored", rows, columns, math.sqrt(_STRENGTH))
    return Stored({"lokr_w1": small, "lokr_w2_a": first, "lokr_w2_b": second}, np.kron(small, first @ second))


def large_factor(tensors: Mapping[str, Array]) -> Array:
    """The second factor of a LoKr, multiplied out where it is a product itself."""
    if "lokr_w2" in tensors:
        return tensors["lokr_w2"]
    return tensors["lokr_w2_a"] @ tensors["lokr_w2_b"]


def difference(seed: str, outputs: int, inputs: int) -> Stored:
    """The whole change, number by number."""
    stored = low_rank(seed, outputs, inputs)
    return Stored({"diff": stored.change}, stored.change)


def unknown(outputs: int, inputs: int, *endings: str) -> Stored:
    """Tensors with ``endings`` that the library does not look for; what they would add is left out."""
    return Stored({ending: _normal(ending, (RANK, inputs), 1.0) for ending in endings}, _nothing(outputs, inputs))


def _nothing(outputs: int, inputs: int) -> Array:
    return np.zeros((outputs, inputs), np.float32)


def _pair(seed: str, outputs: int, inputs: int, strength: float = _STRENGTH * RANK / ALPHA) -> tuple[Array, Array]:
    """(down, up), whose product has the standard deviation ``strength``."""
    each = math.sqrt(strength / math.sqrt(RANK))
    return _normal(seed + " down", (RANK, inputs), each), _normal(seed + " up", (outputs, RANK), each)


def _normal(seed: str, shape: tuple[int, ...], deviation: float) -> Array:
    random = np.random.default_rng(zlib.crc32(seed.encode()))
    return (random.standard_normal(shape) * deviation).astype(np.float32)
