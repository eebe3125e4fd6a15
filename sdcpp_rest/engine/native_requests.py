"""Translates load specs and parameters of jobs into the native library's requests, and its answers back.

Reads the input pictures of a job from its folder; decides nothing about the engine.
"""

from __future__ import annotations

from pathlib import Path

from sdcpp_rest.core import prompts
from sdcpp_rest.core.flash_attention import choose_flash_attention
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import ImageParams, SamplingParams, VideoParams
from sdcpp_rest.engine.protocol import Device, QuantizationType
from sdcpp_rest.engine.raw_picture import RawPicture
from sdcpp_rest.engine.runner import RunFailed
from sdcpp_rest.native.devices import NativeDevice
from sdcpp_rest.native.images import RawImage
from sdcpp_rest.native.library import Library
from sdcpp_rest.native.preprocessing import canny
from sdcpp_rest.native.requests import (
    CacheSettings,
    ContextOptions,
    Guidance,
    HiresFix,
    ImageRequest,
    LoraFile,
    PhotoMaker,
    Sampling,
    SkipLayers,
    Tiling,
    VideoRequest,
)


def context_options(spec: LoadSpec, n_threads: int, has_gpu: bool) -> ContextOptions:
    """The library's load parameters for ``spec``."""
    options = spec.options
    flash = choose_flash_attention(options, spec.architecture, has_gpu=has_gpu)

    def path(role: str) -> str | None:
        return spec.components[role].path if role in spec.components else None

    return ContextOptions(
        model_path=spec.model.path if spec.kind == "checkpoint" else None,
        diffusion_model_path=spec.model.path if spec.kind == "diffusion" else None,
        clip_l_path=path("clip_l"),
        clip_g_path=path("clip_g"),
        clip_vision_path=path("clip_vision"),
        t5xxl_path=path("t5xxl"),
        llm_path=path("llm"),
        llm_vision_path=path("llm_vision"),
        high_noise_diffusion_model_path=path("high_noise_diffusion_model"),
        vae_path=path("vae"),
        taesd_path=path("taesd"),
        control_net_path=path("controlnet"),
        photo_maker_path=path("photo_maker"),
        tensor_type_rules=options.tensor_type_rules or None,
        vae_decode_only=options.vae_decode_only,
        # The dispatcher takes such a model out after its first run: the second would be a segmentation fault.
        free_params_immediately=options.free_params_immediately,
        embeddings={Path(file.name).stem: file.path for file in spec.embeddings},
        n_threads=options.n_threads if options.n_threads > 0 else n_threads,
        wtype=options.weight_type or None,
        rng_type=options.rng_type,
        sampler_rng_type=options.sampler_rng_type or None,
        prediction=options.prediction or None,
        # "auto" would merge LoRAs into unquantized weights, and taking them out again leaves rounding behind.
        lora_apply_mode="at_runtime" if options.lora_apply_mode == "auto" else options.lora_apply_mode,
        offload_params_to_cpu=options.offload_to_cpu,
        enable_mmap=options.enable_mmap,
        keep_clip_on_cpu=options.keep_clip_on_cpu,
        keep_control_net_on_cpu=options.keep_controlnet_on_cpu,
        keep_vae_on_cpu=options.keep_vae_on_cpu,
        flash_attn=flash.everywhere,
        diffusion_flash_attn=flash.in_diffusion_model,
        tae_preview_only=options.tae_preview_only,
        diffusion_conv_direct=options.diffusion_conv_direct,
        vae_conv_direct=options.vae_conv_direct,
        circular_x=options.circular_x,
        circular_y=options.circular_y,
        force_sdxl_vae_conv_scale=options.force_sdxl_vae_conv_scale,
        chroma_use_dit_mask=options.chroma_use_dit_mask,
        chroma_use_t5_mask=options.chroma_use_t5_mask,
        chroma_t5_mask_pad=options.chroma_t5_mask_pad,
        qwen_image_zero_cond_t=options.qwen_image_zero_cond_t,
        max_vram=options.max_vram,
    )


