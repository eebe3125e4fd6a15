"""Defines the requests for a load, a picture and a video: plain values and names, with the library's own defaults.

Knows nothing of structs or of the loaded library; ``context`` hands all of these on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sdcpp_rest.native.images import RawImage


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
class Sampling:
    """``sd_sample_params_t``: how one diffusion model is sampled.

    ``eta``, ``flow_shift``, ``sampler`` and ``scheduler`` of None are decided by the library for the model.
    """

    guidance: Guidance = Guidance()
    sampler: str | None = None
    scheduler: str | None = None
    steps: int = 20
    eta: float | None = None
    shifted_timestep: int = 0
    custom_sigmas: tuple[float, ...] = ()
    flow_shift: float | None = None


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
    """``sd_cache_params_t``: step caching. None is the library's own default; it ignores what the mode does not use.

    ``start``, ``end`` and ``spectrum_stop_percent`` are fractions of the steps. ``scm_mask``: one 0 (may be cached) or
    1 (computed) per step, separated by commas.
    """

    mode: str = "disabled"
    threshold: float | None = None
    start: float | None = None
    end: float | None = None
    error_decay_rate: float | None = None
    use_relative_threshold: bool | None = None
    reset_error_on_compute: bool | None = None
    fn_compute_blocks: int | None = None
    bn_compute_blocks: int | None = None
    residual_diff_threshold: float | None = None
    max_warmup_steps: int | None = None
    max_cached_steps: int | None = None
    max_continuous_cached_steps: int | None = None
    taylorseer_n_derivatives: int | None = None
    taylorseer_skip_interval: int | None = None
    scm_mask: str | None = None
    scm_policy_dynamic: bool | None = None
    spectrum_w: float | None = None
    spectrum_m: int | None = None
    spectrum_lam: float | None = None
    spectrum_window_size: int | None = None
    spectrum_flex_window: float | None = None
    spectrum_warmup_steps: int | None = None
    spectrum_stop_percent: float | None = None


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

    @property
    def sampling(self) -> Sampling:
        """The fields that say how the model is sampled, as videos carry them."""
        return Sampling(
            guidance=self.guidance,
            sampler=self.sampler,
            scheduler=self.scheduler,
            steps=self.steps,
            eta=self.eta,
            shifted_timestep=self.shifted_timestep,
            custom_sigmas=self.custom_sigmas,
            flow_shift=self.flow_shift,
        )


@dataclass(frozen=True)
class VideoRequest:
    """``sd_vid_gen_params_t``. Sizes in pixels; the library makes ``(video_frames - 1) // 4 * 4 + 1`` frames.

    ``high_noise`` samples the first model of a two-model video (``steps`` of -1: as many as ``moe_boundary`` says);
    without such a model it is not looked at. Images have 3 channels and are stretched to the size of the video.
    """

    prompt: str
    negative_prompt: str = ""
    clip_skip: int = -1
    init_image: RawImage | None = None
    end_image: RawImage | None = None
    control_frames: tuple[RawImage, ...] = ()
    width: int = 512
    height: int = 512
    sampling: Sampling = Sampling()
    high_noise: Sampling = Sampling(steps=-1)
    moe_boundary: float = 0.875
    strength: float = 0.75
    seed: int = 0
    video_frames: int = 5
    vace_strength: float = 1.0
    vae_tiling: Tiling = Tiling()
    cache: CacheSettings = CacheSettings()
    loras: tuple[LoraFile, ...] = ()

    @property
    def frame_count(self) -> int:
        """How many frames the library makes of ``video_frames``."""
        return (self.video_frames - 1) // 4 * 4 + 1
