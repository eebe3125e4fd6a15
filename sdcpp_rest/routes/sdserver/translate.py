"""From sd-server's words to native ones, and from a job to what sd-server answers about it.

What it has to know of the server comes as `TranslationContext`. Submits nothing, and knows no HTTP.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sdcpp_rest.core.job import Job, JobKind, Progress
from sdcpp_rest.core.params import VideoParams
from sdcpp_rest.core.prompts import lora_tag
from sdcpp_rest.core.sampling_names import find_sampling, find_scheduler
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.routes.http.answers import shorten, show_value
from sdcpp_rest.routes.http.extra_args import PLACES
from sdcpp_rest.routes.sdserver.cache_options import read_cache
from sdcpp_rest.routes.sdserver.reading import read_leniently
from sdcpp_rest.routes.sdserver.wire import IMAGE_FORMATS, VIDEO_FORMATS, ImageBody, JobKindWord, StatusWord, VideoBody
from sdcpp_rest.services.pictures.input_images import decode_base64, measure_picture
from sdcpp_rest.services.submission.model_choice import ModelChoice

KINDS: Mapping[JobKind, JobKindWord] = {"txt2img": "img_gen", "img2img": "img_gen", "txt2vid": "vid_gen"}
_STATUSES: Mapping[str, StatusWord] = {
    "pending": "queued",
    "processing": "generating",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
_MIME_TYPES = {"webm": "video/webm", "webp": "image/webp", "mp4": "video/mp4"}
_TILING = {
    "vae_tiling_params.enabled": "vae_tiling",
    "vae_tiling_params.tile_size_x": "vae_tile_size_x",
    "vae_tiling_params.tile_size_y": "vae_tile_size_y",
    "vae_tiling_params.target_overlap": "vae_tile_overlap",
    "vae_tiling_params.rel_size_x": "vae_tile_rel_size_x",
    "vae_tiling_params.rel_size_y": "vae_tile_rel_size_y",
}
_HIGH_NOISE = {
    f"high_noise_sample_params.{path}": f"high_noise_{name}"
    for path, name in {
        "sample_steps": "steps",
        "sample_method": "sampler",
        "scheduler": "scheduler",
        "eta": "eta",
        "guidance.txt_cfg": "cfg_scale",
        "guidance.distilled_guidance": "distilled_guidance",
        "guidance.slg.layers": "skip_layers",
        "guidance.slg.layer_start": "slg_start",
        "guidance.slg.layer_end": "slg_end",
        "guidance.slg.scale": "slg_scale",
    }.items()
}
NATIVE_NAMES: Mapping[str, str] = {
    **{path: name for path, name in PLACES.items() if "." in path},
    **_TILING,
    **_HIGH_NOISE,
    **{
        name: name
        for name in (
            "prompt", "negative_prompt", "clip_skip", "width", "height", "strength", "seed", "batch_count",
            "auto_resize_ref_image", "increase_ref_index", "control_strength", "video_frames", "fps", "moe_boundary",
            "vace_strength",
        )
    },
}  # fmt: skip
"""Path in sd-server's JSON -> native name of the parameter."""
_UPSCALE_NAMES = {"image_base64": "image", "upscale_factor": "repeats"}
_ROLES = ("init_image", "mask_image", "control_image", "end_image")
_LISTS = ("ref_images", "control_frames")
_AT_LEAST_ONE = ("width", "height", "sample_params.sample_steps")
_SAMPLERS = ("sample_params.sample_method", "high_noise_sample_params.sample_method")
_SCHEDULERS = ("sample_params.scheduler", "high_noise_sample_params.scheduler")


@dataclass(frozen=True)
class TranslationContext:
    """What a translation has to know. ``side``: the longest of a picture's."""

    choice: ModelChoice
    samplers: tuple[str, ...]
    schedulers: tuple[str, ...]
    side: int


