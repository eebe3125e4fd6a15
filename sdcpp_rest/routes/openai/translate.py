"""From OpenAI's words to the house's, and back. Pure: no request, no service, no file."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sdcpp_rest.core.job import Job
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.core.sampling_names import sampling_named, scheduler_named
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import Wire, examine, shorten
from sdcpp_rest.routes.openai.wire import (
    EditWishes,
    GenerationWishes,
    LoraWish,
    MadeWishes,
    Quality,
    SharedWishes,
    ShownQuality,
    VariationWishes,
)

_SIZE = re.compile(r"^(\d{1,5})x(\d{1,5})$")
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
_SAME_NAMES = ("negative_prompt", "seed", "steps", "cfg_scale", "strength")
_TEXT_TOKEN_BYTES = 4
_IMAGE_TOKEN_SIDE = 16
_MASKED_STRENGTH = 1.0


def to_params(wishes: SharedWishes, usual: ImageParams, max_steps: int) -> dict[str, Any]:
    """What was asked for in the house's words; sizes that depend on a picture are left out.

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
    match = _SIZE.match(text.strip().lower())
    if match is None:
        raise InvalidRequest(f"size must be WIDTHxHEIGHT or auto, got {shorten(text)!r}", field="size", value=text)
    return int(match[1]), int(match[2])


def wants_base64(wishes: SharedWishes) -> bool:
    """Whether the pictures come in the answer itself."""
    asked = wishes.sent_fields().get("response_format")
    return asked == "b64_json" or (asked is None and wishes.model.lower().startswith(_BASE64_MODELS))


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


# --- bodies ---------------------------------------------------------------------------------------------------------


def check_required(body: Mapping[str, Any], *names: str) -> None:
    """Refuse a body without them, in the words OpenAI has for that."""
    for name in names:
        if body.get(name) is None:
            raise InvalidRequest(f"Missing required parameter: '{name}'", field=name, missing=True)


def from_json(body: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON body with its pictures in one list, whichever way they were named."""
    found = dict(body)
    pictures = []
    for name in ("image", "image[]", "images"):
        value = found.pop(name, None)
        pictures += value if isinstance(value, list) else [] if value is None else [value]
    if pictures:
        found["image"] = [_url_of(picture) for picture in pictures]
    if "mask" in found:
        found["mask"] = _url_of(found["mask"])
    return found


def from_form(model: type[Wire], fields: Mapping[str, str]) -> dict[str, Any]:
    """A form's texts in the types of ``model``; left as text, for the check to refuse, where they cannot be."""
    found: dict[str, Any] = {}
    for name, text in fields.items():
        field = model.model_fields.get(name)
        is_text = field is None or field.annotation not in (int, float, bool, list[Any])
        # What stays empty in a page's form was not given.
        if text or field is None or field.is_required():
            found[name] = text if is_text else _value(text)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text.lower() if text in ("True", "False") else text)
    except (ValueError, RecursionError):
        return text


def _url_of(picture: Any) -> Any:
    """OpenAI's JSON names pictures by URLs; those that hold the picture itself are understood."""
    return picture.get("image_url", picture) if isinstance(picture, dict) else picture


def _image_tokens(width: int, height: int) -> int:
    return -(-width // _IMAGE_TOKEN_SIDE) * -(-height // _IMAGE_TOKEN_SIDE)


def _sampling(sent: Mapping[str, Any]) -> dict[str, str]:
    """Other programs' names in the library's; what there is only something like, or nothing, is left for the submission
    to refuse."""
    asked: dict[str, str] = {}
    if sent.get("sampler"):
        named = sampling_named(sent["sampler"])
        asked["sampler"] = named.sampler if named and named.is_exact else sent["sampler"]
        if named is not None and named.scheduler is not None:
            asked["scheduler"] = named.scheduler
    if sent.get("scheduler"):
        asked["scheduler"] = scheduler_named(sent["scheduler"]) or sent["scheduler"]
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
    if any(character in wish.name for character in "<>:") or not wish.name.strip():
        raise InvalidRequest(f"{place}.name is not the name of a LoRA: {shorten(wish.name)!r}", field=f"{place}.name")
    return f" <lora:{wish.name}:{wish.weight:g}>"
