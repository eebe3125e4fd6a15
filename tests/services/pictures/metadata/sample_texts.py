"""Writes texts in AUTOMATIC1111's layout and SwarmUI's; says what is to be read of them, and of ComfyUI's graphs."""

from __future__ import annotations

import json
from typing import Any

from sdcpp_rest.core import infotext
from sdcpp_rest.core.params import ImageParams, VideoParams

Fields = dict[str, Any]


def model(name: str, hash: str = "") -> Fields:
    return {"model": {"name": name, "hash": hash}}


def lora(name: str, weight: float, hash: str = "") -> Fields:
    return {"name": name, "weight": weight, **({"hash": hash} if hash else {})}


def size(width: int, height: int) -> Fields:
    return {"width": width, "height": height}


OURS = ImageParams(
    prompt="a red circle",
    negative_prompt="blurry",
    width=96,
    height=64,
    steps=7,
    seed=11,
    cfg_scale=2.25,
    sampler="dpm++2m",
    scheduler="karras",
    clip_skip=2,
    eta=0.3,
    distilled_guidance=2.0,
    custom_sigmas=(3.0, 1.5, 0.0),
)
OURS_TOLD = {
    "prompt": "a red circle",
    "negative_prompt": "blurry",
    **size(96, 64),
    "steps": 7,
    "seed": 11,
    "cfg_scale": 2.25,
    "sampler": "dpm++2m",
    "scheduler": "karras",
    "clip_skip": 2,
    "eta": 0.3,
    "distilled_guidance": 2.0,
    "custom_sigmas": [3.0, 1.5, 0.0],
    **model("demo"),
}
HIRES = {"hires": True, "hires_steps": 4, "prompt": "a red circle <lora:ink:0.5>"}
OUR_VIDEO = VideoParams(prompt="a cat", video_frames=17, fps=24, seed=3, high_noise_steps=4)
OUR_VIDEO_TOLD = {
    "prompt": "a cat",
    **size(832, 480),
    "steps": 30,
    "cfg_scale": 6.0,
    "sampler": "euler",
    "scheduler": "discrete",
    "seed": 3,
    "video_frames": 17,
    "fps": 24,
    "flow_shift": 3.0,
    "high_noise_steps": 4,
    **model("wan"),
}


def our_text(params: ImageParams | VideoParams, model: str, **more: bool) -> str:
    return infotext.write(params, f"{model}.gguf", None, "sdcpp-rest 0.1.0", **more)


