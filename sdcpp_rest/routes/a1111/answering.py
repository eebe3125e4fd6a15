"""The answer to AUTOMATIC1111's drawing calls: the pictures, the text inside each, and the ``info`` beside them.

Knows what was asked for and what became of it, and asks for the models' names and sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Response

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.routes.a1111 import infotext, names, painting
from sdcpp_rest.routes.a1111.translate import PictureCall
from sdcpp_rest.routes.a1111.translation import IGNORED, Translation
from sdcpp_rest.routes.a1111.wire import A1111Img2Img, A1111Request
from sdcpp_rest.routes.http.answers import json_text
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.services.submission.model_titles import ModelTitles
from sdcpp_rest.services.submission.picture_rounds import Round, RoundResult


@dataclass(frozen=True)
class About:
    """The models of some pictures: names, and SHA-256 sums as far as they are known. ``loras``: name -> sum."""

    model: str
    model_sum: str | None
    vae: str | None
    vae_sum: str | None
    loras: Mapping[str, str]
    version: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class PictureFacts:
    """What is told about one picture of a call besides its text."""

    prompt: str
    negative_prompt: str
    seed: int
    subseed: int


def facts_of(plan: Translation, index: int) -> PictureFacts:
    """The facts of picture ``index`` of a plan."""
    return PictureFacts(plan.prompt, plan.negative_prompt, *plan.seeds(index))


@dataclass
class ScriptAnswer:
    """What a script answers with.

    ``pictures`` are files in the options' format, the grids first; ``infotexts`` begin with theirs, and may be more.
    ``facts`` are of the drawn pictures; ``first_image`` is 1 where a grid comes first. ``extra`` is told in
    ``extra_generation_params``.
    """

    pictures: list[bytes] = field(default_factory=list)
    infotexts: list[str] = field(default_factory=list)
    facts: list[PictureFacts] = field(default_factory=list)
    first_image: int = 0
    extra: dict[str, Any] = field(default_factory=dict)


class PictureAnswers:
    """Composes the answer of a call that draws.

    ``patience_seconds``: how long it waits for the sum of a model that has none yet.
    """

    def __init__(self, titles: ModelTitles, outputs: Outputs, patience_seconds: float, version: str) -> None:
        self._titles = titles
        self._outputs = outputs
        self._patience_seconds = patience_seconds
        self._version = version
        self._sums: dict[str, str | None] = {}

    def begin_sums(self, spec: LoadSpec) -> None:
        """Have the sums of a model's files computed, while pictures are drawn with it."""
        for model, kinds in _summed_files(spec):
            titled = self._titles.of(model, *kinds)
            if titled is not None and titled.sha256 is None:
                self._titles.begin_sum(titled.file)

    def compose(self, call: PictureCall, opened: Round, drawn: Sequence[RoundResult]) -> Response:
        """The answer to ``call``: what was finished, and the last preview of what was stopped."""
        body, plan, options = call.body, call.plan, call.options
        params: Mapping[str, Any] = drawn[0].job.params
        about = self.describe_models(call.spec, params, options)
        pictures: list[bytes] = []
        texts: list[str] = []
        for one in drawn:
            for k, file in enumerate(self.files(one)):
                texts.append(picture_text(plan, one.job.params, about, one.index * call.batch + k))
                if body.send_images or body.save_images:
                    pictures.append(painting.finish_picture(file, call.source(one.index), texts[-1], options))
        has_grid = body.save_images and len(pictures) > 1 and bool(options.get("return_grid", True))
        if has_grid:
            pictures.insert(0, painting.grid(pictures, texts[0], options))
            texts.insert(0, texts[0])
        told = info_object(
            plan,
            params,
            about,
            texts,
            facts=[facts_of(plan, index) for index in range(plan.batch_size * plan.n_iter)],
            styles=list(body.styles),
            timestamp=_timestamp(opened),
            subseed_strength=body.subseed_strength,
            first_image=int(has_grid),
        )
        rest = {"parameters": _echo(body, params), "info": json_text(told)}
        return painting.pictures_answer(pictures if body.send_images else [], "images", rest)

    def compose_script(self, sent: A1111Request, call: PictureCall, opened: Round, found: ScriptAnswer) -> Response:
        """The answer to ``sent``, a call of a script; ``call`` stands for all that it drew."""
        drawn = next((job.params for job in opened.jobs if job.kind == call.plan.kind), None)
        # It may have been stopped before the first one.
        params = drawn if drawn is not None else {**ImageParams(prompt="").model_dump(), **call.plan.asked}
        told = info_object(
            call.plan,
            params,
            self.describe_models(call.spec, params, call.options),
            found.infotexts,
            facts=found.facts or [facts_of(call.plan, 0)],
            styles=list(sent.styles),
            timestamp=_timestamp(opened),
            subseed_strength=sent.subseed_strength,
            first_image=found.first_image,
        )
        told["extra_generation_params"] = {**told["extra_generation_params"], **found.extra}
        rest = {"parameters": _echo(sent, params), "info": json_text(told)}
        return painting.pictures_answer(found.pictures if sent.send_images else [], "images", rest)

    def files(self, one: RoundResult) -> list[bytes | Path]:
        """The pictures of one job: its files, or the preview of one that was stopped."""
        if one.job.status == "completed":
            return [self._outputs.path_of(path) for path in one.job.outputs]
        if one.last_preview is None:
            return []
        params = ImageParams.model_validate(one.job.params)
        preview = painting.encode_preview(one.last_preview, params.picture_size)
        return [preview] if preview is not None else []

    def describe_models(self, spec: LoadSpec, params: Mapping[str, Any], options: Mapping[str, Any]) -> About:
        """The models of a job with ``params``, as the texts of its pictures name them."""
        sums = [self._sum_of(model, *kinds) for model, kinds in _summed_files(spec)]
        loras = {
            _stem(use["name"]): self._sum_of(FileRef(name=use["name"], path=use["path"]), "lora")
            for use in params.get("loras", ())
        }
        vae = spec.components.get("vae")
        return About(
            model=_stem(spec.model.name).replace("/", "_"),
            model_sum=sums[0],
            vae=vae.name.rpartition("/")[2] if vae else None,
            vae_sum=sums[1] if vae else None,
            loras={name: sha256 for name, sha256 in loras.items() if sha256},
            version=f"sdcpp-rest {self._version}",
            options=options,
        )

    def _sum_of(self, model: FileRef, *kinds: str) -> str | None:
        """Asked for once: a call of many jobs waits for it once, too."""
        if model.path not in self._sums:
            self._sums[model.path] = self._read_sum(model, *kinds)
        return self._sums[model.path]

    def _read_sum(self, model: FileRef, *kinds: str) -> str | None:
        titled = self._titles.of(model, *kinds)
        if titled is None or titled.sha256 is not None:
            return titled.sha256 if titled is not None else None
        self._titles.begin_sum(titled.file)
        return self._titles.sum_of(titled.file, self._patience_seconds)


