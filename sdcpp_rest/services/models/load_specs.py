"""Turns "load this model, with that" into a load spec whose files were found, inspected and found safe to load; and
LoRA tags of prompts into files.

Knows the library and the files' headers. It must not know the engine, nor who asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import Field

from sdcpp_rest.core import family_signs, prompts
from sdcpp_rest.core.architectures import Architecture
from sdcpp_rest.core.catalog import COMPONENT_TYPES, ModelFile, ModelType, Sidecar
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.load_spec import Component, FileRef, LoadSpec, ModelKind
from sdcpp_rest.core.params import LoraUse
from sdcpp_rest.core.presets import PRESETS
from sdcpp_rest.core.variants import variant
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.services.model_headers import inspection
from sdcpp_rest.services.model_headers.inspection import Inspection
from sdcpp_rest.services.models.encoder_placing import Placed
from sdcpp_rest.services.models.load_checks import check_loadable, embedding_fault
from sdcpp_rest.services.models.load_options import AUTO, OPTION, load_options
from sdcpp_rest.services.models.model_library import ModelLibrary, Sentences
from sdcpp_rest.services.models.model_names import nearest_names

_MAX_EMBEDDINGS = 1_000
_NOT_IN_TAGS = frozenset(":<>")


class LoadRequest(Frozen):
    """What ``POST /models/load`` asks for. ``model_type`` of ``None``: wherever the model lies. A component whose name
    is ``None`` is left to the sidecar; an empty name means "none at all". ``options`` are fields of LoadOptions;
    ``embeddings`` of ``None`` are all that are there."""

    model_name: str
    model_type: str | None = None
    components: Mapping[str, str | None] = Field(default_factory=dict)
    options: Mapping[str, Any] = Field(default_factory=dict)
    embeddings: tuple[str, ...] | None = None


def build_spec(library: ModelLibrary, request: LoadRequest) -> tuple[LoadSpec, Sentences]:
    """The load spec for ``request`` and warnings in plain words; every file in it was found, inspected and found
    safe.

    Raises ModelNotFound, InvalidRequest (NotAModel where a file is at fault) or NotSupported.
    """
    warnings: Sentences = []
    file, kind = _find_model(library, request, warnings)
    sidecar = library.read_sidecar(file.path, warnings) or Sidecar()
    components = _components(library, request, sidecar, warnings)
    main = inspection.inspect_file(file.path)
    options = load_options(request.options, sidecar, _preset_options(file, main, components), warnings)
    natural = family_signs.natural_kind(main.tensors)
    if natural is not None and natural != kind:
        kind = natural
        warnings.append(f"{file.name} was loaded as a {_KIND_WORDS[kind]}: its tensors leave no other way.")
    placing = library.encoder_placing
    wanted = request.options.get(OPTION)
    wanted = sidecar.load_options.get(OPTION, placing and placing.default) if wanted is None else wanted
    spec = LoadSpec(
        model=FileRef(name=file.name, path=file.path),
        kind=kind,
        architecture=main.architecture.name if main.architecture else None,
        components={role: components[role] for role in sorted(components)},
        options=options,
        embeddings=_embeddings(library, request, main.architecture, warnings),
    )
    if placing is not None and wanted is not None and wanted is not options.keep_clip_on_cpu:
        placed = placing.choose(spec) if wanted == AUTO else Placed(bool(wanted), "")
        spec = spec.model_copy(update={"options": options.model_copy(update={OPTION: placed.keep_clip_on_cpu})})
        warnings += [f"options.{OPTION}: {placed.why}."] if placed.why else []
    return spec, warnings + check_loadable(spec)


def resolve_loras(library: ModelLibrary, prompt: str) -> tuple[LoraUse, ...]:
    """The LoRAs that the tags of ``prompt`` mean, each file once (weights of repeated tags add up).

    Raises InvalidRequest naming a LoRA that is unknown (with the nearest names) or whose file is no LoRA.
    """
    uses: dict[tuple[str, bool], LoraUse] = {}
    for tag in prompts.parse_loras(prompt)[0]:
        try:
            file = library.find("lora", tag.name)
        except ModelNotFound as error:
            nearest = error.detail.get("nearest", [])
            hint = f"; did you mean {', '.join(nearest)}?" if nearest else ""
            unsayable = [name for name in nearest if _NOT_IN_TAGS & set(name)]
            if unsayable:
                hint = f"; a tag cannot hold the ':', '<' or '>' of {', '.join(unsayable)}: rename the file"
            raise InvalidRequest(
                f"prompt: there is no LoRA named {tag.name!r}{hint}",
                field="prompt",
                value=tag.name,
                nearest=nearest,
            ) from None
        except InvalidRequest as error:
            raise InvalidRequest(
                f"prompt: LoRA {error.message.partition(': ')[2]}", field="prompt", value=tag.name
            ) from None
        check_lora_file(tag.name, file.name, file.path)
        key = (file.path, tag.is_high_noise)
        weight = tag.weight + (uses[key].weight if key in uses else 0.0)
        uses[key] = LoraUse(name=file.name, path=file.path, weight=weight, is_high_noise=tag.is_high_noise)
    return tuple(uses.values())


def check_lora_file(said: str, name: str, path: str) -> None:
    """Raises NotAModel where the file called ``name``, which a tag calls ``said``, is surely no LoRA."""
    contents = inspection.inspect_file(path).contents
    if contents not in ("LoRA", "unknown"):
        raise inspection.NotAModel(
            f"prompt: {name} is not a LoRA but a file of the kind '{contents}'", field="prompt", value=said
        )


def _find_model(library: ModelLibrary, request: LoadRequest, warnings: Sentences) -> tuple[ModelFile, ModelKind]:
    asked = request.model_type
    if asked not in (None, "checkpoint", "diffusion"):
        raise InvalidRequest(
            f"model_type: {asked!r} is unknown; allowed: 'checkpoint', 'diffusion'",
            field="model_type",
            value=asked,
            allowed=["checkpoint", "diffusion"],
        )
    first: ModelKind = "diffusion" if asked == "diffusion" else "checkpoint"
    second: ModelKind = "checkpoint" if first == "diffusion" else "diffusion"
    try:
        return library.find(first, request.model_name), first
    except ModelNotFound:
        pass
    try:
        file = library.find(second, request.model_name)
    except ModelNotFound:
        names = [file.name for kind in (first, second) for file in library.files(kind)]
        raise ModelNotFound(
            f"Model not found: {request.model_name}", nearest=nearest_names(request.model_name, names)
        ) from None
    if asked is not None:
        warnings.append(
            f"model_type '{asked}' was corrected: {file.name} lies in the {_KIND_WORDS[second]} folder "
            f"and is loaded as '{second}'."
        )
    return file, second


def _components(
    library: ModelLibrary, request: LoadRequest, sidecar: Sidecar, warnings: Sentences
) -> dict[Component, FileRef]:
    found: dict[Component, FileRef] = {}
    known: tuple[Component, ...] = get_args(Component)
    for unknown in request.components.keys() - set(known):
        raise InvalidRequest(
            f"{unknown!r} is not a component; allowed: {', '.join(known)}", field=unknown, allowed=list(known)
        )
    for role in known:
        asked = request.components.get(role)
        name = sidecar.components.get(role) if asked is None else asked
        if not name:
            continue
        try:
            file = _find_component(library, role, name)
        except (ModelNotFound, InvalidRequest) as error:
            if asked is not None:
                raise
            warnings.append(
                f"The model's sidecar names {name[:80]!r} as '{role}', which is not there: {error.message}."
            )
            continue
        found[role] = FileRef(name=file.name, path=file.path)
    return found


def _embeddings(
    library: ModelLibrary, request: LoadRequest, family: Architecture | None, warnings: Sentences
) -> tuple[FileRef, ...]:
    """The embeddings that prompts may name: those asked for, else all, where the family's text encoder knows how.

    One file per name: the library tells them apart by their stems, in lower case.
    """
    if request.embeddings is not None:
        files = [_find_as(library, "embeddings", "embedding", name) for name in request.embeddings]
    elif family is None or family.is_flow:
        files = []
    else:
        files = library.files("embedding")
    chosen: dict[str, FileRef] = {}
    for file in files:
        if len(chosen) == _MAX_EMBEDDINGS:
            warnings.append(f"Only the first {_MAX_EMBEDDINGS} embeddings are loaded.")
            break
        fault = embedding_fault(file, family)
        if fault is not None and request.embeddings is not None:
            raise InvalidRequest(f"embeddings: {fault}", field="embeddings", value=file.name)
        if fault is None:
            chosen.setdefault(Path(file.name).stem.lower(), FileRef(name=file.name, path=file.path))
    return tuple(chosen.values())


def _find_component(library: ModelLibrary, role: Component, name: str) -> ModelFile:
    pool: Sentences = []
    for kind in COMPONENT_TYPES[role]:
        try:
            return _find_as(library, role, kind, name)
        except ModelNotFound:
            pool += [file.name for file in library.files(kind)]
    if role == "photo_maker" and (file := library.find_below_models_dir(name)) is not None:
        return file
    raise ModelNotFound(f"Model not found: {name}", nearest=nearest_names(name, pool), field=role)


def _find_as(library: ModelLibrary, field: str, kind: ModelType, name: str) -> ModelFile:
    """`find`, blaming ``field``."""
    try:
        return library.find(kind, name)
    except InvalidRequest as error:
        text = error.message.removeprefix("model_name: ")
        raise InvalidRequest(f"{field}: {text}", **{**error.detail, "field": field}) from None


def _preset_options(file: ModelFile, main: Inspection, components: Iterable[str]) -> Mapping[str, Any]:
    if main.architecture is None:
        return {}
    return PRESETS[variant(main.architecture, main.tensors, file.name, tuple(components)).preset].load


_KIND_WORDS: dict[ModelKind, str] = {"checkpoint": "checkpoint", "diffusion": "diffusion model"}
