"""Writes what SwarmUI's page says of a model beside its file, as notes and a preview: the file itself stays as it is.

Knows cards and where files may be written; must not know requests beyond their arguments.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from sdcpp_rest.errors import InvalidRequest, SdcppRestError
from sdcpp_rest.routes.swarmui.calls import Arguments
from sdcpp_rest.services.models.files_beside import notes_path, read_notes, write_notes, write_preview
from sdcpp_rest.services.models.model_cards import ModelCard
from sdcpp_rest.services.models.model_removal import check_own
from sdcpp_rest.services.pictures.input_images import decode_base64
from sdcpp_rest.services.pictures.small_pictures import shrink_picture

_TEXTS = (
    "title", "author", "description", "usage_hint", "date", "license", "trigger_phrase", "prediction_type", "tags",
)  # fmt: skip
_PREFIX = "modelspec."
_MOST_CHARACTERS = 20_000


class NotesNotStored(SdcppRestError):
    """The model's folder takes no notes: the disk is full, or it cannot be written."""

    code = "notes_not_stored"


def edit_notes(card: ModelCard, asked: Arguments, own_folder: Path) -> None:
    """Write the notes of an EditModelMetadata call beside the model's file; what a call leaves out stays.

    Raises InvalidRequest for texts that are too long, a preview that is no picture, and a model that does not lie in
    ``own_folder``; NotesNotStored.
    """
    check_own(card.file, own_folder)
    path = notes_path(card.file)
    notes = read_notes(path)
    if not notes and os.path.isfile(path) and os.path.getsize(path) > len("{}\n"):
        raise InvalidRequest(
            "The notes beside that model cannot be understood, and are left as they are.", field="model"
        )
    for name in _TEXTS:
        if asked.given.get(name) is not None:
            _set(notes, name, asked.text(name))
    if asked.given.get("standard_width") is not None and asked.given.get("standard_height") is not None:
        width, height = asked.integer("standard_width"), asked.integer("standard_height")
        _set(notes, "resolution", f"{width}x{height}" if width > 0 and height > 0 else "")
    for name in ("lora_default_weight", "lora_default_confinement"):
        if asked.given.get(name) is not None:
            _set(notes, name, asked.text(name))
    if asked.given.get("is_negative_embedding") is not None:
        _set(notes, "is_negative_embedding", "true" if asked.switch("is_negative_embedding") else "")
    picture = asked.text("preview_image", "")
    preview = None
    if picture.startswith("data:"):
        preview = shrink_picture("preview_image", decode_base64("preview_image", picture))
    try:
        write_notes(card.file, json.dumps(notes, indent=2))
        if preview is not None:
            write_preview(card.file, preview)
    except OSError as error:
        raise NotesNotStored(f"The notes could not be stored: {error.strerror or error}") from error


def _set(notes: dict[str, object], name: str, text: str) -> None:
    if len(text) > _MOST_CHARACTERS:
        raise InvalidRequest(f"{name} has {len(text)} characters; at most {_MOST_CHARACTERS} are kept", field=name)
    if text.strip():
        notes[_PREFIX + name] = text
    else:
        notes.pop(_PREFIX + name, None)
