"""Looks at one of the user's models and says what it is, what it needs, and which of the user's other files would fit.

Reads headers only, and in one call a bounded number of them: what was seen is remembered, so that a second call
goes on where the first one stopped. It must not load anything, nor know the engine.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import get_args

from pydantic import Field

from sdcpp_rest.core import family_needs, family_signs
from sdcpp_rest.core.architectures import Architecture, Contents, Shapes
from sdcpp_rest.core.catalog import COMPONENT_TYPES, LIST_NAMES, ModelFile, ModelType
from sdcpp_rest.core.component_forms import fitting_forms, form_of, name_score, vocabulary_of
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.load_spec import Component
from sdcpp_rest.core.presets import PRESETS, Preset
from sdcpp_rest.core.variants import Variant, variant
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.services.model_headers.inspection import Inspection, NotAModel, inspect_file
from sdcpp_rest.services.models.model_library import ModelLibrary

MAX_NEW_FILES = 100
"""Headers read for the first time in one call; large ones take tens of milliseconds each."""

MAX_SUGGESTIONS = 5
"""Of each component."""

_MAX_REMEMBERED = 10_000
_COMPONENTS: tuple[str, ...] = get_args(Component)
_HIGH_NOISE = re.compile(r"high[-_ ]?noise", re.IGNORECASE)


class Suggestion(Frozen):
    """One of the user's files that fits as a component. ``why`` is a sentence."""

    name: str
    type: ModelType
    form: str
    why: str


class Detection(Frozen):
    """What a model file is. ``preset`` and ``architecture`` are ``None`` where it is no model that draws, or none that
    is known; ``contents`` says what it is then.

    ``inside`` are the components that the file brings along, ``missing`` sentences about those it cannot do without,
    ``suggestions`` what was found for each of its components that is not inside, best first. ``left_out`` counts files
    that were not looked at in this call.
    """

    file: ModelFile
    contents: Contents
    architecture: str | None = None
    preset: Preset | None = None
    variant: Variant | None = None
    inside: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    suggestions: Mapping[str, tuple[Suggestion, ...]] = Field(default_factory=dict)
    left_out: int = 0
    warnings: tuple[str, ...] = ()


class _Seen(Frozen):
    """What is remembered of a component file."""

    form: str | None = None
    vocabulary: int = 0
    architecture: str | None = None


class ModelDetection:
    """Detects the family of a model file and which other files it needs.

    All methods may be called from any thread.
    """

    def __init__(self, library: ModelLibrary) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[str, int, int], _Seen] = OrderedDict()

    def detect(self, name: str, type: str | None = None) -> Detection:
        """What the model called ``name`` is; without a ``type``, checkpoints and diffusion models are looked at first.

        Raises ModelNotFound with the nearest names, InvalidRequest for a name that leaves the folders or means several
        files, NotAModel for a file that is damaged.
        """
        file = self._find(name, type)
        inspected = inspect_file(file.path)
        architecture = inspected.architecture
        if architecture is None:
            return Detection(file=file, contents=inspected.contents, warnings=tuple(_why_unknown(file, inspected)))
        judged = variant(architecture, inspected.tensors, file.name)
        preset = PRESETS[judged.preset]
        kind = family_signs.natural_kind(inspected.tensors) or (
            "diffusion" if file.type == "diffusion" else "checkpoint"
        )
        inside = family_needs.roles_inside(inspected.tensors) if kind == "checkpoint" else set()
        roles = [role for role in _roles(architecture, preset) if role not in inside]
        suggestions, left_out = self._suggestions(file, architecture, inspected.tensors, roles)
        return Detection(
            file=file,
            contents=inspected.contents,
            architecture=architecture.name,
            preset=preset,
            variant=judged,
            inside=tuple(sorted(inside)),
            missing=tuple(family_needs.missing_components(architecture, inspected.tensors, (), kind=kind)),
            suggestions=suggestions,
            left_out=left_out,
            warnings=(
                *inspected.warnings,
                *family_needs.structural_faults(architecture, inspected.tensors),
                *family_needs.component_advice(architecture, inspected.tensors, (), kind=kind),
            ),
        )

    def _find(self, name: str, type: str | None) -> ModelFile:
        nearest: list[str] = []
        kinds = (type,) if type else LIST_NAMES
        for kind in kinds:
            try:
                return self._library.find(kind, name)
            except ModelNotFound as error:
                nearest += error.detail.get("nearest", [])
            except InvalidRequest as error:
                field = {"model_name": "model", "model_type": "type"}.get(error.detail.get("field", ""), "model")
                text = re.sub("^model_(name|type)(?=:)", field, error.message)
                raise InvalidRequest(text, **{**error.detail, "field": field}) from None
        raise ModelNotFound(f"Model not found: {name[:200]}", nearest=list(dict.fromkeys(nearest))[:10], field="model")

    # --- what fits ---------------------------------------------------------------------------------------------------

    def _suggestions(
        self, model: ModelFile, architecture: Architecture, tensors: Shapes, roles: list[str]
    ) -> tuple[dict[str, tuple[Suggestion, ...]], int]:
        found: dict[str, tuple[Suggestion, ...]] = {}
        skipped: set[str] = set()
        budget = MAX_NEW_FILES
        lists = self._library.list()
        for role in roles:
            wanted = fitting_forms(architecture, role, tensors)
            rated: list[tuple[tuple[int, int, int, str], Suggestion]] = []
            for order, kind in enumerate(_types_of(role)):
                files = lists[LIST_NAMES[kind]]
                for file in sorted(files, key=lambda file: -name_score(architecture, role, file.name)):
                    seen = self._recall(file)
                    if seen is None and budget > 0:
                        budget -= 1
                        seen = self._look(file)
                    if seen is None:
                        skipped.add(file.path)
                        continue
                    suggestion, rank = _rate(model, architecture, role, wanted, file, seen)
                    if suggestion is not None:
                        rated.append(((*rank, order, file.name), suggestion))
            rated.sort(key=lambda pair: pair[0])
            found[role] = tuple(suggestion for _, suggestion in rated[:MAX_SUGGESTIONS])
        return found, len(skipped)

    def _recall(self, file: ModelFile) -> _Seen | None:
        key = (file.path, file.size_bytes, file.mtime_ns)
        with self._lock:
            if key not in self._seen:
                return None
            self._seen.move_to_end(key)
            return self._seen[key]

    def _look(self, file: ModelFile) -> _Seen:
        try:
            inspected = inspect_file(file.path)
        except NotAModel:
            seen = _Seen()
        else:
            seen = _Seen(
                form=form_of(inspected.tensors, inspected.contents),
                vocabulary=vocabulary_of(inspected.tensors),
                architecture=inspected.architecture.id if inspected.architecture else None,
            )
        with self._lock:
            self._seen[file.path, file.size_bytes, file.mtime_ns] = seen
            while len(self._seen) > _MAX_REMEMBERED:
                self._seen.popitem(last=False)
        return seen