def image_request(params: ImageParams, inputs: dict[str, str]) -> ImageRequest:
    """What to draw; ``inputs`` maps roles to picture files. Raises RunFailed for one that cannot be read."""
    sampling = _sampling(params)
    control = read_image(inputs.get("control_image"), "RGB")
    if control is not None and params.preprocess == "canny":
        control = canny(control)
    return ImageRequest(
        prompt=prompts.without_tags(params.prompt),
        negative_prompt=prompts.without_tags(params.negative_prompt),
        width=params.width,
        height=params.height,
        steps=sampling.steps,
        guidance=sampling.guidance,
        sampler=sampling.sampler,
        scheduler=sampling.scheduler,
        eta=sampling.eta,
        shifted_timestep=sampling.shifted_timestep,
        custom_sigmas=sampling.custom_sigmas,
        flow_shift=sampling.flow_shift,
        clip_skip=params.clip_skip,
        seed=params.seed,
        batch_count=params.batch_count,
        strength=params.strength,
        init_image=read_image(inputs.get("init_image"), "RGB"),
        mask_image=read_image(inputs.get("mask_image"), "L"),
        control_image=control,
        control_strength=params.control_strength,
        ref_images=_numbered_pictures(inputs, "ref_images"),
        auto_resize_ref_image=params.auto_resize_ref_image,
        increase_ref_index=params.increase_ref_index,
        loras=_loras(params),
        vae_tiling=_tiling(params),
        cache=_cache(params),
        hires=_hires(params),
        photo_maker=_photo_maker(params, inputs),
    )


def video_request(params: VideoParams, inputs: dict[str, str]) -> VideoRequest:
    """What to film; ``inputs`` maps roles to picture files. Raises RunFailed for one that cannot be read."""
    control_frames = _numbered_pictures(inputs, "control_frames")
    control = read_image(inputs.get("control_image"), "RGB")
    if control is not None and not control_frames:
        # One picture holds for the whole video.
        control_frames = (control,) * params.frame_count
    skip_layers = SkipLayers(
        params.high_noise_skip_layers,
        params.high_noise_slg_start,
        params.high_noise_slg_end,
        params.high_noise_slg_scale,
    )
    return VideoRequest(
        prompt=prompts.without_tags(params.prompt),
        negative_prompt=prompts.without_tags(params.negative_prompt),
        clip_skip=params.clip_skip,
        init_image=read_image(inputs.get("init_image"), "RGB"),
        end_image=read_image(inputs.get("end_image"), "RGB"),
        control_frames=control_frames,
        width=params.width,
        height=params.height,
        sampling=_sampling(params),
        high_noise=Sampling(
            guidance=Guidance(
                txt_cfg=params.high_noise_cfg_scale,
                distilled=params.high_noise_distilled_guidance,
                skip_layers=skip_layers,
            ),
            sampler=params.high_noise_sampler or params.sampler,
            scheduler=params.high_noise_scheduler or params.scheduler,
            steps=params.high_noise_steps,
            eta=params.high_noise_eta if params.high_noise_eta is not None else params.eta,
            flow_shift=params.flow_shift,
        ),
        moe_boundary=params.moe_boundary,
        strength=params.strength,
        seed=params.seed,
        video_frames=params.video_frames,
        vace_strength=params.vace_strength,
        vae_tiling=_tiling(params),
        cache=_cache(params),
        loras=_loras(params),
    )


def _sampling(params: SamplingParams) -> Sampling:
    picture = params if isinstance(params, ImageParams) else None
    return Sampling(
        guidance=Guidance(
            txt_cfg=params.cfg_scale,
            img_cfg=picture.img_cfg_scale if picture else None,
            distilled=params.distilled_guidance,
            skip_layers=SkipLayers(params.skip_layers, params.slg_start, params.slg_end, params.slg_scale),
        ),
        sampler=params.sampler,
        scheduler=params.scheduler,
        steps=params.steps,
        eta=params.eta,
        shifted_timestep=picture.shifted_timestep if picture else 0,
        custom_sigmas=params.custom_sigmas,
        flow_shift=params.flow_shift,
    )


