from __future__ import annotations

import io
import json
import math
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sdcpp_rest.core import family_signs
from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec, ModelKind
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.model_headers import inspection
from sdcpp_rest.services.model_headers.inspection import NotAModel, inspect_file
from sdcpp_rest.services.models.load_checks import check_loadable
from tests import model_files
from tests.cases import for_each_case
from tests.examples import examples
from tests.model_files import gguf_bytes, gguf_text, raw_safetensors, reversed_shapes, safetensors_bytes, write
from tests.torch_files import legacy_bytes, torch_bytes

ONE = {"a.weight": (32, 2)}
ENTRY = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}


def test_demo_model_is_recognised(demo_folder: Path) -> None:
    inspected = inspect_file(demo_folder / "diffusion_models" / "demo_dit_q8_0.gguf")
    assert inspected.architecture is not None
    assert inspected.architecture.name == "Ovis Image"
    assert (inspected.format, inspected.contents) == ("gguf", "picture model")
    assert inspected.tensor_count == 81
    assert inspected.parameter_count == 2_401_024
    assert inspected.types == {"f32": 50, "q8_0": 31}
    assert inspected.is_quantized
    assert inspected.metadata["general.architecture"] == "ovis"


@for_each_case(
    ("file", "contents"),
    [
        ("llm/demo_llm_q4_0.gguf", "language model"),
        ("taesd/demo_tae.safetensors", "tiny autoencoder"),
        ("loras/demo_lora.safetensors", "LoRA"),
        ("esrgan/esrgan_x2.safetensors", "upscaler"),
        ("esrgan/esrgan_x4.safetensors", "upscaler"),
    ],
)
def test_demo_files_are_recognised(demo_folder: Path, file: str, contents: str) -> None:
    assert inspect_file(demo_folder / file).contents == contents


def test_both_formats_give_the_same_shapes(tmp_path: Path) -> None:
    shapes = {"a.weight": (64, 3), "b.bias": (5,)}
    gguf = inspect_file(write(tmp_path / "a.gguf", gguf_bytes(shapes)))
    tensors = inspect_file(write(tmp_path / "a.safetensors", safetensors_bytes(reversed_shapes(shapes))))
    assert gguf.tensors == tensors.tensors == shapes
    assert gguf.parameter_count == tensors.parameter_count == 197


def test_a_scalar_and_the_text_of_a_safetensors_file_are_read(tmp_path: Path) -> None:
    content = safetensors_bytes({"alpha": ()}, metadata={"modelspec.title": "mine", "long": "x" * 9_000})
    inspected = inspect_file(write(tmp_path / "a.safetensors", content))
    assert inspected.tensors == {"alpha": (1,)}
    assert inspected.metadata == {"modelspec.title": "mine"}


def test_gguf_metadata_of_every_kind_is_passed_over(tmp_path: Path) -> None:
    metadata = {"a.list": [1, 2, 3], "b.words": ["x", "yy", ""], "c": 7, "d": 0.5, "general.alignment": 64, "e": "text"}
    inspected = inspect_file(write(tmp_path / "a.gguf", gguf_bytes(ONE, metadata=metadata) + bytes(64)))
    assert inspected.metadata == {"c": 7, "d": 0.5, "general.alignment": 64, "e": "text"}
    assert inspected.tensors == ONE


def test_a_real_vocabulary_is_skipped_quickly(tmp_path: Path) -> None:
    tokens = [f"token{index}" for index in range(150_000)]
    content = gguf_bytes(
        model_files.LLAMA, metadata={"general.architecture": "llama", "tokenizer.tokens": tokens, "z": 1}
    )
    path = write(tmp_path / "llm.gguf", content)
    start = time.perf_counter()
    inspected = inspect_file(path)
    assert time.perf_counter() - start < 1.0  # 30 ms on an idle core
    assert inspected.metadata["z"] == 1


