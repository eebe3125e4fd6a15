"""A loaded model, and the pictures it draws: owning classes over ``sd_ctx_t`` and ``sd_img_gen_params_t``.

Takes plain values and names, and refuses those that would end the process. Knows nothing of jobs, model folders or
limits.
"""

from __future__ import annotations

import ctypes
import math
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sdcpp_rest.native.guard import NativeCancelled, NativeError
from sdcpp_rest.native.images import LentImages, RawImage
from sdcpp_rest.native.library import Library, encode, encode_path, open_library
from sdcpp_rest.native.weight_types import weight_type_value

__all__ = [
    "CacheSettings",
    "Context",
    "ContextOptions",
    "Guidance",
    "HiresFix",
    "ImageRequest",
    "LoraFile",
    "NativeCancelled",
    "NativeError",
    "PhotoMaker",
    "RawImage",
    "SkipLayers",
    "Tiling",
]


@dataclass(frozen=True)
class ContextOptions:
    """``sd_ctx_params_t`` with the library's own defaults, but ``free_params_immediately``: True there, and then the
    second picture is a segmentation fault.

    ``None`` and ``""`` leave a choice to the library. ``n_threads`` below 1 means the number of physical cores.
    ``embeddings`` maps a trigger word to a file. Names: ``Library.rng_names`` and its neighbours, ``weight_types``.
    """

    model_path: str | None = None
    clip_l_path: str | None = None
    clip_g_path: str | None = None
    clip_vision_path: str | None = None
    t5xxl_path: str | None = None
    llm_path: str | None = None
    llm_vision_path: str | None = None
    diffusion_model_path: str | None = None
    high_noise_diffusion_model_path: str | None = None
    vae_path: str | None = None
    taesd_path: str | None = None
    control_net_path: str | None = None
    embeddings: Mapping[str, str] = field(default_factory=dict)
    photo_maker_path: str | None = None
    tensor_type_rules: str | None = None
    vae_decode_only: bool = True
    free_params_immediately: bool = False
    n_threads: int = -1
    wtype: str | None = None
    rng_type: str | None = "cuda"
    sampler_rng_type: str | None = None
    prediction: str | None = None
    lora_apply_mode: str | None = "auto"
    offload_params_to_cpu: bool = False
    enable_mmap: bool = False
    keep_clip_on_cpu: bool = False
    keep_control_net_on_cpu: bool = False
    keep_vae_on_cpu: bool = False
    flash_attn: bool = False
    diffusion_flash_attn: bool = False
    tae_preview_only: bool = False
    diffusion_conv_direct: bool = False
    vae_conv_direct: bool = False
    circular_x: bool = False
    circular_y: bool = False
    force_sdxl_vae_conv_scale: bool = False
    chroma_use_dit_mask: bool = True
    chroma_use_t5_mask: bool = False
    chroma_t5_mask_pad: int = 1
    qwen_image_zero_cond_t: bool = False
    max_vram: float = 0.0


@dataclass(frozen=True)
class LoraFile:
    """One LoRA of a run: absolute path and weight."""

    path: str
    multiplier: float = 1.0
    is_high_noise: bool = False


@dataclass(frozen=True)
class SkipLayers:
    """Skip-layer guidance; off while ``scale`` is 0. ``start`` and ``end`` are fractions of the steps."""

    layers: tuple[int, ...] = (7, 8, 9)
    start: float = 0.01
    end: float = 0.2
    scale: float = 0.0


@dataclass(frozen=True)
class Guidance:
    """How hard the prompt pulls. ``img_cfg`` of None follows ``txt_cfg``."""

    txt_cfg: float = 7.0
    img_cfg: float | None = None
    distilled: float = 3.5
    skip_layers: SkipLayers = SkipLayers()


@dataclass(frozen=True)
class Tiling:
    """VAE tiling. Tile sizes in latent pixels, 0: the library's choice; relative sizes as fractions of the picture."""

    enabled: bool = False
    tile_size_x: int = 0
    tile_size_y: int = 0
    target_overlap: float = 0.5
    rel_size_x: float = 0.0
    rel_size_y: float = 0.0


CACHE_MODES = ("disabled", "easycache", "ucache", "dbcache", "taylorseer", "cache_dit", "spectrum")


@dataclass(frozen=True)
class CacheSettings:
    """Step caching. ``threshold`` of None is the mode's own; ``start`` and ``end`` are fractions of the steps."""

    mode: str = "disabled"
    threshold: float | None = None
    start: float = 0.15
    end: float = 0.95


