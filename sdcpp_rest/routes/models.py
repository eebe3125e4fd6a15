"""Models over HTTP: what lies in the model folders, and which of it the engine holds."""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint, Response, request
from pydantic import Field

from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import EngineDied, LoadFailed, ModelNotFound, SdcppRestError
from sdcpp_rest.routes.http import Flag, Integer, Number, Text, Wire, answer, blocking, read_body, runtime, validate
from sdcpp_rest.services.model_library import LoadRequest

models = Blueprint("models", __name__)


class LoadOptionsBody(Wire):
    """``options`` of ``POST /models/load``: the fields of `LoadOptions`, as a client may write them."""

    n_threads: Integer = Field(-1, ge=-1, le=1024)
    keep_clip_on_cpu: Flag = True
    keep_vae_on_cpu: Flag = False
    keep_controlnet_on_cpu: Flag = False
    flash_attn: Flag = Field(True, description="Default: on for GPUs, off on the CPU, where it is slower.")
    diffusion_flash_attn: Flag = True
    offload_to_cpu: Flag = False
    enable_mmap: Flag = True
    vae_decode_only: Flag = True
    tae_preview_only: Flag = False
    free_params_immediately: Flag = False
    vae_conv_direct: Flag = False
    diffusion_conv_direct: Flag = False
    force_sdxl_vae_conv_scale: Flag = False
    flow_shift: Number = Field(0.0, ge=0, le=1000, description="Default: the model decides.")
    weight_type: Text = ""
    tensor_type_rules: Text = Field("", max_length=10_000)
    rng_type: Text = "cuda"
    sampler_rng_type: Text = ""
    prediction: Text = ""
    lora_apply_mode: Text = "auto"
    vae_tiling: Flag = False
    vae_tile_size_x: Integer = Field(0, ge=0, le=65536)
    vae_tile_size_y: Integer = Field(0, ge=0, le=65536)
    vae_tile_overlap: Number = Field(0.5, ge=0, le=1)
    circular_x: Flag = False
    circular_y: Flag = False
    chroma_use_dit_mask: Flag = True
    chroma_use_t5_mask: Flag = False
    chroma_t5_mask_pad: Integer = Field(1, ge=0, le=1024)
    qwen_image_zero_cond_t: Flag = False
    max_vram: Number = Field(0.0, ge=0)


class LoadBody(Wire):
    """Body of ``POST /models/load``. Components are model names as ``GET /models`` lists them."""

    model_name: Text = Field(min_length=1)
    model_type: Literal["checkpoint", "diffusion"] = "checkpoint"
    vae: Text = ""
    clip_l: Text = ""
    clip_g: Text = ""
    clip_vision: Text = ""
    t5xxl: Text = ""
    controlnet: Text = ""
    llm: Text = ""
    llm_vision: Text = ""
    taesd: Text = ""
    high_noise_diffusion_model: Text = ""
    photo_maker: Text = ""
    options: LoadOptionsBody = Field(default_factory=lambda: LoadOptionsBody.model_validate({}))


class UnloadBody(Wire):
    force: Flag = False


class ModelNotThere(SdcppRestError):
    """The native API answers 500 where a load names a file that does not exist; clients match its text."""

    code = "model_not_found"
    status = 500


@models.get("/models")
def list_models() -> Response:
    """All model files by type; ``type``, ``extension`` and ``search`` (or ``name``) narrow the lists down."""
    asked = {name: request.args.get(name) or None for name in ("type", "extension", "search", "name")}
    lists = runtime().library.list(
        type=asked["type"], extension=asked["extension"], search=asked["search"] or asked["name"]
    )
    resident = runtime().models.resident
    shown: dict[str, Any] = {name: [_shown(file, resident) for file in files] for name, files in lists.items()}
    shown["loaded_model"] = resident.model.name if resident else None
    shown["loaded_model_type"] = resident.kind if resident else None
    applied = {name: value for name, value in asked.items() if value}
    if applied:
        shown["applied_filters"] = applied
    return answer(shown)


@models.post("/models/load")
@blocking
def load_model() -> Response:
    """Select a model and have it loaded; answers when it is, because clients send their first job right after."""
    body, warnings = validate(LoadBody, read_body())
    try:
        outcome = runtime().models.load(to_request(body))
    except ModelNotFound as error:
        raise ModelNotThere(f"Internal error: {error.message}", **error.detail) from None
    except EngineDied as error:
        raise LoadFailed(error.message, **error.detail) from None
    shown: dict[str, Any] = {
        "success": True,
        "message": "Model loaded successfully",
        "model_name": outcome.spec.model.name,
        "model_type": outcome.spec.kind,
        "loaded_components": outcome.spec.component_names,
        "model_architecture": outcome.loaded.architecture or outcome.spec.architecture,
        "load_seconds": round(outcome.loaded.seconds, 3),
    }
    if warnings or outcome.warnings:
        shown["warnings"] = [*warnings, *outcome.warnings]
    return answer(shown)


@models.post("/models/unload")
@blocking
def unload_model() -> Response:
    """Free the loaded model; the same answer when there was none. 409 while pending jobs need it, unless ``force``."""
    body, warnings = validate(UnloadBody, read_body())
    runtime().models.unload(force=body.force)
    return answer({"success": True, "message": "Model unloaded", **({"warnings": warnings} if warnings else {})})


def to_request(body: LoadBody) -> LoadRequest:
    """What the client really sent: an omitted component is the model's own choice, an empty name means none."""
    sent = body.sent()
    name, options = sent.pop("model_name"), sent.pop("options", {})
    return LoadRequest(model_name=name, model_type=sent.pop("model_type", None), components=sent, options=options)


def _shown(file: ModelFile, resident: LoadSpec | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": file.name,
        "type": file.type,
        "file_extension": file.file_extension,
        "size_bytes": file.size_bytes,
        "hash": None,
    }
    if file.type in ("checkpoint", "diffusion"):
        shown["is_loaded"] = resident is not None and resident.model.path == file.path
    return shown
