"""What there is to choose from, in AUTOMATIC1111's lists: samplers, models, upscalers, styles."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from flask import Blueprint, Response

from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.core.load_spec import FileRef
from sdcpp_rest.core.sampling import HIRES_UPSCALERS
from sdcpp_rest.routes.a1111 import answers as told
from sdcpp_rest.routes.a1111 import names
from sdcpp_rest.routes.a1111.errors import A1111Error
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.services.model_headers.autoencoders import upscale_factor

a1111_lists = Blueprint("a1111_lists", __name__)


@a1111_lists.get("/sdapi/v1/samplers")
@needs("read")
@documents({200: told.A1111Samplers}, refusals=(A1111Error,))
def a1111_samplers() -> Response:
    """List the samplers. Others that those programs have are taken for the nearest of these."""
    rows = [
        {
            "name": names.sampler_label(name),
            "aliases": list(names.SAMPLER_ALIASES.get(name, (name,))),
            "options": {},
        }
        for name in runtime().status.options()["samplers"]
    ]
    return answer(rows)


@a1111_lists.get("/sdapi/v1/schedulers")
@needs("read")
@documents({200: told.A1111Schedulers}, refusals=(A1111Error,))
def a1111_schedulers() -> Response:
    """List the schedules."""
    rows = []
    for name in runtime().status.options()["schedulers"]:
        label = names.scheduler_label(name)
        word = "automatic" if name == "discrete" else name
        aliases = [label.replace(" ", "")] if " " in label else None
        rows.append({"name": word, "label": label, "aliases": aliases, "default_rho": -1.0, "need_inner_model": False})
    return answer(rows)


@a1111_lists.get("/sdapi/v1/upscalers")
@needs("read")
@documents({200: told.A1111Upscalers}, refusals=(A1111Error,))
def a1111_upscalers() -> Response:
    """List the upscalers. The first does nothing, the next two only resample."""
    rows: list[dict[str, Any]] = [
        {"name": name, "model_name": None, "model_path": None, "model_url": None, "scale": 4.0}
        for name in ("None", "Lanczos", "Nearest")
    ]
    for file in _files("esrgan"):
        row = {"name": _stem(file), "model_name": _stem(file), "model_path": file.path, "model_url": None}
        rows.append({**row, "scale": float(_factor(file))})
    return answer(rows)


@a1111_lists.get("/sdapi/v1/latent-upscale-modes")
@needs("read")
@documents({200: told.A1111Modes}, refusals=(A1111Error,))
def a1111_latent_modes() -> Response:
    """List the ways in which the hires fix enlarges before decoding."""
    return answer([{"name": name} for name in HIRES_UPSCALERS if name.startswith("Latent")])


@a1111_lists.get("/sdapi/v1/sd-models")
@needs("read")
@documents({200: told.A1111Models}, refusals=(A1111Error,))
def a1111_models() -> Response:
    """List the models. A title gets its hash when the model has been used or hashed."""
    rows = [
        {
            "title": one.title,
            "model_name": _stem(one.file).replace("/", "_"),
            "hash": one.short_hash,
            "sha256": one.sha256,
            "filename": one.file.path,
            "config": None,
        }
        for one in runtime().submission.titles.all()
    ]
    return answer(rows)


@a1111_lists.get("/sdapi/v1/sd-vae")
@needs("read")
@documents({200: told.A1111Vaes}, refusals=(A1111Error,))
def a1111_autoencoders() -> Response:
    """List the autoencoders."""
    return answer([{"model_name": file.name, "filename": file.path} for file in _files("vae")])


@a1111_lists.get("/sdapi/v1/hypernetworks")
@needs("read")
@documents({200: told.A1111Paths}, refusals=(A1111Error,))
def a1111_hypernetworks() -> Response:
    """List the hypernetworks: the library knows none."""
    return answer([])


@a1111_lists.get("/sdapi/v1/face-restorers")
@needs("read")
@documents({200: told.A1111FaceRestorers}, refusals=(A1111Error,))
def a1111_face_restorers() -> Response:
    """List what restores faces: nothing does here."""
    return answer([])


@a1111_lists.get("/sdapi/v1/realesrgan-models")
@needs("read")
@documents({200: told.A1111RealEsrgans}, refusals=(A1111Error,))
def a1111_realesrgan_models() -> Response:
    """List the upscalers that are models."""
    return answer([{"name": _stem(file), "path": file.path, "scale": _factor(file)} for file in _files("esrgan")])


@a1111_lists.get("/sdapi/v1/prompt-styles")
@needs("read")
@documents({200: told.A1111Styles}, refusals=(A1111Error,))
def a1111_prompt_styles() -> Response:
    """List the prompt styles, from the file that the configuration names."""
    return answer([style.model_dump() for style in runtime().settings.prompt_styles.all()])


@a1111_lists.get("/sdapi/v1/embeddings")
@needs("read")
@documents({200: told.A1111Embeddings}, refusals=(A1111Error,))
def a1111_embeddings() -> Response:
    """List the embeddings that prompts may name: those loaded with the model, and those left out."""
    spec = runtime().models.slot.selected
    loaded = {file.path for file in spec.embeddings} if spec is not None else set()
    shown: dict[str, dict[str, Any]] = {"loaded": {}, "skipped": {}}
    for file in _files("embedding"):
        facts = {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None, "shape": 0, "vectors": 0}
        shown["loaded" if file.path in loaded else "skipped"][_stem(file)] = facts
    return answer(shown)


@a1111_lists.get("/sdapi/v1/loras")
@needs("read")
@documents({200: told.A1111Loras}, refusals=(A1111Error,))
def a1111_loras() -> Response:
    """List the LoRAs, by the names that prompts call them."""
    rows = [{"name": _stem(file), "alias": _stem(file), "path": file.path, "metadata": {}} for file in _files("lora")]
    return answer(rows)


@a1111_lists.post("/sdapi/v1/refresh-checkpoints")
@needs("generate")
@documents({200: told.A1111Null}, refusals=(A1111Error,))
def a1111_refresh_checkpoints() -> Response:
    """Look through the model folders again."""
    return _refresh()


@a1111_lists.post("/sdapi/v1/refresh-vae")
@needs("generate")
@documents({200: told.A1111Null}, refusals=(A1111Error,))
def a1111_refresh_vae() -> Response:
    """Look through the model folders again."""
    return _refresh()


@a1111_lists.post("/sdapi/v1/refresh-loras")
@needs("generate")
@documents({200: told.A1111Null}, refusals=(A1111Error,))
def a1111_refresh_loras() -> Response:
    """Look through the model folders again."""
    return _refresh()


@a1111_lists.post("/sdapi/v1/refresh-embeddings")
@needs("generate")
@documents({200: told.A1111Null}, refusals=(A1111Error,))
def a1111_refresh_embeddings() -> Response:
    """Look through the model folders again."""
    return _refresh()


def _refresh() -> Response:
    runtime().models.library.refresh()
    return answer(None)


def _files(kind: str) -> list[ModelFile]:
    return [file for files in runtime().models.library.list(kind).values() for file in files]


def _stem(file: ModelFile) -> str:
    return PurePath(file.name).with_suffix("").as_posix()


def _factor(file: ModelFile) -> int:
    return upscale_factor(FileRef(name=file.name, path=file.path))
