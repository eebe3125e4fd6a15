"""Estimates whether a model and what it computes fit into this machine's memory, and which options would make them.

Reads file headers only; the arithmetic is core.fit's. Knows devices as numbers; must not know the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from sdcpp_rest.core import family_needs, family_signs, fit, quantization
from sdcpp_rest.core.architectures import Shapes
from sdcpp_rest.core.catalog import COMPONENT_TYPES, Sidecar
from sdcpp_rest.core.fit import Autoencoder, Part, Size
from sdcpp_rest.core.flash_attention import choose_flash_attention
from sdcpp_rest.core.load_spec import Component, LoadOptions, LoadSpec
from sdcpp_rest.errors import InvalidRequest, ModelNotFound, SdcppRestError
from sdcpp_rest.services.model_headers.inspection import Inspection, inspect_parts
from sdcpp_rest.services.models.model_library import ModelLibrary

Verdict = Literal["fits", "tight", "no"]

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
_PROCESSOR: dict[str, Any] = {"name": "CPU", "description": "", "is_gpu": False}
_TIGHT_SHARE = 0.9
_SMALLER = ("q8_0", "q4_0")


@dataclass(frozen=True)
class FitRequest:
    """What is to be drawn. ``components`` maps roles to names and wins over the model's sidecar; an empty name means
    none. ``weight_type`` of ``None``: the sidecar's."""

    width: int
    height: int
    batch_count: int = 1
    video_frames: int = 1
    components: Mapping[str, str] = field(default_factory=dict)
    weight_type: str | None = None


@dataclass(frozen=True)
class Needs:
    """Bytes: weights by part as they are held, and the buffer of each part, of which one is held at a time."""

    weights: Mapping[Part, int]
    buffers: Mapping[Part, int]

    @property
    def weight_bytes(self) -> int:
        return sum(self.weights.values())

    @property
    def peak_bytes(self) -> int:
        """All weights and the largest buffer: what it takes where everything is in one memory."""
        return self.weight_bytes + max(self.buffers.values(), default=0)


@dataclass(frozen=True)
class Advice:
    """An option of ``POST /models/load`` (or of a job), and the bytes that it would save; negative: those that it would
    take more, to be quicker."""

    option: str
    value: bool | float | str
    saves_bytes: int
    text: str


@dataclass(frozen=True)
class DeviceFit:
    """One device's share; sizes in bytes."""

    name: str
    description: str
    is_gpu: bool
    free_bytes: int
    total_bytes: int
    needed_bytes: int
    verdict: Verdict
    advice: tuple[Advice, ...]


