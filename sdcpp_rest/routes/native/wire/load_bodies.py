"""What loading and unloading take over the wire."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from sdcpp_rest.core.load_spec import LoadOptions
from sdcpp_rest.routes.http.mirrored_fields import mirror
from sdcpp_rest.routes.http.wire_models import Flag, FlagOrAuto, Integer, Number, Text, Wire, optional
from sdcpp_rest.services.models.load_specs import LoadRequest

_EMPTY_IS_USUAL = frozenset({"rng_type", "lora_apply_mode"})


class LoadOptionsBody(Wire):
    """How to load. What is left out is the model's own choice (its sidecar file), else the default."""

    n_threads: Integer = mirror(LoadOptions, "n_threads", "CPU threads; -1: as many as physical cores.")
    keep_clip_on_cpu: FlagOrAuto = Field(
        True, description="Keep text encoders in main memory; `auto`: unless everything fits on the GPU."
    )
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
    flow_shift: Number = mirror(
        LoadOptions, "flow_shift", "Shift of flow models. Default: the model decides.", default=0.0
    )
    weight_type: Text = Field("", description="Convert weights while loading (q8_0, say); empty: as in the file.")
    tensor_type_rules: Text = mirror(LoadOptions, "tensor_type_rules", "The same by tensor: `^vae\\.=f16`, say.")
    rng_type: Text = mirror(LoadOptions, "rng_type", "Where noise comes from: std_default, cuda or cpu; empty: cuda.")
    sampler_rng_type: Text = mirror(LoadOptions, "sampler_rng_type", "The same for samplers; empty: as rng_type.")
    prediction: Text = mirror(LoadOptions, "prediction", "What the model predicts (eps, v, ...); empty: found out.")
    lora_apply_mode: Text = mirror(LoadOptions, "lora_apply_mode", "auto, immediately or at_runtime; empty: auto.")
    vae_tiling: Flag = Field(False, description="The default of later jobs' vae_tiling.")
    vae_tile_size_x: Integer = mirror(LoadOptions, "vae_tile_size_x", "The default of later jobs' vae_tile_size_x.")
    vae_tile_size_y: Integer = mirror(LoadOptions, "vae_tile_size_y", "The default of later jobs' vae_tile_size_y.")
    vae_tile_overlap: Number = mirror(LoadOptions, "vae_tile_overlap", "The default of later jobs' vae_tile_overlap.")
    circular_x: Flag = Field(False, description="Pictures whose left and right edges fit together.")
    circular_y: Flag = Field(False, description="Pictures whose upper and lower edges fit together.")
    chroma_use_dit_mask: Flag = Field(True, description="Chroma: mask the diffusion model's padding.")
    chroma_use_t5_mask: Flag = Field(False, description="Chroma: mask the T5's padding.")
    chroma_t5_mask_pad: Integer = mirror(LoadOptions, "chroma_t5_mask_pad", "Chroma: padding that is not masked.")
    qwen_image_zero_cond_t: Flag = Field(False, description="Qwen Image: zero the timestep of the condition.")
    max_vram: Number = mirror(LoadOptions, "max_vram", "GPU memory to use, in GiB; 0: all of it.")


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
    embeddings: list[Text] = optional(
        "Textual inversions that prompts may name, as `GET /models` lists them. Left out: all of them; empty: none. "
        "With any, the library keeps CLIP in 32 bits.",
        max_length=1000,
    )
    options: LoadOptionsBody = Field(default_factory=lambda: LoadOptionsBody.model_validate({}))
    all_engines: Flag = Field(
        False, description="Into every engine of this server, not only the home one; what fails there is a warning."
    )


class LoadQuery(Wire):
    wait: Flag = Field(True, description="Answer when the model is loaded; `false`: at once, with a 202.")
    timeout: Number = optional("Seconds to wait; then a 504, and the load goes on.", gt=0, le=86_400)


class UnloadBody(Wire):
    """May be left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"force": False}]})

    force: Flag = Field(False, description="Also while jobs wait that need the model: it is loaded again for them.")
    model_name: Text = Field(
        "",
        max_length=4096,
        description="Only this model, in whatever engine it is; a name of `GET /models`. Where it is the selected one, "
        "none is selected then, and the home engine frees what it keeps besides. Empty: all, and none is selected.",
    )


class ModelsQuery(Wire):
    type: Text = optional("Only models of this type; a type or the name of its list.", examples=["diffusion"])
    extension: Text = optional("Only files with this ending; the dot is optional.", examples=["gguf"])
    search: Text = optional("Only names that contain this, in any case.", examples=["demo"])
    name: Text = optional("The same as `search`.")


def to_request(body: LoadBody) -> LoadRequest:
    """What the client really sent: an omitted component is the model's own choice, an empty name means none."""
    sent = body.sent_fields()
    sent.pop("all_engines", None)
    name, options, embeddings = sent.pop("model_name"), sent.pop("options", {}), sent.pop("embeddings", None)
    # User interfaces have an empty first choice for "as usual".
    options = {key: value for key, value in options.items() if value != "" or key not in _EMPTY_IS_USUAL}
    return LoadRequest(
        model_name=name,
        model_type=sent.pop("model_type", None),
        components=sent,
        options=options,
        embeddings=None if embeddings is None else tuple(embeddings),
    )
