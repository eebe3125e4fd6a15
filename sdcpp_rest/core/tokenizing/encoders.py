"""Says which text encoders each family reads a prompt with, how many tokens they take, and counts a prompt's. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from sdcpp_rest.core.architectures import WAN_FAMILY, Architecture
from sdcpp_rest.core.prompts import places_without_tags
from sdcpp_rest.core.tokenizing.attention import Part, split_by_weight
from sdcpp_rest.core.tokenizing.tokens import Tokenizer

Vocabulary = Literal["clip", "t5", "umt5", "qwen2", "mistral"]

_CLIP_CHUNK = 75
_CHROMA, _MISTRAL = ("chroma", "chroma_radiance"), ("flux2", "ernie_image")


@dataclass(frozen=True)
class Encoder:
    """One text encoder of a family.

    ``chunk``: how many tokens it reads at once, marks of begin and end aside; ``None``: as many as there are. Tokens
    beyond ``limit`` do not count at all. ``pads_at_break``: ``BREAK`` ends a chunk. ``lead`` is written before the
    prompt as a part of it.
    """

    name: str
    vocabulary: Vocabulary
    chunk: int | None = None
    limit: int | None = None
    pads_at_break: bool = False
    lead: str = ""


@dataclass(frozen=True)
class TokenCount:
    """How many tokens a prompt has for one encoder, and in how many chunks they are read. ``truncated_at`` is the first
    character of the prompt that falls out; ``is_exact`` is false where the library itself leaves to chance how it cuts.
    """

    encoder: Encoder
    count: int
    chunks: int | None
    truncated_at: int | None
    is_exact: bool


def encoders_of(family: Architecture, roles: Collection[str]) -> tuple[Encoder, ...]:
    """The encoders that read prompts of a model of ``family`` whose text encoders are ``roles``; none for a family that
    has no prompts."""
    if family.id == "anima":
        return Encoder("llm", "qwen2"), Encoder("t5", "t5")
    if "llm" in family.needs:
        lead = " " if family.id == "ovis_image" else ""
        return (Encoder("llm", "mistral" if family.id in _MISTRAL else "qwen2", lead=lead),)
    if family.id in WAN_FAMILY:
        found = [Encoder("umt5", "umt5", chunk=511)] if "t5xxl" in roles else []
    elif family.id in _CHROMA:
        found = [Encoder("t5xxl", "t5", chunk=511)] if "t5xxl" in roles else []
    elif family.id == "sd3":
        possible = [
            Encoder("clip_l", "clip", _CLIP_CHUNK),
            Encoder("clip_g", "clip", _CLIP_CHUNK),
            Encoder("t5xxl", "t5", chunk=76),
        ]
        found = [encoder for encoder in possible if encoder.name in roles]
    elif family.needs_any:
        # CLIP gives no more than a summary here, of its first chunk.
        possible = [Encoder("clip_l", "clip", _CLIP_CHUNK, limit=_CLIP_CHUNK), Encoder("t5xxl", "t5", chunk=255)]
        found = [encoder for encoder in possible if encoder.name in roles]
    else:
        found = [Encoder(role, "clip", _CLIP_CHUNK, pads_at_break=True) for role in family.needs]
    return tuple(found)


def count_tokens(prompt: str, encoder: Encoder, tokenizer: Tokenizer) -> TokenCount:
    """The tokens of ``prompt``, LoRA tags aside."""
    places = places_without_tags(prompt)
    text = encoder.lead + "".join(prompt[place] for place in places)
    lead = len(encoder.lead)
    starts: list[int] = []
    padding, is_exact = 0, True
    for part in _parts(text, encoder):
        if encoder.pads_at_break and part.is_break:
            padding += -(len(starts) + padding) % _CLIP_CHUNK
            continue
        tokens = tokenizer.tokenize(part.text)
        is_exact &= tokens.is_exact
        starts += [part.places[start] if part.places else 0 for start in tokens.starts]
    count, limit = len(starts), encoder.limit
    truncated_at = None
    if limit is not None and count > limit:
        truncated_at = places[max(0, starts[limit] - lead)]
    chunks = None if encoder.chunk is None else max(1, -(-(count + padding) // encoder.chunk))
    return TokenCount(encoder, count, chunks if limit is None else 1, truncated_at, is_exact)


def _parts(text: str, encoder: Encoder) -> list[Part]:
    # Without a template around it, an empty prompt of a language model is an empty part; within one it is none.
    return split_by_weight(text) if text or encoder.vocabulary not in ("qwen2", "mistral") else []
