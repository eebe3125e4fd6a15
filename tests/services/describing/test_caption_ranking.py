from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdcpp_rest.errors import GenerationFailed, LoadFailed, NotSupported
from sdcpp_rest.services.describing.caption_ranking import CaptionRanking, clip_input
from tests.cases import for_each_case
from tests.onnx_files import write_clip, write_colour_model

EYE = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
RED = Image.new("RGB", (30, 20), "red")


@pytest.mark.parametrize("colour", ["red", "#00ff00", "#0000ff"])
def test_the_phrase_that_fits_best_is_told(tmp_path: Path, colour: str) -> None:
    names = {"#00ff00": "green", "#0000ff": "blue"}
    caption = CaptionRanking(write_clip(tmp_path), threads=1).caption(Image.new("RGB", (30, 20), colour))
    assert caption == f"a {names.get(colour, colour)} wall"


def test_the_length_of_an_embedding_does_not_count(tmp_path: Path) -> None:
    write_clip(tmp_path)
    with np.load(tmp_path / "phrases.npz") as file:
        embeddings = file["embeddings"]
        embeddings[0] /= 1000
        np.savez(tmp_path / "phrases.npz", phrases=file["phrases"], embeddings=embeddings)
    assert CaptionRanking(tmp_path, threads=1).caption(RED) == "a red wall"


def test_every_category_is_told_in_its_order_and_flavors_more_often(tmp_path: Path) -> None:
    kinds = ["mediums", "flavors", "flavors", "subjects"]
    assert CaptionRanking(write_clip(tmp_path, kinds), threads=1).caption(RED).startswith("a red wall, a ")
    write_clip(tmp_path, ["subjects", "mediums", "mediums", "subjects"])
    assert CaptionRanking(tmp_path, threads=1).caption(RED).split(", ")[0] == "a red wall"
    write_clip(tmp_path, ["flavors"] * 4)
    told = CaptionRanking(tmp_path, threads=1).caption(RED).split(", ")
    assert (len(told), told[:2]) == (3, ["a red wall", "a rose"])


def test_the_middle_of_a_picture_is_normalised() -> None:
    picture = Image.new("RGB", (40, 20), "white")
    picture.paste("black", (10, 0, 30, 20))
    values = clip_input(picture, (4, 4))
    assert (values.shape, values.dtype) == ((1, 3, 4, 4), np.float32)
    assert np.allclose(values[0, :, 2, 2], [-1.7922626, -1.7520971, -1.4802198], atol=1e-4)
    assert np.allclose(clip_input(RED, (4, 4))[0, :, 0, 0], [1.9303361, -1.7520971, -1.4802198], atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (1, 1024), (1024, 1)])
def test_pictures_of_any_proportions_are_brought_to_size(size: tuple[int, int]) -> None:
    assert clip_input(Image.new("RGB", size), (4, 6)).shape == (1, 3, 6, 4)


@pytest.mark.parametrize("missing", ["image.onnx", "phrases.npz"])
def test_a_missing_file_is_asked_for(tmp_path: Path, missing: str) -> None:
    (write_clip(tmp_path) / missing).unlink()
    with pytest.raises(NotSupported, match=r"interrogate\.vision_model, or put image\.onnx and phrases\.npz"):
        CaptionRanking(tmp_path, threads=1)


@for_each_case(
    ("arrays", "said"),
    [
        ({"phrases": np.array(["x"])}, "cannot be read: KeyError"),
        ({"phrases": np.array(["x"], dtype=object), "embeddings": np.ones((1, 3))}, "cannot be read: ValueError"),
        ({"phrases": np.array(["x"]), "embeddings": np.array([["y"]])}, "cannot be read: ValueError"),
        ({"phrases": np.array(["x"]), "embeddings": np.ones((2, 3))}, "n x d embeddings"),
        ({"phrases": np.array(["x"]), "embeddings": np.full((1, 3), np.nan)}, "n x d embeddings"),
        ({"phrases": np.array([]), "embeddings": np.ones((0, 3))}, "n x d embeddings"),
        ({"phrases": np.array([1]), "embeddings": np.ones((1, 3))}, "n x d embeddings"),
        ({"phrases": np.array("x"), "embeddings": np.ones((1, 3)), "categories": np.array("y")}, "n x d embeddings"),
    ],
)
def test_phrases_that_cannot_be_used_are_told(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    np.savez(write_clip(tmp_path) / "phrases.npz", **arrays)
    with pytest.raises(LoadFailed, match=said):
        CaptionRanking(tmp_path, threads=1)


def test_a_file_that_is_no_archive_is_told(tmp_path: Path) -> None:
    for raw in (b"", b"no archive", b"PK\x03\x04broken"):
        (write_clip(tmp_path) / "phrases.npz").write_bytes(raw)
        with pytest.raises(LoadFailed, match=r"phrases\.npz cannot be read"):
            CaptionRanking(tmp_path, threads=1)


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path)
    write_colour_model(tmp_path / "image.onnx", EYE)
    with pytest.raises(LoadFailed, match=r"must take pictures as \[count, 3, height, width\]"):
        CaptionRanking(tmp_path, threads=1)


def test_phrases_of_another_model_are_noticed(tmp_path: Path) -> None:
    write_clip(tmp_path)
    np.savez(tmp_path / "phrases.npz", phrases=np.array(["x"]), embeddings=np.ones((1, 512)))
    with pytest.raises(GenerationFailed, match="must come from the same CLIP model"):
        CaptionRanking(tmp_path, threads=1).caption(RED)