def _rate(
    model: ModelFile, architecture: Architecture, role: str, wanted: tuple[str, ...], file: ModelFile, seen: _Seen
) -> tuple[Suggestion | None, tuple[int, int]]:
    """The suggestion of ``file`` as ``role``, and its rank (lower is better); ``None`` where it does not fit."""
    if role == "high_noise_diffusion_model":
        if seen.architecture != architecture.id or file.path == model.path or not _HIGH_NOISE.search(file.name):
            return None, (0, 0)
        # The two experts of one edition have names of one pattern, and like sizes.
        rank = (0 if _pattern(file.name) == _pattern(model.name) else 1, abs(file.size_bytes - model.size_bytes))
        why = f"It is of the same family ({architecture.name}), and its name says that it is for high noise."
        return Suggestion(name=file.name, type=file.type, form="high noise expert", why=why), rank
    if seen.form is None or seen.form not in wanted:
        return None, (0, 0)
    if role == "llm" and seen.vocabulary < architecture.min_vocabulary:
        return None, (0, 0)
    score = name_score(architecture, role, file.name)
    said = {1: "; its name says that it was made for this family", -1: "; its name speaks of another family"}
    article = "an" if seen.form[0] in "OU" else "a"
    why = f"It is {article} {seen.form}{said.get(score, '')}."
    # Of equals the larger file first: it is the less quantized one.
    return Suggestion(name=file.name, type=file.type, form=seen.form, why=why), (
        -score * len(wanted) + wanted.index(seen.form),
        -file.size_bytes,
    )


def _pattern(name: str) -> str:
    return re.sub(r"(high|low)[-_ ]?noise", "*", os.path.splitext(name.casefold())[0])


def _roles(architecture: Architecture, preset: Preset) -> list[str]:
    """The components that the model may be loaded with, by role; those it needs first."""
    roles = [*architecture.needs, *architecture.needs_any, *preset.components]
    return [role for role in dict.fromkeys(roles) if role in _COMPONENTS and _types_of(role)]


def _types_of(role: str) -> tuple[ModelType, ...]:
    return next((types for known, types in COMPONENT_TYPES.items() if known == role), ())


def _why_unknown(file: ModelFile, inspected: Inspection) -> list[str]:
    what = family_signs.describe_unknown(inspected.tensors) if inspected.contents == "unknown" else None
    if what is not None:
        return [f"{file.name} {what}."]
    return list(inspected.warnings)
