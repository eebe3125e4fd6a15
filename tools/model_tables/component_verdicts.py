"""Asks our own checks which file can be which component of which family, on files that hold headers alone.

Knows neither the native library nor the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from sdcpp_rest.core.architectures import Architecture
from sdcpp_rest.core.load_spec import Component, FileRef, LoadSpec
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.model_headers.inspection import inspect_file
from sdcpp_rest.services.models.load_checks import check_loadable
from tools.synthetic_models.families import FAMILIES, FILES
from tools.synthetic_models.files import write_model
from tools.synthetic_models.tensors import Layers, Recipe, Tensor

ROLES: tuple[Component, ...] = get_args(Component)
Answer = Literal["accepted", "no effect", "refused"]


class Verdict(NamedTuple):
    """What becomes of one file in one role: ``sentence`` is the warning or the refusal, ``field`` what that blames."""

    answer: Answer
    sentence: str = ""
    field: str = ""


def _language_model(width: int, vocabulary: int = 151_936) -> Recipe:
    def recipe() -> Layers:
        layers = Layers()
        layers.embedding("model.embed_tokens.weight", width, vocabulary)
        layers.linear("model.layers.0.self_attn.q_proj", width, width)
        return layers

    return recipe


def _wan_vae(channels: int, width: int) -> Layers:
    layers = Layers()
    layers.convolution("conv2", channels, channels, kernel=1)
    layers.convolution("decoder.conv1", channels, width)
    return layers


def _clip(width: int) -> Layers:
    layers = Layers()
    layers.embedding("text_model.embeddings.token_embedding.weight", width, 49_408)
    layers.linear("text_model.encoder.layers.0.mlp.fc1", width, 4 * width)
    return layers


def _vision(width: int) -> Layers:
    layers = Layers()
    layers.parameter("vision_model.embeddings.class_embedding", width)
    layers.linear("vision_model.encoder.layers.0.mlp.fc1", width, 4 * width)
    return layers


def _controlnet(width: int) -> Layers:
    layers = Layers()
    layers.convolution("control_model.zero_convs.0.0", 320, 320, kernel=1)
    layers.matrix("control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", width, 320)
    return layers


COMPONENT_FILES: dict[str, Recipe] = {
    "VAE of SD 1 to XL": FILES["vae_sd"].recipe,
    "VAE of Flux or SD3": FILES["vae_flux"].recipe,
    "VAE of Flux.2": FILES["vae_flux2"].recipe,
    "VAE of Wan 2.1 or Qwen Image": lambda: _wan_vae(16, 384),
    "VAE of Wan 2.2": lambda: _wan_vae(48, 1024),
    "TAESD": FILES["taesd"].recipe,
    "TAEF1": FILES["taef1"].recipe,
    "TAEF2": FILES["taef2"].recipe,
    "TAEW 2.1": FILES["taew2_1"].recipe,
    "TAEW 2.2": FILES["taew2_2"].recipe,
    "CLIP-L": lambda: _clip(768),
    "CLIP-G": lambda: _clip(1280),
    "OpenCLIP-H": lambda: _clip(1024),
    "CLIP-H vision": lambda: _vision(1280),
    "CLIP-L vision": lambda: _vision(1024),
    "T5-XXL": FILES["t5xxl"].recipe,
    "UMT5-XXL": FILES["umt5"].recipe,
    "Qwen3 0.6B": _language_model(1024),
    "Ovis 2.5's language model": _language_model(2048),
    "Qwen3 4B": _language_model(2560),
    "Ministral 3B": _language_model(3072, 131_072),
    "Qwen2.5-VL 7B": _language_model(3584, 152_064),
    "Mistral Small": _language_model(5120, 131_072),
    "Qwen2.5-VL's vision": FILES["qwen2_5_vision"].recipe,
    "ControlNet of SD 1": lambda: _controlnet(768),
    "ControlNet of SD 2": lambda: _controlnet(1024),
    "ControlNet of SDXL": lambda: _controlnet(2048),
    "PhotoMaker": FILES["photo_maker"].recipe,
    "embedding": FILES["embedding_sd1"].recipe,
    "upscaler": FILES["esrgan_x4"].recipe,
    "LoRA": FILES["lora_flux"].recipe,
    "Wan 2.1 model": FILES["wan21"].recipe,
    "Wan 2.2 I2V model": FILES["wan22_i2v"].recipe,
    "Flux model": FILES["flux"].recipe,
}
"""By what people call them."""

# What the published models read; the synthetic ones read narrower texts.
_TEXT_WIDTHS = {"flux2": 3 * 5120, "klein": 3 * 2560, "ovis": 2048, "ernie": 3072}
_TEXT_READERS = ("txt_in.weight", "text_proj.weight")
_OWN_FILES: dict[str, dict[Component, str]] = {
    "flux2": {"llm": "Mistral Small", "vae": "VAE of Flux.2"},
    "klein": {"llm": "Qwen3 4B", "vae": "VAE of Flux.2"},
    "ovis": {"llm": "Ovis 2.5's language model", "vae": "VAE of Flux or SD3"},
    "ernie": {"llm": "Ministral 3B", "vae": "VAE of Flux.2"},
    "qwen": {"llm": "Qwen2.5-VL 7B", "vae": "VAE of Wan 2.1 or Qwen Image"},
    "zimage": {"llm": "Qwen3 4B", "vae": "VAE of Flux or SD3"},
    "anima": {"llm": "Qwen3 0.6B", "vae": "VAE of Wan 2.1 or Qwen Image"},
    "sd3": {"clip_l": "CLIP-L", "clip_g": "CLIP-G", "vae": "VAE of Flux or SD3"},
    "wan21": {"vae": "VAE of Wan 2.1 or Qwen Image"},
    "wan21_i2v": {"vae": "VAE of Wan 2.1 or Qwen Image", "clip_vision": "CLIP-H vision"},
    "wan22": {"vae": "VAE of Wan 2.2"},
    "wan22_i2v": {"vae": "VAE of Wan 2.1 or Qwen Image"},
    "chroma": {"vae": "VAE of Flux or SD3"},
    "radiance": {},
    **{name: {"clip_l": "CLIP-L", "vae": "VAE of Flux or SD3"} for name in ("flux", "flux_fill", "flux_control")},
}
_TITLES = {"wan21_i2v": "Wan 2.1 I2V"}
CHECKPOINTS = tuple(name for name, family in FAMILIES.items() if family.kind == "checkpoint")
LOADABLE = (*CHECKPOINTS, *_OWN_FILES)
"""Names in FAMILIES: one of each family that can be loaded."""


class Bench:
    """Headers of all families and components below ``folder``, and the checks of every combination."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._specs = {name: self._spec(name) for name in LOADABLE}
        self._own_warnings = {name: check_loadable(spec) for name, spec in self._specs.items()}

    def title(self, name: str) -> str:
        """What the family is called, here and by the server."""
        return _TITLES.get(name, self.family(name).name)

    def family(self, name: str) -> Architecture:
        found = inspect_file(self.model_path(name)).architecture
        assert found is not None
        return found

    def model_path(self, name: str) -> Path:
        """The family's model file."""
        return Path(self._specs[name].model.path)

    def alone(self, name: str) -> Verdict:
        """The model with its own components."""
        return _check(self._specs[name], ())

    def verdict(self, name: str, role: Component, file: str) -> Verdict:
        """The model with its own components, and ``file`` as ``role``."""
        own = self._specs[name]
        spec = own.model_copy(update={"components": {**own.components, role: self._file(file)}})
        return _check(spec, self._own_warnings[name])

    def _spec(self, name: str) -> LoadSpec:
        family = FAMILIES[name]
        recipe, storage = FILES[family.model].recipe, FILES[family.model].storage
        model = self._write(f"{name}.gguf", lambda: _widen_texts(name, recipe()), storage)
        found = inspect_file(model.path).architecture
        assert found is not None
        components = {role: self._file(file) for role, file in _OWN_FILES.get(name, {}).items()}
        return LoadSpec(model=model, kind=family.kind, architecture=found.name, components=components)

    def _file(self, file: str) -> FileRef:
        return self._write(f"{''.join(part for part in file if part.isalnum())}.gguf", COMPONENT_FILES[file])

    def _write(self, name: str, recipe: Callable[[], Iterable[Tensor]], storage: str = "q4_0") -> FileRef:
        path = self._folder / name
        if not path.exists():
            write_model(path, list(recipe()), storage, fill="zero")
        return FileRef(name=name, path=str(path))


def _widen_texts(name: str, tensors: Layers) -> list[Tensor]:
    width = _TEXT_WIDTHS.get(name)
    return [
        tensor._replace(shape=(width, *tensor.shape[1:])) if width and tensor.name in _TEXT_READERS else tensor
        for tensor in tensors
    ]


def _check(spec: LoadSpec, known_warnings: Iterable[str]) -> Verdict:
    known = set(known_warnings)
    try:
        new = [warning for warning in check_loadable(spec) if warning not in known]
    except InvalidRequest as error:
        return Verdict("refused", error.message, str(error.detail.get("field", "")))
    return Verdict("no effect", " ".join(new)) if new else Verdict("accepted")


def list_accepted(bench: Bench, name: str) -> Mapping[Component, list[str]]:
    """The files that a family takes in each role; those without effect are left out."""
    return {
        role: [file for file in COMPONENT_FILES if bench.verdict(name, role, file).answer == "accepted"]
        for role in ROLES
    }