A1111 = (
    "masterpiece, (best:1.2) <lora:detail:0.6>\nsecond line\nNegative prompt: bad,\nworse\n"
    "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.0, Seed: 123, Size: 512x768, "
    "Model hash: 6ce0161689, Model: v1-5, VAE hash: f458b5a23b, VAE: mse.ckpt, Denoising strength: 0.4, Clip skip: 2, "
    "Hires upscale: 1.5, Hires steps: 10, Hires upscaler: Latent (bicubic), ENSD: 31337, "
    'Lora hashes: "detail: 0123456789ab", Version: v1.10.1'
)
A1111_TOLD = {
    "prompt": "masterpiece, (best:1.2)\nsecond line",
    "negative_prompt": "bad,\nworse",
    "steps": 20,
    "sampler": "dpm++2m",
    "scheduler": "karras",
    "cfg_scale": 7.0,
    "seed": 123,
    **size(512, 768),
    "clip_skip": 2,
    "hires": True,
    "hires_scale": 1.5,
    "hires_steps": 10,
    "hires_upscaler": "Latent (bicubic)",
    "hires_denoising_strength": 0.4,
    "loras": [lora("detail", 0.6, "0123456789ab")],
    "vae": "mse.ckpt",
    **model("v1-5", "6ce0161689"),
}
A1111_FROM_PICTURE = (
    "a cat\nSteps: 30, Sampler: Euler a, CFG scale: 5, Seed: 9, Size: 640x640, Model: dream, "
    "Denoising strength: 0.65, Mask blur: 4, Version: v1.10.1"
)
A1111_FROM_PICTURE_TOLD = {
    "prompt": "a cat",
    "steps": 30,
    "sampler": "euler_a",
    "cfg_scale": 5.0,
    "seed": 9,
    **size(640, 640),
    "strength": 0.65,
    **model("dream"),
}
FORGE = (
    "a fox\nSteps: 20, Sampler: Euler, Schedule type: Simple, CFG scale: 1, Distilled CFG Scale: 3.5, Seed: 77, "
    "Size: 896x1152, Model hash: d5d1e2a8b0, Model: flux1-dev-Q8_0, Version: f2.0.1v1.10.1, Module 1: ae, "
    "Module 2: clip_l, Module 3: t5xxl_fp8_e4m3fn, Diffusion in Low Bits: Automatic (fp16 LoRA)"
)
FORGE_TOLD = {
    "prompt": "a fox",
    "steps": 20,
    "sampler": "euler",
    "scheduler": "simple",
    "cfg_scale": 1.0,
    "seed": 77,
    "distilled_guidance": 3.5,
    **size(896, 1152),
    "vae": "ae",
    **model("flux1-dev-Q8_0", "d5d1e2a8b0"),
}
SWARM = json.dumps(
    {
        "sui_image_params": {
            "prompt": "a castle",
            "negativeprompt": "fog",
            "model": "SDXL/base",
            "seed": 1,
            "steps": 22,
            "cfgscale": 6.5,
            "width": 1024,
            "height": 768,
            "sampler": "dpmpp_2m",
            "scheduler": "karras",
            "vae": "sdxl_vae",
            "clipstopatlayer": -2,
            "loras": ["style/ink"],
            "loraweights": ["0.75"],
            "refinerupscale": 1.5,
            "refinercontrolpercentage": 0.3,
            "refinerupscalemethod": "pixel-lanczos",
            "refinersteps": 8,
            "initimagecreativity": 0.5,
            "automaticvae": True,
            "swarm_version": "0.9.5.0",
        },
        "sui_extra_data": {"date": "2025-01-01"},
        "sui_models": [{"name": "SDXL/base.safetensors", "param": "model", "hash": "0x" + "ab" * 32}],
    }
)
SWARM_TOLD = {
    "prompt": "a castle",
    "negative_prompt": "fog",
    "seed": 1,
    "steps": 22,
    "cfg_scale": 6.5,
    **size(1024, 768),
    "sampler": "dpm++2m",
    "scheduler": "karras",
    "vae": "sdxl_vae",
    "clip_skip": 2,
    "strength": 0.5,
    "loras": [lora("style/ink", 0.75)],
    "hires": True,
    "hires_scale": 1.5,
    "hires_denoising_strength": 0.3,
    "hires_upscaler": "Lanczos",
    "hires_steps": 8,
    **model("SDXL/base", "ab" * 32),
}
SWARM_VIDEO = json.dumps(
    {
        "sui_image_params": {
            "prompt": "a river",
            "model": "wan",
            "seed": 6,
            "steps": 20,
            "cfgscale": 1.0,
            "width": 640,
            "height": 352,
            "textvideoframes": 33,
            "videofps": 24,
            "sigmashift": 8.0,
            "fluxguidancescale": 3.0,
        }
    }
)
SWARM_VIDEO_TOLD = {
    "prompt": "a river",
    "seed": 6,
    "steps": 20,
    "cfg_scale": 1.0,
    **size(640, 352),
    "video_frames": 33,
    "fps": 24,
    "flow_shift": 8.0,
    "distilled_guidance": 3.0,
    **model("wan"),
}
COMFY_TOLD = {
    "prompt": "a red circle",
    "negative_prompt": "blurry",
    "clip_skip": 2,
    "seed": 123,
    "steps": 25,
    "cfg_scale": 6.5,
    "sampler": "dpm++2m",
    "scheduler": "karras",
    "vae": "mse.safetensors",
    **size(512, 768),
    "loras": [lora("first.safetensors", 0.8), lora("second.safetensors", -0.5)],
    **model("sd15/dream.safetensors"),
}
COMFY_PARTS_TOLD = {
    "prompt": "a fox in the snow",
    "distilled_guidance": 2.5,
    "seed": 99,
    "steps": 20,
    "cfg_scale": 1.0,
    "sampler": "euler",
    "scheduler": "simple",
    **size(1024, 576),
    "vae": "ae.safetensors",
    **model("flux1-dev.safetensors"),
}
COMFY_HIRES_TOLD = {
    **COMFY_TOLD,
    "hires": True,
    "hires_steps": 12,
    "hires_denoising_strength": 0.5,
    "hires_scale": 1.5,
    "hires_upscaler": "Latent (nearest-exact)",
}
COMFY_REFINER_TOLD = {
    "prompt": "a castle",
    "negative_prompt": "ugly",
    "seed": 7,
    "steps": 25,
    "cfg_scale": 8.0,
    "sampler": "euler",
    "scheduler": "discrete",
    **size(1024, 1024),
    **model("sdxl_base.safetensors"),
}
COMFY_PICTURE_TOLD = {
    **{name: value for name, value in COMFY_TOLD.items() if name not in ("width", "height")},
    "prompt": "a red circle, in a hat",
    "strength": 0.6,
}
COMFY_VIDEO_TOLD = {
    "prompt": "a cat walks",
    "negative_prompt": "static",
    "seed": 5,
    "steps": 30,
    "cfg_scale": 6.0,
    **size(832, 480),
    "sampler": "dpm++2m",
    "scheduler": "simple",
    "flow_shift": 8.0,
    "video_frames": 33,
    "fps": 24,
    "output_format": "mp4",
    "vae": "wan_vae.safetensors",
    **model("wan2.1_t2v.safetensors"),
}
COMFY_WORKFLOW_TOLD = {
    "prompt": "a boat",
    "negative_prompt": "people",
    "seed": 321,
    "steps": 18,
    "cfg_scale": 7.5,
    **size(640, 384),
    "sampler": "euler_a",
    "scheduler": "discrete",
    **model("dream.safetensors"),
}
