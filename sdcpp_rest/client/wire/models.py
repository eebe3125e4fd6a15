"""Types the words of the wire about models and their components, and what is loaded of them.

Made by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import NotRequired, Required, TypedDict


class ArchitecturesShown(TypedDict):
    """All presets by their names, and that of the current model."""

    architectures: dict[str, PresetShown]
    current_architecture: str | None
    current_preset: PresetShown | None


class Components(TypedDict):
    """The components that are loaded with a model; `null` where it needs none."""

    vae: str | None
    clip_l: str | None
    clip_g: str | None
    t5xxl: str | None
    controlnet: str | None
    llm: str | None
    llm_vision: str | None


class ControlNetBody(TypedDict, total=False):
    """Which ControlNet to draw with."""

    controlnet: Required[str]
    force: bool


class ControlNetChanged(TypedDict):
    """The model is in the engine's memory with this ControlNet, or without one."""

    success: Literal[True]
    message: str
    name: str | None
    model_name: str
    reloaded: bool
    load_seconds: float
    warnings: NotRequired[list[str]]


class ControlNetStatus(TypedDict):
    """The ControlNet that the engine holds."""

    loaded: bool
    name: str | None
    selected: str | None


class DetectQuery(TypedDict, total=False):
    """The query of `GET /architectures/detect`."""

    model: Required[str]
    type: str


class DetectionShown(TypedDict):
    """What a model file is, and what goes with it."""

    model: str
    type: Literal[
        "checkpoint", "diffusion", "vae", "lora", "clip", "t5", "controlnet", "llm", "esrgan", "taesd", "embedding"
    ]
    contents: str
    detected: bool
    model_architecture: str | None
    architecture: PresetShown | None
    preset: str | None
    confidence: Literal["certain", "likely", "assumed"] | None
    why: str | None
    inside: list[str]
    missing: list[str]
    suggestions: dict[str, list[SuggestionShown]]
    left_out: int
    warnings: list[str]


class HashShown(TypedDict):
    """The answer of `GET /models/hash/{model_type}/{model_name}`."""

    model_name: str
    model_type: Literal[
        "checkpoint", "diffusion", "vae", "lora", "clip", "t5", "controlnet", "llm", "esrgan", "taesd", "embedding"
    ]
    hash: str


class IgnoredShown(TypedDict):
    """A field of a request that a model makes no use of."""

    field: str
    reason: str


class LoadBody(TypedDict, total=False):
    """What to load. Components are names as `GET /models` lists them; empty: none; left out: the model's own choice."""

    model_name: Required[str]
    model_type: Literal["checkpoint", "diffusion"]
    vae: str
    clip_l: str
    clip_g: str
    clip_vision: str
    t5xxl: str
    controlnet: str
    llm: str
    llm_vision: str
    taesd: str
    high_noise_diffusion_model: str
    photo_maker: str
    embeddings: list[str]
    options: LoadOptionsBody
    all_engines: bool


class LoadOptionsBody(TypedDict, total=False):
    """How to load. What is left out is the model's own choice (its sidecar file), else the default."""

    n_threads: int
    keep_clip_on_cpu: bool | Literal["auto"]
    keep_vae_on_cpu: bool
    keep_controlnet_on_cpu: bool
    flash_attn: bool
    diffusion_flash_attn: bool
    offload_to_cpu: bool
    enable_mmap: bool
    vae_decode_only: bool
    tae_preview_only: bool
    free_params_immediately: bool
    vae_conv_direct: bool
    diffusion_conv_direct: bool
    force_sdxl_vae_conv_scale: bool
    flow_shift: float
    weight_type: str
    tensor_type_rules: str
    rng_type: str
    sampler_rng_type: str
    prediction: str
    lora_apply_mode: str
    vae_tiling: bool
    vae_tile_size_x: int
    vae_tile_size_y: int
    vae_tile_overlap: float
    circular_x: bool
    circular_y: bool
    chroma_use_dit_mask: bool
    chroma_use_t5_mask: bool
    chroma_t5_mask_pad: int
    qwen_image_zero_cond_t: bool
    max_vram: float


class LoadQuery(TypedDict, total=False):
    """The query of `POST /models/load`."""

    wait: bool
    timeout: float