@dataclass(frozen=True)
class HiresFix:
    """A second, larger pass. ``upscaler``: the library's name; 0 ``steps`` repeat the first pass's; sizes in pixels."""

    upscaler: str = "Latent"
    model_path: str | None = None
    scale: float = 2.0
    target_width: int = 0
    target_height: int = 0
    steps: int = 0
    denoising_strength: float = 0.7
    upscale_tile_size: int = 128


@dataclass(frozen=True)
class PhotoMaker:
    """Identity pictures for PhotoMaker models."""

    id_images: tuple[RawImage, ...] = ()
    id_embed_path: str | None = None
    style_strength: float = 20.0


@dataclass(frozen=True)
class ImageRequest:
    """``sd_img_gen_params_t``. Sizes in pixels; picture k of a batch is drawn with ``seed + k``.

    ``eta``, ``flow_shift``, ``sampler`` and ``scheduler`` of None are decided by the library for the model.
    Init, reference and control images have 3 channels, the mask has 1 (white is drawn anew).
    """

    prompt: str
    negative_prompt: str = ""
    width: int = 512
    height: int = 512
    steps: int = 20
    guidance: Guidance = Guidance()
    sampler: str | None = None
    scheduler: str | None = None
    eta: float | None = None
    shifted_timestep: int = 0
    custom_sigmas: tuple[float, ...] = ()
    flow_shift: float | None = None
    clip_skip: int = -1
    seed: int = 0
    batch_count: int = 1
    strength: float = 0.75
    init_image: RawImage | None = None
    mask_image: RawImage | None = None
    control_image: RawImage | None = None
    control_strength: float = 0.9
    ref_images: tuple[RawImage, ...] = ()
    auto_resize_ref_image: bool = True
    increase_ref_index: bool = False
    loras: tuple[LoraFile, ...] = ()
    vae_tiling: Tiling = Tiling()
    cache: CacheSettings = CacheSettings()
    hires: HiresFix | None = None
    photo_maker: PhotoMaker | None = None


class Context:
    """One loaded model. Not more than one call at a time: a second caller waits, as does ``close()``."""

    def __init__(self, library: Library, pointer: int, options: ContextOptions, architecture: str | None) -> None:
        self._library = library
        self._pointer: int | None = pointer
        self._lock = threading.Lock()
        self.options = options
        self.architecture = architecture
        """The library's own verdict on the file, such as ``Ovis Image``."""
        self.supports_images = bool(library.raw.sd_ctx_supports_image_generation(self._typed()))
        self.supports_video = bool(library.raw.sd_ctx_supports_video_generation(self._typed()))

    @classmethod
    def load(cls, options: ContextOptions, library: Library | None = None) -> Context:
        """Load a model.

        Raises:
            ValueError: a name the library does not know, or text that a C string cannot hold; nothing was called.
            NativeError: the library could not load it; loading something else still works.
        """
        library = library or open_library()
        params, kept = _context_params(library, options)
        pointer = ctypes.c_void_p()
        library.call("guard_new_context", library.raw.new_sd_ctx, ctypes.byref(params), ctypes.byref(pointer))
        del kept
        assert pointer.value is not None
        return cls(library, pointer.value, options, _architecture(library.log_tail()))

    def generate_image(self, request: ImageRequest, run: int) -> list[RawImage]:
        """Draw ``request.batch_count`` pictures of 3 channels. ``run`` (> 0) is what ``Library.cancel`` takes.

        Raises:
            ValueError: a value that is known to end the process; nothing was called.
            NativeCancelled: cancelled by number.
            NativeError: the library failed, threw or asserted; the context is still good.
        """
        library = self._library
        params = _ImageParams(library, request)
        if not self.supports_images:
            raise ValueError("this model does not draw pictures")
        if self.options.vae_decode_only and (request.init_image or request.ref_images):
            raise ValueError("the model was loaded with vae_decode_only, so it cannot read pictures")
        if self.options.photo_maker_path and not (request.photo_maker and request.photo_maker.id_images):
            raise ValueError("a PhotoMaker model needs identity pictures")
        images = ctypes.POINTER(library.raw.sd_image_t)()
        with self._lock:
            library.call(
                "guard_generate_image",
                library.raw.generate_image,
                self._typed(),
                ctypes.byref(params.struct),
                run,
                ctypes.byref(images),
                run=run,
            )
        pictures = library.take_images(images, request.batch_count)
        if len(pictures) != request.batch_count:
            raise NativeError(f"the library drew {len(pictures)} of {request.batch_count} pictures")
        return pictures

    def close(self) -> None:
        """Free the model; waits for a running call. Closing twice does nothing."""
        with self._lock:
            if self._pointer is not None:  # the library's free function does not survive NULL
                self._library.raw.free_sd_ctx(self._typed())
                self._pointer = None

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _typed(self) -> Any:
        if self._pointer is None:
            raise ValueError("the model has been unloaded")
        return ctypes.cast(self._pointer, self._library.raw.sd_ctx_t_p_ctypes)


