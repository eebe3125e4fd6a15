"""Model files that are known to end the library's process, or that people really have in the place of a model."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import sdcpp_rest
from tests import model_files as made
from tests.faults.hostile.inputs import ModelFile
from tests.torch_files import dictionary, legacy_bytes, pickle, torch_bytes, zip_bytes

DEMO = Path(sdcpp_rest.__file__).parent / "demo"
MODEL, LORA, X4 = "demo_dit_q8_0.gguf", "demo_lora.safetensors", "esrgan_x4.safetensors"
# Unpickled, it would run a command.
_COMMAND = b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00truetR."


def demo(name: str) -> bytes:
    """The content of a file of the bundled models."""
    return next(DEMO.rglob(name)).read_bytes()


def known_files() -> list[ModelFile]:
    """As models, components, LoRAs, upscalers and embeddings."""
    found = [ModelFile(f"{name}", "diffusion_models", content, _roles(name)) for name, content in _headers().items()]
    found += [ModelFile(name, "checkpoints", content) for name, content in _checkpoints().items()]
    found += [ModelFile(name, "loras", content, ("lora",)) for name, content in _loras().items()]
    found += [ModelFile(name, "esrgan", content, ("upscaler",)) for name, content in _upscalers().items()]
    embeddings = {
        "wide_embedding.safetensors": made.safetensors_bytes({"emb_params": (2, 4096)}),
        "model_as_embedding.safetensors": made.safetensors_bytes(made.reversed_shapes(made.FLUX)),
        "empty_embedding.safetensors": made.safetensors_bytes({"emb_params": (0, 768)}),
    }
    found += [ModelFile(name, "embeddings", content, ("embedding",)) for name, content in embeddings.items()]
    return found


def _roles(name: str) -> tuple[str, ...]:
    return ("model", "vae", "llm", "taesd") if name.startswith("any_") else ("model",)


def _headers() -> dict[str, bytes]:
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    whole = demo(MODEL)
    return {
        "any_empty.safetensors": b"",
        "any_empty.gguf": b"",
        "any_random.gguf": bytes(range(256)) * 16,
        "any_random.safetensors": bytes(range(255, -1, -1)) * 16,
        "any_absurd.gguf": b"GGUF" + struct.pack("<IQQ", 3, 2**62, 2**62),
        "any_array.safetensors": made.raw_safetensors(b"[1, 2, 3]"),
        "any_text_shape.safetensors": made.raw_safetensors({"a": {**entry, "shape": "1"}}),
        "any_truncated.safetensors": made.raw_safetensors(
            {"a": {**entry, "shape": [100], "data_offsets": [0, 400]}}, 4
        ),
        "old_version.gguf": b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
        "many_keys.gguf": made.gguf_bytes(made.FLUX, key_count=2**40),
        "many_tensors.gguf": made.gguf_bytes(made.FLUX, tensor_count=2**33),
        "removed_type.gguf": made.gguf_bytes(made.FLUX, type_id=4),
        "wild_type.gguf": made.gguf_bytes(made.FLUX, type_id=2**31 - 1),
        "five_sides.gguf": made.gguf_bytes({"a": (2, 2, 2, 2, 2)}),
        "no_side.gguf": made.gguf_bytes({"a": (), **made.FLUX}),
        "wide_overflow.gguf": made.gguf_bytes({"a": (2**63, 4)}, fill=False),
        "zero_side.gguf": made.gguf_bytes({**made.FLUX, "b": (0, 4)}),
        "llama.gguf": made.gguf_bytes(made.LLAMA, metadata={"general.architecture": "llama"}),
        "no_weights.gguf": made.gguf_bytes(made.FLUX, fill=False),
        "cut_demo.gguf": whole[: len(whole) // 2],
        "cut_header.gguf": whole[:1500],
        "no_dtype.safetensors": made.raw_safetensors({"a": {"shape": [1], "data_offsets": [0, 4]}}),
        "no_offsets.safetensors": made.raw_safetensors({"a": {"dtype": "F32", "shape": [1]}}),
        "odd_dtype.safetensors": made.raw_safetensors({"a": {**entry, "dtype": "Q9"}}),
        "backward.safetensors": made.raw_safetensors({"a": {**entry, "data_offsets": [4, 0]}}),
        "negative.safetensors": made.raw_safetensors({"a": {**entry, "shape": [-1], "data_offsets": [-4, 0]}}),
        "huge_shape.safetensors": made.raw_safetensors({"a": {**entry, "shape": [2**62, 2**62]}}),
        "float_shape.safetensors": made.raw_safetensors({"a": {**entry, "shape": [1.5]}}),
        "nested.safetensors": made.raw_safetensors(b'{"a":' * 20_000 + b"1" + b"}" * 20_000),
        "long_header.safetensors": struct.pack("<Q", 2**63) + b"{}",
        "nul_name.safetensors": made.raw_safetensors({"a\0b": entry}),
        "twice.safetensors": made.raw_safetensors(b'{"a":1,"a":2}'),
        "page.safetensors": b"<!DOCTYPE html><html><body>Not found</body></html>",
        "pointer.safetensors": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 10\n",
        "flux_without_norms.safetensors": made.safetensors_bytes(
            {name: shape for name, shape in made.reversed_shapes(made.FLUX).items() if "key_norm" not in name}
        ),
        "lora_as_model.safetensors": demo(LORA),
        "upscaler_as_model.safetensors": demo(X4),
        "tae_as_model.safetensors": demo("demo_tae.safetensors"),
        "wan_31_blocks.safetensors": made.safetensors_bytes(made.reversed_shapes(made.wan(31))),
        "alone.gguf": whole,
    }


def _checkpoints() -> dict[str, bytes]:
    return {
        "random.ckpt": bytes(range(256)) * 16,
        "command.ckpt": _COMMAND,
        "command_in_zip.ckpt": zip_bytes(_COMMAND, {}),
        "lora.ckpt": torch_bytes(made.reversed_shapes(made.LORA)),
        "old_lora.ckpt": legacy_bytes(made.reversed_shapes(made.LORA)),
        "no_pickle.ckpt": zip_bytes(b"", {}),
        "cut.ckpt": torch_bytes(made.reversed_shapes(made.unet()))[:700],
        "no_storage.ckpt": zip_bytes(pickle(dictionary({"a": (4, 4)})), {}),
        "svd.safetensors": made.safetensors_bytes(
            {
                "model.diffusion_model.input_blocks.0.0.weight": (8, 8, 3, 3),
                "model.diffusion_model.time_stack.0.weight": (8,),
            }
        ),
        "one_encoder.safetensors": made.safetensors_bytes(made.reversed_shapes(made.SD3)),
    }


def _loras() -> dict[str, bytes]:
    fitting = json.loads(demo(LORA)[8 : 8 + int.from_bytes(demo(LORA)[:8], "little")])
    name = next(one for one in fitting if one.endswith(("lora_A.weight", "lora_down.weight")))
    pair = name.replace("lora_A", "lora_B").replace("lora_down", "lora_up")
    nans = demo(LORA)
    length = 8 + int.from_bytes(nans[:8], "little")
    return {
        "empty_lora.safetensors": b"",
        "array_lora.safetensors": made.raw_safetensors(b"[1]"),
        "other_family_lora.safetensors": made.safetensors_bytes(made.reversed_shapes(made.KOHYA_LORA)),
        "wide_lora.safetensors": made.safetensors_bytes({name: (4, 7), pair: (9, 4)}),
        "half_lora.safetensors": made.safetensors_bytes({name: (4, 64)}),
        "rank_0_lora.safetensors": made.safetensors_bytes({name: (0, 64), pair: (64, 0)}),
        "flat_lora.safetensors": made.safetensors_bytes({name: (64,), pair: (64,)}),
        "nan_lora.safetensors": nans[:length] + b"\xff" * (len(nans) - length),
        "model_as_lora.gguf": demo(MODEL),
        "cut_lora.safetensors": nans[: len(nans) // 2],
    }


def _upscalers() -> dict[str, bytes]:
    real = demo(X4)
    return {
        "lora_up.safetensors": demo(LORA),
        "random_up.pth": bytes(range(256)) * 8,
        "empty_up.pth": b"",
        "command_up.pth": zip_bytes(_COMMAND, {}),
        "cut_up.safetensors": real[: len(real) // 2],
        "few_up.safetensors": made.safetensors_bytes(made.reversed_shapes(made.ESRGAN)),
        "deep_up.safetensors": made.safetensors_bytes(
            {"conv_first.weight": (64, 3, 3, 3), "body.100000.weight": (64,)}
        ),
    }