def test_torch_files_are_looked_into_like_all_others(tmp_path: Path) -> None:
    shapes = reversed_shapes(model_files.VAE)
    for name, content in (("a.pth", torch_bytes(shapes)), ("b.ckpt", legacy_bytes(shapes))):
        inspected = inspect_file(write(tmp_path / name, content))
        assert (inspected.format, inspected.contents, inspected.tensors) == ("torch", "VAE", model_files.VAE)


def test_answers_are_remembered_until_the_file_changes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gguf", gguf_bytes(ONE))
    first = inspect_file(path)
    assert inspect_file(path) is first
    write(path, gguf_bytes({"b.weight": (32, 2), "c": (3,)}))
    os.utime(path, ns=(1, 1))
    assert inspect_file(path).tensor_count == 2


def _truncated(content: bytes) -> bytes:
    return content[: len(content) - 20]


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "one byte": (b"x", "neither GGUF"),
    "random": (bytes(range(7, 250)) * 20, "neither GGUF"),
    "zeros": (bytes(4096), "neither GGUF"),
    "web page": (b"<!DOCTYPE html><html><body>404</body></html>" + b" " * 900, "web page"),
    "web page with a mark": (b"\xef\xbb\xbf\n <html>", "web page"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n", "git-lfs pointer"),
    "gguf magic alone": (b"GGUF", "truncated"),
    "gguf version 1": (gguf_bytes(ONE, version=1), "GGUF version 1"),
    "gguf version 99": (gguf_bytes(ONE, version=99), "GGUF version 99"),
    "gguf of the other byte order": (gguf_bytes(ONE, version=3 << 24), "byte order"),
    "gguf without tensors": (gguf_bytes({}), "no tensors"),
    "gguf absurd": (b"GGUF\x03\0\0\0" + b"\xff" * 200, "claims"),
    "gguf too many tensors": (gguf_bytes(ONE, tensor_count=40_000), "claims"),
    "gguf too many entries": (gguf_bytes(ONE, key_count=2**60), "claims"),
    "gguf one tensor too many": (gguf_bytes(ONE, tensor_count=2), "damaged|truncated"),
    "gguf truncated data": (_truncated(gguf_bytes({"a": (32, 20)})), "truncated"),
    "gguf without data": (gguf_bytes(ONE, fill=False), "truncated"),
    "gguf cut in its header": (gguf_bytes(ONE, metadata={"k": "v" * 300})[:120], "truncated"),
    "gguf removed type": (gguf_bytes(ONE, type_id=4), r"type 4 \(Q4_2\), which cannot be read; take a file"),
    "gguf unknown type": (gguf_bytes(ONE, type_id=77), "type 77"),
    "gguf q8_1": (gguf_bytes(ONE, type_id=9), "type 9"),
    "gguf side of zero": (gguf_bytes({"a": (32, 0)}), "shape"),
    "gguf side of 2^63": (gguf_bytes({"a": (32, 2**63)}, fill=False), "shape"),
    "gguf row that is no block": (gguf_bytes({"a": (33, 2)}, "q8_0"), "row length"),
    "gguf six dimensions": (gguf_bytes({"a": (1,) * 6}), "6 dimensions"),
    "gguf twice the same": (
        gguf_bytes({"a": (1,), "b": (1,)}).replace(gguf_text("b"), gguf_text("a")),
        "twice",
    ),
    "gguf entry without a name": (gguf_bytes(ONE, metadata={"": 1}), "no name"),
    "gguf alignment of zero": (gguf_bytes(ONE, metadata={"general.alignment": 0}), "alignment"),
    "gguf alignment of 33": (gguf_bytes(ONE, metadata={"general.alignment": 33}), "alignment"),
    "gguf alignment in words": (gguf_bytes(ONE, metadata={"general.alignment": "32"}), "alignment"),
    "gguf alignment of a list": (gguf_bytes(ONE, metadata={"general.alignment": [32]}), "alignment"),
    "gguf layer 99999": (gguf_bytes({"double_blocks.99999.x": (1,)}), "layer"),
    "safetensors array": (raw_safetensors([1, 2]), "JSON array"),
    "safetensors text": (raw_safetensors(b'"abc"'), "JSON string"),
    "safetensors not JSON": (raw_safetensors(b"{not json at all}"), "not JSON"),
    "safetensors NaN": (raw_safetensors(b'{"a": NaN}'), "not JSON"),
    "safetensors deep": (raw_safetensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "not JSON|not an object"),
    "safetensors bad UTF-8": (raw_safetensors(b'{"\xff": 1}'), "not JSON"),
    "safetensors empty": (raw_safetensors({}), "no tensors"),
    "safetensors only U8": (safetensors_bytes({"a": (4,)}, "U8"), "no tensors"),
    "safetensors entry null": (raw_safetensors({"a": None}), "JSON null"),
    "safetensors entry number": (raw_safetensors({"a": 3}), "JSON number"),
    "safetensors no dtype": (raw_safetensors({"a": {"shape": [4], "data_offsets": [0, 16]}}), "no dtype"),
    "safetensors no shape": (raw_safetensors({"a": {"dtype": "F32", "data_offsets": [0, 16]}}), "no shape"),
    "safetensors no offsets": (raw_safetensors({"a": {"dtype": "F32", "shape": [4]}}), "no data_offsets"),
    "safetensors dtype number": (raw_safetensors({"a": {**ENTRY, "dtype": 3}}), "dtype"),
    "safetensors dtype unknown": (raw_safetensors({"a": {**ENTRY, "dtype": "I16"}}), "I16"),
    "safetensors shape string": (raw_safetensors({"a": {**ENTRY, "shape": "4"}}), "shape"),
    "safetensors shape of strings": (raw_safetensors({"a": {**ENTRY, "shape": ["4"]}}), "shape"),
    "safetensors shape negative": (raw_safetensors({"a": {**ENTRY, "shape": [-4]}}), "shape"),
    "safetensors shape true": (raw_safetensors({"a": {**ENTRY, "shape": [True]}}), "shape"),
    "safetensors shape float": (raw_safetensors({"a": {**ENTRY, "shape": [4.0]}}), "shape"),
    "safetensors shape zero": (raw_safetensors({"a": {**ENTRY, "shape": [0], "data_offsets": [0, 0]}}), "no tensors"),
    "safetensors six dimensions": (raw_safetensors({"a": {**ENTRY, "shape": [1, 1, 1, 1, 1, 4]}}), "6 dimensions"),
    "safetensors offsets swapped": (raw_safetensors({"a": {**ENTRY, "data_offsets": [16, 0]}}), "cannot take"),
    "safetensors one offset": (raw_safetensors({"a": {**ENTRY, "data_offsets": [16]}}), "data_offsets"),
    "safetensors wrong size": (raw_safetensors({"a": {**ENTRY, "data_offsets": [0, 12]}}), "cannot take"),
    "safetensors truncated": (_truncated(safetensors_bytes({"a": (4, 4)})), "truncated"),
    "safetensors cut in its header": (safetensors_bytes({f"a{i}": (4,) for i in range(50)})[:200], "truncated"),
    "safetensors header of 100 MB": (struct.pack("<Q", 1 << 60) + b'{"a": 1}', "truncated"),
    "safetensors layer 100000": (safetensors_bytes({"blocks.100000.x": (4,)}), "layer"),
}  # fmt: skip


