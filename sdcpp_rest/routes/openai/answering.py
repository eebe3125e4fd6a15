"""What OpenAI's images API answers: pictures in the format that was asked for, how much went in and came out.

Knows jobs, their files and the links to them; asks no service for anything else, and knows no request of HTTP.
"""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PIL import Image

from sdcpp_rest.config import Config
from sdcpp_rest.core.job import Job
from sdcpp_rest.routes.openai.translate import Asked
from sdcpp_rest.routes.openai.wire import MadeWishes, Quality, SharedWishes, ShownQuality
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.services.pictures.picture_formats import encode, recode
from sdcpp_rest.services.pictures.picture_links import link_path

_SHOWN_QUALITIES: Mapping[Quality, ShownQuality] = {
    "low": "low",
    "auto": "medium",
    "standard": "medium",
    "medium": "medium",
    "high": "high",
    "hd": "high",
    "xhigh": "xhigh",
    "max": "max",
}
_BASE64_MODELS = ("gpt-image", "chatgpt-image")
_TEXT_TOKEN_BYTES = 4
_IMAGE_TOKEN_SIDE = 16


def answer_object(asked: Asked, jobs: Sequence[Job], outputs: Outputs, config: Config, root_url: str) -> dict[str, Any]:
    """The answer to a call that waited for ``jobs``. Links are absolute, by ``root_url``, where the caller sees
    this server, without a slash at its end."""
    first, wishes = jobs[0], asked.wishes
    if wants_base64(wishes, config.openai.response_format):
        pictures = [{"b64_json": b64(file)} for file in encode_pictures(outputs, asked, jobs)]
    else:
        pictures = [{"url": _url(asked, path, config, root_url)} for job in jobs for path in job.outputs]
    warnings = list(dict.fromkeys([*asked.notes, *(warning for job in jobs for warning in job.warnings)]))
    return {
        "created": int(time.time()),
        "data": [{**picture, "seed": job.params["seed"]} for picture, job in zip(pictures, jobs, strict=True)],
        "background": "opaque",
        "output_format": asked.output_format,
        "quality": quality_word(wishes),
        "size": f"{first.params['width']}x{first.params['height']}",
        "usage": usage(jobs, asked.given),
        **({"warnings": warnings} if warnings else {}),
    }


def encode_pictures(outputs: Outputs, asked: Asked, jobs: Sequence[Job]) -> list[bytes]:
    """The pictures' files, in the format that was asked for."""
    return [
        recode(outputs.path_of(path).read_bytes(), asked.output_format, asked.output_compression)
        for job in jobs
        for path in job.outputs
    ]


def encode_preview(asked: Asked, jpeg: bytes, size: tuple[int, int]) -> bytes:
    """A preview as large as the picture will be, in its format."""
    with Image.open(io.BytesIO(jpeg)) as preview:
        larger = preview.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    return encode(larger, asked.output_format, max(1, asked.output_compression), {})


def wants_base64(wishes: SharedWishes, usual: str = "auto") -> bool:
    """Whether the pictures come in the answer itself; ``usual`` is `openai.response_format` of the configuration."""
    asked = wishes.sent_fields().get("response_format", usual)
    return asked == "b64_json" or (asked == "auto" and wishes.model.lower().startswith(_BASE64_MODELS))


def quality_word(wishes: SharedWishes) -> ShownQuality:
    return _SHOWN_QUALITIES[wishes.quality] if isinstance(wishes, MadeWishes) else "medium"


def usage(jobs: Iterable[Job], given: Iterable[tuple[int, int]] = ()) -> dict[str, Any]:
    """How much went in and came out: four bytes of text are a token, and so are 16 x 16 pixels.

    ``given``: sizes of the pictures that came with the request.
    """
    made = [job.params for job in jobs]
    words = len(str(made[0]["prompt"]).encode()) + len(str(made[0]["negative_prompt"]).encode()) if made else 0
    text = -(-words // _TEXT_TOKEN_BYTES)
    seen = sum(_image_tokens(*size) for size in given)
    drawn = sum(_image_tokens(params["width"], params["height"]) for params in made)
    return {
        "input_tokens": text + seen,
        "input_tokens_details": {"text_tokens": text, "image_tokens": seen},
        "output_tokens": drawn,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": drawn},
        "total_tokens": text + seen + drawn,
    }


def b64(file: bytes) -> str:
    return base64.b64encode(file).decode("ascii")


def _url(asked: Asked, path: str, config: Config, root_url: str) -> str:
    wanted = asked.output_format
    if wanted == "png" and not config.auth.is_on:
        return f"{root_url}/output/{path}"
    place = link_path(config, f"{path.removesuffix('.png')}.{wanted}")
    quality = "" if wanted == "png" else f"?output_compression={asked.output_compression}"
    return f"{root_url}{place}{quality}"


def _image_tokens(width: int, height: int) -> int:
    return -(-width // _IMAGE_TOKEN_SIDE) * -(-height // _IMAGE_TOKEN_SIDE)
