"""Fills the library's parameter structs from plain requests, and keeps alive what they point to.

Knows the structs' fields; which values must not be in them is known by ``refusals``.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sdcpp_rest.native.images import LentImages, RawImage
from sdcpp_rest.native.library import Library, encode, encode_path
from sdcpp_rest.native.refusals import refuse_deadly_image, refuse_deadly_video
from sdcpp_rest.native.requests import (
    CACHE_MODES,
    CacheSettings,
    ContextOptions,
    HiresFix,
    ImageRequest,
    LoraFile,
    Sampling,
    Tiling,
    VideoRequest,
)
from sdcpp_rest.native.type_rules import encode_type_rules, parse_type_rules
from sdcpp_rest.native.weight_types import weight_type_value

_PATHS = tuple(one.name for one in fields(ContextOptions) if one.name.endswith("_path"))
_PLAIN = tuple(
    one.name for one in fields(ContextOptions) if one.type in ("bool", "float") or one.name == "chroma_t5_mask_pad"
)

# Where the C field is called otherwise; every other field has the same name on both sides.
_CACHE_FIELDS = {
    "threshold": "reuse_threshold",
    "start": "start_percent",
    "end": "end_percent",
    "fn_compute_blocks": "Fn_compute_blocks",
    "bn_compute_blocks": "Bn_compute_blocks",
}


def context_params(library: Library, options: ContextOptions) -> tuple[Any, Any]:
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
        params.tensor_type_rules = encode_type_rules(library, parse_type_rules(library, options.tensor_type_rules))
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


class _Call:
    """Holds one call's struct together with every buffer it points to."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._kept: list[Any] = []

    def _loras(self, struct: Any, loras: Sequence[LoraFile]) -> None:
        raw = self._library.raw
        if loras:
            array = (raw.sd_lora_t * len(loras))(
                *(
                    raw.sd_lora_t(lora.is_high_noise, lora.multiplier, encode_path(lora.path, "LoRA path"))
                    for lora in loras
                )
            )
            struct.loras = self._lend(array, raw.sd_lora_t)
            struct.lora_count = len(array)

    def _sampling(self, sample: Any, sampling: Sampling) -> None:
        library = self._library
        guidance, skip = sampling.guidance, sampling.guidance.skip_layers
        sample.guidance.txt_cfg = guidance.txt_cfg
        sample.guidance.img_cfg = _or_library(guidance.img_cfg)
        sample.guidance.distilled_guidance = guidance.distilled
        if skip.layers:
            layers = (ctypes.c_int * len(skip.layers))(*skip.layers)
            sample.guidance.slg.layers = self._lend(layers, ctypes.c_int)
            sample.guidance.slg.layer_count = len(layers)
        sample.guidance.slg.layer_start, sample.guidance.slg.layer_end = skip.start, skip.end
        sample.guidance.slg.scale = skip.scale
        sample.sample_method = library.sampler_names.resolve(sampling.sampler)
        sample.scheduler = library.scheduler_names.resolve(sampling.scheduler)
        sample.sample_steps = sampling.steps
        sample.eta = _or_library(sampling.eta)
        sample.shifted_timestep = sampling.shifted_timestep
        sample.flow_shift = _or_library(sampling.flow_shift)
        if sampling.custom_sigmas:
            sigmas = (ctypes.c_float * len(sampling.custom_sigmas))(*sampling.custom_sigmas)
            sample.custom_sigmas = self._lend(sigmas, ctypes.c_float)
            sample.custom_sigmas_count = len(sigmas)

    def _tiling(self, struct: Any, tiling: Tiling) -> None:
        struct.vae_tiling_params = self._library.raw.sd_tiling_params_t(
            tiling.enabled, tiling.tile_size_x, tiling.tile_size_y, tiling.target_overlap, tiling.rel_size_x,
            tiling.rel_size_y,
        )  # fmt: skip

    def _cache(self, struct: Any, cache: CacheSettings) -> None:
        for one in fields(CacheSettings):
            value = getattr(cache, one.name)
            if one.name == "mode":
                struct.cache.mode = CACHE_MODES.index(value)
            elif one.name == "scm_mask":
                struct.cache.scm_mask = encode(value, "scm_mask") if value else None
            elif value is not None:
                setattr(struct.cache, _CACHE_FIELDS.get(one.name, one.name), value)

    def _image(self, struct: Any, name: str, image: RawImage | None, channels: int) -> None:
        if image is not None:
            lent = LentImages(self._library.raw, [image], channels=channels, role=name)
            self._kept.append(lent)
            setattr(struct, name, lent.array[0])

    def _images(self, images: Sequence[RawImage], role: str) -> tuple[Any, int]:
        if not images:
            return None, 0
        raw = self._library.raw
        lent = LentImages(raw, images, channels=3, role=role)
        self._kept.append(lent)
        return ctypes.cast(lent.array, ctypes.POINTER(raw.sd_image_t)), len(lent)

    def _lend(self, array: Any, element: Any) -> Any:
        self._kept.append(array)
        return ctypes.cast(array, ctypes.POINTER(element))