def _architecture(log_tail: tuple[str, ...]) -> str | None:
    verdicts = [found[1].strip() for line in log_tail if (found := re.search(r" - Version: (.+)$", line))]
    return verdicts[-1] if verdicts else None


_PATHS = tuple(one.name for one in fields(ContextOptions) if one.name.endswith("_path"))
_PLAIN = tuple(
    one.name for one in fields(ContextOptions) if one.type in ("bool", "float") or one.name == "chroma_t5_mask_pad"
)


def _context_params(library: Library, options: ContextOptions) -> tuple[Any, Any]:
    """The struct, and what it points to (keep both until the call ends)."""
    raw = library.raw
    params = raw.sd_ctx_params_t()
    library.cdll.sd_ctx_params_init(ctypes.byref(params))
    for name in _PATHS:
        path = getattr(options, name)
        setattr(params, name, encode_path(path, name) if path else None)
    for name in _PLAIN:
        setattr(params, name, getattr(options, name))
    embeddings = (raw.sd_embedding_t * len(options.embeddings))(
        *(
            raw.sd_embedding_t(encode(name, "embedding name"), encode_path(path, "embedding path"))
            for name, path in options.embeddings.items()
        )
    )
    if options.embeddings:
        params.embeddings = ctypes.cast(embeddings, ctypes.POINTER(raw.sd_embedding_t))
        params.embedding_count = len(embeddings)
    if options.tensor_type_rules:
        params.tensor_type_rules = encode(options.tensor_type_rules, "tensor_type_rules")
    params.n_threads = options.n_threads if options.n_threads > 0 else library.physical_cores
    if options.wtype:
        params.wtype = weight_type_value(options.wtype)
    if options.rng_type:
        params.rng_type = library.rng_names.resolve(options.rng_type)
    params.sampler_rng_type = library.rng_names.resolve(options.sampler_rng_type)
    params.prediction = library.prediction_names.resolve(options.prediction)
    if options.lora_apply_mode:
        params.lora_apply_mode = library.lora_mode_names.resolve(options.lora_apply_mode)
    return params, embeddings


def _or_library(value: float | None) -> float:
    return math.inf if value is None else value  # infinity is the library's word for "decide yourself"


