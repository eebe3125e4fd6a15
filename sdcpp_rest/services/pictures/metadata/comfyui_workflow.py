"""Makes a graph of a workflow: what ComfyUI's page saves, whose nodes have their values in a row and without names."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from sdcpp_rest.services.pictures.metadata.comfyui_graph import MOST_INPUTS, MOST_NODES, Graph, Node

_SEED = ("noise_seed", "")
_SAMPLING = ("steps", "cfg", "sampler_name", "scheduler")
_NAMES: Mapping[str, tuple[str, ...]] = {
    "KSampler": ("seed", "", *_SAMPLING, "denoise"),
    "KSamplerAdvanced": (
        *("add_noise", *_SEED, *_SAMPLING),
        *("start_at_step", "end_at_step", "return_with_leftover_noise"),
    ),
    "SamplerCustom": ("add_noise", *_SEED, "cfg"),
    "RandomNoise": _SEED,
    "KSamplerSelect": ("sampler_name",),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "CFGGuider": ("cfg",),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "UNETLoader": ("unet_name", "weight_dtype"),
    "UnetLoaderGGUF": ("unet_name",),
    "VAELoader": ("vae_name",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "CLIPTextEncode": ("text",),
    "CLIPTextEncodeFlux": ("clip_l", "t5xxl", "guidance"),
    "CLIPTextEncodeSDXL": ("width", "height", "crop_w", "crop_h", "target_width", "target_height", "text_g", "text_l"),
    "CLIPTextEncodeSD3": ("clip_l", "clip_g", "t5xxl", "empty_padding"),
    "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "FluxGuidance": ("guidance",),
    "ModelSamplingSD3": ("shift",),
    "ModelSamplingAuraFlow": ("shift",),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "EmptyHunyuanLatentVideo": ("width", "height", "length", "batch_size"),
    "LatentUpscale": ("upscale_method", "width", "height", "crop"),
    "LatentUpscaleBy": ("upscale_method", "scale_by"),
    "ImageScale": ("upscale_method", "width", "height", "crop"),
    "ImageScaleBy": ("upscale_method", "scale_by"),
    "UpscaleModelLoader": ("model_name",),
    "LoadImage": ("image",),
    "PrimitiveNode": ("value",),
    "PrimitiveInt": ("value",),
    "PrimitiveFloat": ("value",),
    "PrimitiveString": ("value",),
    "PrimitiveStringMultiline": ("value",),
}
"""What the values of a node are called, in their order; those without a name belong to the page alone."""

_MUTED, _BYPASSED = 2, 4
_MOST_LINKS = 20_000
HANDS_ON = "bypassed"
"""The class of a node that is switched off and hands on what it gets."""


def workflow_graph(sent: Any) -> Graph | None:
    """The graph that a workflow shows; ``None`` for anything else."""
    nodes = sent.get("nodes") if isinstance(sent, dict) else None
    if not isinstance(nodes, list) or not nodes or len(nodes) > MOST_NODES:
        return None
    sources = _sources(sent.get("links"))
    found = [
        Node(str(node.get("id")), _kind(node), _inputs(node, sources))
        for node in nodes
        if isinstance(node, dict) and isinstance(node.get("type"), str) and node.get("mode") != _MUTED
    ]
    return Graph(found) if found else None


def _kind(node: Mapping[str, Any]) -> str:
    return HANDS_ON if node.get("mode") == _BYPASSED else str(node["type"])


def _sources(links: Any) -> dict[int, list[Any]]:
    """Where each link comes from, by its number."""
    found: dict[int, list[Any]] = {}
    for link in links[:_MOST_LINKS] if isinstance(links, list) else []:
        if isinstance(link, dict):
            link = [link.get("id"), link.get("origin_id"), link.get("origin_slot")]
        if isinstance(link, list) and len(link) >= 3 and isinstance(link[0], int) and isinstance(link[2], int):
            found[link[0]] = [link[1], link[2]]
    return found


def _inputs(node: Mapping[str, Any], sources: Mapping[int, list[Any]]) -> dict[str, Any]:
    """A node's inputs by their names: its values, and over them what is linked."""
    values = node.get("widgets_values")
    inputs: dict[str, Any] = {}
    if node.get("mode") != _BYPASSED:
        if isinstance(values, dict):
            inputs = {str(name): value for name, value in islice(values.items(), MOST_INPUTS)}
        elif isinstance(values, list):
            inputs = _name_values(str(node["type"]), values, node)
    for one in node["inputs"][:MOST_INPUTS] if isinstance(node.get("inputs"), list) else []:
        if isinstance(one, dict) and isinstance(one.get("link"), int) and one["link"] in sources:
            inputs[str(one.get("name"))] = sources[one["link"]]
    return inputs


def _name_values(kind: str, values: list[Any], node: Mapping[str, Any]) -> dict[str, Any]:
    names = _NAMES.get(kind)
    if names is None:
        # Newer pages tell of each value which input it belongs to; old nodes of one value are clear anyway.
        told = [one.get("name") for one in node.get("inputs") or () if isinstance(one, dict) and one.get("widget")]
        names = tuple(str(name) for name in told) if len(told) == len(values) else ("text",) if len(values) == 1 else ()
    return {name: value for name, value in zip(names, values, strict=False) if name}