def picture_text(plan: Translation, params: Mapping[str, Any], about: About, index: int) -> str:
    """The text of picture ``index`` of a call; ``params`` are its job's."""
    seed, subseed = plan.seeds(index)
    options = about.options
    shows_hash, shows_name = options.get("add_model_hash_to_info"), options.get("add_model_name_to_info")
    pairs: dict[str, Any] = {
        "Steps": params["steps"],
        "Sampler": names.sampler_label(params["sampler"]),
        "Schedule type": names.scheduler_label(params["scheduler"]),
        "CFG scale": params["cfg_scale"],
        "Image CFG scale": plan.asked.get("img_cfg_scale"),
        "Seed": seed,
        "Size": f"{params['width']}x{params['height']}",
        "Model hash": about.model_sum[:10] if about.model_sum and shows_hash else None,
        "Model": about.model if shows_name else None,
        "VAE hash": about.vae_sum[:10] if about.vae_sum and options.get("add_vae_hash_to_info") else None,
        "VAE": about.vae if options.get("add_vae_name_to_info") else None,
        "Variation seed": subseed if plan.is_variation else None,
        "Variation seed strength": 1.0 if plan.is_variation else None,
        "Denoising strength": plan.pairs.get("Denoising strength"),
        "Clip skip": plan.clip_skip if plan.clip_skip > 1 else None,
        "Eta": plan.asked.get("eta"),
        "Tiling": "True" if plan.circular else None,
        **extra_params(plan, about),
        "Version": about.version if options.get("add_version_to_infotext") else None,
    }
    return infotext.write(plan.prompt, plan.negative_prompt, pairs)


