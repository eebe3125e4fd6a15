"""AUTOMATIC1111's calls that draw: they submit jobs like everybody, wait for them, and answer with the pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response

from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.core.sampling import HIRES_UPSCALERS
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.routes.a1111 import infotext
from sdcpp_rest.routes.a1111 import painting as painting
from sdcpp_rest.routes.a1111 import settings as settings
from sdcpp_rest.routes.a1111.answers import A1111Pictures
from sdcpp_rest.routes.a1111.choices import change_options, read_overrides
from sdcpp_rest.routes.a1111.errors import A1111Error, HTTPException, Unreadable
from sdcpp_rest.routes.a1111.info_object import About, info_object, picture_text
from sdcpp_rest.routes.a1111.painting import Source
from sdcpp_rest.routes.a1111.reading import caller, read, reread
from sdcpp_rest.routes.a1111.translate import Translation, TranslationContext, to_plan
from sdcpp_rest.routes.a1111.wire import A1111Img2Img, A1111Request, A1111Txt2Img
from sdcpp_rest.routes.http.answers import blocking, json_text, runtime
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.services.submission.rounds import Drawn, Round

if TYPE_CHECKING:
    from sdcpp_rest.runtime import Runtime

a1111_generation = Blueprint("a1111_generation", __name__)

_STRONGEST_CONTROL = 10.0


@a1111_generation.post("/sdapi/v1/txt2img")
@documents({200: A1111Pictures}, errors=(404, 422, 429, 507), body=A1111Txt2Img, refusals=(A1111Error,))
@blocking
def a1111_txt2img() -> Response:
    """Draw pictures from words and answer with them. Waits its turn in the queue."""
    return _generate(read(A1111Txt2Img))


@a1111_generation.post("/sdapi/v1/img2img")
@documents({200: A1111Pictures}, errors=(404, 422, 429, 507), body=A1111Img2Img, refusals=(A1111Error,))
@blocking
def a1111_img2img() -> Response:
    """Draw pictures from pictures and words and answer with them. Waits its turn in the queue."""
    return _generate(read(A1111Img2Img))


def _generate(body: A1111Request) -> Response:
    house, body = runtime(), _with_infotext(body)
    _check_count(house, body)
    ignored: list[str] = []
    options, spec = read_overrides(house, body.override_settings, ignored)
    house_words = house.sampling_intake.defaults(ImageParams, _kind(body), spec)
    plan = to_plan(body, _translation_context(house, options, house_words))
    plan.ignored[:0] = ignored
    shared = _round_pictures(body, plan)
    spec = _spec_for(house, plan, spec)
    size = (int(plan.asked.get("width", house_words.get("width", 512))),
            int(plan.asked.get("height", house_words.get("height", 512))))  # fmt: skip
    works = painting.sources(body, plan, size) if isinstance(body, A1111Img2Img) else [Source({})]
    if len(works) > 1:
        plan.batch_size = len(works)
    # Several init images are the pictures of one batch there. The library starts a batch from one.
    batch = 1 if len(works) > 1 else plan.batch_size
    owner, count = caller(), plan.n_iter * len(works)

    def submit(k: int) -> Job:
        asked = {**plan.asked, "seed": plan.native_seed(k * batch), "batch_count": batch}
        images = {**shared, **works[k % len(works)].images}
        return house.submission.picture(plan.kind, asked, images=images, spec=spec, origin="a1111", owner=owner)[0]

    _begin_sums(house, spec)
    with house.rounds.open(owner, f"scripts_{plan.kind}", count, body.force_task_id) as opened:
        drawn = house.rounds.draw(opened, submit)
        answer = _compose_answer(house, body, plan, opened, drawn, works, batch, options, spec)
    if body.override_settings and not body.override_settings_restore_afterwards:
        change_options(house, _those_that_stay(house, body))
    return answer


def _compose_answer(
    house: Runtime,
    body: A1111Request,
    plan: Translation,
    opened: Round,
    drawn: list[Drawn],
    works: list[Source],
    batch: int,
    options: Mapping[str, Any],
    spec: LoadSpec,
) -> Response:
    # A call that was stopped before it began has no job to look at; what was asked for is all there is to tell.
    params: Mapping[str, Any] = drawn[0].job.params if drawn else ImageParams(**plan.asked).model_dump()
    about = _about(house, spec, params, options)
    pictures: list[bytes] = []
    texts: list[str] = []
    for one in drawn:
        for k, file in enumerate(_files(house, one)):
            caption = picture_text(plan, one.job.params, about, one.index * batch + k)
            texts.append(caption)
            if body.send_images or body.save_images:
                pictures.append(painting.finish_picture(file, works[one.index % len(works)], caption, options))
    has_grid = body.save_images and len(pictures) > 1 and bool(options.get("return_grid", True))
    if has_grid:
        pictures.insert(0, painting.grid(pictures, texts[0], options))
        texts.insert(0, texts[0])
    told = info_object(
        plan,
        params,
        about,
        texts,
        styles=list(body.styles),
        timestamp=opened.created_at.astimezone().strftime("%Y%m%d%H%M%S"),
        subseed_strength=body.subseed_strength,
        first_image=int(has_grid),
    )
    rest = {"parameters": _echo(body, params), "info": json_text(told)}
    return painting.pictures_answer(pictures if body.send_images else [], "images", rest)


def _files(house: Runtime, one: Drawn) -> list[bytes | Path]:
    """The pictures of one job: its files, or the preview of one that was stopped."""
    if one.job.status == "completed":
        return [house.outputs.path_of(path) for path in one.job.outputs]
    if one.last_preview is None:
        return []
    params = ImageParams.model_validate(one.job.params)
    preview = painting.encode_preview(one.last_preview, params.picture_size)
    return [preview] if preview is not None else []


# --- what the request needs -----------------------------------------------------------------------------------------


def _kind(body: A1111Request) -> Any:
    return "img2img" if isinstance(body, A1111Img2Img) else "txt2img"


def _with_infotext(body: A1111Request) -> A1111Request:
    """``body`` with the fields that it does not send taken from the text that it does."""
    if not body.infotext:
        return body
    sent = body.sent_fields()
    found = infotext.request_fields(body.infotext)
    return reread(type(body), {**{name: value for name, value in found.items() if name not in sent}, **sent})


def _check_count(house: Runtime, body: A1111Request) -> None:
    count, most = body.n_iter * body.batch_size, house.config.a1111.pictures
    if count > most:
        message = f"n_iter x batch_size is {count}; at most {most} pictures are drawn by one call (a1111.pictures)"
        raise Unreadable([{"loc": ["body", "n_iter"], "msg": message, "type": "value_error"}])


def _translation_context(house: Runtime, options: Mapping[str, Any], words: Mapping[str, Any]) -> TranslationContext:
    engine = house.options()
    return TranslationContext(
        samplers=tuple(engine["samplers"]),
        schedulers=tuple(engine["schedulers"]),
        house=words,
        options=options,
        styled=house.prompt_styles.apply,
        has_lora=lambda name: _is_there(house, "lora", name),
        upscaler=lambda name: upscaler_named(house, name),
    )


def upscaler_named(house: Runtime, name: str) -> str | None:
    """The house's name of a hires upscaler; ``None`` for one that is not there."""
    # Doing nothing between the passes is stretching the picture.
    folded = "lanczos" if name.casefold() in ("none", "") else name.casefold()
    for known in HIRES_UPSCALERS:
        if known.casefold() == folded and known != "Model":
            return known
    return name if _is_there(house, "esrgan", name) else None


