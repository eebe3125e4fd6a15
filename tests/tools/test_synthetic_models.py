"""Synthetic models: headers that our reader understands, weights that a network can compute with, a command line."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from sdcpp_rest.config.sections import TYPE_FOLDERS
from sdcpp_rest.services.model_headers.inspection import inspect_file
from tests.cases import for_each_case
from tools.synthetic_models.__main__ import main
from tools.synthetic_models.families import (
    FAMILIES,
    FILES,
    family_bytes,
    files_of,
    path_below,
    weight_bytes,
    write_file,
)
from tools.synthetic_models.files import file_bytes, format_of, write_face_embedding, write_model
from tools.synthetic_models.storage import STORAGES, storage_of, stored_bytes
from tools.synthetic_models.tensors import Layers, Tensor
from tools.synthetic_models.weights import GAIN, Tiles, deviation

LARGEST_BYTES = 2_000_000_000
TOO_LARGE = {"wan22_i2v"}  # its two experts are 14B models; only their headers are ever written


def layers() -> Layers:
    made = Layers()
    made.embedding("table", 64, 100)
    made.linear("in", 256, 32)
    made.convolution("conv", 4, 8)
    made.norm("norm", 8)
    made.parameter("token", 7)
    return made


@pytest.mark.parametrize("ending", ["gguf", "safetensors"])
def test_our_reader_finds_what_was_written(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"model.{ending}"
    size = write_model(path, layers(), "q4_0")
    assert size == path.stat().st_size
    found = inspect_file(str(path)).tensors
    expected = {name: shape for name, shape, _ in layers()}
    assert {name: tuple(shape) for name, shape in found.items()} == expected


@for_each_case("ending", ["gguf", "safetensors"])
@for_each_case("fill", ["random", "zero"])
def test_size_is_known_before_writing(tmp_path: Path, ending: str, fill: str) -> None:
    path = tmp_path / f"model.{ending}"
    write_model(path, layers(), fill=fill)  # type: ignore[arg-type]
    header = tmp_path / f"header.{ending}"
    write_model(header, layers(), fill="none")
    assert path.stat().st_size - header.stat().st_size == file_bytes(layers(), "q4_0", format_of(path))
    assert path.read_bytes().startswith(header.read_bytes())


def test_equal_seeds_give_equal_files_and_others_do_not(tmp_path: Path) -> None:
    contents = []
    for seed in (1, 1, 2):
        path = tmp_path / f"{len(contents)}.gguf"
        write_model(path, layers(), seed=seed)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1] != contents[2]


def test_failed_file_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise OSError("no space left")

    monkeypatch.setattr(Tiles, "random", full)
    with pytest.raises(OSError, match="no space left"):
        write_model(tmp_path / "model.gguf", layers())
    assert list(tmp_path.iterdir()) == []


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.gguf or \.safetensors"):
        write_model(tmp_path / "model.ckpt", layers())


@for_each_case(
    ("role", "shape", "wanted", "file_format", "stored"),
    [
        ("matrix", (256, 8), "tq1_0", "gguf", "tq1_0"),
        ("matrix", (320, 8), "tq1_0", "gguf", "q4_0"),
        ("matrix", (31, 8), "q4_0", "gguf", "f16"),
        ("matrix", (256, 8), "q4_0", "safetensors", "f16"),
        ("matrix", (256, 8), "bf16", "safetensors", "bf16"),
        ("embedding", (256, 8), "q2_K", "gguf", "q4_0"),
        ("embedding", (256, 8), "q8_0", "gguf", "q8_0"),
        ("convolution", (3, 3, 4, 8), "q4_0", "gguf", "f16"),
        ("convolution", (3, 3, 4, 8), "f32", "gguf", "f32"),
        ("norm", (256,), "q4_0", "gguf", "f32"),
        ("bias", (256,), "f16", "safetensors", "f32"),
    ],
)
def test_each_tensor_is_stored_as_the_library_keeps_it(
    role: str, shape: tuple[int, ...], wanted: str, file_format: str, stored: str
) -> None:
    assert storage_of(Tensor("x", shape, role), wanted, file_format).name == stored  # type: ignore[arg-type]


def test_weights_have_the_deviation_that_keeps_sums_small() -> None:
    matrix = Tensor("in.weight", (400, 8), "matrix")
    assert deviation(matrix) == pytest.approx(GAIN / 20)
    assert deviation(Tensor("norm.weight", (8,), "norm")) == 0
    merged = Tensor("conv.weight", (2, 2, 1, 16 * 1536), "convolution")
    assert deviation(merged) == pytest.approx(1 / np.sqrt(4 * 156), rel=0.01)
    values = np.frombuffer(Tiles(1).random(STORAGES["f16"], 0.25), np.float16).astype(np.float32)
    assert values.std() == pytest.approx(0.25, rel=0.02)


def test_quantized_weights_have_that_deviation_too() -> None:
    blocks = np.frombuffer(Tiles(1).random(STORAGES["q4_0"], 0.25), np.uint8).reshape(-1, 18)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    low = (blocks[:, 2:] & 15).astype(np.float32) - 8
    assert (low * scale).std() == pytest.approx(0.25, rel=0.02)
    ternary = np.frombuffer(Tiles(1).random(STORAGES["tq1_0"], 0.25), np.uint8).reshape(-1, 54)
    trits = (ternary[:, :48].astype(np.uint16) * 3 >> 8).astype(np.float32) - 1
    scale = ternary[:, 52:].copy().view(np.float16).astype(np.float32)
    assert (trits * scale).std() == pytest.approx(0.25, rel=0.05)


def test_every_storage_fills_whole_blocks() -> None:
    for storage in STORAGES.values():
        tile = Tiles(1).random(storage, 0.5)
        assert len(tile) % storage.block_bytes == 0
        assert stored_bytes(Tensor("x", (storage.block, 3), "matrix"), storage) == 3 * storage.block_bytes


def test_files_lie_where_a_server_looks_for_their_type() -> None:
    folders = {file.folder for file in FILES.values()}
    assert folders <= set(TYPE_FOLDERS.values()) | {"photo_maker"}


def test_families_name_files_that_exist_and_fit_on_a_small_disk() -> None:
    assert len(FAMILIES) > 35
    for name, family in FAMILIES.items():
        assert set(family.files) <= FILES.keys(), name
        if name not in TOO_LARGE:
            assert family_bytes(name) < LARGEST_BYTES, name
        quick = family_bytes(name) < LARGEST_BYTES and not family.is_slow
        assert quick or family.is_slow, name


def test_tensor_names_are_unique_within_a_file() -> None:
    for name, file in FILES.items():
        names = [tensor.name for tensor in file.recipe()]
        assert len(set(names)) == len(names), name


def test_files_of_several_families_come_once() -> None:
    assert files_of(["flux", "flux_schnell", "esrgan_x2"]) == (
        "flux", "clip_l", "vae_flux", "flux_schnell", "taef1", "esrgan_x2",
    )  # fmt: skip
    with pytest.raises(KeyError, match="unknown"):
        files_of(["flux", "unknown"])


def test_command_line_lays_out_a_models_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ovis", "lora_flux", "--out", str(tmp_path)]) == 0
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")) == [
        "diffusion_models/ovis.gguf",
        "llm/qwen3.gguf",
        "loras/lora_flux.safetensors",
        "taesd/taef1.safetensors",
    ]
    assert "MB" in capsys.readouterr().out
    assert inspect_file(str(tmp_path / "diffusion_models" / "ovis.gguf")).contents == "picture model"


def test_command_line_writes_sparse_files(tmp_path: Path) -> None:
    assert main(["esrgan_x2", "--zero", "--format", "safetensors", "--type", "f32", "--out", str(tmp_path)]) == 0
    status = (tmp_path / "esrgan" / "esrgan_x2.safetensors").stat()
    assert status.st_size > 1_000_000
    assert status.st_blocks * 512 < status.st_size / 10


def test_command_line_lists_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert all(f"  {name} " in listed for name in (*FAMILIES, *FILES))


def test_unknown_name_is_an_error_that_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fluxx", "--out", str(tmp_path)])
    assert "'fluxx' is neither" in capsys.readouterr().err


def test_face_embedding_has_the_library_s_plain_format(tmp_path: Path) -> None:
    path = tmp_path / "face.bin"
    write_face_embedding(path, faces=2)
    content = path.read_bytes()
    assert struct.unpack_from("<5i", content) == (2, 9, 0, 512, 2)
    assert content[20:29] == b"id_embeds"
    assert len(content) == 29 + 4 * 512 * 2


def test_header_only_file_is_tiny(tmp_path: Path) -> None:
    path = write_file(tmp_path, "sdxl", fill="none")
    assert path == path_below(tmp_path, "sdxl")
    assert path.stat().st_size < 1_000_000 < weight_bytes("sdxl")
