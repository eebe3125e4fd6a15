"""Finds the model folders of other programs: below a folder that is laid out as theirs, and by ComfyUI's
`extra_model_paths.yaml`.

Looks at names of folders and at that file. It must not know what is in model files, and writes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sdcpp_rest.core.catalog import TYPE_FOLDERS, ModelType

YAML_ENDINGS = (".yaml", ".yml")
_MAX_YAML_BYTES = 1 << 20
_PHOTO_MAKER = "photomaker"

_TYPE_OF: dict[str, ModelType] = {
    **{folder: kind for kind, folder in TYPE_FOLDERS.items()},
    # AUTOMATIC1111 and Forge
    "stable-diffusion": "checkpoint", "vae-approx": "taesd", "lora": "lora", "lycoris": "lora",
    "text_encoder": "clip", "esrgan": "esrgan", "realesrgan": "esrgan", "swinir": "esrgan",
    # ComfyUI
    "checkpoints": "checkpoint", "diffusion_models": "diffusion", "unet": "diffusion", "unet_gguf": "diffusion",
    "vae_approx": "taesd", "loras": "lora", "clip": "clip", "clip_gguf": "clip", "text_encoders": "clip",
    "clip_vision": "clip", "controlnet": "controlnet", "upscale_models": "esrgan", "embeddings": "embedding",
}  # fmt: skip
"""The type of the files in a folder of that name, in any case."""


class ExtraFolder(NamedTuple):
    """A folder of another program with files of one type. Links may be followed out of ``bound`` only where the
    settings say so."""

    path: Path
    bound: Path


class ExtraFolders(NamedTuple):
    """The folders of each type, the first to be looked at first; those of PhotoMaker models, which have no type of
    their own; and sentences about what could not be used and what was left alone."""

    by_type: Mapping[ModelType, tuple[ExtraFolder, ...]]
    photo_makers: tuple[Path, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


class _Named(NamedTuple):
    """A folder and what its files are called: a kind of another program's."""

    kind: str
    folder: ExtraFolder
    is_default: bool = False


def find_extra_folders(given: Iterable[Path]) -> ExtraFolders:
    """The model folders that ``given`` leads to: absolute paths of folders (of a program, or of its models), and of
    YAML files that list them. What is not there is told, and is no error."""
    named: list[_Named] = []
    warnings: list[str] = []
    notes: list[str] = []
    for path in given:
        if path.suffix.lower() in YAML_ENDINGS:
            named += _of_yaml(path, warnings, notes)
        else:
            named += _of_folder(path, warnings)
    named.sort(key=lambda one: not one.is_default)
    by_type: dict[ModelType, list[ExtraFolder]] = {}
    for one in named:
        if one.kind in _TYPE_OF:
            by_type.setdefault(_TYPE_OF[one.kind], []).append(one.folder)
    return ExtraFolders(
        {kind: tuple(dict.fromkeys(folders)) for kind, folders in by_type.items()},
        tuple(one.folder.path for one in named if one.kind == _PHOTO_MAKER),
        tuple(warnings),
        tuple(notes),
    )


def _is_known(kind: str) -> bool:
    return kind in _TYPE_OF or kind == _PHOTO_MAKER


# --- a program's folder -------------------------------------------------------------------------------------------


def _of_folder(path: Path, warnings: list[str]) -> list[_Named]:
    """The folders of known names in ``path``, and in its folder `models`."""
    found: list[_Named] = []
    try:
        for inside in (path, *(entry for entry in _folders_in(path) if entry.name.casefold() == "models")):
            found += [
                _Named(entry.name.casefold(), ExtraFolder(entry, path))
                for entry in _folders_in(inside)
                if _is_known(entry.name.casefold())
            ]
    except OSError as error:
        warnings.append(f"paths.extra_model_dirs: {path} cannot be read: {error.strerror or error}")
        return []
    if not found:
        names = "checkpoints, loras, Stable-diffusion, Lora"
        warnings.append(f"paths.extra_model_dirs: {path} has no folder of a name that is known ({names} and the like)")
    return found


def _folders_in(path: Path) -> list[Path]:
    return [path / entry.name for entry in sorted(os.scandir(path), key=lambda entry: entry.name) if entry.is_dir()]


# --- ComfyUI's file -----------------------------------------------------------------------------------------------


def _of_yaml(path: Path, warnings: list[str], notes: list[str]) -> list[_Named]:
    found: list[_Named] = []
    ignored: list[str] = []
    for section in _sections(path, warnings):
        base, is_default = section.get("base_path"), section.get("is_default") is True
        for kind, value in section.items():
            if kind in ("base_path", "is_default"):
                continue
            name = str(kind).casefold()
            if not _is_known(name):
                ignored.append(str(kind))
                continue
            places = _places(value)
            if places is None:
                warnings.append(f"paths.extra_model_dirs: {path}: {kind} is neither a path nor some paths")
            for place in places or ():
                folder = _resolve(path.parent, base, place)
                if not folder.is_dir():
                    warnings.append(f"paths.extra_model_dirs: {path}: {kind}: there is no folder {folder}")
                found.append(_Named(name, ExtraFolder(folder, folder), is_default))
    if ignored:
        names = ", ".join(dict.fromkeys(ignored))
        notes.append(f"paths.extra_model_dirs: {path}: not used, because no model is of that kind here: {names[:500]}")
    return found


def _sections(path: Path, warnings: list[str]) -> Iterator[Mapping[Any, Any]]:
    # With the first file only: hardly anybody has one.
    import yaml

    why = ""
    try:
        if path.stat().st_size > _MAX_YAML_BYTES:
            raise ValueError("it is too large")
        document = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        why = f"cannot be read: {error.strerror or error}"
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        why = f"cannot be understood: {' '.join(str(error).split())[:300]}"
    else:
        if not isinstance(document, dict):
            why = "has no sections of folders"
    if why:
        warnings.append(f"paths.extra_model_dirs: {path} {why}")
        return
    if "base_path" in document or any(isinstance(value, str) for value in document.values()):
        yield document  # one section without a name
        return
    for name, section in document.items():
        if isinstance(section, dict):
            yield section
        elif section is not None:
            warnings.append(f"paths.extra_model_dirs: {path}: {str(name)[:80]} is not a section of folders")


def _places(value: Any) -> Sequence[str] | None:
    """The paths of one kind: one a line, or a list. ``None`` where it is neither."""
    if value is None:
        return ()
    lines = value.split("\n") if isinstance(value, str) else value
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        return None
    return [line.strip() for line in lines if line.strip()]


def _resolve(beside: Path, base: Any, place: str) -> Path:
    """The folder that ``place`` means: below ``base`` where there is one, which is below the file's own folder where
    it is relative."""
    start = os.path.join(beside, _expand(base)) if isinstance(base, str) and base.strip() else str(beside)
    return Path(os.path.abspath(os.path.join(start, _expand(place))))


def _expand(path: str) -> str:
    return os.path.expandvars(os.path.expanduser(path.strip()))
