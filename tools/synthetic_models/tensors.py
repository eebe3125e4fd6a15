"""What a model is made of, before any byte of it exists: names, shapes and what each tensor is for.

Shapes are in ggml order everywhere: the fastest-running dimension first, torch's shape reversed. Knows no families and
no files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

Role = Literal["matrix", "embedding", "convolution", "norm", "bias", "parameter"]


class Tensor(NamedTuple):
    """One tensor; ``role`` decides how it is stored and what its weights look like."""

    name: str
    shape: tuple[int, ...]
    role: Role


class Layers(list[Tensor]):
    """A list of tensors that grows layer by layer, under the names that the library looks for."""

    def matrix(self, name: str, inputs: int, outputs: int) -> None:
        self.append(Tensor(name, (inputs, outputs), "matrix"))

    def linear(self, name: str, inputs: int, outputs: int, bias: bool = True) -> None:
        self.matrix(f"{name}.weight", inputs, outputs)
        if bias:
            self.bias(name, outputs)

    def convolution(
        self, name: str, inputs: int, outputs: int, kernel: int | tuple[int, int, int] = 3, bias: bool = True
    ) -> None:
        """``kernel``: side of a square one, or (width, height, time), which GGUF stores with its channels merged."""
        if isinstance(kernel, int):
            shape: tuple[int, ...] = (kernel, kernel, inputs, outputs)
        else:
            shape = (*kernel, inputs * outputs)
        self.append(Tensor(f"{name}.weight", shape, "convolution"))
        if bias:
            self.bias(name, outputs)

    def norm(self, name: str, width: int, bias: bool = True, weight: str = "weight") -> None:
        self.append(Tensor(f"{name}.{weight}", (width,), "norm"))
        if bias:
            self.bias(name, width)

    def bias(self, name: str, width: int) -> None:
        self.append(Tensor(f"{name}.bias", (width,), "bias"))

    def parameter(self, name: str, *shape: int) -> None:
        """Anything else that is kept as 32-bit floats: tokens, position tables, modulations."""
        self.append(Tensor(name, shape, "parameter"))

    def embedding(self, name: str, width: int, rows: int) -> None:
        self.append(Tensor(name, (width, rows), "embedding"))

    def nest(self, prefix: str, tensors: Iterable[Tensor]) -> None:
        """Add ``tensors`` with ``prefix`` before their names."""
        self.extend(Tensor(prefix + name, shape, role) for name, shape, role in tensors)


Recipe = Callable[[], Layers]
"""Makes the tensor list of one file."""


def prefixed(prefix: str, tensors: Iterable[Tensor]) -> Layers:
    layers = Layers()
    layers.nest(prefix, tensors)
    return layers


def element_count(shape: Sequence[int]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count
