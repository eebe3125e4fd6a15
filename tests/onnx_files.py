"""Small ONNX models: they look at a picture's mean colour, and at nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

Rows = Sequence[Sequence[float]]


def write_colour_model(
    path: Path,
    weights: Rows,
    *,
    shape: Sequence[int | str] = (1, 4, 4, 3),
    is_channels_first: bool = False,
    scale: float = 1.0,
    output: str = "scores",
) -> Path:
    """``weights``: three rows, one per channel as the model gets them, a column per output. Each output is the sum of
    its weights times the channels' means times ``scale``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = np.asarray(weights, dtype=np.float32) * np.float32(scale)
    graph = helper.make_graph(
        [
            helper.make_node(
                "ReduceMean", ["picture"], ["means"], axes=[2, 3] if is_channels_first else [1, 2], keepdims=0
            ),
            helper.make_node("MatMul", ["means", "weights"], [output]),
        ],
        "colours",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, table.shape[1]])],
        [numpy_helper.from_array(table, "weights")],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


def write_wd_tagger(folder: Path) -> Path:
    """Tags after the picture's red, green and blue: it gets them in the order of WD taggers, 0 to 255."""
    columns = {
        "red_hair": (0, 0, 1),
        "green_(colour)": (0, 1, 0),
        "blue_sky": (1, 0, 0),
        ">_<": (0, 0, 0.9),
        "ruby_(gem)": (0, 0, 0.8),
        "explicit": (1, 1, 1),
    }
    write_colour_model(folder / "model.onnx", list(zip(*columns.values(), strict=True)), scale=1 / 255)
    categories = {"ruby_(gem)": 4, "explicit": 9}
    lines = [f"{k},{name},{categories.get(name, 0)},100" for k, name in enumerate(columns)]
    (folder / "selected_tags.csv").write_text("\n".join(["tag_id,name,category,count", *lines]), encoding="utf-8")
    return folder


def write_clip(folder: Path, categories: Sequence[str] | None = None) -> Path:
    """Phrases about a picture that is red, green, blue, or nearly so."""
    write_colour_model(
        folder / "image.onnx",
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        shape=("count", 3, 4, 4),
        is_channels_first=True,
        output="image_embeds",
    )
    more = {} if categories is None else {"categories": np.asarray(categories)}
    phrases = ["a red wall", "a green wall", "a blue wall", "a rose"]
    embeddings = np.asarray([[5, -5, -5], [-1, 1, -1], [-1, -1, 1], [1, -0.9, -0.5]])
    np.savez(folder / "phrases.npz", phrases=np.asarray(phrases), embeddings=embeddings, **more)
    return folder
