"""From a request in AUTOMATIC1111's words to native ones, and what of it cannot be honoured.

Pure functions: what they need to know of the server comes as `TranslationContext`. They decode no picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sdcpp_rest.routes.a1111 import names
from sdcpp_rest.routes.a1111.errors import HTTPException
from sdcpp_rest.routes.a1111.prompts import readable
from sdcpp_rest.routes.a1111.wire import A1111Img2Img, A1111Request, A1111Txt2Img
from sdcpp_rest.services.jobs.chance import draw_below

MASKED_CONTENT = ("fill", "original", "latent noise", "latent nothing")
IGNORED = "Ignored"

# Always-on scripts that come with that program. Their arguments change nothing here, and clients send them unasked.
_BUILT_IN_SCRIPTS = frozenset(
    {
        "api payload", "comments", "extra options", "hypertile", "refiner", "sampler", "seed", "soft inpainting",
        "extra networks", "cfg rescale",
    }
)  # fmt: skip
CONTROLNET = "controlnet"
_SEED_RANGE = 4_294_967_294
_NONE = frozenset({"", "none"})
_SAME = frozenset({"", "none", "use same sampler", "use same scheduler", "use same checkpoint", "automatic"})


@dataclass(frozen=True)
class TranslationContext:
    """What a plan depends on, besides the request.

    ``defaults``: what omitted fields become, as far as the model or its users have an opinion. ``options``: the
    dialect's options in force for this call. ``styled`` adds prompt styles; ``upscaler`` gives the native name of a
    hires upscaler, ``None`` for one that is not there.
    """

    samplers: tuple[str, ...]
    schedulers: tuple[str, ...]
    defaults: Mapping[str, Any]
    options: Mapping[str, Any]
    styled: Callable[[str, str, list[str]], tuple[str, str, list[str]]]
    has_lora: Callable[[str], bool]
    upscaler: Callable[[str], str | None]


@dataclass
class Translation:
    """A request as it can be done.

    ``prompt`` and ``negative_prompt`` are what is told about the pictures; ``asked`` holds the parameters of a job but
    for its seed and batch. ``seed`` and ``subseed`` are real. ``control`` is ControlNet's first unit, ``pairs`` what a
    picture's text says besides the usual.
    """

    kind: Literal["txt2img", "img2img"]
    prompt: str
    negative_prompt: str
    asked: dict[str, Any]
    seed: int
    subseed: int
    batch_size: int
    n_iter: int
    is_variation: bool
    denoising_strength: float | None
    clip_skip: int
    circular: bool | None = None
    control: Mapping[str, Any] | None = None
    pairs: dict[str, Any] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)

    def seeds(self, first: int) -> tuple[int, int]:
        """Seed and subseed that are told about picture ``first``."""
        return self.seed + (0 if self.is_variation else first), self.subseed + first

    def native_seed(self, first: int) -> int:
        """The seed that picture ``first`` is drawn with."""
        return self.subseed + first if self.is_variation else self.seed + first


def to_plan(body: A1111Request, around: TranslationContext) -> Translation:
    """What ``body`` asks for. Raises HTTPException for scripts that are not there."""
    ignored: list[str] = []
    control = _control(body, ignored)
    prompt, negative, unknown_styles = around.styled(body.prompt, body.negative_prompt, list(body.styles))
    ignored += [f"style {name}" for name in unknown_styles]
    for item in body.lora:
        prompt += f" <lora:{item.path}:{item.multiplier:g}>"
    sendable, left_out = readable(prompt, (lambda name: False) if body.disable_extra_networks else around.has_lora)
    if not body.disable_extra_networks:
        ignored += [f"LoRA {name}" for name in left_out]
    # The whole of a variation is its own seed's noise; anything in between the library cannot draw.
    is_variation = body.subseed_strength >= 1
    if body.subseed_strength and not is_variation:
        ignored.append("subseed_strength")
    tiling = around.options.get("tiling") if body.tiling is None else body.tiling
    clip_skip = body.clip_skip or int(around.options.get("CLIP_stop_at_last_layers") or 1)
    plan = Translation(
        kind="img2img" if isinstance(body, A1111Img2Img) else "txt2img",
        prompt=prompt,
        negative_prompt=negative,
        asked={"prompt": sendable, "negative_prompt": negative, **_numbers(body, around)},
        seed=_draw_seed(body.seed),
        subseed=_draw_seed(body.subseed),
        batch_size=body.batch_size,
        n_iter=body.n_iter,
        is_variation=is_variation,
        denoising_strength=body.denoising_strength,
        clip_skip=max(1, clip_skip),
        # Only if somebody wants it: a model that was loaded for such pictures goes on drawing them.
        circular=True if tiling else None,
        control=control,
        ignored=ignored,
    )
    _choose_sampling(plan, body, around)
    if clip_skip > 1:
        plan.asked["clip_skip"] = clip_skip
    if isinstance(body, A1111Txt2Img) and body.enable_hr:
        _add_hires(plan, body, around)
    if isinstance(body, A1111Img2Img):
        _add_img2img(plan, body)
    ignored += _not_honoured(body)
    return plan


def _draw_seed(seed: int) -> int:
    return draw_below(_SEED_RANGE) if seed < 0 else seed


def _numbers(body: A1111Request, around: TranslationContext) -> dict[str, Any]:
    """Of these, what is not sent is the model's own default where it has one, and the dialect's where it has none."""
    found: dict[str, Any] = {}
    for name in ("width", "height", "steps", "cfg_scale"):
        if name in body.model_fields_set or name not in around.defaults:
            found[name] = getattr(body, name)
    if "distilled_cfg_scale" in body.model_fields_set:
        found["distilled_guidance"] = body.distilled_cfg_scale
    return found


def _choose_sampling(plan: Translation, body: A1111Request, around: TranslationContext) -> None:
    sent = body.sampler_name or (body.sampler_index if "sampler_index" in body.model_fields_set else None)
    name = sent or around.defaults.get("sampler") or body.sampler_index or ""
    chosen = names.sampling(name, body.scheduler or "", around.samplers, around.schedulers)
    if sent or body.scheduler:
        plan.ignored += [f"{'sampler' if one == name else 'scheduler'} {one}" for one in chosen.unlike]
    plan.asked["sampler"] = chosen.sampler
    if chosen.scheduler is not None:
        plan.asked["scheduler"] = chosen.scheduler
    if body.eta is not None and chosen.sampler in names.USES_ETA:
        plan.asked["eta"] = body.eta


def _add_hires(plan: Translation, body: A1111Txt2Img, around: TranslationContext) -> None:
    asked, wanted = plan.asked, body.hr_upscaler or "Latent"
    upscaler = around.upscaler(wanted)
    if upscaler is None:
        plan.ignored.append(f"hr_upscaler {wanted}")
        upscaler = "Latent"
    strength = 0.75 if body.denoising_strength is None else body.denoising_strength
    # Nothing at all to draw anew is not a second pass; the library wants some.
    asked |= {"hires": True, "hires_upscaler": upscaler, "hires_denoising_strength": max(0.01, strength)}
    asked["hires_steps"] = body.hr_second_pass_steps
    if body.firstphase_width > 0 or body.firstphase_height > 0:
        # As clients before 2023 had it: width and height are the finished picture's.
        asked |= {"hires_width": body.width, "hires_height": body.height}
        asked |= {"width": body.firstphase_width or body.width, "height": body.firstphase_height or body.height}
    elif body.hr_resize_x or body.hr_resize_y:
        asked |= {"hires_width": body.hr_resize_x, "hires_height": body.hr_resize_y}
    else:
        asked["hires_scale"] = body.hr_scale
    for name in ("hr_checkpoint_name", "hr_sampler_name", "hr_scheduler"):
        if (getattr(body, name) or "").casefold() not in _SAME:
            plan.ignored.append(name)
    plan.ignored += [
        name
        for name, same in (("hr_prompt", body.prompt), ("hr_negative_prompt", body.negative_prompt))
        if getattr(body, name) not in ("", same)
    ]
    plan.denoising_strength = strength
    plan.pairs["Denoising strength"] = strength
    if asked.get("hires_width") or asked.get("hires_height"):
        plan.pairs["Hires resize"] = f"{asked['hires_width']}x{asked['hires_height']}"
    else:
        plan.pairs["Hires upscale"] = body.hr_scale
    if body.hr_second_pass_steps:
        plan.pairs["Hires steps"] = body.hr_second_pass_steps
    plan.pairs["Hires upscaler"] = wanted if plan.asked["hires_upscaler"] == around.upscaler(wanted) else upscaler


def _add_img2img(plan: Translation, body: A1111Img2Img) -> None:
    strength = 0.75 if body.denoising_strength is None else body.denoising_strength
    plan.asked["strength"] = plan.denoising_strength = min(1.0, max(0.0, strength))
    plan.pairs["Denoising strength"] = plan.denoising_strength
    if body.image_cfg_scale is not None:
        plan.asked["img_cfg_scale"] = body.image_cfg_scale
    if body.resize_mode == 3:
        plan.ignored.append("resize_mode 3")
    if body.initial_noise_multiplier not in (None, 1.0):
        plan.ignored.append("initial_noise_multiplier")
    if body.latent_mask:
        plan.ignored.append("latent_mask")
    if not body.mask:
        return
    blur_x, blur_y = blurs(body)
    if blur_x or blur_y:
        plan.pairs["Mask blur"] = blur_x if blur_x == blur_y else f"{blur_x}x{blur_y}"
    if body.inpainting_mask_invert:
        plan.pairs["Mask mode"] = "Inpaint not masked"
    if body.inpaint_full_res:
        plan.pairs["Inpaint area"] = "Only masked"
        plan.pairs["Masked area padding"] = body.inpaint_full_res_padding
    if body.inpainting_fill != 1:
        plan.pairs["Masked content"] = MASKED_CONTENT[body.inpainting_fill]


def blurs(body: A1111Img2Img) -> tuple[int, int]:
    """Mask blur from left to right and from top to bottom."""
    both = body.mask_blur
    return (body.mask_blur_x, body.mask_blur_y) if both is None else (max(0, both), max(0, both))


def _not_honoured(body: A1111Request) -> list[str]:
    found = []
    if body.restore_faces:
        found.append("restore_faces")
    if body.seed_resize_from_h > 0 and body.seed_resize_from_w > 0:
        found.append("seed_resize_from")
    if (body.refiner_checkpoint or "").casefold() not in _NONE:
        found.append("refiner_checkpoint")
    for name, nothing in (("s_min_uncond", 0), ("s_churn", 0), ("s_tmax", 0), ("s_tmin", 0), ("s_noise", 1)):
        if getattr(body, name) not in (None, nothing):
            found.append(name)
    return found


def _control(body: A1111Request, ignored: list[str]) -> Mapping[str, Any] | None:
    """ControlNet's first unit that is switched on. Raises HTTPException for scripts that are not there."""
    if body.script_name and body.script_name.casefold() not in _NONE:
        raise HTTPException(422, f"Script '{body.script_name[:100]}' not found")
    units: list[Mapping[str, Any]] = []
    for name, given in body.alwayson_scripts.items():
        if name.casefold() == CONTROLNET:
            args = given.get("args") if isinstance(given, dict) else given
            units += [one for one in args if isinstance(one, dict)] if isinstance(args, list) else []
        elif name.casefold() not in _BUILT_IN_SCRIPTS:
            raise HTTPException(422, f"always on script {name[:100]} not found")
    used = [one for one in units if one.get("enabled", True) and (one.get("image") or one.get("input_image"))]
    if len(used) > 1:
        ignored.append("further ControlNet units")
    return used[0] if used else None
