"""What is told about pictures in AUTOMATIC1111's words: the text inside each, and the ``info`` beside them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sdcpp_rest.routes.a1111 import infotext, names
from sdcpp_rest.routes.a1111.translate import IGNORED, Translation


@dataclass(frozen=True)
class About:
    """The models of some pictures: names, and SHA-256 sums as far as they are known. ``loras``: name -> sum."""

    model: str
    model_sum: str | None
    vae: str | None
    vae_sum: str | None
    loras: Mapping[str, str]
    version: str
    options: Mapping[str, Any]


def picture_text(plan: Translation, params: Mapping[str, Any], about: About, index: int) -> str:
    """The text of picture ``index`` of a call; ``params`` are its job's."""
    seed, subseed = plan.seeds(index)
    options = about.options
    shows_hash, shows_name = options.get("add_model_hash_to_info"), options.get("add_model_name_to_info")
    pairs: dict[str, Any] = {
        "Steps": params["steps"],
        "Sampler": names.sampler_label(params["sampler"]),
        "Schedule type": names.scheduler_label(params["scheduler"]),
        "CFG scale": params["cfg_scale"],
        "Image CFG scale": plan.asked.get("img_cfg_scale"),
        "Seed": seed,
        "Size": f"{params['width']}x{params['height']}",
        "Model hash": about.model_sum[:10] if about.model_sum and shows_hash else None,
        "Model": about.model if shows_name else None,
        "VAE hash": about.vae_sum[:10] if about.vae_sum and options.get("add_vae_hash_to_info") else None,
        "VAE": about.vae if options.get("add_vae_name_to_info") else None,
        "Variation seed": subseed if plan.is_variation else None,
        "Variation seed strength": 1.0 if plan.is_variation else None,
        "Denoising strength": plan.pairs.get("Denoising strength"),
        "Clip skip": plan.clip_skip if plan.clip_skip > 1 else None,
        "Eta": plan.asked.get("eta"),
        "Tiling": "True" if plan.circular else None,
        **extra_params(plan, about),
        "Version": about.version if options.get("add_version_to_infotext") else None,
    }
    return infotext.write(plan.prompt, plan.negative_prompt, pairs)


def extra_params(plan: Translation, about: About) -> dict[str, Any]:
    """What is told besides the usual, in the text and in ``info``; under `IGNORED` what could not be honoured."""
    extra = {name: value for name, value in plan.pairs.items() if name != "Denoising strength"}
    if about.loras and about.options.get("lora_add_hashes_to_infotext"):
        extra["Lora hashes"] = ", ".join(f"{name}: {sha256[:10]}" for name, sha256 in about.loras.items())
    if plan.ignored:
        extra[IGNORED] = ", ".join(dict.fromkeys(plan.ignored))
    return extra


def info_object(
    plan: Translation,
    params: Mapping[str, Any],
    about: About,
    infotexts: list[str],
    *,
    styles: list[str],
    timestamp: str,
    subseed_strength: float,
    first_image: int,
) -> dict[str, Any]:
    """The object that is sent as the text ``info``; ``first_image`` is 1 where a grid comes first."""
    count = plan.batch_size * plan.n_iter
    seeds = [plan.seeds(index) for index in range(count)]
    return {
        "prompt": plan.prompt,
        "all_prompts": [plan.prompt] * count,
        "negative_prompt": plan.negative_prompt,
        "all_negative_prompts": [plan.negative_prompt] * count,
        "seed": plan.seed,
        "all_seeds": [seed for seed, _ in seeds],
        "subseed": plan.subseed,
        "all_subseeds": [subseed for _, subseed in seeds],
        "subseed_strength": subseed_strength,
        "width": params["width"],
        "height": params["height"],
        "sampler_name": names.sampler_label(params["sampler"]),
        "cfg_scale": params["cfg_scale"],
        "steps": params["steps"],
        "batch_size": plan.batch_size,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": about.model,
        "sd_model_hash": about.model_sum[:10] if about.model_sum else None,
        "sd_vae_name": about.vae,
        "sd_vae_hash": about.vae_sum[:10] if about.vae_sum else None,
        "seed_resize_from_w": -1,
        "seed_resize_from_h": -1,
        "denoising_strength": plan.denoising_strength,
        "extra_generation_params": extra_params(plan, about),
        "index_of_first_image": first_image,
        "infotexts": infotexts,
        "styles": styles,
        "job_timestamp": timestamp,
        "clip_skip": plan.clip_skip,
        "is_using_inpainting_conditioning": False,
        "version": about.version,
    }
