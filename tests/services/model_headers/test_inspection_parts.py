"""Parts of split models: looked at as one, refused where they would be loaded alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdcpp_rest.services.model_headers.inspection import NotAModel, inspect_file, inspect_parts
from tests.model_files import gguf_bytes, reversed_shapes, safetensors_bytes, unet, write


def halves() -> list[dict[str, tuple[int, ...]]]:
    tensors = list(unet().items())
    return [dict(tensors[:3]), dict(tensors[3:])]


def test_parts_are_seen_as_the_model_they_make(tmp_path: Path) -> None:
    paths = [
        str(write(tmp_path / f"m-0000{number}-of-00002.safetensors", safetensors_bytes(reversed_shapes(half), "F16")))
        for number, half in enumerate(halves(), 1)
    ]
    whole = inspect_file(write(tmp_path / "whole.safetensors", safetensors_bytes(reversed_shapes(unet()), "F16")))
    seen = inspect_parts(paths)
    assert (seen.tensors, seen.types, seen.parameter_count) == (whole.tensors, whole.types, whole.parameter_count)
    assert (seen.architecture, seen.contents) == (whole.architecture, "picture model")
    assert seen.tensor_types == whole.tensor_types
    assert "split into 2 files" in seen.warnings[0]


def test_one_part_alone_is_not_loaded_and_the_way_out_is_told(tmp_path: Path) -> None:
    part = write(tmp_path / "m-00001-of-00002.safetensors", safetensors_bytes(reversed_shapes(halves()[0])))
    with pytest.raises(NotAModel, match=r"one of 2 parts of a split model; .*merge them first"):
        inspect_file(part)
    assert inspect_parts([str(part)]).tensor_count == 3


def test_a_gguf_part_is_told_by_its_own_word_whatever_its_name(tmp_path: Path) -> None:
    content = gguf_bytes(halves()[0], metadata={"split.count": 3, "split.no": 0})
    renamed = write(tmp_path / "renamed.gguf", content)
    with pytest.raises(NotAModel, match=r"one of 3 parts .*give all parts names such as x-00001-of-00003\.gguf, then"):
        inspect_file(renamed)
    named = write(tmp_path / "my x-00001-of-00003.gguf", content)
    with pytest.raises(NotAModel, match=r"one of 3 parts .*merge them first.*") as caught:
        inspect_file(named)
    assert "`sdcpp-rest convert 'my x-00001-of-00003.gguf' keep`" in caught.value.message
    assert "POST /convert and output_type keep" in caught.value.message
    merged = write(tmp_path / "m-00001-of-00002.gguf", gguf_bytes(unet(), metadata={"split.count": 0}))
    assert inspect_file(merged).contents == "picture model"


def test_the_first_part_may_hold_the_metadata_alone(tmp_path: Path) -> None:
    bare = gguf_bytes({}, metadata={"split.count": 3, "split.no": 0, "general.architecture": "sd"})
    part = write(tmp_path / "m-00001-of-00003.gguf", bare)
    assert inspect_parts([str(part)]).tensor_count == 0
    with pytest.raises(NotAModel, match="one of 3 parts of a split model"):
        inspect_file(part)
    with pytest.raises(NotAModel, match="holds no tensors"):
        inspect_file(write(tmp_path / "whole.gguf", gguf_bytes({}, metadata={"split.count": 1})))


def test_an_index_is_not_loaded_either(tmp_path: Path) -> None:
    index = write(tmp_path / "m.safetensors.index.json", json.dumps({"weight_map": {}}).encode())
    with pytest.raises(NotAModel, match="index of a split model"):
        inspect_file(index)


def test_trained_words_survive_although_long_notes_are_dropped(tmp_path: Path) -> None:
    tags = json.dumps({"folder": {f"tag {number}": number for number in range(500)}})
    content = safetensors_bytes({"a.lora_up.weight": (2, 2)}, metadata={"ss_tag_frequency": tags, "short": "x"})
    seen = inspect_file(write(tmp_path / "lora.safetensors", content))
    assert seen.trained_words[:2] == ("tag 499", "tag 498")
    assert seen.metadata == {"short": "x"}
