"""The readers that are fuzzed: what each is fed with, and what it may raise."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import model_files as made
from tests.faults.hostile.mutants import BOUNDARY, form_bytes, good_picture, good_video
from tests.faults.hostile.mutation import mutate_bytes, mutate_json, random_text
from tests.torch_files import legacy_bytes, torch_bytes

Refusals = tuple[type[BaseException], ...]
Mutate = Callable[[bytes, random.Random], bytes]
_HOLE_BYTES = 1 << 22


@dataclass(frozen=True)
class Target:
    """``run``: feeds the reader. ``refusals``: what it may raise. ``seeds``: good inputs. ``mutate``: a change that
    knows the format. ``words``: pieces that mean something in it."""

    name: str
    run: Callable[[bytes], None]
    refusals: Refusals
    seeds: Callable[[], list[bytes]]
    mutate: Mutate | None = None
    words: Sequence[bytes] = ()


def _model_target(name: str, ending: str, seeds: Callable[[], list[bytes]], mutate: Mutate | None = None) -> Any:
    @contextlib.contextmanager
    def make() -> Iterator[Target]:
        from sdcpp_rest.services.model_headers.inspection import NotAModel, check_format, inspect_file

        with _memory_folder() as folder:
            path = folder / f"model{ending}"

            def run(content: bytes) -> None:
                path.unlink(missing_ok=True)
                path.write_bytes(content)
                if len(content) % 2:
                    # A hole where the weights would be: it is not cut, and what comes after that check is reached.
                    os.truncate(path, len(content) + _HOLE_BYTES)
                check_format(inspect_file(path))

            yield Target(name, run, (NotAModel,), seeds, mutate)

    return make


@contextlib.contextmanager
def _memory_folder() -> Iterator[Path]:
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-fuzz-", dir=shared if shared.is_dir() else None) as name:
        yield Path(name)


def _ggufs() -> list[bytes]:
    metadata = {
        "general.architecture": "flux",
        "split.count": 1,
        "tokenizer.ggml.tokens": ["a", "b"],
        "x": 1.5,
        "y": [1],
    }
    kinds = (made.OVIS, made.LLM, made.LLAMA, made.ESRGAN, made.QWEN, made.CHROMA, made.wan(2), made.CONTROLNET)
    return [
        *(made.gguf_bytes(kind, metadata=metadata, fill=False) for kind in kinds),
        *(made.gguf_bytes({"a": (64,)}, metadata=metadata, version=version) for version in (2, 3)),
    ]


def _safetensors() -> list[bytes]:
    kinds = (
        made.OVIS,
        made.LORA,
        made.KOHYA_LORA,
        made.SD3,
        made.VAE,
        made.TAE,
        made.unet(),
        made.wan(2),
        made.EMBEDDING,
    )
    told = {"format": "pt", "modelspec.title": "x", "ss_tag_frequency": '{"a": {"b": 1}}', "ss_network_dim": "8"}
    files = [made.safetensors_bytes(made.reversed_shapes(kind), metadata=told) for kind in kinds]
    # Only headers count: without the weights a file is small.
    return [one[: 8 + int.from_bytes(one[:8], "little") + 64] if len(one) > 60_000 else one for one in files]


def _mutate_header(content: bytes, chance: random.Random) -> bytes:
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError):
        return content
    raw = json.dumps(mutate_json(header, chance)).encode()
    return struct.pack("<Q", len(raw)) + raw + content[8 + length :]


def _torches() -> list[bytes]:
    shapes = {"a": (4, 4), "lora_up.weight": (8,)}
    return [
        torch_bytes(shapes),
        torch_bytes(shapes, "HalfStorage", "state_dict"),
        legacy_bytes(shapes),
        legacy_bytes({}),
    ]


def _pickle_words() -> tuple[bytes, ...]:
    return (
        b"\x80\x02",
        b"ctorch\nFloatStorage\n",
        b"ccollections\nOrderedDict\n",
        b"}",
        b"(",
        b"u",
        b"t",
        b"R",
        b"Q",
        b".",
        b"q\x00",
        b"h\x00",
    )


@contextlib.contextmanager
def _torch() -> Iterator[Target]:
    from dataclasses import replace

    with _model_target("torch", ".ckpt", _torches)() as target:
        yield replace(target, words=_pickle_words())


@contextlib.contextmanager
def _onnx() -> Iterator[Target]:
    from sdcpp_rest.errors import GenerationFailed, NotSupported
    from sdcpp_rest.services.describing.onnx_models import OnnxModel
    from tests.onnx_files import write_colour_model

    with _memory_folder() as folder:
        good = write_colour_model(folder / "good.onnx", [[1, 0], [0, 1], [0, 0]]).read_bytes()
        path = folder / "model.onnx"

        def run(content: bytes) -> None:
            path.write_bytes(content)
            OnnxModel(path, 1)

        yield Target("onnx", run, (GenerationFailed, NotSupported), lambda: [good])


@contextlib.contextmanager
def _infotext() -> Iterator[Target]:
    from sdcpp_rest.core import infotext, json_captions
    from sdcpp_rest.services.pictures.metadata.file_texts import FileTexts
    from sdcpp_rest.services.pictures.metadata.reading import _READERS

    def run(content: bytes) -> None:
        text = content.decode("utf-8", "replace")
        infotext.parse(text)
        infotext.parse(infotext.quote(text))
        json_captions.to_infotext(text)
        for name in ("parameters", "prompt", "workflow", "Comment", "Dream", "sui_image_params", "invokeai_metadata"):
            file = FileTexts("png")
            file.add(name, text)
            for read in _READERS:
                read(file)

    good = "a cat, (dog:1.2)\nNegative prompt: bird\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1, "
    more = 'Size: 64x64, Model hash: abc, Model: x, Lora hashes: "a: b, c: d", Hires upscale: 2, Version: v1.9'
    swarm = '{"sui_image_params": {"prompt": "a", "loras": ["x"], "loraweights": ["1"], "model": "m", "seed": 1}}'
    novel = '{"prompt": "a", "steps": 28, "height": 64, "scale": 5, "uc": "b", "sampler": "k_euler", "n_samples": 1}'
    invoke = '{"positive_prompt": "a", "model": {"name": "x"}, "loras": [{"model": {"name": "y"}, "weight": 0.5}]}'
    seeds = [good + more, swarm, novel, invoke, json.dumps(_graph_seed())]
    words = (
        b"Steps: ",
        b"Negative prompt: ",
        b", ",
        b'"',
        b"\n",
        b"Size: ",
        b"x",
        b"-1",
        b"1e999",
        b"{",
        b"}",
        b"Hires ",
        b"Lora hashes: ",
    )
    yield Target("infotext", run, (), lambda: [one.encode() for one in seeds], _mutate_json_text, words)


def _mutate_json_text(content: bytes, chance: random.Random) -> bytes:
    try:
        return json.dumps(mutate_json(json.loads(content), chance)).encode()
    except (ValueError, RecursionError):
        return content + chance.choice((b", Steps: ", b"\nSteps: 1, ", b'"', b"\\"))


@contextlib.contextmanager
def _prompts() -> Iterator[Target]:
    from sdcpp_rest.core import prompts
    from sdcpp_rest.errors import InvalidRequest
    from tests.core.prompt_language.small_world import expand_here

    def run(content: bytes) -> None:
        text = content.decode("utf-8", "replace")
        with contextlib.suppress(InvalidRequest):
            prompts.check_prompt("prompt", text)
        with contextlib.suppress(InvalidRequest):
            prompts.parse_loras(text)
        left = prompts.without_tags(text)
        assert "".join(text[place] for place in prompts.places_without_tags(text)) == left, "places_without_tags"
        prompts.tag_warnings(text, text)
        expand_here(text, text[::-1], braces=True)
        expand_here(text, seed=len(text), by_index=True)

    def mutate(content: bytes, chance: random.Random) -> bytes:
        place = chance.randrange(len(content) + 1)
        return content[:place] + random_text(chance, 200).encode("utf-8", "replace") + content[place:]

    good = (
        "a (cat:1.2) <lora:x:0.5> [dog]", "<random:red,green> {a|b} {2$$a|b|c} __animals__ <wc:animals>",
        "<setvar[c]:<random:a,b>> <var:c> <repeat[1-3]:x> <fromto[0.5]:a,b> <alternate:a,b>",
        "<preset:Self> <param[steps]:4> <trigger>",
        "<setmacro[m,false]:<random:1-9>><macro:m> <comment:x> <break> <base> y <refiner> z <segment:face> w",
    )  # fmt: skip
    yield Target("prompts", run, (InvalidRequest,), lambda: [one.encode() for one in good], mutate)


def _mutate_chunk(content: bytes, chance: random.Random) -> bytes:
    """A PNG with one chunk changed, and the checksum that fits."""
    chunks, at = [], 8
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return content
    place = chance.randrange(len(chunks))
    kind, data = chunks[place]
    chunks[place] = (chance.choice((kind, kind, b"tEXt", b"iTXt", b"zTXt", b"eXIf")), mutate_bytes(data, chance))
    if chance.random() < 0.2:
        chunks.insert(chance.randrange(len(chunks)), chance.choice(chunks))
    return content[:8] + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _picture_target(
    name: str,
    seeds: Callable[[], list[bytes]],
    words: Sequence[bytes] = (),
    is_picture: bool = True,
    mutate: Mutate | None = None,
) -> Any:
    @contextlib.contextmanager
    def make() -> Iterator[Target]:
        from sdcpp_rest.errors import InvalidRequest
        from sdcpp_rest.routes.http.answers import json_text
        from sdcpp_rest.routes.native.files.metadata_routes import _show
        from sdcpp_rest.services.pictures.input_images import load_picture, measure_picture

        with _house() as house:
            metadata = house.runtime.metadata

            def run(content: bytes) -> None:
                with contextlib.suppress(InvalidRequest):
                    json_text(_show(metadata.read(content)))
                if is_picture:
                    with contextlib.suppress(InvalidRequest):
                        measure_picture("image", content)
                    load_picture("image", content)

            yield Target(name, run, (InvalidRequest,), seeds, mutate, words)

    return make


@contextlib.contextmanager
def _house() -> Iterator[Any]:
    """A server without a process, with an engine that computes nothing."""
    from tests.routes.conftest import House, make_config

    with tempfile.TemporaryDirectory() as name:
        house = House(make_config(Path(name)))
        try:
            yield house
        finally:
            house.close()


def _webm() -> bytes:
    """The head of a WebM with a tag."""

    def element(number: str, content: bytes) -> bytes:
        return bytes.fromhex(number) + bytes([0x80 | len(content)]) + content

    tag = element("67c8", element("45a3", b"COMMENT") + element("4487", b'{"prompt": "a", "steps": 3}'))
    tags = element("1254c367", element("7373", element("63c0", b"") + tag))
    return (
        element("1a45dfa3", element("4282", b"webm"))
        + bytes.fromhex("18538067")
        + b"\x01"
        + bytes(6)
        + bytes([len(tags)])
        + tags
    )


@contextlib.contextmanager
def _multipart() -> Iterator[Target]:
    from sdcpp_rest.errors import InvalidRequest, PayloadTooLarge
    from sdcpp_rest.routes.http.multipart import FormFile, parts_of

    def run(content: bytes) -> None:
        head, _, body = content.partition(b"\n")
        for part in parts_of(io.BytesIO(body), head.decode("latin-1"), 1000):
            if isinstance(part, FormFile):
                for _ in part.chunks:
                    pass

    good = f"multipart/form-data; boundary={BOUNDARY}\n".encode() + form_bytes(content=b"\x89PNG" + bytes(40))
    words = (
        b"\r\n",
        f"--{BOUNDARY}".encode(),
        b"--",
        b'name="x"',
        b"filename*=UTF-8''%ff",
        b"; charset=nope",
        b"Content-Type: ",
        b"\r\n\r\n",
    )
    yield Target("multipart", run, (InvalidRequest, PayloadTooLarge), lambda: [good], None, words)


def _graph_seed() -> dict[str, Any]:
    from tests.routes.comfyui.conftest import node, simple_graph

    graph = simple_graph(steps=2)
    graph["10"] = node(
        "LoraLoader",
        lora_name="demo_lora.safetensors",
        strength_model=1,
        strength_clip=1,
        model=["4", 0],
        clip=["4", 1],
    )
    graph["11"] = node(
        "LatentUpscale", upscale_method="bilinear", width=128, height=128, crop="disabled", samples=["3", 0]
    )
    graph["12"] = node(
        "KSampler", **{**graph["3"]["inputs"], "latent_image": ["11", 0], "denoise": 0.5, "model": ["10", 0]}
    )
    graph["8"]["inputs"]["samples"] = ["12", 0]
    return graph


@contextlib.contextmanager
def _graphs() -> Iterator[Target]:
    from sdcpp_rest.errors import InvalidRequest
    from sdcpp_rest.routes.comfyui.opening import open_prompts
    from tests.quick_runtime import quick_app
    from tests.routes.comfyui.conftest import node, simple_graph

    with _house() as house:
        with quick_app(house.runtime).app_context():
            prompts = open_prompts()

        def run(content: bytes) -> None:
            try:
                body = json.loads(content)
            except (ValueError, RecursionError):
                return
            if isinstance(body, dict):
                prompts._read(body)

        masked = simple_graph()
        masked["20"] = node("EmptyImage", width=64, height=64, batch_size=1, color=0)
        masked["21"] = node("ImageScaleBy", image=["20", 0], upscale_method="lanczos", scale_by=2)
        masked["5"] = node("VAEEncode", pixels=["21", 0], vae=["4", 2])
        good = [{"prompt": one, "client_id": "x"} for one in (simple_graph(), _graph_seed(), masked)]
        seeds = [json.dumps(one).encode() for one in good]
        yield Target("graphs", run, (InvalidRequest,), lambda: seeds, _mutate_json_text)


TARGETS: dict[str, Callable[[], AbstractContextManager[Target]]] = {
    "gguf": _model_target("gguf", ".gguf", _ggufs),
    "safetensors": _model_target("safetensors", ".safetensors", _safetensors, _mutate_header),
    "torch": _torch,
    "onnx": _onnx,
    "infotext": _infotext,
    "prompts": _prompts,
    "png": _picture_target(
        "png", lambda: [good_picture("png")], (b"tEXt", b"iTXt", b"zTXt", b"IDAT", b"IEND"), mutate=_mutate_chunk
    ),
    "jpeg": _picture_target(
        "jpeg", lambda: [good_picture("jpeg")], (b"\xff\xe1", b"Exif\0\0", b"\xff\xda", b"\xff\xfe", b"UNICODE\0")
    ),
    "webp": _picture_target("webp", lambda: [good_picture("webp")], (b"EXIF", b"VP8 ", b"VP8X", b"XMP ", b"RIFF")),
    "video": _picture_target(
        "video", lambda: [good_video(), _webm()], (b"moov", b"udta", b"meta", b"ilst", b"\xa9cmt", b"data"), False
    ),
    "multipart": _multipart,
    "graphs": _graphs,
}
