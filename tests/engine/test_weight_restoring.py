"""Numbers and scales that lie apart become whole numbers, in every form that people store them in."""

from __future__ import annotations

import contextlib
import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sdcpp_rest.engine import weight_restoring
from sdcpp_rest.engine.paired_weights import plan_restoration
from sdcpp_rest.engine.weight_restoring import restore_weights, restored_bytes
from sdcpp_rest.services.model_headers.inspection import NotAModel, inspect_file
from tests.cases import for_each_case
from tests.paired_files import (
    Tensor,
    bf16,
    codes,
    e2m1,
    e4m3,
    e8m0,
    f16,
    f32,
    meant,
    nibbles,
    read_tensors,
    text,
    tiled,
    write_tensors,
)

W = "blocks.0.attn"
Form = tuple[dict[str, Tensor], NDArray[np.float64]]
"""Tensors of a weight, and its values."""


def restore(folder: Path, tensors: dict[str, Tensor], texts: dict[str, str] | None = None, **how: Any) -> Path:
    source = write_tensors(folder / "given.safetensors", tensors, texts)
    plan = plan_restoration(str(source))
    target = folder / "restored.safetensors"
    restore_weights(str(source), str(target), plan, **{"floats": "F32", "on_written": lambda done, total: None, **how})
    return target


# --- the forms -------------------------------------------------------------------------------------------------------


def scaled(dtype: str, shape: tuple[int, ...], scale: Tensor, name: str, factor: NDArray[np.float64]) -> Form:
    weight = codes(dtype, shape)
    return {f"{W}.weight": weight, f"{W}{name}": scale}, meant(weight) * factor


def per_tensor(dtype: str = "F8_E4M3", name: str = ".scale_weight", shape: tuple[int, ...] = (5, 7)) -> Form:
    return scaled(dtype, shape, f32(0.0123), name, np.array(0.0123))


def of_shape_one() -> Form:
    return scaled("F8_E4M3", (5, 7), f32([0.25]), ".weight_scale", np.array(0.25))


def in_bf16() -> Form:
    return scaled("F8_E4M3", (5, 7), bf16([0.0234375]), ".weight_scale", np.array(0.0234375))


def per_row(dtype: str = "F8_E4M3", scale_shape: tuple[int, ...] = (5, 1), name: str = ".weight_scale") -> Form:
    scales = np.linspace(0.01, 0.3, 5)
    return scaled(dtype, (5, 7), f32(scales, scale_shape), name, np.float32(scales).astype(np.float64)[:, None])


def per_column() -> Form:
    scales = np.linspace(0.01, 0.3, 7)
    return scaled("F8_E4M3", (5, 7), f32(scales, (1, 7)), ".weight_scale", np.float32(scales)[None, :].astype(float))


def of_convolution() -> Form:
    scales = np.float32([0.5, 0.25, 2.0])
    return scaled("F8_E4M3", (3, 2, 3, 3), f32(scales, (3, 1, 1, 1)), ".weight_scale", scales[:, None, None, None])


def in_blocks(name: str = ".weight_scale_inv", dtype: str = "F8_E4M3") -> Form:
    """Blocks of 128 x 128; the last ones are smaller."""
    scales = np.float32([[0.5, 0.25, 0.125], [2.0, 1.5, 0.75]])
    spread = np.repeat(np.repeat(scales, 128, axis=0), 128, axis=1)[:130, :300].astype(np.float64)
    return scaled(dtype, (130, 300), f32(scales), name, spread)


def in_groups() -> Form:
    """A scale for every 32 of a row."""
    scales = np.float32([[0.5, 0.25], [2.0, 1.5], [0.1, 0.2]])
    return scaled("I8", (3, 64), f32(scales), ".weight_scale", np.repeat(scales, 32, axis=1).astype(np.float64))


def of_row_maxima() -> Form:
    weight, maxima = codes("I8", (5, 7)), np.float32([1, 2, 3, 0.5, 0.1])
    tensors = {f"{W}.weight": weight, f"{W}.SCB": f32(maxima), f"{W}.weight_format": ("U8", (), b"\0")}
    return tensors, meant(weight) * maxima.astype(np.float64)[:, None] / 127


NF4 = [
    -1.0, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.09105004, 0.0,
    0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0,
]  # fmt: skip