@dataclass(frozen=True)
class Fit:
    """The whole estimate."""

    name: str
    architecture: str | None
    needs: Needs
    devices: tuple[DeviceFit, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Load:
    """What is looked at: the inspected files by role (the model's own is ``""``), the options, the size, and the
    backend that computes, where it is known."""

    files: Mapping[str, Inspection]
    options: LoadOptions
    size: Size
    backend: str = ""

    @property
    def model(self) -> Inspection:
        return self.files[""]

    def autoencoder(self) -> Autoencoder | None:
        """What decodes: the TAESD where there is one that is not for previews only, else the VAE that was named, else
        the model's own; ``None`` where pixels need none or it is not known which one."""
        roles = ["vae", ""] if self.options.tae_preview_only else ["taesd", "vae", ""]
        found = (fit.autoencoder_of(self.files[role].tensors) for role in roles if role in self.files)
        return next((one for one in found if one is not None), None)


def memory_needed(spec: LoadSpec, width: int, height: int, video_frames: int = 1) -> int:
    """Bytes that loading ``spec`` and drawing one picture (or video) of that size takes, in all memories together.

    For refusing what cannot possibly fit. Raises NotAModel when a file of the spec is no model any more.
    """
    return _needs(_load_of(spec, Size(width, height, video_frames)), is_gpu=False).peak_bytes


def _load_of(spec: LoadSpec, size: Size) -> _Load:
    files = {"": inspect_parts([spec.model.path])}
    files.update({role: inspect_parts([one.path]) for role, one in spec.components.items()})
    return _Load(files, spec.options, size)


def _resident_bytes(spec: LoadSpec) -> int:
    """Bytes of a GPU that a loaded model holds between two jobs: the weights that stay there."""
    if spec.options.offload_to_cpu:
        return 0
    try:
        weights, _ = _share_of_gpu(_load_of(spec, Size(0, 0)))
    except (SdcppRestError, OSError):
        return 0  # its file is gone: it is not known any more what it holds
    return sum(weights.values())


class FitEstimates:
    """Estimates the memory of a library's models.

    Args:
        memory: the body of ``GET /memory``: devices and the system's own memory.
        resident: what the engine holds now; its memory would be free for another model.
    """

    def __init__(
        self, library: ModelLibrary, memory: Callable[[], dict[str, Any]], resident: Callable[[], LoadSpec | None]
    ) -> None:
        self._library = library
        self._memory = memory
        self._resident = resident

    def of(self, model_type: str, name: str, ask: FitRequest) -> Fit:
        """The estimate for one model. Raises ModelNotFound, NotAModel, InvalidRequest (a component's role, a weight
        type)."""
        file = self._library.find(model_type, name)
        warnings: list[str] = []
        sidecar = self._library.sidecar(file.path) or Sidecar()
        files = {"": inspect_parts(file.parts or (file.path,)), **self._components(ask, sidecar, warnings)}
        options = LoadOptions.model_validate(sidecar.load_options)
        if ask.weight_type is not None:
            quantization.weight_type("weight_type", ask.weight_type)
            options = options.model_copy(update={"weight_type": ask.weight_type})
        load = _Load(files, options, Size(ask.width, ask.height, ask.video_frames))
        warnings += _gaps(load)
        return Fit(
            name=file.name,
            architecture=load.model.architecture.name if load.model.architecture else None,
            needs=_needs(load, is_gpu=any(one["is_gpu"] for one in self._memory()["devices"])),
            devices=tuple(self._devices(load)),
            warnings=tuple(warnings),
        )

    def usual_size(self, model_type: str, name: str) -> tuple[int, int]:
        """The width and height that the model draws by itself: its sidecar's, else its family's. Raises as `of`."""
        file = self._library.find(model_type, name)
        sidecar = self._library.sidecar(file.path) or Sidecar()
        asked = sidecar.generation_defaults
        architecture = inspect_parts(file.parts or (file.path,)).architecture
        side = 512 if architecture is None or architecture.id.startswith(("sd1", "sd2", "sdxs")) else 1024
        return int(asked.get("width", side)), int(asked.get("height", side))

    def _components(self, ask: FitRequest, sidecar: Sidecar, warnings: list[str]) -> dict[str, Inspection]:
        known: tuple[Component, ...] = get_args(Component)
        for role in ask.components.keys() - set(known):
            raise InvalidRequest(
                f"component: {role[:80]!r} is not a component; allowed: {', '.join(known)}",
                field="component",
                value=role[:200],
                allowed=list(known),
            )
        found: dict[str, Inspection] = {}
        for role in known:
            name = ask.components.get(role, sidecar.components.get(role, ""))
            if not name or role not in COMPONENT_TYPES:
                continue
            try:
                found[role] = self._inspect(role, name)
            except (ModelNotFound, InvalidRequest) as error:
                if role in ask.components:
                    error.detail["field"] = "component"
                    raise
                warnings.append(f"The model's sidecar names {name[:80]!r} as '{role}', which cannot be used.")
        return found

    def _inspect(self, role: Component, name: str) -> Inspection:
        missing: ModelNotFound | None = None
        for kind in COMPONENT_TYPES[role]:
            try:
                file = self._library.find(kind, name)
            except ModelNotFound as error:
                missing = missing or error
            else:
                return inspect_parts(file.parts or (file.path,))
        assert missing is not None
        raise missing

    def _devices(self, load: _Load) -> list[DeviceFit]:
        memory = self._memory()
        system = memory["system"]
        resident = self._resident()
        held = memory["engine"]["rss_bytes"] or 0 if resident is not None else 0
        shown = []
        # Until an engine has told its devices there is the processor at least.
        for device in memory["devices"] or (_PROCESSOR,):
            is_gpu = bool(device["is_gpu"])
            # A processor's free memory is the system's. What the engine holds on either is given back by the next load.
            if is_gpu:
                free = int(device["free_bytes"]) + (_resident_bytes(resident) if resident is not None else 0)
            else:
                free = int(system["available_bytes"]) + held
            total = int(device["total_bytes"]) if is_gpu else int(system["total_bytes"])
            here = replace(load, backend=device.get("backend", ""))
            kept = fit.backend_bytes(here.backend)
            needed = _on_device(here, is_gpu) + kept
            room = int(free * _TIGHT_SHARE) - needed
            advice = _quicker(here, is_gpu, room) if room >= 0 else _smaller(here, is_gpu, free - kept)
            shown.append(
                DeviceFit(
                    name=device["name"],
                    description=device["description"],
                    is_gpu=is_gpu,
                    free_bytes=min(free, total),
                    total_bytes=total,
                    needed_bytes=needed,
                    verdict="no" if needed > free else "tight" if room < 0 else "fits",
                    advice=tuple(advice),
                )
            )
        return shown


def _needs(load: _Load, is_gpu: bool) -> Needs:
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
        "diffusion_model": fit.diffusion_buffer(
            architecture, load.model.tensors, load.size, flash=flash.in_diffusion_model
        ),
    }
    autoencoder = load.autoencoder()
    if autoencoder is None and _wants_vae(load):
        autoencoder = Autoencoder()
        weights["vae"] += fit.USUAL_VAE_BYTES
    if autoencoder is not None:
        # The library scales the convolutions of an SDXL model's own autoencoder, not of one that was named.
        is_own = "vae" not in load.files or options.force_sdxl_vae_conv_scale
        if is_own and architecture is not None and architecture.id.startswith("sdxl"):
            autoencoder = autoencoder._replace(is_scaled=True)
        buffers["vae"] = fit.vae_buffer(autoencoder, load.size, options.vae_tiling, options.vae_conv_direct)
    return Needs(weights, buffers)


