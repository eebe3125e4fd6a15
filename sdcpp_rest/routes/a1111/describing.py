"""Describes pictures in words, in the manner of AUTOMATIC1111's two describers, as its options say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sdcpp_rest.routes.a1111 import settings
from sdcpp_rest.services.describing.interrogation import Interrogation
from sdcpp_rest.services.describing.tag_words import TagStyle

DESCRIBERS = ("clip", "deepdanbooru")
_THRESHOLD = "interrogate_deepbooru_score_threshold"


def describe_picture(describer: Interrogation, model: str, image: str, options: Mapping[str, Any]) -> str:
    """What a picture (base64 or a data URL) shows: a caption (``clip``) or tags (``deepdanbooru``). Raises as the
    methods of `Interrogation` do."""
    if model == "clip":
        return describer.caption(image)
    return describer.tags(image, _tag_style(describer.style, options))


def _tag_style(style: TagStyle, options: Mapping[str, Any]) -> TagStyle:
    """As the options say. The threshold is that of the configuration until somebody chooses another."""
    threshold = options[_THRESHOLD]
    if threshold != settings.DEFAULTS[_THRESHOLD]:
        style = replace(style, general_threshold=threshold, character_threshold=threshold)
    return replace(
        style,
        sorts_by_name=options["deepbooru_sort_alpha"],
        uses_spaces=options["deepbooru_use_spaces"],
        escapes=options["deepbooru_escape"],
        shows_scores=options["interrogate_return_ranks"],
        leaves_out=frozenset(
            name.strip().replace(" ", "_") for name in options["deepbooru_filter_tags"].split(",") if name.strip()
        ),
    )
