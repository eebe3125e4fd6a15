"""Counts the memory that a load and what it draws take: weights by part, and the buffers that are computed in.

Reads file headers only; the arithmetic is core.fit's. It must not know how much memory there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sdcpp_rest.core import fit, quantization
from sdcpp_rest.core.architectures import Shapes
from sdcpp_rest.core.fit import Autoencoder, Part, Size
from sdcpp_rest.core.flash_attention import choose_flash_attention
from sdcpp_rest.core.load_spec import LoadOptions, LoadSpec
from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.services.model_headers.inspection import Inspection, inspect_parts

_PART_OF_ROLE: dict[str, Part] = {
    "vae": "vae",
    "taesd": "vae",
    "clip_l": "text_encoders",
    "clip_g": "text_encoders",
    "clip_vision": "text_encoders",
    "t5xxl": "text_encoders",
    "llm": "text_encoders",
    "llm_vision": "text_encoders",
    "controlnet": "controlnet",
    "high_noise_diffusion_model": "diffusion_model",
    "photo_maker": "text_encoders",
}


class Besides(NamedTuple):
    """What a job takes beside the model and one plain picture of its size. Bytes and pixels; ``hires`` is the size of
    the second pass, ``picture_bytes`` are those of finished pictures, which wait in main memory."""

    hires: Size | None = None
    tile_pixels: int = 0
    has_control: bool = False
    lora_bytes: int = 0
    upscaler_bytes: int = 0
    upscaler_buffer: int = 0
    picture_bytes: int = 0


NOTHING = Besides()


@dataclass(frozen=True)
class Needs:
    """Bytes: weights by part as they are held, and the buffer of each part, of which one is held at a time. A
    ControlNet's, where it is used, is held together with the diffusion model's."""

    weights: Mapping[Part, int]
    buffers: Mapping[Part, int]
    besides: Besides = NOTHING

    @property
    def weight_bytes(self) -> int:
        return sum(self.weights.values())

    @property
    def peak_bytes(self) -> int:
        """All weights and the largest buffer: what it takes where everything is in one memory."""
        job = self.besides
        held = max(largest_buffer(self.buffers), job.upscaler_buffer)
        return self.weight_bytes + held + job.lora_bytes + job.upscaler_bytes + job.picture_bytes


def largest_buffer(buffers: Mapping[Part, int]) -> int:
    """Bytes of all buffers that are held at one time."""
    together = buffers.get("diffusion_model", 0) + buffers.get("controlnet", 0)
    return max(together, *buffers.values(), 0)


@dataclass(frozen=True)
class PlannedLoad:
    """What is looked at: the inspected files by role (the model's own is ``""``), the options, the size, the
    backend that computes, where it is known, and what a job takes besides."""

    files: Mapping[str, Inspection]
    options: LoadOptions
    size: Size
    backend: str = ""
    besides: Besides = NOTHING

    @property
    def model(self) -> Inspection:
        return self.files[""]

    @property
    def kept_bytes(self) -> int:
        """What the backend keeps beside weights and buffers."""
        size = self.besides.hires or self.size
        return fit.backend_bytes(self.backend, max(size.width * size.height, self.size.width * self.size.height))

    def autoencoder(self) -> Autoencoder | None:
        """What decodes: the TAESD where there is one that is not for previews only, else the VAE that was named, else
        the model's own; ``None`` where pixels need none or it is not known which one."""
        roles = ["vae", ""] if self.options.tae_preview_only else ["taesd", "vae", ""]
        found = (fit.autoencoder_of(self.files[role].tensors) for role in roles if role in self.files)
        return next((one for one in found if one is not None), None)


def memory_needed(spec: LoadSpec, width: int, height: int, video_frames: int = 1, *, has_gpu: bool) -> int:
    """Bytes that loading ``spec`` and drawing one picture (or video) of that size takes, in all memories together.
    ``has_gpu``: models run on one, where flash attention is on unless the load says no.

    For refusing what cannot possibly fit. Raises NotAModel when a file of the spec is no model any more.
    """
    return needs_of(load_of(spec, Size(width, height, video_frames)), is_gpu=has_gpu).peak_bytes


def load_of(spec: LoadSpec, size: Size) -> PlannedLoad:
    files = {"": inspect_parts([spec.model.path])}
    files.update({role: inspect_parts([one.path]) for role, one in spec.components.items()})
    return PlannedLoad(files, spec.options, size)


def resident_bytes(spec: LoadSpec) -> int:
    """Bytes of a GPU that a loaded model holds between two jobs: the weights that stay there."""
    if spec.options.offload_to_cpu:
        return 0
    try:
        weights, _ = share_of_gpu(load_of(spec, Size(0, 0)))
    except (SdcppRestError, OSError):
        return 0  # its file is gone: it is not known any more what it holds
    return sum(weights.values())


def needs_of(load: PlannedLoad, is_gpu: bool) -> Needs:
    """What ``load`` takes, and the job that is drawn with it; ``is_gpu``: on one."""
    options = load.options
    wanted = quantization.weight_type("weight_type", options.weight_type)
    rules = quantization.tensor_type_rules("tensor_type_rules", options.tensor_type_rules)
    weights: dict[Part, int] = dict.fromkeys(fit.PARTS, 0)
    for role, file in load.files.items():
        default = _PART_OF_ROLE.get(role, "diffusion_model")
        tensors = _without_encoder(file.tensors) if options.vae_decode_only else file.tensors
        for part, count in fit.weight_bytes(tensors, file.tensor_types, default, wanted, rules).items():
            weights[part] += count
    architecture = load.model.architecture
    flash = choose_flash_attention(options, architecture.name if architecture else None, has_gpu=is_gpu)
    buffers: dict[Part, int] = {
        "text_encoders": fit.encoder_buffer(frozenset(load.files)),
        "diffusion_model": max(
            fit.diffusion_buffer(architecture, load.model.tensors, size, flash=flash.in_diffusion_model)
            for size in (load.size, load.besides.hires or load.size)
        ),
    }
    if load.besides.has_control:
        # The network's own half of the model: not measured, and taken for as large as the whole.
        buffers["controlnet"] = buffers["diffusion_model"]
    autoencoder = load.autoencoder()
    if autoencoder is None and wants_vae(load):
        autoencoder = Autoencoder()
        weights["vae"] += fit.USUAL_VAE_BYTES
    if autoencoder is not None:
        # The library scales the convolutions of an SDXL model's own autoencoder, not of one that was named.
        is_own = "vae" not in load.files or options.force_sdxl_vae_conv_scale
        if is_own and architecture is not None and architecture.id.startswith("sdxl"):
            autoencoder = autoencoder._replace(is_scaled=True)
        size = load.besides.hires or load.size
        tiling, direct, tile = options.vae_tiling, options.vae_conv_direct, load.besides.tile_pixels
        buffers["vae"] = fit.vae_buffer(autoencoder, size, tiling, direct, tile)
    return Needs(weights, buffers, load.besides)


def _without_encoder(tensors: Shapes) -> Shapes:
    """An autoencoder that only decodes leaves its other half on the disk."""
    starts = ("encoder.", "first_stage_model.encoder.", "vae.encoder.", "quant_conv.", "first_stage_model.quant_conv.")
    if not any("decoder." in name for name in tensors):
        return tensors  # a text encoder's tensors may be called so too
    return {name: shape for name, shape in tensors.items() if not name.startswith(starts)}


def wants_vae(load: PlannedLoad) -> bool:
    architecture = load.model.architecture
    return architecture is None or architecture.has_vae


def on_device(load: PlannedLoad, is_gpu: bool) -> int:
    """Bytes in the memory of the device that computes. With a GPU, what is kept on the CPU needs none of it; with
    offload_to_cpu only the part that works does."""
    if not is_gpu:
        return needs_of(load, is_gpu).peak_bytes
    weights, buffers = share_of_gpu(load)
    job = load.besides
    if not load.options.offload_to_cpu:
        largest = max(largest_buffer(buffers), job.upscaler_buffer)
        return sum(weights.values()) + job.lora_bytes + job.upscaler_bytes + largest
    alone = {part: weights[part] + buffers.get(part, 0) for part in weights}
    alone["diffusion_model"] += job.lora_bytes + (alone.get("controlnet", 0) if "controlnet" in buffers else 0)
    return job.upscaler_bytes + max(*alone.values(), job.upscaler_buffer)


def beside_gpu(load: PlannedLoad) -> int:
    """Bytes of main memory that a load takes whose model runs on a GPU."""
    needs = needs_of(load, is_gpu=True)
    weights, buffers = share_of_gpu(load)
    # What is offloaded lies there as a whole and comes to the GPU in turn.
    kept = needs.weight_bytes - (0 if load.options.offload_to_cpu else sum(weights.values()))
    computed = [count for part, count in needs.buffers.items() if part not in buffers]
    return kept + max(computed, default=0) + load.besides.picture_bytes


def share_of_gpu(load: PlannedLoad) -> tuple[dict[Part, int], dict[Part, int]]:
    """Bytes of weights and of buffers by part, without the parts that are kept on the CPU."""
    needs, options = needs_of(load, is_gpu=True), load.options
    here: dict[Part, bool] = {
        "text_encoders": not options.keep_clip_on_cpu,
        "diffusion_model": True,
        "vae": not options.keep_vae_on_cpu,
        "controlnet": not options.keep_controlnet_on_cpu,
    }
    weights = {part: count for part, count in needs.weights.items() if here[part]}
    return weights, {
        part: fit.allocated_bytes(count, load.backend) for part, count in needs.buffers.items() if here[part]
    }
