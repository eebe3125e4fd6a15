"""Maps SwarmUI's seven types of models onto the model folders, and finds models by SwarmUI's names.

Knows the catalogue; must not know requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sdcpp_rest.core.catalog import ModelType
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.services.models.model_cards import READ_SECONDS, ModelCard, ModelCards
from sdcpp_rest.services.models.model_library import ModelLibrary

MAIN, TEXT, VISION = "Stable-Diffusion", "Clip", "ClipVision"
WILDCARDS = "Wildcards"

MODEL_TYPES: Mapping[str, tuple[ModelType, ...]] = {
    MAIN: ("checkpoint", "diffusion"),
    "VAE": ("vae",),
    "LoRA": ("lora",),
    "Embedding": ("embedding",),
    "ControlNet": ("controlnet",),
    TEXT: ("clip", "t5", "llm"),
    VISION: ("clip",),
}
"""SwarmUI's types, and the folders whose files are of them, first choice first. CLIP's vision encoders lie among the
text encoders, and are told by their tensors."""

_VISION_CONTENTS = "CLIP vision encoder"


def check_type(subtype: str) -> str:
    """``subtype`` itself, if SwarmUI has models of it. Raises InvalidRequest."""
    if subtype not in MODEL_TYPES:
        raise InvalidRequest("Invalid sub-type.", field="subtype")
    return subtype


def clean_path(path: str) -> str:
    """A name or folder as SwarmUI takes it: ``/`` between its parts, and none in front."""
    cleaned = path.replace("\\", "/")
    while "//" in cleaned:
        cleaned = cleaned.replace("//", "/")
    return cleaned.lstrip("/")


def list_cards(subtype: str, cards: ModelCards, read_seconds: float = READ_SECONDS) -> Sequence[ModelCard]:
    """Every model of a type. Raises InvalidRequest for a type that there is not."""
    kinds = MODEL_TYPES[check_type(subtype)]
    if len(kinds) == 1:
        listed = cards.cards(kinds[0], read_seconds)
    else:
        found: dict[str, ModelCard] = {}
        for kind in kinds:
            for card in cards.cards(kind, read_seconds / len(kinds)):
                found.setdefault(card.file.name, card)
        listed = [*found.values()]
    if subtype not in (TEXT, VISION):
        return listed
    return [card for card in listed if _is_vision(card) == (subtype == VISION)]


def find_card(subtype: str, name: str, library: ModelLibrary, cards: ModelCards) -> ModelCard:
    """The model of a type that ``name`` means, with or without its ending. Raises ModelNotFound, InvalidRequest."""
    wanted, nearest = clean_path(name), list[str]()
    for kind in MODEL_TYPES[check_type(subtype)]:
        for spelled in (f"{wanted}.safetensors", wanted):
            try:
                card = cards.card(library.find(kind, spelled))
            except ModelNotFound as error:
                nearest += error.detail.get("nearest", [])
                continue
            except InvalidRequest:
                continue
            if subtype not in (TEXT, VISION) or _is_vision(card) == (subtype == VISION):
                return card
    raise ModelNotFound("Model not found.", nearest=nearest[:3])


def _is_vision(card: ModelCard) -> bool:
    return card.header is not None and card.header.contents == _VISION_CONTENTS