def of_codes(shape: tuple[int, ...] = (5, 7), *, block: int = 16, is_nested: bool = False, kind: str = "nf4") -> Form:
    elements = int(np.prod(shape))
    weight, blocks = codes("U8", (-(-elements // 2), 1)), -(-elements // block)
    state: dict[str, Any] = {"quant_type": kind, "blocksize": block, "dtype": "bfloat16", "shape": list(shape)}
    tensors = {f"{W}.weight": weight, f"{W}.weight.quant_map": f32(NF4)}
    if is_nested:
        nested_map, nested_block = np.float32(np.linspace(-1, 1, 256)), 4
        nested_absmax = np.float32(np.linspace(0.5, 1.5, -(-blocks // nested_block)))
        packed = codes("U8", (blocks,), seed=3)
        state |= {"nested_blocksize": nested_block, "nested_offset": 0.375, "nested_dtype": "float32"}
        tensors |= {
            f"{W}.weight.absmax": packed,
            f"{W}.weight.nested_absmax": f32(nested_absmax),
            f"{W}.weight.nested_quant_map": f32(nested_map),
        }
        absmax = [
            float(nested_map[code]) * float(nested_absmax[number // nested_block]) + 0.375
            for number, code in enumerate(packed[2])
        ]
    else:
        absmax = [float(value) for value in np.float32(np.linspace(0.1, 2, blocks))]
        tensors[f"{W}.weight.absmax"] = f32(absmax)
    tensors[f"{W}.weight.quant_state.bitsandbytes__{kind}"] = text(state)
    flat = nibbles(weight, high_first=True)[:elements]
    values = [float(np.float32(NF4[code])) * absmax[number // block] for number, code in enumerate(flat)]
    return tensors, np.array(values).reshape(shape)


def nvfp4(rows: int = 3, blocks: int = 2, *, is_comfy: bool = False, is_divided: bool = False) -> Form:
    weight = codes("U8", (rows, 8 * blocks))
    scales = codes("F8_E4M3", (rows, blocks), seed=5, below=128)
    high_first, whole = is_comfy, 0.0078125
    values = np.array([e2m1(code) for code in nibbles(weight, high_first=high_first)]).reshape(rows, blocks, 16)
    values = (values * np.array([e4m3(code) for code in scales[2]]).reshape(rows, blocks, 1) * whole).reshape(rows, -1)
    if is_divided:
        tensors = {
            f"{W}.weight_packed": weight, f"{W}.weight_scale": scales, f"{W}.weight_global_scale": f32([1 / whole]),
            f"{W}.input_global_scale": f32([3.0]),
        }  # fmt: skip
        return tensors, values
    tensors = {f"{W}.weight": weight, f"{W}.weight_scale": scales, f"{W}.weight_scale_2": f32(whole)}
    if is_comfy:
        tensors |= {f"{W}.weight_scale": tiled(scales), f"{W}.comfy_quant": text({"format": "nvfp4"})}
        tensors[f"{W}.input_scale"] = f32(0.5)
    return tensors, values


def mxfp4(name: str = ".weight", dtype: str = "U8") -> Form:
    weight, scales = codes("U8", (3, 32)), codes("F8_E8M0", (3, 2), seed=5, skip=[*range(100), *range(140, 256)])
    values = np.array([e2m1(code) for code in nibbles(weight, high_first=False)]).reshape(3, 2, 32)
    values = values * np.array([e8m0(code) for code in scales[2]]).reshape(3, 2, 1)
    return {f"{W}{name}": weight, f"{W}.weight_scale": (dtype, (3, 2), scales[2])}, values.reshape(3, 64)


def mxfp8(rows: int = 3, blocks: int = 2, *, is_comfy: bool = False) -> Form:
    weight = codes("F8_E4M3", (rows, 32 * blocks))
    scales = codes("F8_E8M0", (rows, blocks), seed=5, skip=[*range(110), *range(130, 256)])
    factor = np.repeat(meant(scales), 32, axis=1)
    tensors = {f"{W}.weight": weight, f"{W}.weight_scale": scales}
    if is_comfy:
        tensors |= {f"{W}.weight_scale": tiled(scales), f"{W}.comfy_quant": text({"format": "mxfp8"})}
    return tensors, meant(weight) * factor


def marked(form: Form, format: str, **more: Any) -> Form:
    return {**form[0], f"{W}.comfy_quant": text({"format": format, **more})}, form[1]


def stored_as_bytes() -> Form:
    tensors, values = per_tensor(name=".weight_scale")
    _, shape, raw = tensors[f"{W}.weight"]
    return marked(({**tensors, f"{W}.weight": ("U8", shape, raw)}, values), "float8_e4m3fn")


def of_blocks_of_64() -> Form:
    scales = np.float32([[0.5, 0.25, 2.0], [1.5, 0.75, 0.125]])
    spread = np.repeat(np.repeat(scales, 64, axis=0), 64, axis=1)[:100, :150].astype(np.float64)
    form = scaled("I8", (100, 150), f32(scales), ".weight_scale", spread)
    return marked(form, "int8_blockwise", group_size=64)


def of_halves() -> Form:
    weight = np.float16([[1.5, -2.25], [0.5, 3.0]])
    return {f"{W}.weight": f16(weight), f"{W}.scale_weight": f32(0.5)}, weight.astype(np.float64) * 0.5


FORMS: dict[str, Callable[[], Form]] = {
    "fp8, one scale (ComfyUI)": per_tensor,
    "fp8 e5m2, one scale": lambda: per_tensor("F8_E5M2"),
    "fp8, one scale in a list": of_shape_one,
    "fp8, scale in bf16": in_bf16,
    "fp8, bias": lambda: per_tensor(shape=(9,)),
    "fp8, scale per row": per_row,
    "fp8, scale per row, flat": lambda: per_row(scale_shape=(5,)),
    "fp8, scale per column": per_column,
    "fp8, scale per channel of a convolution": of_convolution,
    "fp8, blocks (DeepSeek)": in_blocks,
    "fp8, blocks (compressed-tensors)": lambda: in_blocks(".weight_scale"),
    "fp8, marked by ComfyUI": lambda: marked(per_tensor(name=".weight_scale"), "float8_e4m3fn"),
    "fp8 e5m2, marked by ComfyUI": lambda: marked(per_tensor("F8_E5M2", ".weight_scale"), "float8_e5m2"),
    "fp8 in bytes, marked by ComfyUI": stored_as_bytes,
    "halves with a scale": of_halves,
    "int8, one scale": lambda: per_tensor("I8", ".weight_scale"),
    "int8, scale per row": lambda: per_row("I8"),
    "int8, groups": in_groups,
    "int8, blocks of 64, marked by ComfyUI": of_blocks_of_64,
    "bitsandbytes int8": of_row_maxima,
    "bitsandbytes nf4": of_codes,
    "bitsandbytes nf4, whole blocks": lambda: of_codes((4, 16)),
    "bitsandbytes nf4, one short block": lambda: of_codes((3, 1), block=64),
    "bitsandbytes nf4 of a convolution": lambda: of_codes((2, 3, 3, 3), block=64),
    "bitsandbytes fp4": lambda: of_codes(kind="fp4"),
    "bitsandbytes nf4, nested": lambda: of_codes((9, 13), is_nested=True),
    "nvfp4 (ModelOpt)": nvfp4,
    "nvfp4 (compressed-tensors)": lambda: nvfp4(is_divided=True),
    "nvfp4 (ComfyUI)": lambda: nvfp4(is_comfy=True),
    "nvfp4 (ComfyUI), several tiles": lambda: nvfp4(200, 9, is_comfy=True),
    "mxfp4": mxfp4,
    "mxfp4 in a format of its own": lambda: mxfp4(dtype="F8_E8M0"),
    "mxfp4 (compressed-tensors)": lambda: mxfp4(".weight_packed"),
    "mxfp8": mxfp8,
    "mxfp8 (ComfyUI)": lambda: mxfp8(is_comfy=True),
    "mxfp8 (ComfyUI), several tiles": lambda: mxfp8(200, 5, is_comfy=True),
}


@pytest.mark.slow
@for_each_case("form", FORMS)
@for_each_case("chunk", [1 << 21, 40])
def test_numbers_are_what_their_format_says(
    tmp_path: Path, form: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_restoring, "_CHUNK_NUMBERS", chunk)
    tensors, values = FORMS[form]()
    found, _ = read_tensors(restore(tmp_path, tensors))
    assert {name: (kind, array.shape) for name, (kind, array) in found.items()} == {
        f"{W}.weight": ("F32", values.shape)
    }
    np.testing.assert_allclose(found[f"{W}.weight"][1], values, rtol=4e-7)
    assert len(np.unique(values)) > 2


@pytest.mark.parametrize(("floats", "tolerance"), [("F16", 2**-11), ("BF16", 2**-8)])
def test_numbers_are_rounded_to_the_nearest(tmp_path: Path, floats: str, tolerance: float) -> None:
    tensors, values = per_row()
    ((kind, found),) = read_tensors(restore(tmp_path, tensors, floats=floats))[0].values()
    assert kind == floats
    np.testing.assert_allclose(found, values, rtol=tolerance, atol=2**-25)


def test_every_code_of_the_small_formats_is_read(tmp_path: Path) -> None:
    tensors = {
        name: tensor
        for number, dtype in enumerate(("F8_E4M3", "F8_E5M2", "I8"))
        for name, tensor in {
            f"{number}.weight": (dtype, (256,), bytes(range(256))), f"{number}.weight_scale": f32(1.0),
        }.items()
    }  # fmt: skip
    found, _ = read_tensors(restore(tmp_path, tensors))
    expected = [meant(tensors[f"{number}.weight"]) for number in range(3)]
    expected[0][[0x7F, 0xFF]] = np.nan
    for number in range(3):
        np.testing.assert_array_equal(found[f"{number}.weight"][1], expected[number])


def test_bf16_ties_go_to_the_even_neighbour() -> None:
    values = np.array([1 + 2**-8, 1 + 3 * 2**-8, np.nan, -np.inf, 3.0e38, 0.1], np.float32)
    raw = weight_restoring.encode(values, "BF16")
    found = [struct.unpack("<f", b"\0\0" + raw[at : at + 2])[0] for at in range(0, len(raw), 2)]
    assert found[:2] == [1.0, 1 + 2**-6]
    assert np.isnan(found[2])
    assert found[3] == -np.inf
    assert found[4:] == [pytest.approx(3.0e38, rel=2**-8), pytest.approx(0.1, rel=2**-8)]


def test_what_stands_for_itself_stays_as_it_is(tmp_path: Path) -> None:
    plain = {
        "norm.weight": f32([1.0, 2.0]), "embed.weight": bf16([[1.5], [2.5]]), "ids": ("I64", (1,), bytes(8)),
        "plain.weight": codes("F8_E4M3", (2, 2)), "empty": ("F32", (0,), b""),
    }  # fmt: skip
    tensors, values = per_tensor()
    dropped = {"scaled_fp8": ("F8_E4M3", (2,), b"\0\0"), f"{W}.scale_input": f32(1.0)}
    target = restore(tmp_path, {**plain, **tensors, **dropped}, {"title": "é", "_other": "x"}, floats="F16")
    found, texts = read_tensors(target)
    assert {name: kind for name, (kind, _) in found.items()} == {
        **{name: kind for name, (kind, _, _) in plain.items()}, f"{W}.weight": "F16",
    }  # fmt: skip
    assert found["norm.weight"][1].tolist() == [1.0, 2.0]
    assert found["embed.weight"][1].tolist() == [[1.5], [2.5]]
    assert bytes(found["plain.weight"][1].reshape(-1).astype(np.uint8)) == plain["plain.weight"][2]
    np.testing.assert_allclose(found[f"{W}.weight"][1], values, rtol=2**-11, atol=2**-25)
    assert texts == {"title": "é", "_other": "x"}


def test_all_matrices_become_floats_where_the_file_is_the_result(tmp_path: Path) -> None:
    plain = {
        "a": f32([1.0, 2.0]),
        "b": bf16([[1.5], [2.5]]),
        "c": codes("F8_E4M3", (2, 2)),
        "d": ("I64", (1,), bytes(8)),
    }
    found, _ = read_tensors(restore(tmp_path, {**plain, **per_tensor()[0]}, floats="F16", every_matrix=True))
    assert [kind for kind, _ in found.values()] == ["F32", "F16", "F16", "I64", "F16"]
    np.testing.assert_array_equal(found["c"][1], meant(plain["c"]))


def test_numbers_beyond_f16_become_bf16(tmp_path: Path) -> None:
    tensors, values = scaled("F8_E4M3", (5, 7), f32(1024.0), ".scale_weight", np.array(1024.0))
    small = {f"small{name.removeprefix(W)}": tensor for name, tensor in per_tensor()[0].items()}
    found, _ = read_tensors(restore(tmp_path, {**tensors, **small}, floats="F16"))
    assert [kind for kind, _ in found.values()] == ["BF16", "F16"]
    np.testing.assert_array_equal(found[f"{W}.weight"][1], values)
    with pytest.raises(ValueError, match=rf"{W}\.weight' holds numbers beyond 65504, which f16 cannot; take bf16"):
        restore(tmp_path, tensors, floats="F16", may_widen=False)
    # A scale that could take a number beyond, and takes none there.
    few = {f"{W}.weight": ("F8_E4M3", (1, 2), b"\x08\x10"), f"{W}.scale_weight": f32(1024.0)}
    assert read_tensors(restore(tmp_path, few, floats="F16"))[0][f"{W}.weight"][0] == "F16"


def test_progress_and_size_are_those_of_the_result(tmp_path: Path) -> None:
    tensors = {**per_tensor()[0], "norm": f32([1.0])}
    heard: list[tuple[int, int]] = []
    target = restore(tmp_path, tensors, floats="F16", on_written=lambda done, total: heard.append((done, total)))
    assert heard == [(70, 74), (74, 74)]
    assert restored_bytes(plan_restoration(str(tmp_path / "given.safetensors")), "F16") == 74
    assert target.stat().st_size > 74


def test_a_checkpoint_describes_its_layers_in_its_text(tmp_path: Path) -> None:
    tensors, values = nvfp4(is_comfy=True)
    del tensors[f"{W}.comfy_quant"]
    layers = f'{{"layers": {{"{W}": {{"format": "nvfp4"}}}}}}'
    prefixed = {f"model.diffusion_model.{name}": tensor for name, tensor in tensors.items()}
    for given, prefix in ((tensors, ""), (prefixed, "model.diffusion_model.")):
        found, texts = read_tensors(restore(tmp_path, given, {"_quantization_metadata": layers}))
        np.testing.assert_allclose(found[f"{prefix}{W}.weight"][1], values, rtol=4e-7)
        assert texts == {}


# --- what is refused -------------------------------------------------------------------------------------------------


def without(form: Form, *names: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in form[0].items() if name not in {W + left for left in names}}


def changed(form: Form, **tensors: Tensor) -> dict[str, Tensor]:
    return {**form[0], **{f"{W}.{name.replace('__', '.')}": tensor for name, tensor in tensors.items()}}


STATE = "weight.quant_state.bitsandbytes__nf4"


def with_state(**more: Any) -> dict[str, Tensor]:
    state = {"quant_type": "nf4", "blocksize": 16, "dtype": "bfloat16", "shape": [5, 7], **more}
    return {**of_codes()[0], f"{W}.{STATE}": text(state)}


def nested_state(**more: Any) -> dict[str, Tensor]:
    state = {"blocksize": 16, "shape": [5, 7], "nested_blocksize": 4, "nested_offset": 0.375, **more}
    return {**of_codes(is_nested=True)[0], f"{W}.{STATE}": text(state)}


FAULTS: list[tuple[dict[str, Tensor], str]] = [
    (without(per_tensor(), ".weight"), rf"{W}\.scale_weight' belongs to '{W}\.weight', which is not there"),
    (changed(per_tensor(), weight_scale=f32(1.0)), "is a second scale of"),
    (changed(per_tensor(), scale_weight=f32([1.0, 2.0])), r"scale_weight' of shape \[2\] does not fit"),
    (changed(in_blocks(), weight_scale_inv=f32(np.ones((3, 3)))), r"scale_inv' of shape \[3, 3\] does not fit"),
    (changed(per_tensor(), scale_weight=("I32", (), bytes(4))), "scale_weight' is stored as I32, which is no scale"),
    (changed(per_tensor(), weight_scale_2=f32(1.0)), "weight_scale_2' does not belong to numbers of F8_E4M3"),
    (changed(per_tensor(), pre_quant_scale=f32([1.0])), "pre_quant_scale' belongs to a form .* cannot be restored"),
    (changed(per_row("I8"), weight_zero_point=f32([1.0])), "weight_zero_point' belongs to a form"),
    (without(per_row("I8"), ".weight_scale"), r"weight' is stored as I8 and has no scale"),
    (without(nvfp4(), ".weight_scale"), r"weight' has no scale"),
    (without(nvfp4(), ".weight_scale_2"), r"weight' lacks the scale of the whole tensor"),
    (changed(nvfp4(), weight_scale_2=f32([1.0, 2.0])), r"weight_scale_2' .* is not one number"),
    (changed(nvfp4(), weight_scale=codes("F8_E4M3", (3, 4))), r"weight_scale' of shape \[3, 4\] does not fit"),
    (changed(nvfp4(), weight_scale=f32(np.ones((3, 2)))), "weight_scale' is stored as F32, which is no scale"),
    (marked(nvfp4(), "nvfp4")[0], r"weight_scale' of shape \[3, 2\] does not fit"),
    (marked(per_row(), "mxfp8")[0], r"weight_scale' is stored as F32, which is no scale of numbers of F8_E4M3"),
    (marked(per_row("I8"), "convrot_w4a4")[0], "is of ComfyUI's format 'convrot_w4a4', which cannot be restored"),
    (marked(per_row("I8"), "int8_tensorwise", convrot=True)[0], "format 'int8_tensorwise, rotated'"),
    (changed(per_row(), comfy_quant=("U8", (3,), b"{x}")), "comfy_quant' should hold a description"),
    (without(marked(per_row(), "float8_e4m3fn"), ".weight_scale"), r"weight' has no scale"),
    ({"a.comfy_quant": text({"format": "nvfp4"})}, r"a\.comfy_quant' describes 'a\.weight', which is not there"),
    (changed(of_row_maxima(), weight_format=("U8", (), b"\2")), "weight_format' says that .* own order"),
    (changed(of_row_maxima(), SCB=f32([1.0])), r"SCB' of shape \[1\] does not fit"),
    (without(of_codes(), ".weight.absmax"), r"weight' lacks its absmax"),
    (without(of_codes(), f".{STATE}"), r"weight' lacks its quant_state"),
    (without(of_codes(is_nested=True), ".weight.nested_absmax"), "absmax' is itself made of codes, and lacks"),
    (changed(of_codes(), weight__absmax=f32([1.0])), "absmax' holds 1 numbers, and should hold 3"),
    (changed(of_codes(), weight__quant_map=f32([1.0])), "quant_map' holds 1 numbers, and should hold 16"),
    (with_state(shape=[5, 9]), r"weight' has 18 bytes of U8; its shape \[5, 9\] takes 23"),
    (with_state(shape="x"), "nf4' gives the shape x, which is none"),
    (with_state(shape=[1, 1, 1, 1, 5, 7]), r"nf4' gives the shape \[1, 1, 1, 1, 5, 7\], which is none"),
    (with_state(shape=[5, -7]), r"nf4' gives the shape \[5, -7\], which is none"),
    (changed(per_tensor(), weight=("F8_E4M3", (5, 0), b"")), r"weight' is empty"),
    (changed(per_row(), weight_scale=f32(np.zeros((0, 1)))), r"weight_scale' of shape \[0, 1\] does not fit"),
    (changed(per_tensor(), six=("I8", (1, 1, 1, 1, 1, 1), b"\1")), r"six' of I8 cannot have the shape"),
    (with_state(blocksize=1 << 40), "nf4' gives the block size 1099511627776"),
    (nested_state(nested_blocksize=0), "nf4' gives the nested block size 0"),
    (nested_state(nested_offset=float("nan")), "nf4' gives the nested offset nan"),
    (nested_state(nested_blocksize=1), "nested_absmax' holds 1 numbers, and should hold 3"),
    (changed(per_tensor(), flag=("BOOL", (1,), b"\1")), "flag' is stored as BOOL, which cannot be read"),
]  # fmt: skip


@for_each_case(("tensors", "words"), FAULTS, ids=[words[:40] for _, words in FAULTS])
def test_scales_that_do_not_fit_are_refused_by_name(tmp_path: Path, tensors: dict[str, Tensor], words: str) -> None:
    source = write_tensors(tmp_path / "given.safetensors", tensors)
    with pytest.raises(ValueError, match=words):
        plan_restoration(str(source))


@pytest.mark.parametrize("scale", [np.nan, np.inf])
def test_a_scale_that_is_no_number_is_refused_by_name(tmp_path: Path, scale: float) -> None:
    tensors, _ = scaled("F8_E4M3", (5, 7), f32(scale), ".scale_weight", np.array(1.0))
    with pytest.raises(ValueError, match=rf"'{W}\.scale_weight' holds a scale that is no finite number"):
        restore(tmp_path, tensors)


def test_a_file_that_ends_early_is_refused_by_the_tensor_it_lacks(tmp_path: Path) -> None:
    source = write_tensors(tmp_path / "given.safetensors", per_row()[0])
    plan = plan_restoration(str(source))
    os.truncate(source, source.stat().st_size - 1)
    with pytest.raises(ValueError, match=r"weight_scale' is cut off: the file ends before it"):
        plan_restoration(str(source))
    with pytest.raises(ValueError, match=r"weight_scale' is cut off: the file has become shorter"):
        restore_weights(str(source), str(tmp_path / "out"), plan, floats="F16", on_written=lambda done, total: None)


def test_no_more_than_a_chunk_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_restoring, "_CHUNK_NUMBERS", 1000)
    tensors, _ = per_tensor(shape=(100, 77))
    heard: list[int] = []
    restore(tmp_path, tensors, floats="F16", on_written=lambda done, total: heard.append(done))
    assert np.diff([0, *heard]).max() == 2 * 12 * 77


def test_shown_names_are_bounded(tmp_path: Path) -> None:
    source = write_tensors(tmp_path / "given.safetensors", {"x" * 5000 + ".scale_weight": f32(1.0)})
    with pytest.raises(ValueError, match=f"'{'x' * 120}' belongs to") as caught:
        plan_restoration(str(source))
    assert len(str(caught.value)) < 400


ODD: tuple[Any, ...] = (None, -1, 0, 1, 2, 7, 32, 1 << 40, 1 << 63, "x", "U8", "F32", "I8", [], [0], {}, True, 1.5)


def damage(header: dict[str, Any], chance: random.Random) -> None:
    """Change, remove or copy one entry of a header."""
    name = chance.choice([name for name in header if name != "__metadata__"])
    entry, how = header[name], chance.randrange(5)
    if how == 0:
        header[name] = chance.choice(ODD)
    elif how == 1 and len(header) > 1:
        del header[name]
    elif how == 2 and isinstance(entry, dict):
        entry[chance.choice(("dtype", "shape", "data_offsets"))] = chance.choice(ODD)
    elif how == 3 and isinstance(entry, dict) and isinstance(entry.get("shape"), list) and entry["shape"]:
        entry["shape"][chance.randrange(len(entry["shape"]))] = chance.choice(ODD)
    else:
        stem = name.rpartition(".")[0]
        header[stem + chance.choice((".scale_weight", ".weight_scale_2", ".SCB", ".absmax", ".x"))] = entry


@for_each_case("form", FORMS)
def test_a_damaged_file_is_refused_and_never_anything_else(tmp_path: Path, form: str) -> None:
    chance = random.Random(form)
    whole = write_tensors(tmp_path / "whole.safetensors", FORMS[form]()[0]).read_bytes()
    (length,) = struct.unpack_from("<Q", whole)
    refused: list[str] = []
    for number in range(12):
        header, body = json.loads(whole[8 : 8 + length]), bytearray(whole[8 + length :])
        for _ in range(chance.randrange(1, 3)):
            damage(header, chance)
        body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        raw = json.dumps(header).encode()
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(struct.pack("<Q", len(raw)) + raw + body)
        with contextlib.suppress(NotAModel):
            inspect_file(path)
        try:
            plan = plan_restoration(str(path))
            restore_weights(str(path), str(tmp_path / "out"), plan, floats="F16", on_written=lambda done, total: None)
        except ValueError as error:
            refused.append(str(error))
    assert refused
    assert max(map(len, refused)) < 600
