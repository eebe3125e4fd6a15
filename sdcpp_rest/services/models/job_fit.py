"""Judges whether a job fits into the memory that is free now, and finds what would make it.

What is loaded now counts as free, as far as the job's own load would take its place. Everything that is advised was
estimated in its turn. Knows devices as numbers; must not know the engine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sdcpp_rest.core import fit
from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.core.fit import Size
from sdcpp_rest.core.load_spec import FileRef, LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import ImageParams, SamplingParams, UpscaleParams, VideoParams
from sdcpp_rest.services.model_headers import autoencoders
from sdcpp_rest.services.model_headers.inspection import NotAModel, inspect_file
from sdcpp_rest.services.models.fit_estimate import TIGHT_SHARE
from sdcpp_rest.services.models.fit_needs import (
    NOTHING,
    Besides,
    PlannedLoad,
    beside_gpu,
    load_of,
    on_device,
    resident_bytes,
)
from sdcpp_rest.services.models.model_library import ModelLibrary

Fits = Literal["yes", "tight", "no"]
_RANK: dict[Fits, int] = {"yes": 0, "tight": 1, "no": 2}

_MAX_ADVICE = 8
_MAX_CANDIDATES = 40
_SIDE_GRID = 64
# While a picture is decoded it is held as floats, then as bytes like those that are finished.
_FLOAT_PIXEL, _BYTE_PIXEL = 12, 3
_QUANTIZED = re.compile(
    r"(?<![a-z0-9])(iq\d(_[a-z0-9]+)*|q\d(_[01k])?(_[a-z]{1,2})?|bf16|fp?(8|16|32)(_[a-z0-9]+)*)(?![a-z0-9])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class JobPlan:
    """A job as far as its memory goes. ``spec`` of ``None``: it needs no model. ``source_size`` is that of the picture
    to enlarge, ``reference_pixels`` are those of all reference pictures."""

    params: SamplingParams | UpscaleParams
    spec: LoadSpec | None = None
    has_control: bool = False
    reference_pixels: int = 0
    source_size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class MemoryFit:
    """One memory's share; sizes in bytes."""

    name: str
    is_gpu: bool
    needed_bytes: int
    free_bytes: int
    total_bytes: int

    @property
    def fits(self) -> Fits:
        if self.needed_bytes > self.free_bytes:
            return "no"
        return "tight" if self.needed_bytes > self.free_bytes * TIGHT_SHARE else "yes"


@dataclass(frozen=True)
class JobAdvice:
    """A change that takes less. ``change`` are fields of the request itself, or of ``POST /models/load`` where that is
    what has to be sent first (``target``). ``needed_bytes`` and ``fits`` are those of the same memory afterwards."""

    text: str
    target: Literal["request", "load"]
    change: Mapping[str, Any]
    needed_bytes: int
    saves_bytes: int
    fits: Fits


@dataclass(frozen=True)
class JobFit:
    """The estimate of a job: all memories that it needs, the scarcest one first, and what would take less."""

    memories: tuple[MemoryFit, ...]
    advice: tuple[JobAdvice, ...] = ()

    @property
    def scarcest(self) -> MemoryFit:
        return self.memories[0]


@dataclass(frozen=True)
class _Option:
    text: str
    target: Literal["request", "load"]
    change: Mapping[str, Any]
    plan: JobPlan


class JobFits:
    """Estimates the memory of jobs.

    Args:
        memory: the body of ``GET /memory``, of the home engine.
        held: the models that it holds now; the job's own takes their place.
    """

    def __init__(
        self, library: ModelLibrary, memory: Callable[[], dict[str, Any]], held: Callable[[], Sequence[LoadSpec]]
    ) -> None:
        self._library = library
        self._memory = memory
        self._held = held

    def of(self, plan: JobPlan) -> JobFit:
        """Whether ``plan`` fits. Raises NotAModel when a file of it is no model any more."""
        memory, held = self._memory(), self._held()
        memories = _memories_of(plan, memory, held)
        scarcest = memories[0]
        if scarcest.fits == "yes":
            return JobFit(memories)
        has_gpu = any(device["is_gpu"] for device in memory["devices"])
        advice = []
        for option in (*_requests(plan), *_loads(plan, has_gpu), *self._smaller_files(plan)):
            after = _memories_of(option.plan, memory, held)
            same = next((one for one in after if one.name == scarcest.name), None)
            if same is None or same.needed_bytes >= scarcest.needed_bytes:
                continue
            saved = scarcest.needed_bytes - same.needed_bytes
            worst = after[0].fits
            advice.append(JobAdvice(option.text, option.target, option.change, same.needed_bytes, saved, worst))
        advice.sort(key=lambda one: (_RANK[one.fits], one.target == "load", -one.saves_bytes))
        return JobFit(memories, tuple(advice[:_MAX_ADVICE]))

    def _smaller_files(self, plan: JobPlan) -> Iterator[_Option]:
        """The same model in another number format, where it lies here."""
        spec = plan.spec
        if spec is None:
            return
        size = next((one.size_bytes for one in self._library.files(spec.kind) if one.path == spec.model.path), 0)
        bare = _bare_name(spec.model.name)
        smaller = [
            one
            for one in self._library.files(spec.kind)
            if one.size_bytes < size and one.path != spec.model.path and _bare_name(one.name) == bare
        ]
        for file in sorted(smaller, key=lambda one: -one.size_bytes)[:_MAX_CANDIDATES]:
            if _is_same_family(file, spec):
                other = spec.model_copy(update={"model": FileRef(name=file.name, path=file.path)})
                text = f"{file.name} is the same model in a smaller number format; load it instead."
                yield _Option(text, "load", _load_body(other), replace(plan, spec=other))


