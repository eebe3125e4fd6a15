"""Defines the parameters of a job: of pictures, videos, upscaling and conversion, named as in the native API.

Pure values: every default of an omitted field has been filled in, every name checked. Paths of models, LoRAs and input
images are absolute and were resolved inside the allowed folders before a value of this room was built.

A field's limits stand in its annotation, as marks of `core.bounds`, and nowhere else: the wire models take them from
here, and so do the checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from sdcpp_rest.core.bounds import MAX_RULES_LENGTH, Bounds, Length
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.job import JobKind
from sdcpp_rest.core.load_spec import FileRef, UpscalerSpec

CacheMode = Literal["disabled", "easycache", "ucache", "dbcache", "taylorseer", "cache_dit", "spectrum"]
VideoFormat = Literal["mp4", "webm", "webp", "frames"]
Preprocess = Literal["", "canny"]

SMALLEST_SIDE = 8
"""The library crops nothing below this: a VAE factor of 8."""

LARGEST_SEED = 2**63 - 1
"""Of any picture; picture k of a batch uses ``seed + k``."""

_SHARE = Bounds(0, 1)
# Of numbers that have no end of their own: whatever makes sense is far below, and the library's types hold it.
_ANY_SCALE = Bounds(0, 1000)
_Side = Annotated[int, Bounds(SMALLEST_SIDE, limit="side")]
_Layers = Annotated[tuple[Annotated[int, Bounds(0, 1023)], ...], Length(256, items="layer numbers")]


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

    # Two of these are sizes of the library's tables: it writes in front of them below 0, and fills the memory with
    # large ones. The others are bounded so that they fit its types.

    threshold: Annotated[float | None, _ANY_SCALE] = None
    start: Annotated[float | None, _SHARE] = None
    end: Annotated[float | None, _SHARE] = None
    error_decay_rate: Annotated[float | None, _SHARE] = None
    use_relative_threshold: bool | None = None
    reset_error_on_compute: bool | None = None
    fn_compute_blocks: Annotated[int | None, Bounds(0, 1000)] = None
    bn_compute_blocks: Annotated[int | None, Bounds(0, 1000)] = None
    residual_diff_threshold: Annotated[float | None, _ANY_SCALE] = None
    max_warmup_steps: Annotated[int | None, Bounds(0, 10_000)] = None
    max_cached_steps: Annotated[int | None, Bounds(-1, 10_000)] = None
    max_continuous_cached_steps: Annotated[int | None, Bounds(-1, 10_000)] = None
    taylorseer_n_derivatives: Annotated[int | None, Bounds(0, 10)] = None
    taylorseer_skip_interval: Annotated[int | None, Bounds(0, 10_000)] = None
    scm_mask: Annotated[str | None, Length(20_001)] = None
    scm_policy_dynamic: bool | None = None
    spectrum_w: Annotated[float | None, _SHARE] = None
    spectrum_m: Annotated[int | None, Bounds(1, 32)] = None
    spectrum_lam: Annotated[float | None, Bounds(0.000001, 1000)] = None
    spectrum_window_size: Annotated[int | None, Bounds(1, 10_000)] = None
    spectrum_flex_window: Annotated[float | None, _ANY_SCALE] = None
    spectrum_warmup_steps: Annotated[int | None, Bounds(0, 10_000)] = None
    spectrum_stop_percent: Annotated[float | None, _SHARE] = None


class SamplingParams(Frozen):
    """What pictures and videos have in common.

    Sizes in pixels. ``seed`` is the real one (never -1: the server draws it). ``eta`` and ``flow_shift`` of ``None``
    leave the choice to the library. ``prompt`` is what the user wrote, LoRA tags included; ``loras`` is what those tags
    mean. Where tags of the prompt language were resolved, it is what became of them, and ``original_prompt`` what the
    user wrote. ``easycache`` is short for a ``cache_mode`` of that name with its three numbers; another ``cache_mode``
    wins.
    """

    prompt: Annotated[str, Length(limit="prompt_characters")]
    negative_prompt: Annotated[str, Length(limit="prompt_characters")] = ""
    width: _Side = 512
    height: _Side = 512
    steps: Annotated[int, Bounds(1, limit="steps")] = 20
    cfg_scale: Annotated[float, _ANY_SCALE] = 7.0
    distilled_guidance: Annotated[float, _ANY_SCALE] = 3.5
    eta: Annotated[float | None, _ANY_SCALE] = None
    flow_shift: Annotated[float | None, _ANY_SCALE] = None
    seed: Annotated[int, Bounds(-1, LARGEST_SEED)] = 0
    sampler: str = "euler_a"
    scheduler: str = "discrete"
    clip_skip: Annotated[int, Bounds(-1, 12)] = -1
    slg_scale: Annotated[float, _ANY_SCALE] = 0.0
    skip_layers: _Layers = (7, 8, 9)
    slg_start: Annotated[float, _SHARE] = 0.01
    slg_end: Annotated[float, _SHARE] = 0.2
    custom_sigmas: Annotated[tuple[float, ...], Length(10_001)] = ()
    strength: Annotated[float, _SHARE] = 0.75
    vae_tiling: bool = False
    vae_tile_size_x: Annotated[int, Bounds(0, limit="side")] = 0
    vae_tile_size_y: Annotated[int, Bounds(0, limit="side")] = 0
    vae_tile_overlap: Annotated[float, _SHARE] = 0.5
    vae_tile_rel_size_x: Annotated[float, Bounds(0, 256)] = 0.0
    vae_tile_rel_size_y: Annotated[float, Bounds(0, 256)] = 0.0
    easycache: bool = False
    easycache_threshold: Annotated[float, _ANY_SCALE] = 0.2
    easycache_start: Annotated[float, _SHARE] = 0.15
    easycache_end: Annotated[float, _SHARE] = 0.95
    cache_mode: CacheMode = "disabled"
    cache_options: CacheOptions = CacheOptions()
    loras: tuple[LoraUse, ...] = Field(default=())
    original_prompt: str | None = None
    original_negative_prompt: str | None = None

    @model_serializer(mode="wrap")
    def _leave_out_originals(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Of few requests; in the record of all others they would be two lines that say nothing.
        fields: dict[str, Any] = serialize(self)
        for name in ("original_prompt", "original_negative_prompt"):
            if fields.get(name) is None:
                fields.pop(name, None)
        return fields

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

    img_cfg_scale: Annotated[float | None, _ANY_SCALE] = None
    shifted_timestep: Annotated[int, Bounds(0, 1000)] = 0
    batch_count: Annotated[int, Bounds(1, limit="batch")] = 1
    auto_resize_ref_image: bool = True
    increase_ref_index: bool = False
    control_strength: Annotated[float, Bounds(0, 10)] = 0.9
    preprocess: Preprocess = ""
    hires: bool = False
    hires_upscaler: str = "Latent"
    hires_model: FileRef | None = None
    hires_scale: Annotated[float, Bounds(1, 16)] = 2.0
    hires_width: Annotated[int, Bounds(0, limit="side")] = 0
    hires_height: Annotated[int, Bounds(0, limit="side")] = 0
    hires_steps: Annotated[int, Bounds(0, limit="steps")] = 0
    hires_denoising_strength: Annotated[float, Bounds(0.01, 1)] = 0.7
    hires_upscale_tile_size: Annotated[int, Bounds(16, 4096)] = 128
    pm_id_embed: FileRef | None = None
    pm_style_strength: Annotated[float, Bounds(0, 100)] = 20.0
    upscale: bool = False
    upscale_repeats: Annotated[int, Bounds(1, 16)] = 1
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

    width: _Side = 832
    height: _Side = 480
    steps: Annotated[int, Bounds(1, limit="steps")] = 30
    cfg_scale: Annotated[float, _ANY_SCALE] = 6.0
    flow_shift: Annotated[float | None, _ANY_SCALE] = 3.0
    sampler: str = "euler"
    video_frames: Annotated[int, Bounds(1, limit="video_frames")] = 33
    fps: Annotated[int, Bounds(1, 120)] = 16
    output_format: VideoFormat = "mp4"
    high_noise_steps: Annotated[int, Bounds(-1, limit="steps")] = -1
    high_noise_cfg_scale: Annotated[float, _ANY_SCALE] = 7.0
    high_noise_sampler: str = ""
    high_noise_scheduler: str = ""
    high_noise_eta: Annotated[float | None, _ANY_SCALE] = None
    high_noise_distilled_guidance: Annotated[float, _ANY_SCALE] = 3.5
    high_noise_slg_scale: Annotated[float, _ANY_SCALE] = 0.0
    high_noise_skip_layers: _Layers = (7, 8, 9)
    high_noise_slg_start: Annotated[float, _SHARE] = 0.01
    high_noise_slg_end: Annotated[float, _SHARE] = 0.2
    moe_boundary: Annotated[float, _SHARE] = 0.875
    vace_strength: Annotated[float, Bounds(0, 10)] = 1.0

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
    upscale_factor: Annotated[int | None, Bounds(1, 16)] = None
    repeats: Annotated[int, Bounds(1, 16)] = 1
    caption: str = ""


KEEP = "keep"
"""The ``output_type`` of a conversion that only merges the parts of a split model."""


class ConvertParams(Frozen):
    """Parameters of ``convert``. ``output`` does not exist yet, or is replaced. ``output_type`` is the library's name
    of a weight type, or KEEP. ``expected_bytes`` is an estimate of the result's size, for progress. ``parts`` are the
    files of a split model in order, the first of which is the ``input``. ``restores_weights``: the numbers of the
    ``input`` and their scales lie in separate tensors, and are put together first."""

    input: FileRef
    output: FileRef
    output_type: str
    vae: FileRef | None = None
    tensor_type_rules: Annotated[str, Length(MAX_RULES_LENGTH)] = ""
    expected_bytes: int = 0
    parts: tuple[FileRef, ...] = ()
    restores_weights: bool = False


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
    # Not by a TypeAdapter: it would build the schema anew with every call, as the class builds its own when it is used.
    return PARAMS_OF[kind].model_validate(stored)
