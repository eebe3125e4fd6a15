"""From OpenAI's words to native ones: what is to be drawn, with which model, from which pictures.

What it has to know of the server comes as `TranslationContext`. Submits nothing, and knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.core.prompts import lora_tag
from sdcpp_rest.core.sampling_names import find_sampling, find_scheduler
from sdcpp_rest.errors import InvalidRequest, ModelNotFound, NoModelLoaded
from sdcpp_rest.routes.http.answers import shorten
from sdcpp_rest.routes.http.extra_args import read_extra_args
from sdcpp_rest.routes.http.wire_models import examine
from sdcpp_rest.routes.openai.neighbours import sides_of
from sdcpp_rest.routes.openai.wire import (
    EditWishes,
    GenerationWishes,
    LoraWish,
    MadeWishes,
    OutputFormat,
    Quality,
    SharedWishes,
    VariationWishes,
)
from sdcpp_rest.services.models.architecture_presets import edits_references
from sdcpp_rest.services.pictures import edit_pictures
from sdcpp_rest.services.pictures.input_images import decode_base64, measure_picture
from sdcpp_rest.services.submission.model_choice import PICTURE_MODELS, ModelChoice
from sdcpp_rest.services.submission.picture_rounds import PictureKind, PictureRequest

Wishes = GenerationWishes | EditWishes | VariationWishes

# Models of OpenAI's for which a picture's own transparency is the mask.
_MASKED_BY_THEMSELVES = "dall-e-2"
_FIELDS = {"init_image": "image", "mask_image": "mask"}
# Of the model's own steps.
_STEP_SHARES: Mapping[Quality, float] = {
    "low": 0.5,
    "auto": 1.0,
    "standard": 1.0,
    "medium": 1.0,
    "high": 1.5,
    "hd": 1.5,
    "xhigh": 2.0,
    "max": 3.0,
}
_SAME_NAMES = ("negative_prompt", "seed", "steps", "cfg_scale", "strength")
_MASKED_STRENGTH = 1.0


@dataclass(frozen=True)
class TranslationContext:
    """What a translation has to know.

    ``aliases``: names of models in the configuration. ``usual``: what a model draws when nothing is said.
    """

    limits: LimitsConfig
    aliases: Mapping[str, str]
    choice: ModelChoice
    selected: LoadSpec | None
    usual: Callable[[PictureKind, LoadSpec], ImageParams]


@dataclass(frozen=True)
class Asked:
    """A request, understood: what each of ``count`` jobs draws, and what the answer has to look like.

    ``given``: sizes in pixels of the pictures that came with it.
    """

    wishes: Wishes
    request: PictureRequest
    given: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return self.wishes.n

    @property
    def output_format(self) -> OutputFormat:
        return self.wishes.output_format if isinstance(self.wishes, MadeWishes) else "png"

    @property
    def output_compression(self) -> int:
        return self.wishes.output_compression if isinstance(self.wishes, MadeWishes) else 100


def to_request(wishes: Wishes, context: TranslationContext, warnings: Sequence[str] = ()) -> Asked:
    """What is to be drawn, with which model; ``warnings`` are passed on. Raises InvalidRequest, NoModelLoaded."""
    spec = model_for(wishes.model, context)
    usual = context.usual("txt2img" if isinstance(wishes, GenerationWishes) else "img2img", spec)
    params = to_params(wishes, usual, context.limits.steps)
    extra = read_extra_args(params["prompt"], context.limits)
    params |= {"prompt": extra.prompt, **extra.params}
    if not extra.prompt and not isinstance(wishes, VariationWishes):
        raise InvalidRequest("prompt must not be empty", field="prompt")
    told = [*warnings, *notes(wishes), *(f"{name} was ignored." for name in extra.ignored)]
    if isinstance(wishes, GenerationWishes):
        return Asked(wishes, PictureRequest("txt2img", params, spec=spec), notes=tuple(told))
    files = [decode_base64(_place(index), text) for index, text in enumerate(wishes.image)]
    given = tuple(measure_picture(_place(index), file) for index, file in enumerate(files))
    if "width" not in params or "height" not in params:
        width, height = edit_pictures.fit_size(given[0], (usual.width, usual.height), context.limits.side)
        params = {"width": width, "height": height, **params}
    mask = _mask(wishes, files[0])
    if mask is not None and isinstance(wishes, EditWishes):
        params.setdefault("strength", _MASKED_STRENGTH)
    kind, images = _roles(wishes, spec, mask, told)
    return Asked(wishes, PictureRequest(kind, params, images, spec), given, tuple(told))


def _roles(
    wishes: EditWishes | VariationWishes, spec: LoadSpec, mask: str | None, told: list[str]
) -> tuple[PictureKind, dict[str, str]]:
    """The kind of job, and its pictures by what they are for; what is left out is told."""
    looks = edits_references(spec) and isinstance(wishes, EditWishes)
    if looks and mask is None:
        return "txt2img", {f"ref_images.{index}": text for index, text in enumerate(wishes.image)}
    images = {"init_image": wishes.image[0]} if mask is None else {"init_image": wishes.image[0], "mask_image": mask}
    if len(wishes.image) > 1 and looks:
        images |= {f"ref_images.{index}": text for index, text in enumerate(wishes.image[1:])}
    elif len(wishes.image) > 1:
        told.append(f"Only the first of {len(wishes.image)} images was used: {spec.model.name} looks at one.")
    return "img2img", images


def model_for(name: str, context: TranslationContext) -> LoadSpec:
    """The model of that name, or of that alias, or else the selected one.

    Raises NoModelLoaded, ModelNotFound for an alias that leads nowhere, InvalidRequest.
    """
    alias = context.aliases.get(name)
    if alias is not None:
        try:
            return context.choice.spec_named(alias)
        except ModelNotFound:
            raise ModelNotFound(
                f"The model {name!r} is to be {alias!r} (openai.model_aliases), which is not there", field="model"
            ) from None
    if name:
        try:
            return context.choice.spec_named(name)
        except ModelNotFound:
            pass
        except InvalidRequest:
            # A path, say: other servers' names are no business of our folders. A model of ours that cannot be loaded
            # must not be taken for one.
            if _is_ours(name, context.choice):
                raise
    if context.selected is None:
        raise NoModelLoaded("No model loaded")
    return context.selected


def in_client_words(error: InvalidRequest) -> InvalidRequest:
    """The same refusal with the field called as on the wire."""
    role = str(error.detail.get("field") or "")
    wire = _FIELDS.get(role) or ("image" if role.startswith("ref_images") else None)
    if wire is None:
        return error
    return type(error)(error.message.replace(role, wire, 1), **{**error.detail, "field": wire})


def to_params(wishes: SharedWishes, usual: ImageParams, max_steps: int) -> dict[str, Any]:
    """What was asked for in native words; sizes that depend on a picture are left out.

    Args:
        usual: what the model does when nothing is said.
        max_steps: that no quality goes beyond.
    """
    sent = wishes.sent_fields()
    asked: dict[str, Any] = {name: sent[name] for name in _SAME_NAMES if name in sent}
    asked["prompt"] = _with_loras(str(getattr(wishes, "prompt", "")), wishes.loras)
    size = size_of(wishes.size)
    if size is not None:
        asked["width"], asked["height"] = size
    asked |= _sampling(sent)
    if isinstance(wishes, MadeWishes) and "steps" not in asked and "quality" in sent:
        asked["steps"] = min(max_steps, max(1, round(usual.steps * _STEP_SHARES[wishes.quality])))
    if isinstance(wishes, EditWishes) and wishes.mask and "strength" not in asked:
        asked["strength"] = _MASKED_STRENGTH
    if isinstance(wishes, VariationWishes):
        asked["strength"] = wishes.strength
    return asked


def size_of(text: str) -> tuple[int, int] | None:
    """Width and height, ``None`` for ``auto``. Raises InvalidRequest."""
    if text.strip().lower() in ("", "auto"):
        return None
    size = sides_of(text)
    if size is None:
        raise InvalidRequest(f"size must be WIDTHxHEIGHT or auto, got {shorten(text)!r}", field="size", value=text)
    return size


def notes(wishes: SharedWishes) -> list[str]:
    """About what was asked for and is not done."""
    found = []
    if isinstance(wishes, MadeWishes) and wishes.background == "transparent":
        found.append("background was ignored: pictures are opaque.")
    if isinstance(wishes, GenerationWishes) and wishes.style:
        found.append("style was ignored; say it in the prompt.")
    if isinstance(wishes, EditWishes) and wishes.input_fidelity:
        found.append("input_fidelity was ignored; strength says how much is drawn anew.")
    return found


def _place(index: int) -> str:
    return "image" if index == 0 else f"image[{index}]"


def _mask(wishes: EditWishes | VariationWishes, first: bytes) -> str | None:
    if not isinstance(wishes, EditWishes):
        return None
    if wishes.mask:
        return edit_pictures.mask_of("mask", decode_base64("mask", wishes.mask))
    if wishes.model == _MASKED_BY_THEMSELVES:
        return edit_pictures.mask_of("image", first, only_alpha=True)
    return None


def _is_ours(name: str, choice: ModelChoice) -> bool:
    try:
        choice.find(PICTURE_MODELS, name)
    except (ModelNotFound, InvalidRequest):
        return False
    return True


def _sampling(sent: Mapping[str, Any]) -> dict[str, str]:
    """Other programs' names in the library's; what there is only something like, or nothing, is left for the submission
    to refuse."""
    asked: dict[str, str] = {}
    if sent.get("sampler"):
        named = find_sampling(sent["sampler"])
        asked["sampler"] = named.sampler if named and named.is_exact else sent["sampler"]
        if named is not None and named.scheduler is not None:
            asked["scheduler"] = named.scheduler
    if sent.get("scheduler"):
        asked["scheduler"] = find_scheduler(sent["scheduler"]) or sent["scheduler"]
    return asked


def _with_loras(prompt: str, loras: Iterable[Any]) -> str:
    return prompt + "".join(_tag(f"loras[{index}]", lora) for index, lora in enumerate(loras))


def _tag(place: str, lora: Any) -> str:
    if isinstance(lora, list) and 1 <= len(lora) <= 2:
        lora = dict(zip(("name", "weight"), lora, strict=False))
    elif isinstance(lora, str):
        lora = {"name": lora}
    if not isinstance(lora, dict):
        raise InvalidRequest(f'{place} must be {{"name": ..., "weight": ...}} or ["name", 0.8]', field=place)
    try:
        wish, _ = examine(LoraWish, lora)
    except InvalidRequest as error:
        raise InvalidRequest(f"{place}.{error.message}", field=f"{place}.{error.detail.get('field')}") from None
    try:
        return f" {lora_tag(wish.name, wish.weight)}"
    except ValueError:
        text = f"{place}.name is not the name of a LoRA: {shorten(wish.name)!r}"
        raise InvalidRequest(text, field=f"{place}.name") from None
