"""Model files written anew: what comes out loads and draws, and what would end the process is refused."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sdcpp_rest.native.context import Context, ContextOptions, NativeError
from sdcpp_rest.native.conversion import convert, convertible_types
from sdcpp_rest.native.library import Library
from tests.native.drawing import Ended, digest, picture
from tests.split_models import contents_of

pytestmark = pytest.mark.native


@pytest.fixture
def model(demo_folder: Path) -> str:
    return str(demo_folder / "diffusion_models/demo_dit_q8_0.gguf")


@pytest.fixture
def tae(demo_folder: Path) -> str:
    return str(demo_folder / "taesd/demo_tae.safetensors")


def _drawn(options: ContextOptions) -> str:
    with Context.load(options) as context:
        return digest(context.generate_image(picture(steps=2), 1))


def _gguf_types(path: Path) -> dict[str, int]:
    """Tensor name to type id, read from the header of a GGUF without metadata."""
    content = path.read_bytes()
    magic, _, tensors, keys = struct.unpack_from("<4sIQQ", content)
    assert (magic, keys) == (b"GGUF", 0)
    types, at = {}, 24
    for _ in range(tensors):
        (length,) = struct.unpack_from("<Q", content, at)
        name = content[at + 8 : at + 8 + length].decode()
        at += 8 + length
        (dimensions,) = struct.unpack_from("<I", content, at)
        (types[name],) = struct.unpack_from("<I", content, at + 4 + 8 * dimensions)
        at += 4 + 8 * dimensions + 12
    return types


def test_smaller_type_makes_a_smaller_file_that_draws(model: str, demo_options: ContextOptions, tmp_path: Path) -> None:
    output = tmp_path / "small.gguf"
    convert(model, str(output), "q4_0")
    assert output.stat().st_size < 0.7 * Path(model).stat().st_size
    assert Counter(_gguf_types(output).values())[2] > 20  # q4_0
    smaller = _drawn(replace(demo_options, diffusion_model_path=str(output)))
    assert smaller != _drawn(demo_options)


def test_same_type_keeps_every_weight(model: str, demo_options: ContextOptions, tmp_path: Path) -> None:
    output = tmp_path / "same.gguf"
    convert(model, str(output), "q8_0")
    assert _drawn(replace(demo_options, diffusion_model_path=str(output))) == _drawn(demo_options)


def test_type_is_named_in_any_case(model: str, tmp_path: Path) -> None:
    convert(model, str(tmp_path / "a.gguf"), "Q5_K")
    convert(model, str(tmp_path / "b.gguf"), "q5_k")
    # By name: the library's threads now and then write the tensors in another order.
    (metadata, tensors), (same_metadata, same_tensors) = (contents_of(tmp_path / name) for name in ("a.gguf", "b.gguf"))
    assert metadata == same_metadata
    assert sorted(tensors) == sorted(same_tensors)


@pytest.mark.parametrize("name", ["model.gguf.part", "no ending", "käse.gguf"])
def test_any_other_name_is_written_as_gguf(model: str, tmp_path: Path, name: str) -> None:
    convert(model, str(tmp_path / name), "q4_0")
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes()[:4] == b"GGUF"


def test_safetensors_are_written_by_their_ending(tae: str, demo_options: ContextOptions, tmp_path: Path) -> None:
    output = tmp_path / "half.safetensors"
    convert(tae, str(output), "f16")
    content = output.read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack_from("<Q", content)[0]])
    assert {entry["dtype"] for entry in header.values()} <= {"F16", "F32"}
    assert len(_drawn(replace(demo_options, taesd_path=str(output)))) == 64


def test_rules_decide_by_the_first_pattern_found(model: str, tmp_path: Path) -> None:
    output = tmp_path / "mixed.gguf"
    convert(model, str(output), "q8_0", tensor_type_rules="single_blocks=q4_0,img_mlp=Q5_0,blocks=q8_0")
    types = _gguf_types(output)
    parts = ("single_blocks.0.linear", "img_mlp", "txt_mlp")
    found = {part: {types[name] for name in types if part in name and name.endswith(".weight")} for part in parts}
    assert found == {parts[0]: {2}, parts[1]: {6}, parts[2]: {8}}  # q4_0, q5_0, q8_0


def test_rules_may_ask_for_more_memory_than_the_type(own_process: Callable[..., Ended]) -> None:
    """The library allocates for the type alone, and asserts when the rules need more."""
    ended = own_process("""
        from sdcpp_rest.native.conversion import convert
        model = options.diffusion_model_path
        convert(model, str(scratch / "wide.gguf"), "q4_0", tensor_type_rules="blocks=f32,mlp=f16")
        convert(model, str(scratch / "plain.gguf"), "q4_0")
        report([(scratch / name).stat().st_size for name in ("wide.gguf", "plain.gguf")])
    """)
    assert ended.exit_code == 0, ended.stderr
    wide, plain = ended.reported[0]
    assert wide > 2 * plain


def test_vae_is_written_into_the_same_file(model: str, tae: str, tmp_path: Path) -> None:
    alone, together = tmp_path / "alone.gguf", tmp_path / "together.gguf"
    convert(model, str(alone), "q4_0")
    convert(model, str(together), "q4_0", vae_path=tae)
    added = set(_gguf_types(together)) - set(_gguf_types(alone))
    assert added
    assert all(name.startswith("vae.") for name in added)


def test_converted_names_are_the_librarys_own(demo_folder: Path, tmp_path: Path) -> None:
    lora = str(demo_folder / "loras/demo_lora.safetensors")
    convert(lora, str(tmp_path / "kept.gguf"), "q8_0")
    convert(lora, str(tmp_path / "renamed.gguf"), "q8_0", convert_name=True)
    kept, renamed = _gguf_types(tmp_path / "kept.gguf"), _gguf_types(tmp_path / "renamed.gguf")
    assert all(name.startswith("diffusion_model.") for name in kept)
    assert set(renamed) == {f"model.{name}" for name in kept}


def test_progress_counts_tensors_and_ends_complete(model: str, library: Library, tmp_path: Path) -> None:
    counts: list[tuple[int, int]] = []
    library.set_progress(lambda done, total, _seconds: counts.append((done, total)))
    convert(model, str(tmp_path / "out.gguf"), "q4_0")
    assert counts[-1][0] == counts[-1][1] > 50
    assert counts == sorted(counts)


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_id", ["q8_1", "q8_k", "i8", "i16", "i32", "i64", "f64", "", "q9_9", "-1"])
def test_type_that_kills_is_refused_before_the_call(model: str, tmp_path: Path, type_id: str) -> None:
    with pytest.raises(ValueError, match="cannot be written; allowed: f32, f16"):
        convert(model, str(tmp_path / "out.gguf"), type_id)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output_type", "rules", "named"), [("q4_0", "", "q4_0"), ("f16", "attn=q8_0", "q8_0"), ("nvfp4", "", "nvfp4")]
)
def test_safetensors_refuse_quantized_types(
    model: str, tmp_path: Path, output_type: str, rules: str, named: str
) -> None:
    with pytest.raises(ValueError, match=f"cannot hold weight type '{named}'; allowed: f32, f16, bf16"):
        convert(model, str(tmp_path / "out.safetensors"), output_type, tensor_type_rules=rules)


def test_bad_rule_is_refused_before_the_call(model: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'\\[' is not a regular expression"):
        convert(model, str(tmp_path / "out.gguf"), "q4_0", tensor_type_rules="[=f16")


@pytest.mark.parametrize("field", ["input path", "output path", "vae path"])
def test_path_with_a_nul_is_refused(model: str, tmp_path: Path, field: str) -> None:
    paths = {"input path": model, "output path": str(tmp_path / "out.gguf"), "vae path": model, field: "a\0b"}
    with pytest.raises(ValueError, match=f"{field} contains a NUL"):
        convert(paths["input path"], paths["output path"], "q4_0", vae_path=paths["vae path"])


def test_failures_say_why(model: str, demo_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "random.gguf").write_bytes(bytes(i * 41 % 251 for i in range(4096)))
    (tmp_path / "cut.gguf").write_bytes(Path(model).read_bytes()[:300_000])
    output = str(tmp_path / "out.gguf")
    for wrong in ("missing.gguf", "random.gguf"):
        with pytest.raises(NativeError, match=wrong):
            convert(str(tmp_path / wrong), output, "q4_0")
    with pytest.raises(NativeError, match=r"cut\.gguf"):
        convert(str(tmp_path / "cut.gguf"), output, "q4_0")
    with pytest.raises(NativeError, match=r"missing\.vae"):
        convert(model, output, "q4_0", vae_path=str(tmp_path / "missing.vae"))
    with pytest.raises(NativeError, match=r"failed to write GGUF file .*nowhere"):
        convert(model, str(tmp_path / "nowhere/out.gguf"), "q4_0")
    with pytest.raises(NativeError, match="failed to write GGUF file '/dev/full'"):
        convert(model, "/dev/full", "q4_0")
    with pytest.raises(NativeError, match="unsupported safetensors dtype 'q8_0'"):
        convert(model, str(tmp_path / "out.safetensors"), "f16")


def test_convertible_types_are_those_the_library_can_write(library: Library) -> None:
    ids = {weight_type.id for weight_type in convertible_types(library)}
    assert {"f16", "q8_0", "q4_k", "tq1_0", "nvfp4"} <= ids
    assert not ids & {"q8_1", "q8_k", "i32", "f64"}
