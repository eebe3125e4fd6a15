"""LoRAs of every form on the real library: drawn or refused by name, and the engine lives through all of it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.families.family_server import FamilyServer

pytestmark = [pytest.mark.e2e, pytest.mark.native]

KEY = "lora_unet_double_blocks_0_img_attn_qkv"
Shapes = dict[str, tuple[int, ...]]
# In torch order. On quantized weights the library aborts with each of these, or asserts.
FORMS: dict[str, Shapes] = {
    "loha": {f"{KEY}.hada_w{n}_{x}": shape for n in (1, 2) for x, shape in (("a", (384, 4)), ("b", (4, 128)))},
    "lokr": {f"{KEY}.lokr_w1": (4, 4), f"{KEY}.lokr_w2_a": (96, 4), f"{KEY}.lokr_w2_b": (4, 32)},
    "difference": {"diffusion_model.double_blocks.0.img_attn.qkv.diff": (384, 128)},
    "q_and_k": {
        f"transformer.transformer_blocks.0.attn.to_{part}.lora_{x}.weight": shape
        for part in "qk"
        for x, shape in (("A", (4, 128)), ("B", (128, 4)))
    },
    "convolutions": {f"{KEY}.lora_down.weight": (4, 128, 1, 1), f"{KEY}.lora_up.weight": (384, 4, 1, 1)},
}
WITHOUT_EFFECT: dict[str, Shapes] = {
    "peft": {
        f"base_model.model.double_blocks.0.img_attn.qkv.lora_{x}.weight": shape
        for x, shape in (("A", (4, 128)), ("B", (384, 4)))
    },
    "oft": {f"{KEY}.oft_blocks": (4, 8, 8)},
    "other_width": {f"{KEY}.lora_down.weight": (4, 3072), f"{KEY}.lora_up.weight": (9216, 4)},
}


def write_lora(path: Path, shapes: Shapes) -> None:
    random, header, data = np.random.default_rng(1), {}, b""
    for name, shape in shapes.items():
        values = (random.standard_normal(shape) * 0.7).astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    head = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)


def test_each_form_is_drawn_or_refused_and_leaves_nothing_behind(server: FamilyServer) -> None:
    with server.stocked("flux_schnell"):
        for name, shapes in {**FORMS, **WITHOUT_EFFECT}.items():
            write_lora(server.models / "loras" / f"{name}.safetensors", shapes)
        server.post("/models/refresh")
        server.load_family("flux_schnell")
        for name in (*FORMS, *WITHOUT_EFFECT):
            assert f"{name}.safetensors" in server.refusal("/txt2img", prompt=f"a lighthouse <lora:{name}:1>")
        server.load_family("flux_schnell", options={"weight_type": "f16"})
        pid, plain = server.engine().pid, server.draw()
        for name in FORMS:
            assert np.abs(server.draw(prompt=f"a lighthouse <lora:{name}:1>").astype(int) - plain).max() > 0, name
            assert (server.draw() == plain).all(), name
        assert server.engine().pid == pid
