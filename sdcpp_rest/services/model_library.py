"""Finds model files by name and turns "load this, with that" into a load spec whose files are known to be safe to
load.

Two roots: the user's models folder and the read-only demo folder; nothing outside them is ever named or opened. It
must not know the engine, nor who asks.
"""

from __future__ import annotations

import difflib
import logging
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, get_args

from pydantic import Field, ValidationError

from sdcpp_rest.core import architectures, prompts, quantization
from sdcpp_rest.core.catalog import COMPONENT_TYPES, LIST_NAMES, TYPE_FOLDERS, ModelFile, ModelType, Sidecar
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.load_spec import Component, FileRef, LoadOptions, LoadSpec, ModelKind
from sdcpp_rest.core.params import LoraUse
from sdcpp_rest.errors import InvalidRequest, ModelNotFound, NotSupported
from sdcpp_rest.services import inspection
from sdcpp_rest.services.load_checks import check_loadable
from sdcpp_rest.services.model_folders import TypeFolder, is_outside, is_unchanged, model_type_named, scan

log = logging.getLogger(__name__)

Files = list[ModelFile]
Sentences = list[str]

_MAX_SIDECAR_BYTES = 1 << 20
_NEAREST_POOL = 2_000


class LoadRequest(Frozen):
    """What ``POST /models/load`` asks for. ``model_type`` of ``None``: wherever the model lies. A component whose name
    is ``None`` is left to the sidecar; an empty name means "none at all". ``options`` are fields of LoadOptions."""

    model_name: str
    model_type: str | None = None
    components: Mapping[str, str | None] = Field(default_factory=dict)
    options: Mapping[str, Any] = Field(default_factory=dict)


