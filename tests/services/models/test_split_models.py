"""Parts that make no model are refused by their headers, and the part at fault is named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.runtime import DEMO_MODEL, DEMO_ROOT
from sdcpp_rest.services.model_headers.inspection import NotAModel, inspect_file
from sdcpp_rest.services.models import split_models
from sdcpp_rest.services.models.split_models import inspect_split
from tests.cases import for_each_case
from tests.model_files import gguf_bytes, safetensors_bytes, write
from tests.split_models import split_gguf


def part(folder: Path, number: int, count: int, tensors: Mapping[str, Any], **metadata: Any) -> str:
    says = {"split.no": number, "split.count": count, **{key.replace("__", "."): one for key, one in metadata.items()}}
    content = gguf_bytes(tensors, metadata={key: one for key, one in says.items() if one is not None})
    return str(write(folder / f"x-{number + 1:05}-of-{count:05}.gguf", content))


def pair(folder: Path, **second: Any) -> list[str]:
    tensors = second.pop("tensors", {"b": (4,)})
    return [part(folder, 0, 2, {"a": (4,)}, general__architecture="sd"), part(folder, 1, 2, tensors, **second)]


@pytest.mark.parametrize("bare_first", [False, True])
def test_parts_are_the_model_that_was_split(tmp_path: Path, bare_first: bool) -> None:
    source = DEMO_ROOT / "diffusion_models" / DEMO_MODEL
    whole, paths = inspect_file(source), split_gguf(source, tmp_path, 3, bare_first=bare_first)
    seen = inspect_split([str(path) for path in paths])
    assert (seen.architecture, seen.contents) == (whole.architecture, "picture model")
    assert (seen.tensors, seen.tensor_types) == (whole.tensors, whole.tensor_types)


@for_each_case(
    ("second", "words"),
    [
        ({"split__no": 0}, r"is part 2 of 2 by its name, and by its own word \(split\.no 0, split\.count 2\)"),
        ({"split__count": 3}, r"is part 2 of 2 by its name, and by its own word \(split\.no 1, split\.count 3\)"),
        ({"split__no": None}, "does not say which part"),
        ({"split__count": None}, "does not say which part"),
        ({"split__no": "1"}, "is part 2 of 2 by its name"),
        ({"split__count": "2"}, "does not say which part"),
        ({"general__architecture": "llama"}, "is of another model: its architecture is 'llama', not 'sd'"),
        ({"tensors": {"b": (4,), "a": (4,)}}, r"holds the tensor 'a' again, which x-00001-of-00002\.gguf holds"),
        ({"split__tensors__count": 3}, "is of a model with 3 tensors; the 2 parts hold 2"),
    ],
)
def test_a_part_that_does_not_belong_is_named(tmp_path: Path, second: dict[str, Any], words: str) -> None:
    with pytest.raises(NotAModel, match=rf"^x-00002-of-00002\.gguf {words}"):
        inspect_split(pair(tmp_path, **second))


def test_a_part_of_the_same_architecture_belongs(tmp_path: Path) -> None:
    assert inspect_split(pair(tmp_path, general__architecture="sd", split__tensors__count=2)).tensor_count == 2


def test_a_truncated_part_is_named(tmp_path: Path) -> None:
    first, second = pair(tmp_path)
    write(Path(second), Path(second).read_bytes()[:-20])
    with pytest.raises(NotAModel, match=r"x-00002-of-00002\.gguf is truncated"):
        inspect_split([first, second])
    write(Path(second), Path(second).read_bytes()[:40])
    with pytest.raises(NotAModel, match=r"x-00002-of-00002\.gguf is truncated"):
        inspect_split([first, second])


def test_a_hostile_header_of_any_part_is_refused(tmp_path: Path) -> None:
    first, second = pair(tmp_path)
    for lies in ({"tensor_count": 1 << 62}, {"key_count": 1 << 62}, {"type_id": 31}, {"type_id": 41}):
        write(Path(second), gguf_bytes({"b": (4,)}, metadata={"split.no": 1, "split.count": 2}, **lies))
        with pytest.raises(NotAModel, match=r"x-00002-of-00002\.gguf"):
            inspect_split([first, second])


def test_an_alignment_that_would_fill_the_disk_is_refused(tmp_path: Path) -> None:
    _, second = pair(tmp_path)
    first = part(tmp_path, 0, 2, {"a": (4,)}, general__alignment=1 << 17)
    write(Path(first), Path(first).read_bytes() + bytes(1 << 17))
    with pytest.raises(NotAModel, match=r"x-00001-of-00002\.gguf asks for an alignment of 131072 bytes; 65536 at most"):
        inspect_split([first, second])


def test_parts_without_tensors_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match="hold 0 tensors"):
        inspect_split([part(tmp_path, 0, 2, {}), part(tmp_path, 1, 2, {})])
    with pytest.raises(NotAModel, match="holds no tensors"):
        inspect_split([str(write(tmp_path / "x.gguf", gguf_bytes({}, metadata={"split.count": 1})))])


def test_more_tensors_than_a_model_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_models, "MAX_TENSORS", 100)
    half = 51
    parts = [part(tmp_path, number, 2, {f"t{number}_{i}": (1,) for i in range(half)}) for number in range(2)]
    with pytest.raises(NotAModel, match=rf"hold {2 * half} tensors; a model has 1 to 100"):
        inspect_split(parts)


def test_other_formats_are_not_merged(tmp_path: Path) -> None:
    shards = [write(tmp_path / f"x-0000{n}-of-00002.safetensors", safetensors_bytes({f"t{n}": (2,)})) for n in (1, 2)]
    with pytest.raises(NotAModel, match=r"only GGUF files are merged here; .*\(load every part with the safetensors"):
        inspect_split([str(path) for path in shards])
    first, second = pair(tmp_path)
    write(Path(second), safetensors_bytes({"b": (4,)}))
    with pytest.raises(NotAModel, match=r"x-00002-of-00002\.gguf is a safetensors file, and only"):
        inspect_split([first, second])