@for_each_case("kind", BAD_FILES)
@for_each_case("extension", [".safetensors", ".gguf"])
def test_files_that_are_no_models_are_refused(tmp_path: Path, kind: str, extension: str) -> None:
    content, why = BAD_FILES[kind]
    path = write(tmp_path / f"bad{extension}", content)
    with pytest.raises(NotAModel, match=why) as caught:
        inspect_file(path)
    assert caught.value.message.startswith(f"bad{extension} ")
    assert caught.value.status == 400


def test_folders_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match="is a folder"):
        inspect_file(tmp_path)
    with pytest.raises(NotAModel, match="does not exist"):
        inspect_file(tmp_path / "nothing.gguf")
    with pytest.raises(NotAModel, match="cannot be read"):
        inspect_file(str(tmp_path / "a\0b.gguf"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(NotAModel, match="is not a regular file"):
        inspect_file(tmp_path / "pipe.gguf")


def test_a_huge_sparse_header_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 1 << 30) + b'{"a":')
        file.truncate(1 << 31)
    with pytest.raises(NotAModel, match="at most"):
        inspect_file(path)
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + gguf_text("k") + struct.pack("<IIQ", 9, 0, 1 << 30))
        file.truncate(1 << 31)
    with pytest.raises(NotAModel, match="header of more than"):
        inspect_file(path)


