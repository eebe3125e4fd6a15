"""Writes graphs as ComfyUI saves them: for the page's usual workflows, in the API's format and in the page's own."""

from __future__ import annotations

from typing import Any

Graph = dict[str, Any]


def node(kind: str, **inputs: Any) -> Graph:
    return {"class_type": kind, "inputs": inputs}


def simple() -> Graph:
    """A checkpoint with two LoRAs, words through a reroute and a primitive, a VAE of its own."""
    return {
        "1": node("CheckpointLoaderSimple", ckpt_name="sd15/dream.safetensors"),
        "2": node("LoraLoader", model=["1", 0], clip=["1", 1], lora_name="first.safetensors", strength_model=0.8),
        "3": node("LoraLoader", model=["2", 0], clip=["2", 1], lora_name="second.safetensors", strength_model=-0.5),
        "4": node("CLIPSetLastLayer", clip=["3", 1], stop_at_clip_layer=-2),
        "5": node("PrimitiveStringMultiline", value="a red circle"),
        "6": node("CLIPTextEncode", clip=["4", 0], text=["5", 0]),
        "7": node("CLIPTextEncode", clip=["4", 0], text="blurry"),
        "8": node("Reroute", **{"": ["6", 0]}),
        "9": node("EmptyLatentImage", width=512, height=768, batch_size=1),
        "10": node(
            "KSampler",
            model=["3", 0],
            positive=["8", 0],
            negative=["7", 0],
            latent_image=["9", 0],
            seed=123,
            steps=25,
            cfg=6.5,
            sampler_name="dpmpp_2m",
            scheduler="karras",
            denoise=1.0,
        ),
        "11": node("VAELoader", vae_name="mse.safetensors"),
        "12": node("VAEDecode", samples=["10", 0], vae=["11", 0]),
        "13": node("SaveImage", images=["12", 0], filename_prefix="ComfyUI"),
    }


def in_parts() -> Graph:
    """Flux, as its examples are: a guider, noise, a schedule and a sampler, each a node of its own."""
    return {
        "1": node("UNETLoader", unet_name="flux1-dev.safetensors", weight_dtype="default"),
        "2": node("DualCLIPLoader", clip_name1="t5xxl.safetensors", clip_name2="clip_l.safetensors", type="flux"),
        "3": node("CLIPTextEncodeFlux", clip=["2", 0], clip_l="", t5xxl="a fox in the snow", guidance=3.5),
        "4": node("FluxGuidance", conditioning=["3", 0], guidance=2.5),
        "5": node("ModelSamplingFlux", model=["1", 0], max_shift=1.15, base_shift=0.5, width=1024, height=1024),
        "6": node("BasicGuider", model=["5", 0], conditioning=["4", 0]),
        "7": node("RandomNoise", noise_seed=99),
        "8": node("KSamplerSelect", sampler_name="euler"),
        "9": node("BasicScheduler", model=["5", 0], scheduler="simple", steps=20, denoise=1.0),
        "10": node("EmptySD3LatentImage", width=1024, height=576, batch_size=1),
        "11": node(
            "SamplerCustomAdvanced",
            noise=["7", 0],
            guider=["6", 0],
            sampler=["8", 0],
            sigmas=["9", 0],
            latent_image=["10", 0],
        ),
        "12": node("VAELoader", vae_name="ae.safetensors"),
        "13": node("VAEDecode", samples=["11", 0], vae=["12", 0]),
        "14": node("SaveImage", images=["13", 0]),
    }


def with_hires() -> Graph:
    """The simple graph, drawn once more after its latent was made larger."""
    graph = simple()
    graph["20"] = node("LatentUpscaleBy", samples=["10", 0], upscale_method="nearest-exact", scale_by=1.5)
    graph["21"] = node(
        "KSampler",
        model=["3", 0],
        positive=["8", 0],
        negative=["7", 0],
        latent_image=["20", 0],
        seed=456,
        steps=12,
        cfg=6.5,
        sampler_name="dpmpp_2m",
        scheduler="karras",
        denoise=0.5,
    )
    graph["12"] = node("VAEDecode", samples=["21", 0], vae=["11", 0])
    return graph


