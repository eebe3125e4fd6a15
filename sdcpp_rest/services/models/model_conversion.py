"""Submits conversions, and puts their results into the model folders.

A converter writes to a hidden file beside the result's place; only a whole result gets its name. Never calls the
library: the dispatcher has an engine of its own do that.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from sdcpp_rest.core import quantization
from sdcpp_rest.core.catalog import ModelFile, ModelType, part_name
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import FileRef
from sdcpp_rest.core.params import KEEP, ConvertParams
from sdcpp_rest.core.quantization import WeightType
from sdcpp_rest.durable_files import remove_left, replace_file
from sdcpp_rest.durable_files import settle as settle_file
from sdcpp_rest.engine.conversion_input import floats_of, is_direct, merged_path_of, restored_path_of
from sdcpp_rest.engine.paired_weights import Restoration
from sdcpp_rest.errors import InvalidRequest, JobNotFound, ModelNotFound
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.model_headers.inspection import check_format, inspect_file
from sdcpp_rest.services.models.conversion_checks import (
    check_disk,
    check_ending,
    check_free,
    check_merge,
    check_path,
    check_source,
    estimate_size,
    outside_folders,
    parse_output_type,
    warn_of_memory,
)
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.models.paired_models import inspect_paired
from sdcpp_rest.services.models.split_models import inspect_split

_INPUT_TYPES: tuple[ModelType, ...] = (
    "checkpoint", "diffusion", "vae", "clip", "t5", "llm", "controlnet", "lora", "taesd", "embedding", "esrgan",
)  # fmt: skip
_PARTIAL = re.compile(r"\..+\.(?P<job_id>[0-9a-f-]{36})\.part(\.merged|\.fp)?\.(gguf|safetensors)")


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
        device: str | None = None,
    ) -> tuple[Job, int, Path]:
        """Submit a conversion; returns the job, its position, and where the result will lie.

        Raises ModelNotFound, InvalidRequest (NotAModel where a file is at fault), Conflict when the result's name is
        taken, QueueFull, EngineUnavailable.
        """
        job_id = self._queue.new_id()
        if (earlier := self._queue.find_earlier(job_id)) is not None:
            return *earlier, Path(earlier[0].params["output"]["path"])
        kind = parse_output_type(asked.output_type)
        quantization.tensor_type_rules("tensor_type_rules", asked.tensor_type_rules)
        file = self._find("input_path", asked.input_path, _INPUT_TYPES)
        vae = self._find("vae_path", asked.vae_path, ("vae", "taesd")) if asked.vae_path else None
        inspected = inspect_split(file.parts) if file.parts else inspect_file(file.path)
        restoration = inspect_paired(inspected)
        if kind is None:
            check_merge(file, asked.vae_path, asked.tensor_type_rules)
        target = self._target(asked, file, kind)
        check_ending(target, kind, asked.tensor_type_rules)
        check_source(target, inspected)
        check_free(target, asked.overwrite, [file.path, *file.parts, *([vae.path] if vae else [])])
        params = ConvertParams(
            input=_reference(file),
            output=FileRef(name=_path_text(target, self._library.folders()[file.type]), path=str(target)),
            output_type=kind.name if kind is not None else KEEP,
            vae=_reference(vae) if vae else None,
            tensor_type_rules=asked.tensor_type_rules,
            parts=tuple(FileRef(name=os.path.basename(path), path=path) for path in file.parts),
            restores_weights=restoration is not None,
        )
        expected, made_first = _bytes_of(params, file, kind, inspected.tensors.values(), restoration)
        check_disk(target, expected + made_first)
        if kind is not None and not (restoration and is_direct(params)):
            warnings = [*warnings, *warn_of_memory(expected)]
        params = params.model_copy(update={"expected_bytes": expected})
        job, position = self._queue.submit(
            "convert",
            params.model_dump(mode="json"),
            job_id=job_id,
            title=title,
            origin=origin,
            owner=owner,
            warnings=warnings,
            device=device,
        )
        return job, position, target

    def sweep(self) -> None:
        """At start: remove what our own conversions and notes have left that were killed with the server. Never raises.

        Only our own: another server, or a command without one, may be writing to the same folders.
        """
        for folder in self._library.folders().values():
            for path, _, names in os.walk(folder):
                for name in names:
                    remove_left(path, name)
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
                return self._library.find(kind, self._below(self._library.all_folders(kind), name))
            except ModelNotFound as error:
                nearest += error.detail.get("nearest", [])
            except InvalidRequest as error:
                if os.path.isabs(name) and "candidates" not in error.detail:
                    continue
                raise InvalidRequest(
                    error.message.replace("model_name", field, 1), **error.detail | {"field": field}
                ) from None
        raise ModelNotFound(f"Model not found: {name}", nearest=nearest[:3], field=field)

    def _below(self, folders: Iterable[Path], name: str) -> str:
        """``name`` relative to one of ``folders``, where it is an absolute path or begins with the folder's name."""
        for folder in folders:
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
                raise outside_folders(asked.output_path)
            wanted = Path(self._below([folder], given))
            target = wanted if wanted.is_absolute() else folder / wanted
        else:
            part = part_name(Path(file.name).name)
            stem = Path(part.base if part else file.name).stem
            target = folder / Path(file.name).with_name(f"{stem}.gguf" if kind is None else f"{stem}.{kind.name}.gguf")
        roots = self._library.allowed_roots(file.type)
        try:
            parent = target.parent.resolve()
        except (OSError, RuntimeError):
            raise outside_folders(asked.output_path) from None
        if target.name.startswith(".") or not any(root == parent or root in parent.parents for root in roots):
            raise outside_folders(asked.output_path)
        check_path(target, folder)
        return parent / target.name


