"""Models over HTTP: what lies in the model folders, and which of it the engine holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.core.catalog import ModelType
from sdcpp_rest.core.load_spec import ModelKind
from sdcpp_rest.errors import EngineDied, LoadFailed, ModelNotFound, SdcppRestError
from sdcpp_rest.routes.http import (
    Flag,
    Integer,
    Number,
    Text,
    Wire,
    answer,
    blocking,
    json_text,
    left_out,
    read_body,
    read_query,
    runtime,
    validate,
)
from sdcpp_rest.routes.model_wire import ModelShown, shown_model
from sdcpp_rest.routes.openapi import Answer, documented
from sdcpp_rest.services.model_library import LoadRequest

if TYPE_CHECKING:
    from sdcpp_rest.runtime import Runtime

models = Blueprint("models", __name__)


class LoadOptionsBody(Wire):
    """How to load. What is left out is the model's own choice (its sidecar file), else the default."""

    n_threads: Integer = Field(-1, ge=-1, le=1024, description="CPU threads; -1: as many as physical cores.")
    keep_clip_on_cpu: Flag = Field(True, description="Keep text encoders in main memory.")
    keep_vae_on_cpu: Flag = Field(False, description="Keep the VAE in main memory.")
    keep_controlnet_on_cpu: Flag = Field(False, description="Keep the ControlNet in main memory.")
    flash_attn: Flag = Field(True, description="Flash attention. Default: on for GPUs, off on the CPU: slower there.")
    diffusion_flash_attn: Flag = Field(True, description="The same for the diffusion model alone.")
    offload_to_cpu: Flag = Field(False, description="Keep weights in main memory, and bring them to the GPU in turn.")
    enable_mmap: Flag = Field(True, description="Map files into memory instead of reading them.")
    vae_decode_only: Flag = Field(True, description="Leave the VAE's encoder out; img2img needs it.")
    tae_preview_only: Flag = Field(False, description="Use the TAESD for previews only, not for the picture.")
    free_params_immediately: Flag = Field(
        False, description="Free the weights after the first job; each later one loads the model again."
    )
    vae_conv_direct: Flag = Field(False, description="Direct convolutions in the VAE.")
    diffusion_conv_direct: Flag = Field(False, description="Direct convolutions in the diffusion model.")
    force_sdxl_vae_conv_scale: Flag = Field(False, description="For SDXL VAEs that overflow half precision.")
    flow_shift: Number = Field(0.0, ge=0, le=1000, description="Shift of flow models. Default: the model decides.")
    weight_type: Text = Field("", description="Convert weights while loading (q8_0, say); empty: as in the file.")
    tensor_type_rules: Text = Field("", max_length=10_000, description="The same by tensor: `^vae\\.=f16`, say.")
    rng_type: Text = Field("cuda", description="Where noise comes from: std_default, cuda or cpu.")
    sampler_rng_type: Text = Field("", description="The same for samplers; empty: as rng_type.")
    prediction: Text = Field("", description="What the model predicts (eps, v, ...); empty: found out.")
    lora_apply_mode: Text = Field("auto", description="auto, immediately or at_runtime.")
    vae_tiling: Flag = Field(False, description="The default of later jobs' vae_tiling.")
    vae_tile_size_x: Integer = Field(0, ge=0, le=65536, description="The default of later jobs' vae_tile_size_x.")
    vae_tile_size_y: Integer = Field(0, ge=0, le=65536, description="The default of later jobs' vae_tile_size_y.")
    vae_tile_overlap: Number = Field(0.5, ge=0, le=1, description="The default of later jobs' vae_tile_overlap.")
    circular_x: Flag = Field(False, description="Pictures whose left and right edges fit together.")
    circular_y: Flag = Field(False, description="Pictures whose upper and lower edges fit together.")
    chroma_use_dit_mask: Flag = Field(True, description="Chroma: mask the diffusion model's padding.")
    chroma_use_t5_mask: Flag = Field(False, description="Chroma: mask the T5's padding.")
    chroma_t5_mask_pad: Integer = Field(1, ge=0, le=1024, description="Chroma: padding that is not masked.")
    qwen_image_zero_cond_t: Flag = Field(False, description="Qwen Image: zero the timestep of the condition.")
    max_vram: Number = Field(0.0, ge=0, description="GPU memory to use, in GiB; 0: all of it.")


