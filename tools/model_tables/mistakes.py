"""Makes common mistakes against a server with a pretended engine, and takes down what it answers.

The server, its checks and its sentences are the real ones; only what would compute pretends to.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flask.testing import FlaskClient

from sdcpp_rest.config import Config
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.sampling import SAMPLERS, SCHEDULERS
from sdcpp_rest.engine.fake_runner import FakeRunner
from sdcpp_rest.engine.native_requests import crop_pictures
from sdcpp_rest.engine.protocol import Loaded, Ready
from sdcpp_rest.engine.refused_memory import DeviceMemory, MemoryWatch
from sdcpp_rest.engine.runner import Report, RunFailed
from sdcpp_rest.errors import OutOfMemory
from sdcpp_rest.native.images import RawImage
from sdcpp_rest.runtime import Runtime, inline_launcher
from sdcpp_rest.web.app import create_app
from tools.model_tables.component_verdicts import COMPONENT_FILES
from tools.model_tables.lora_changes import low_rank, without_alpha
from tools.model_tables.lora_models import write_lora
from tools.synthetic_models import flux_like
from tools.synthetic_models.files import write_model
from tools.synthetic_models.tensors import Tensor

_TOO_LARGE = "flux1-dev-f16.gguf"
_MEMORY_LOG = (
    "allocating 22700.25 MiB on device 0: cudaMalloc failed: out of memory",
    "flux alloc params backend buffer failed, num_tensors = 780",
)
"""What the library says on a card of 24 GB that a display uses too."""
_CARD = DeviceMemory("CUDA0", True, 22_300 << 20)
_REMOVED_TYPE = 31  # Q4_0_4_4, which ggml no longer has
_PARTS = {"clip_l": "clip_l.gguf", "vae": "ae.gguf"}
_FLUX_KEY = "lora_unet_double_blocks_0_img_attn_qkv"
_XL_KEY = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"


class Mistake(NamedTuple):
    """A request, what it got wrong, and what helps. A load is sent to /models/load, all else to /txt2img."""

    title: str
    request: Mapping[str, Any]
    remedy: str

    @property
    def url(self) -> str:
        return "/models/load" if "model_name" in self.request else "/txt2img"


MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "The VAE is another family's",
        {"model_name": "flux1-schnell.gguf", "clip_l": "clip_l.gguf", "vae": "sdxl_vae.gguf"},
        "Take the file that the sentence names. [Which file fits which family](model-files.md#components).",
    ),
    Mistake(
        "The text encoder is missing",
        {"model_name": "flux1-schnell.gguf", "vae": "ae.gguf"},
        "Name the files that the model does not bring along: `clip_l`, `t5xxl`, `llm`, `vae`. Bundles of "
        "`sdcpp-rest download` have all of them.",
    ),
    Mistake(
        "The language model is of another size",
        {"model_name": "flux2-klein.gguf", "llm": "ovis2.5-llm.gguf", "vae": "flux2-vae.gguf"},
        "Take the language model that the picture model was trained with.",
    ),
    Mistake(
        "A name is misspelt",
        {"model_name": "flux1-shnell.gguf"},
        "`GET /models` lists the names; after copying files, `POST /models/refresh`.",
    ),
    Mistake(
        "A download broke off",
        {"model_name": "half.safetensors", **_PARTS},
        "Download the file again; `sdcpp-rest download` goes on where it stopped.",
    ),
    Mistake(
        "A web page was saved under a model's name",
        {"model_name": "page.safetensors", **_PARTS},
        "Use the link of the download button, not of the page around it. Some sites need an access token.",
    ),
    Mistake(
        "A language model is loaded as the picture model",
        {"model_name": "qwen3-4b-chat.gguf"},
        "Load the picture model, and name the language model as `llm`.",
    ),
    Mistake(
        "A GGUF file has a number format that is gone",
        {"model_name": "old-quant.gguf", **_PARTS},
        "Take a file of another quantization (Q4_0, Q4_K, Q8_0 and so on), or convert the original again.",
    ),
    Mistake(
        "A file holds scaled FP8",
        {"model_name": "flux1-dev-fp8-scaled.safetensors", **_PARTS},
        "Convert it, or take a GGUF, or a file in plain FP8, F16 or BF16.",
    ),
    Mistake(
        "The model is too large for the graphics card",
        {"model_name": _TOO_LARGE, **_PARTS},
        "`GET /models/{type}/{name}/fit` says beforehand what fits.",
    ),
    Mistake(
        "A LoRA is another family's",
        {"prompt": "a lighthouse <lora:sdxl-style:0.8>"},
        "Take a LoRA that was made for the family of the loaded model.",
    ),
    Mistake(
        "A LoRA has keys that are not found",
        {"prompt": "a lighthouse <lora:peft-style:0.8>"},
        "Take the file that was made for ComfyUI. [Which LoRA has which effect](model-files.md#loras).",
    ),
    Mistake(
        "A LoRA is unknown",
        {"prompt": "a lighthouse <lora:wattercolour:0.8>"},
        "`GET /models` lists them; a tag has the file's name, with or without its ending.",
    ),
    Mistake(
        "The sampler is unknown",
        {"prompt": "a lighthouse", "sampler": "DPM++ 2M Karras"},
        "`GET /options` lists samplers and schedulers. Karras is a scheduler: `dpm++2m` with `karras`.",
    ),
    Mistake(
        "The size is no multiple",
        {"prompt": "a lighthouse", "width": 500, "height": 300},
        "Nothing is wrong: the picture has the size that was asked for. Multiples of 64 waste nothing.",
    ),
    Mistake(
        "The size is beyond the limit",
        {"prompt": "a lighthouse", "width": 8192, "height": 512},
        "Draw smaller and enlarge (`hires`, `/upscale`), or raise the limit in the [settings](config.md).",
    ),
)


class Answer(NamedTuple):
    """What the server answered: the status, its code for errors, and the sentences."""

    status: int
    code: str
    sentences: tuple[str, ...]


def make_mistakes() -> dict[str, Answer]:
    """Every mistake's answer, by its title."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _write_files(root / "models")
        paths = {f"{name}_dir": root / name for name in ("data", "models", "output", "log")}
        config = Config.model_validate({"paths": paths, "engine": {"stop_timeout_seconds": 1}})
        runtime = Runtime(config, launcher=inline_launcher(_CrampedRunner))
        runtime.start()
        try:
            client = create_app(runtime).test_client()
            _load_good_model(client)
            return {mistake.title: _answer(client, mistake) for mistake in MISTAKES}
        finally:
            runtime.stop()


