"""Submits conversions, and puts their results into the model folders.

A converter writes to a hidden file beside the result's place; only a whole result gets its name. Never calls the
library: the dispatcher has an engine of its own do that.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path

import psutil

from sdcpp_rest.core import quantization
from sdcpp_rest.core.catalog import ModelFile, ModelType, part_name
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import FileRef
from sdcpp_rest.core.params import KEEP, ConvertParams
from sdcpp_rest.core.quantization import WeightType
from sdcpp_rest.engine.conversion_input import merged_path_of
from sdcpp_rest.errors import Conflict, InvalidRequest, JobNotFound, ModelNotFound
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.model_headers.inspection import Inspection, inspect_file
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.models.split_models import inspect_split

ENDINGS = (".gguf", ".safetensors")
_SAFETENSORS_TYPES = ("f32", "f16", "bf16")
_INPUT_TYPES: tuple[ModelType, ...] = (
    "checkpoint", "diffusion", "vae", "clip", "t5", "llm", "controlnet", "lora", "taesd", "embedding", "esrgan",
)  # fmt: skip
_PARTIAL = re.compile(r"\..+\.(?P<job_id>[0-9a-f-]{36})\.part(\.merged)?\.(gguf|safetensors)")
# While it is written it has a hidden name, some fifty bytes longer; most file systems allow 255.
_MAX_NAME_BYTES = 200
# A result and what the file system keeps for itself.
_SPARE_BYTES = 64 << 20


class ConvertRequest(Frozen):
    """What a client asks for. Paths are names as ``GET /models`` shows them, with or without their type's folder, or
    absolute paths inside the model folders; an empty ``output_path``: a name made of the input's and the type's.
    ``output_type`` of KEEP: the parts of a split model become one file and stay as they are otherwise."""

    input_path: str
    output_type: str
    output_path: str = ""
    vae_path: str = ""
    tensor_type_rules: str = ""
    overwrite: bool = False


class Conversions:
    """Checks a request for a conversion and submits it as a job. Thread-safe."""

    def __init__(self, queue: JobQueue, library: ModelLibrary) -> None:
        self._queue = queue
        self._library = library

    def submit(
        self,
        asked: ConvertRequest,
        *,
        title: str | None = None,
        origin: str = "native",
        owner: str | None = None,
        warnings: Collection[str] = (),
    ) -> tuple[Job, int, Path]:
        """Submit a conversion; returns the job, its position, and where the result will lie.

        Raises ModelNotFound, InvalidRequest (NotAModel where a file is at fault), Conflict when the result's name is
        taken, QueueFull, EngineUnavailable.
        """
        kind = _output_type(asked.output_type)
        quantization.tensor_type_rules("tensor_type_rules", asked.tensor_type_rules)
        file = self._find("input_path", asked.input_path, _INPUT_TYPES)
        vae = self._find("vae_path", asked.vae_path, ("vae", "taesd")) if asked.vae_path else None
        inspected = inspect_split(file.parts) if file.parts else inspect_file(file.path)
        if kind is None:
            _check_merge(asked, file)
        target = self._target(asked, file, kind)
        _check_ending(target, kind, asked.tensor_type_rules)
        _check_source(target, inspected)
        _check_free(target, asked.overwrite, [file.path, *file.parts, *([vae.path] if vae else [])])
        if kind is None:
            expected = file.size_bytes
        else:
            expected = _expected_size(inspected, kind) + (_expected_size(inspect_file(vae.path), kind) if vae else 0)
            warnings = [*warnings, *_memory_warnings(expected)]
        merged_first = file.size_bytes if file.parts and kind is not None else 0
        _check_disk(target, expected + merged_first)
        params = ConvertParams(
            input=_reference(file),
            output=FileRef(name=_path_text(target, self._library.folders()[file.type]), path=str(target)),
            output_type=kind.name if kind is not None else KEEP,
            vae=_reference(vae) if vae else None,
            tensor_type_rules=asked.tensor_type_rules,
            expected_bytes=expected,
            parts=tuple(FileRef(name=os.path.basename(path), path=path) for path in file.parts),
        )
        job, position = self._queue.submit(
            "convert",
            params.model_dump(mode="json"),
            title=title,
            origin=origin,
            owner=owner,
            warnings=warnings,
        )
        return job, position, target

    def sweep(self) -> None:
        """At start: remove what our own conversions have left that were killed with the server. Never raises.

        Only our own: another server, or a command without one, may be writing to the same folders.
        """
        for folder in self._library.folders().values():
            for path, _, names in os.walk(folder):
                for name in names:
                    found = _PARTIAL.fullmatch(name)
                    if found is not None and self._is_ours(found["job_id"]):
                        with contextlib.suppress(OSError):
                            os.unlink(os.path.join(path, name))

    def _is_ours(self, job_id: str) -> bool:
        try:
            return self._queue.get(job_id).kind == "convert"
        except JobNotFound:
            return False

    def _find(self, field: str, name: str, types: tuple[ModelType, ...]) -> ModelFile:
        if not name.strip() or "\0" in name:
            raise InvalidRequest(f"{field} is required", field=field)
        nearest: list[str] = []
        for kind in types:
            try:
                return self._library.find(kind, self._below(kind, name))
            except ModelNotFound as error:
                nearest += error.detail.get("nearest", [])
            except InvalidRequest as error:
                if os.path.isabs(name) and "candidates" not in error.detail:
                    continue
                raise InvalidRequest(
                    error.message.replace("model_name", field, 1), **error.detail | {"field": field}
                ) from None
        raise ModelNotFound(f"Model not found: {name}", nearest=nearest[:3], field=field)

    def _below(self, kind: ModelType, name: str) -> str:
        """``name`` relative to the type's folder, where it is an absolute path or begins with the folder's name."""
        for folder in self._library.all_folders(kind):
            given = Path(name)
            with contextlib.suppress(ValueError):
                return given.relative_to(folder).as_posix()
            with contextlib.suppress(ValueError):
                return given.relative_to(folder.name).as_posix()
        return name

    def _target(self, asked: ConvertRequest, file: ModelFile, kind: WeightType | None) -> Path:
        """Where the result goes: inside the user's folder of the input's type, whatever links lead where."""
        folder = self._library.folders()[file.type]
        if asked.output_path:
            given = asked.output_path.replace("\\", "/")
            if "\0" in given or len(given) > 1_000 or ".." in given.split("/"):
                raise _outside(asked.output_path)
            wanted = Path(self._below(file.type, given))
            target = wanted if wanted.is_absolute() else folder / wanted
        else:
            part = part_name(Path(file.name).name)
            stem = Path(part.base if part else file.name).stem
            target = folder / Path(file.name).with_name(f"{stem}.gguf" if kind is None else f"{stem}.{kind.name}.gguf")
        roots = self._library.allowed_roots(file.type)
        try:
            parent = target.parent.resolve()
        except (OSError, RuntimeError):
            raise _outside(asked.output_path) from None
        if target.name.startswith(".") or not any(root == parent or root in parent.parents for root in roots):
            raise _outside(asked.output_path)
        _check_path(target, folder)
        return parent / target.name


def partial(params: ConvertParams, job_id: str) -> ConvertParams:
    """The same conversion, to the hidden file that the converter writes to. Makes the result's folder; OSError.

    Parts are looked at once more, because it is their turn only now: NotAModel.
    """
    if params.parts:
        inspect_split([part.path for part in params.parts])
    hidden = _partial(params, job_id)
    hidden.parent.mkdir(parents=True, exist_ok=True)
    return params.model_copy(update={"output": FileRef(name=params.output.name, path=str(hidden))})


def settle(params: ConvertParams, job_id: str) -> None:
    """Give the whole result its name, and the sidecar of what it was made from, if it has none. Raises OSError."""
    hidden = _partial(params, job_id)
    sidecar, own = Path(params.input.path).with_suffix(".json"), Path(params.output.path).with_suffix(".json")
    if sidecar.is_file() and not own.exists():
        # It says which components go with the model: those of the result are the same.
        own.write_bytes(sidecar.read_bytes())
    with open(hidden, "rb+") as file:
        # A name that survives a power cut must not point at a file that did not.
        os.fsync(file.fileno())
    os.replace(hidden, params.output.path)


def discard(params: ConvertParams, job_id: str) -> None:
    """Remove what an unfinished conversion has left. Never raises."""
    hidden = _partial(params, job_id)
    for left in (hidden, Path(merged_path_of(str(hidden)))):
        with contextlib.suppress(OSError):
            left.unlink(missing_ok=True)


def _partial(params: ConvertParams, job_id: str) -> Path:
    # The library looks at the ending: it decides the format.
    final = Path(params.output.path)
    return final.with_name(f".{final.stem}.{job_id}.part{final.suffix}")


def _reference(file: ModelFile) -> FileRef:
    return FileRef(name=file.name, path=file.path)


def _path_text(path: Path, folder: Path) -> str:
    try:
        return path.relative_to(folder.resolve()).as_posix()
    except ValueError:
        return path.name


def _output_type(value: str) -> WeightType | None:
    """The weight type to write; ``None`` for KEEP."""
    if value.lower() == KEEP:
        return None
    found = quantization.BY_NAME.get(value.lower())
    if found is None or not found.writable:
        allowed = [*(entry.name for entry in quantization.WRITABLE), KEEP]
        why = "is not a weight type" if found is None else "cannot hold a model's weights"
        raise InvalidRequest(
            f"output_type: {value[:80]!r} {why}; allowed: {', '.join(allowed)}",
            field="output_type",
            value=value[:200],
            allowed=allowed,
        )
    return found


def _check_merge(asked: ConvertRequest, file: ModelFile) -> None:
    """KEEP merges and does nothing else: what it would not do is refused."""
    if not file.parts:
        raise InvalidRequest(
            f"output_type: {KEEP!r} merges the parts of a split model, and {file.name} is one file; give a weight type",
            field="output_type",
            value=KEEP,
            allowed=[entry.name for entry in quantization.WRITABLE],
        )
    for field, value in (("vae_path", asked.vae_path), ("tensor_type_rules", asked.tensor_type_rules)):
        if value:
            raise InvalidRequest(
                f"{field}: {value[:80]!r} changes the model, and output_type {KEEP!r} only merges its parts; give a "
                "weight type, or leave it out",
                field=field,
                value=value[:200],
            )


def _check_path(target: Path, folder: Path) -> None:
    """Refuse names that file systems have no room for, or that no list can show."""
    for part in target.relative_to(folder).parts if target.is_relative_to(folder) else (target.name,):
        if not part.isprintable():
            raise InvalidRequest(
                f"output_path: {part[:80]!r} holds a character that cannot be shown",
                field="output_path",
                value=part[:200],
            )
        if len(os.fsencode(part)) > _MAX_NAME_BYTES:
            raise InvalidRequest(
                f"output_path: {part[:80]!r}... is longer than {_MAX_NAME_BYTES} bytes",
                field="output_path",
                value=part[:200],
                allowed=f"names of at most {_MAX_NAME_BYTES} bytes",
            )


def _check_ending(target: Path, kind: WeightType | None, rules: str) -> None:
    if target.suffix not in ENDINGS:
        raise InvalidRequest(
            f"output_path: {target.name!r} must end in {' or '.join(ENDINGS)}",
            field="output_path",
            value=target.name,
            allowed=list(ENDINGS),
        )
    if target.suffix != ".safetensors":
        return
    if kind is None:
        raise InvalidRequest(
            f"output_path: parts are merged into a GGUF file, and {target.name!r} does not end in .gguf",
            field="output_path",
            value=target.name,
            allowed=[".gguf"],
        )
    ruled = [entry for _, entry in quantization.tensor_type_rules("tensor_type_rules", rules)]
    for entry in (kind, *ruled):
        if entry.name not in _SAFETENSORS_TYPES:
            raise InvalidRequest(
                f"output_path: a safetensors file cannot hold {entry.name}; allowed: {', '.join(_SAFETENSORS_TYPES)}, "
                "or a name that ends in .gguf",
                field="output_path",
                value=target.name,
                allowed=list(_SAFETENSORS_TYPES),
            )


def _check_source(target: Path, inspected: Inspection) -> None:
    """Some tensors keep the type they have, and a safetensors file cannot hold a quantized one."""
    if target.suffix == ".safetensors" and inspected.is_quantized:
        raise InvalidRequest(
            "output_path: a quantized model cannot become a safetensors file; give a name that ends in .gguf",
            field="output_path",
            value=target.name,
            allowed=[".gguf"],
        )


def _check_free(target: Path, overwrite: bool, read: Collection[str]) -> None:
    if not target.exists():
        return
    if target.is_dir():
        raise InvalidRequest(f"output_path: {target.name} is a folder", field="output_path", value=target.name)
    if any(os.path.samefile(target, path) for path in read):
        raise InvalidRequest(
            f"output_path: {target.name} is the file to convert; give another name",
            field="output_path",
            value=target.name,
        )
    if not overwrite:
        raise Conflict(
            f"{target.name} exists already; give another output_path, or overwrite with overwrite=true",
            field="output_path",
        )


def _check_disk(target: Path, expected: int) -> None:
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK):
        raise InvalidRequest(f"output_path: the folder of {target.name} cannot be written to", field="output_path")
    if expected + _SPARE_BYTES > free:
        raise InvalidRequest(
            f"The result needs about {expected / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free on its disk",
            field="output_path",
            needed_bytes=expected,
            free_bytes=free,
        )


def _memory_warnings(expected: int) -> list[str]:
    """The library holds the whole result in memory before it writes the first byte."""
    available = psutil.virtual_memory().available
    if expected <= available:
        return []
    needed, free = f"{expected / 1e9:.2f} GB", f"{available / 1e9:.2f} GB"
    return [f"The result of about {needed} is made in memory, of which {free} are free: this will be slow, or fail."]


def _expected_size(inspected: Inspection, kind: WeightType) -> int:
    """About how large the result becomes: matrices in the new type where their rows divide, the rest in floats."""
    if not inspected.tensors:
        return inspected.size_bytes
    total = 0
    for shape in inspected.tensors.values():
        elements = math.prod(shape)
        row = kind.row_bytes(shape[0]) if len(shape) == 2 else None
        if row is not None:
            total += row * (elements // shape[0])
        else:
            total += elements * (2 if len(shape) > 1 else 4)
    return total


def _outside(path: str) -> InvalidRequest:
    return InvalidRequest(
        f"output_path: {path[:80]!r} leads out of the model folders", field="output_path", value=path[:200]
    )
