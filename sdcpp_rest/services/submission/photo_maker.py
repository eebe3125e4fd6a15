"""Checks what PhotoMaker dies without: pictures of a face, a trigger word that follows a word in the prompt, and, for
its second version, a file about the face that was made for those pictures.

Reads the header of that file and nothing else.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable
from pathlib import Path

from sdcpp_rest.core import prompts
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.services.models.model_library import ModelLibrary

TRIGGER_WORD = "img"

_FIELD = "pm_id_embed_path"
# A whole word of letters; digits and signs are tokens of their own for the text encoder.
_TRIGGER = re.compile(rf"(?<![^\W\d_]){TRIGGER_WORD}(?![^\W\d_])", re.IGNORECASE)
# Where the library cuts a prompt into pieces that it tokenizes one by one.
_PIECE_ENDS = re.compile(r"[()\[\]]|\bBREAK\b")
_LORA_TAG = re.compile(r"<[^<>]*>")
_F32 = 0
_MAX_DIMENSIONS = 4
_MAX_NAME_BYTES = 1_024


def is_second_version(spec: LoadSpec) -> bool:
    """Whether the library takes the spec's PhotoMaker for version 2. It judges by the path alone."""
    return "v2" in spec.components["photo_maker"].path


def check_trigger(prompt: str) -> None:
    """Refuse a prompt without the one trigger word that PhotoMaker puts the face to. Raises InvalidRequest."""
    text = _LORA_TAG.sub(" ", prompts.parse_loras(prompt)[1])
    found = list(_TRIGGER.finditer(text))
    if len(found) == 1:
        before = _PIECE_ENDS.split(text[: found[0].start()])[-1]
        if re.search(r"\w", before):
            return
    how = {0: "it is not there", 1: "no word stands before it"}.get(len(found), f"it is there {len(found)} times")
    raise InvalidRequest(
        f"prompt: PhotoMaker needs the word '{TRIGGER_WORD}' once, right after the word for the person "
        f"('a man {TRIGGER_WORD} on a beach'); {how}",
        field="prompt",
    )


def find_embedding(library: ModelLibrary, name: str, spec: LoadSpec) -> FileRef:
    """The file that ``name`` means: a model file's name, or a path below one of the model folders or beside the
    PhotoMaker model. Raises InvalidRequest for a file that is not there or not inside them."""
    for kind in ("embedding", "checkpoint"):
        try:
            file = library.find(kind, name)
            return FileRef(name=file.name, path=file.path)
        except (ModelNotFound, InvalidRequest):
            continue
    roots = {Path(os.path.realpath(root)) for kind in library.folders() for root in library.allowed_roots(kind)}
    beside = Path(spec.components["photo_maker"].path).parent
    for folder in (beside, *library.folders().values()):
        try:
            real = Path(os.path.realpath(folder / name))
            if _is_below(real, roots) and real.is_file():
                return FileRef(name=real.name, path=str(real))
        except (OSError, ValueError):
            continue
    raise InvalidRequest(
        f"{_FIELD}: there is no file {name[:200]!r} in the model folders", field=_FIELD, value=name[:200]
    )


def _is_below(path: Path, roots: Iterable[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def check_embedding(file: FileRef, pictures: int) -> None:
    """Refuse a file that the library would read beyond its buffers, or that was made for another number of pictures:
    then it would switch PhotoMaker off until the model is loaded again. Raises InvalidRequest."""
    try:
        with open(file.path, "rb") as opened:
            start = opened.read(12 + 4 * _MAX_DIMENSIONS)
            size = os.fstat(opened.fileno()).st_size
    except OSError as error:
        raise InvalidRequest(f"{_FIELD}: {file.name} cannot be read: {error.strerror}", field=_FIELD) from None
    shape = _shape(start, size)
    if shape is None:
        raise InvalidRequest(f"{_FIELD}: {file.name} is not a file about a face for PhotoMaker", field=_FIELD)
    made_for = shape[1] if len(shape) > 1 else 1
    if made_for != pictures:
        raise InvalidRequest(
            f"{_FIELD}: {file.name} was made for {made_for} pictures, and pm_id_images has {pictures}",
            field=_FIELD,
            value=made_for,
            allowed=pictures,
        )


def _shape(start: bytes, size: int) -> tuple[int, ...] | None:
    """The sides of the tensor in the file, if its header fits its size: 32-bit numbers, then a name, then floats."""
    if len(start) < 12:
        return None
    dimensions, name_bytes, kind = struct.unpack_from("<3i", start)
    if not 1 <= dimensions <= _MAX_DIMENSIONS or not 0 <= name_bytes <= _MAX_NAME_BYTES or kind != _F32:
        return None
    if len(start) < 12 + 4 * dimensions:
        return None
    shape: tuple[int, ...] = struct.unpack_from(f"<{dimensions}i", start, 12)
    count = 1
    for side in shape:
        if not 1 <= side <= 65_536:
            return None
        count *= side
    return shape if size >= 12 + 4 * dimensions + name_bytes + 4 * count else None