@dataclass(frozen=True)
class GenerationRequest:
    """What is to be drawn or filmed, as the submission takes it; ``output_format`` and ``output_compression``: how
    the pictures are to be answered."""

    kind: JobKind
    params: dict[str, Any]
    images: dict[str, str]
    output_format: str
    output_compression: int
    caption: str | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def note(self) -> str:
        """What the answer has to know, for the job."""
        return json.dumps({"output_format": self.output_format, "output_compression": self.output_compression})


def to_request(mode: JobKindWord, body: Mapping[str, Any], context: TranslationContext) -> GenerationRequest:
    """What ``body`` asks for. Raises InvalidRequest."""
    is_image = mode == "img_gen"
    form = output_format(body.get("output_format"), IMAGE_FORMATS if is_image else VIDEO_FORMATS)
    given, warnings = read_leniently(ImageBody if is_image else VideoBody, body)
    if given.pop("ip_adapter_image", ""):
        raise InvalidRequest("ip_adapter_image: there is no IP-Adapter here; leave it out", field="ip_adapter_image")
    images = _take_images(given)
    _drop_usual(given)
    _translate_names(given, context, warnings)
    params = {NATIVE_NAMES[path]: value for path, value in given.items() if path in NATIVE_NAMES}
    params |= read_cache(given, warnings)
    params["prompt"] = given.get("prompt", "") + _lora_tags(given.get("lora", []), context.choice)
    kind: JobKind = "txt2vid"
    if is_image:
        kind = "img2img" if "init_image" in images else "txt2img"
        if "init_image" in images and not {"width", "height"} & params.keys():
            params |= _size_of_picture(images["init_image"], context.side)
    else:
        params["output_format"] = form
    compression = max(0, min(100, given.get("output_compression", 100)))
    caption = "" if given.get("embed_image_metadata") is False else None
    return GenerationRequest(kind, params, images, form, compression, caption, warnings)


@contextlib.contextmanager
def in_client_words() -> Iterator[None]:
    """Refusals of the block, with the field called as on the wire."""
    try:
        yield
    except InvalidRequest as error:
        native = str(error.detail.get("field") or "")
        names = {name: path for path, name in NATIVE_NAMES.items()} | _UPSCALE_NAMES
        path = names.get(native, native)
        if path == native:
            raise
        raise type(error)(error.message.replace(native, path, 1), **{**error.detail, "field": path}) from None


def job_object(job: Job, position: int, progress: Progress | None, result: Mapping[str, Any] | None) -> dict[str, Any]:
    """sd-server's object of a job. ``position`` in the queue, 0 for none; ``progress`` of one that is computed."""
    shown: dict[str, Any] = {
        "id": job.id,
        "kind": KINDS[job.kind],
        "status": _STATUSES[job.status],
        "created": int(job.created_at.timestamp()),
        "started": int(job.started_at.timestamp()) if job.started_at else None,
        "completed": int(job.completed_at.timestamp()) if job.completed_at else None,
        "queue_position": position,
        "result": result,
        "error": _error_of(job),
    }
    if progress is not None:
        shown["progress"] = {
            "step": progress.current_all_steps,
            "total_steps": progress.all_steps,
            "percent": progress.percentage,
            "phase": progress.phase,
        }
    if job.warnings:
        shown["warnings"] = list(job.warnings)
    return shown


def output_wanted(job: Job) -> tuple[str, int]:
    """Format and quality in which a job's pictures are answered: PNG for what another dialect submitted."""
    if job.kind == "txt2vid":
        return str(job.params.get("output_format", "")), 100
    try:
        note = json.loads(job.note or "{}")
        return str(note.get("output_format", "png")), int(note.get("output_compression", 100))
    except (ValueError, AttributeError):
        return "png", 100


def video_result(job: Job, content: str) -> dict[str, Any]:
    """The result of a video; ``content``: its file, base64."""
    params = VideoParams.model_validate(job.params)
    return {
        "output_format": params.output_format,
        "mime_type": _MIME_TYPES[params.output_format],
        "fps": params.fps,
        "frame_count": params.frame_count,
        "b64_json": content,
    }


def can_answer_video(job: Job) -> bool:
    """Whether a video job has one file of a format that this dialect knows (frames of their own are none)."""
    return job.kind == "txt2vid" and job.params.get("output_format") in _MIME_TYPES


