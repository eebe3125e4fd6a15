"""What a job was asked for, in the words of the endpoint that takes it: sent there again, it draws the same picture.

Pictures that the job was given are told as references, which `given_pictures` reads again. Knows no route.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sdcpp_rest.core.job import Job, JobKind
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.routes.native.jobs.given_pictures import LISTS, refer_to
from sdcpp_rest.services.jobs.job_record import strip_paths


def shown_params(job: Job) -> dict[str, Any]:
    """Every parameter with its default filled in, and the words of the job's own endpoint where the two differ."""
    params: dict[str, Any] = strip_paths(job.params)
    if job.kind == "txt2img":
        # Of pictures that begin with one; its endpoint does not know it.
        params.pop("strength", None)
    in_words = _IN_WORDS.get(job.kind)
    return params | (in_words(job, params) if in_words else {}) | _references(job)


def shown_model(spec: LoadSpec, upscaler: str | None) -> dict[str, Any]:
    """With which model the job is, or was, drawn: fields of `GET /health` and of `POST /models/load`."""
    return {
        "model_loaded": True,
        "model_name": spec.model.name,
        "model_type": spec.kind,
        "model_architecture": spec.architecture,
        "loaded_components": {role: file.name for role, file in spec.components.items()},
        "load_options": spec.options.model_dump(exclude_defaults=True),
        "upscaler_loaded": upscaler is not None,
        "upscaler_name": upscaler,
    }


def _references(job: Job) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for role in job.inputs:
        name = role.partition(".")[0]
        if name in LISTS:
            shown.setdefault(name, []).append(refer_to(job.id, role))
        else:
            shown[f"{role}_base64"] = refer_to(job.id, role)
    return shown


def _picture_words(job: Job, params: Mapping[str, Any]) -> dict[str, Any]:
    words: dict[str, Any] = {}
    if params.get("hires_model"):
        words["hires_upscaler"] = params["hires_model"]["name"]
    if params.get("pm_id_embed"):
        words["pm_id_embed_path"] = params["pm_id_embed"]["name"]
    return words


def _conversion_words(job: Job, params: Mapping[str, Any]) -> dict[str, Any]:
    words: dict[str, Any] = {"input_path": params["input"]["name"], "output_path": params["output"]["name"]}
    if params.get("vae"):
        words["vae_path"] = params["vae"]["name"]
    return words | _replacing(job, params)


def _replacing(job: Job, params: Mapping[str, Any]) -> dict[str, Any]:
    # Its own result lies where the next one is to lie.
    return {"overwrite": True} if job.status == "completed" else {}


_IN_WORDS: Mapping[JobKind, Callable[[Job, Mapping[str, Any]], dict[str, Any]]] = {
    "txt2img": _picture_words,
    "img2img": _picture_words,
    "convert": _conversion_words,
    "model_download": _replacing,
}