def refusal_of(content: bytes) -> str:
    """Why a file of that content is refused; empty when it is not."""
    try:
        inspection._inspect("file", "file", io.BytesIO(content), len(content))
    except NotAModel as refused:
        return refused.message
    return ""


GOOD_START = {
    ".gguf": gguf_bytes(
        {"a.weight": (32, 2), "b": (3,)}, metadata={"general.architecture": "flux", "list": ["a", "b"]}
    ),
    ".safetensors": safetensors_bytes({"a.weight": (2, 32)}),
}


@pytest.mark.parametrize("extension", sorted(GOOD_START))
@settings(max_examples=examples(300), deadline=2_000)
@given(start=st.binary(max_size=64), keep=st.integers(0, 24))
@example(start=b"\xff" * 64, keep=8)
def test_hostile_headers_are_refused_and_nothing_else_happens(extension: str, start: bytes, keep: int) -> None:
    whole = GOOD_START[extension]
    assert len(refusal_of(whole[:keep] + start + whole[keep + len(start) :])) < 600


@pytest.mark.slow
@settings(max_examples=200, deadline=2_000)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["F32", "F16"]),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["a", "dtype", "shape", "data_offsets", "__metadata__"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_header_is_read_or_refused(header: Any) -> None:
    assert len(refusal_of(raw_safetensors(json.dumps(header).encode()))) < 600


# --- a whole load -----------------------------------------------------------------------------------------------------


@pytest.fixture
def demo_spec(demo_folder: Path) -> LoadSpec:
    def ref(file: str) -> FileRef:
        return FileRef(name=file.rsplit("/", 1)[-1], path=str(demo_folder / file))

    return LoadSpec(
        model=ref("diffusion_models/demo_dit_q8_0.gguf"),
        kind="diffusion",
        components={"llm": ref("llm/demo_llm_q4_0.gguf"), "taesd": ref("taesd/demo_tae.safetensors")},
    )


Refs = Callable[..., LoadSpec]


@pytest.fixture
def spec_of(tmp_path: Path) -> Refs:
    """Builds a spec from tensor lists: the main model's and, by role, its components'."""

    def build(
        main: dict[str, tuple[int, ...]], kind: ModelKind = "diffusion", quantized: bool = False, **components: Any
    ) -> LoadSpec:
        refs = {}
        for role, tensors in {"main": main, **components}.items():
            path = write(
                tmp_path / f"{role}.gguf",
                gguf_bytes(tensors, "q8_0" if quantized and role == "main" else "f16", fill=False),
            )
            with path.open("r+b") as file:
                file.truncate(1 << 30)  # sparse: room for whatever the header promises
            refs[role] = FileRef(name=path.name, path=str(path))
        return LoadSpec(model=refs.pop("main"), kind=kind, components=refs)

    return build


def with_options(spec: LoadSpec, **options: Any) -> LoadSpec:
    return spec.model_copy(update={"options": LoadOptions(**options)})


def test_the_demo_model_is_loadable_without_a_word(demo_spec: LoadSpec) -> None:
    assert check_loadable(demo_spec) == []


@for_each_case(
    ("name", "value"),
    [
        *[("weight_type", bad) for bad in ("q8_1", "q8_K", "i8", "f64", "-1", "4", "42", "q3")],
        *[("tensor_type_rules", bad) for bad in ("[=f16", "a=q8_1", "a", "(a+)+=f16")],
        *[(name, "quick") for name in ("rng_type", "sampler_rng_type", "prediction", "lora_apply_mode")],
        ("rng_type", ""),
        *[("n_threads", bad) for bad in (-2, 0, 257, 10**9)],
        *[("vae_tile_size_x", bad) for bad in (-1, 10**6)],
        *[("vae_tile_size_y", bad) for bad in (-1, 10**6)],
        *[(name, bad) for name in ("vae_tile_overlap", "max_vram", "flow_shift") for bad in (-0.1, math.nan, 1e300)],
        *[(name, math.inf) for name in ("vae_tile_overlap", "max_vram")],
        ("flow_shift", -math.inf),
        ("chroma_t5_mask_pad", -1),
    ],
)
def test_option_values_that_the_library_dies_of_are_refused(demo_spec: LoadSpec, name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_loadable(with_options(demo_spec, **{name: value}))
    assert caught.value.message.startswith(f"options.{name}: ")
    assert caught.value.detail["field"] == f"options.{name}"


@pytest.mark.parametrize(
    "options",
    [
        {"weight_type": "q4_K", "tensor_type_rules": r"^vae\.=f16"},
        {"rng_type": "cpu", "sampler_rng_type": "cuda", "prediction": "flux2_flow", "lora_apply_mode": "at_runtime"},
        {"n_threads": 1, "vae_tile_size_x": 64, "vae_tile_overlap": 0.0, "max_vram": 1.5, "flow_shift": math.inf},
    ],
)
def test_option_values_that_work_pass(demo_spec: LoadSpec, options: dict[str, Any]) -> None:
    assert check_loadable(with_options(demo_spec, **options)) == []


def test_loras_cannot_be_merged_into_quantized_weights(demo_spec: LoadSpec, spec_of: Refs) -> None:
    with pytest.raises(InvalidRequest, match="lora_apply_mode"):
        check_loadable(with_options(demo_spec, lora_apply_mode="immediately"))
    plain = spec_of(model_files.OVIS, llm=model_files.LLM, vae=model_files.VAE)
    check_loadable(with_options(plain, lora_apply_mode="immediately"))
    with pytest.raises(InvalidRequest, match="lora_apply_mode"):
        check_loadable(with_options(plain, lora_apply_mode="immediately", weight_type="q8_0"))
    with pytest.raises(InvalidRequest, match="lora_apply_mode"):
        check_loadable(with_options(plain, lora_apply_mode="immediately", tensor_type_rules="attn=q4_0"))


@for_each_case(
    ("tensors", "what"),
    [
        (model_files.LORA, "a LoRA"),
        (model_files.KOHYA_LORA, "a LoRA"),
        (model_files.ESRGAN, "an upscaler"),
        (model_files.VAE, "a VAE"),
        (model_files.TAE, "a tiny autoencoder"),
        (model_files.CONTROLNET, "a ControlNet"),
        (model_files.LLAMA, "a language model"),
        (model_files.CLIP_L, "a CLIP text encoder"),
        (model_files.T5, "a T5 text encoder"),
        (model_files.EMBEDDING, "an embedding"),
    ],
)
@for_each_case("kind", ["checkpoint", "diffusion"])
def test_other_kinds_of_files_are_not_picture_models(
    spec_of: Refs, tensors: dict[str, tuple[int, ...]], what: str, kind: ModelKind
) -> None:
    with pytest.raises(NotAModel, match=f"main.gguf is {what}, not a model that draws pictures"):
        check_loadable(spec_of(tensors, kind))


@for_each_case("wrong", [model_files.LORA, model_files.ESRGAN, model_files.FLUX, model_files.EMBEDDING])
@for_each_case("role", ["vae", "taesd", "clip_l", "controlnet"])
def test_components_of_another_kind_are_refused(spec_of: Refs, role: str, wrong: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(NotAModel, match=f"^{role}: {role}.gguf is an? "):
        check_loadable(spec_of(model_files.OVIS, llm=model_files.LLM, **{role: wrong}))


@pytest.mark.parametrize("role", ["vae", "llm"])
def test_a_damaged_component_is_refused(demo_spec: LoadSpec, tmp_path: Path, role: str) -> None:
    path = write(tmp_path / "bad.safetensors", raw_safetensors([1]))
    broken = demo_spec.model_copy(
        update={"components": {**demo_spec.components, role: FileRef(name="bad", path=str(path))}}
    )
    with pytest.raises(NotAModel, match="JSON array"):
        check_loadable(broken)


def test_missing_parts_are_refused_in_one_sentence(spec_of: Refs) -> None:
    with pytest.raises(InvalidRequest, match=r"Flux needs a CLIP-L text encoder or a T5-XXL text encoder.*needs a VAE"):
        check_loadable(spec_of(model_files.FLUX))
    with pytest.raises(InvalidRequest, match=r"SD3\.x needs a CLIP-G"):
        check_loadable(spec_of(model_files.SD3, clip_l=model_files.CLIP_L, vae=model_files.VAE))
    warnings = check_loadable(spec_of(model_files.FLUX, clip_l=model_files.CLIP_L, vae=model_files.VAE))
    assert any("T5-XXL" in warning for warning in warnings)


def test_a_whole_checkpoint_needs_nothing(spec_of: Refs) -> None:
    assert check_loadable(spec_of(model_files.unet(), "checkpoint")) == []


def test_a_flux_model_without_its_norms_is_refused(spec_of: Refs) -> None:
    bare = {"double_blocks.0.img_attn.qkv.weight": (128, 384)}
    with pytest.raises(InvalidRequest, match="norms of its first attention block"):
        check_loadable(spec_of(bare, clip_l=model_files.CLIP_L, vae=model_files.VAE))


def test_a_language_model_of_another_width_is_refused(spec_of: Refs) -> None:
    wide = {"model.embed_tokens.weight": (2560, 151_936)}
    with pytest.raises(InvalidRequest, match="2560 wide"):
        check_loadable(spec_of(model_files.OVIS, llm=wide, vae=model_files.VAE))


def test_a_second_expert_of_another_family_is_refused(spec_of: Refs) -> None:
    with pytest.raises(InvalidRequest, match=r"another family \(Flux.2 klein\)"):
        check_loadable(
            spec_of(
                model_files.FLUX,
                clip_l=model_files.CLIP_L,
                vae=model_files.VAE,
                high_noise_diffusion_model=model_files.KLEIN,
            )
        )


def test_a_controlnet_on_a_tiny_unet_is_refused_and_elsewhere_warned_of(spec_of: Refs) -> None:
    with pytest.raises(InvalidRequest, match="ControlNet"):
        check_loadable(spec_of(model_files.unet(middle=False), "checkpoint", controlnet=model_files.CONTROLNET))
    assert check_loadable(spec_of(model_files.unet(), "checkpoint", controlnet=model_files.CONTROLNET)) == []
    ovis = spec_of(model_files.OVIS, llm=model_files.LLM, vae=model_files.VAE, controlnet=model_files.CONTROLNET)
    assert any("ControlNet" in warning for warning in check_loadable(ovis))


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"something.weight": (8, 8)}, "not recognised"),
        ({"single_transformer_blocks.0.attn.to_q.weight": (8, 8)}, "Flux in diffusers' form"),
        ({"transformer_blocks.0.attn.add_q_proj.weight": (8, 8)}, "SD3 or the like"),
        ({"down_blocks.0.resnets.0.conv1.weight": (3, 3, 8, 8)}, "UNet in diffusers' form"),
        ({"input_blocks.0.0.weight": (3, 3, 4, 8)}, "UNet without its text encoder"),
        ({"txt_in.individual_token_refiner.blocks.0.norm1.weight": (8,), **model_files.FLUX}, "HunyuanVideo"),
        ({"caption_projection.linear_1.weight": (8, 8)}, "PixArt"),
        (model_files.LORA, "is a LoRA"),
        (model_files.LLM, "is a language model"),
        (model_files.T5, "is a T5 text encoder"),
    ],
)
def test_what_is_not_known_never_reaches_the_library(spec_of: Refs, tensors: dict[str, Any], words: str) -> None:
    with pytest.raises(NotAModel, match=words) as refused:
        check_loadable(spec_of(tensors))
    assert refused.value.detail["field"] == "model_name"


