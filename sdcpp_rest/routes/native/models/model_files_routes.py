"""Model files over HTTP: where they lie, what is in them, whether they fit, and how new ones come in."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import Any, Literal

from flask import Blueprint, Response, request
from pydantic import Field

from sdcpp_rest.core.catalog import LIST_NAMES, ModelType
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.multipart import FormFile, chunks_of, parts_of
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import blocking, uploading
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Flag, Integer, Text, Wire, examine, optional, read_query
from sdcpp_rest.routes.native.wire.model_wire import (
    ModelPath,
    ModelShown,
    ModelsShown,
    SidesShown,
    model_lists,
    model_object,
)
from sdcpp_rest.services.models.fit_estimate import Fit, FitRequest, Verdict
from sdcpp_rest.services.models.model_facts import facts_of
from sdcpp_rest.services.models.model_upload import DiskFull, Upload, UploadTarget

model_files = Blueprint("model_files", __name__)

_PATH_KEYS: dict[ModelType, str] = {
    "checkpoint": "checkpoints",
    "diffusion": "diffusion_models",
    "vae": "vae",
    "lora": "lora",
    "clip": "clip",
    "t5": "t5",
    "embedding": "embeddings",
    "controlnet": "controlnet",
    "llm": "llm",
    "esrgan": "esrgan",
    "taesd": "taesd",
}


class FitQuery(Wire):
    width: Integer = optional("Pixels; by default what the model draws well.", ge=1, le=16_384)
    height: Integer = optional("Pixels; by default what the model draws well.", ge=1, le=16_384)
    batch_count: Integer = Field(1, ge=1, le=1_000, description="Pictures; they are drawn one after the other.")
    video_frames: Integer = Field(1, ge=1, le=10_000, description="Frames, for models that draw videos.")
    component: list[Text] = optional(
        "A component to load with it, as role:name; may be given several times. Without it, the model's own choice.",
        examples=[["llm:demo_llm_q4_0.gguf"]],
    )
    weight_type: Text = optional("As in the options of `POST /models/load`.", examples=["q4_0"])


class UploadQuery(Wire):
    """Needed with a body of application/octet-stream; a form may bring them as its own fields."""

    type: Text = optional("A model type.", examples=["lora"])
    model_type: Text = optional("The same as type.", examples=["lora"])
    name: Text = optional("File name; by default that of the file in the form.", examples=["style.safetensors"])
    filename: Text = optional("The same as name.", examples=["style.safetensors"])
    subfolder: Text = optional("Folder below that of the type; made when it is not there.", examples=["SDXL"])
    overwrite: Flag = optional("Replace a file of that name.")


class UploadForm(UploadQuery):
    """The file, and where it goes. Fields that stand before the file are checked before it is sent."""

    file: str = Field(description="The model file.", json_schema_extra={"format": "binary"})


class Refreshed(Answer):
    """How many models there are now."""

    success: Literal[True]
    message: str
    counts: dict[str, int] = Field(description="By the lists' names in `GET /models`.")
    total: int
    models: ModelsShown
    warnings: list[str] = optional("Split models that are not listed, because parts of them are missing.")


class ModelPaths(Answer):
    """The folder of each type."""

    checkpoints: str
    diffusion_models: str
    vae: str
    lora: str
    clip: str
    t5: str
    embeddings: str
    controlnet: str
    llm: str
    esrgan: str
    taesd: str
    extra: dict[str, list[str]] = optional(
        "Other programs' folders, by the same names (the setting paths.extra_model_dirs); nothing is written there."
    )


class UploadedShown(Answer):
    """A model file that is there now."""

    success: Literal[True]
    message: str
    model: ModelShown
    filename: str = Field(description="Its name without folders.")
    model_name: str = Field(description="Under which `GET /models` lists it.")
    model_type: ModelType
    size_bytes: int
    full_path: str = Field(description="Where it lies.")
    subfolder: str = optional("The folder below that of its type, where it lies in one.")
    is_listed: bool = Field(description="False for a part of a split model whose other parts are missing.")
    warnings: list[str] = optional("What is odd about it.")


class QuantizationShown(Answer):
    """The tensors of one number format."""

    type: str = Field(examples=["q8_0"])
    tensors: int
    bytes: int
    share: float = Field(description="Of all bytes, 0 to 1.")


class WeightsShown(Answer):
    """Bytes, as the library holds them."""

    text_encoders: int
    diffusion_model: int
    vae: int
    controlnet: int
    total: int


class BuffersShown(Answer):
    """Bytes of what is computed in; one of them is held at a time."""

    text_encoders: int = optional("While the prompt is read.")
    diffusion_model: int = optional("At every step.")
    vae: int = optional("While pixels are decoded; by far the largest at high resolutions.")
    peak: int = Field(description="The largest of them.")


class AdviceShown(Answer):
    """An option that would take less memory; where there is enough, one that would be quicker."""

    option: str = Field(examples=["vae_tiling"])
    value: bool | float | str
    saves_bytes: int = Field(description="Negative: so many more are taken.")
    text: str


class DeviceFitShown(Answer):
    """Whether it fits one device. A processor's memory is the system's."""

    name: str
    description: str
    is_gpu: bool
    free_bytes: int
    total_bytes: int
    needed_bytes: int = Field(description="With what a CUDA or ROCm backend keeps for itself while it computes.")
    verdict: Verdict
    advice: list[AdviceShown]


class FitShown(Answer):
    """An estimate; what a driver takes for the engine's process is not free any more, and not in it."""

    model_name: str
    model_architecture: str | None
    width: int
    height: int
    batch_count: int
    video_frames: int
    weights: WeightsShown
    compute: BuffersShown
    total_bytes: int = Field(description="All weights and the largest buffer.")
    devices: list[DeviceFitShown]
    warnings: list[str]


