"""What a picture job asks for, in the native dialect's words (they are the house's words too).

Pure values: every default of an omitted field has been filled in, every name checked. Paths of LoRAs and input images
are absolute and were resolved inside the allowed folders before a value of this room was built.
"""

from __future__ import annotations

from pydantic import Field

from sdcpp_rest.core.frozen import Frozen


class LoraUse(Frozen):
    """One ``<lora:name:weight>`` of the prompt, resolved."""

    name: str
    path: str
    weight: float
    is_high_noise: bool = False


class ImageParams(Frozen):
    """Parameters of ``txt2img`` and ``img2img``; field names and defaults as the native API documents them.

    Sizes in pixels. ``seed`` is the real one (never -1: the server draws it), picture k of a batch uses ``seed + k``.
    ``eta``, ``flow_shift`` and ``img_cfg_scale`` of ``None`` leave the choice to the library.
    ``prompt`` is what the user wrote, LoRA tags included; ``loras`` is what those tags mean.
    """

    prompt: str
    negative_prompt: str = ""
    width: int = 512
    height: int = 512
    steps: int = 20
    cfg_scale: float = 7.0
    img_cfg_scale: float | None = None
    distilled_guidance: float = 3.5
    eta: float | None = None
    shifted_timestep: int = 0
    flow_shift: float | None = None
    seed: int = 0
    sampler: str = "euler_a"
    scheduler: str = "discrete"
    batch_count: int = 1
    clip_skip: int = -1
    slg_scale: float = 0.0
    skip_layers: tuple[int, ...] = (7, 8, 9)
    slg_start: float = 0.01
    slg_end: float = 0.2
    custom_sigmas: tuple[float, ...] = ()
    auto_resize_ref_image: bool = True
    increase_ref_index: bool = False
    strength: float = 0.75
    control_strength: float = 0.9
    vae_tiling: bool = False
    vae_tile_size_x: int = 0
    vae_tile_size_y: int = 0
    vae_tile_overlap: float = 0.5
    easycache: bool = False
    easycache_threshold: float = 0.2
    easycache_start: float = 0.15
    easycache_end: float = 0.95
    loras: tuple[LoraUse, ...] = Field(default=())