def _memories_of(plan: JobPlan, memory: Mapping[str, Any], held: Sequence[LoadSpec]) -> tuple[MemoryFit, ...]:
    """Each memory that ``plan`` needs, the scarcest one first. Raises NotAModel."""
    system = memory["system"]
    gives_way = held if plan.spec is not None else ()
    given_back = (memory["engine"]["rss_bytes"] or 0) if gives_way else 0
    available = min(int(system["available_bytes"]) + given_back, int(system["total_bytes"]))
    gpu = next((device for device in memory["devices"] if device["is_gpu"]), None)
    found = []
    if isinstance(plan.params, UpscaleParams):
        job = _upscaling(plan.params.upscaler, plan.source_size)
        work = job.upscaler_bytes + job.upscaler_buffer
        main = 0 if gpu else work
    else:
        load = _load_of(plan, plan.params, gpu.get("backend", "") if gpu else "")
        main = beside_gpu(load) if gpu else on_device(load, False)
    if gpu is not None:
        needed = bytes_on_gpu(plan, gpu.get("backend", ""))
        free = int(gpu["free_bytes"]) + sum(map(resident_bytes, gives_way))
        total = int(gpu["total_bytes"])
        found.append(MemoryFit(gpu["name"], True, needed, min(free, total), total))
    found.append(MemoryFit("main memory", False, main, available, int(system["total_bytes"])))
    found.sort(key=lambda one: (-_RANK[one.fits], one.free_bytes - one.needed_bytes))
    return tuple(found)


def bytes_on_gpu(plan: JobPlan, backend: str) -> int:
    """What ``plan`` takes of a GPU of that ``backend``. Raises NotAModel."""
    if isinstance(plan.params, UpscaleParams):
        job = _upscaling(plan.params.upscaler, plan.source_size)
        return job.upscaler_bytes + job.upscaler_buffer + fit.backend_bytes(backend)
    load = _load_of(plan, plan.params, backend)
    return on_device(load, True) + load.kept_bytes


def _load_of(plan: JobPlan, params: SamplingParams, backend: str) -> PlannedLoad:
    """What ``plan`` has to load and draw."""
    assert plan.spec is not None
    options = plan.spec.options.model_copy(update={"vae_tiling": params.vae_tiling})
    frames = params.frame_count if isinstance(params, VideoParams) else 1
    size = Size(params.width, params.height, frames, plan.reference_pixels)
    load = load_of(plan.spec.model_copy(update={"options": options}), size)
    return replace(load, backend=backend, besides=_besides(plan, params, size))


def _besides(plan: JobPlan, params: SamplingParams, size: Size) -> Besides:
    job, final, pictures = NOTHING, size, size.frames
    if isinstance(params, ImageParams):
        width, height = params.picture_size
        final, pictures = size._replace(width=width, height=height), params.batch_count
        if params.upscale and params.upscaler is not None:
            job = _upscaling(params.upscaler, params.picture_size)
    pixels = final.width * final.height
    return job._replace(
        hires=final if (final.width, final.height) != (size.width, size.height) else None,
        tile_pixels=_tile_pixels(params, final),
        has_control=plan.has_control and "controlnet" in (plan.spec.components if plan.spec else ()),
        lora_bytes=sum(_weights_of_file(lora.path) for lora in params.loras),
        picture_bytes=pixels * (_FLOAT_PIXEL + _BYTE_PIXEL * pictures),
    )


def _upscaling(upscaler: UpscalerSpec, source: tuple[int, int]) -> Besides:
    """An upscaler's weights, and the buffer for its tiles; of the last pass where there are several."""
    tensors = inspect_file(upscaler.model.path).tensors
    channels = next((shape[-1] for name, shape in tensors.items() if name == "conv_first.weight"), 64)
    tile = (min(upscaler.tile_size, source[0]), min(upscaler.tile_size, source[1]))
    factor = autoencoders.upscale_factor(upscaler.model)
    return NOTHING._replace(
        upscaler_bytes=_weights_of_file(upscaler.model.path),
        upscaler_buffer=fit.upscaler_buffer(channels, tile, factor),
    )


