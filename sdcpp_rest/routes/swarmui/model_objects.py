"""Renders models as SwarmUI describes them: one object with all of its keys per model, and lists of them as JSON.

Pure, over cards. A card stays the same while nothing of it changes, and so does the text that was made of it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from sdcpp_rest.routes.http.answers import json_text
from sdcpp_rest.routes.swarmui.model_classes import class_of
from sdcpp_rest.services.models.model_cards import ModelCard
from sdcpp_rest.services.pictures.small_pictures import shrink_file

PLACEHOLDER = "imgs/model_placeholder.jpg"
_RESOLUTION = re.compile(r"(\d{2,5})x(\d{2,5})", re.ASCII)
_SHOWN_WORDS = 10
_KEPT_TEXTS = 20_000
_NO_MODEL = "(None)"


def model_object(card: ModelCard, subtype: str, *, is_loaded: bool) -> dict[str, Any]:
    """A model with all the keys of SwarmUI's; ``preview_image`` is an address."""
    kind, notes, sidecar = class_of(card), card.notes, card.sidecar
    width, height = (kind.width, kind.height) if kind is not None else (0, 0)
    said = _RESOLUTION.fullmatch(notes.get("resolution", ""))
    if said is not None:
        width, height = int(said[1]), int(said[2])
    changed_ms = max(0, card.file.mtime_ns // 1_000_000)
    sum_text = f"0x{card.sha256}" if card.sha256 else ""
    tags = [tag for part in notes.get("tags", "").split(",") if (tag := part.strip())]
    return {
        "name": card.file.name,
        "title": card.title,
        "author": notes.get("author"),
        "description": notes.get("description") or (sidecar.description if sidecar is not None else ""),
        "preview_image": preview_address(card, subtype),
        "loaded": is_loaded,
        "architecture": kind.id if kind is not None else None,
        "class": kind.name if kind is not None else None,
        "compat_class": kind.compat if kind is not None else None,
        "resolution": f"{width}x{height}",
        "standard_width": width,
        "standard_height": height,
        "license": notes.get("license") or (sidecar.licence if sidecar is not None and sidecar.licence else None),
        "date": notes.get("date"),
        "prediction_type": notes.get("prediction_type"),
        "usage_hint": notes.get("usage_hint") or _trained_on(card),
        "trigger_phrase": card.trigger_phrase,
        "merged_from": notes.get("merged_from"),
        "tags": tags or None,
        "is_supported_model_format": True,
        "is_negative_embedding": notes.get("is_negative_embedding", "").lower() == "true",
        "lora_default_weight": notes.get("lora_default_weight", ""),
        "lora_default_confinement": notes.get("lora_default_confinement", ""),
        "local": True,
        "time_created": changed_ms,
        "time_modified": changed_ms,
        "hash": sum_text,
        "hash_sha256": sum_text,
        "special_format": "gguf" if card.file.file_extension == ".gguf" else "",
    }


def no_model() -> dict[str, Any]:
    """The model that stands for none, as SwarmUI describes it."""
    nothing = dict.fromkeys(
        ("author", "architecture", "class", "compat_class", "license", "date", "prediction_type", "usage_hint",
         "merged_from", "tags")
    )  # fmt: skip
    texts = dict.fromkeys(
        ("trigger_phrase", "lora_default_weight", "lora_default_confinement", "hash", "hash_sha256", "special_format"),
        "",
    )
    numbers = dict.fromkeys(("standard_width", "standard_height", "time_created", "time_modified"), 0)
    return {
        "name": _NO_MODEL,
        "title": _NO_MODEL,
        "description": "No model is selected.",
        "preview_image": PLACEHOLDER,
        "loaded": False,
        "resolution": "0x0",
        "is_supported_model_format": True,
        "is_negative_embedding": False,
        "local": True,
        **nothing,
        **texts,
        **numbers,
    }


def is_no_model(name: str) -> bool:
    """Whether a client names the model that stands for none."""
    return name.strip().lower() == _NO_MODEL.lower()


def models_text(cards: Iterable[ModelCard], subtype: str, loaded_path: str | None) -> str:
    """The objects of ``cards`` as a JSON array. ``loaded_path``: the file that the engine holds."""
    return "[" + ",".join(_object_text(card, subtype, card.file.path == loaded_path) for card in cards) + "]"


def models_with_pictures(
    cards: Iterable[ModelCard], subtype: str, loaded_path: str | None, may_draw: Callable[[], bool]
) -> list[dict[str, Any]]:
    """The same as objects whose ``preview_image`` is the picture itself, for as long as ``may_draw`` says so."""
    shown = []
    for card in cards:
        one = model_object(card, subtype, is_loaded=card.file.path == loaded_path)
        if card.preview is not None and may_draw():
            body = shrink_file(card.preview.path, card.preview.size_bytes, card.preview.mtime_ns)
            if body is not None:
                one["preview_image"] = f"data:image/jpeg;base64,{base64.b64encode(body).decode()}"
        shown.append(one)
    return shown


def preview_address(card: ModelCard, subtype: str) -> str:
    """Where the model's preview is; the stamp makes it another address when the picture is another."""
    if card.preview is None:
        return PLACEHOLDER
    return f"/ViewSpecial/{subtype}/{quote(card.file.name)}?editid={card.preview.mtime_ns // 1_000_000}"


@lru_cache(maxsize=_KEPT_TEXTS)
def _object_text(card: ModelCard, subtype: str, is_loaded: bool) -> str:
    return json_text(model_object(card, subtype, is_loaded=is_loaded))


def _trained_on(card: ModelCard) -> str | None:
    """What a LoRA or embedding was taught besides its trigger words, where nobody wrote a hint."""
    triggers = {word.strip() for word in card.trigger_phrase.split(",")}
    words = [word for word in (card.header.trained_words if card.header is not None else ()) if word not in triggers]
    return f"Trained on: {', '.join(words[:_SHOWN_WORDS])}" if words else None
