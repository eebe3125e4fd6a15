"""Writes what InvokeAI, Fooocus, NovelAI and Draw Things write, and what has to be read of it."""

from __future__ import annotations

import json

from tests.services.pictures.metadata.sample_texts import lora, model, size

INVOKE = json.dumps(
    {
        "app_version": "5.4.2",
        "generation_mode": "sdxl_img2img",
        "positive_prompt": "a lake",
        "width": 832,
        "negative_prompt": "boats",
        "height": 1216,
        "seed": 42,
        "cfg_scale": 5.5,
        "steps": 28,
        "strength": 0.55,
        "scheduler": "dpmpp_2m_k",
        "clip_skip": 1,
        "rand_device": "cpu",
        "model": {"key": "k", "hash": "blake3:" + "0f" * 32, "name": "juggernaut", "base": "sdxl", "type": "main"},
        "vae": {"key": "v", "name": "sdxl-vae-fp16-fix"},
        "loras": [{"model": {"name": "grain", "hash": "sha256:" + "1a" * 32}, "weight": 0.4}],
    }
)
INVOKE_TOLD = {
    "prompt": "a lake",
    "negative_prompt": "boats",
    **size(832, 1216),
    "seed": 42,
    "cfg_scale": 5.5,
    "steps": 28,
    "strength": 0.55,
    "sampler": "dpm++2m",
    "scheduler": "karras",
    "clip_skip": 2,
    "vae": "sdxl-vae-fp16-fix",
    "loras": [lora("grain", 0.4, "1a" * 32)],
    **model("juggernaut", "0f" * 32),
}
INVOKE_FLUX = json.dumps(
    {
        "generation_mode": "flux_txt2img",
        "positive_prompt": "a lamp",
        "width": 1024,
        "height": 1024,
        "seed": 2,
        "steps": 30,
        "guidance": 4,
        "scheduler": "euler",
        "model": {"model_name": "flux"},
    }
)
INVOKE_FLUX_TOLD = {
    "prompt": "a lamp",
    **size(1024, 1024),
    "seed": 2,
    "steps": 30,
    "distilled_guidance": 4.0,
    "sampler": "euler",
    **model("flux"),
}
INVOKE_FIRST = json.dumps(
    {
        "model": "stable diffusion",
        "model_weights": "sd-1.5",
        "model_hash": "cc" * 32,
        "app_version": "2.3.0",
        "image": {
            "prompt": [{"prompt": "a tree [leaves]", "weight": 1}],
            "steps": 50,
            "cfg_scale": 7.5,
            "threshold": 0,
            "width": 512,
            "height": 512,
            "seed": 8,
            "type": "txt2img",
            "sampler": "k_euler_a",
        },
    }
)
INVOKE_FIRST_TOLD = {
    "prompt": "a tree",
    "negative_prompt": "leaves",
    "steps": 50,
    "cfg_scale": 7.5,
    **size(512, 512),
    "seed": 8,
    "sampler": "euler_a",
    **model("sd-1.5", "cc" * 32),
}
INVOKE_COMMAND = '"a house [people]" -s 40 -S 4242 -W 640 -H 448 -C 8.5 -A k_heun -f 0.6 -G 0.8'
INVOKE_COMMAND_TOLD = {
    "prompt": "a house",
    "negative_prompt": "people",
    "steps": 40,
    "seed": 4242,
    **size(640, 448),
    "cfg_scale": 8.5,
    "sampler": "heun",
    "strength": 0.6,
}
FOOOCUS = json.dumps(
    {
        "prompt": "a knight",
        "negative_prompt": "horse",
        "styles": "['Fooocus V2']",
        "performance": "Speed",
        "steps": 30,
        "resolution": "(896, 1152)",
        "guidance_scale": 4,
        "sharpness": 2,
        "clip_skip": 2,
        "base_model": "juggernautXL_v8",
        "base_model_hash": "aeb7e9e689",
        "sampler": "dpmpp_2m_sde_gpu",
        "scheduler": "karras",
        "vae": "Default (model)",
        "seed": "1234567890123",
        "metadata_scheme": "fooocus",
        "loras": [["offset_0.1", 0.1, "4852686128"]],
        "version": "Fooocus v2.5.5",
    }
)
FOOOCUS_TOLD = {
    "prompt": "a knight",
    "negative_prompt": "horse",
    "steps": 30,
    **size(896, 1152),
    "cfg_scale": 4.0,
    "clip_skip": 2,
    "sampler": "dpm++2m",
    "scheduler": "karras",
    "seed": 1234567890123,
    "loras": [lora("offset_0.1", 0.1, "4852686128")],
    **model("juggernautXL_v8", "aeb7e9e689"),
}
FOOOCUS_A1111 = (
    "a knight\nNegative prompt: horse\nSteps: 30, Sampler: DPM++ 2M SDE Karras, Seed: 5, Size: 896x1152, CFG scale: 4, "
    'Sharpness: 2, ADM Guidance: "(1.5, 0.8, 0.3)", Model: juggernautXL_v8, Model hash: aeb7e9e689, '
    "Performance: Speed, VAE: xl.safetensors, "
    'Lora hashes: "offset_0.1: 4852686128", Lora weights: "offset_0.1: 0.1", Version: Fooocus v2.5.5'
)
FOOOCUS_A1111_TOLD = {
    "prompt": "a knight",
    "negative_prompt": "horse",
    "steps": 30,
    "sampler": "dpm++2m",
    "scheduler": "karras",
    "seed": 5,
    **size(896, 1152),
    "cfg_scale": 4.0,
    "loras": [lora("offset_0.1", 0.1, "4852686128")],
    **model("juggernautXL_v8", "aeb7e9e689"),
    "vae": "xl.safetensors",
}
NOVELAI = {
    "Title": "AI generated image",
    "Description": "1girl",
    "Software": "NovelAI",
    "Source": "Stable Diffusion XL",
    "Comment": json.dumps(
        {
            "prompt": "1girl",
            "steps": 28,
            "height": 1216,
            "width": 832,
            "scale": 5.0,
            "uncond_scale": 1.0,
            "seed": 3000000000,
            "noise_schedule": "karras",
            "sampler": "k_euler_ancestral",
            "uc": "lowres",
            "strength": 0.7,
            "request_type": "PromptGenerateRequest",
        }
    ),
}
NOVELAI_TOLD = {
    "prompt": "1girl",
    "negative_prompt": "lowres",
    "steps": 28,
    **size(832, 1216),
    "cfg_scale": 5.0,
    "seed": 3000000000,
    "scheduler": "karras",
    "sampler": "euler_a",
    **model("Stable Diffusion XL"),
}
NOVELAI_4 = {
    "Software": "NovelAI",
    "Source": "NovelAI Diffusion V4",
    "Comment": json.dumps(
        {
            "steps": 23,
            "height": 1024,
            "width": 1024,
            "scale": 6.0,
            "seed": 4,
            "sampler": "k_euler",
            "strength": 0.6,
            "request_type": "Img2ImgRequest",
            "v4_prompt": {"caption": {"base_caption": "two cats", "char_captions": [{"char_caption": "black cat"}]}},
            "v4_negative_prompt": {"caption": {"base_caption": "dogs"}},
        }
    ),
}
NOVELAI_4_TOLD = {
    "prompt": "two cats",
    "negative_prompt": "dogs",
    "steps": 23,
    **size(1024, 1024),
    "cfg_scale": 6.0,
    "seed": 4,
    "sampler": "euler",
    "strength": 0.6,
    **model("NovelAI Diffusion V4"),
}
DRAW_THINGS = json.dumps(
    {
        "c": 'a "quoted" & bold <cat>',
        "uc": "dog",
        "model": "sd_v1.5_f16.ckpt",
        "sampler": "DPM++ 2M Karras",
        "scale": 7.5,
        "seed": 31,
        "seed_mode": "Scale Alike",
        "size": "512x640",
        "steps": 24,
        "strength": 0.7,
        "lora": [{"model": "ink_lora_f16.ckpt", "weight": 0.6}],
        "v2": {"width": 512, "height": 640, "shift": 1, "clipSkip": 2, "guidanceEmbed": 3.5},
    }
)
DRAW_THINGS_TOLD = {
    "prompt": 'a "quoted" & bold <cat>',
    "negative_prompt": "dog",
    "sampler": "dpm++2m",
    "scheduler": "karras",
    "cfg_scale": 7.5,
    "seed": 31,
    **size(512, 640),
    "steps": 24,
    "strength": 0.7,
    "flow_shift": 1.0,
    "clip_skip": 2,
    "loras": [lora("ink_lora_f16.ckpt", 0.6)],
    **model("sd_v1.5_f16.ckpt"),
    "distilled_guidance": 3.5,
}