class LoadStarted(TypedDict):
    """A load under way: `GET /health` and the WebSocket tell of its end."""

    success: Literal[True]
    message: str
    status: Literal["loading"]
    model_name: str
    model_type: Literal["checkpoint", "diffusion"]
    warnings: NotRequired[list[str]]


class Loaded(TypedDict):
    """A model that is in the engine's memory now, and that new jobs will use."""

    success: Literal[True]
    message: str
    model_name: str
    model_type: Literal["checkpoint", "diffusion"]
    loaded_components: Components
    model_architecture: str | None
    load_seconds: float
    warnings: NotRequired[list[str]]


class MatchShown(TypedDict):
    """For clients that choose a preset by what `GET /health` tells."""

    architecture: str
    nameRegex: NotRequired[str]


class ModelShown(TypedDict):
    """A model file."""

    name: str
    type: Literal[
        "checkpoint", "diffusion", "vae", "lora", "clip", "t5", "controlnet", "llm", "esrgan", "taesd", "embedding"
    ]
    file_extension: str
    size_bytes: int
    hash: str | None
    is_loaded: NotRequired[bool]
    kept_by: NotRequired[list[str]]
    parts: NotRequired[int]
    extra_folder: NotRequired[str]


class ModelWords(TypedDict):
    """What a model's sidecar says for people. Long texts are cut."""

    name: str
    display_name: str
    description: str
    licence: str
    recommended_sides: SidesShown | None


class ModelsQuery(TypedDict, total=False):
    """The query of `GET /models`."""

    type: str
    extension: str
    search: str
    name: str


class ModelsShown(TypedDict):
    """All model files, a list per type."""

    checkpoints: list[ModelShown]
    diffusion_models: list[ModelShown]
    vae: list[ModelShown]
    loras: list[ModelShown]
    clip: list[ModelShown]
    t5: list[ModelShown]
    controlnets: list[ModelShown]
    llm: list[ModelShown]
    esrgan: list[ModelShown]
    taesd: list[ModelShown]
    embeddings: list[ModelShown]
    loaded_model: str | None
    loaded_model_type: Literal["checkpoint", "diffusion"] | None
    applied_filters: NotRequired[dict[str, str]]


class NoControlNetBody(TypedDict, total=False):
    """May be left out."""

    force: bool


class PresetShown(TypedDict):
    """A family of models, or a variant of one."""

    id: str
    name: str
    aliases: list[str]
    display_name: str
    description: str
    requiredComponents: list[str]
    optionalComponents: list[str]
    generationDefaults: dict[str, Any]
    loadOptions: dict[str, Any]
    imageEditMode: Literal["ref_images"] | None
    match: MatchShown
    loadDefaults: dict[str, Any]
    architecture: str
    makes_images: bool
    makes_video: bool
    takes_controlnet: bool
    takes_photo_maker: bool
    takes_reference_images: bool
    unusable: str | None
    uses: list[str]
    ignores: list[IgnoredShown]
    native_pixels: int
    size_multiple: int
    sizes: list[SizeShown]
    recommended: RecommendedSettings
    model: NotRequired[ModelWords]


class RangeShown(TypedDict):
    """Where a number makes sense."""

    min: float
    max: float
    recommended: float


class RecommendedSettings(TypedDict):
    """Settings that a model draws well with."""

    steps: NotRequired[RangeShown]
    cfg_scale: NotRequired[RangeShown]
    sampler: NotRequired[str]
    scheduler: NotRequired[str]


class SidesShown(TypedDict):
    """Sides of pictures in pixels."""

    min_side: int
    max_side: int


class SizeShown(TypedDict):
    """A size in pixels."""

    ratio: str
    width: int
    height: int


class SuggestionShown(TypedDict):
    """A file that fits as a component."""

    name: str
    type: Literal[
        "checkpoint", "diffusion", "vae", "lora", "clip", "t5", "controlnet", "llm", "esrgan", "taesd", "embedding"
    ]
    form: str
    why: str


class UnloadBody(TypedDict, total=False):
    """May be left out."""

    force: bool
    model_name: str


class Unloaded(TypedDict):
    """The answer of `POST /models/unload`."""

    success: Literal[True]
    message: str
    warnings: NotRequired[list[str]]