class _CrampedRunner(FakeRunner):
    """A pretended engine on a card that the largest model does not fit, with the library's lists of names."""

    def __init__(self) -> None:
        super().__init__(inline=True)

    def ready(self) -> Ready:
        return super().ready().model_copy(update={"samplers": SAMPLERS, "schedulers": SCHEDULERS})

    def load(self, spec: LoadSpec, free: Iterable[str], report: Report) -> Loaded:
        if spec.model.name != _TOO_LARGE:
            return super().load(spec, free, report)
        watch = MemoryWatch(lambda: [_CARD])
        watch.begin(spec.options)
        for line in _MEMORY_LOG:
            watch.hear(line)
        raise RunFailed(watch.sentence(), code=OutOfMemory.code)


def _load_good_model(client: FlaskClient) -> None:
    loaded = client.post("/models/load", json={"model_name": "flux1-schnell.gguf", **_PARTS})
    if loaded.status_code != 200:
        raise RuntimeError(loaded.text)


def _answer(client: FlaskClient, mistake: Mistake) -> Answer:
    answer = client.post(mistake.url, json=dict(mistake.request))
    body = answer.get_json()
    if answer.status_code == 202:  # told by the job, when it is drawn
        return Answer(202, "", _warn_of_cropping(int(mistake.request["width"]), int(mistake.request["height"])))
    if mistake.request.get("model_name") == _TOO_LARGE:
        _load_good_model(client)
    nearest = body.get("nearest", ())
    told = (
        f"{body['error']} (nearest: {', '.join(nearest)})"
        if nearest and mistake.url == "/models/load"
        else body["error"]
    )
    return Answer(answer.status_code, body["code"], (told,))