class LoadBody(Wire):
    """What to load. Components are names as `GET /models` lists them; empty: none; left out: the model's own choice."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model_name": "demo_dit_q8_0.gguf", "options": {"vae_decode_only": False}}]}
    )

    model_name: Text = Field(
        min_length=1,
        description="A name of `GET /models`, with or without its ending.",
        examples=["demo_dit_q8_0.gguf"],
    )
    model_type: Literal["checkpoint", "diffusion"] = Field(
        "checkpoint", description="Corrected where the file says more."
    )
    vae: Text = Field("", description="VAE.")
    clip_l: Text = Field("", description="CLIP-L text encoder.")
    clip_g: Text = Field("", description="CLIP-G text encoder.")
    clip_vision: Text = Field("", description="CLIP vision encoder.")
    t5xxl: Text = Field("", description="T5-XXL text encoder.")
    controlnet: Text = Field("", description="ControlNet.")
    llm: Text = Field("", description="Language model that reads the prompt (Qwen, for example).")
    llm_vision: Text = Field("", description="Vision part of that language model.")
    taesd: Text = Field("", description="Tiny autoencoder, for previews.")
    high_noise_diffusion_model: Text = Field("", description="The second expert of a mixture (Wan 2.2).")
    photo_maker: Text = Field("", description="PhotoMaker model, for SDXL; also a path below the models folder.")
    embeddings: list[Text] = left_out(
        "Textual inversions that prompts may name, as `GET /models` lists them. Left out: all of them; empty: none. "
        "With any, the library keeps CLIP in 32 bits.",
        max_length=1000,
    )
    options: LoadOptionsBody = Field(default_factory=lambda: LoadOptionsBody.model_validate({}))


class LoadQuery(Wire):
    wait: Flag = Field(True, description="Answer when the model is loaded; `false`: at once, with a 202.")
    timeout: Number = left_out("Seconds to wait; then a 504, and the load goes on.", gt=0, le=86_400)


class UnloadBody(Wire):
    """May be left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"force": False}]})

    force: Flag = Field(False, description="Also while jobs wait that need the model: it is loaded again for them.")


class ModelsQuery(Wire):
    type: Text = left_out("Only models of this type; a type or the name of its list.", examples=["diffusion"])
    extension: Text = left_out("Only files with this ending; the dot is optional.", examples=["gguf"])
    search: Text = left_out("Only names that contain this, in any case.", examples=["demo"])
    name: Text = left_out("The same as `search`.")


class HashPath(Wire):
    model_type: str = Field(description="A model type.", examples=["diffusion"])
    model_name: str = Field(
        description="A name of `GET /models`; its slashes may be encoded.", examples=["demo_dit_q8_0.gguf"]
    )


class ModelsShown(Answer):
    """All model files, a list per type."""

    checkpoints: list[ModelShown]
    diffusion_models: list[ModelShown]
    vae: list[ModelShown]
    loras: list[ModelShown]
    clip: list[ModelShown]
    t5: list[ModelShown]
    controlnets: list[ModelShown]
    llm: list[ModelShown]
    esrgan: list[ModelShown]
    taesd: list[ModelShown]
    embeddings: list[ModelShown]
    loaded_model: str | None = Field(description="Name of the model that the engine holds.")
    loaded_model_type: ModelKind | None
    applied_filters: dict[str, str] = left_out("The filters that were given.")


class Components(Answer):
    """The components that are loaded with a model; ``null`` where it needs none."""

    vae: str | None
    clip_l: str | None
    clip_g: str | None
    t5xxl: str | None
    controlnet: str | None
    llm: str | None
    llm_vision: str | None


class Loaded(Answer):
    """A model that is in the engine's memory now, and that new jobs will use."""

    success: Literal[True]
    message: str
    model_name: str
    model_type: ModelKind
    loaded_components: Components
    model_architecture: str | None = Field(examples=["Flux.2 klein"])
    load_seconds: float
    warnings: list[str] = left_out("What was ignored or corrected.")


class LoadStarted(Answer):
    """A load under way: `GET /health` and the WebSocket tell of its end."""

    success: Literal[True]
    message: str
    status: Literal["loading"]
    model_name: str
    model_type: ModelKind
    warnings: list[str] = left_out("What was ignored or corrected.")


class Unloaded(Answer):
    success: Literal[True]
    message: str
    warnings: list[str] = left_out("What was ignored.")


class HashShown(Answer):
    model_name: str
    model_type: ModelType
    hash: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 in hex.")


class ModelNotThere(SdcppRestError):
    """The native API answers 500 where a load names a file that does not exist; clients match its text."""

    code = "model_not_found"
    status = 500


