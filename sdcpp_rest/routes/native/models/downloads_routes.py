"""Models from the internet over HTTP: what the sources say about them, and the jobs that fetch them."""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import Field

from sdcpp_rest.core.bundles import BUNDLES, Bundle
from sdcpp_rest.core.catalog import ModelType
from sdcpp_rest.core.download_source import SourceName
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Flag, Integer, Text, Wire, optional, read_query, validate
from sdcpp_rest.routes.native.wire.download_bodies import DownloadBody
from sdcpp_rest.services.downloads.download_submission import DownloadRequest

downloads = Blueprint("downloads", __name__)


class CivitaiPath(Wire):
    model_id: str = Field(description="A model's number, also with a version's: `123456:789012`.", examples=["123456"])


class HuggingFaceQuery(Wire):
    repo_id: Text = Field("", max_length=300, description="The repository.", examples=["stabilityai/sd-turbo"])
    filename: Text = Field(
        "",
        max_length=1000,
        description="The file's path in it. Left out: the only model file; of several the refusal names them.",
        examples=["sd_turbo.safetensors"],
    )
    revision: Text = Field("main", max_length=200, description="Branch, tag or commit.")


class RecommendedQuery(Wire):
    memory_gb: Integer = optional("Only what runs on so much memory.", ge=1, le=10_000)
    checked: Flag = optional("Only what was tried, or only what was not.")


class DownloadAccepted(Answer):
    """Two jobs in the queue: the download, and the one that checks what was downloaded."""

    success: Literal[True]
    download_job_id: str = Field(examples=["550e8400-e29b-41d4-a716-446655440000"])
    hash_job_id: str = Field(examples=["660e8400-e29b-41d4-a716-446655440001"])
    source: SourceName
    model_type: ModelType
    position: int = Field(ge=1, description="Place among the jobs that wait.")
    job_id: str = Field(description="The same as download_job_id.")
    model_name: str = Field(description="Under which `GET /models` will list it.")
    file_size: int = optional("Bytes, where the source tells them.")
    sha256: str = optional("What the source says that it is; it will be checked.")
    warnings: list[str] = optional("What was ignored or corrected.")


class CivitaiShown(Answer):
    """What CivitAI says about one file of a model."""

    success: Literal[True]
    model_id: str
    version_id: str
    name: str
    version_name: str
    type: str = Field(description="A model type, or CivitAI's own word where there is none for it.")
    base_model: str
    filename: str
    file_size: int | None = Field(description="Bytes.")
    sha256: str | None
    download_url: str


class HuggingFaceShown(Answer):
    """What Hugging Face says about one file of a repository."""

    success: Literal[True]
    repo_id: str
    filename: str
    revision: str
    file_size: int | None = Field(description="Bytes.")
    download_url: str
    sha256: str | None
    commit: str | None = Field(description="What the revision is at the moment.")
    licence: str = Field(description="Of the repository; empty where it names none.")


class BundleFileShown(Answer):
    """One file of a bundle, in the fields of `POST /models/download`."""

    model_type: ModelType
    repo_id: str
    filename: str
    name: str = optional("What to call it.")
    component: str | None = Field(description="As which part it is loaded; `null`: as the model itself.")


class BundleSizeShown(Answer):
    """The files that run on a device with so much memory."""

    memory_gb: int
    note: str
    checked: bool = Field(description="Whether somebody has run exactly this.")
    load_options: dict[str, Any] = Field(description="Fields of `options` of `POST /models/load`.")
    files: list[BundleFileShown]


class BundleShown(Answer):
    """A model with everything that it needs."""

    id: str = Field(examples=["z-image-turbo"])
    display_name: str
    description: str
    preset: str = Field(description="An id of `GET /architectures`.")
    sizes: list[BundleSizeShown]


class RecommendedShown(Answer):
    """Models to begin with. Sizes, hashes and licences are asked of the source when a file is downloaded."""

    bundles: list[BundleShown]


@downloads.post("/models/download")
@needs("models")
@documents({202: DownloadAccepted}, errors=(403, 404, 409, 429, 502, 503, 504, 507), body=DownloadBody)
@blocking
@submitting
def download_model() -> Response:
    """Download a model from Hugging Face, CivitAI or any address. Answers with two job ids when the source has said
    what it has; the model is listed when it is whole and checked."""
    body, warnings = validate(DownloadBody, read_body())
    submitted = runtime().downloads.submission.submit(DownloadRequest(**body.sent_fields()), warnings=warnings)
    params = submitted.params
    shown: dict[str, Any] = {
        "success": True,
        "download_job_id": submitted.job.id,
        "hash_job_id": submitted.hash_job_id,
        "source": params.source,
        "model_type": params.model_type,
        "position": submitted.position,
        "job_id": submitted.job.id,
        "model_name": params.model_name,
    }
    if params.size_bytes is not None:
        shown["file_size"] = params.size_bytes
    if params.sha256 is not None:
        shown["sha256"] = params.sha256
    if submitted.job.warnings:
        shown["warnings"] = list(submitted.job.warnings)
    return answer(shown, 202)


@downloads.get("/models/civitai/<model_id>")
@needs("models")
@documents({200: CivitaiShown}, errors=(400, 403, 404, 502, 504), path=CivitaiPath)
@blocking
def show_civitai_model(model_id: str) -> Response:
    """Ask CivitAI about a model: its newest version's main file, or that of the version given."""
    return answer({"success": True, **runtime().downloads.submission.civitai(model_id).shown})


@downloads.get("/models/huggingface")
@needs("models")
@documents({200: HuggingFaceShown}, errors=(403, 404, 502, 504), query=HuggingFaceQuery)
@blocking
def show_huggingface_file() -> Response:
    """Ask Hugging Face about a file of a repository."""
    query = read_query(HuggingFaceQuery)
    if not query.repo_id:
        raise InvalidRequest("repo_id is required", field="repo_id")
    offered, licence = runtime().downloads.submission.huggingface(query.repo_id, query.filename, query.revision)
    return answer(
        {
            "success": True,
            "repo_id": offered.shown["repo_id"],
            "filename": offered.shown["filename"],
            "revision": offered.shown["revision"],
            "file_size": offered.size_bytes,
            "download_url": offered.url,
            "sha256": offered.sha256,
            "commit": offered.shown["commit"],
            "licence": licence,
        }
    )


@downloads.get("/models/recommended")
@needs("read")
@documents({200: RecommendedShown}, query=RecommendedQuery)
def list_recommended_models() -> Response:
    """List models to begin with, each with the files that it needs on devices of several sizes."""
    query = read_query(RecommendedQuery)
    shown = [_bundle_shown(bundle, query.sent_fields()) for bundle in BUNDLES.values()]
    return answer({"bundles": [bundle for bundle in shown if bundle["sizes"]]})


def _bundle_shown(bundle: Bundle, wanted: dict[str, Any]) -> dict[str, Any]:
    sizes = [
        {
            "memory_gb": size.memory_gb,
            "note": size.note,
            "checked": size.checked,
            "load_options": dict(size.load_options),
            "files": [file.request_fields() | {"component": file.component} for file in size.files],
        }
        for size in bundle.sizes
        if size.memory_gb <= wanted.get("memory_gb", size.memory_gb)
        and size.checked == wanted.get("checked", size.checked)
    ]
    return {
        "id": bundle.id,
        "display_name": bundle.display_name,
        "description": bundle.description,
        "preset": bundle.preset,
        "sizes": sizes,
    }
