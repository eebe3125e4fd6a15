"""From a request of SwarmUI's clients to what its jobs draw: the parameters, the model, and the pictures to start from.

Knows what is there to choose from; submits nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sdcpp_rest.core.enlarging_methods import ENLARGING_METHODS
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.prompts import lora_tag
from sdcpp_rest.core.sampling_names import find_sampling, find_scheduler
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.swarmui.init_images import grow_and_blur
from sdcpp_rest.routes.swarmui.parameter_reading import Given, Lists, find_loosely
from sdcpp_rest.routes.swarmui.parameters import ASPECTS, LARGEST
from sdcpp_rest.services.jobs.chance import draw_below
from sdcpp_rest.services.submission.picture_rounds import PictureKind, PictureRequest

SEEDS = 2**31
_TEXT_ENCODERS = {
    "cliplmodel": "clip_l",
    "clipgmodel": "clip_g",
    "txxlmodel": "t5xxl",
    "qwenmodel": "llm",
    "mistralmodel": "llm",
    "gemmamodel": "llm",
    "clipvisionmodel": "clip_vision",
}
UPSCALE_METHODS = tuple(ENLARGING_METHODS)
_MODEL_METHOD = "model-"
_LORA_TAG = re.compile(r"<lora:[^<>]*>", re.IGNORECASE)
_USUAL = {"width": 512, "height": 512, "steps": 20, "cfg_scale": 7.0}
_VIDEO_FORMATS = {"h264-mp4": "mp4", "webm": "webm", "webp": "webp"}


class SpecChange(Protocol):
    """Changes a load spec, as `ModelTitles.spec_of` does."""

    def __call__(
        self, spec: LoadSpec, *, components: Mapping[str, str | None], circular: bool | None = None
    ) -> LoadSpec: ...


@dataclass(frozen=True)
class TranslationContext:
    """What a translation has to know.

    ``defaults``: what a kind of picture becomes with a model where the request is silent. ``picture_at`` reads a
    picture of the history by its path, as base64.
    """

    lists: Lists
    selected: LoadSpec | None
    spec_named: Callable[[str], LoadSpec]
    spec_with: SpecChange
    defaults: Callable[[PictureKind, LoadSpec], Mapping[str, Any]]
    makes_videos: Callable[[LoadSpec], bool]
    picture_at: Callable[[str], str]


@dataclass(frozen=True)
class Series:
    """The pictures of one request: how many jobs of one picture (or video) each, and their seeds."""

    count: int
    seed: int
    is_counting: bool = True

    def seed_of(self, index: int) -> int:
        """The seed of picture ``index``."""
        return self.seed + index if self.is_counting else self.seed


@dataclass(frozen=True)
class Drawing:
    """One picture that can be drawn. ``asked`` are its job's parameters, ``given`` the request's own; ``notes`` tell
    what has no effect."""

    given: Given
    is_video: bool
    kind: PictureKind
    asked: Mapping[str, Any]
    images: Mapping[str, str]
    spec: LoadSpec
    notes: tuple[str, ...] = ()

    @property
    def is_returned(self) -> bool:
        """Whether the init image is the answer: nothing of it is to be drawn anew."""
        return self.kind == "img2img" and self.asked.get("strength") == 0

    def request(self, caption: str | None = None) -> PictureRequest:
        """What its job draws, with the text for the picture."""
        return PictureRequest(self.kind, self.asked, self.images, self.spec, self.notes, caption)


@dataclass
class _Draft:
    given: Given
    asked: dict[str, Any] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    components: dict[str, str | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


_NEEDS = {
    "maskimage": ("initimage",),
    "initimagecreativity": ("initimage",),
    "controlnetimageinput": ("controlnetmodel",),
    "refinersteps": ("refinerupscale", "refinercontrolpercentage"),
    "vaetileoverlap": ("vaetilesize",),
    "loraweights": ("loras",),
}
"""Parameters that mean nothing without one of others."""


def _lonely(given: Given) -> list[str]:
    """What is said about parameters that lack what they belong to."""
    return [
        f"{id} has no effect without {' or '.join(needed)}."
        for id, needed in _NEEDS.items()
        if id in given.values and not given.values.keys() & {*needed}
    ]


def plan_series(given: Given, images: int, most: int) -> Series:
    """How many pictures a request asks for (its own ``images`` times the batch size), and from which seed on. Raises
    InvalidRequest for more than ``most``."""
    count = images * given.whole("batchsize", 1)
    if not 1 <= count <= most:
        raise InvalidRequest(
            f"Images x Batch Size is {count}; one request may ask for 1 to {most} (swarm.images)", field="images"
        )
    seed = given.whole("seed", -1)
    if given.number("variationseedstrength", 0) >= 1:
        # The whole of a variation is its own seed's noise.
        seed = given.whole("variationseed", -1)
    # Known beforehand, and never beyond what a seed can be at the last picture.
    seed = draw_below(SEEDS) if seed < 0 else min(seed, LARGEST - count)
    return Series(count, seed, is_counting=not given.is_on("noseedincrement"))


def to_drawing(given: Given, seed: int, context: TranslationContext) -> Drawing:
    """What one picture of a request draws: ``given`` with its prompts as they are drawn. Raises InvalidRequest,
    ModelNotFound."""
    spec = _choose_model(given, context)
    draft = _Draft(given, notes=[*(f"{id} has no effect here." for id in given.unknown), *_lonely(given)])
    kind: PictureKind = "img2img" if given.text("initimage") else "txt2img"
    # Tags that are still there name LoRAs that nobody has: they stay in what is told, and draw nothing.
    draft.asked = {
        "prompt": _LORA_TAG.sub("", given.text("prompt")) + _lora_tags(draft, context.lists),
        "negative_prompt": given.text("negativeprompt"),
        "seed": seed,
    }
    _add_numbers(draft, context.defaults(kind, spec))
    _add_sampling(draft)
    _add_models(draft)
    _add_second_pass(draft)
    if kind == "img2img":
        _add_init_image(draft, context)
    _add_control(draft, context)
    for k, picture in enumerate(given.items("promptimages")):
        draft.images[f"ref_images.{k}"] = _picture(picture, context)
    is_video = context.makes_videos(spec)
    if is_video:
        _make_video(draft)
    if 0 < given.number("variationseedstrength", 0) < 1:
        draft.notes.append("variationseedstrength between 0 and 1 has no effect here: seeds are not blended.")
    circular = True if given.text("seamlesstileable", "false") == "true" else None
    if draft.components or circular:
        spec = context.spec_with(spec, components=draft.components, circular=circular)
    notes = tuple(dict.fromkeys(draft.notes))
    return Drawing(given, is_video, kind, draft.asked, draft.images, spec, notes)


def _choose_model(given: Given, context: TranslationContext) -> LoadSpec:
    name = given.text("model")
    if name:
        return context.spec_named(name)
    if context.selected is None:
        raise InvalidRequest("No model input given. Did your UI load properly?", field="model")
    return context.selected


def _lora_tags(draft: _Draft, lists: Lists) -> str:
    given = draft.given
    weights, encoder_weights = given.items("loraweights"), given.items("loratencweights")
    tags = []
    for index, name in enumerate(given.items("loras")):
        found = find_loosely(name, lists.get("LoRA", ()))
        if found is None:
            raise InvalidRequest(
                f"Invalid value for parameter LoRAs: Invalid LoRA value for param LoRAs - '{name[:80]}' - are you sure "
                "that LoRA name is correct?",
                field="loras",
            )
        try:
            tags.append(lora_tag(found, _weight(weights, index, 1.0)))
        except ValueError as error:
            raise InvalidRequest(f"Invalid value for parameter LoRAs: {error}", field="loras") from None
        if encoder_weights and _weight(encoder_weights, index, 1.0) != _weight(weights, index, 1.0):
            draft.notes.append("loratencweights have no effect here: a LoRA has one weight.")
    return "".join(tags)


def _weight(weights: tuple[str, ...], index: int, default: float) -> float:
    try:
        return float(weights[index]) if index < len(weights) else default
    except ValueError:
        raise InvalidRequest(
            f"Invalid value for parameter LoRA Weights: '{weights[index][:80]}' is not a number", field="loraweights"
        ) from None


def _add_numbers(draft: _Draft, defaults: Mapping[str, Any]) -> None:
    """What is not sent is the model's own default where it has one, and SwarmUI's where it has none."""
    given, asked = draft.given, draft.asked
    for id, name in (("steps", "steps"), ("cfgscale", "cfg_scale")):
        if id in given.values or name not in defaults:
            asked[name] = given.values.get(id, _USUAL[name])
    asked["steps"] = max(1, asked["steps"]) if "steps" in asked else defaults["steps"]
    width, height = _size(draft, int(defaults.get("width", 512)), int(defaults.get("height", 512)))
    asked |= {"width": width, "height": height}
    for id, name in (("fluxguidancescale", "distilled_guidance"), ("sigmashift", "flow_shift")):
        if id in given.values:
            asked[name] = given.number(id, 0)
    if "clipstopatlayer" in given.values:
        asked["clip_skip"] = -given.whole("clipstopatlayer", -1)
    if "vaetilesize" in given.values:
        side = given.whole("vaetilesize", 256)
        overlap = given.whole("vaetileoverlap", 64)
        asked |= {"vae_tiling": True, "vae_tile_size_x": side // 8, "vae_tile_size_y": side // 8}
        asked["vae_tile_overlap"] = min(0.5, overlap / side)


def _size(draft: _Draft, usual_width: int, usual_height: int) -> tuple[int, int]:
    given = draft.given
    raw = given.text("rawresolution").lower().partition("x")
    if raw[1]:
        try:
            return int(raw[0]), int(raw[2])
        except ValueError:
            words = f"'{given.text('rawresolution')[:40]}' - must be like 512x768"
            raise InvalidRequest(
                f"Invalid value for parameter Raw Resolution: {words}", field="rawresolution"
            ) from None
    width, height = given.whole("width", usual_width), given.whole("height", usual_height)
    form = ASPECTS.get(given.text("aspectratio", "Custom"))
    if form is not None and "sidelength" in given.values:
        side = given.whole("sidelength", 512)
        width, height = (max(64, round(one * side / 512 / 16) * 16) for one in form)
    if "altresolutionheightmultiplier" in given.values:
        height = max(64, round(width * given.number("altresolutionheightmultiplier", 1) / 16) * 16)
    return width, height


def _add_sampling(draft: _Draft) -> None:
    given, asked = draft.given, draft.asked
    named = find_sampling(given.text("sampler")) if "sampler" in given.values else None
    if named is not None:
        asked["sampler"] = named.sampler
        if named.scheduler is not None:
            asked["scheduler"] = named.scheduler
    scheduler = find_scheduler(given.text("scheduler")) if "scheduler" in given.values else None
    if scheduler is not None:
        asked["scheduler"] = scheduler


def _add_models(draft: _Draft) -> None:
    given = draft.given
    vae = given.text("vae")
    if given.is_on("automaticvae") or vae == "Automatic":
        draft.components["vae"] = None
    elif vae:
        draft.components["vae"] = "" if vae == "None" else vae
    for id, role in _TEXT_ENCODERS.items():
        if given.text(id):
            draft.components[role] = given.text(id)


def _add_second_pass(draft: _Draft) -> None:
    given, asked = draft.given, draft.asked
    if not {"refinerupscale", "refinercontrolpercentage"} & given.values.keys():
        return
    share = given.number("refinercontrolpercentage", 0.2)
    scale = given.number("refinerupscale", 1)
    if scale < 1:
        draft.notes.append("refinerupscale below 1 has no effect here.")
    if share <= 0:
        draft.notes.append("refinercontrolpercentage of 0 leaves out the second pass.")
        return
    method = given.text("refinerupscalemethod", "pixel-lanczos")
    upscaler = ENLARGING_METHODS.get(method) or method.removeprefix(_MODEL_METHOD)
    asked |= {"hires": True, "hires_scale": max(1.0, scale), "hires_upscaler": upscaler}
    asked["hires_denoising_strength"] = max(0.01, share)
    if "refinersteps" in given.values:
        asked["hires_steps"] = given.whole("refinersteps", 20)


def _add_init_image(draft: _Draft, context: TranslationContext) -> None:
    given, images = draft.given, draft.images
    images["init_image"] = _picture(given.text("initimage"), context)
    draft.asked["strength"] = given.number("initimagecreativity", 0.6)
    if given.text("maskimage"):
        mask = _picture(given.text("maskimage"), context)
        size = draft.asked["width"], draft.asked["height"]
        images["mask_image"] = grow_and_blur(mask, size, given.whole("maskgrow", 0), given.whole("maskblur", 4))


def _add_control(draft: _Draft, context: TranslationContext) -> None:
    given = draft.given
    model = given.text("controlnetmodel")
    if not model:
        return
    picture = given.text("controlnetimageinput") or given.text("initimage")
    if not picture:
        raise InvalidRequest(
            "ControlNet needs a picture: ControlNet Image Input is not set", field="controlnetimageinput"
        )
    draft.components["controlnet"] = model
    draft.images["control_image"] = _picture(picture, context)
    draft.asked["control_strength"] = given.number("controlnetstrength", 1)
    if given.text("controlnetpreprocessor").lower() == "canny":
        draft.asked["preprocess"] = "canny"


def _make_video(draft: _Draft) -> None:
    given, asked = draft.given, draft.asked
    for name in ("hires", "hires_scale", "hires_upscaler", "hires_denoising_strength", "hires_steps"):
        asked.pop(name, None)
    if "textvideoframes" in given.values:
        asked["video_frames"] = given.whole("textvideoframes", 25)
    if "videofps" in given.values:
        asked["fps"] = given.whole("videofps", 16)
    asked["output_format"] = _VIDEO_FORMATS.get(given.text("videoformat", "h264-mp4"), "mp4")


def _picture(text: str, context: TranslationContext) -> str:
    """A picture as base64: it came as a data URL, bare, or as a path of the history."""
    if text.startswith(("inputs/", "raw/", "Starred/")):
        return context.picture_at(text)
    return text
