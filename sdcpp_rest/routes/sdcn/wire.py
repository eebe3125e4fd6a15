"""SDCN's bodies and answers, and how to tell its bodies from the native ones that come to the same URLs.

SDCN is lenient: what is not of its type counts as not given, and numbers are brought into their range. The models here
say what it understands; `sdcn_params` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import Wire, optional
from sdcpp_rest.routes.native.wire.generation_bodies import Img2ImgBody

_EXAMPLE: dict[str, Any] = {
    "prompt": "a red circle on a blue background",
    "model": "demo_dit_q8_0",
    "sampler_name": "Euler",
    "steps": 12,
    "cfg_scale": 2.5,
    "width": 64,
    "height": 64,
    "seed": 42,
}


class SdcnUpscale(Wire):
    """Draw the picture again, larger."""

    denoising_strength: float = Field(0.5, description="How much is drawn anew, 0.01 to 0.99.")
    scale: float = Field(2.0, description="How many times larger, 1 to 2.")
    upscaler: str = Field("Latent", description="`Latent`, or an ESRGAN model.")


class SdcnTxt2ImgBody(Wire):
    """What to draw."""

    model_config = {**Wire.model_config, "json_schema_extra": {"examples": [_EXAMPLE]}}

    prompt: str = Field("", description="What the picture shows.")
    negative_prompt: str = Field("", description="What it must not show.")
    model: str = Field(description="The model: the SHA-256 of its file, or any of its names.")
    loras: list[list[str | float]] = Field(
        [], description='LoRAs and their weights: `[["SHA-256 or name", 0.5]]`.', examples=[[["style", 0.5]]]
    )
    seed: int = Field(-1, description="-1: drawn.")
    sampler_name: str = optional("As AUTOMATIC1111 calls them; an unknown one becomes another one.")
    steps: int = optional("Sampling steps; left out: the model's own.")
    cfg_scale: float = optional("How closely the prompt is followed, 1 to 30; left out: the model's own.")
    width: int = optional("In pixels, rounded down to a multiple of 8; left out: the model's own.")
    height: int = optional("In pixels, rounded down to a multiple of 8; left out: the model's own.")
    upscale: SdcnUpscale = optional("Draw the picture again, larger.")


class SdcnImg2ImgBody(SdcnTxt2ImgBody):
    """What to draw, and the picture to start from."""

    model_config = {**Wire.model_config, "json_schema_extra": {}}

    init_image: str = Field(description="The picture to start from, base64.")
    denoising_strength: float = Field(0.5, description="How much is drawn anew, 0 to 1.")


class SdcnControlNet(Wire):
    """A picture that guides the drawing."""

    image: str = Field(description="The picture, base64.")
    model: str = Field(description="The ControlNet: the SHA-256 of its file, or any of its names.")
    preprocess: str = Field("none", description="`canny` or `none`.")
    weight: float = Field(1.0, description="How much it has to say, 0 to 2.")


class SdcnApiTxt2ImgBody(SdcnTxt2ImgBody):
    """What to draw, below /api/sd."""

    control_net: list[SdcnControlNet] = Field([], description="The first one counts.")


class SdcnApiImg2ImgBody(SdcnImg2ImgBody):
    """What to draw, and the picture to start from, below /api/sd."""

    control_net: list[SdcnControlNet] = Field([], description="The first one counts.")


class SdcnInterrogateBody(Wire):
    """Which picture to describe."""

    image: str = Field(description="The picture, base64.")
    model: str = Field(description="`clip` or `deepdanbooru`.")


class SdcnUpscaleBody(Wire):
    """Which picture to make larger, and how."""

    image: str = Field(description="The picture, base64.")
    upscalingRate: float = Field(  # noqa: N815 (the wire's own spelling)
        2.0, description="How many times larger: above 1, at most 100, within `limits.upscaled_side`."
    )
    upscaler: str = Field("Lanczos", description="`Lanczos`, `Nearest`, or the name of an ESRGAN model.")
    upscaler2: str = Field("", description="A second one, whose picture is laid over the first one's.")
    upscaler2_factor: float = Field(0.0, description="How much of the second one shows: from 0 up to below 1.")


class SdcnStatusBody(Wire):
    """Which picture to look for."""

    taskId: str = Field(description="As the submission answered.")  # noqa: N815 (the wire's own spelling)


class SdcnPictures(Answer):
    """The picture."""

    images: list[str] = Field(description="PNG files, base64.")


class SdcnApiPictures(Answer):
    """The picture, in an envelope."""

    code: Literal[200]
    data: SdcnPictures
    message: Literal["success"]


class SdcnPublicKey(Answer):
    """A key that is everybody's."""

    apiKey: str = Field(description="Any text does: this server asks for no key.")  # noqa: N815 (the wire's own)


class SdcnApiPublicKey(Answer):
    """That key, in an envelope."""

    code: Literal[200]
    data: SdcnPublicKey
    message: Literal["success"]


class SdcnCaption(Answer):
    """The picture in words."""

    caption: str


class SdcnApiCaption(Answer):
    """The picture in words, in an envelope."""

    code: Literal[200]
    data: SdcnCaption
    message: Literal["success"]


class SdcnStanding(Answer):
    """Where a submitted picture stands."""

    taskId: str  # noqa: N815 (the wire's own spelling)
    status: Literal[0, 1, 2, 3] = Field(description="0 waits, 1 is drawn, 2 is there, 3 failed or was cancelled.")
    queuePosition: int = Field(description="Place among those that wait; 0 when it waits no more.")  # noqa: N815
    images: list[str] = optional("PNG files, base64, when it has ended.")


class SdcnApiStanding(Answer):
    """Where a submitted picture stands, in an envelope; no data for one that nobody knows."""

    code: Literal[200]
    data: SdcnStanding | None
    message: Literal["success"]


_SHARED_KEYS = frozenset(
    {"prompt", "negative_prompt", "seed", "steps", "cfg_scale", "width", "height", "upscale", "model"}
)
_NATIVE_KEYS = frozenset(Img2ImgBody.model_fields) - _SHARED_KEYS


def is_sdcn(body: Mapping[str, Any]) -> bool:
    """Whether a body at /txt2img or /img2img is SDCN's: it always names a model, which native bodies never do, and has
    none of the keys that only native bodies have."""
    model = body.get("model")
    if not isinstance(model, str) or not model.strip() or isinstance(body.get("upscale"), bool):
        return False
    return not any(body.get(key) is not None for key in _NATIVE_KEYS)


def may_be_sdcn(raw: bytes) -> bool:
    """Whether a raw body may turn out to be SDCN's. Quick, and says yes too often: a key can be written with escapes,
    and JSON in UTF-16."""
    return b'"model"' in raw or b"\\u00" in raw or b"\0" in raw
