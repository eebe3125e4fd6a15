"""Types the words of the wire about what model files are, for people.

Made by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import Literal

from typing_extensions import NotRequired, TypedDict


class CardBody(TypedDict, total=False):
    """What is to be said of the model. What is not given stays; what is empty is taken out of our sidecar, so that what
    others say shows again."""

    title: str
    description: str
    base_model: str
    trigger_words: list[str]
    tags: list[str]
    source_url: str
    licence: str
    nsfw: bool
    author: str
    version: str
    recommended: CardRecommended


class CardPreviewBody(TypedDict, total=False):
    """One of the two."""

    output: str
    image: str


class CardPreviewGone(TypedDict):
    """The answer of `DELETE /models/{model_type}/{model_name}/preview`."""

    success: Literal[True]
    message: str


class CardPreviewQuery(TypedDict, total=False):
    """The query of `GET /models/{model_type}/{model_name}/preview`."""

    v: str


class CardRecommended(TypedDict, total=False):
    """Settings that suit the model, for people to choose; nothing is drawn with them by itself."""

    steps: int
    cfg_scale: float
    sampler: str
    scheduler: str
    width: int
    height: int
    clip_skip: int
    lora_weight: float
    negative_prompt: str
    hint: str


class CardRecommendedShown(TypedDict):
    """Settings that suit it; only those that somebody tells."""

    steps: NotRequired[int]
    cfg_scale: NotRequired[float]
    sampler: NotRequired[str]
    scheduler: NotRequired[str]
    width: NotRequired[int]
    height: NotRequired[int]
    clip_skip: NotRequired[int]
    lora_weight: NotRequired[float]
    negative_prompt: NotRequired[str]
    hint: NotRequired[str]


class CardShown(TypedDict):
    """What is said of a model, by whom. Texts are plain: markup is taken out. Empty where nobody says anything."""

    model_name: str
    model_type: Literal[
        "checkpoint", "diffusion", "vae", "lora", "clip", "t5", "controlnet", "llm", "esrgan", "taesd", "embedding"
    ]
    title: str
    description: str
    base_model: str
    trigger_words: list[str]
    tags: list[str]
    preview: str | None
    source_url: str | None
    licence: str
    nsfw: bool | None
    author: str
    version: str
    recommended: CardRecommendedShown
    sources: dict[str, str]
    warnings: NotRequired[list[str]]
