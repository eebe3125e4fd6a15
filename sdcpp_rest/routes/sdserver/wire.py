"""sd-server's bodies and answers. What a body holds by these names and types counts; the rest is told and ignored."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sdcpp_rest.core.params import CacheOptions, ImageParams, SamplingParams, VideoParams
from sdcpp_rest.routes.http.mirrored_fields import mirror
from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import Flag, Integer, Number, Text, Wire, optional

_PICTURE = "Base64 or a data URL; null: none."
_MODEL = "Left out, or not above 0: the model's own."

ImageFormat = Literal["png", "jpeg", "webp"]
VideoFormat = Literal["webm", "webp", "mp4"]
IMAGE_FORMATS: tuple[ImageFormat, ...] = ("png", "jpeg", "webp")
VIDEO_FORMATS: tuple[VideoFormat, ...] = ("webm", "webp", "mp4")


class SkipLayerGuidance(Wire):
    layers: list[Integer] = mirror(SamplingParams, "skip_layers", "Layers that are left out.")
    layer_start: Number = mirror(SamplingParams, "slg_start", "As a share of the steps.")
    layer_end: Number = mirror(SamplingParams, "slg_end", "As a share of the steps.")
    scale: Number = mirror(SamplingParams, "slg_scale", "0: off.")


class Guidance(Wire):
    txt_cfg: Number = mirror(SamplingParams, "cfg_scale", "How closely the prompt is followed.", default=None)
    img_cfg: Number = mirror(ImageParams, "img_cfg_scale", "How closely the picture is followed.")
    distilled_guidance: Number = mirror(SamplingParams, "distilled_guidance", "Of models that were distilled with it.")
    slg: SkipLayerGuidance = optional("Skip layer guidance.")


class SampleParams(Wire):
    scheduler: Text = optional("One of the capabilities; another one is told and ignored.")
    sample_method: Text = optional("The sampler: one of the capabilities; another one is told and ignored.")
    sample_steps: Integer = mirror(SamplingParams, "steps", _MODEL, default=None)
    eta: Number = mirror(SamplingParams, "eta", "null: the sampler's own.")
    shifted_timestep: Integer = mirror(ImageParams, "shifted_timestep", "0: off.")
    custom_sigmas: list[Number] = mirror(SamplingParams, "custom_sigmas", "The noise levels themselves.")
    flow_shift: Number = mirror(SamplingParams, "flow_shift", "null: the model's own.")
    guidance: Guidance = optional("How much prompt and picture have to say.")


class HighNoiseGuidance(Wire):
    txt_cfg: Number = mirror(VideoParams, "high_noise_cfg_scale", "As in `sample_params`.")
    distilled_guidance: Number = mirror(VideoParams, "high_noise_distilled_guidance", "As in `sample_params`.")
    slg: SkipLayerGuidance = optional("As in `sample_params`.")


class HighNoiseSampleParams(Wire):
    """Of the first of two experts."""

    scheduler: Text = optional("The library has one for both: that of `sample_params`.")
    sample_method: Text = optional("As in `sample_params`.")
    sample_steps: Integer = mirror(VideoParams, "high_noise_steps", "-1: as many as `moe_boundary` says.")
    eta: Number = mirror(VideoParams, "high_noise_eta", "null: the sampler's own.")
    guidance: HighNoiseGuidance = optional("As in `sample_params`.")


class Hires(Wire):
    enabled: Flag = Field(False, description="Draw the picture again, larger.")
    upscaler: Text = Field("Latent", description="One of the capabilities. `None`: not drawn again.")
    scale: Number = mirror(ImageParams, "hires_scale", "How many times larger, where no target is given.")
    target_width: Integer = mirror(ImageParams, "hires_width", "0: by `scale`.")
    target_height: Integer = mirror(ImageParams, "hires_height", "0: by `scale`.")
    steps: Integer = mirror(ImageParams, "hires_steps", "0: as many as before.")
    denoising_strength: Number = mirror(ImageParams, "hires_denoising_strength", "How much is drawn anew.")
    upscale_tile_size: Integer = mirror(ImageParams, "hires_upscale_tile_size", "Of an upscaler that is a model.")


class VaeTiling(Wire):
    enabled: Flag = Field(False, description="Decode in tiles: less memory, more time.")
    tile_size_x: Integer = mirror(SamplingParams, "vae_tile_size_x", "In latent pixels; 0: the usual one.")
    tile_size_y: Integer = mirror(SamplingParams, "vae_tile_size_y", "In latent pixels; 0: the usual one.")
    target_overlap: Number = mirror(SamplingParams, "vae_tile_overlap", "As a share of a tile.")
    rel_size_x: Number = mirror(SamplingParams, "vae_tile_rel_size_x", "Of the picture; 0: by `tile_size_x`.")
    rel_size_y: Number = mirror(SamplingParams, "vae_tile_rel_size_y", "Of the picture; 0: by `tile_size_y`.")


class Lora(Wire):
    path: Text = Field(description="As the capabilities list it.")
    multiplier: Number = Field(1.0, description="How much it has to say.")
    is_high_noise: Flag = Field(False, description="For the first of two experts alone.")


class GenerationBody(Wire):
    """What pictures and videos have in common."""

    prompt: Text = Field("", description="What to draw.")
    negative_prompt: Text = Field("", description="What not to draw.")
    clip_skip: Integer = mirror(SamplingParams, "clip_skip", "-1: the model's own.")
    width: Integer = mirror(SamplingParams, "width", _MODEL, default=None)
    height: Integer = mirror(SamplingParams, "height", _MODEL, default=None)
    strength: Number = mirror(SamplingParams, "strength", "How much of `init_image` is drawn anew.")
    seed: Integer = mirror(SamplingParams, "seed", "Below 0: drawn.", default=-1)
    init_image: Text = optional(_PICTURE)
    sample_params: SampleParams = optional("How to sample; left out: as the model likes it.")
    lora: list[Lora] = Field([], max_length=64, description="LoRAs; tags in the prompt count, too.")
    vae_tiling_params: VaeTiling = optional("Decoding in tiles.")
    cache_mode: Text = Field(
        "disabled", description="`easycache`, `ucache`, `dbcache`, `taylorseer`, `cache-dit`, `spectrum`."
    )
    cache_option: Text = Field("", description="Its knobs: `threshold=0.2,start=0.15,end=0.95`.")
    scm_mask: Text = mirror(CacheOptions, "scm_mask", "Zeros and ones separated by commas, one for each step.")
    scm_policy_dynamic: Flag = optional("Whether steps of the mask are computed where it says 0 and much changes.")
    output_compression: Integer = Field(100, description="Quality of JPEG and WebP, brought into 0 to 100.")


class ImageBody(GenerationBody):
    """What to draw."""

    model_config = {
        **Wire.model_config,
        "json_schema_extra": {
            "examples": [
                {
                    "prompt": "a red circle on a blue background",
                    "width": 64,
                    "height": 64,
                    "seed": 42,
                    "sample_params": {"sample_method": "euler", "sample_steps": 12, "guidance": {"txt_cfg": 2.5}},
                }
            ]
        },
    }

    batch_count: Integer = mirror(ImageParams, "batch_count", "How many pictures; their seeds follow each other.")
    auto_resize_ref_image: Flag = Field(True, description="Bring reference pictures to a size that the model likes.")
    increase_ref_index: Flag = Field(False, description="Number the reference pictures for models that can tell.")
    control_strength: Number = mirror(ImageParams, "control_strength", "How much `control_image` has to say.")
    embed_image_metadata: Flag = Field(True, description="Write into the pictures how they were made.")
    ref_images: list[Text] = Field([], max_length=64, description=f"Reference pictures. {_PICTURE}")
    mask_image: Text = optional(f"White: drawn anew. {_PICTURE}")
    control_image: Text = optional(_PICTURE)
    ip_adapter_image: Text = optional("Refused: the library that is used here has no IP-Adapter.")
    hires: Hires = optional("Drawing again, larger.")
    output_format: ImageFormat = Field("png", description="In any case.")


class VideoBody(GenerationBody):
    """What to film."""

    model_config = {
        **Wire.model_config,
        "json_schema_extra": {"examples": [{"prompt": "a cat walking", "video_frames": 9, "fps": 16}]},
    }

    video_frames: Integer = mirror(VideoParams, "video_frames", "The largest 4n+1 that is not above it is made.")
    fps: Integer = mirror(VideoParams, "fps", "Frames shown in a second.")
    moe_boundary: Number = mirror(VideoParams, "moe_boundary", "Where the second expert takes over.")
    vace_strength: Number = mirror(VideoParams, "vace_strength", "How much VACE's control pictures have to say.")
    end_image: Text = optional(f"The last frame. {_PICTURE}")
    control_frames: list[Text] = Field([], max_length=10_000, description=f"VACE's control pictures. {_PICTURE}")
    high_noise_sample_params: HighNoiseSampleParams = optional("Of the first of two experts.")
    output_format: VideoFormat = Field("webm", description="In any case.")


class UpscaleBody(Wire):
    """Which picture to make larger."""

    image: Text = Field(description="Base64 or a data URL.")
    upscaler: Text = Field("", description="One of the capabilities that is a model; left out: the selected one.")
    repeats: Integer = Field(1, description="Passes that follow each other, brought into 1 to 4.")
    tile_size: Integer = optional("In pixels, at least 32.")
    output_format: ImageFormat = Field("png", description="In any case.")
    output_compression: Integer = Field(100, description="Quality of JPEG and WebP, brought into 1 to 100.")


JobKindWord = Literal["img_gen", "vid_gen"]
StatusWord = Literal["queued", "generating", "completed", "failed", "cancelled"]


class Submitted(Answer):
    """A job that was taken."""

    id: str
    kind: JobKindWord
    status: Literal["queued"]
    created: int = Field(description="Unix time in seconds.")
    poll_url: str
    warnings: list[str] = optional("What was ignored, and what had to be changed.")


class ResultImage(Answer):
    index: int
    b64_json: str


class ImageResult(Answer):
    output_format: ImageFormat
    images: list[ResultImage]


class UpscaleResult(Answer):
    """A larger picture."""

    upscaler: str
    scale: int = Field(description="Of one pass.")
    repeats: int
    width: int
    height: int
    output_format: ImageFormat
    images: list[ResultImage]
    warnings: list[str] = optional("What was ignored.")


class VideoResult(Answer):
    output_format: VideoFormat
    mime_type: str
    fps: int
    frame_count: int
    b64_json: str


class JobPath(Wire):
    job_id: str = Field(description="The job's id.")


class JobError(Answer):
    code: str
    message: str


class JobObject(Answer):
    """A job, and what came of it."""

    id: str
    kind: JobKindWord
    status: StatusWord
    created: int
    started: int | None
    completed: int | None
    queue_position: int = Field(description="From 1; 0 for a job that does not wait.")
    result: ImageResult | VideoResult | None
    error: JobError | None
    progress: dict[str, Any] = optional("How far a job is that is computed: `step`, `total_steps`, `percent`.")
    warnings: list[str] = optional("What was ignored, and what had to be changed.")


class Capabilities(Answer):
    """What can be asked for. The fields without ``_by_mode`` repeat those of ``current_mode``."""

    model: dict[str, str]
    current_mode: Literal["img_gen", "vid_gen", ""] = Field(description="Empty where no model is loaded.")
    supported_modes: list[JobKindWord]
    defaults: dict[str, Any]
    defaults_by_mode: dict[str, dict[str, Any]]
    limits: dict[str, int]
    samplers: list[str]
    schedulers: list[str]
    output_formats: list[str]
    output_formats_by_mode: dict[str, list[str]]
    features: dict[str, bool]
    features_by_mode: dict[str, dict[str, bool]]
    loras: list[dict[str, str]]
    upscalers: list[dict[str, str]]