def extra_params(plan: Translation, about: About) -> dict[str, Any]:
    """What is told besides the usual, in the text and in ``info``; under `IGNORED` what could not be honoured."""
    extra = {name: value for name, value in plan.pairs.items() if name != "Denoising strength"}
    if about.loras and about.options.get("lora_add_hashes_to_infotext"):
        extra["Lora hashes"] = ", ".join(f"{name}: {sha256[:10]}" for name, sha256 in about.loras.items())
    if plan.ignored:
        extra[IGNORED] = ", ".join(dict.fromkeys(plan.ignored))
    return extra


def info_object(
    plan: Translation,
    params: Mapping[str, Any],
    about: About,
    infotexts: list[str],
    *,
    facts: Sequence[PictureFacts],
    styles: list[str],
    timestamp: str,
    subseed_strength: float,
    first_image: int,
) -> dict[str, Any]:
    """The object that is sent as the text ``info``; ``first_image`` is 1 where a grid comes first, ``facts`` are of
    the pictures, at least of one."""
    return {
        "prompt": facts[0].prompt,
        "all_prompts": [one.prompt for one in facts],
        "negative_prompt": facts[0].negative_prompt,
        "all_negative_prompts": [one.negative_prompt for one in facts],
        "seed": facts[0].seed,
        "all_seeds": [one.seed for one in facts],
        "subseed": facts[0].subseed,
        "all_subseeds": [one.subseed for one in facts],
        "subseed_strength": subseed_strength,
        "width": params["width"],
        "height": params["height"],
        "sampler_name": names.sampler_label(params["sampler"]),
        "cfg_scale": params["cfg_scale"],
        "steps": params["steps"],
        "batch_size": plan.batch_size,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": about.model,
        "sd_model_hash": about.model_sum[:10] if about.model_sum else None,
        "sd_vae_name": about.vae,
        "sd_vae_hash": about.vae_sum[:10] if about.vae_sum else None,
        "seed_resize_from_w": -1,
        "seed_resize_from_h": -1,
        "denoising_strength": plan.denoising_strength,
        "extra_generation_params": extra_params(plan, about),
        "index_of_first_image": first_image,
        "infotexts": infotexts,
        "styles": styles,
        "job_timestamp": timestamp,
        "clip_skip": plan.clip_skip,
        "is_using_inpainting_conditioning": False,
        "version": about.version,
    }


def _timestamp(opened: Round) -> str:
    return opened.created_at.astimezone().strftime("%Y%m%d%H%M%S")


def _echo(body: A1111Request, params: Mapping[str, Any]) -> dict[str, Any]:
    """The request as it was read, with its defaults; pictures only if they are asked for."""
    told = body.model_dump(mode="json")
    for name in ("width", "height", "steps", "cfg_scale"):
        if name not in body.model_fields_set:
            told[name] = params[name]
    del told["extra_images"]
    if "model" not in body.model_fields_set:
        # No field of that program's: told to those who send it.
        del told["model"]
    if isinstance(body, A1111Img2Img) and not body.include_init_images:
        told["init_images"] = told["mask"] = None
    return told


def _summed_files(spec: LoadSpec) -> list[tuple[FileRef, tuple[str, ...]]]:
    """The files of a model whose sums are told, with the types to look for: the model, and its VAE."""
    vae = spec.components.get("vae")
    return [(spec.model, ()), *([(vae, ("vae",))] if vae is not None else [])]


def _stem(name: str) -> str:
    head, dot, _ = name.rpartition(".")
    return head if dot and head else name