def _is_there(house: Runtime, kind: str, name: str) -> bool:
    try:
        house.library.find(kind, name)
    except (ModelNotFound, InvalidRequest):
        return False
    return True


def _round_pictures(body: A1111Request, plan: Translation) -> dict[str, str]:
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
        except (TypeError, ValueError):
            weight = 1.0
        plan.asked["control_strength"] = min(_STRONGEST_CONTROL, max(0.0, weight))
        module = str(unit.get("module") or "none").casefold()
        if module == "canny":
            plan.asked["preprocess"] = "canny"
        elif module != "none":
            plan.ignored.append(f"ControlNet module {module[:60]}")
    painting.refuse_addresses(*images.values())
    return images


def _spec_for(house: Runtime, plan: Translation, spec: LoadSpec) -> LoadSpec:
    """``spec`` with what only some pictures need."""
    components: dict[str, str | None] = {}
    name = str((plan.control or {}).get("model") or "").partition(" [")[0].strip()
    if name and name.casefold() != "none":
        components["controlnet"] = name
    if not components and plan.circular is None:
        return spec
    try:
        return house.titles.spec_of(spec, components=components, circular=plan.circular)
    except ModelNotFound:
        raise HTTPException(422, f"ControlNet model {name[:100]!r} not found") from None


def _those_that_stay(house: Runtime, body: A1111Request) -> dict[str, Any]:
    """Overrides that become options: without those that were passed over, because they cannot be read or name a model
    that nobody knows. The pictures are drawn by now: nothing may be refused any more."""
    found = {}
    for name, value in body.override_settings.items():
        with contextlib.suppress(KeyError, ValueError):
            found[name] = settings.check_option(name, value)
    for name in (settings.CHECKPOINT, settings.VAE):
        if name in found and not _can_stay(house, name, str(found[name])):
            del found[name]
    return found


