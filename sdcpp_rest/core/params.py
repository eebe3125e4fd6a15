"""What a job asks for, in the native dialect's words (they are the house's words too): pictures, videos, upscaling,
conversion.

Pure values: every default of an omitted field has been filled in, every name checked. Paths of models, LoRAs and input
images are absolute and were resolved inside the allowed folders before a value of this room was built.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, TypeAdapter

from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.job import JobKind
from sdcpp_rest.core.load_spec import FileRef, UpscalerSpec

CacheMode = Literal["disabled", "easycache", "ucache", "dbcache", "taylorseer", "cache_dit", "spectrum"]
VideoFormat = Literal["mp4", "webm", "webp", "frames"]


class LoraUse(Frozen):
    """One ``<lora:name:weight>`` of the prompt, resolved."""

    name: str
    path: str
    weight: float
    is_high_noise: bool = False


class CacheOptions(Frozen):
    """The library's own knobs of its step caches, by the library's own names; ``None`` leaves one to the library.

    Which of them count depends on the mode. ``start`` and ``end`` are shares of the steps.
    """

    threshold: float | None = None
    start: float | None = None
    end: float | None = None
    error_decay_rate: float | None = None
    use_relative_threshold: bool | None = None
    reset_error_on_compute: bool | None = None
    fn_compute_blocks: int | None = None
    bn_compute_blocks: int | None = None
    residual_diff_threshold: float | None = None
    max_warmup_steps: int | None = None
    max_cached_steps: int | None = None
    max_continuous_cached_steps: int | None = None
    taylorseer_n_derivatives: int | None = None
    taylorseer_skip_interval: int | None = None
    scm_mask: str | None = None
    scm_policy_dynamic: bool | None = None
    spectrum_w: float | None = None
    spectrum_m: int | None = None
    spectrum_lam: float | None = None
    spectrum_window_size: int | None = None
    spectrum_flex_window: float | None = None
    spectrum_warmup_steps: int | None = None
    spectrum_stop_percent: float | None = None


class SamplingParams(Frozen):
    """What pictures and videos have in common.

    Sizes in pixels. ``seed`` is the real one (never -1: the server draws it). ``eta`` and ``flow_shift`` of ``None``
    leave the choice to the library. ``prompt`` is what the user wrote, LoRA tags included; ``loras`` is what those tags
    mean. ``easycache`` is short for a ``cache_mode`` of that name with its three numbers; another ``cache_mode`` wins.
    """

    prompt: str
    negative_prompt: str = ""
    width: int = 512
    height: int = 512
    steps: int = 20
    cfg_scale: float = 7.0
    distilled_guidance: float = 3.5
    eta: float | None = None
    flow_shift: float | None = None
    seed: int = 0
    sampler: str = "euler_a"
    scheduler: str = "discrete"
    clip_skip: int = -1
    slg_scale: float = 0.0
    skip_layers: tuple[int, ...] = (7, 8, 9)
    slg_start: float = 0.01
    slg_end: float = 0.2
    custom_sigmas: tuple[float, ...] = ()
    strength: float = 0.75
    vae_tiling: bool = False
    vae_tile_size_x: int = 0
    vae_tile_size_y: int = 0
    vae_tile_overlap: float = 0.5
    vae_tile_rel_size_x: float = 0.0
    vae_tile_rel_size_y: float = 0.0
    easycache: bool = False
    easycache_threshold: float = 0.2
    easycache_start: float = 0.15
    easycache_end: float = 0.95
    cache_mode: CacheMode = "disabled"
    cache_options: CacheOptions = CacheOptions()
    loras: tuple[LoraUse, ...] = Field(default=())

    @property
    def picture_count(self) -> int:
        """How many pictures the library draws for this."""
        return 1


class ImageParams(SamplingParams):
    """Parameters of ``txt2img`` and ``img2img``; field names and defaults as the native API documents them.

    Picture k of a batch uses ``seed + k``. ``img_cfg_scale`` of ``None`` follows ``cfg_scale``. ``hires_width`` and
    ``hires_height`` of 0 mean ``hires_scale``; ``hires_steps`` of 0 repeats ``steps``; ``hires_model`` is the ESRGAN
    file of the hires upscaler ``Model``. ``upscaler`` is set when ``upscale`` is.
    """

    img_cfg_scale: float | None = None
    shifted_timestep: int = 0
    batch_count: int = 1
    auto_resize_ref_image: bool = True
    increase_ref_index: bool = False
    control_strength: float = 0.9
    preprocess: Literal["", "canny"] = ""
    hires: bool = False
    hires_upscaler: str = "Latent"
    hires_model: FileRef | None = None
    hires_scale: float = 2.0
    hires_width: int = 0
    hires_height: int = 0
    hires_steps: int = 0
    hires_denoising_strength: float = 0.7
    hires_upscale_tile_size: int = 128
    pm_id_embed: FileRef | None = None
    pm_style_strength: float = 20.0
    upscale: bool = False
    upscale_repeats: int = 1
    upscale_auto_unload: bool = True
    upscaler: UpscalerSpec | None = None

    @property
    def picture_count(self) -> int:
        return self.batch_count

    @property
    def picture_size(self) -> tuple[int, int]:
        """Width and height of the pictures, hires fix included, before any upscaling."""
        if not self.hires:
            return self.width, self.height
        if self.hires_width and self.hires_height:
            return self.hires_width, self.hires_height
        return round(self.width * self.hires_scale), round(self.height * self.hires_scale)


class VideoParams(SamplingParams):
    """Parameters of ``txt2vid``. ``high_noise_*`` are the first phase's of a mixture of two experts (Wan 2.2);
    ``high_noise_steps`` of -1 and an empty ``high_noise_sampler`` mean "as the library, or the main phase, has it".

    ``video_frames`` is what was asked for; the library makes the nearest lower 4n+1. ``fps`` goes into the file alone.
    """

    width: int = 832
    height: int = 480
    steps: int = 30
    cfg_scale: float = 6.0
    flow_shift: float | None = 3.0
    sampler: str = "euler"
    video_frames: int = 33
    fps: int = 16
    output_format: VideoFormat = "mp4"
    high_noise_steps: int = -1
    high_noise_cfg_scale: float = 7.0
    high_noise_sampler: str = ""
    high_noise_scheduler: str = ""
    high_noise_eta: float | None = None
    high_noise_distilled_guidance: float = 3.5
    high_noise_slg_scale: float = 0.0
    high_noise_skip_layers: tuple[int, ...] = (7, 8, 9)
    high_noise_slg_start: float = 0.01
    high_noise_slg_end: float = 0.2
    moe_boundary: float = 0.875
    vace_strength: float = 1.0

    @property
    def frame_count(self) -> int:
        """How many frames the library makes of ``video_frames``."""
        return (self.video_frames - 1) // 4 * 4 + 1

    def step_count(self, *, has_two_experts: bool) -> int:
        """How many steps the video takes: those of the high-noise phase count along when they were asked for one by
        one, and are a part of ``steps`` otherwise."""
        if self.custom_sigmas:
            return len(self.custom_sigmas) - 1
        return self.steps + (max(0, self.high_noise_steps) if has_two_experts else 0)


class UpscaleParams(Frozen):
    """Parameters of ``upscale``. One pass makes a picture ``upscale_factor`` times wider and higher (``None``: what the
    upscaler's file is made for); ``repeats`` passes follow each other. ``caption`` is the text in the given picture
    that says how it was made."""

    upscaler: UpscalerSpec
    upscale_factor: int | None = None
    repeats: int = 1
    caption: str = ""


KEEP = "keep"
"""The ``output_type`` of a conversion that only merges the parts of a split model."""


class ConvertParams(Frozen):
    """Parameters of ``convert``. ``output`` does not exist yet, or is replaced. ``output_type`` is the library's name
    of a weight type, or KEEP. ``expected_bytes`` is an estimate of the result's size, for progress. ``parts`` are the
    files of a split model in order, the first of which is the ``input``."""

    input: FileRef
    output: FileRef
    output_type: str
    vae: FileRef | None = None
    tensor_type_rules: str = ""
    expected_bytes: int = 0
    parts: tuple[FileRef, ...] = ()


Params = ImageParams | VideoParams | UpscaleParams | ConvertParams
PARAMS_OF: Mapping[JobKind, type[Params]] = {
    "txt2img": ImageParams,
    "img2img": ImageParams,
    "txt2vid": VideoParams,
    "upscale": UpscaleParams,
    "convert": ConvertParams,
}
"""The parameters of each kind of job that the engine does."""


def params_of(kind: JobKind, stored: Mapping[str, Any]) -> Params:
    """The parameters in a job's row. Raises pydantic.ValidationError, KeyError for a kind without any."""
    params: Params = TypeAdapter(PARAMS_OF[kind]).validate_python(stored)
    return params