class _ImageParams:
    """An ``sd_img_gen_params_t`` together with every buffer it points to."""

    def __init__(self, library: Library, request: ImageRequest) -> None:
        _refuse_deadly(request)
        self._kept: list[Any] = []
        raw = library.raw
        params = self.struct = raw.sd_img_gen_params_t()
        library.cdll.sd_img_gen_params_init(ctypes.byref(params))

        params.prompt = encode(request.prompt, "prompt")
        params.negative_prompt = encode(request.negative_prompt, "negative prompt")
        for name in ("width", "height", "clip_skip", "seed", "batch_count", "strength", "control_strength",
                     "auto_resize_ref_image", "increase_ref_index"):  # fmt: skip
            setattr(params, name, getattr(request, name))
        if request.loras:
            loras = (raw.sd_lora_t * len(request.loras))(
                *(
                    raw.sd_lora_t(lora.is_high_noise, lora.multiplier, encode_path(lora.path, "LoRA path"))
                    for lora in request.loras
                )
            )
            params.loras = self._lend(loras, raw.sd_lora_t)
            params.lora_count = len(loras)

        self._sampling(library, request)
        for name, image, channels in (
            ("init_image", request.init_image, 3),
            ("mask_image", request.mask_image, 1),
            ("control_image", request.control_image, 3),
        ):
            if image is not None:
                lent = LentImages(raw, [image], channels=channels, role=name)
                self._kept.append(lent)
                setattr(params, name, lent.array[0])
        params.ref_images, params.ref_images_count = self._images(raw, request.ref_images, "ref_images")

        tiling = request.vae_tiling
        params.vae_tiling_params = raw.sd_tiling_params_t(
            tiling.enabled, tiling.tile_size_x, tiling.tile_size_y, tiling.target_overlap, tiling.rel_size_x,
            tiling.rel_size_y,
        )  # fmt: skip
        params.cache.mode = CACHE_MODES.index(request.cache.mode)
        params.cache.reuse_threshold = _or_library(request.cache.threshold)
        params.cache.start_percent, params.cache.end_percent = request.cache.start, request.cache.end
        if request.hires is not None:
            self._hires(library, request.hires)
        if request.photo_maker is not None:
            maker = request.photo_maker
            params.pm_params.id_images, params.pm_params.id_images_count = self._images(
                raw, maker.id_images, "id_images"
            )
            if maker.id_embed_path:
                params.pm_params.id_embed_path = encode_path(maker.id_embed_path, "id_embed_path")
            params.pm_params.style_strength = maker.style_strength

    def _sampling(self, library: Library, request: ImageRequest) -> None:
        sample = self.struct.sample_params
        guidance, skip = request.guidance, request.guidance.skip_layers
        sample.guidance.txt_cfg = guidance.txt_cfg
        sample.guidance.img_cfg = _or_library(guidance.img_cfg)
        sample.guidance.distilled_guidance = guidance.distilled
        if skip.layers:
            layers = (ctypes.c_int * len(skip.layers))(*skip.layers)
            sample.guidance.slg.layers = self._lend(layers, ctypes.c_int)
            sample.guidance.slg.layer_count = len(layers)
        sample.guidance.slg.layer_start, sample.guidance.slg.layer_end = skip.start, skip.end
        sample.guidance.slg.scale = skip.scale
        sample.sample_method = library.sampler_names.resolve(request.sampler)
        sample.scheduler = library.scheduler_names.resolve(request.scheduler)
        sample.sample_steps = request.steps
        sample.eta = _or_library(request.eta)
        sample.shifted_timestep = request.shifted_timestep
        sample.flow_shift = _or_library(request.flow_shift)
        if request.custom_sigmas:
            sigmas = (ctypes.c_float * len(request.custom_sigmas))(*request.custom_sigmas)
            sample.custom_sigmas = self._lend(sigmas, ctypes.c_float)
            sample.custom_sigmas_count = len(sigmas)

    def _hires(self, library: Library, hires: HiresFix) -> None:
        target = self.struct.hires
        target.enabled = True
        target.upscaler = library.hires_upscaler_names.resolve(hires.upscaler)
        target.model_path = encode_path(hires.model_path, "hires model path") if hires.model_path else None
        for name in ("scale", "target_width", "target_height", "steps", "denoising_strength", "upscale_tile_size"):
            setattr(target, name, getattr(hires, name))

    def _images(self, raw: Any, images: tuple[RawImage, ...], role: str) -> tuple[Any, int]:
        if not images:
            return None, 0
        lent = LentImages(raw, images, channels=3, role=role)
        self._kept.append(lent)
        return ctypes.cast(lent.array, ctypes.POINTER(raw.sd_image_t)), len(lent)

    def _lend(self, array: Any, element: Any) -> Any:
        self._kept.append(array)
        return ctypes.cast(array, ctypes.POINTER(element))


def _refuse_deadly(request: ImageRequest) -> None:
    """The values that crash or never return; what is merely odd is for the layers above to judge."""
    if request.width < 1 or request.height < 1:
        raise ValueError(f"a picture of {request.width}x{request.height} pixels cannot be drawn")
    if request.steps < 1:
        raise ValueError(f"steps must be at least 1, got {request.steps}")
    if request.steps == 1 and request.scheduler == "gits":
        raise ValueError("the scheduler gits needs at least 2 steps")
    if request.batch_count < 1:
        raise ValueError(f"batch_count must be at least 1, got {request.batch_count}")
    if request.strength < 0:
        raise ValueError(f"strength must not be negative, got {request.strength}")
    if request.cache.mode not in CACHE_MODES:
        raise ValueError(f"unknown cache mode {request.cache.mode!r}; allowed: {', '.join(CACHE_MODES)}")
    if request.hires is not None:
        if request.hires.upscaler == "Model" and not request.hires.model_path:
            raise ValueError("the hires upscaler Model needs a model_path")
        if not 0 < request.hires.denoising_strength <= 1:
            raise ValueError(f"hires denoising_strength must be in (0, 1], got {request.hires.denoising_strength}")