def with_refiner() -> Graph:
    """SDXL: the base draws 20 of 25 steps, the refiner the rest."""
    words = {"width": 1024, "height": 1024, "target_width": 1024, "target_height": 1024}
    step = {"steps": 25, "cfg": 8.0, "sampler_name": "euler", "scheduler": "normal"}
    return {
        "1": node("CheckpointLoaderSimple", ckpt_name="sdxl_base.safetensors"),
        "2": node("CheckpointLoaderSimple", ckpt_name="sdxl_refiner.safetensors"),
        "3": node("CLIPTextEncodeSDXL", clip=["1", 1], text_g="a castle", text_l="stone", **words),
        "4": node("CLIPTextEncodeSDXL", clip=["1", 1], text_g="ugly", text_l="ugly", **words),
        "5": node("EmptyLatentImage", width=1024, height=1024, batch_size=1),
        "6": node(
            "KSamplerAdvanced",
            model=["1", 0],
            positive=["3", 0],
            negative=["4", 0],
            latent_image=["5", 0],
            add_noise="enable",
            noise_seed=7,
            start_at_step=0,
            end_at_step=20,
            return_with_leftover_noise="enable",
            **step,
        ),
        "7": node("CLIPTextEncode", clip=["2", 1], text="a castle"),
        "8": node("CLIPTextEncode", clip=["2", 1], text="ugly"),
        "9": node(
            "KSamplerAdvanced",
            model=["2", 0],
            positive=["7", 0],
            negative=["8", 0],
            latent_image=["6", 0],
            add_noise="disable",
            noise_seed=0,
            start_at_step=20,
            end_at_step=10000,
            return_with_leftover_noise="disable",
            **step,
        ),
        "10": node("VAEDecode", samples=["9", 0], vae=["2", 2]),
        "11": node("SaveImage", images=["10", 0]),
    }


def from_picture() -> Graph:
    """A picture, drawn anew in part, with two prompts combined and a ControlNet."""
    graph = simple()
    graph["30"] = node("LoadImage", image="cat.png")
    graph["9"] = node("VAEEncode", pixels=["30", 0], vae=["11", 0])
    graph["31"] = node("CLIPTextEncode", clip=["4", 0], text="in a hat")
    graph["32"] = node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["31", 0])
    graph["33"] = node("ControlNetLoader", control_net_name="canny.safetensors")
    graph["34"] = node(
        "ControlNetApplyAdvanced",
        positive=["32", 0],
        negative=["7", 0],
        control_net=["33", 0],
        image=["30", 0],
        strength=0.7,
    )
    graph["10"]["inputs"] |= {"positive": ["34", 0], "negative": ["34", 1], "denoise": 0.6}
    return graph


def video() -> Graph:
    return {
        "1": node("UNETLoader", unet_name="wan2.1_t2v.safetensors"),
        "2": node("ModelSamplingSD3", model=["1", 0], shift=8.0),
        "3": node("CLIPLoader", clip_name="umt5.safetensors"),
        "4": node("CLIPTextEncode", clip=["3", 0], text="a cat walks"),
        "5": node("CLIPTextEncode", clip=["3", 0], text="static"),
        "6": node("EmptyHunyuanLatentVideo", width=832, height=480, length=33, batch_size=1),
        "7": node(
            "KSampler",
            model=["2", 0],
            positive=["4", 0],
            negative=["5", 0],
            latent_image=["6", 0],
            seed=5,
            steps=30,
            cfg=6.0,
            sampler_name="uni_pc",
            scheduler="simple",
            denoise=1.0,
        ),
        "8": node("VAELoader", vae_name="wan_vae.safetensors"),
        "9": node("VAEDecode", samples=["7", 0], vae=["8", 0]),
        "10": node("CreateVideo", images=["9", 0], fps=24.0),
        "11": node("SaveVideo", video=["10", 0], format="mp4"),
    }


def workflow() -> Graph:
    """What the page saves: values in a row, links in a list of their own, one LoRA that is switched off."""

    def one(id: int, kind: str, values: list[Any], *inputs: tuple[str, int], mode: int = 0) -> Graph:
        linked = [{"name": name, "type": "*", "link": link} for name, link in inputs]
        return {"id": id, "type": kind, "mode": mode, "inputs": linked, "outputs": [], "widgets_values": values}

    sampler = one(
        6,
        "KSampler",
        [321, "randomize", 18, 7.5, "euler_ancestral", "normal", 1],
        ("model", 2),
        ("positive", 4),
        ("negative", 5),
        ("latent_image", 6),
    )
    return {
        "last_node_id": 8,
        "nodes": [
            one(1, "CheckpointLoaderSimple", ["dream.safetensors"]),
            one(2, "LoraLoader", ["off.safetensors", 1, 1], ("model", 1), ("clip", 3), mode=4),
            one(3, "CLIPTextEncode", ["a boat"], ("clip", 7)),
            one(4, "CLIPTextEncode", ["people"], ("clip", 7)),
            one(5, "EmptyLatentImage", [640, 384, 1]),
            sampler,
            one(7, "VAEDecode", [], ("samples", 8), ("vae", 9)),
            one(8, "SaveImage", ["ComfyUI"], ("images", 10)),
        ],
        "links": [
            [1, 1, 0, 2, 0, "MODEL"],
            [2, 2, 0, 6, 0, "MODEL"],
            [3, 1, 1, 2, 1, "CLIP"],
            [4, 3, 0, 6, 1, "CONDITIONING"],
            [5, 4, 0, 6, 2, "CONDITIONING"],
            [6, 5, 0, 6, 3, "LATENT"],
            [7, 2, 1, 3, 0, "CLIP"],
            [8, 6, 0, 7, 0, "LATENT"],
            [9, 1, 2, 7, 1, "VAE"],
            [10, 7, 0, 8, 0, "IMAGE"],
        ],
    }
