"""Lists model files and finds them by name, with what their sidecars say.

The user's models folder, the read-only demo folder, and other programs' folders, which are only read; nothing outside
them is ever named or opened, except behind links that lie in them. It must not know the engine, nor who asks.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

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
from sdcpp_rest.services.models.encoder_placing import EncoderPlacing
from sdcpp_rest.services.models.extra_folders import ExtraFolders
from sdcpp_rest.services.models.model_folders import TypeFolder, is_outside, is_unchanged, model_type_named, scan
from sdcpp_rest.services.models.model_names import FileIndex, check_name, nearest_names

log = logging.getLogger(__name__)

Files = list[ModelFile]
Sentences = list[str]


class KnownSums(Protocol):
    """SHA-256 sums in hex by path, size in bytes and modification time."""

    def get(self, path: str, size_bytes: int, mtime_ns: int) -> str | None: ...


_MAX_SIDECAR_BYTES = 1 << 20
_SUM = re.compile(r"^[0-9a-fA-F]{10,64}$")


class _TypeIndexes(NamedTuple):
    """The files of one type: all of them, those of our own folders, and those of other programs'. A name that is given
    means one of ours where it can, so that a folder that is added changes no name."""

    whole: FileIndex
    ours: FileIndex
    others: FileIndex


class ModelLibrary:
    """Lists and finds the model files of all roots. All methods may be called from any thread."""

    def __init__(
        self,
        models_dir: str | os.PathLike[str],
        type_folders: Mapping[ModelType, str] | Mapping[str, str] | None = None,
        demo_root: Path | None = None,
        known_sums: Callable[[], KnownSums] | None = None,
        *,
        follow_links: bool = True,
        find_extra: Callable[[], ExtraFolders] | None = None,
    ) -> None:
        """``type_folders`` maps a model type to its folder below ``models_dir`` (or to an absolute folder of its own);
        types that it leaves out keep their default folder. Folders need not exist. ``known_sums`` tells the SHA-256
        sums that have been computed: files are found by them too. ``follow_links``: also those that lead out of the
        folders, which whoever owns the machine has made. ``find_extra`` finds other programs' folders, now and whenever
        everything is looked at again."""
        self.encoder_placing: EncoderPlacing | None = None
        """What decides where text encoders are kept; ``None``: in main memory, unless a load says otherwise."""
        self._models_dir = Path(models_dir).resolve()
        folders: dict[ModelType, str] = {**TYPE_FOLDERS}
        for given, renamed in (type_folders or {}).items():
            if given not in LIST_NAMES:
                raise ValueError(f"type_folders: {given!r} is not a model type; known: {', '.join(LIST_NAMES)}")
            folders[model_type_named("type_folders", given)] = renamed
        own = {kind: Path(os.path.abspath(self._models_dir / name)) for kind, name in folders.items()}
        allowed = {
            self._models_dir,
            *(folder.resolve() for folder in own.values() if follow_links or is_outside(folder, self._models_dir)),
        }
        roots = tuple(sorted(allowed))
        demo = demo_root.resolve() if demo_root is not None else None
        self._lock = threading.Lock()
        self._known_sums = known_sums
        self._follow_links = follow_links
        self._indexes: dict[ModelType, _TypeIndexes] = {}
        self.revision = 0
        """Another number whenever `list` has found something changed."""
        self._folders: dict[ModelType, list[TypeFolder]] = {}
        for kind, folder in own.items():
            self._folders[kind] = [TypeFolder(folder, roots, kind, follows_links=follow_links)]
            if demo is not None:
                self._folders[kind].append(TypeFolder(demo / TYPE_FOLDERS[kind], (demo,), kind))
        self._sidecars: dict[tuple[str, int, int], tuple[Sidecar | None, str | None]] = {}
        self._find_extra = find_extra
        self._extra = ExtraFolders({}, (), (), ())
        self._hidden: dict[ModelType, Sentences] = {}
        # Said when somebody asks: where a server begins, its log is not open yet.
        self._unlogged: list[tuple[int, str]] = []
        self._take_extra_folders()

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
        self._take_extra_folders()
        with self._lock:
            for folders in self._folders.values():
                for folder in folders:
                    folder.is_settled = False

    def incomplete(self) -> Sentences:
        """About each model that is not listed (it lacks parts, or its name is taken) and each extra folder that
        cannot be used, as of the last scan."""
        with self._lock:
            left_out = [
                text for folders in self._folders.values() for one in folders for text in one.incomplete.values()
            ]
            return [*self._extra.warnings, *left_out, *(text for found in self._hidden.values() for text in found)]

    def folders(self) -> dict[ModelType, Path]:
        """The user's own folder of each type; it need not exist."""
        return {kind: folders[0].path for kind, folders in self._folders.items()}

    def all_folders(self, type: ModelType) -> tuple[Path, ...]:
        """The folders that hold files of ``type``: the user's own, then those that are only read: the bundled model's,
        and other programs'."""
        return tuple(folder.path for folder in self._folders[type])

    def extra_folders(self) -> dict[ModelType, tuple[Path, ...]]:
        """Other programs' folders of each type that has some."""
        found = {
            kind: tuple(folder.path for folder in folders if folder.is_extra) for kind, folders in self._folders.items()
        }
        return {kind: paths for kind, paths in found.items() if paths}

    def allowed_roots(self, type: ModelType) -> tuple[Path, ...]:
        """The real folders that the user's files of ``type`` may lie in, wherever links lead."""
        return self._folders[type][0].allowed

    def may_read(self, file: ModelFile, path: str) -> bool:
        """Whether ``path``, beside a model, leads to what may be read: a link out of the folders only where those are
        followed."""
        if self._follow_links:
            return True
        real = Path(os.path.realpath(path))
        roots = (*self.allowed_roots(file.type), Path(os.path.realpath(file.root)))
        return any(not is_outside(real, root) for root in roots)

    def find(self, type: str, name: str) -> ModelFile:
        """The model of ``type`` that ``name`` means: its relative path, its file name, or either without the
        extension; ``\\`` counts as ``/`` and case does not matter where nothing else decides.

        Raises ModelNotFound with the nearest names, InvalidRequest for a name that leaves the folder or means several
        files.
        """
        kind = model_type_named("model_type", type)
        index, ours, others = self._indexes_of(kind)
        # A name that a list shows means its file, also one that would not be a good name to give.
        exactly = index.find_exactly(name)
        if exactly is not None:
            return self._fresh(exactly)
        wanted = check_name(name)
        found = ours.find(wanted) or others.find(wanted) or self._with_sum(index, wanted)
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
            f"Model not found: {name}", nearest=nearest_names(wanted, (file.name for file in index.files)), type=kind
        )

    def candidates(self, kind: ModelType, name: str) -> Files:
        """All files that ``name`` may mean, as `find` reads it: none, one, or several. Refuses nothing."""
        index, ours, others = self._indexes_of(kind)
        exactly = index.find_exactly(name)
        return [exactly] if exactly is not None else ours.find(name) or others.find(name)

    def _with_sum(self, index: FileIndex, wanted: str) -> Files:
        """The first file whose SHA-256 is ``wanted`` or begins with it: equal files are as good as each other, files
        that share only the beginning are told apart by the caller."""
        if self._known_sums is None or not _SUM.match(wanted):
            return []
        sums, found = self._known_sums(), dict[str, ModelFile]()
        for file in index.files:
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
        """The files of a type, the user's before the demo's: a demo file of the same name is hidden, and so is another
        program's."""
        return self._indexes_of(kind).whole.files

    def _indexes_of(self, kind: ModelType) -> _TypeIndexes:
        with self._lock:
            while self._unlogged:
                log.log(*self._unlogged.pop(0))
            known = self._indexes.get(kind)
            folders = self._folders[kind]
            stale = [folder for folder in folders if not is_unchanged(folder)]
            passed_over: frozenset[Path] = frozenset()
            for folder in folders if stale else ():
                # What links or settings reach a second time stays where it was found first.
                is_moved = folder.is_extra and folder.passed_over != passed_over
                if folder in stale or is_moved:
                    before = folder.files
                    folder.passed_over = passed_over if folder.is_extra else frozenset()
                    scan(folder)
                    if folder.files != before:
                        known = None
                passed_over |= folder.visited
            if known is None:
                known = self._indexes[kind] = self._merge(kind)
                self.revision += 1
            return known

    def _merge(self, kind: ModelType) -> _TypeIndexes:
        ours: dict[str, ModelFile] = {}
        others: dict[str, ModelFile] = {}
        hidden: Sentences = []
        for folder in self._folders[kind]:
            for name, file in folder.files.items():
                first = ours.get(name) or others.get(name)
                if first is None:
                    (others if folder.is_extra else ours)[name] = file
                elif folder.is_extra:
                    hidden.append(f"{name} in {folder.path} is not listed: one in {first.root} has its name")
        for text in hidden:
            if text not in self._hidden.get(kind, ()):
                log.warning("%s", text)
        self._hidden[kind] = hidden
        index = FileIndex(ours.values())
        return _TypeIndexes(
            FileIndex([*ours.values(), *others.values()]) if others else index, index, FileIndex(others.values())
        )

    def _take_extra_folders(self) -> None:
        """Look for other programs' folders, and keep what is known of those that were there."""
        if self._find_extra is None:
            return
        found = self._find_extra()
        with self._lock:
            known = {*self._extra.warnings, *self._extra.notes}
            self._unlogged += [(logging.WARNING, text) for text in found.warnings if text not in known]
            self._unlogged += [(logging.INFO, text) for text in found.notes if text not in known]
            self._extra = found
            for kind, folders in self._folders.items():
                present = {folder.path: folder for folder in folders if folder.is_extra}
                wanted = [
                    present.get(path)
                    or TypeFolder(path, (bound.resolve(),), kind, follows_links=self._follow_links, is_extra=True)
                    for path, bound in found.by_type.get(kind, ())
                ]
                if [folder.path for folder in wanted] != [*present]:
                    self._indexes.pop(kind, None)
                self._folders[kind] = [*(folder for folder in folders if not folder.is_extra), *wanted]

    def find_below_models_dir(self, name: str) -> ModelFile | None:
        """A model file by its path below the models folder, or below another program's folder of PhotoMaker models,
        wherever it lies there."""
        wanted = check_name(name)
        roots = (self._models_dir, *self._extra.photo_makers)
        return next((file for root in roots if (file := self._find_below(root, wanted)) is not None), None)

    def _find_below(self, root: Path, wanted: str) -> ModelFile | None:
        path = root / wanted
        if not self._follow_links:
            root, path = root.resolve(), Path(os.path.realpath(path))
        if is_outside(path, root) or path.suffix.lower() not in EXTENSIONS or not path.is_file():
            return None
        status = path.stat()
        return ModelFile(
            name=wanted,
            type="checkpoint",
            path=str(path),
            root=str(root),
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