def _tile_pixels(params: SamplingParams, size: Size) -> int:
    if not params.vae_tiling:
        return 0
    width = fit.tile_side(params.vae_tile_size_x, params.vae_tile_rel_size_x, size.width)
    return width * fit.tile_side(params.vae_tile_size_y, params.vae_tile_rel_size_y, size.height)


def _weights_of_file(path: str) -> int:
    """Bytes of a file's weights as the library holds them; 0 for one that cannot be read."""
    try:
        found = inspect_file(path)
    except NotAModel:
        return 0
    return sum(fit.weight_bytes(found.tensors, found.tensor_types, "diffusion_model").values())


# --- what would take less ---------------------------------------------------------------------------------------------


def _requests(plan: JobPlan) -> Iterator[_Option]:
    """Other values of the request's own fields."""

    def change(text: str, **fields: Any) -> _Option:
        return _Option(text, "request", fields, replace(plan, params=plan.params.model_copy(update=fields)))

    params = plan.params
    if isinstance(params, UpscaleParams):
        tile = params.upscaler.tile_size // 2
        if tile >= 32:
            smaller = params.upscaler.model_copy(update={"tile_size": tile})
            made = replace(plan, params=params.model_copy(update={"upscaler": smaller}))
            yield _Option(f"Tiles of {tile} pixels; a little slower.", "request", {"tile_size": tile}, made)
        return
    if not params.vae_tiling:
        yield change("The picture is decoded tile by tile.", vae_tiling=True)
    for share in (0.75, 0.5):
        width, height = _reduce(params.width, share), _reduce(params.height, share)
        if width < params.width or height < params.height:
            yield change(f"A picture of {width}x{height}.", width=width, height=height)
    if isinstance(params, VideoParams):
        frames = (params.frame_count // 2) // 4 * 4 + 1
        if frames < params.frame_count:
            yield change(f"{frames} frames.", video_frames=frames)
    if isinstance(params, ImageParams):
        if params.hires:
            yield change("Without the hires fix.", hires=False)
        if params.upscale:
            yield change("Without upscaling it when it is drawn; POST /upscale does that later.", upscale=False)
        if params.batch_count > 1:
            yield change("One picture at a time.", batch_count=1)


def _reduce(side: int, share: float) -> int:
    return max(_SIDE_GRID, int(side * share) // _SIDE_GRID * _SIDE_GRID)


def _loads(plan: JobPlan, has_gpu: bool) -> Iterator[_Option]:
    """Other options of the model's load."""
    spec = plan.spec
    if spec is None:
        return
    texts: list[tuple[str, bool | str, str]] = []
    if has_gpu:
        texts += [
            ("offload_to_cpu", True, "Weights stay in main memory and come to the GPU in turn; slower."),
            ("keep_clip_on_cpu", True, "The text encoders stay in main memory."),
            ("keep_vae_on_cpu", True, "The VAE stays in main memory; decoding is slow there."),
            ("keep_controlnet_on_cpu", True, "The ControlNet stays in main memory; slower."),
        ]
    texts += [
        ("diffusion_flash_attn", True, "Attention without the matrix of all pairs of tokens."),
        ("vae_conv_direct", True, "The VAE's convolutions without their buffer of columns."),
        ("weight_type", "q8_0", "Weights are converted to q8_0 while they are loaded; slightly worse pictures."),
        ("weight_type", "q4_0", "Weights are converted to q4_0 while they are loaded; worse pictures."),
    ]
    for name, value, text in texts:
        if getattr(spec.options, name) != value:
            options = spec.options.model_copy(update={name: value})
            other = spec.model_copy(update={"options": options})
            yield _Option(text, "load", _load_body(other), replace(plan, spec=other))


def _load_body(spec: LoadSpec) -> dict[str, Any]:
    """The whole request that loads ``spec``: what it leaves out would be chosen anew."""
    return {
        "model_name": spec.model.name,
        "model_type": spec.kind,
        **{role: file.name for role, file in spec.components.items()},
        "options": spec.options.model_dump(mode="json", exclude_defaults=True),
    }


def _bare_name(name: str) -> str:
    """A model's name without its folder, its ending and what it says of number formats."""
    stem = name.rpartition("/")[2].rpartition(".")[0]
    return re.sub(r"[-_. ]+", " ", _QUANTIZED.sub("", stem)).strip().casefold()


def _is_same_family(file: ModelFile, spec: LoadSpec) -> bool:
    try:
        family = inspect_file(file.path).architecture
    except NotAModel:
        return False
    return family is not None and family.name == spec.architecture
