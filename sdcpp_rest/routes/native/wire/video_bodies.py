"""The wire model of video jobs. Only types and fixed ranges are told here, as for pictures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from sdcpp_rest.routes.http.answers import AtMost, Integer, Number, Text, optional
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

    width: Annotated[Integer, AtMost("side")] = Field(832, ge=8, description="In pixels.", examples=[832])
    height: Annotated[Integer, AtMost("side")] = Field(480, ge=8, description="In pixels.", examples=[480])
    steps: Annotated[Integer, AtMost("steps")] = Field(30, ge=1, description="Sampling steps.", examples=[30])
    cfg_scale: Number = Field(6.0, ge=0, le=1000, description="How closely the prompt is followed.")
    sampler: Text = Field("euler", description="One of the samplers of `GET /options`.")
    flow_shift: Number = Field(3.0, ge=0, le=1000, description="Shift of the model's schedule.")
    seed: Integer = Field(-1, ge=-1, le=2**63 - 1, description="Of the whole video; -1: drawn.")
    video_frames: Annotated[Integer, AtMost("video_frames")] = Field(
        33, ge=1, description="How many frames; models make 4n+1, and the next lower such number is made."
    )
    fps: Integer = Field(16, ge=1, le=120, description="Frames shown in a second; it changes nothing else.")
    output_format: Literal["mp4", "webm", "webp", "frames"] = Field(
        "mp4", description="H.264, VP9, animated WebP, or one PNG per frame."
    )
    init_image_base64: Text = Field(
        "", description="The first frame (VACE: a reference picture), as base64 or a data URL; resized to the video."
    )
    end_image_base64: Text = Field("", description="The last frame, for models that know both ends.")
    strength: Number = Field(
        0.75, ge=0, le=1, description="Denoising strength. The library does not use it for videos so far."
    )
    control_image_base64: Text = Field("", description="VACE: the control picture of all frames.")
    control_frames: list[Text] = Field(
        [],
        max_length=10_000,
        description="VACE: control pictures frame by frame, each base64 or a data URL; at most video_frames. Frames "
        "beyond them are free.",
    )
    high_noise_steps: Annotated[Integer, AtMost("steps")] = Field(
        -1,
        ge=-1,
        description="Of a model with two experts: steps of the first one, besides steps. -1: as many of steps as "
        "moe_boundary says; 0: none.",
    )
    high_noise_cfg_scale: Number = Field(7.0, ge=0, le=1000, description="cfg_scale of the first expert.")
    high_noise_sampler: Text = Field("", description="Sampler of the first expert; empty: as sampler.")
    high_noise_scheduler: Text = Field(
        "", description="Scheduler of the first expert. The library has one for both so far: scheduler."
    )
    high_noise_eta: Number = optional("eta of the first expert; left out: as eta.", ge=0, le=1000)
    high_noise_distilled_guidance: Number = Field(
        3.5, ge=0, le=1000, description="distilled_guidance of the first expert."
    )
    high_noise_slg_scale: Number = Field(0.0, ge=0, le=1000, description="slg_scale of the first expert.")
    high_noise_skip_layers: list[Integer] = Field(
        [7, 8, 9], max_length=256, description="skip_layers of the first expert."
    )
    high_noise_slg_start: Number = Field(0.01, ge=0, le=1, description="slg_start of the first expert.")
    high_noise_slg_end: Number = Field(0.2, ge=0, le=1, description="slg_end of the first expert.")
    moe_boundary: Number = Field(
        0.875, ge=0, le=1, description="Noise level from which on the first expert is relieved by the second."
    )
    vace_strength: Number = Field(1.0, ge=0, le=10, description="How much VACE's control pictures have to say.")
