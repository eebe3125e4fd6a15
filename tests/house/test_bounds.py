"""A field's limits stand once, at the field of the parameters: wire models publish them, submissions refuse by them.

Every field that is bounded is looked for, so a new one is held to this without a line here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel, Field

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.bounds import Bounds, Length, Marks, marks_of
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import (
    LARGEST_SEED,
    CacheOptions,
    ConvertParams,
    ImageParams,
    SamplingParams,
    UpscaleParams,
    VideoParams,
)
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.a1111 import wire as a1111
from sdcpp_rest.routes.http.wire_models import Integer, Number, Wire
from sdcpp_rest.routes.native.wire import (
    conversion_bodies,
    generation_bodies,
    load_bodies,
    upscaling_bodies,
    video_bodies,
)
from sdcpp_rest.routes.openai import wire as openai
from sdcpp_rest.routes.sdcn import wire as sdcn
from sdcpp_rest.services.models.load_specs import LoadRequest, build_spec
from sdcpp_rest.services.models.model_conversion import ConvertRequest
from sdcpp_rest.services.submission.upscale_submission import UpscaleRequest
from tests import model_files
from tests.cases import for_each_case
from tests.services.conftest import House, config_below, png_text

LIMITS = LimitsConfig()
Limits = Mapping[str, Any]
Submit = Callable[[str, Any], object]

BODIES: dict[type[Wire], tuple[type[Frozen], ...]] = {
    generation_bodies.CacheOptionsBody: (CacheOptions,),
    generation_bodies.SamplingBody: (SamplingParams,),
    generation_bodies.Txt2ImgBody: (ImageParams,),
    generation_bodies.Img2ImgBody: (ImageParams,),
    video_bodies.Txt2VidBody: (VideoParams,),
    load_bodies.LoadOptionsBody: (LoadOptions,),
    upscaling_bodies.UpscalerBody: (UpscalerSpec,),
    upscaling_bodies.UpscaleBody: (UpscaleParams, UpscalerSpec),
    conversion_bodies.ConvertBody: (ConvertParams,),
    openai.GenerationWishes: (ImageParams,),
    openai.EditWishes: (ImageParams,),
    openai.VariationWishes: (ImageParams,),
    openai.EditForm: (ImageParams,),
    openai.VariationForm: (ImageParams,),
}
"""Whose limits each body publishes."""
LENIENT = (
    a1111.A1111Txt2Img, a1111.A1111Img2Img, sdcn.SdcnTxt2ImgBody, sdcn.SdcnImg2ImgBody, sdcn.SdcnApiTxt2ImgBody,
)  # fmt: skip
"""Bodies of dialects that bring numbers into their range, or leave them to the submission."""
NARROWER = {
    # The native API's own table ends at 1; the library and other dialects' clients go on.
    "Txt2ImgBody.control_strength", "Img2ImgBody.control_strength",
    # Besides those in the prompt, which are bounded by its length.
    "GenerationWishes.loras", "EditWishes.loras", "VariationWishes.loras", "EditForm.loras", "VariationForm.loras",
    # An empty one is no weight type, which the parameters do not know.
    "ConvertBody.output_type",
}  # fmt: skip
"""Where a wire model allows less than the parameters do."""
WIDER = {"Txt2ImgBody.img_cfg_scale", "Img2ImgBody.img_cfg_scale"}
"""Where one publishes more: a negative one means "as cfg_scale", and never reaches the parameters."""


# --- what is published ------------------------------------------------------------------------------------------------


def meant_limits(params: type[BaseModel], name: str) -> Limits:
    """The limits of a field of the parameters, in the words of JSON schemas."""
    marks, annotation = marks_of(params).get(name, Marks()), params.model_fields[name].annotation
    found: dict[str, Any] = {}
    if marks.bounds is not None:
        found["minimum"] = marks.bounds.lowest
        found |= {"x-limit": marks.bounds.limit} if marks.bounds.limit else {"maximum": marks.bounds.high}
    if marks.length is not None:
        key = "maxItems" if get_origin(annotation) is tuple else "maxLength"
        found |= {"x-limit": marks.length.limit} if marks.length.limit else {key: marks.length.longest}
    if get_origin(annotation) is Literal:
        found["enum"] = list(get_args(annotation))
    return found


def published_limits(body: type[Wire], name: str) -> Limits:
    schema = _schema(body)["properties"][name]
    keys = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "enum", "x-limit")
    return {key: schema[key] for key in keys if key in schema}


@cache
def _schema(body: type[Wire]) -> dict[str, Any]:
    return body.model_json_schema()


def differing(body: type[Wire], params: type[Frozen]) -> Iterator[tuple[str, Limits, Limits]]:
    """Name, published and meant limits of the fields that both have and that do not say the same."""
    for name in body.model_fields.keys() & params.model_fields.keys():
        published, meant = published_limits(body, name), meant_limits(params, name)
        if published != meant:
            yield f"{body.__name__}.{name}", published, meant


def is_narrower(published: Limits, meant: Limits) -> bool:
    """Whether the wire refuses something that the parameters allow."""

    def ends(limits: Limits) -> tuple[float, float, float]:
        limit = getattr(LIMITS, limits.get("x-limit", ""), math.inf)
        longest = limits.get("maxLength", limits.get("maxItems", math.inf))
        return limits.get("minimum", -math.inf), min(limits.get("maximum", math.inf), limit), min(longest, limit)

    low, high, longest = ends(published)
    least, most, length = ends(meant)
    return low > least or high < most or longest < length or bool({"minLength", "minItems"} & published.keys())


def test_wire_publishes_the_limits_of_the_parameters() -> None:
    narrower, wider, shared = set(), set(), 0
    for body, classes in BODIES.items():
        for params in classes:
            names = body.model_fields.keys() & params.model_fields.keys()
            shared += sum(1 for name in names if meant_limits(params, name))
            for name, published, meant in differing(body, params):
                (narrower if is_narrower(published, meant) else wider).add(name)
    assert shared >= 200
    assert narrower == NARROWER
    assert wider == WIDER


def test_no_lenient_dialect_is_narrower() -> None:
    """A dialect that refuses more than the parameters do says so in its own wire model, and is listed above."""
    shared = 0
    for body in LENIENT:
        shared += len(body.model_fields.keys() & marks_of(ImageParams).keys())
        found = [name for name, published, meant in differing(body, ImageParams) if is_narrower(published, meant)]
        assert not found
    assert shared >= 30


def test_every_configured_limit_that_a_field_names_is_a_setting() -> None:
    classes = {params for some in BODIES.values() for params in some}
    named = [
        mark.limit
        for params in classes
        for marks in marks_of(params).values()
        for mark in (marks.bounds, marks.length)
        if mark is not None and mark.limit
    ]
    assert len(named) >= 25
    assert set(named) <= LimitsConfig.model_fields.keys()


def unbounded_numbers(*classes: type[Frozen]) -> list[str]:
    """Fields that hold a number and do not say between what."""
    return [
        f"{params.__name__}.{name}"
        for params in classes
        for name, field in params.model_fields.items()
        if {int, float} & {field.annotation, *get_args(field.annotation)} and name not in marks_of(params)
    ]


def test_every_number_has_bounds() -> None:
    classes = {params for some in BODIES.values() for params in some}
    # An estimate of the server's own, which nobody asks for.
    assert unbounded_numbers(*classes) == ["ConvertParams.expected_bytes"]


def test_rule_about_numbers_can_fail() -> None:
    assert unbounded_numbers(FileRef, Forgotten) == ["Forgotten.steps", "Forgotten.scale"]


class Forgotten(Frozen):
    steps: int = 20
    scale: float | None = None
    words: str = ""
    strength: Annotated[float, Bounds(0, 1)] = 0.5


class LowBody(Wire):
    steps: Integer = Field(20, ge=0)
    strength: Number = Field(0.5, ge=0, le=1)
    cache_mode: Literal["disabled", "magic"] = "disabled"
    hires_scale: Number = Field(2.0, ge=2, le=16)


def test_rule_about_the_wire_can_fail() -> None:
    found = {name.partition(".")[2]: is_narrower(*both) for name, *both in differing(LowBody, ImageParams)}
    assert found == {"steps": False, "cache_mode": False, "hires_scale": True}


# --- what is refused --------------------------------------------------------------------------------------------------

TEXTS: dict[str, Callable[[int], str]] = {
    "scm_mask": lambda length: ("0," * length)[: length + 1 - length % 2],
    "tensor_type_rules": lambda length: "," * length,
}
"""Texts of a length that have nothing wrong but their length; a mask's is odd."""
BASE = {"prompt": "a cat", "width": 8, "height": 8, "steps": 2}


