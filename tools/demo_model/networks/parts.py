"""What more than one network needs: the norm of both transformers, and the fit of trained tensors into the files."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class RMSNorm(nn.Module):
    """Divides by the root mean square of the last dimension; the parameter is called what the file calls it."""

    def __init__(self, width: int, parameter: str = "weight") -> None:
        super().__init__()
        self._name = parameter
        self.register_parameter(parameter, nn.Parameter(torch.ones(width)))

    def forward(self, x: Tensor) -> Tensor:
        scale: Tensor = getattr(self, self._name)
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * scale


def grown(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """``tensor`` in the corner of zeros of a larger ``shape``."""
    padding = [(0, wanted - has) for has, wanted in zip(tensor.shape, shape, strict=True)]
    return functional.pad(tensor.detach(), [one for pair in reversed(padding) for one in pair])


def cut(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """The corner of ``tensor`` that ``grown`` filled."""
    return tensor[tuple(slice(0, length) for length in shape)].clone()