class ImageCall(_Call):
    """Fills an ``sd_img_gen_params_t`` and holds every buffer it points to. ValueError for deadly values."""

    def __init__(self, library: Library, request: ImageRequest) -> None:
        refuse_deadly_image(request)
        super().__init__(library)
        params = self.struct = library.raw.sd_img_gen_params_t()
        library.cdll.sd_img_gen_params_init(ctypes.byref(params))
        params.prompt = encode(request.prompt, "prompt")
        params.negative_prompt = encode(request.negative_prompt, "negative prompt")
        for name in ("width", "height", "clip_skip", "seed", "batch_count", "strength", "control_strength",
                     "auto_resize_ref_image", "increase_ref_index"):  # fmt: skip
            setattr(params, name, getattr(request, name))
        self._loras(params, request.loras)
        self._sampling(params.sample_params, request.sampling)
        self._image(params, "init_image", request.init_image, 3)
        self._image(params, "mask_image", request.mask_image, 1)
        self._image(params, "control_image", request.control_image, 3)
        params.ref_images, params.ref_images_count = self._images(request.ref_images, "ref_images")
        self._tiling(params, request.vae_tiling)
        self._cache(params, request.cache)
        if request.hires is not None:
            self._hires(request.hires)
        if request.photo_maker is not None:
            maker = request.photo_maker
            params.pm_params.id_images, params.pm_params.id_images_count = self._images(maker.id_images, "id_images")
            if maker.id_embed_path:
                params.pm_params.id_embed_path = encode_path(maker.id_embed_path, "id_embed_path")
            params.pm_params.style_strength = maker.style_strength

    def _hires(self, hires: HiresFix) -> None:
        target = self.struct.hires
        target.enabled = True
        target.upscaler = self._library.hires_upscaler_names.resolve(hires.upscaler)
        target.model_path = encode_path(hires.model_path, "hires model path") if hires.model_path else None
        for name in ("scale", "target_width", "target_height", "steps", "denoising_strength", "upscale_tile_size"):
            setattr(target, name, getattr(hires, name))


class VideoCall(_Call):
    """Fills an ``sd_vid_gen_params_t`` and holds every buffer it points to. ValueError for deadly values."""

    def __init__(self, library: Library, request: VideoRequest) -> None:
        refuse_deadly_video(request)
        super().__init__(library)
        params = self.struct = library.raw.sd_vid_gen_params_t()
        library.cdll.sd_vid_gen_params_init(ctypes.byref(params))
        params.prompt = encode(request.prompt, "prompt")
        params.negative_prompt = encode(request.negative_prompt, "negative prompt")
        for name in ("width", "height", "clip_skip", "seed", "moe_boundary", "strength", "video_frames",
                     "vace_strength"):  # fmt: skip
            setattr(params, name, getattr(request, name))
        self._loras(params, request.loras)
        self._sampling(params.sample_params, request.sampling)
        self._sampling(params.high_noise_sample_params, request.high_noise)
        self._image(params, "init_image", request.init_image, 3)
        self._image(params, "end_image", request.end_image, 3)
        params.control_frames, params.control_frames_size = self._images(request.control_frames, "control_frames")
        self._tiling(params, request.vae_tiling)
        self._cache(params, request.cache)
