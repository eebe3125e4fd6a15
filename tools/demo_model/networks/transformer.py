"""The diffusion transformer: Flux's double and single blocks as the library runs them for Ovis Image.

Predicts velocities of latents from text features. Knows no prompts, no pictures and no schedule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from tools.demo_model import layout
from tools.demo_model.layout import BUNDLED_SIZE, HEAD, LATENT_CHANNELS, PATCH, TEXT_WIDTH, TransformerSize
from tools.demo_model.networks.parts import RMSNorm

_ROPE_AXES = (16, 56, 56)
_ROPE_THETA = 10_000.0
Rotation = tuple[Tensor, Tensor]
"""Cosines and sines, [n or 1, 1, t, 64]."""


class TimeEmbedding(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.in_layer, self.out_layer = nn.Linear(256, hidden), nn.Linear(hidden, hidden)

    def forward(self, sigmas: Tensor) -> Tensor:
        """[n] -> [n, hidden]"""
        frequencies = torch.exp(-math.log(10_000) * torch.arange(128).float() / 128)
        angles = sigmas[:, None] * 1000 * frequencies
        return self.out_layer(functional.silu(self.in_layer(torch.cat([angles.cos(), angles.sin()], 1))))


class Modulation(nn.Module):
    """The time's say in a block: triples of (shift, scale, gate)."""

    def __init__(self, hidden: int, triples: int) -> None:
        super().__init__()
        self.count = 3 * triples
        self.lin = nn.Linear(hidden, self.count * hidden)
        nn.init.zeros_(self.lin.weight)
        nn.init.zeros_(self.lin.bias)
        with torch.no_grad():
            self.lin.bias.view(triples, 3, hidden)[:, 2] = 0.3  # gates begin a little open

    def forward(self, time: Tensor) -> tuple[Tensor, ...]:
        """[n, hidden] -> 3 or 6 times [n, 1, hidden]"""
        return self.lin(functional.silu(time))[:, None].chunk(self.count, -1)


class QueryKeyNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query_norm, self.key_norm = RMSNorm(HEAD, "scale"), RMSNorm(HEAD, "scale")

    def forward(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[n, t, 3 * hidden] -> query, key, value, each [n, heads, t, 128]"""
        query, key, value = (one.unflatten(-1, (-1, HEAD)).transpose(1, 2) for one in qkv.chunk(3, -1))
        return self.query_norm(query), self.key_norm(key), value


class StreamAttention(nn.Module):
    """One stream's half of the joint attention."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.qkv, self.norm, self.proj = nn.Linear(hidden, 3 * hidden), QueryKeyNorm(), nn.Linear(hidden, hidden)


class GatedMLP(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(hidden, 4 * hidden), nn.Linear(hidden, 4 * hidden)
        self.down_proj = nn.Linear(4 * hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class DoubleBlock(nn.Module):
    """Image and text keep weights of their own and meet in the attention."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.img_mod, self.img_attn, self.img_mlp = Modulation(hidden, 2), StreamAttention(hidden), GatedMLP(hidden)
        self.txt_mod, self.txt_attn, self.txt_mlp = Modulation(hidden, 2), StreamAttention(hidden), GatedMLP(hidden)

    def forward(
        self, image: Tensor, text: Tensor, time: Tensor, rotation: Rotation, bias: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """image [n, i, hidden], text [n, t, hidden] -> the same"""
        image_mod, text_mod = self.img_mod(time), self.txt_mod(time)
        of_image = self.img_attn.norm(self.img_attn.qkv(_modulated(image, *image_mod[:2])))
        of_text = self.txt_attn.norm(self.txt_attn.qkv(_modulated(text, *text_mod[:2])))
        query, key, value = (torch.cat(pair, 2) for pair in zip(of_text, of_image, strict=True))
        mixed = _attend(query, key, value, rotation, bias)
        mixed_text, mixed_image = mixed[:, : text.shape[1]], mixed[:, text.shape[1] :]
        image = image + self.img_attn.proj(mixed_image) * image_mod[2]
        image = image + self.img_mlp(_modulated(image, *image_mod[3:5])) * image_mod[5]
        text = text + self.txt_attn.proj(mixed_text) * text_mod[2]
        text = text + self.txt_mlp(_modulated(text, *text_mod[3:5])) * text_mod[5]
        return image, text


class SingleBlock(nn.Module):
    """Text and image as one sequence; attention and MLP side by side."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(hidden, 11 * hidden), nn.Linear(5 * hidden, hidden)
        self.norm, self.modulation = QueryKeyNorm(), Modulation(hidden, 1)
        self._parts = (3 * hidden, 4 * hidden, 4 * hidden)

    def forward(self, x: Tensor, time: Tensor, rotation: Rotation, bias: Tensor | None) -> Tensor:
        """[n, t, hidden] -> the same"""
        shift, scale, gate = self.modulation(time)
        qkv, mlp_value, mlp_gate = self.linear1(_modulated(x, shift, scale)).split(self._parts, -1)
        query, key, value = self.norm(qkv)
        mixed = _attend(query, key, value, rotation, bias)
        return x + self.linear2(torch.cat([mixed, mlp_value * functional.silu(mlp_gate)], -1)) * gate


class FinalLayer(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, LATENT_CHANNELS * PATCH * PATCH)
        self.adaLN_modulation = nn.ModuleDict({"1": nn.Linear(hidden, 2 * hidden)})  # so named in the file
        for start_at_zero in (self.linear.weight, *self.adaLN_modulation.parameters()):
            nn.init.zeros_(start_at_zero)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation["1"](functional.silu(time))[:, None].chunk(2, -1)
        return self.linear(_modulated(x, shift, scale))


class Transformer(nn.Module):
    """Noisy latents and text features -> velocity (noise minus latent)."""

    def __init__(self, size: TransformerSize = BUNDLED_SIZE) -> None:
        super().__init__()
        self.size = size
        self.img_in = nn.Linear(LATENT_CHANNELS * PATCH * PATCH, size.hidden)
        self.time_in = TimeEmbedding(size.hidden)
        self.txt_norm, self.txt_in = RMSNorm(TEXT_WIDTH, "scale"), nn.Linear(TEXT_WIDTH, size.hidden)
        self.double_blocks = nn.ModuleList(DoubleBlock(size.hidden) for _ in range(size.double_blocks))
        self.single_blocks = nn.ModuleList(SingleBlock(size.hidden) for _ in range(size.single_blocks))
        self.final_layer = FinalLayer(size.hidden)

    def forward(
        self, latents: Tensor, sigmas: Tensor, text: Tensor, text_positions: Tensor, text_bias: Tensor | None = None
    ) -> Tensor:
        """The velocity [n, 16, h, w] at latents [n, 16, h, w] with sigmas [n].

        text [n, t, 64] with positions [n, t] or [t] out of 0..255; ``text_bias`` [n, t] is added to the attention
        logits of those tokens, so that a few can stand for many.
        """
        rows, columns = latents.shape[2] // PATCH, latents.shape[3] // PATCH
        rotation = _rotation(text_positions, rows, columns)
        bias = None if text_bias is None else functional.pad(text_bias, (0, rows * columns))[:, None, None]
        image, time = self.img_in(_to_patches(latents)), self.time_in(sigmas)
        words = self.txt_in(self.txt_norm(text))
        for block in self.double_blocks:
            image, words = block(image, words, time, rotation, bias)
        joint = torch.cat([words, image], 1)
        for block in self.single_blocks:
            joint = block(joint, time, rotation, bias)
        return _from_patches(self.final_layer(joint[:, words.shape[1] :], time), rows, columns)

    def file_tensors(self) -> dict[str, Tensor]:
        own = self.state_dict()
        return {name: to_file_order(name, own[name]) for name in layout.transformer_shapes(self.size)}

    @classmethod
    def from_file_tensors(cls, tensors: Mapping[str, Tensor]) -> Transformer:
        counts = {
            kind: 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith(kind))
            for kind in ("double_blocks", "single_blocks")
        }
        transformer = cls(TransformerSize(hidden=tensors["txt_in.bias"].shape[0], **counts))
        transformer.load_state_dict({name: to_file_order(name, tensors[name], back=True) for name in tensors})
        return transformer


def to_file_order(name: str, tensor: Tensor, back: bool = False) -> Tensor:
    """Rows of queries, keys and their norms as the library pairs them for RoPE.

    Here the pairs are (i, i + 64), which PyTorch rotates faster; in the library they are (2i, 2i + 1). Reordering
    queries and keys alike leaves their products, and so the pictures, as they are.
    """
    order = torch.arange(HEAD).view(2, HEAD // 2).T.flatten()
    if back:
        order = order.argsort()
    if name.endswith(("query_norm.scale", "key_norm.scale")):
        return tensor[order]
    if ".qkv." in name or ".linear1." in name:
        hidden = tensor.shape[0] // (3 if ".qkv." in name else 11)
        rows = torch.arange(tensor.shape[0])
        rows[: 2 * hidden] = rows[: 2 * hidden].view(-1, HEAD)[:, order].flatten()
        return tensor[rows]
    return tensor


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


def _attend(query: Tensor, key: Tensor, value: Tensor, rotation: Rotation, bias: Tensor | None) -> Tensor:
    """Three times [n, heads, t, 128] -> [n, t, hidden]"""
    mixed = functional.scaled_dot_product_attention(
        _rotate(query, rotation), _rotate(key, rotation), value, attn_mask=bias
    )
    return mixed.transpose(1, 2).flatten(2)


def _rotate(x: Tensor, rotation: Rotation) -> Tensor:
    cosine, sine = rotation
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1).to(x.dtype)


def _rotation(text_positions: Tensor, rows: int, columns: int) -> Rotation:
    """Text token i sits at (0, i, i), an image token at (0, row, column)."""
    text = torch.stack([torch.zeros_like(text_positions), text_positions, text_positions], -1)
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    image = torch.stack([torch.zeros_like(y), y, x], -1).flatten(0, 1)
    places = torch.cat([text, image.expand(*text.shape[:-2], -1, -1)], -2).float()
    angles = torch.cat(
        [
            places[..., axis : axis + 1] * _ROPE_THETA ** (-torch.arange(0, width, 2).float() / width)
            for axis, width in enumerate(_ROPE_AXES)
        ],
        -1,
    ).unsqueeze(-3)
    return angles.cos(), angles.sin()


def _to_patches(latents: Tensor) -> Tensor:
    """[n, 16, h, w] -> [n, h / 2 * w / 2, 64], tokens row by row, a patch in the order (channel, y, x)"""
    n, channels, height, width = latents.shape
    split = latents.view(n, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return split.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def _from_patches(tokens: Tensor, rows: int, columns: int) -> Tensor:
    split = tokens.view(len(tokens), rows, columns, LATENT_CHANNELS, PATCH, PATCH)
    return split.permute(0, 3, 1, 4, 2, 5).reshape(len(tokens), LATENT_CHANNELS, rows * PATCH, columns * PATCH)
