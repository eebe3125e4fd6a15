"""Lists model files and finds them by name, with what their sidecars say.

Two roots: the user's models folder and the read-only demo folder; nothing outside them is ever named or opened. It
must not know the engine, nor who asks.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from sdcpp_rest.core.catalog import (
    EXTENSIONS,
    LIST_NAMES,
    TYPE_FOLDERS,
    ModelFile,
    ModelType,
    Sidecar,
)
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.services.models.model_folders import TypeFolder, is_outside, is_unchanged, model_type_named, scan
from sdcpp_rest.services.models.model_names import Shelf, check_name, nearest_names

log = logging.getLogger(__name__)

Files = list[ModelFile]
Sentences = list[str]


class KnownSums(Protocol):
    """SHA-256 sums in hex by path, size in bytes and modification time."""

    def get(self, path: str, size_bytes: int, mtime_ns: int) -> str | None: ...


_MAX_SIDECAR_BYTES = 1 << 20
_SUM = re.compile(r"^[0-9a-fA-F]{10,64}$")


class ModelLibrary:
    """Lists and finds the model files of both roots. All methods may be called from any thread."""

    def __init__(
        self,
        models_dir: str | os.PathLike[str],
        type_folders: Mapping[ModelType, str] | Mapping[str, str] | None = None,
        demo_root: Path | None = None,
        known_sums: Callable[[], KnownSums] | None = None,
    ) -> None:
        """``type_folders`` maps a model type to its folder below ``models_dir`` (or to an absolute folder of its own);
        types that it leaves out keep their default folder. Folders need not exist. ``known_sums`` tells the SHA-256
        sums that have been computed: files are found by them too."""
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
        self._known_sums = known_sums
        self._shelves: dict[ModelType, Shelf] = {}
        self.revision = 0
        """Another number whenever `list` has found something changed."""
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
        if suffix is None and not part:
            return {name: [*self.files(kind)] if wanted in (None, kind) else [] for kind, name in LIST_NAMES.items()}
        return {
            name: [
                file
                for file in (self.files(kind) if wanted in (None, kind) else ())
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

    def incomplete(self) -> Sentences:
        """About each split model that is not listed because parts of it are missing, as of the last scan."""
        with self._lock:
            return [text for folders in self._folders.values() for one in folders for text in one.incomplete.values()]

    def folders(self) -> dict[ModelType, Path]:
        """The user's own folder of each type; it need not exist."""
        return {kind: folders[0].path for kind, folders in self._folders.items()}

    def all_folders(self, type: ModelType) -> tuple[Path, ...]:
        """The folders that hold files of ``type``: the user's own, then the read-only one of the bundled model."""
        return tuple(folder.path for folder in self._folders[type])

    def allowed_roots(self, type: ModelType) -> tuple[Path, ...]:
        """The real folders that the user's files of ``type`` may lie in, wherever links lead."""
        return self._folders[type][0].allowed

    def find(self, type: str, name: str) -> ModelFile:
        """The model of ``type`` that ``name`` means: its relative path, its file name, or either without the
        extension; ``\\`` counts as ``/`` and case does not matter where nothing else decides.

        Raises ModelNotFound with the nearest names, InvalidRequest for a name that leaves the folder or means several
        files.
        """
        kind = model_type_named("model_type", type)
        wanted = check_name(name)
        shelf = self._shelf(kind)
        found = shelf.find(wanted) or self._with_sum(shelf, wanted)
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
            f"Model not found: {name}", nearest=nearest_names(wanted, (file.name for file in shelf.files)), type=kind
        )

    def _with_sum(self, shelf: Shelf, wanted: str) -> Files:
        """The first file whose SHA-256 is ``wanted`` or begins with it: equal files are as good as each other, files
        that share only the beginning are told apart by the caller."""
        if self._known_sums is None or not _SUM.match(wanted):
            return []
        sums, found = self._known_sums(), dict[str, ModelFile]()
        for file in shelf.files:
            sha256 = sums.get(file.path, file.size_bytes, file.mtime_ns)
            if sha256 is not None and sha256.startswith(wanted.lower()):
                found.setdefault(sha256, file)
        return [*found.values()]

    def _fresh(self, file: ModelFile) -> ModelFile:
        """The same file with the size and time it has now: a file may be rewritten in place without its folder
        changing."""
        try:
            statuses = [os.stat(path) for path in file.parts or (file.path,)]
        except OSError:
            self.refresh()
            raise ModelNotFound(f"Model not found: {file.name}", nearest=[], type=file.type) from None
        size_bytes, mtime_ns = sum(one.st_size for one in statuses), max(one.st_mtime_ns for one in statuses)
        if (size_bytes, mtime_ns) == (file.size_bytes, file.mtime_ns):
            return file
        self.refresh()
        return file.model_copy(update={"size_bytes": size_bytes, "mtime_ns": mtime_ns})

    def files(self, kind: ModelType) -> Files:
        """The files of a type, the user's before the demo's: a demo file of the same name is hidden."""
        return self._shelf(kind).files

    def _shelf(self, kind: ModelType) -> Shelf:
        with self._lock:
            known = self._shelves.get(kind)
            stale = [folder for folder in self._folders[kind] if not is_unchanged(folder)]
            for folder in stale:
                before = folder.files
                scan(folder)
                if folder.files != before:
                    known = None
            if known is None:
                merged: dict[str, ModelFile] = {}
                for folder in reversed(self._folders[kind]):
                    merged.update(folder.files)
                known = self._shelves[kind] = Shelf(merged.values())
                self.revision += 1
            return known

    def find_below_models_dir(self, name: str) -> ModelFile | None:
        """A model file by its path below the models folder, wherever it lies there."""
        wanted = check_name(name)
        path = Path(os.path.realpath(self._models_dir / wanted))
        if is_outside(path, self._models_dir) or path.suffix.lower() not in EXTENSIONS or not path.is_file():
            return None
        status = path.stat()
        return ModelFile(
            name=wanted,
            type="checkpoint",
            path=str(path),
            root=str(self._models_dir),
            size_bytes=status.st_size,
            mtime_ns=status.st_mtime_ns,
            file_extension=path.suffix.lower(),
        )

    # --- what a loaded model implies -------------------------------------------------------------------------------

    def sidecar(self, path: str) -> Sidecar | None:
        """What the file beside the model at ``path`` says; ``None`` where there is none or it cannot be understood."""
        return self.read_sidecar(path, [])

    def generation_defaults(self, spec: LoadSpec) -> dict[str, Any]:
        """Fields of a job's parameters that the model's sidecar gives a default of its own."""
        found = self.read_sidecar(spec.model.path, [])
        return dict(found.generation_defaults) if found else {}

    def size_warning(self, spec: LoadSpec, width: int, height: int) -> str | None:
        """A sentence when a picture of ``width`` x ``height`` pixels is beyond what the model draws well."""
        found = self.read_sidecar(spec.model.path, [])
        sides = found.recommended_sides if found else None
        if sides is None or (sides.min_side <= min(width, height) and max(width, height) <= sides.max_side):
            return None
        name = found.display_name if found and found.display_name else spec.model.name
        return f"{name} draws at {sides.min_side}-{sides.max_side} pixels a side; {width}x{height} will not look right."

    def read_sidecar(self, model_path: str, warnings: Sentences) -> Sidecar | None:
        """As `sidecar`; what is wrong with the file is added to ``warnings``."""
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
