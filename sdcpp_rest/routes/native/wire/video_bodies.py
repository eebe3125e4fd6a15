"""The wire model of video jobs. Types and words are told here, as for pictures."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from sdcpp_rest.core.params import VideoFormat, VideoParams
from sdcpp_rest.routes.http.mirrored_fields import mirror
from sdcpp_rest.routes.http.wire_models import Integer, Number, PictureText, Text
from sdcpp_rest.routes.native.wire.generation_bodies import SamplingBody


class Txt2VidBody(SamplingBody):
    """What to film. The defaults are the API's; a model's own (its sidecar file, its architecture's) and those that
    users chose replace them where there are any."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "prompt": "a cat walking through a garden, cinematic",
                    "negative_prompt": "static, blurry, low quality",
                    "width": 832,
                    "height": 480,
                    "video_frames": 33,
                    "steps": 30,
                    "cfg_scale": 6.0,
                    "flow_shift": 3.0,
                }
            ]
        }
    )

    width: Integer = mirror(VideoParams, "width", "In pixels.", examples=[832])
    height: Integer = mirror(VideoParams, "height", "In pixels.", examples=[480])
    steps: Integer = mirror(VideoParams, "steps", "Sampling steps.", examples=[30])
    cfg_scale: Number = mirror(VideoParams, "cfg_scale", "How closely the prompt is followed.")
    sampler: Text = Field("euler", description="One of the samplers of `GET /options`.")
    flow_shift: Number = mirror(VideoParams, "flow_shift", "Shift of the model's schedule.")
    seed: Integer = mirror(VideoParams, "seed", "Of the whole video; -1: drawn.", default=-1)
    video_frames: Integer = mirror(
        VideoParams, "video_frames", "How many frames; models make 4n+1, and the next lower such number is made."
    )
    fps: Integer = mirror(VideoParams, "fps", "Frames shown in a second; it changes nothing else.")
    output_format: VideoFormat = mirror(
        VideoParams, "output_format", "H.264, VP9, animated WebP, or one PNG per frame."
    )
    init_image_base64: PictureText = Field(
        "", description="The first frame (VACE: a reference picture), as base64 or a data URL; resized to the video."
    )
    end_image_base64: PictureText = Field("", description="The last frame, for models that know both ends.")
    strength: Number = mirror(
        VideoParams, "strength", "Denoising strength. The library does not use it for videos so far."
    )
    control_image_base64: PictureText = Field("", description="VACE: the control picture of all frames.")
    control_frames: list[PictureText] = Field(
        [],
        max_length=10_000,
        description="VACE: control pictures frame by frame, each base64 or a data URL; at most video_frames. Frames "
        "beyond them are free.",
    )
    high_noise_steps: Integer = mirror(
        VideoParams,
        "high_noise_steps",
        "Of a model with two experts: steps of the first one, besides steps. -1: as many of steps as "
        "moe_boundary says; 0: none.",
    )
    high_noise_cfg_scale: Number = mirror(VideoParams, "high_noise_cfg_scale", "cfg_scale of the first expert.")
    high_noise_sampler: Text = Field("", description="Sampler of the first expert; empty: as sampler.")
    high_noise_scheduler: Text = Field(
        "", description="Scheduler of the first expert. The library has one for both so far: scheduler."
    )
    high_noise_eta: Number = mirror(VideoParams, "high_noise_eta", "eta of the first expert; left out: as eta.")
    high_noise_distilled_guidance: Number = mirror(
        VideoParams, "high_noise_distilled_guidance", "distilled_guidance of the first expert."
    )
    high_noise_slg_scale: Number = mirror(VideoParams, "high_noise_slg_scale", "slg_scale of the first expert.")
    high_noise_skip_layers: list[Integer] = mirror(
        VideoParams, "high_noise_skip_layers", "skip_layers of the first expert."
    )
    high_noise_slg_start: Number = mirror(VideoParams, "high_noise_slg_start", "slg_start of the first expert.")
    high_noise_slg_end: Number = mirror(VideoParams, "high_noise_slg_end", "slg_end of the first expert.")
    moe_boundary: Number = mirror(
        VideoParams, "moe_boundary", "Noise level from which on the first expert is relieved by the second."
    )
    vace_strength: Number = mirror(VideoParams, "vace_strength", "How much VACE's control pictures have to say.")
