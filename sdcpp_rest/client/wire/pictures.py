"""Types the words of the wire about pictures and videos that are asked for.

Made by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from typing_extensions import NotRequired, Required, TypedDict

SettingsTold: TypeAlias = dict[str, Any]


class Accepted(TypedDict):
    """A job in the queue. Its picture is not there yet: look at `GET /queue/{job_id}`."""

    job_id: str
    status: Literal["pending"]
    position: int
    resolved_prompt: NotRequired[str]
    resolved_negative_prompt: NotRequired[str]
    warnings: NotRequired[list[str]]


class CacheOptionsBody(TypedDict, total=False):
    """Knobs of `cache_mode`, by the library's own names; one that is left out is the library's. Which of them count
    depends on the mode."""

    threshold: float
    start: float
    end: float
    error_decay_rate: float
    use_relative_threshold: bool
    reset_error_on_compute: bool
    fn_compute_blocks: int
    bn_compute_blocks: int
    residual_diff_threshold: float
    max_warmup_steps: int
    max_cached_steps: int
    max_continuous_cached_steps: int
    taylorseer_n_derivatives: int
    taylorseer_skip_interval: int
    scm_mask: str
    scm_policy_dynamic: bool
    spectrum_w: float
    spectrum_m: int
    spectrum_lam: float
    spectrum_window_size: int
    spectrum_flex_window: float
    spectrum_warmup_steps: int
    spectrum_stop_percent: float


class FilesMatched(TypedDict):
    """Which files here are meant. By the hash where it is known here, else by the name."""

    model: str | None
    how: Literal["hash", "name"] | None
    loras: list[LoraMatch]
    vae: str | None
    vae_how: Literal["hash", "name"] | None


class LoraMatch(TypedDict):
    """Which file here a LoRA is."""

    wanted: str
    found: str | None
    how: Literal["hash", "name"] | None


class LoraTold(TypedDict):
    """A LoRA as the file names it."""

    name: str
    weight: float
    hash: NotRequired[str]


class ModelTold(TypedDict):
    """A model as the file names it."""

    name: str
    hash: str


class ReadSettings(TypedDict):
    """What a file says about how it was made."""

    tool: Literal[
        "sdcpp-rest", "a1111", "forge", "swarmui", "comfyui", "invokeai", "fooocus", "novelai", "drawthings", "unknown"
    ]
    format: Literal["png", "jpeg", "webp", "avif", "mp4", "webm"]
    fields: SettingsTold
    unmapped: dict[str, Any]
    raw: dict[str, str]
    matches: FilesMatched
    submit: SubmitTold | None
    notes: list[str]


class SamplingBody(TypedDict, total=False):
    """What pictures and videos have in common. A body that has another default repeats the field."""

    prompt: Required[str]
    negative_prompt: str
    width: int
    height: int
    steps: int
    cfg_scale: float
    distilled_guidance: float
    eta: float
    seed: int
    sampler: str
    scheduler: str
    flow_shift: float
    clip_skip: int
    slg_scale: float
    skip_layers: list[int]
    slg_start: float
    slg_end: float
    custom_sigmas: list[float]
    vae_tiling: bool
    vae_tile_size_x: int
    vae_tile_size_y: int
    vae_tile_overlap: float
    vae_tile_rel_size_x: float
    vae_tile_rel_size_y: float
    vae_tile_rel_size: float
    easycache: bool
    easycache_threshold: float
    easycache_start: float
    easycache_end: float
    cache_mode: Literal["disabled", "easycache", "ucache", "dbcache", "taylorseer", "cache_dit", "spectrum"]
    cache_options: CacheOptionsBody
    expand_prompt: bool
    styles: list[str]
    title: str
    model_name: str
    group: dict[str, Any]
    device: str


class SubmitTold(TypedDict):
    """What draws the same again with the model that is selected, as far as the file tells it."""

    kind: Literal["txt2img", "img2img", "txt2vid"]
    body: dict[str, Any]
    needs: list[str]


class Txt2ImgBody(SamplingBody, total=False):
    """What to draw. The defaults are the API's; a model's own (its sidecar file) and those that users chose replace
    them where there are any."""

    img_cfg_scale: float
    shifted_timestep: int
    batch_count: int
    ref_images: list[str | dict[str, Any]]
    auto_resize_ref_image: bool
    increase_ref_index: bool
    control_image_base64: str | dict[str, Any]
    control_strength: float
    preprocess: Literal["", "canny"]
    hires: bool
    hires_upscaler: str
    hires_scale: float
    hires_width: int
    hires_height: int
    hires_steps: int
    hires_denoising_strength: float
    hires_upscale_tile_size: int
    pm_id_images: list[str | dict[str, Any]]
    pm_id_embed_path: str
    pm_style_strength: float
    upscale: bool
    upscale_repeats: int
    upscale_auto_unload: bool


class Txt2VidBody(SamplingBody, total=False):
    """What to film. The defaults are the API's; a model's own (its sidecar file, its architecture's) and those that
    users chose replace them where there are any."""

    video_frames: int
    fps: int
    output_format: Literal["mp4", "webm", "webp", "frames"]
    init_image_base64: str | dict[str, Any]
    end_image_base64: str | dict[str, Any]
    strength: float
    control_image_base64: str | dict[str, Any]
    control_frames: list[str | dict[str, Any]]
    high_noise_steps: int
    high_noise_cfg_scale: float
    high_noise_sampler: str
    high_noise_scheduler: str
    high_noise_eta: float
    high_noise_distilled_guidance: float
    high_noise_slg_scale: float
    high_noise_skip_layers: list[int]
    high_noise_slg_start: float
    high_noise_slg_end: float
    moe_boundary: float
    vace_strength: float


class Img2ImgBody(Txt2ImgBody, total=False):
    """What to draw, and the picture to start from."""

    init_image_base64: Required[str | dict[str, Any]]
    strength: float
    mask_image_base64: str | dict[str, Any]