class ModelLibrary:
    """The catalogue of both roots. All methods may be called from any thread."""

    def __init__(
        self,
        models_dir: str | os.PathLike[str],
        type_folders: Mapping[ModelType, str] | Mapping[str, str] | None = None,
        demo_root: Path | None = None,
    ) -> None:
        """``type_folders`` maps a model type to its folder below ``models_dir`` (or to an absolute folder of its own);
        types that it leaves out keep their default folder. Folders need not exist."""
        self._models_dir = Path(models_dir).resolve()
        folders: dict[ModelType, str] = {**TYPE_FOLDERS}
        for given, renamed in (type_folders or {}).items():
            if given not in LIST_NAMES:
                raise ValueError(f"type_folders: {given!r} is not a model type; known: {', '.join(LIST_NAMES)}")
            folders[model_type_named("type_folders", given)] = renamed
        own = {kind: Path(os.path.abspath(self._models_dir / name)) for kind, name in folders.items()}
        allowed = {
            self._models_dir,
            *(folder.resolve() for folder in own.values() if is_outside(folder, self._models_dir)),
        }
        roots = tuple(sorted(allowed))
        demo = demo_root.resolve() if demo_root is not None else None
        self._lock = threading.Lock()
        self._folders: dict[ModelType, list[TypeFolder]] = {}
        for kind, folder in own.items():
            self._folders[kind] = [TypeFolder(folder, roots, kind)]
            if demo is not None:
                self._folders[kind].append(TypeFolder(demo / TYPE_FOLDERS[kind], (demo,), kind))
        self._sidecars: dict[tuple[str, int, int], tuple[Sidecar | None, str | None]] = {}

    # --- the catalogue ---------------------------------------------------------------------------------------------

    def list(
        self, type: str | None = None, extension: str | None = None, search: str | None = None
    ) -> dict[str, Files]:
        """All lists of ``GET /models`` by name, each sorted by file name; those that the filters exclude are empty.

        ``type`` is a model type (or a list's name), ``extension`` with or without its dot, ``search`` a part of the
        name in any case. Raises InvalidRequest for an unknown type.
        """
        wanted = model_type_named("type", type) if type else None
        suffix = f".{extension.lower().lstrip('.')}" if extension else None
        part = search.casefold() if search else ""
        return {
            name: [
                file
                for file in (self._files(kind) if wanted in (None, kind) else ())
                if suffix in (None, file.file_extension) and part in file.name.casefold()
            ]
            for kind, name in LIST_NAMES.items()
        }

    def refresh(self) -> None:
        """Forget what was seen: the next question scans the folders again."""
        with self._lock:
            for folders in self._folders.values():
                for folder in folders:
                    folder.is_settled = False

    def folders(self) -> dict[ModelType, Path]:
        """The user's own folder of each type, for display."""
        return {kind: folders[0].path for kind, folders in self._folders.items()}

    def find(self, type: str, name: str) -> ModelFile:
        """The model of ``type`` that ``name`` means: its relative path, its file name, or either without the
        extension; ``\\`` counts as ``/`` and case does not matter where nothing else decides.

        Raises ModelNotFound with the nearest names, InvalidRequest for a name that leaves the folder or means several
        files.
        """
        kind = model_type_named("model_type", type)
        wanted = _checked_name(name)
        files = self._files(kind)
        for readings in _readings(wanted):
            found = [file for file in files if readings(file.name)]
            if len(found) == 1:
                return self._fresh(found[0])
            if found:
                names = [file.name for file in found]
                raise InvalidRequest(
                    f"{name!r} means several models: {', '.join(names[:10])}; give the whole name",
                    field="model_name",
                    value=name,
                    candidates=names[:50],
                )
        raise ModelNotFound(
            f"Model not found: {name}", nearest=_nearest(wanted, (file.name for file in files)), type=kind
        )

    def _fresh(self, file: ModelFile) -> ModelFile:
        """The same file with the size and time it has now: a file may be rewritten in place without its folder
        changing."""
        try:
            status = os.stat(file.path)
        except OSError:
            self.refresh()
            raise ModelNotFound(f"Model not found: {file.name}", nearest=[], type=file.type) from None
        if (status.st_size, status.st_mtime_ns) == (file.size_bytes, file.mtime_ns):
            return file
        self.refresh()
        return file.model_copy(update={"size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns})

    def _files(self, kind: ModelType) -> Files:
        """The files of a type, the user's before the demo's: a demo file of the same name is hidden."""
        with self._lock:
            merged: dict[str, ModelFile] = {}
            for folder in reversed(self._folders[kind]):
                if not is_unchanged(folder):
                    scan(folder)
                merged.update(folder.files)
        return sorted(merged.values(), key=lambda file: (file.name.casefold(), file.name))

    # --- loading ---------------------------------------------------------------------------------------------------

    def build_spec(self, request: LoadRequest) -> tuple[LoadSpec, Sentences]:
        """The load spec for ``request`` and warnings in plain words; every file in it was found, inspected and found
        safe.

        Raises ModelNotFound, InvalidRequest (NotAModel where a file is at fault) or NotSupported.
        """
        warnings: Sentences = []
        file, kind = self._find_model(request, warnings)
        sidecar = self._sidecar(file.path, warnings) or Sidecar()
        components = self._components(request, sidecar, warnings)
        options = _options(request.options, sidecar, warnings)
        main = inspection.inspect_file(file.path)
        natural = architectures.natural_kind(main.tensors)
        if natural is not None and natural != kind:
            kind = natural
            warnings.append(f"{file.name} was loaded as a {_KIND_WORDS[kind]}: its tensors leave no other way.")
        spec = LoadSpec(
            model=FileRef(name=file.name, path=file.path),
            kind=kind,
            architecture=main.architecture.name if main.architecture else None,
            components={role: components[role] for role in sorted(components)},
            options=options,
        )
        return spec, warnings + check_loadable(spec)

    def _find_model(self, request: LoadRequest, warnings: Sentences) -> tuple[ModelFile, ModelKind]:
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
            return self.find(first, request.model_name), first
        except ModelNotFound:
            pass
        try:
            file = self.find(second, request.model_name)
        except ModelNotFound:
            names = [file.name for kind in (first, second) for file in self._files(kind)]
            raise ModelNotFound(
                f"Model not found: {request.model_name}", nearest=_nearest(request.model_name, names)
            ) from None
        if asked is not None:
            warnings.append(
                f"model_type '{asked}' was corrected: {file.name} lies in the {_KIND_WORDS[second]} folder "
                f"and is loaded as '{second}'."
            )
        return file, second

    def _components(self, request: LoadRequest, sidecar: Sidecar, warnings: Sentences) -> dict[Component, FileRef]:
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
            if role not in COMPONENT_TYPES:
                raise NotSupported(f"{role} is not supported yet", field=role, value=name)
            try:
                file = self._find_component(role, name)
            except ModelNotFound as error:
                if asked is not None:
                    raise
                warnings.append(f"The model's sidecar names {name!r} as '{role}', which is not there: {error.message}.")
                continue
            found[role] = FileRef(name=file.name, path=file.path)
        return found

    def _find_component(self, role: Component, name: str) -> ModelFile:
        pool: Sentences = []
        for kind in COMPONENT_TYPES[role]:
            try:
                return self.find(kind, name)
            except ModelNotFound:
                pool += [file.name for file in self._files(kind)]
        raise ModelNotFound(f"Model not found: {name}", nearest=_nearest(name, pool), field=role)

    # --- what a loaded model implies -------------------------------------------------------------------------------

    def resolve_loras(self, prompt: str) -> tuple[LoraUse, ...]:
        """The LoRAs that the tags of ``prompt`` mean, each file once (weights of repeated tags add up).

        Raises InvalidRequest naming a LoRA that is unknown (with the nearest names) or whose file is no LoRA.
        """
        uses: dict[tuple[str, bool], LoraUse] = {}
        for tag in prompts.parse_loras(prompt)[0]:
            try:
                file = self.find("lora", tag.name)
            except ModelNotFound as error:
                nearest = error.detail.get("nearest", [])
                hint = f"; did you mean {', '.join(nearest)}?" if nearest else ""
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
            contents = inspection.inspect_file(file.path).contents
            if contents not in ("LoRA", "unknown"):
                raise inspection.NotAModel(
                    f"prompt: {file.name} is not a LoRA but a file of the kind '{contents}'",
                    field="prompt",
                    value=tag.name,
                )
            key = (file.path, tag.is_high_noise)
            weight = tag.weight + (uses[key].weight if key in uses else 0.0)
            uses[key] = LoraUse(name=file.name, path=file.path, weight=weight, is_high_noise=tag.is_high_noise)
        return tuple(uses.values())

    def sidecar(self, path: str) -> Sidecar | None:
        """What the file beside the model at ``path`` says; ``None`` where there is none or it cannot be understood."""
        return self._sidecar(path, [])

    def generation_defaults(self, spec: LoadSpec) -> dict[str, Any]:
        """Fields of ImageParams that the model's sidecar gives a default of its own."""
        found = self._sidecar(spec.model.path, [])
        return dict(found.generation_defaults) if found else {}

    def size_warning(self, spec: LoadSpec, width: int, height: int) -> str | None:
        """A sentence when a picture of ``width`` x ``height`` pixels is beyond what the model draws well."""
        found = self._sidecar(spec.model.path, [])
        sides = found.recommended_sides if found else None
        if sides is None or (sides.min_side <= min(width, height) and max(width, height) <= sides.max_side):
            return None
        name = found.display_name if found and found.display_name else spec.model.name
        return f"{name} draws at {sides.min_side}-{sides.max_side} pixels a side; {width}x{height} will not look right."

    def _sidecar(self, model_path: str, warnings: Sentences) -> Sidecar | None:
        path = Path(model_path).with_suffix(".json")
        try:
            status = path.stat()
            if not path.is_file():
                return None
        except OSError:
            return None
        key = (str(path), status.st_size, status.st_mtime_ns)
        with self._lock:
            known = self._sidecars.get(key)
        if known is None:
            known = _read_sidecar(path, status.st_size)
            with self._lock:
                if len(self._sidecars) > 1_000:
                    self._sidecars.clear()
                self._sidecars[key] = known
        if known[1]:
            warnings.append(known[1])
        return known[0]


_KIND_WORDS: dict[ModelKind, str] = {"checkpoint": "checkpoint", "diffusion": "diffusion model"}


def _read_sidecar(path: Path, size: int) -> tuple[Sidecar | None, str | None]:
    try:
        if size > _MAX_SIDECAR_BYTES:
            raise ValueError("it is too large")
        return Sidecar.model_validate_json(path.read_bytes()), None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        why = f"{place}: {first['msg']}" if place else first["msg"]
    except (OSError, ValueError, RecursionError) as error:
        why = str(error)
    return None, f"The sidecar {path.name} is ignored: {why}"


# --- options ----------------------------------------------------------------------------------------------------------


def _options(asked: Mapping[str, Any], sidecar: Sidecar, warnings: list[str]) -> LoadOptions:
    """Defaults, then the sidecar's, then the request's; ``None`` in a request means silence."""
    known = LoadOptions.model_fields
    given: dict[str, Any] = dict(sidecar.load_options)
    for name, value in asked.items():
        if name in known:
            given.update({name: value} if value is not None else {})
        else:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            warnings.append(f"options.{name[:60]} is unknown and was ignored{hint}")
    try:
        options = LoadOptions.model_validate(given, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = str(first["loc"][0])
        value = first["input"]
        raise InvalidRequest(
            f"options.{name}: {str(value)[:80]!r} is not allowed; {first['msg']}",
            field=f"options.{name}",
            value=str(value)[:200],
            allowed=first["msg"],
        ) from None
    return _meant(options, warnings)


def _meant(options: LoadOptions, warnings: list[str]) -> LoadOptions:
    """The options in the library's own spelling, with the values that only mean "decide yourself" taken out."""
    changes: dict[str, Any] = {}
    weight = quantization.weight_type("options.weight_type", options.weight_type)
    if weight is not None:
        changes["weight_type"] = weight.native_name
    rules = quantization.tensor_type_rules("options.tensor_type_rules", options.tensor_type_rules)
    changes["tensor_type_rules"] = ",".join(f"{pattern}={entry.native_name}" for pattern, entry in rules)
    if options.n_threads == 0:
        changes["n_threads"] = -1
    if options.flow_shift in (0.0, math.inf):
        changes["flow_shift"] = None
    if options.free_params_immediately:
        changes["free_params_immediately"] = False
        warnings.append("options.free_params_immediately was ignored: the engine would end at the second picture.")
    return options.model_copy(update=changes)


# --- names ------------------------------------------------------------------------------------------------------------


def _checked_name(name: str) -> str:
    wanted = name.strip().replace("\\", "/")
    parts = wanted.split("/")
    if not wanted or "\0" in wanted or len(wanted) > 1_000:
        raise InvalidRequest(f"model_name: {name[:80]!r} is not a model's name", field="model_name", value=name[:200])
    if ".." in parts or "." in parts or "" in parts or ":" in parts[0]:
        raise InvalidRequest(
            f"model_name: {name[:80]!r} leads out of the model folders; give a name as GET /models shows it",
            field="model_name",
            value=name[:200],
        )
    return wanted


def _readings(wanted: str) -> Iterator[Callable[[str], bool]]:
    """Ever looser ways to read a name, as tests of a file's relative name; the first that fits anything decides."""
    folded = wanted.casefold()

    def last(name: str) -> str:
        return name.rsplit("/", 1)[-1]

    def stem(name: str) -> str:
        return os.path.splitext(name)[0]

    yield lambda name: name == wanted
    yield lambda name: last(name) == wanted
    yield lambda name: stem(name) == wanted
    yield lambda name: stem(last(name)) == wanted
    yield lambda name: name.casefold() == folded
    yield lambda name: last(name).casefold() == folded
    yield lambda name: stem(name).casefold() == folded
    yield lambda name: stem(last(name)).casefold() == folded


def _nearest(wanted: str, names: Iterable[str]) -> list[str]:
    """Up to three names that look like ``wanted``, the likeliest first."""
    by_folded: dict[str, str] = {}
    for name in islice(names, _NEAREST_POOL):
        by_folded.setdefault(name.casefold(), name)
        by_folded.setdefault(os.path.splitext(name.rsplit("/", 1)[-1])[0].casefold(), name)
    close = difflib.get_close_matches(wanted.casefold()[:200], by_folded, n=6, cutoff=0.5)
    return list(dict.fromkeys(by_folded[key] for key in close))[:3]
