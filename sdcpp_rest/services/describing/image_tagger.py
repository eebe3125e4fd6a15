"""Tags a picture with a model that was trained on tagged pictures: a WD tagger, or DeepDanbooru.

A folder holds model.onnx and the names of its outputs; which file has them tells how the model wants its pictures.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sdcpp_rest.errors import GenerationFailed, LoadFailed, NotSupported
from sdcpp_rest.services.describing.onnx_models import OnnxModel
from sdcpp_rest.services.describing.tag_words import Category, Tag

if TYPE_CHECKING:
    from sdcpp_rest.services.describing.onnx_models import Floats

MODEL, WD_TAGS, DEEPDANBOORU_TAGS = "model.onnx", "selected_tags.csv", "tags.txt"
MAX_LIST_BYTES = 16 * 1024 * 1024

# The numbers in selected_tags.csv. Whatever else there may be is judged like a general tag.
_CATEGORIES: dict[str, Category] = {"4": "character", "9": "rating"}
_SIDES = {WD_TAGS: 448, DEEPDANBOORU_TAGS: 512}
_LARGEST_SIDE = 2048


class ImageTagger:
    """Tags pictures with the tagger in ``folder``. Raises NotSupported where there is none, or no onnxruntime;
    LoadFailed."""

    def __init__(self, folder: Path, threads: int) -> None:
        names = [name for name in _SIDES if (folder / name).is_file()]
        if not (folder / MODEL).is_file() or not names:
            raise NotSupported(
                f"There is no tagger: put {MODEL} and {WD_TAGS} of a WD tagger (or {MODEL} and {DEEPDANBOORU_TAGS} of "
                "DeepDanbooru) into the folder interrogate/tagger in the models folder, or where the setting "
                "interrogate.tagger_dir says"
            )
        self._kind = names[0]
        self._tags = tuple(_read_tags(folder / self._kind))
        self._model = OnnxModel(folder / MODEL, threads)
        shape = self._model.shape
        if len(shape) != 4 or shape[3] != 3:
            raise LoadFailed(
                f"{MODEL} must take pictures as [count, height, width, 3]; it takes {_shape_text(shape)}, which is no "
                "tagger of a kind that is known here"
            )
        self._size = (shape[2] or _SIDES[self._kind], shape[1] or _SIDES[self._kind])
        if max(self._size) > _LARGEST_SIDE:
            raise LoadFailed(f"{MODEL} wants pictures of {self._size[0]}x{self._size[1]}; at most {_LARGEST_SIDE}")

    def tags(self, picture: Image.Image) -> list[Tag]:
        """Every tag the model knows, with its score. ``picture``: RGB of any size. Raises GenerationFailed."""
        ready = wd_input if self._kind == WD_TAGS else deepdanbooru_input
        (scores, *_) = self._model.run(ready(picture, self._size)).values()
        flat = np.asarray(scores, dtype=np.float32).reshape(-1)
        if len(flat) != len(self._tags):
            raise GenerationFailed(f"{MODEL} has {len(flat)} outputs, but {self._kind} has {len(self._tags)} tags")
        return [Tag(tag.name, tag.category, float(score)) for tag, score in zip(self._tags, flat, strict=True)]


def wd_input(picture: Image.Image, size: tuple[int, int]) -> Floats:
    """[1, height, width, 3], blue before green before red, 0 to 255; made square with white first."""
    side = max(picture.size)
    square = Image.new("RGB", (side, side), "white")
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    values = np.asarray(square.resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
    return np.ascontiguousarray(values[None, :, :, ::-1])


def deepdanbooru_input(picture: Image.Image, size: tuple[int, int]) -> Floats:
    """[1, height, width, 3], red before green before blue, 0 to 1; what is missing at two sides repeats the edge."""
    width, height = size
    scale = min(width / picture.width, height / picture.height)
    fitting = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    values = np.asarray(picture.resize(fitting, Image.Resampling.LANCZOS), dtype=np.float32) / 255.0
    left, top = (width - fitting[0]) // 2, (height - fitting[1]) // 2
    around = ((top, height - fitting[1] - top), (left, width - fitting[0] - left), (0, 0))
    return np.ascontiguousarray(np.pad(values, around, mode="edge")[None])


def _read_tags(path: Path) -> Iterable[Tag]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_LIST_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LoadFailed(f"{path.name} cannot be read: {type(error).__name__}") from None
    if len(raw) > MAX_LIST_BYTES:
        raise LoadFailed(f"{path.name} is larger than {MAX_LIST_BYTES} bytes, which is no list of tags")
    if path.name == DEEPDANBOORU_TAGS:
        for name in filter(None, map(str.strip, text.splitlines())):
            yield Tag(name, "rating" if name.startswith("rating:") else "general")
        return
    rows = csv.DictReader(io.StringIO(text))
    if not {"name", "category"} <= set(rows.fieldnames or ()):
        raise LoadFailed(f"{path.name} must begin with the line tag_id,name,category,count")
    try:
        for row in rows:
            if not row["name"] or row["category"] is None:
                raise LoadFailed(f"{path.name}: line {rows.line_num} has no name or no category")
            yield Tag(row["name"].strip(), _CATEGORIES.get(row["category"].strip(), "general"))
    except csv.Error as error:
        raise LoadFailed(f"{path.name}: line {rows.line_num} cannot be read: {error}") from None


def _shape_text(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("?" if side is None else str(side) for side in shape) + "]"