def _can_stay(house: Runtime, name: str, value: str) -> bool:
    if name == settings.CHECKPOINT:
        return house.titles.find(value) is not None
    return value.casefold() in ("automatic", "auto", "none") or _is_there(house, "vae", value)


# --- what is told about the models ----------------------------------------------------------------------------------


def _begin_sums(house: Runtime, spec: LoadSpec) -> None:
    for model, kinds in _lora_words(spec):
        titled = house.titles.of(model, *kinds)
        if titled is not None and titled.sha256 is None:
            house.titles.begin_sum(titled.file)


def _about(house: Runtime, spec: LoadSpec, params: Mapping[str, Any], options: Mapping[str, Any]) -> About:
    patience = house.config.a1111.hash_patience_seconds
    sums = []
    for model, kinds in _lora_words(spec):
        titled = house.titles.of(model, *kinds)
        sums.append(titled.sha256 or house.titles.sum_of(titled.file, patience) if titled is not None else None)
    loras = {}
    for use in params.get("loras", ()):
        titled = house.titles.of(FileRef(name=use["name"], path=use["path"]), "lora")
        if titled is not None:
            if titled.sha256 is None:
                house.titles.begin_sum(titled.file)
            loras[_stem(use["name"])] = titled.sha256 or house.titles.sum_of(titled.file, patience) or ""
    vae = spec.components.get("vae")
    return About(
        model=_stem(spec.model.name).replace("/", "_"),
        model_sum=sums[0],
        vae=vae.name.rpartition("/")[2] if vae else None,
        vae_sum=sums[1] if vae else None,
        loras={name: sha256 for name, sha256 in loras.items() if sha256},
        version=f"sdcpp-rest {house.version}",
        options=options,
    )


def _lora_words(spec: LoadSpec) -> list[tuple[FileRef, tuple[str, ...]]]:
    vae = spec.components.get("vae")
    return [(spec.model, ()), *([(vae, ("vae",))] if vae is not None else [])]


def _stem(name: str) -> str:
    head, dot, _ = name.rpartition(".")
    return head if dot and head else name


def _echo(body: A1111Request, params: Mapping[str, Any]) -> dict[str, Any]:
    """The request as it was read, with its defaults; pictures only if they are asked for."""
    told = body.model_dump(mode="json")
    for name in ("width", "height", "steps", "cfg_scale"):
        if name not in body.model_fields_set:
            told[name] = params[name]
    del told["extra_images"]
    if isinstance(body, A1111Img2Img) and not body.include_init_images:
        told["init_images"] = told["mask"] = None
    return told