class SidecarShown(Answer):
    """What the file beside the model says, and what goes by its name."""

    display_name: str
    description: str
    licence: str
    components: dict[str, str]
    load_options: dict[str, Any]
    generation_defaults: dict[str, Any]
    recommended_sides: SidesShown | None = Field(description="Within which it draws well; `null` where it is not said.")


class InspectedShown(Answer):
    """What a model file's header says; nothing of its weights is read."""

    model_name: str
    model_type: ModelType
    format: Literal["gguf", "safetensors", "torch"]
    contents: str = Field(description="What kind of model it is.", examples=["picture model", "LoRA"])
    model_architecture: str | None
    architecture_id: str | None
    preset: str | None = Field(description="An id of `GET /architectures`.")
    size_bytes: int
    parts: int = Field(description="How many files it is split into; 1 for a whole one.")
    parameter_count: int
    tensor_count: int
    quantization: list[QuantizationShown] = Field(description="The largest share first.")
    metadata: dict[str, str | int | float | bool] = Field(description="Short entries, at most 200 of them.")
    trained_words: list[str] = Field(description="Of a LoRA or embedding: what makes it show.")
    sidecar: SidecarShown | None
    fit: FitShown | None = Field(description="For a picture of the usual size; null for what draws no pictures.")
    warnings: list[str]


@model_files.post("/models/refresh")
@needs("generate")
@documents({200: Refreshed})
@blocking
def refresh_models() -> Response:
    """Scan the model folders again. Changes are seen by themselves; this is for file systems that do not tell."""
    runtime().models.library.refresh()
    counts = {name: len(files) for name, files in runtime().models.library.list().items()}
    total = sum(counts.values())
    running = runtime().models
    kept_by = runtime().status.engines.kept_by()
    lists = model_lists(running.library, running.hashes, running.slot.resident, kept_by)
    shown = {"success": True, "message": f"{total} models found", "counts": counts, "total": total, "models": lists}
    incomplete = runtime().models.library.incomplete()
    return answer({**shown, "warnings": incomplete} if incomplete else shown)


@model_files.get("/models/paths")
@needs("read")
@documents({200: ModelPaths})
def model_paths() -> Response:
    """Tell the folder of each type of model. A folder need not exist yet."""
    library = runtime().models.library
    folders, extra = library.folders(), library.extra_folders()
    shown: dict[str, Any] = {key: str(folders[kind]) for kind, key in _PATH_KEYS.items()}
    if extra:
        shown["extra"] = {key: [str(path) for path in extra[kind]] for kind, key in _PATH_KEYS.items() if kind in extra}
    return answer(shown)


@model_files.post("/models/upload")
@needs("models")
@documents(
    {201: UploadedShown},
    errors=(400, 409, 413, 503, DiskFull.status),
    query=UploadQuery,
    form=UploadForm,
)
@uploading
def upload_model() -> Response:
    """Store a model file. As a form, or the bare file with the rest in the query; it is looked into before it gets its
    name, and refused when it is no model. Bounded by the configuration's limits.upload_bytes."""
    asked: dict[str, Any] = read_query(UploadQuery).sent_fields()
    file_name = ""
    with contextlib.ExitStack() as opened:
        upload: Upload | None = None
        if request.mimetype == "multipart/form-data":
            for part in parts_of(request.stream, request.headers.get("Content-Type", "")):
                if isinstance(part, FormFile):
                    if upload is not None:
                        raise InvalidRequest("file: one file at a time", field="file")
                    file_name = part.filename
                    wish = _wish(asked, file_name)
                    upload = opened.enter_context(runtime().models.uploads.begin(wish, request.content_length))
                    for chunk in part.chunks:
                        upload.write(chunk)
                else:
                    asked[part.name] = _flag(part.value) if part.name == "overwrite" else part.value
        else:
            wish = _read_wish(asked, file_name)
            upload = opened.enter_context(runtime().models.uploads.begin(wish, request.content_length))
            for chunk in chunks_of(request.stream):
                upload.write(chunk)
        if upload is None:
            raise InvalidRequest("file is required", field="file")
        done = upload.finish(_read_wish(asked, file_name))
    subfolder, _, filename = done.file.name.rpartition("/")
    shown = {
        "success": True,
        "message": f"{done.file.name} is there",
        "model": model_object(done.file, None, None, {}),
        "filename": filename,
        "model_name": done.file.name,
        "model_type": done.file.type,
        "size_bytes": done.file.size_bytes,
        "full_path": done.file.path,
        **({"subfolder": subfolder} if subfolder else {}),
        "is_listed": done.is_listed,
    }
    return answer({**shown, "warnings": list(done.warnings)} if done.warnings else shown, 201)


