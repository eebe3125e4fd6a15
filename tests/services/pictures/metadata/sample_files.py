"""Makes one file for each way in which a tool tells its settings, and says what has to be read out of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.services.pictures.metadata import made_files as made
from tests.services.pictures.metadata import made_graphs as graphs
from tests.services.pictures.metadata import sample_objects as objects
from tests.services.pictures.metadata import sample_texts as texts

Fields = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """A file, and what it tells. ``unmapped`` are some of the names that have to be there."""

    tool: str
    make: Callable[[], bytes]
    fields: Fields
    kind: str = "txt2img"
    unmapped: tuple[str, ...] = ()


def _graph(make: Callable[[], Fields]) -> str:
    return json.dumps(make())


SAMPLES: dict[str, Sample] = {
    "sdcpp-rest, PNG": Sample(
        "sdcpp-rest", lambda: made.png({"parameters": texts.our_text(texts.OURS, "demo")}), texts.OURS_TOLD
    ),
    "sdcpp-rest, EXIF in JPEG": Sample(
        "sdcpp-rest", lambda: made.jpeg(made.comment_exif(texts.our_text(texts.OURS, "demo"))), texts.OURS_TOLD
    ),
    "sdcpp-rest, img2img": Sample(
        "sdcpp-rest",
        lambda: made.png({"parameters": texts.our_text(texts.OURS, "demo", is_img2img=True)}),
        {**texts.OURS_TOLD, "strength": 0.75},
        "img2img",
    ),
    "sdcpp-rest, img2img with hires fix": Sample(
        "sdcpp-rest",
        lambda: made.png(
            {"parameters": texts.our_text(texts.OURS.model_copy(update={"hires": True}), "demo", is_img2img=True)}
        ),
        {
            **texts.OURS_TOLD,
            "strength": 0.75,
            "hires": True,
            "hires_scale": 2.0,
            "hires_upscaler": "Latent",
            "hires_denoising_strength": 0.7,
        },
        "img2img",
    ),
    "sdcpp-rest, hires fix and LoRA": Sample(
        "sdcpp-rest",
        lambda: made.png({"parameters": texts.our_text(texts.OURS.model_copy(update=texts.HIRES), "demo")}),
        {
            **texts.OURS_TOLD,
            "prompt": "a red circle",
            "loras": [texts.lora("ink", 0.5)],
            "hires": True,
            "hires_scale": 2.0,
            "hires_steps": 4,
            "hires_upscaler": "Latent",
            "hires_denoising_strength": 0.7,
        },
    ),
    "sdcpp-rest, MP4": Sample(
        "sdcpp-rest",
        lambda: made.mp4(texts.our_text(texts.OUR_VIDEO, "wan")),
        {**texts.OUR_VIDEO_TOLD, "output_format": "mp4"},
        "txt2vid",
    ),
    "sdcpp-rest, WebM": Sample(
        "sdcpp-rest",
        lambda: made.webm(comment=texts.our_text(texts.OUR_VIDEO, "wan")),
        {**texts.OUR_VIDEO_TOLD, "output_format": "webm"},
        "txt2vid",
    ),
    "a1111, PNG": Sample(
        "a1111",
        lambda: made.png({}, made.latin_text("parameters", texts.A1111)),
        texts.A1111_TOLD,
        "txt2img",
        ("ENSD",),
    ),
    "a1111, EXIF in JPEG, little-endian": Sample(
        "a1111", lambda: made.jpeg(made.comment_exif(texts.A1111, "utf-16-le", order="<")), texts.A1111_TOLD
    ),
    "a1111, EXIF in WebP": Sample("a1111", lambda: made.webp(made.comment_exif(texts.A1111)), texts.A1111_TOLD),
    "a1111, EXIF in AVIF": Sample("a1111", lambda: made.avif(made.comment_exif(texts.A1111)), texts.A1111_TOLD),
    "a1111, img2img": Sample(
        "a1111",
        lambda: made.png({}, made.packed_text("parameters", texts.A1111_FROM_PICTURE.encode())),
        texts.A1111_FROM_PICTURE_TOLD,
        "img2img",
        ("Mask blur",),
    ),
    "forge, PNG": Sample(
        "forge",
        lambda: made.png({"parameters": texts.FORGE}),
        texts.FORGE_TOLD,
        "txt2img",
        ("Module 2", "Diffusion in Low Bits"),
    ),
    "forge, hires fix": Sample(
        "forge",
        lambda: made.png({"parameters": texts.A1111.replace(": v1.", ": f2.0.1v1.")}),
        texts.A1111_TOLD,
        "txt2img",
        ("ENSD",),
    ),
    "forge, img2img": Sample(
        "forge",
        lambda: made.png({"parameters": texts.A1111_FROM_PICTURE.replace(": v1", ": f2.0.1v1")}),
        texts.A1111_FROM_PICTURE_TOLD,
        "img2img",
    ),
    "swarmui, PNG": Sample(
        "swarmui",
        lambda: made.png({"parameters": texts.SWARM}),
        texts.SWARM_TOLD,
        "img2img",
        ("automaticvae", "sui_extra_data"),
    ),
    "swarmui, EXIF in JPEG": Sample(
        "swarmui", lambda: made.jpeg(made.comment_exif(texts.SWARM)), texts.SWARM_TOLD, "img2img"
    ),
    "swarmui, video": Sample(
        "swarmui",
        lambda: made.webm(comment=texts.SWARM_VIDEO),
        {**texts.SWARM_VIDEO_TOLD, "output_format": "webm"},
        "txt2vid",
    ),
    "comfyui, KSampler": Sample("comfyui", lambda: made.png({"prompt": _graph(graphs.simple)}), texts.COMFY_TOLD),
    "comfyui, SamplerCustomAdvanced": Sample(
        "comfyui", lambda: made.png({"prompt": _graph(graphs.in_parts)}), texts.COMFY_PARTS_TOLD
    ),
    "comfyui, two samplers": Sample(
        "comfyui",
        lambda: made.png({"prompt": _graph(graphs.with_hires)}),
        texts.COMFY_HIRES_TOLD,
        "txt2img",
        ("hires_seed",),
    ),
    "comfyui, refiner": Sample(
        "comfyui",
        lambda: made.png({"prompt": _graph(graphs.with_refiner)}),
        texts.COMFY_REFINER_TOLD,
        "txt2img",
        ("refiner_model",),
    ),
    "comfyui, img2img": Sample(
        "comfyui",
        lambda: made.png({"prompt": _graph(graphs.from_picture)}),
        texts.COMFY_PICTURE_TOLD,
        "img2img",
        ("control_net", "control_strength"),
    ),
    "comfyui, MP4": Sample(
        "comfyui", lambda: made.mp4(keys={"prompt": _graph(graphs.video)}), texts.COMFY_VIDEO_TOLD, "txt2vid"
    ),
    "comfyui, workflow alone": Sample(
        "comfyui", lambda: made.png({"workflow": _graph(graphs.workflow)}), texts.COMFY_WORKFLOW_TOLD
    ),
    "comfyui, EXIF in animated WebP": Sample(
        "comfyui",
        lambda: made.webp(
            made.exif({0x0110: f"prompt:{_graph(graphs.simple)}", 0x010F: "workflow:{}"}), is_animated=True
        ),
        texts.COMFY_TOLD,
    ),
    "comfyui, comment of a WebM": Sample(
        "comfyui",
        lambda: made.webm(comment=json.dumps({"prompt": _graph(graphs.simple), "workflow": {}})),
        texts.COMFY_TOLD,
    ),
    "invokeai, PNG": Sample(
        "invokeai",
        lambda: made.png({"invokeai_metadata": objects.INVOKE}),
        objects.INVOKE_TOLD,
        "img2img",
        ("rand_device",),
    ),
    "invokeai, Flux": Sample(
        "invokeai", lambda: made.png({"invokeai_metadata": objects.INVOKE_FLUX}), objects.INVOKE_FLUX_TOLD
    ),
    "invokeai, sd-metadata": Sample(
        "invokeai",
        lambda: made.png({"sd-metadata": objects.INVOKE_FIRST}),
        objects.INVOKE_FIRST_TOLD,
        "txt2img",
        ("threshold",),
    ),
    "invokeai, Dream": Sample(
        "invokeai", lambda: made.png({"Dream": objects.INVOKE_COMMAND}), objects.INVOKE_COMMAND_TOLD, "img2img", ("-G",)
    ),
    "fooocus, PNG": Sample(
        "fooocus",
        lambda: made.png({"parameters": objects.FOOOCUS, "fooocus_scheme": "fooocus"}),
        objects.FOOOCUS_TOLD,
        "txt2img",
        ("styles", "sampler"),
    ),
    "fooocus, EXIF in JPEG": Sample(
        "fooocus",
        lambda: made.jpeg(made.exif({0x9286: objects.FOOOCUS, 0x0131: "Fooocus v2.5.5", 0x927C: "fooocus"})),
        objects.FOOOCUS_TOLD,
    ),
    "fooocus, AUTOMATIC1111's scheme": Sample(
        "fooocus",
        lambda: made.png({"parameters": objects.FOOOCUS_A1111, "fooocus_scheme": "a1111"}),
        objects.FOOOCUS_A1111_TOLD,
        "txt2img",
        ("Sharpness", "Performance"),
    ),
    "novelai, PNG": Sample(
        "novelai", lambda: made.png(objects.NOVELAI), objects.NOVELAI_TOLD, "txt2img", ("uncond_scale",)
    ),
    "novelai, EXIF in WebP, V4": Sample(
        "novelai",
        lambda: made.webp(made.comment_exif(json.dumps(objects.NOVELAI_4))),
        objects.NOVELAI_4_TOLD,
        "img2img",
        ("v4_prompt",),
    ),
    "drawthings, PNG": Sample(
        "drawthings",
        lambda: made.png({"XML:com.adobe.xmp": made.xmp_comment(objects.DRAW_THINGS)}),
        objects.DRAW_THINGS_TOLD,
        "img2img",
        ("seed_mode",),
    ),
    "drawthings, JPEG": Sample(
        "drawthings", lambda: made.jpeg(xmp=made.xmp_comment(objects.DRAW_THINGS)), objects.DRAW_THINGS_TOLD, "img2img"
    ),
}
