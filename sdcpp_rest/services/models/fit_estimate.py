"""Estimates whether a model and what it computes fit into this machine's memory, and which options would make them.

Reads file headers only; the arithmetic is core.fit's. Knows devices as numbers; must not know the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from sdcpp_rest.core import family_needs, family_signs, fit, quantization
from sdcpp_rest.core.catalog import COMPONENT_TYPES, Sidecar
from sdcpp_rest.core.family_sizes import usual_side
from sdcpp_rest.core.fit import Size
from sdcpp_rest.core.load_spec import Component, LoadOptions, LoadSpec
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.services.model_headers.inspection import Inspection, inspect_parts
from sdcpp_rest.services.models.fit_needs import (
    Needs,
    PlannedLoad,
    needs_of,
    on_device,
    resident_bytes,
    wants_vae,
)
from sdcpp_rest.services.models.load_options import without_auto
from sdcpp_rest.services.models.model_library import ModelLibrary

Verdict = Literal["fits", "tight", "no"]
TIGHT_SHARE = 0.9
"""What takes more than this of what is free may fail when anything else wants some."""

_PROCESSOR: dict[str, Any] = {"name": "CPU", "description": "", "is_gpu": False}
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


class FitEstimates:
    """Estimates the memory of a library's models.

    Args:
        memory: the body of ``GET /memory``: devices, the system's own memory, and the home engine's.
        held: what the home engine holds now; its memory would be free for another model.
    """

    def __init__(
        self, library: ModelLibrary, memory: Callable[[], dict[str, Any]], held: Callable[[], Sequence[LoadSpec]]
    ) -> None:
        self._library = library
        self._memory = memory
        self._held = held

    def of(self, model_type: str, name: str, ask: FitRequest) -> Fit:
        """The estimate for one model. Raises ModelNotFound, NotAModel, InvalidRequest (a component's role, a weight
        type)."""
        file = self._library.find(model_type, name)
        warnings: list[str] = []
        sidecar = self._library.sidecar(file.path) or Sidecar()
        files = {"": inspect_parts(file.parts or (file.path,)), **self._components(ask, sidecar, warnings)}
        options = LoadOptions.model_validate(without_auto(sidecar.load_options))
        if ask.weight_type is not None:
            quantization.weight_type("weight_type", ask.weight_type)
            options = options.model_copy(update={"weight_type": ask.weight_type})
        load = PlannedLoad(files, options, Size(ask.width, ask.height, ask.video_frames))
        warnings += _gaps(load)
        return Fit(
            name=file.name,
            architecture=load.model.architecture.name if load.model.architecture else None,
            needs=needs_of(load, is_gpu=any(one["is_gpu"] for one in self._memory()["devices"])),
            devices=tuple(self._devices(load)),
            warnings=tuple(warnings),
        )

    def usual_size(self, model_type: str, name: str) -> tuple[int, int]:
        """The width and height that the model draws by itself: its sidecar's, else its family's. Raises as `of`."""
        file = self._library.find(model_type, name)
        sidecar = self._library.sidecar(file.path) or Sidecar()
        asked = sidecar.generation_defaults
        side = usual_side(inspect_parts(file.parts or (file.path,)).architecture)
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

    def _devices(self, load: PlannedLoad) -> list[DeviceFit]:
        memory = self._memory()
        system = memory["system"]
        specs = self._held()
        held = (memory["engine"]["rss_bytes"] or 0) if specs else 0
        home = next((device for device in memory["devices"] if device["is_gpu"]), None)
        shown = []
        # Until an engine has told its devices there is the processor at least.
        for device in memory["devices"] or (_PROCESSOR,):
            is_gpu = bool(device["is_gpu"])
            # A processor's free memory is the system's. What the engine holds on either is given back by the next load.
            if is_gpu:
                # The GPUs of other engines have their names, and are freed of what those hold.
                of_engine = [one["bytes"] or 0 for one in memory.get("models", ()) if one["engine"] == device["name"]]
                given_back = sum(map(resident_bytes, specs)) if device is home else sum(of_engine)
                free = int(device["free_bytes"]) + given_back
            else:
                free = int(system["available_bytes"]) + held
            total = int(device["total_bytes"]) if is_gpu else int(system["total_bytes"])
            here = replace(load, backend=device.get("backend", ""))
            kept = here.kept_bytes
            needed = on_device(here, is_gpu) + kept
            room = int(free * TIGHT_SHARE) - needed
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


def _smaller(load: PlannedLoad, is_gpu: bool, free: int) -> list[Advice]:
    """Options that would take less, the largest saving first."""
    found: list[Advice] = []
    needed = on_device(load, is_gpu)

    def offer(option: str, value: bool | str, text: str) -> None:
        changed = load.options.model_copy(update={option: value})
        saved = needed - on_device(replace(load, options=changed), is_gpu)
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
        gib = int(free * TIGHT_SHARE / (1 << 30) * 10) / 10
        if gib > 0:
            text = "The diffusion model is computed in pieces that fit into so many GiB; slower."
            found.append(Advice("max_vram", gib, needed - int(gib * (1 << 30)), text))
    return found


def _quicker(load: PlannedLoad, is_gpu: bool, room: int) -> list[Advice]:
    """On a GPU with ``room`` bytes for the text encoders too: to have them there, not in main memory as by default."""
    options = load.options
    if not is_gpu or not options.keep_clip_on_cpu or options.offload_to_cpu:
        return []
    moved = replace(load, options=options.model_copy(update={"keep_clip_on_cpu": False}))
    extra = on_device(moved, is_gpu) - on_device(load, is_gpu)
    if not 0 < extra <= room:
        return []
    text = "The text encoders fit into the GPU's memory too; prompts are read quicker there."
    return [Advice("keep_clip_on_cpu", False, -extra, text)]


def _gaps(load: PlannedLoad) -> list[str]:
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
    if load.autoencoder() is None and wants_vae(load):
        said.append(f"No VAE is named: a usual one of {fit.USUAL_VAE_BYTES >> 20} MiB is assumed.")
    return said