def partial(params: ConvertParams, job_id: str) -> ConvertParams:
    """The same conversion, to the hidden file that the converter writes to. Makes the result's folder; OSError.

    Files are looked at once more, because it is their turn only now: NotAModel.
    """
    if params.parts:
        inspect_split([part.path for part in params.parts])
    elif params.restores_weights:
        inspect_paired(inspect_file(params.input.path))
    hidden = _partial(params, job_id)
    hidden.parent.mkdir(parents=True, exist_ok=True)
    return params.model_copy(update={"output": FileRef(name=params.output.name, path=str(hidden))})


def settle(params: ConvertParams, job_id: str) -> None:
    """Give the whole result its name, and the sidecar of what it was made from, if it has none. Raises OSError."""
    hidden = _partial(params, job_id)
    sidecar, own = Path(params.input.path).with_suffix(".json"), Path(params.output.path).with_suffix(".json")
    if sidecar.is_file() and not own.exists():
        # It says which components go with the model: those of the result are the same.
        replace_file(own, sidecar.read_bytes())
    settle_file(hidden, Path(params.output.path))


def discard(params: ConvertParams, job_id: str) -> None:
    """Remove what an unfinished conversion has left. Never raises."""
    hidden = _partial(params, job_id)
    for left in (hidden, Path(merged_path_of(str(hidden))), Path(restored_path_of(str(hidden)))):
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


def _bytes_of(
    params: ConvertParams,
    file: ModelFile,
    kind: WeightType | None,
    shapes: Iterable[Sequence[int]],
    restoration: Restoration | None,
) -> tuple[int, int]:
    """About how large the result becomes, and what is made for it first."""
    if kind is None:
        return file.size_bytes, 0
    if restoration is not None:
        shapes = [recipe.shape[::-1] or (1,) for recipe in restoration.recipes]
    expected = estimate_size(shapes, kind) or file.size_bytes
    if params.vae is not None:
        expected += estimate_size(check_format(inspect_file(params.vae.path)).tensors.values(), kind)
    if restoration is not None:
        # Here, because it brings numpy along.
        from sdcpp_rest.engine.weight_restoring import restored_bytes

        return expected, 0 if is_direct(params) else restored_bytes(restoration, floats_of(params.output_type))
    return expected, file.size_bytes if file.parts else 0