def test_a_torch_file_is_judged_by_what_is_in_it(tmp_path: Path) -> None:
    for tensors, words in ((model_files.KOHYA_LORA, "is a LoRA"), (model_files.LLM, "is a language model")):
        path = write(tmp_path / "old.ckpt", torch_bytes(reversed_shapes(tensors)))
        with pytest.raises(NotAModel, match=words):
            check_loadable(LoadSpec(model=FileRef(name="old.ckpt", path=str(path)), kind="checkpoint"))
    path = write(tmp_path / "old.ckpt", torch_bytes(reversed_shapes(model_files.unet()), wrapper="state_dict"))
    assert check_loadable(LoadSpec(model=FileRef(name="old.ckpt", path=str(path)), kind="checkpoint")) == []


def test_a_prefix_of_its_own_is_loaded_as_a_checkpoint() -> None:
    for prefix in ("diffusion_model.", "transformer."):
        tensors = {prefix + name: shape for name, shape in model_files.FLUX.items()}
        assert family_signs.natural_kind(tensors) == "checkpoint"
        found = family_signs.detect({**tensors, prefix + "img_in.weight": (384, 128)})
        assert found is not None
        assert found.id == "flux_fill"


def typed(tensors: dict[str, tuple[str, list[int], int]]) -> bytes:
    """A safetensors file of {name: (dtype, shape in torch order, bytes)}."""
    header, at = {}, 0
    for name, (dtype, shape, count) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + count]}
        at += count
    return raw_safetensors(header, at)


