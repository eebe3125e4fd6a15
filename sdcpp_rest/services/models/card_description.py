"""Describes a model in the words of all who say something about it: our own sidecar, notes of other programs, CivitAI's
answer, the file's header; and tells of each word who said it.

Reads the small files beside a model, with bounds. Nothing in them is believed; it must not change anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sdcpp_rest.core.architectures import ARCHITECTURES
from sdcpp_rest.core.card_words import MAX_TEXT, number, one_line, plain_text, web_link, word_list
from sdcpp_rest.services.models.files_beside import (
    CIVITAI_ENDING,
    NOTES_ENDING,
    SIDECAR_ENDING,
    TEXT_ENDING,
    path_beside,
    read_beside,
    read_notes,
)
from sdcpp_rest.services.models.model_cards import ModelCard, ModelCards

HEADER = "header"
FILE_NAME = "file name"
_MOST_TAGS_OF_TRAINING = 10
_RESOLUTION = re.compile(r"(\d{2,5})x(\d{2,5})")
_MODELSPEC = "modelspec."

Said = dict[str, Any]
"""What one source says, by field; of ``recommended`` by ``recommended.<name>``."""


@dataclass(frozen=True)
class CardDescription:
    """What a model is, for people. Empty texts and ``None``: nobody says so.

    ``recommended`` are settings that suit it. ``sources`` tells of each field that somebody fills where it is from: a
    file beside the model by its name, `HEADER`, or `FILE_NAME`; those of ``recommended`` as ``recommended.<name>``.
    """

    title: str = ""
    description: str = ""
    base_model: str = ""
    trigger_words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    source_url: str | None = None
    licence: str = ""
    nsfw: bool | None = None
    author: str = ""
    version: str = ""
    recommended: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)


def describe_card(card: ModelCard, cards: ModelCards) -> CardDescription:
    """All that is known of a model now; who is nearer to the user goes first."""
    said: Said = {}
    sources: dict[str, str] = {}
    for source, one in _all_said(card, cards):
        for name, value in one.items():
            if name not in said and value not in ("", (), None):
                said[name], sources[name] = value, source
    recommended = {name.partition(".")[2]: said.pop(name) for name in [*said] if "." in name}
    return CardDescription(**said, recommended=recommended, sources=sources)


def _all_said(card: ModelCard, cards: ModelCards) -> Iterator[tuple[str, Said]]:
    for ending, read in ((SIDECAR_ENDING, _of_sidecar), (NOTES_ENDING, _of_notes), (CIVITAI_ENDING, _of_civitai)):
        path = path_beside(card.file, ending)
        if os.path.lexists(path) and cards.may_read(card.file, path):
            yield os.path.basename(path), read(read_notes(path))
    yield HEADER, _of_header(card)
    path = path_beside(card.file, TEXT_ENDING)
    if os.path.lexists(path) and cards.may_read(card.file, path):
        content = read_beside(path) or b""
        yield os.path.basename(path), {"description": plain_text(content[: 4 * MAX_TEXT].decode("utf-8", "replace"))}
    yield FILE_NAME, {"title": card.stem}


def _of_sidecar(given: Mapping[str, Any]) -> Said:
    """What ``<model>.json`` says, in our words and in those of the web UIs that use the same file."""
    defaults = given.get("generation_defaults")
    recommended = {**(defaults if isinstance(defaults, dict) else {}), **_object(given, "recommended")}
    found = _read_recommended(
        {
            "lora_weight": given.get("preferred weight") or None,
            "negative_prompt": given.get("negative text"),
            **recommended,
        }
    )
    nsfw = given.get("nsfw")
    return {
        "title": one_line(given.get("display_name")),
        "description": plain_text(given.get("description")),
        "base_model": one_line(given.get("base_model")) or one_line(given.get("sd version")),
        "trigger_words": word_list(given.get("activation_text") or given.get("activation text")),
        "tags": word_list(given.get("tags")),
        "source_url": web_link(given.get("source_url")),
        "licence": one_line(given.get("licence")),
        "nsfw": nsfw if isinstance(nsfw, bool) else None,
        "author": one_line(given.get("author")),
        "version": one_line(given.get("version")),
        **found,
    }


def _of_notes(given: Mapping[str, Any]) -> Said:
    """What SwarmUI's notes say: a header's words, with or without their prefix."""
    return _of_words({name.removeprefix(_MODELSPEC): value for name, value in given.items()})


def _of_words(notes: Mapping[str, Any]) -> Said:
    """What notes in the words of ModelSpec say."""
    sides = _RESOLUTION.fullmatch(one_line(notes.get("resolution")))
    recommended = {
        "hint": notes.get("usage_hint"),
        "lora_weight": notes.get("lora_default_weight"),
        "width": sides[1] if sides else None,
        "height": sides[2] if sides else None,
    }
    return {
        "title": one_line(notes.get("title")),
        "description": plain_text(notes.get("description")),
        "base_model": one_line(notes.get("architecture")),
        "trigger_words": word_list(notes.get("trigger_phrase")),
        "tags": word_list(notes.get("tags")),
        "licence": one_line(notes.get("license")),
        "author": one_line(notes.get("author")),
        **_read_recommended(recommended),
    }


def _of_civitai(given: Mapping[str, Any]) -> Said:
    """What CivitAI answered about this very version."""
    model, creator = _object(given, "model"), _object(given, "creator")
    ids = given.get("modelId"), given.get("id")
    link = ""
    if all(isinstance(one, int) and not isinstance(one, bool) and 0 < one < 1 << 53 for one in ids):
        link = f"https://civitai.com/models/{ids[0]}?modelVersionId={ids[1]}"
    nsfw = model.get("nsfw")
    return {
        "title": one_line(model.get("name")),
        "description": plain_text(model.get("description")) or plain_text(given.get("description")),
        "base_model": one_line(given.get("baseModel")),
        "trigger_words": word_list(given.get("trainedWords")),
        "tags": word_list(model.get("tags")),
        "source_url": link,
        "nsfw": nsfw if isinstance(nsfw, bool) else None,
        "author": one_line(creator.get("username")) or one_line(_object(model, "creator").get("username")),
        "version": one_line(given.get("name")),
    }


def _of_header(card: ModelCard) -> Said:
    header = card.header
    if header is None:
        return {}
    notes = header.notes
    said = _of_words(notes)
    known = ARCHITECTURES.get(header.architecture or "")
    others = {
        "title": one_line(notes.get("general.name")) or one_line(notes.get("ss_output_name")),
        "description": plain_text(notes.get("general.description")),
        "base_model": one_line(notes.get("general.base_model.0.name"))
        or one_line(notes.get("ss_base_model_version"))
        or (known.name if known is not None else ""),
        "trigger_words": word_list([*header.trained_words[:_MOST_TAGS_OF_TRAINING]]),
        "source_url": web_link(notes.get("general.source.url")) or web_link(notes.get("general.url")),
        "licence": one_line(notes.get("general.license")),
        "author": one_line(notes.get("general.author")),
        "version": one_line(notes.get("general.version")),
    }
    return {name: said.get(name) or others.get(name) for name in {**said, **others}}


def _read_recommended(given: Mapping[str, Any]) -> Said:
    """Those of the settings that can be read, by their full names."""
    read = {
        "steps": number(given.get("steps"), 1, 1_000, whole=True),
        "cfg_scale": number(given.get("cfg_scale"), 0, 1_000),
        "sampler": one_line(given.get("sampler"), 100),
        "scheduler": one_line(given.get("scheduler"), 100),
        "width": number(given.get("width"), 1, 16_384, whole=True),
        "height": number(given.get("height"), 1, 16_384, whole=True),
        "clip_skip": number(given.get("clip_skip"), -1, 12, whole=True),
        "lora_weight": number(given.get("lora_weight"), -10, 10),
        "negative_prompt": plain_text(given.get("negative_prompt"), 5_000),
        "hint": plain_text(given.get("hint"), 5_000),
    }
    return {f"recommended.{name}": value for name, value in read.items()}


def _object(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = given.get(name)
    return found if isinstance(found, dict) else {}