def tried_values(params: type[Frozen], name: str) -> tuple[list[Any], list[Any]]:
    """Values at the ends of what a field allows, and values just beyond them."""
    marks, annotation = marks_of(params).get(name, Marks()), params.model_fields[name].annotation
    step: float = 1 if int in (annotation, *get_args(annotation)) else 0.001
    allowed: list[Any] = []
    refused: list[Any] = []
    if marks.bounds is not None:
        low, high = marks.bounds.lowest, marks.bounds.highest(LIMITS)
        if name == "seed":  # each picture of a batch has one of its own
            high = LARGEST_SEED - LIMITS.batch
        allowed, refused = [low, high], [low - step, high + step]
    if marks.each is not None:
        allowed += [[marks.each.low], [int(marks.each.high)]]
        refused += [[marks.each.low - 1], [int(marks.each.high) + 1]]
    if marks.length is not None:
        longest = marks.length.longest_under(LIMITS)
        if get_origin(annotation) is tuple:
            item: float = 1.0 if float in get_args(annotation) else 1
            allowed, refused = [*allowed, [item] * longest], [*refused, [item] * (longest + 1)]
        else:
            make = TEXTS.get(name, lambda length: "a" * length)
            allowed, refused = [*allowed, make(longest)], [*refused, make(longest + 1)]
    words = get_args(annotation) if get_origin(annotation) is Literal else marks.words.allowed if marks.words else ()
    return [*allowed, *words], [*refused, *(["nonsense"] if words else [])]


