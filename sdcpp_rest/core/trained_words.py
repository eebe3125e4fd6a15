"""Reads the words that a LoRA or an embedding was taught from its file's metadata, as training programs note them.

Pure. Nothing it is given is believed to be well formed: these notes come from anybody's file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

MAX_WORDS = 30
_MAX_CHARACTERS = 200
_MAX_PHRASE = 2_000

_PHRASES = ("modelspec.trigger_phrase", "trained_words", "trainedWords", "trigger_words", "activation text")
_TAG_COUNTS = "ss_tag_frequency"


def phrase_of(metadata: Mapping[str, object]) -> str:
    """The trigger phrase alone, as whoever trained the file noted it; empty where there is none."""
    for key in _PHRASES:
        value = metadata.get(key)
        if isinstance(value, str) and (parts := [part for part in _json_list(value) if part]):
            return ", ".join(parts)[:_MAX_PHRASE]
    return ""


def words_of(metadata: Mapping[str, object]) -> tuple[str, ...]:
    """Trigger phrases first, then the tags of the training pictures, the commonest first; at most `MAX_WORDS`."""
    words: dict[str, None] = {}
    for key in _PHRASES:
        value = metadata.get(key)
        parts = _json_list(value) if isinstance(value, str) else []
        words.update(dict.fromkeys(part for part in parts if part))
    for tag, _ in _tags(metadata.get(_TAG_COUNTS)).most_common(MAX_WORDS):
        words.setdefault(tag)
    return tuple(word[:_MAX_CHARACTERS] for word in words)[:MAX_WORDS]


def _json_list(text: str) -> list[str]:
    """A JSON list of words, or words between commas."""
    if text.lstrip().startswith("["):
        try:
            listed = json.loads(text)
        except (ValueError, RecursionError):
            return []
        return [one.strip() for one in listed if isinstance(one, str)]
    return [part.strip() for part in text.split(",")]


def _tags(value: object) -> Counter[str]:
    """``{"folder": {"tag": count}}`` as JSON, the folders put together."""
    counts: Counter[str] = Counter()
    try:
        folders = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return counts
    for tags in folders.values() if isinstance(folders, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if tag.strip() and isinstance(count, int):
                counts[tag.strip()] += count
    return counts
