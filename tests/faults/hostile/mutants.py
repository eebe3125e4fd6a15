"""Good files and bodies broken at random places, and random ones: from one seed the same ones each time."""

from __future__ import annotations

import io
import json
import random
import struct
from collections.abc import Callable

from PIL import Image, PngImagePlugin

from tests import model_files as made
from tests.faults.hostile.documented_calls import documented_calls
from tests.faults.hostile.inputs import Body, Fields, Form, Graph, Input, ModelFile, PictureFile
from tests.faults.hostile.known_files import LORA, MODEL, demo
from tests.faults.hostile.mutation import mutate_bytes, mutate_json, random_text
from tests.routes.comfyui.conftest import simple_graph
from tests.torch_files import torch_bytes

BOUNDARY = "----0123456789"


def mutants(seed: int) -> list[Input]:
    """Four hundred of them; each kind has a source of chance of its own, so that one more shifts no other."""
    makers: dict[str, tuple[int, Callable[[random.Random, int], Input]]] = {
        "gguf": (30, _gguf), "safetensors": (30, _safetensors), "torch": (20, _torch), "lora": (10, _lora),
        "png": (20, _png), "jpeg": (15, _jpeg), "webp": (15, _webp), "mp4": (10, _mp4),
        "json": (20, _json), "form": (20, _form), "prompt": (30, _prompt), "graph": (25, _graph), "field": (15,
        _fields),
    }  # fmt: skip
    found: list[Input] = [*documented_calls(seed, 300)]
    for kind, (count, make) in makers.items():
        chance = random.Random(f"{seed} {kind}")
        found += [make(chance, number) for number in range(count)]
    return found


def _gguf(chance: random.Random, number: int) -> Input:
    head = (
        demo(MODEL)[:40_000] if number % 2 else made.gguf_bytes(made.OVIS, metadata={"general.name": "x", "a": [1, 2]})
    )
    return ModelFile(f"mutant_{number}.gguf", "diffusion_models", mutate_bytes(head, chance, within=600))


def _safetensors(chance: random.Random, number: int) -> Input:
    content = made.safetensors_bytes(
        made.reversed_shapes(made.OVIS if number % 2 else made.FLUX), metadata={"format": "pt"}
    )
    length = 8 + int.from_bytes(content[:8], "little")
    if number % 3:
        header = json.dumps(mutate_json(json.loads(content[8:length]), chance)).encode()
        content = struct.pack("<Q", len(header)) + header + content[length:]
    else:
        content = mutate_bytes(content, chance, within=length)
    roles = ("model", "vae", "llm") if number % 5 == 0 else ("model",)
    return ModelFile(f"mutant_{number}.safetensors", "diffusion_models", content, roles)


def _torch(chance: random.Random, number: int) -> Input:
    return ModelFile(
        f"mutant_{number}.ckpt", "checkpoints", mutate_bytes(torch_bytes({"a": (4, 4), "b.c": (8,)}), chance)
    )


def _lora(chance: random.Random, number: int) -> Input:
    content = demo(LORA)
    length = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(mutate_json(json.loads(content[8:length]), chance)).encode()
    changed = struct.pack("<Q", len(header)) + header + content[length:]
    return ModelFile(f"mutant_lora_{number}.safetensors", "loras", changed, ("lora",))


def good_picture(kind: str) -> bytes:
    """A small picture with metadata of a generation in it."""
    file, picture = io.BytesIO(), Image.linear_gradient("L").resize((48, 40)).convert("RGB")
    text = "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64"
    if kind == "png":
        told = PngImagePlugin.PngInfo()
        told.add_text("parameters", text)
        told.add_itxt("prompt", json.dumps(simple_graph()), zip=True)
        told.add_text("Comment", '{"steps": 28, "sampler": "k_euler"}', zip=True)
        picture.save(file, "PNG", pnginfo=told)
    else:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
        picture.save(file, kind.upper(), exif=exif)
    return file.getvalue()


def _png(chance: random.Random, number: int) -> Input:
    content = good_picture("png")
    if number % 4 == 0:
        # A header that promises what is not there, with the checksum that fits.
        sides = struct.pack(">IIBBBBB", chance.choice([0, 1, 65, 2**31 - 1]), chance.choice([1, 2**30]), 8, 2, 0, 0, 0)
        return PictureFile(f"png {number}", content[:8] + _chunk(b"IHDR", sides) + content[33:])
    return PictureFile(f"png {number}", mutate_bytes(content, chance))


