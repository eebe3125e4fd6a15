"""Counts what a job asks of the engine, in the units that its time grows with: steps, passes of the diffusion model,
megapixels.

Pure arithmetic over parameters. It must not know how quick anything is.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sdcpp_rest.core.params import ImageParams, Params, SamplingParams, UpscaleParams, VideoParams

_MEGA = 1_000_000
_FRAMES_OF_LATENT = 4
# These compute every step twice.
_SECOND_ORDER = frozenset({"heun", "dpm2", "dpm++2s_a", "res_2s"})


class Work(NamedTuple):
    """What is to be computed.

    ``way``: what makes a step quicker or slower beside its size; jobs of one way can be compared. ``inputs``: pictures
    that are read before the first step. ``passes`` of the
    diffusion model make one step. ``megapixels`` of one step (of a video: with all its latent frames). ``decoded``:
    megapixels that leave the autoencoder, of all pictures; ``enlarged``: those that the upscaler reads, in all its
    passes; ``saved``: those that are written.
    """

    way: str = ""
    inputs: int = 0
    passes: float = 1.0
    steps: int = 0
    pictures: int = 1
    megapixels: float = 0.0
    hires_steps: int = 0
    hires_megapixels: float = 0.0
    decoded: float = 0.0
    is_tiled: bool = False
    enlarged: float = 0.0
    saved: float = 0.0

    @property
    def step_units(self) -> float:
        """Megapixels that pass through the diffusion model in one step."""
        return self.passes * self.megapixels

    @property
    def hires_units(self) -> float:
        """The same of one step of the second pass of the hires fix."""
        return self.passes * self.hires_megapixels

    @property
    def hires_share(self) -> float:
        """How many steps of the first pass the second one takes as long as, for one picture."""
        return self.hires_steps * self.hires_megapixels / self.megapixels if self.megapixels else 0.0


def count_work(params: Params, roles: Collection[str], *, has_two_experts: bool = False, factor: int = 4) -> Work:
    """What a job of ``params`` computes, from input pictures of these ``roles``.

    ``factor``: how many times larger the upscaler's file makes a picture. Parameters of upscaling do not say how large
    the picture is: for those there is `count_upscaling`.
    """
    if isinstance(params, VideoParams):
        return _count_video(params, roles, params.step_count(has_two_experts=has_two_experts))
    if isinstance(params, ImageParams):
        return _count_picture(params, roles, factor)
    return Work()


def count_upscaling(params: UpscaleParams, size: tuple[int, int], factor: int) -> Work:
    """What enlarging a picture of ``size`` computes; ``factor`` as of `count_work`."""
    wanted = params.upscale_factor or factor
    pixels = size[0] * size[1] / _MEGA
    enlarged = _count_read(pixels, factor, wanted, params.repeats)
    return Work(way="upscale", enlarged=enlarged, saved=pixels * wanted ** (2 * params.repeats))


def _count_picture(params: ImageParams, roles: Collection[str], factor: int) -> Work:
    width, height = params.picture_size
    pixels = params.width * params.height / _MEGA
    final = width * height / _MEGA
    steps = len(params.custom_sigmas) - 1 if params.custom_sigmas else params.steps
    if "init_image" in roles and params.strength < 1:
        # The library keeps the last part of its schedule, and one step more.
        steps = min(int(steps * params.strength), steps - 1) + 1
    enlarged = _count_read(final, factor, factor, params.upscale_repeats) if params.upscale else 0.0
    grown = factor ** (2 * params.upscale_repeats) if params.upscale else 1
    return Work(
        way=_way(params, roles, "picture"),
        inputs=len(roles),
        passes=_passes(params, params.img_cfg_scale),
        steps=steps,
        pictures=params.batch_count,
        megapixels=pixels,
        hires_steps=(params.hires_steps or steps) if params.hires else 0,
        hires_megapixels=final if params.hires else 0.0,
        decoded=final * params.batch_count,
        is_tiled=params.vae_tiling,
        enlarged=enlarged * params.batch_count,
        saved=final * grown * params.batch_count,
    )


def _count_video(params: VideoParams, roles: Collection[str], steps: int) -> Work:
    frame = params.width * params.height / _MEGA
    latent_frames = 1 + (params.frame_count - 1) // _FRAMES_OF_LATENT
    return Work(
        way=_way(params, roles, "video"),
        inputs=len(roles),
        passes=_passes(params, None),
        steps=steps,
        megapixels=frame * latent_frames,
        decoded=frame * params.frame_count,
        is_tiled=params.vae_tiling,
        saved=frame * params.frame_count,
    )


def _passes(params: SamplingParams, img_cfg_scale: float | None) -> float:
    """With the prompt, without it where there is guidance, without both prompt and picture for some that edit."""
    passes = 1.0
    if params.cfg_scale != 1:
        passes += 1
    if img_cfg_scale is not None and img_cfg_scale != params.cfg_scale:
        passes += 1
    if params.slg_scale:
        passes += max(0.0, params.slg_end - params.slg_start)
    return passes * (2 if params.sampler in _SECOND_ORDER else 1)


def _way(params: SamplingParams, roles: Collection[str], kind: str) -> str:
    references = sum(1 for role in roles if role.startswith("ref_images."))
    cache = "easycache" if params.easycache and params.cache_mode == "disabled" else params.cache_mode
    parts = [
        kind,
        f"passes={_passes(params, getattr(params, 'img_cfg_scale', None)):.2g}",
        f"cache={cache}" if cache != "disabled" else "",
        "control" if any(role.startswith("control_") for role in roles) else "",
        f"references={references}" if references else "",
        f"loras={len(params.loras)}" if params.loras else "",
    ]
    return " ".join(part for part in parts if part)


def _count_read(pixels: float, factor: int, wanted: int, repeats: int) -> float:
    """Megapixels that an upscaler of ``factor`` reads until a picture is ``wanted`` times larger, ``repeats`` times."""
    read = 0.0
    for _ in range(repeats):
        reached, at = 1, pixels
        while True:
            read += at
            reached, at = reached * factor, at * factor * factor
            if reached >= wanted or factor <= 1:
                break
        pixels *= wanted * wanted
    return read
