"""Counts the tokens of a prompt for each text encoder of a model, as the library will. It must not know who asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.architectures import architecture_named
from sdcpp_rest.core.family_needs import roles_inside
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.prompts import check_prompt
from sdcpp_rest.core.tokenizing.encoders import Encoder, TokenCount, count_tokens, encoders_of
from sdcpp_rest.engine.protocol import Ready
from sdcpp_rest.errors import InvalidRequest, NoModelLoaded, NotSupported
from sdcpp_rest.services.dispatch.model_slot import ModelSlot
from sdcpp_rest.services.model_headers.inspection import inspect_file
from sdcpp_rest.services.models.library_vocabulary import LibraryVocabularies

_WIDTHS = {"sd1": 768, "sdxs": 768, "sd2": 1_024}
"""Of the text encoder's vectors, by the begin of the family's id."""


class TokenCounts:
    """Counts tokens by the library's own vocabularies. ``ready`` answers what the engine knows of the library, ``None``
    while there is none."""

    def __init__(self, limits: LimitsConfig, models: ModelSlot, ready: Callable[[], Ready | None]) -> None:
        self._limits = limits
        self._models = models
        self._vocabularies = LibraryVocabularies(lambda: found.library_path if (found := ready()) is not None else "")

    def model(self, spec: LoadSpec | None) -> LoadSpec:
        """``spec``, or the selected model. Raises NoModelLoaded."""
        spec = spec or self._models.selected
        if spec is None:
            raise NoModelLoaded("No model loaded")
        return spec

    def count(self, field: str, prompt: str, spec: LoadSpec) -> list[TokenCount]:
        """The tokens of ``prompt`` for each text encoder of a model. Raises InvalidRequest naming ``field``,
        NotSupported where they cannot be known."""
        check_prompt(field, prompt, self._limits.prompt_characters)
        return [
            count_tokens(
                prompt,
                encoder,
                self._vocabularies.tokenizer(encoder.vocabulary, _embeddings_of(spec) if encoder.pads_at_break else {}),
            )
            for encoder in _encoders_of(spec)
        ]


def _encoders_of(spec: LoadSpec) -> tuple[Encoder, ...]:
    family = architecture_named(spec.architecture)
    if family is None:
        raise NotSupported("Tokens cannot be counted: which text encoders the model has is not known")
    roles = {*spec.components}
    if spec.kind == "checkpoint":
        roles |= _roles_inside(spec.model)
    found = encoders_of(family, roles)
    if not found:
        raise NotSupported(f"Tokens cannot be counted: no text encoder reads prompts of {family.name} as it is loaded")
    return found


def _roles_inside(file: FileRef) -> set[str]:
    try:
        return roles_inside(inspect_file(file.path).tensors)
    except (InvalidRequest, OSError):  # whoever loads it says what is wrong with it
        return set()


def _embeddings_of(spec: LoadSpec) -> Mapping[str, int | None]:
    """How many tokens the words of the model's embeddings have."""
    family = architecture_named(spec.architecture)
    width = next((width for id, width in _WIDTHS.items() if family is not None and family.id.startswith(id)), None)
    # Of two that begin alike the library finds the one whose name comes first.
    files = sorted(((PurePosixPath(file.name).stem, file) for file in spec.embeddings), key=lambda one: one[0])
    return {word.lower(): _token_count(file, width) for word, file in files}


def _token_count(file: FileRef, width: int | None) -> int | None:
    # With two text encoders the library counts the first use of a word otherwise than those after it.
    if width is None:
        return None
    try:
        shapes = [shape for shape in inspect_file(file.path).tensors.values() if shape[0] == width]
    except (InvalidRequest, OSError):
        return None
    if len(shapes) > 1:
        return None
    # One that does not fit is a single unknown word.
    return shapes[0][1] if shapes and len(shapes[0]) > 1 else 1