def complaints(params: type[Frozen], name: str, submit: Submit, prefix: str = "") -> Iterator[str]:
    """What is wrong with how a submission judges a field."""
    allowed, refused = tried_values(params, name)
    for value in allowed:
        try:
            submit(name, value)
        except InvalidRequest as error:
            yield f"{name}={str(value)[:20]} is allowed, and was refused: {error.message[:200]}"
    for value in refused:
        try:
            submit(name, value)
        except InvalidRequest as error:
            yield from sentence_faults(prefix + name, value, allowed, error)
        else:
            yield f"{name}={str(value)[:20]} is not allowed, and went through"


def sentence_faults(field: str, value: Any, allowed: list[Any], error: InvalidRequest) -> Iterator[str]:
    """What a refusal of ``value`` does not name: the field, the value, what is allowed."""
    said = f"{error.message} {error.detail.get('allowed', '')}"
    if error.detail["field"] != field or field not in error.message:
        yield f"{field} is not named: {said[:200]}"
    shown = str(len(value)) if isinstance(value, str) and len(value) > 100 else str(value)[:12]
    if shown not in said and str(value)[:12] not in said:
        yield f"{field}: the value {shown} is not named: {said[:200]}"
    for end in allowed:
        if isinstance(end, (int, float)):
            spellings = {str(end), f"{end:g}", str(float(end)), "0" if field == "seed" else str(end)}
        elif isinstance(end, str) and len(end) < 100:
            spellings = {repr(end)}
        else:
            spellings = {str(len(end)), str(end[0])}
        if field != "cache_options.scm_mask" and not any(spelling in said for spelling in spellings):
            yield f"{field}: {str(end)[:20]} is not named as allowed: {said[:200]}"


