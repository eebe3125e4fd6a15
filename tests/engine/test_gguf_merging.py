"""Parts of a split GGUF file become one again: every tensor bit by bit, every entry but those about the split."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter

from sdcpp_rest.core.load_spec import FileRef
from sdcpp_rest.core.params import KEEP, ConvertParams
from sdcpp_rest.engine import gguf_merging
from sdcpp_rest.engine.conversion_input import merged_path_of, whole_input
from sdcpp_rest.engine.gguf_merging import merge_parts
from sdcpp_rest.engine.runner import RunFailed
from tests.model_files import gguf_bytes, gguf_text, write
from tests.split_models import contents_of, metadata_of, split_gguf


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Every type of entry, tensors of several types whose sizes do not fill their places."""
    writer = GGUFWriter(tmp_path / "whole.gguf", "llama")
    writer.add_custom_alignment(128)
    for number, (kind, value) in enumerate(
        [
            (GGUFValueType.UINT8, 255), (GGUFValueType.INT8, -7), (GGUFValueType.UINT16, 65_535),
            (GGUFValueType.INT16, -300), (GGUFValueType.UINT32, 1 << 31), (GGUFValueType.INT32, -5),
            (GGUFValueType.FLOAT32, 0.5), (GGUFValueType.BOOL, True), (GGUFValueType.STRING, "words"),
            (GGUFValueType.STRING, ""), (GGUFValueType.UINT64, 1 << 63), (GGUFValueType.INT64, -(1 << 40)),
            (GGUFValueType.FLOAT64, 0.1),
        ]
    ):  # fmt: skip
        writer.add_key_value(f"test.{number}", value, kind)
    writer.add_key_value("test.words", ["é", "", "c"], GGUFValueType.ARRAY, GGUFValueType.STRING)
    writer.add_key_value("test.small", [1, 2], GGUFValueType.ARRAY, GGUFValueType.INT8)
    writer.add_key_value("test.flags", [True, False], GGUFValueType.ARRAY, GGUFValueType.BOOL)
    numbers = np.random.default_rng(7)
    writer.add_tensor("odd", numbers.random(3, dtype=np.float32))
    writer.add_tensor("half", numbers.random((2, 3, 5)).astype(np.float16))
    blocks = numbers.integers(0, 256, (5, 2 * 34), dtype=np.uint8)
    writer.add_tensor("quantized", blocks, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.add_tensor("brain", numbers.integers(0, 256, (4, 6), dtype=np.uint8), raw_dtype=GGMLQuantizationType.BF16)
    writer.add_tensor("ids", numbers.integers(0, 9, 7, dtype=np.int32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path / "whole.gguf"


def merge(parts: list[Path], target: Path) -> list[tuple[int, int]]:
    heard: list[tuple[int, int]] = []
    merge_parts([str(part) for part in parts], str(target), lambda done, total: heard.append((done, total)))
    return heard


@pytest.mark.parametrize(("count", "bare_first"), [(2, False), (3, False), (5, False), (3, True)])
def test_a_merged_file_says_what_the_whole_one_said(whole: Path, tmp_path: Path, count: int, bare_first: bool) -> None:
    parts = split_gguf(whole, tmp_path / "parts", count, bare_first=bare_first)
    heard = merge(parts, tmp_path / "merged.gguf")
    assert contents_of(tmp_path / "merged.gguf") == contents_of(whole)
    assert (tmp_path / "merged.gguf").read_bytes() == whole.read_bytes()
    sizes = [one.n_bytes for one in GGUFReader(whole).tensors]
    assert heard == [(sum(sizes[: number + 1]), sum(sizes)) for number in range(len(sizes))]


def test_entries_are_copied_as_they_are_spelled(tmp_path: Path) -> None:
    """Texts that are no UTF-8 and empty lists: the package's own reader and writer would stumble over both."""
    first = gguf_bytes({"a": (4,)}, metadata={"x": "??", "empty": [], "list": ["??", "b"], "split.no": 0})
    parts = [
        write(tmp_path / "x-00001-of-00002.gguf", first.replace(b"??", b"\xff\xfe")),
        write(tmp_path / "x-00002-of-00002.gguf", gguf_bytes({"b": (4,)}, metadata={"split.no": 1, "late": "word"})),
    ]
    merge(parts, tmp_path / "merged.gguf")
    both = gguf_bytes({"a": (4,), "b": (4,)}, metadata={"x": "??", "empty": [], "list": ["??", "b"]})
    assert (tmp_path / "merged.gguf").read_bytes() == both.replace(b"??", b"\xff\xfe")


def test_tensors_larger_than_one_read_are_copied_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_merging, "_COPIED_BYTES", 1_000)
    content = np.arange(5_000, dtype=np.float32)
    writer = GGUFWriter(tmp_path / "whole.gguf", "sd")
    writer.add_tensor("a", content)
    writer.add_tensor("b", -content[:3])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    heard = merge(split_gguf(tmp_path / "whole.gguf", tmp_path / "parts", 2), tmp_path / "merged.gguf")
    assert (tmp_path / "merged.gguf").read_bytes() == (tmp_path / "whole.gguf").read_bytes()
    assert heard == [(done, 20_012) for done in (*range(1_000, 20_001, 1_000), 20_012)]


def test_a_model_without_an_architecture_gets_none(tmp_path: Path) -> None:
    parts = split_gguf(write(tmp_path / "plain.gguf", gguf_bytes({"a": (4,), "b": (4,)})), tmp_path / "parts", 2)
    merge(parts, tmp_path / "merged.gguf")
    assert metadata_of(GGUFReader(tmp_path / "merged.gguf")) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:40],
        lambda content: content[:-64],
        lambda content: content[:8] + struct.pack("<QQ", 1 << 62, 3) + content[24:],
        lambda content: content[:8] + struct.pack("<QQ", 1, 1 << 62) + content[24:],
        lambda content: content[:24] + struct.pack("<Q", (1 << 64) - 1) + content[32:],
        lambda content: gguf_bytes({"a": (32,)}, type_id=31),
        lambda content: gguf_bytes({"a": (33,)}, type_id=2),
        lambda content: gguf_bytes({"a": (32,)}, metadata={"general.alignment": 0}),
        lambda content: content[:24] + gguf_text("x") + struct.pack("<IIQ", 9, 9, 1) + content[32:],
    ],
)
def test_a_part_that_is_damaged_is_named_before_anything_is_written(
    whole: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    """The server has looked at every header before; a file may change in between."""
    parts = split_gguf(whole, tmp_path / "parts", 2)
    parts[1].write_bytes(damage(parts[1].read_bytes()))
    with pytest.raises(ValueError, match=r"whole-00002-of-00002\.gguf cannot be merged: its header is damaged"):
        merge(parts, tmp_path / "merged.gguf")
    assert not (tmp_path / "merged.gguf").exists()


def asked(parts: list[Path], output: Path, output_type: str) -> ConvertParams:
    references = tuple(FileRef(name=part.name, path=str(part)) for part in parts)
    return ConvertParams(
        input=references[0],
        output=FileRef(name=output.name, path=str(output)),
        output_type=output_type,
        parts=references,
    )


def test_merging_alone_leaves_nothing_to_convert(whole: Path, tmp_path: Path) -> None:
    parts, output, heard = split_gguf(whole, tmp_path / "parts", 3), tmp_path / "out.gguf", list[int]()
    with whole_input(asked(parts, output, KEEP), heard.append) as found:
        assert found is None
    assert output.read_bytes() == whole.read_bytes()
    assert heard == sorted(heard)
    assert heard[-1] == 100


def test_parts_are_merged_beside_the_result_for_as_long_as_they_are_converted(whole: Path, tmp_path: Path) -> None:
    parts, output, heard = split_gguf(whole, tmp_path / "parts", 3), tmp_path / ".out.part.gguf", list[int]()
    with whole_input(asked(parts, output, "q4_0"), heard.append) as found:
        assert found is not None
        path, tell = found
        assert path == merged_path_of(str(output)) == str(tmp_path / ".out.part.merged.gguf")
        assert Path(path).read_bytes() == whole.read_bytes()
        tell(0)
        tell(100)
    assert heard == sorted(heard)
    assert heard[-2:] == [20, 100]
    assert not Path(path).exists()
    with pytest.raises(ZeroDivisionError), whole_input(asked(parts, output, "q4_0"), heard.append):
        raise ZeroDivisionError
    assert sorted(os.listdir(tmp_path)) == ["parts", "whole.gguf"]


def test_a_whole_file_is_its_own_input(whole: Path, tmp_path: Path) -> None:
    params = asked([whole], tmp_path / "out.gguf", "q4_0").model_copy(update={"parts": ()})
    with whole_input(params, print) as found:
        assert found == (str(whole), print)


def test_a_place_that_cannot_be_written_to_fails_the_run_and_says_so(whole: Path, tmp_path: Path) -> None:
    params = asked(split_gguf(whole, tmp_path / "parts", 2), tmp_path / "nowhere" / "out.gguf", KEEP)
    with pytest.raises(RunFailed, match="could not be merged: No such file") as caught, whole_input(params, print):
        pass
    assert caught.value.code == "output_failed"


def test_a_damaged_part_fails_the_run_and_says_so(whole: Path, tmp_path: Path) -> None:
    parts = split_gguf(whole, tmp_path / "parts", 2)
    parts[1].write_bytes(parts[1].read_bytes()[:50])
    params = asked(parts, tmp_path / "out.gguf", KEEP)
    with pytest.raises(RunFailed, match=r"whole-00002-of-00002\.gguf cannot be merged"), whole_input(params, print):
        pass
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.slow
def test_an_engine_that_merges_nothing_does_not_pay_for_numpy() -> None:
    looked = "import sys, sdcpp_rest.engine.native_runner; print({'gguf', 'numpy'} & sys.modules.keys())"
    ran = subprocess.run([sys.executable, "-c", looked], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "set()"