@model_files.get("/models/<model_type>/<path:model_name>/inspect")
@needs("read")
@documents({200: InspectedShown}, errors=(400, 404), path=ModelPath)
@blocking
def inspect_model(model_type: str, model_name: str) -> Response:
    """Tell what is in a model file: family, number formats, metadata, trained words, and whether it fits. Reads its
    header only."""
    facts = facts_of(runtime().models.library, model_type, model_name)
    shown = asdict(facts)
    shown["sidecar"] = facts.sidecar.model_dump(include=set(SidecarShown.model_fields)) if facts.sidecar else None
    shown["fit"] = None
    if facts.contents in ("picture model", "unknown") and facts.model_type in ("checkpoint", "diffusion"):
        ask = _fit_request(FitQuery.model_validate({}), model_type, model_name)
        shown["fit"] = _fit_shown(runtime().models.fits.of(model_type, model_name, ask), ask)
    return answer(shown)


@model_files.get("/models/<model_type>/<path:model_name>/fit")
@needs("read")
@documents({200: FitShown}, errors=(400, 404), path=ModelPath, query=FitQuery)
@blocking
def fit_model(model_type: str, model_name: str) -> Response:
    """Estimate the memory that a model and a picture of some size take. Says for each device whether that fits, and
    which options would make it."""
    ask = _fit_request(read_query(FitQuery), model_type, model_name)
    return answer(_fit_shown(runtime().models.fits.of(model_type, model_name, ask), ask))


def _fit_request(query: FitQuery, model_type: str, model_name: str) -> FitRequest:
    components = {}
    # Not from the query's model: lists are cut at commas there, and file names may have some.
    for text in request.args.getlist("component"):
        role, colon, name = text.partition(":")
        if not colon:
            raise InvalidRequest(
                f"component: {text[:80]!r} is not of the form role:name", field="component", value=text[:200]
            )
        components[role] = name
    usual = runtime().models.fits.usual_size(model_type, model_name)
    return FitRequest(
        width=query.width or usual[0],
        height=query.height or usual[1],
        batch_count=query.batch_count,
        video_frames=query.video_frames,
        components=components,
        weight_type=query.weight_type,
    )


def _fit_shown(fit: Fit, ask: FitRequest) -> dict[str, Any]:
    return {
        "model_name": fit.name,
        "model_architecture": fit.architecture,
        "width": ask.width,
        "height": ask.height,
        "batch_count": ask.batch_count,
        "video_frames": ask.video_frames,
        "weights": {**fit.needs.weights, "total": fit.needs.weight_bytes},
        "compute": {**fit.needs.buffers, "peak": fit.needs.peak_bytes - fit.needs.weight_bytes},
        "total_bytes": fit.needs.peak_bytes,
        "devices": [asdict(device) for device in fit.devices],
        "warnings": list(fit.warnings),
    }


def _wish(asked: dict[str, Any], file_name: str) -> UploadTarget | None:
    """Where the file is to go, once that is known."""
    return _read_wish(asked, file_name) if asked.get("type") or asked.get("model_type") else None


def _read_wish(asked: dict[str, Any], file_name: str) -> UploadTarget:
    """Where the file is to go; ``file_name`` is what the form calls it."""
    known = {name: asked[name] for name in UploadQuery.model_fields if asked.get(name) not in (None, "")}
    query = examine(UploadQuery, known)[0]
    kind, name = query.type or query.model_type, query.name or query.filename or file_name
    if not kind:
        raise InvalidRequest("type (or model_type) is required", field="type", allowed=list(LIST_NAMES))
    if not name:
        raise InvalidRequest("name is required", field="name", allowed="a file name")
    return UploadTarget(kind, name, query.subfolder or "", bool(query.overwrite))


def _flag(text: str) -> Any:
    return {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False, "": False}.get(
        text.lower(), text
    )