@models.get("/models")
@documented({200: ModelsShown}, query=ModelsQuery)
def list_models() -> Response:
    """List model files by type. Filters narrow the lists down; all of them must fit."""
    applied = read_query(ModelsQuery).sent()
    if not applied:
        return Response(_whole_list(runtime()), mimetype="application/json")
    return answer({**_lists(runtime(), applied), "applied_filters": applied})


@models.post("/models/load")
@documented({200: Loaded, 202: LoadStarted}, errors=(409, 504), body=LoadBody, query=LoadQuery)
@blocking
def load_model() -> Response:
    """Load a model, and select it for the jobs to come. Answers when it is loaded, or at once with ``wait=false``. A
    name that does not exist is a 500 with the nearest names."""
    query = read_query(LoadQuery)
    body, ignored = validate(LoadBody, read_body())
    try:
        pending = runtime().models.begin_load(to_request(body))
        shown: dict[str, Any] = {"success": True}
        if query.wait:
            loaded = pending.outcome(query.sent().get("timeout")).loaded
            shown["message"] = "Model loaded successfully"
        else:
            shown |= {"message": "The model is being loaded", "status": "loading"}
    except ModelNotFound as error:
        raise ModelNotThere(f"Internal error: {error.message}", **error.detail) from None
    except EngineDied as error:
        raise LoadFailed(error.message, **error.detail) from None
    spec = pending.spec
    shown |= {"model_name": spec.model.name, "model_type": spec.kind}
    if query.wait:
        shown |= {
            "loaded_components": spec.component_names,
            "model_architecture": loaded.architecture or spec.architecture,
            "load_seconds": round(loaded.seconds, 3),
        }
    if ignored or pending.warnings:
        shown["warnings"] = [*ignored, *pending.warnings]
    return answer(shown, 200 if query.wait else 202)


@models.post("/models/unload")
@documented({200: Unloaded}, errors=(409,), body=UnloadBody)
@blocking
def unload_model() -> Response:
    """Free the loaded model. The same answer when there was none; 409 while pending jobs need it, unless ``force``."""
    body, warnings = validate(UnloadBody, read_body())
    runtime().models.unload(force=body.force)
    return answer({"success": True, "message": "Model unloaded", **({"warnings": warnings} if warnings else {})})


@models.get("/models/hash/<model_type>/<path:model_name>")
@documented({200: HashShown}, errors=(400, 404, 409), path=HashPath)
@blocking
def hash_model(model_type: str, model_name: str) -> Response:
    """Tell a model file's SHA-256. Computed at the first call, which takes seconds for large files, then remembered
    until the file changes."""
    file = runtime().hashes.hash_of(model_type, model_name)
    return answer({"model_name": file.name, "model_type": file.type, "hash": file.hash})


def to_request(body: LoadBody) -> LoadRequest:
    """What the client really sent: an omitted component is the model's own choice, an empty name means none."""
    sent = body.sent()
    name, options, embeddings = sent.pop("model_name"), sent.pop("options", {}), sent.pop("embeddings", None)
    return LoadRequest(
        model_name=name,
        model_type=sent.pop("model_type", None),
        components=sent,
        options=options,
        embeddings=None if embeddings is None else tuple(embeddings),
    )


# Thousands of files take tens of milliseconds to be written as JSON: the last text is kept until something changes.
_texts: WeakKeyDictionary[Runtime, tuple[tuple[object, ...], str]] = WeakKeyDictionary()


def _whole_list(house: Runtime) -> str:
    revision = house.library.revision
    house.library.list()  # looks whether anything has changed
    key = (house.library.revision, house.hashes.revision, house.models.resident)
    kept = _texts.get(house)
    if kept is not None and kept[0] == key:
        return kept[1]
    text = json_text(_lists(house, {}))
    # What was changed meanwhile may be in the text or not: such a text is not kept.
    if revision == house.library.revision:
        _texts[house] = (key, text)
    return text


def _lists(house: Runtime, applied: Mapping[str, str]) -> dict[str, Any]:
    found = house.library.list(
        type=applied.get("type"),
        extension=applied.get("extension"),
        search=applied.get("search") or applied.get("name"),
    )
    sums, resident = house.hashes.known(), house.models.resident
    shown: dict[str, Any] = {
        name: [shown_model(file, sums.get(file.path, file.size_bytes, file.mtime_ns), resident) for file in files]
        for name, files in found.items()
    }
    shown["loaded_model"] = resident.model.name if resident else None
    shown["loaded_model_type"] = resident.kind if resident else None
    return shown
