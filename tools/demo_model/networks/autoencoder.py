"""Pictures to latents and back, in the taef1 layout: an encoder that is computed, a decoder that is trained.

Pixels are 0..1 in both directions; latents go to the transformer as they are. Knows no scenes: whoever builds the
encoder brings the pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tools.demo_model import layout
from tools.demo_model.layout import LATENT_CHANNELS, LATENT_SCALE
from tools.demo_model.networks.parts import cut, grown

# The matrix with which the library turns 16-channel latents into colours for previews of the "proj" kind. It is fixed
# in there, so the encoder is built to suit it.
_PREVIEW_MATRIX = (
    (-0.041168, 0.019917, 0.097253), (0.028096, 0.026730, 0.129576), (0.065618, -0.067950, -0.014651),
    (-0.012998, -0.014762, 0.081251), (0.078567, 0.059296, -0.024687), (-0.015987, -0.003697, 0.005012),
    (0.033605, 0.138999, 0.068517), (-0.024450, -0.063567, -0.030101), (-0.040194, -0.016710, 0.127185),
    (0.112681, 0.088764, -0.041940), (-0.023498, 0.093664, 0.025543), (0.082899, 0.048320, 0.007491),
    (0.075712, 0.074139, 0.081965), (-0.143501, 0.018263, -0.136138), (-0.025767, -0.082035, -0.040023),
    (-0.111849, -0.055589, -0.032361),
)  # fmt: skip
_PREVIEW_BIAS = (0.024600, -0.006937, -0.008089)

_PIXELS = LATENT_SCALE * LATENT_SCALE
_LAST_SHRINK, _LAST = "encoder.layers.10.weight", "encoder.layers.14"


@dataclass(frozen=True)
class LinearEncoder:
    """A linear transform of every 8x8 patch: latent = matrix @ patch + bias.

    matrix [16, 192], bias [16]; a patch is flattened in the order (colour channel, y, x).
    """

    matrix: Tensor
    bias: Tensor

    @classmethod
    def fitted_to(cls, patches: Tensor, detail: float = 0.6, colour: float = 0.65) -> LinearEncoder:
        """Compute it from patches [n, 192]: 3 dimensions hold the mean colour, 13 the principal components of the rest.

        The colour dimensions lie where the preview matrix looks, the others where it is blind, so a preview shows the
        patch's mean colour. ``detail`` and ``colour`` are the sizes of the two parts; with ``colour`` below 1 latents
        stay smaller and previews come out a little pale.
        """
        patches = patches.double()
        mean = torch.eye(3, dtype=torch.double).repeat_interleave(_PIXELS, 1) / _PIXELS  # [3, 192]
        rest = patches - (patches @ mean.T).repeat_interleave(_PIXELS, 1)
        variance, directions = torch.linalg.eigh(rest.T @ rest / len(rest))  # ascending
        kept = LATENT_CHANNELS - 3
        components = (directions[:, -kept:] / variance[-kept:].sqrt() * detail).T.flip(0)
        components = components - (components @ mean.T).repeat_interleave(_PIXELS, 1)
        preview = torch.tensor(_PREVIEW_MATRIX, dtype=torch.double)
        toward_colours = preview @ torch.linalg.inv(preview.T @ preview)
        blind_to_colours = torch.linalg.svd(preview, full_matrices=True)[0][:, 3:]
        matrix = 2 * colour * toward_colours @ mean + blind_to_colours @ components
        bias = -toward_colours @ (colour + torch.tensor(_PREVIEW_BIAS, dtype=torch.double))
        return cls(matrix.float(), bias.float())

    def encode(self, pictures: Tensor) -> Tensor:
        """[n, 3, H, W] -> [n, 16, H / 8, W / 8]"""
        return (patches_of(pictures) @ self.matrix.T + self.bias).permute(0, 3, 1, 2).contiguous()

    def file_tensors(self) -> dict[str, Tensor]:
        """The same transform as taef1 convolutions, exactly.

        Two strides of 2 only rearrange: a 4x4 block of pixels becomes 48 channels. The third multiplies, and writes
        both z and -z, since every block after it ends in a ReLU; the last convolution takes the difference.
        """
        tensors = {name: torch.zeros(shape) for name, shape in layout.encoder_shapes().items()}
        for channel in range(3):
            tensors["encoder.layers.0.weight"][channel, channel, 1, 1] = 1
        for name, channels in (("encoder.layers.2.weight", 3), ("encoder.layers.6.weight", 12)):
            for channel in range(channels):
                for y in range(2):
                    for x in range(2):
                        tensors[name][(channel * 2 + y) * 2 + x, channel, 1 + y, 1 + x] = 1
        for column, (channel, y, x) in enumerate(_taps()):
            weights = self.matrix[:, column]
            tensors[_LAST_SHRINK][:LATENT_CHANNELS, channel, y, x] = weights
            tensors[_LAST_SHRINK][LATENT_CHANNELS : 2 * LATENT_CHANNELS, channel, y, x] = -weights
        for latent in range(LATENT_CHANNELS):
            tensors[f"{_LAST}.weight"][latent, latent, 1, 1] = 1
            tensors[f"{_LAST}.weight"][latent, LATENT_CHANNELS + latent, 1, 1] = -1
        tensors[f"{_LAST}.bias"] = self.bias.clone()
        return tensors

    @classmethod
    def from_file_tensors(cls, tensors: Mapping[str, Tensor]) -> LinearEncoder:
        """The way back from ``file_tensors``."""
        weights = tensors[_LAST_SHRINK][:LATENT_CHANNELS].float()
        columns = [weights[:, channel, y, x] for channel, y, x in _taps()]
        return cls(torch.stack(columns, 1), tensors[f"{_LAST}.bias"].float())


def patches_of(pictures: Tensor) -> Tensor:
    """[n, 3, H, W] -> [n, H / 8, W / 8, 192]"""
    patches = pictures.unfold(2, LATENT_SCALE, LATENT_SCALE).unfold(3, LATENT_SCALE, LATENT_SCALE)
    return patches.permute(0, 2, 3, 1, 4, 5).flatten(3)


def encode_by_layout(tensors: Mapping[str, Tensor], pictures: Tensor) -> Tensor:
    """What the library computes from the encoder's file tensors. [n, 3, H, W] -> [n, 16, H / 8, W / 8]"""

    def conv(x: Tensor, layer: int, part: str = "", stride: int = 1) -> Tensor:
        name = f"encoder.layers.{layer}{part}"
        return functional.conv2d(x, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"), stride, padding=1)

    def block(x: Tensor, layer: int) -> Tensor:
        inner = functional.relu(conv(x, layer, ".conv.0"))
        return functional.relu(conv(functional.relu(conv(inner, layer, ".conv.2")), layer, ".conv.4") + x)

    x = block(conv(pictures, 0), 1)
    for shrink in (2, 6, 10):
        x = conv(x, shrink, stride=2)
        for layer in range(shrink + 1, shrink + 1 + layout.BLOCKS_PER_STAGE):
            x = block(x, layer)
    return conv(x, 14)


def _taps() -> list[tuple[int, int, int]]:
    """For every column (colour, y, x) of the matrix, where the third stride finds it: (channel, kernel y, kernel x).

    The first stride consumes the lowest bit of a coordinate, the second the middle one, the third the highest.
    """
    taps = []
    for colour in range(3):
        for y in range(LATENT_SCALE):
            for x in range(LATENT_SCALE):
                channel = (((colour * 2 + y % 2) * 2 + x % 2) * 2 + y // 2 % 2) * 2 + x // 2 % 2
                taps.append((channel, 1 + y // 4, 1 + x // 4))
    return taps


class ConvBlock(nn.Module):
    """Three convolutions beside a skip. [n, width, H, W] -> the same"""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.conv(x) + x)


class Decoder(nn.Module):
    """Latents -> pictures. Trained narrower and shallower than the file: zeros fill it up without changing a thing."""

    WIDTH = 32
    BLOCKS = (2, 2, 1)
    """Trained blocks per stage, from the smallest picture to the largest."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(LATENT_CHANNELS, self.WIDTH, 3, padding=1), nn.ReLU()]
        for count in self.BLOCKS:
            layers += [ConvBlock(self.WIDTH) for _ in range(count)]
            layers += [nn.Identity() for _ in range(layout.BLOCKS_PER_STAGE - count)]
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(self.WIDTH, self.WIDTH, 3, padding=1, bias=False)]
        layers += [ConvBlock(self.WIDTH), nn.Conv2d(self.WIDTH, 3, 3, padding=1)]
        self.layers = nn.Sequential(*layers)
        self._start_gently()

    def _start_gently(self) -> None:
        """Keep the variance from layer to layer, let blocks begin near the identity and pictures near gray."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        with torch.no_grad():
            for layer in self.modules():
                if isinstance(layer, ConvBlock):
                    layer.conv[4].weight.mul_(0.2)
            self.layers[-1].weight.mul_(0.2)
            self.layers[-1].bias.add_(0.5)

    def forward(self, latents: Tensor) -> Tensor:
        """[n, 16, h, w] -> [n, 3, 8h, 8w]"""
        return self.layers(torch.tanh(latents / 3) * 3)

    def file_tensors(self) -> dict[str, Tensor]:
        own = {f"decoder.{name}": value for name, value in self.state_dict().items()}
        shapes = layout.decoder_shapes()
        return {name: grown(own[name], shape) if name in own else torch.zeros(shape) for name, shape in shapes.items()}

    @classmethod
    def from_file_tensors(cls, tensors: Mapping[str, Tensor]) -> Decoder:
        decoder = cls()
        state = {name: cut(tensors[f"decoder.{name}"], value.shape) for name, value in decoder.state_dict().items()}
        decoder.load_state_dict(state)
        return decoder
