"""From a drawing call of AUTOMATIC1111's clients to what its jobs draw: the plan, the model, and the pictures that each
starts from. Knows what is there to choose from; submits nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.core.sampling import HIRES_UPSCALERS
from sdcpp_rest.errors import ModelNotFound
from sdcpp_rest.routes.a1111 import infotext, painting, settings
from sdcpp_rest.routes.a1111.choices import Choices, is_there
from sdcpp_rest.routes.a1111.errors import HTTPException, Unreadable
from sdcpp_rest.routes.a1111.painting import Source
from sdcpp_rest.routes.a1111.reading import reread
from sdcpp_rest.routes.a1111.translation import Translation, TranslationContext, to_plan
from sdcpp_rest.routes.a1111.wire import A1111Img2Img, A1111Request
from sdcpp_rest.routes.http.extra_args import ExtraArgs, read_extra_args
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.settings.prompt_styles import PromptStyles
from sdcpp_rest.services.submission.model_titles import ModelTitles
from sdcpp_rest.services.submission.picture_rounds import PictureKind, PictureRequest
from sdcpp_rest.services.submission.sampling_intake import SamplingIntake

_STRONGEST_CONTROL = 10.0
# Of the arguments in a prompt, what this dialect has fields for.
_EXTRA_FIELDS = {name: name for name in ("negative_prompt", "seed", "steps", "cfg_scale", "width", "height")}
_EXTRA_FIELDS["strength"] = "denoising_strength"
# What `painting.sources` reads besides the init images.
_PICTURE_FIELDS = (
    "mask", "mask_blur", "mask_blur_x", "mask_blur_y", "mask_round", "resize_mode", "inpainting_fill",
    "inpaint_full_res", "inpaint_full_res_padding", "inpainting_mask_invert", "batch_size",
)  # fmt: skip
_FILLED_WITH_NOISE = 2
_SIZES = ("hires", "hires_scale", "hires_width", "hires_height")


@dataclass(frozen=True)
class PictureCall:
    """A call that can be drawn.

    ``body`` is the request as it was read, ``options`` those in force for it. ``images`` are what all jobs look at
    (role -> base64), ``sources`` what they start from, in turn; each job draws ``batch`` pictures. ``size`` is what the
    model draws.
    """

    body: A1111Request
    plan: Translation
    options: Mapping[str, Any]
    spec: LoadSpec
    images: Mapping[str, str]
    sources: Sequence[Source]
    batch: int
    size: tuple[int, int]

    @property
    def picture_size(self) -> tuple[int, int]:
        """The size of its pictures, as they are answered."""
        work = self.sources[0].work
        return work.background.size if work is not None else self.size

    @property
    def count(self) -> int:
        """How many jobs it takes."""
        return self.plan.n_iter * len(self.sources)

    def source(self, index: int) -> Source:
        """What job ``index`` starts from."""
        return self.sources[index % len(self.sources)]

    def request(self, index: int) -> PictureRequest:
        """What job ``index`` draws."""
        asked = {**self.plan.asked, "seed": self.plan.native_seed(index * self.batch), "batch_count": self.batch}
        return PictureRequest(self.plan.kind, asked, {**self.images, **self.source(index).images}, self.spec)


class Translator:
    """Translates requests, by what the server has and what its users have chosen.

    ``engine`` are the engine's own lists (``samplers``, ``schedulers``); ``most_pictures`` is how many one call may ask
    for.
    """

    def __init__(
        self,
        choices: Choices,
        intake: SamplingIntake,
        library: ModelLibrary,
        titles: ModelTitles,
        styles: PromptStyles,
        engine: Mapping[str, Any],
        most_pictures: int,
    ) -> None:
        self._choices = choices
        self._intake = intake
        self._library = library
        self._titles = titles
        self._styles = styles
        self._engine = engine
        self._most_pictures = most_pictures
        self._prepared: tuple[Any, list[Source]] = (None, [])

    def translate(self, sent: A1111Request) -> PictureCall:
        """What a request asks for. Raises Unreadable, HTTPException, RuntimeFailure, NoModelLoaded, InvalidRequest."""
        body = with_infotext(sent)
        extra = read_extra_args(body.prompt)
        body = _with_extra_args(body, extra)
        self._check_count(body)
        ignored: list[str] = []
        options, spec = self._choices.read_overrides(self._overrides_of(body, ignored), ignored)
        kind: PictureKind = "img2img" if isinstance(body, A1111Img2Img) else "txt2img"
        defaults = self._intake.defaults(ImageParams, kind, spec)
        plan = to_plan(body, self._context(options, defaults))
        plan.ignored[:0] = [*ignored, *extra.ignored]
        plan.asked |= {name: value for name, value in extra.params.items() if name not in _EXTRA_FIELDS}
        images = _shared_pictures(body, plan)
        spec = self._with_needs(spec, plan)
        width, height = (int(plan.asked.get(name, defaults.get(name, 512))) for name in ("width", "height"))
        sources = [Source({})]
        if isinstance(body, A1111Img2Img):
            sources = self._prepare_sources(body, plan, (width, height))
        if len(sources) > 1:
            # Several init images are the pictures of one batch there. The library starts a batch from one.
            plan.batch_size = len(sources)
        batch = 1 if len(sources) > 1 else plan.batch_size
        return PictureCall(body, plan, options, spec, images, sources, batch, _drawn_size(plan, width, height))

    def _overrides_of(self, body: A1111Request, ignored: list[str]) -> dict[str, Any]:
        """The call's own options, ``model`` among them."""
        overrides = body.override_settings
        if body.model in (None, "") or overrides.get(settings.CHECKPOINT):
            return overrides
        if isinstance(body.model, str) and self._titles.find(body.model) is not None:
            return {**overrides, settings.CHECKPOINT: body.model}
        ignored.append(f"model {str(body.model)[:60]}")
        return overrides

    def _prepare_sources(self, body: A1111Img2Img, plan: Translation, size: tuple[int, int]) -> list[Source]:
        """What the pictures start from: prepared once for the many requests of a script that differ in other things."""
        is_noise = body.inpainting_fill == _FILLED_WITH_NOISE
        fields = (getattr(body, name) for name in _PICTURE_FIELDS)
        key = (tuple(body.init_images or ()), size, *fields, plan.seed if is_noise else None)
        if key != self._prepared[0]:
            self._prepared = (key, painting.sources(body, plan, size))
        return self._prepared[1]

    def _check_count(self, body: A1111Request) -> None:
        count, most = body.n_iter * body.batch_size, self._most_pictures
        if count > most:
            message = f"n_iter x batch_size is {count}; at most {most} pictures are drawn by one call (a1111.pictures)"
            raise Unreadable([{"loc": ["body", "n_iter"], "msg": message, "type": "value_error"}])

    def _context(self, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> TranslationContext:
        return TranslationContext(
            samplers=tuple(self._engine["samplers"]),
            schedulers=tuple(self._engine["schedulers"]),
            defaults=defaults,
            options=options,
            styled=self._styles.apply,
            has_lora=lambda name: is_there(self._library, "lora", name),
            upscaler=self._upscaler_named,
        )

    def _upscaler_named(self, name: str) -> str | None:
        """The native name of a hires upscaler; ``None`` for one that is not there."""
        # Doing nothing between the passes is stretching the picture.
        folded = "lanczos" if name.casefold() in ("none", "") else name.casefold()
        for known in HIRES_UPSCALERS:
            if known.casefold() == folded and known != "Model":
                return known
        return name if is_there(self._library, "esrgan", name) else None

    def _with_needs(self, spec: LoadSpec, plan: Translation) -> LoadSpec:
        """``spec`` with what only some pictures need."""
        components: dict[str, str | None] = {}
        name = str((plan.control or {}).get("model") or "").partition(" [")[0].strip()
        if name and name.casefold() != "none":
            components["controlnet"] = name
        if not components and plan.circular is None:
            return spec
        try:
            return self._titles.spec_of(spec, components=components, circular=plan.circular)
        except ModelNotFound:
            raise HTTPException(422, f"ControlNet model {name[:100]!r} not found") from None


def _drawn_size(plan: Translation, width: int, height: int) -> tuple[int, int]:
    asked = {name: plan.asked[name] for name in _SIZES if name in plan.asked}
    return ImageParams.model_validate({"prompt": "", "width": width, "height": height, **asked}).picture_size


def _with_extra_args(body: A1111Request, extra: ExtraArgs) -> A1111Request:
    """``body`` with what its prompt holds besides words, as far as this dialect has fields for it."""
    fields = {_EXTRA_FIELDS[name]: value for name, value in extra.params.items() if name in _EXTRA_FIELDS}
    return body.model_copy(update={"prompt": extra.prompt, **fields}) if extra.prompt != body.prompt else body


def with_infotext(body: A1111Request) -> A1111Request:
    """``body`` with the fields that it does not send taken from the text that it does."""
    if not body.infotext:
        return body
    sent = body.sent_fields()
    found = infotext.request_fields(body.infotext)
    return reread(type(body), {**{name: value for name, value in found.items() if name not in sent}, **sent})


def _shared_pictures(body: A1111Request, plan: Translation) -> dict[str, str]:
    """Pictures that all jobs of the call look at."""
    images = {f"ref_images.{k}": text for k, text in enumerate(body.extra_images)}
    unit = plan.control
    if unit is not None:
        picture = unit.get("image") or unit.get("input_image")
        text = picture.get("image") if isinstance(picture, dict) else picture
        if not isinstance(text, str):
            raise HTTPException(500, "Invalid encoded image")
        # Under a name of its own: what else is said about a control image is not that it cannot be decoded.
        with painting.at_work():
            painting.decode_picture("image", text)
        images["control_image"] = text
        try:
            weight = float(unit.get("weight", 1.0))
        except (TypeError, ValueError, OverflowError):
            weight = 1.0
        plan.asked["control_strength"] = min(_STRONGEST_CONTROL, max(0.0, weight))
        module = str(unit.get("module") or "none").casefold()
        if module == "canny":
            plan.asked["preprocess"] = "canny"
        elif module != "none":
            plan.ignored.append(f"ControlNet module {module[:60]}")
    painting.refuse_addresses(*images.values())
    return images