def _loras(params: SamplingParams) -> tuple[LoraFile, ...]:
    return tuple(LoraFile(use.path, use.weight, use.is_high_noise) for use in params.loras)


def _tiling(params: SamplingParams) -> Tiling:
    return Tiling(
        params.vae_tiling,
        params.vae_tile_size_x,
        params.vae_tile_size_y,
        params.vae_tile_overlap,
        params.vae_tile_rel_size_x,
        params.vae_tile_rel_size_y,
    )


def _cache(params: SamplingParams) -> CacheSettings:
    if params.cache_mode == "disabled" and params.easycache:
        return CacheSettings("easycache", params.easycache_threshold, params.easycache_start, params.easycache_end)
    return CacheSettings(mode=params.cache_mode, **params.cache_options.model_dump())


def _hires(params: ImageParams) -> HiresFix | None:
    if not params.hires:
        return None
    return HiresFix(
        upscaler=params.hires_upscaler,
        model_path=params.hires_model.path if params.hires_model else None,
        scale=params.hires_scale,
        target_width=params.hires_width,
        target_height=params.hires_height,
        steps=params.hires_steps,
        denoising_strength=params.hires_denoising_strength,
        upscale_tile_size=params.hires_upscale_tile_size,
    )


def _photo_maker(params: ImageParams, inputs: dict[str, str]) -> PhotoMaker | None:
    pictures = _numbered_pictures(inputs, "pm_id_images")
    if not pictures:
        return None
    embedding = params.pm_id_embed.path if params.pm_id_embed else None
    return PhotoMaker(pictures, embedding, params.pm_style_strength)


def _numbered_pictures(inputs: dict[str, str], role: str) -> tuple[RawImage, ...]:
    """The pictures of ``role.0``, ``role.1``, ... in order."""
    roles = sorted((name for name in inputs if name.startswith(f"{role}.")), key=lambda name: int(name.split(".")[1]))
    pictures = (read_image(inputs[name], "RGB") for name in roles)
    return tuple(picture for picture in pictures if picture is not None)


def read_image(path: str | None, mode: str) -> RawImage | None:
    """The picture file at ``path`` with the channels of Pillow's ``mode``. Raises RunFailed."""
    if path is None:
        return None
    from PIL import Image

    try:
        with Image.open(path) as picture:
            pixels = picture.convert(mode)
    except OSError as error:
        raise RunFailed(f"the input picture {Path(path).name} cannot be read: {error}") from error
    return RawImage(pixels.width, pixels.height, len(pixels.getbands()), pixels.tobytes())


def device_of(device: NativeDevice) -> Device:
    """The same device as it is told across the process wall."""
    return Device(
        name=device.name,
        description=device.description,
        backend=device.backend,
        free_bytes=device.free_bytes,
        total_bytes=device.total_bytes,
        is_gpu=device.is_gpu,
    )


def quantization_types_of(library: Library) -> tuple[QuantizationType, ...]:
    """The weight types that the library can write, as they are told across the process wall."""
    return tuple(
        QuantizationType(
            id=entry.id,
            name=entry.name,
            bits=int("".join(filter(str.isdigit, entry.id.partition("_")[0]))),
            bits_per_weight=library.bits_per_weight(entry),
        )
        for entry in library.quantization_types()
    )


def picture_of(image: RawImage) -> RawPicture:
    """The library's picture as the rest of the engine has it."""
    return RawPicture(image.width, image.height, image.channels, image.pixels)


def crop_pictures(images: list[RawImage], size: tuple[int, int]) -> tuple[list[RawPicture], tuple[str, ...]]:
    """Cut the library's pictures to what was asked for: it rounds sizes up to what the model's grid needs."""
    pictures = [picture_of(image) for image in images]
    drawn = (pictures[0].width, pictures[0].height)
    if drawn == size:
        return pictures, ()
    asked = f"{size[0]}x{size[1]}"
    warning = f"this model draws sizes in steps: {drawn[0]}x{drawn[1]} was drawn and cropped to {asked}"
    return [picture.crop(*size) for picture in pictures], (warning,)
