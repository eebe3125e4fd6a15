"""The text encoder: a Qwen3 of two layers, of which the file holds more than is trained.

Knows token ids and the full-size layout; knows no prompts (see ``conditioning``) and no scenes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tools.demo_model import layout
from tools.demo_model.layout import HEAD, TEXT_WIDTH
from tools.demo_model.networks.parts import RMSNorm, cut, grown


class Attention(nn.Module):
    """Grouped attention: ``heads`` query heads share one key and value head."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(TEXT_WIDTH, heads * HEAD, bias=False)
        self.k_proj = nn.Linear(TEXT_WIDTH, HEAD, bias=False)
        self.v_proj = nn.Linear(TEXT_WIDTH, HEAD, bias=False)
        self.o_proj = nn.Linear(heads * HEAD, TEXT_WIDTH, bias=False)
        self.q_norm, self.k_norm = RMSNorm(HEAD), RMSNorm(HEAD)

    def forward(self, x: Tensor, positions: Tensor, bias: Tensor) -> Tensor:
        """x [n, t, 64], positions [n, t], bias [n, 1, t, t] on the attention logits -> [n, t, 64]."""
        queries, keys, values = (
            projection(x).unflatten(-1, (-1, HEAD)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        queries, keys = rotate(self.q_norm(queries), positions), rotate(self.k_norm(keys), positions)
        shared = (-1, self.heads, -1, -1)
        mixed = functional.scaled_dot_product_attention(
            queries, keys.expand(shared), values.expand(shared), attn_mask=bias
        )
        return self.o_proj(mixed.transpose(1, 2).flatten(2))


class GatedMLP(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(TEXT_WIDTH, hidden, bias=False)
        self.up_proj = nn.Linear(TEXT_WIDTH, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, TEXT_WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, heads: int, mlp: int) -> None:
        super().__init__()
        self.self_attn = Attention(heads)
        self.mlp = GatedMLP(mlp)
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(TEXT_WIDTH), RMSNorm(TEXT_WIDTH)

    def forward(self, x: Tensor, positions: Tensor, bias: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), positions, bias)
        return x + self.mlp(self.post_attention_layernorm(x))


class TextEncoder(nn.Module):
    """Token ids -> features. Only the rows of ``token_ids`` exist here; every other token is a row of zeros.

    Of the 32 query and 8 key heads in the file, the first 4 and the first one are trained; the rest is zero.
    """

    TRAINED_HEADS = layout.QUERY_HEADS // layout.KEY_HEADS

    def __init__(self, token_ids: Iterable[int], layers: int = 2, mlp: int = 128) -> None:
        super().__init__()
        self.token_ids = sorted(token_ids)
        self.unknown = len(self.token_ids)
        """The slot of every token that was not trained."""
        self._slots = {token: slot for slot, token in enumerate(self.token_ids)}
        self.embedding = nn.Parameter(torch.randn(len(self.token_ids), TEXT_WIDTH))
        self.layers = nn.ModuleList(Layer(self.TRAINED_HEADS, mlp) for _ in range(layers))
        self.norm = RMSNorm(TEXT_WIDTH)

    def slots(self, tokens: Sequence[int]) -> list[int]:
        return [self._slots.get(token, self.unknown) for token in tokens]

    def forward(self, slots: Tensor, positions: Tensor, is_real: Tensor) -> Tensor:
        """slots, positions, is_real [n, t] -> [n, t, 64].

        A token sees the real tokens (those that are no padding) at its own position and before. Tokens may be left out
        of a row as long as their positions say so.
        """
        rows = functional.pad(self.embedding, (0, 0, 0, 1))
        x = rows[slots]
        visible = (positions[:, None, :] <= positions[:, :, None]) & is_real[:, None, :]
        bias = torch.zeros(visible.shape).masked_fill(~visible, -1e9)[:, None]
        for layer in self.layers:
            x = layer(x, positions, bias)
        return self.norm(x)

    def file_tensors(self) -> dict[str, Tensor]:
        """Every tensor of the file at its full size, in the layout's order."""
        own = {f"model.{name}": value for name, value in self.state_dict().items()}
        vocabulary = torch.zeros(layout.VOCABULARY, TEXT_WIDTH)
        vocabulary[self.token_ids] = own.pop("model.embedding")
        own["model.embed_tokens.weight"] = vocabulary
        return {name: grown(own[name], shape) for name, shape in layout.text_encoder_shapes().items()}

    @classmethod
    def from_file_tensors(cls, tensors: Mapping[str, Tensor]) -> TextEncoder:
        """The way back; a token counts as trained when its row is not zero."""
        vocabulary = tensors["model.embed_tokens.weight"]
        encoder = cls(vocabulary.abs().amax(1).nonzero()[:, 0].tolist())
        state = {
            name: cut(tensors[f"model.{name}"], value.shape)
            for name, value in encoder.state_dict().items()
            if name != "embedding"
        }
        encoder.load_state_dict({**state, "embedding": vocabulary[encoder.token_ids]})
        return encoder


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Rotary positions as ggml's NEOX kind does them: pairs (i, i + 64), theta 1e6. x [n, heads, t, 128]."""
    frequencies = 1e6 ** (-torch.arange(0, HEAD, 2).float() / HEAD)
    angles = (positions.float()[..., None] * frequencies)[:, None]
    cosine, sine = angles.cos(), angles.sin()
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)