def _without_encoder(tensors: Shapes) -> Shapes:
    """An autoencoder that only decodes leaves its other half on the disk."""
    starts = ("encoder.", "first_stage_model.encoder.", "vae.encoder.", "quant_conv.", "first_stage_model.quant_conv.")
    if not any("decoder." in name for name in tensors):
        return tensors  # a text encoder's tensors may be called so too
    return {name: shape for name, shape in tensors.items() if not name.startswith(starts)}


def _wants_vae(load: _Load) -> bool:
    architecture = load.model.architecture
    return architecture is None or architecture.has_vae


def _on_device(load: _Load, is_gpu: bool) -> int:
    """Bytes in the memory of the device that computes. With a GPU, what is kept on the CPU needs none of it; with
    offload_to_cpu only the part that works does."""
    if not is_gpu:
        return _needs(load, is_gpu).peak_bytes
    weights, buffers = _share_of_gpu(load)
    if not load.options.offload_to_cpu:
        return sum(weights.values()) + max(buffers.values())
    return max(weights[part] + buffers.get(part, 0) for part in weights)


def _share_of_gpu(load: _Load) -> tuple[dict[Part, int], dict[Part, int]]:
    """Bytes of weights and of buffers by part, without the parts that are kept on the CPU."""
    needs, options = _needs(load, is_gpu=True), load.options
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


def _smaller(load: _Load, is_gpu: bool, free: int) -> list[Advice]:
    """Options that would take less, the largest saving first."""
    found: list[Advice] = []
    needed = _on_device(load, is_gpu)

    def offer(option: str, value: bool | str, text: str) -> None:
        changed = load.options.model_copy(update={option: value})
        saved = needed - _on_device(replace(load, options=changed), is_gpu)
        if saved > 0:
            found.append(Advice(option, value, saved, text))

    if is_gpu:
        offer("offload_to_cpu", True, "Weights stay in main memory and come to the GPU in turn; slower.")
        offer("keep_clip_on_cpu", True, "The text encoders stay in main memory.")
        offer("keep_vae_on_cpu", True, "The VAE stays in main memory; decoding is slow there.")
        offer("diffusion_flash_attn", True, "Attention without the matrix of all pairs of tokens.")
    offer("vae_tiling", True, "The picture is decoded tile by tile.")
    offer("vae_conv_direct", True, "The VAE's convolutions without their buffer of columns.")
    for name in _SMALLER:
        offer("weight_type", name, f"Weights are converted to {name} while they are loaded; slightly worse pictures.")
    if not is_gpu:
        offer("diffusion_flash_attn", True, "Attention without the matrix of all pairs of tokens; slower on the CPU.")
    found.sort(key=lambda one: -one.saves_bytes)
    # Without offload_to_cpu the library ignores it.
    if is_gpu and needed > free and load.options.offload_to_cpu:
        gib = int(free * _TIGHT_SHARE / (1 << 30) * 10) / 10
        if gib > 0:
            text = "The diffusion model is computed in pieces that fit into so many GiB; slower."
            found.append(Advice("max_vram", gib, needed - int(gib * (1 << 30)), text))
    return found


def _quicker(load: _Load, is_gpu: bool, room: int) -> list[Advice]:
    """On a GPU with ``room`` bytes for the text encoders too: to have them there, not in main memory as by default."""
    options = load.options
    if not is_gpu or not options.keep_clip_on_cpu or options.offload_to_cpu:
        return []
    moved = replace(load, options=options.model_copy(update={"keep_clip_on_cpu": False}))
    extra = _on_device(moved, is_gpu) - _on_device(load, is_gpu)
    if not 0 < extra <= room:
        return []
    text = "The text encoders fit into the GPU's memory too; prompts are read quicker there."
    return [Advice("keep_clip_on_cpu", False, -extra, text)]


def _gaps(load: _Load) -> list[str]:
    """Sentences about what the estimate does not know."""
    model = load.model
    said = list(model.warnings)
    if model.contents not in ("picture model", "unknown"):
        said.append(f"This file is of the kind '{model.contents}' and draws no pictures by itself.")
    architecture = model.architecture
    if architecture is not None:
        # Whether there is a VAE is told below, with what is assumed instead.
        given = {*load.files, "vae"} - {""}
        kind = family_signs.natural_kind(model.tensors) or "checkpoint"
        faults = family_needs.missing_components(architecture, model.tensors, given, kind=kind)
        said += [f"Not counted: {text}" for text in faults]
    if load.autoencoder() is None and _wants_vae(load):
        said.append(f"No VAE is named: a usual one of {fit.USUAL_VAE_BYTES >> 20} MiB is assumed.")
    return said
