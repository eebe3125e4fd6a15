"""Random weights that a network can compute with: norms of one, biases of zero, the rest scaled by its inputs.

Tensors are cut from tiles of a quarter million weights each, made once per type and size: written at the speed of the
disk.
"""

from __future__ import annotations

import math

import numpy as np

from tools.synthetic_models.storage import Storage
from tools.synthetic_models.tensors import Tensor, element_count

GAIN = 0.5
"""Of matrices. With 1.0 the sums of deep networks overflow 16-bit floats, and their pictures are white."""

_TILE_WEIGHTS = 1 << 18
_SMALL = 0.02
_MERGED_CHANNELS = 8192  # a fourth dimension beyond this holds inputs times outputs of a 3-D convolution


def deviation(tensor: Tensor) -> float:
    """The standard deviation of a tensor's weights; 0 where they are all the same."""
    if tensor.role in ("norm", "bias"):
        return 0.0
    if tensor.role in ("embedding", "parameter"):
        return _SMALL
    if tensor.role == "matrix":
        return GAIN / math.sqrt(tensor.shape[0])
    merged = len(tensor.shape) == 4 and tensor.shape[3] > _MERGED_CHANNELS
    if merged:
        return 1 / math.sqrt(element_count(tensor.shape[:3]) * math.isqrt(tensor.shape[3]))
    return 1 / math.sqrt(element_count(tensor.shape[:3]))


class Tiles:
    """Seeded bytes by storage type and deviation; equal seeds give equal bytes in equal order of calls."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._made: dict[tuple[str, float], bytes] = {}

    def ones(self) -> bytes:
        """32-bit floats, for norms."""
        return np.ones(1 << 16, np.float32).tobytes()

    def random(self, storage: Storage, deviation: float) -> bytes:
        """The deviation is rounded to a power of two, so that few tiles serve many tensors."""
        key = storage.name, 2.0 ** round(math.log2(deviation))
        if key not in self._made:
            self._made[key] = self._make(storage, key[1])
        return self._made[key]

    def _make(self, storage: Storage, deviation: float) -> bytes:
        if storage.scales:
            blocks = self._rng.integers(0, 256, (_TILE_WEIGHTS // storage.block, storage.block_bytes), dtype=np.uint8)
            scale = np.frombuffer(np.float16(deviation / storage.unit).tobytes(), np.uint8)
            for offset in storage.scales:
                blocks[:, offset : offset + 2] = scale
            return blocks.tobytes()
        values = (self._rng.standard_normal(_TILE_WEIGHTS) * deviation).astype(np.float32)
        if storage.name == "f16":
            return values.astype(np.float16).tobytes()
        if storage.name == "bf16":
            return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
        return values.tobytes()
