"""Ranks many phrases by how well they fit a picture, by CLIP: the picture's embedding against those of the phrases.

A folder holds the image encoder (image.onnx) and phrases.npz, which was made by the text encoder that belongs to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from sdcpp_rest.errors import GenerationFailed, LoadFailed, NotSupported
from sdcpp_rest.services.describing.onnx_models import OnnxModel

if TYPE_CHECKING:
    from sdcpp_rest.services.describing.onnx_models import Floats

ENCODER, PHRASES = "image.onnx", "phrases.npz"

_SIDE = 224
_LARGEST_SIDE = 1024
# What CLIP was trained with, red, green, blue.
_MEAN = np.asarray([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
_DEVIATION = np.asarray([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)
# Of all other categories the best phrase alone is told.
_TOLD = {"flavors": 3}


class CaptionRanking:
    """Captions pictures with the CLIP model in ``folder``. Raises NotSupported where there is none, or no onnxruntime;
    LoadFailed.

    phrases.npz: ``phrases`` (n texts), ``embeddings`` (n x d numbers), and, if they are of several kinds,
    ``categories`` (n texts), which are told in the order in which they first appear.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        if not (folder / ENCODER).is_file() or not (folder / PHRASES).is_file():
            raise NotSupported(
                "There is no model that captions pictures: name a vision model of the [ollama] server in the setting "
                f"interrogate.vision_model, or put {ENCODER} and {PHRASES} of a CLIP model into the folder "
                "interrogate/clip in the models folder, or where the setting interrogate.clip_dir says"
            )
        self._phrases, self._categories, self._embeddings = _read_phrases(folder / PHRASES)
        self._model = OnnxModel(folder / ENCODER, threads)
        shape = self._model.shape
        if len(shape) != 4 or shape[1] != 3:
            raise LoadFailed(f"{ENCODER} must take pictures as [count, 3, height, width], as CLIP's image encoders do")
        self._size = (shape[3] or _SIDE, shape[2] or _SIDE)
        if max(self._size) > _LARGEST_SIDE:
            raise LoadFailed(f"{ENCODER} wants pictures of {self._size[0]}x{self._size[1]}; at most {_LARGEST_SIDE}")

    def caption(self, picture: Image.Image) -> str:
        """The phrases that fit best, of every category. ``picture``: RGB of any size. Raises GenerationFailed."""
        found = _embedding(self._model.run(clip_input(picture, self._size)))
        if len(found) != self._embeddings.shape[1]:
            raise GenerationFailed(
                f"{ENCODER} makes embeddings of {len(found)} numbers, {PHRASES} has {self._embeddings.shape[1]}; they "
                "must come from the same CLIP model"
            )
        scores = self._embeddings @ found
        told: list[str] = []
        for category in dict.fromkeys(self._categories.tolist()):
            places = np.flatnonzero(self._categories == category)
            best = places[np.argsort(-scores[places], kind="stable")[: _TOLD.get(category, 1)]]
            told += [str(self._phrases[place]) for place in best]
        return ", ".join(told)


def clip_input(picture: Image.Image, size: tuple[int, int]) -> Floats:
    """[1, 3, height, width]: the middle of the picture, normalised as CLIP's training pictures were."""
    width, height = size
    scale = max(width / picture.width, height / picture.height)
    # The middle is cut out by the resize itself: a picture that is long and narrow is never made larger as a whole.
    cut = (width / scale, height / scale)
    left, top = (picture.width - cut[0]) / 2, (picture.height - cut[1]) / 2
    box = (left, top, left + cut[0], top + cut[1])
    values = np.asarray(picture.resize(size, Image.Resampling.BICUBIC, box=box), dtype=np.float32) / 255.0
    return np.ascontiguousarray(((values - _MEAN) / _DEVIATION).transpose(2, 0, 1)[None])


def _embedding(outputs: Mapping[str, Any]) -> Floats:
    """The projected one, of length 1. Exports differ in what they put out besides, and in which order."""
    flat = [value for value in outputs.values() if np.ndim(value) == 2]
    if not flat and "image_embeds" not in outputs:
        raise GenerationFailed(f"{ENCODER} has no embedding among its outputs, which are {', '.join(outputs)}")
    found = np.asarray(outputs.get("image_embeds", flat[0] if flat else None), dtype=np.float32).reshape(-1)
    return _of_length_1(found)


def _read_phrases(path: Path) -> tuple[Any, Any, Floats]:
    try:
        # Nothing is unpickled: such a file could run code. Opened here, because numpy leaves a broken one open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            phrases = archive["phrases"]
            embeddings = np.asarray(archive["embeddings"], dtype=np.float32)
            categories = archive["categories"] if "categories" in archive else np.full(len(phrases), "")
    except Exception as error:  # numpy and zipfile raise whatever a broken file leads to
        raise LoadFailed(
            f"{path.name} cannot be read: {type(error).__name__}; it must be an archive of numpy's"
        ) from None
    count = phrases.size
    fits = phrases.shape == categories.shape == (count,) and embeddings.ndim == 2 and len(embeddings) == count > 0
    if not fits or phrases.dtype.kind != "U" or categories.dtype.kind != "U" or not np.isfinite(embeddings).all():
        raise LoadFailed(
            f"{path.name} must have n phrases (text), n x d embeddings (numbers) and maybe n categories (text)"
        )
    return phrases, categories, _of_length_1(embeddings)


def _of_length_1(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
