"""Defines what it takes to load a model: which files, with which options. Stored with every job, so that a job draws
the same picture after a restart or after someone selects another model. Paths here are absolute and already checked."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from sdcpp_rest.core.bounds import MAX_RULES_LENGTH, Bounds, Length, Words
from sdcpp_rest.core.frozen import Frozen

ModelKind = Literal["checkpoint", "diffusion"]
Component = Literal[
    "vae", "clip_l", "clip_g", "clip_vision", "t5xxl", "controlnet", "llm", "llm_vision", "taesd",
    "high_noise_diffusion_model", "photo_maker",
]  # fmt: skip

_RNG_TYPES = ("std_default", "cuda", "cpu")
_PREDICTIONS = ("eps", "v", "edm_v", "sd3_flow", "flux_flow", "flux2_flow")
_Threads = Annotated[int, Bounds(1, 256, besides=-1)]
_Tile = Annotated[int, Bounds(0, 4096)]


class FileRef(Frozen):
    """One model file: ``name`` as users see it (relative to its type folder), ``path`` absolute."""

    name: str
    path: str


class LoadOptions(Frozen):
    """The options of ``POST /models/load``, plus what the library has beyond them.

    ``None`` means "the server decides" (flash attention: see `flash_attention`) or "the library decides".
    The vae_tiling_* and flow_shift options are per-generation in the library; here they are the defaults of later jobs.
    """

    n_threads: _Threads = -1
    keep_clip_on_cpu: bool = True
    keep_vae_on_cpu: bool = False
    keep_controlnet_on_cpu: bool = False
    flash_attn: bool | None = None
    diffusion_flash_attn: bool | None = None
    offload_to_cpu: bool = False
    enable_mmap: bool = True
    vae_decode_only: bool = True
    tae_preview_only: bool = False
    free_params_immediately: bool = False
    vae_conv_direct: bool = False
    diffusion_conv_direct: bool = False
    force_sdxl_vae_conv_scale: bool = False
    flow_shift: Annotated[float | None, Bounds(0, 1000, besides=math.inf)] = None
    weight_type: str = ""
    tensor_type_rules: Annotated[str, Length(MAX_RULES_LENGTH)] = ""
    rng_type: Annotated[str, Words(_RNG_TYPES)] = "cuda"
    sampler_rng_type: Annotated[str, Words(("", *_RNG_TYPES))] = ""
    prediction: Annotated[str, Words(("", *_PREDICTIONS))] = ""
    lora_apply_mode: Annotated[str, Words(("auto", "immediately", "at_runtime"))] = "auto"
    vae_tiling: bool = False
    vae_tile_size_x: _Tile = 0
    vae_tile_size_y: _Tile = 0
    vae_tile_overlap: Annotated[float, Bounds(0, 1)] = 0.5
    circular_x: bool = False
    circular_y: bool = False
    chroma_use_dit_mask: bool = True
    chroma_use_t5_mask: bool = False
    chroma_t5_mask_pad: Annotated[int, Bounds(0, 512)] = 1
    qwen_image_zero_cond_t: bool = False
    max_vram: Annotated[float, Bounds(0, 1_048_576)] = 0.0


class UpscalerSpec(Frozen):
    """A loadable ESRGAN upscaler. ``tile_size`` in pixels of the input; ``n_threads`` of -1: the server decides."""

    model: FileRef
    tile_size: Annotated[int, Bounds(16, 4096)] = 128
    n_threads: _Threads = -1


class LoadSpec(Frozen):
    """A loadable model: the main file, its components by role, the options, and the embeddings (textual inversion)
    that its prompts may name."""

    model: FileRef
    kind: ModelKind
    architecture: str | None = None
    components: Mapping[str, FileRef] = Field(default_factory=dict)
    options: LoadOptions = LoadOptions()
    embeddings: tuple[FileRef, ...] = ()

    @property
    def key(self) -> str:
        """A digest that is equal for equal specs: decides whether the engine already holds this model."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def serves(self, wanted: LoadSpec) -> bool:
        """Whether a job that is bound to ``wanted`` draws the same with this spec in the engine: also when this one
        holds the VAE's encoder besides, which the other does without."""
        if not self.options.vae_decode_only and wanted.options.vae_decode_only:
            return self == wanted.with_encoder
        return self == wanted

    @property
    def with_encoder(self) -> LoadSpec:
        """The same model with the VAE's encoder, which pictures that start from pictures need."""
        return self.model_copy(update={"options": self.options.model_copy(update={"vae_decode_only": False})})

    @property
    def without_encoder(self) -> LoadSpec:
        """The same model without the VAE's encoder."""
        return self.model_copy(update={"options": self.options.model_copy(update={"vae_decode_only": True})})

    @property
    def component_names(self) -> dict[str, str | None]:
        """The seven components that the native API shows, by role; ``None`` where none is loaded."""
        shown = ("vae", "clip_l", "clip_g", "t5xxl", "controlnet", "llm", "llm_vision")
        return {role: self.components[role].name if role in self.components else None for role in shown}