SCALED = {"img_in.weight": ("F8_E4M3", [128, 64], 8192), "img_in.scale_weight": ("F32", [], 4)}
PACKED = {"img_in.weight": ("I8", [128, 64], 8192), "img_in.weight_scale": ("F32", [128], 512)}


@pytest.mark.parametrize(("tensors", "format"), [(SCALED, "scaled FP8"), (PACKED, "8-bit numbers with scales")])
def test_numbers_without_their_scales_never_reach_the_library(
    tmp_path: Path, spec_of: Refs, tensors: dict[str, tuple[str, list[int], int]], format: str
) -> None:
    path = write(tmp_path / "scaled.safetensors", typed(tensors))
    inspected = inspect_file(path)
    assert inspected.paired_format == format
    assert "`sdcpp-rest convert scaled.safetensors q8_0`" in inspected.warnings[0]
    with pytest.raises(NotAModel, match=f"stored as {format}"):
        check_loadable(LoadSpec(model=FileRef(name="m", path=str(path)), kind="diffusion"))
    spec = spec_of(model_files.FLUX, vae=model_files.VAE)
    given = {**spec.components, "t5xxl": FileRef(name="t5", path=str(path))}
    with pytest.raises(NotAModel, match=r"^t5xxl: scaled\.safetensors is stored as"):
        check_loadable(spec.model_copy(update={"components": given}))


def test_empty_tensors_are_legal(tmp_path: Path) -> None:
    for name, content in (
        ("a.safetensors", typed({"a": ("F32", [2], 8), "unused": ("F32", [0], 0), "mark": ("F8_E4M3", [0, 4], 0)})),
        ("a.pt", torch_bytes({"a": (2,), "unused": (0,)})),
    ):
        assert inspect_file(write(tmp_path / name, content)).tensors == {"a": (2,)}
    with pytest.raises(NotAModel, match="holds an empty tensor"):
        inspect_file(write(tmp_path / "a.gguf", gguf_bytes({"a": (2,), "unused": (0,)})))
    with pytest.raises(NotAModel, match="cannot take 4 bytes"):
        inspect_file(write(tmp_path / "b.safetensors", typed({"a": ("F32", [0], 4)})))