def _error_of(job: Job) -> dict[str, str] | None:
    if job.status == "cancelled":
        return {"code": "cancelled", "message": job.error or "job cancelled by client"}
    if job.status == "failed":
        return {"code": job.error_code or "generation_failed", "message": job.error or "the job failed"}
    return None


def output_format(given: Any, allowed: tuple[str, ...]) -> str:
    """The format that is asked for, in any case; the first of ``allowed`` where none is. Raises InvalidRequest."""
    if given is None:
        return allowed[0]
    form = given.strip().lower() if isinstance(given, str) else ""
    if form not in allowed:
        text = f"invalid output_format, must be one of [{', '.join(allowed)}], got {show_value(given)}"
        raise InvalidRequest(text, field="output_format")
    return form


def _take_images(given: dict[str, Any]) -> dict[str, str]:
    images = {role: given.pop(role) for role in _ROLES if given.get(role)}
    for name in _LISTS:
        for index, text in enumerate(given.pop(name, [])):
            images[f"{name}.{index}"] = text
    return images


def _drop_usual(given: dict[str, Any]) -> None:
    """Numbers by which sd-server means that it may choose."""
    for path in _AT_LEAST_ONE:
        if given.get(path, 1) <= 0:
            del given[path]
    if given.get("seed", 0) < 0:
        given["seed"] = -1
    if given.get("clip_skip", 1) <= 0:
        del given["clip_skip"]
    if not given.get("hires.enabled") or given.get("hires.upscaler", "").casefold() == "none":
        is_told = "hires.enabled" in given
        for path in [path for path in given if path.startswith("hires.")]:
            del given[path]
        if is_told:
            # Not left out: users may have chosen the hires fix for whoever says nothing.
            given["hires.enabled"] = False


def _translate_names(given: dict[str, Any], context: TranslationContext, warnings: list[str]) -> None:
    """Samplers and schedulers in the library's words; what nobody knows is told, and the model's own is taken."""
    for path in (path for path in _SAMPLERS if path in given):
        name = given.pop(path)
        named = find_sampling(name)
        if named is not None and named.is_exact and named.sampler in context.samplers:
            given[path] = named.sampler
        elif name not in ("", "default"):
            warnings.append(f"{path} {shorten(name)!r} is not known: the model's own is taken")
    for path in (path for path in _SCHEDULERS if path in given):
        name = given.pop(path)
        found = find_scheduler(name)
        if found in context.schedulers:
            given[path] = found
        elif name not in ("", "default"):
            warnings.append(f"{path} {shorten(name)!r} is not known: the model's own is taken")


def _lora_tags(loras: list[Any], choice: ModelChoice) -> str:
    tags = []
    for index, one in enumerate(loras[:65]):
        place = f"lora[{index}]"
        if index == 64 or not isinstance(one, dict) or not isinstance(one.get("path"), str):
            text = f"{place} must be an object with a path, one of at most 64, got {show_value(one)}"
            raise InvalidRequest(text, field=place)
        weight = one.get("multiplier", 1.0)
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise InvalidRequest(f"{place}.multiplier must be a number, got {show_value(weight)}", field=place)
        try:
            name = choice.find(("lora",), one["path"]).name
        except (ModelNotFound, InvalidRequest) as error:
            raise InvalidRequest(f"{place}.path: {error.message}", field=place) from None
        try:
            tags.append(lora_tag(name, weight, is_high_noise=one.get("is_high_noise") is True))
        except ValueError as error:
            raise InvalidRequest(f"{place}.path: {error}; rename the file", field=place) from None
    return "".join(tags)


def _size_of_picture(text: str, side: int) -> dict[str, int]:
    """The size of the given picture, as far as one can be drawn so."""
    width, height = measure_picture("init_image", decode_base64("init_image", text))
    return {"width": _drawable(width, side), "height": _drawable(height, side)}


def _drawable(length: int, side: int) -> int:
    return max(64, min(side, length)) // 8 * 8