def fields_of(*classes: type[Frozen]) -> list[tuple[type[Frozen], str]]:
    """Every field that has limits or is one of some words."""
    return [
        (params, name)
        for params in classes
        for name, field in params.model_fields.items()
        if name in marks_of(params) or get_origin(field.annotation) is Literal
    ]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Not started: jobs stay pending. The bundled model is selected."""
    made = House(config_below(tmp_path_factory.mktemp("house")), "inline")
    made.runtime.models.slot.restore(LoadRequest(model_name=made.runtime.default_model))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def wan(tmp_path_factory: pytest.TempPathFactory) -> LoadSpec:
    folder: Path = tmp_path_factory.mktemp("wan")
    path = model_files.write(folder / "wan.gguf", model_files.gguf_bytes(model_files.wan(30)))
    return LoadSpec(model=FileRef(name="wan.gguf", path=str(path)), kind="diffusion", architecture="Wan 2.x")


@pytest.fixture
def submits(house: House, wan: LoadSpec) -> dict[type[Frozen], Submit]:
    """How a value of each kind of parameters comes in, by the way that every dialect takes."""
    runtime, upscaler = house.runtime, "esrgan_x2.safetensors"

    def enlarge(name: str, value: Any) -> object:
        asked = {"image_base64": png_text(1, 1), "upscale_factor": 1, name: value}
        spec = runtime.models.upscalers.build_spec(upscaler)
        return runtime.submission.upscales.submit(UpscaleRequest.model_validate(asked), spec=spec)

    def load(name: str, value: Any) -> object:
        # Not as its file has them: LoRAs cannot be applied immediately to quantized weights.
        options = {"weight_type": "f16", name: value}
        return build_spec(runtime.models.library, LoadRequest(model_name=runtime.default_model or "", options=options))

    def convert(name: str, value: Any) -> object:
        asked = {"input_path": runtime.default_model, "output_type": "q4_0", name: value}
        return runtime.models.conversions.submit(ConvertRequest.model_validate(asked))

    return {
        ImageParams: lambda name, value: runtime.submission.pictures.picture("txt2img", {**BASE, name: value}),
        VideoParams: lambda name, value: runtime.submission.videos.video(
            {**BASE, "video_frames": 5, name: value}, spec=wan
        ),
        CacheOptions: lambda name, value: runtime.submission.pictures.picture(
            "txt2img", {**BASE, "cache_options": {name: value}}
        ),
        LoadOptions: load,
        UpscalerSpec: lambda name, value: runtime.models.upscalers.build_spec(upscaler, **{name: value}),
        UpscaleParams: enlarge,
        ConvertParams: convert,
    }


PREFIXES: dict[type[Frozen], str] = {CacheOptions: "cache_options.", LoadOptions: "options."}
FIELDS = fields_of(ImageParams, VideoParams, CacheOptions, LoadOptions, UpscalerSpec, UpscaleParams, ConvertParams)


def test_fields_with_limits_are_found() -> None:
    assert len(FIELDS) >= 115
    assert all(tried_values(params, name)[1] for params, name in FIELDS)


@pytest.mark.slow
@for_each_case(("params", "name"), FIELDS, ids=lambda one: one if isinstance(one, str) else one.__name__)
def test_submission_judges_by_the_limits_of_the_field(
    submits: dict[type[Frozen], Submit], params: type[Frozen], name: str
) -> None:
    found = list(complaints(params, name, submits[params], PREFIXES.get(params, "")))
    assert not found, "\n".join(found)


class Example(Frozen):
    steps: Annotated[int, Bounds(1, 50)] = 20
    layers: Annotated[tuple[Annotated[int, Bounds(0, 3)], ...], Length(2)] = ()


@pytest.mark.parametrize("name", ["steps", "layers"])
def test_rule_about_submissions_can_fail(name: str) -> None:
    def refuse(field: str, value: Any) -> None:
        raise InvalidRequest("no", field="else")

    assert any("went through" in found for found in complaints(Example, name, lambda field, value: None))
    found = list(complaints(Example, name, refuse))
    assert any("was refused" in one for one in found)
    assert any("is not named" in one for one in found)
