"""Types the words of the wire about what users choose while the server runs.

Made by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from typing_extensions import NotRequired, TypedDict

from sdcpp_rest.client.wire.pictures import CacheOptionsBody

AnyDefaultsBody: TypeAlias = dict[str, Any]

DefaultsShown: TypeAlias = dict[str, Any]

Preferences: TypeAlias = dict[str, Any]

PreferencesBody: TypeAlias = dict[str, Any]


class AllDefaultsBody(TypedDict, total=False):
    """Of each kind of request; a kind that is left out stays as it is."""

    txt2img: Txt2imgDefaults
    img2img: Img2imgDefaults
    txt2vid: Txt2vidDefaults


class AllDefaultsChanged(TypedDict):
    """The answer of `PUT /settings/generation`."""

    success: Literal[True]
    settings: AllDefaultsShown
    warnings: NotRequired[list[str]]


class AllDefaultsShown(TypedDict):
    """What was chosen, by kind of request."""

    txt2img: DefaultsShown
    img2img: DefaultsShown
    txt2vid: DefaultsShown


class AutoUnloadBody(TypedDict, total=False):
    """What to change; what is left out stays as it is."""

    main: IdleRestBody
    upscaler: IdleRestBody
    adetailer: IdleRestBody


class AutoUnloadShown(TypedDict):
    """When the model and the upscaler are freed because nobody uses them; the next job loads them again."""

    main: IdleRestShown
    upscaler: IdleRestShown
    adetailer: IdleRestShown
    warnings: NotRequired[list[str]]


class BinRulesBody(TypedDict, total=False):
    """What to change; what is left out stays as it is."""

    enabled: bool
    retention_minutes: int


class BinRulesShown(TypedDict):
    """What becomes of deleted jobs."""

    enabled: bool
    retention_minutes: int
    warnings: NotRequired[list[str]]


class DefaultsChanged(TypedDict):
    """The answer of `PUT /settings/generation/{mode}`."""

    success: Literal[True]
    mode: Literal["txt2img", "img2img", "txt2vid"]
    preferences: DefaultsShown
    warnings: NotRequired[list[str]]


class IdleRestBody(TypedDict, total=False):
    """A part of `AutoUnloadBody`."""

    enabled: bool
    timeout_minutes: int


class IdleRestShown(TypedDict):
    """A part of `AutoUnloadShown`."""

    enabled: bool
    timeout_minutes: float


class Img2imgDefaults(TypedDict, total=False):
    """What `POST /img2img` takes for fields that a request leaves out."""

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
    img_cfg_scale: float
    shifted_timestep: int
    batch_count: int
    auto_resize_ref_image: bool
    increase_ref_index: bool
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
    pm_style_strength: float
    upscale: bool
    upscale_repeats: int
    upscale_auto_unload: bool
    strength: float


class OutputBody(TypedDict, total=False):
    """The body of `PUT /settings/output`."""

    group_by: str
    output_group_folders: bool


class OutputShown(TypedDict):
    """How the folders of finished jobs are grouped."""

    group_by: Literal["none"]
    output_group_folders: bool
    warnings: NotRequired[list[str]]


class PreferencesChanged(TypedDict):
    """The answer of `PUT /settings/preferences`."""

    success: Literal[True]
    settings: Preferences


class PreviewBody(TypedDict, total=False):
    """What to change; what is left out stays as it is."""

    enabled: bool
    mode: Literal["none", "proj", "tae", "vae"]
    interval: int
    max_size: int
    quality: int


class PreviewChanged(TypedDict):
    """The settings in force now."""

    success: Literal[True]
    settings: PreviewShown
    warnings: NotRequired[list[str]]


class PreviewShown(TypedDict):
    """How previews are made."""

    enabled: bool
    mode: Literal["none", "proj", "tae", "vae"]
    interval: int
    max_size: int
    quality: int


class ResetBody(TypedDict, total=False):
    """May be left out."""

    section: Literal["generation", "preferences", "output", "auto-unload", "recycle-bin"]


class ResetDone(TypedDict):
    """The answer of `POST /settings/reset`."""

    success: Literal[True]
    message: str
    reset: list[Literal["generation", "preferences", "output", "auto-unload", "recycle-bin"]]


class Txt2imgDefaults(TypedDict, total=False):
    """What `POST /txt2img` takes for fields that a request leaves out."""

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
    img_cfg_scale: float
    shifted_timestep: int
    batch_count: int
    auto_resize_ref_image: bool
    increase_ref_index: bool
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
    pm_style_strength: float
    upscale: bool
    upscale_repeats: int
    upscale_auto_unload: bool


class Txt2vidDefaults(TypedDict, total=False):
    """What `POST /txt2vid` takes for fields that a request leaves out."""

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
    video_frames: int
    fps: int
    output_format: Literal["mp4", "webm", "webp", "frames"]
    strength: float
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