def _chunk(kind: bytes, data: bytes) -> bytes:
    import zlib

    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _jpeg(chance: random.Random, number: int) -> Input:
    return PictureFile(f"jpeg {number}", mutate_bytes(good_picture("jpeg"), chance, within=900))


def _webp(chance: random.Random, number: int) -> Input:
    return PictureFile(f"webp {number}", mutate_bytes(good_picture("webp"), chance))


def good_video() -> bytes:
    """An MP4 with a text inside, box by box: no frame can be seen."""

    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", 8 + len(content)) + kind + content

    text = b'{"sui_image_params": {"prompt": "a cat", "steps": 3}}'
    comment = box(b"\xa9cmt", box(b"data", struct.pack(">II", 1, 0) + text))
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    meta = box(b"meta", bytes(4) + handler + box(b"ilst", comment))
    head = box(b"mvhd", bytes(12) + struct.pack(">II", 1000, 1000) + bytes(80))
    return box(b"ftyp", b"isom\0\0\2\0isommp41") + box(b"moov", head + box(b"udta", meta)) + box(b"mdat", bytes(64))


def _mp4(chance: random.Random, number: int) -> Input:
    return PictureFile(f"mp4 {number}", mutate_bytes(good_video(), chance))


def _json(chance: random.Random, number: int) -> Input:
    good = json.dumps({"prompt": "a cat", "width": 64, "steps": 2, "loras": [["x", 1.0]], "options": {"a": None}})
    if number < 6:
        odd = (
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b"\xff\xfe{\0}\0",
            b"\x00",
            b"nul",
            b'{"prompt": "\\ud800", "steps": 1e9999}',
        )
        return Body(f"json {number}", odd[number])
    return Body(f"json {number}", mutate_bytes(good.encode(), chance))


def form_bytes(name: str = "a.png", content: bytes | None = None) -> bytes:
    """A form with a picture and some fields."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in (
            ("prompt", "a cat"),
            ("n", "1"),
            ("size", "64x64"),
            ("type", "input"),
            ("overwrite", "true"),
        )
    ]
    for field in ("image", "file"):
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        parts.append(head.encode() + b"Content-Type: image/png\r\n\r\n" + (content or good_picture("png")) + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def _form(chance: random.Random, number: int) -> Input:
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    names = ("../../x.png", "a\\..\\x.png", "x" * 400 + ".png", "", "CON.png", "\u202egnp.exe", "a%00b.png")
    if number < len(names):
        return Form(f"form, file {names[number]!r:.30}", form_bytes(names[number]), kind)
    if number < 10:
        odd = ("multipart/form-data", "multipart/form-data; boundary=", f"multipart/form-data; boundary={'x' * 3000}")
        return Form(f"form, type {number}", form_bytes(), odd[number - len(names)])
    return Form(f"form {number}", mutate_bytes(form_bytes(), chance, within=700), kind)


def _prompt(chance: random.Random, number: int) -> Input:
    field = "negative_prompt" if number % 6 == 5 else "prompt"
    return Fields(f"random {field} {number}", {field: random_text(chance, 4000)})


def _graph(chance: random.Random, number: int) -> Input:
    if number < 5:
        ring = simple_graph()
        ring["3"]["inputs"]["latent_image"] = ["3", 0]
        chain = simple_graph()
        for at in range(100, 2100):
            chain[str(at)] = {"class_type": "LatentUpscaleBy", "inputs": {"samples": [str(at + 1), 0], "scale_by": 1}}
        odd = (ring, chain, {"1": 5}, [], {str(k): {"class_type": "x" * 3000, "inputs": {}} for k in range(500)})
        return Graph(f"graph {number}", odd[number])
    return Graph(f"graph {number}", mutate_json(simple_graph(steps=1), chance))


def _fields(chance: random.Random, number: int) -> Input:
    good = {"prompt": "a cat", "width": 64, "height": 64, "steps": 1, "seed": 4, "cfg_scale": 2.0, "batch_count": 1,
            "sampler": "euler", "scheduler": "karras", "eta": 0.5, "clip_skip": 1}  # fmt: skip
    changed = mutate_json(good, chance)
    return Fields(f"random fields {number}", changed if isinstance(changed, dict) else {"prompt": changed})
