"""Warnings about the words of a request: a prompt that no text encoder was made for, and settings of a text encoder
that the family does not have. Knows parameters and families; must not know files, models or the queue."""

from __future__ import annotations

from sdcpp_rest.core.architectures import Architecture
from sdcpp_rest.core.family_fields import Traits, why_idle
from sdcpp_rest.core.params import SamplingParams

# English text has about four characters to a token; beyond this many no text encoder reads it in one turn.
_CHARACTERS_OF_TOKEN = 4
_LONG_PROMPT = 512 * _CHARACTERS_OF_TOKEN


def wording_notes(params: SamplingParams, family: Architecture | None) -> list[str]:
    """Sentences about words that cost much and count for little, or settings that have no effect; ``family`` of
    ``None`` where the model was not recognised."""
    found = []
    if params.clip_skip > 0 and (reason := why_idle("clip_skip", Traits(family))):
        found.append(reason)
    for field in ("prompt", "negative_prompt"):
        length = len(getattr(params, field))
        if length > _LONG_PROMPT:
            found.append(
                f"{field} is {length} characters long, about {length // _CHARACTERS_OF_TOKEN} tokens. Text encoders "
                "were made for 75 (CLIP, which reads more in several turns) to 512: what is beyond counts for little "
                "and is slow to read."
            )
    return found