def _warn_of_cropping(width: int, height: int) -> tuple[str, ...]:
    """The warning about a picture of Flux, which draws in steps of 16 pixels."""
    across, down = -(-width // 16) * 16, -(-height // 16) * 16
    return crop_pictures([RawImage(across, down, 3, bytes(across * down * 3))], (width, height))[1]


# --- files ------------------------------------------------------------------------------------------------------------


def _write_files(models: Path) -> None:
    schnell = flux_like.flux(guidance=False)
    for name, tensors in {
        "diffusion_models/flux1-schnell.gguf": schnell,
        f"diffusion_models/{_TOO_LARGE}": flux_like.flux(),
        "diffusion_models/flux2-klein.gguf": _wide_klein(),
        "diffusion_models/qwen3-4b-chat.gguf": COMPONENT_FILES["Qwen3 4B"](),
        "diffusion_models/half.safetensors": schnell,
        "clip/clip_l.gguf": COMPONENT_FILES["CLIP-L"](),
        "llm/ovis2.5-llm.gguf": COMPONENT_FILES["Ovis 2.5's language model"](),
        "vae/ae.gguf": COMPONENT_FILES["VAE of Flux or SD3"](),
        "vae/flux2-vae.gguf": COMPONENT_FILES["VAE of Flux.2"](),
        "vae/sdxl_vae.gguf": COMPONENT_FILES["VAE of SD 1 to XL"](),
    }.items():
        write_model(models / name, list(tensors), fill="zero")
    half = models / "diffusion_models/half.safetensors"
    with half.open("r+b") as file:
        file.truncate(half.stat().st_size // 2)
    (models / "diffusion_models/page.safetensors").write_bytes(b"<!doctype html><html><body>Sign in</body></html>")
    _write_old_quantization(models / "diffusion_models/old-quant.gguf")
    _write_scaled(models / "diffusion_models/flux1-dev-fp8-scaled.safetensors", schnell)
    peft = low_rank("mistake", 384, 128, "lora_A", "lora_B")
    loras = {
        "watercolour": (_FLUX_KEY, low_rank("mistake", 384, 128)),
        "sdxl-style": (_XL_KEY, low_rank("mistake", 640, 2048)),
        "peft-style": ("base_model.model.double_blocks.0.img_attn.qkv", without_alpha(peft)),
    }
    for name, (key, stored) in loras.items():
        tensors = {f"{key}.{ending}": array for ending, array in stored.tensors.items()}
        write_lora(models / f"loras/{name}.safetensors", tensors)


def _wide_klein() -> Iterable[Tensor]:
    """With the width of text that the published model reads."""
    for tensor in flux_like.klein():
        yield tensor._replace(shape=(3 * 2560, flux_like.HIDDEN)) if tensor.name == "txt_in.weight" else tensor


def _write_old_quantization(path: Path) -> None:
    name = b"double_blocks.0.img_attn.qkv.weight"
    header = b"GGUF" + struct.pack("<IQQQ", 3, 1, 0, len(name)) + name
    path.write_bytes(header + struct.pack("<IQQIQ", 2, 128, 384, _REMOVED_TYPE, 0) + bytes(64_000))


def _write_scaled(path: Path, tensors: Iterable[Tensor]) -> None:
    """Each matrix of 8-bit numbers with its scale beside it."""
    header: dict[str, Any] = {}
    offset = 0
    for name, shape, role in tensors:
        described = [(name, "F8_E4M3" if role == "matrix" else "F16", list(reversed(shape)))]
        if role == "matrix":
            described.append((f"{name.removesuffix('.weight')}.scale_weight", "F32", [1]))
        for title, kind, sides in described:
            size = {"F8_E4M3": 1, "F16": 2, "F32": 4}[kind]
            for side in sides:
                size *= side
            header[title] = {"dtype": kind, "shape": sides, "data_offsets": [offset, offset + size]}
            offset += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with path.open("r+b") as file:
        file.truncate(8 + len(text) + offset)
