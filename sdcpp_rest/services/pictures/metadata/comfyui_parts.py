"""Reads the parts of ComfyUI's graphs: samplers, and the models with their LoRAs that they hang on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sdcpp_rest.services.pictures.metadata.comfyui_graph import Graph, Link, Node
from sdcpp_rest.services.pictures.metadata.comfyui_workflow import HANDS_ON
from sdcpp_rest.services.pictures.metadata.found_settings import FoundSettings

_CUSTOM_SAMPLERS = ("SamplerCustomAdvanced", "SamplerCustom")
_MODEL_NAMES = ("ckpt_name", "unet_name", "model_name", "gguf_name", "checkpoint")
_LORA_ROW = re.compile(r"lora_\d{1,3}")
_NUMBERED_LORA = re.compile(r"lora_name_(\d{1,3})")
_SCHEDULER_NODE = re.compile(r"(Karras|Exponential|Polyexponential|SDTurbo|AlignYourSteps|GITS|Beta|Flux2)\w*Scheduler")
_SCHEDULES = {"AlignYourSteps": "ays", "SDTurbo": "", "Flux2": ""}
_STACKS = ("lora_stack", "optional_lora_stack")
_MOST_CHAIN = 200
_MOST_STACKED = 50


@dataclass(frozen=True)
class Sampler:
    """What one sampler was told; links lead to where its parts come from."""

    node: Node
    seed: Any
    steps: float | None
    cfg: float | None
    sampler: Any
    scheduler: Any
    denoise: float | None
    model: Link | None
    positive: Link | None
    negative: Link | None
    latent: Link | None
    goes_on: bool = False


def is_sampler(node: Node) -> bool:
    """Whether a node samples, by its class or, for those of extensions, by its inputs."""
    if node.kind in _CUSTOM_SAMPLERS or (node.kind.startswith("KSampler") and node.kind != "KSamplerSelect"):
        return True
    has_seed = "seed" in node.inputs or "noise_seed" in node.inputs
    return has_seed and "steps" in node.inputs and ("positive" in node.inputs or "model" in node.inputs)


def read_sampler(graph: Graph, node: Node) -> Sampler:
    """What a sampler was told, in one piece or in parts."""
    if node.kind in _CUSTOM_SAMPLERS:
        return _read_parts(graph, node)
    steps, first = graph.number(node, "steps"), graph.number(node, "start_at_step")
    denoise = graph.number(node, "denoise")
    goes_on = graph.scalar(node, "add_noise") == "disable"
    if steps and first and 0 < first < steps and not goes_on:
        denoise = (steps - first) / steps
        steps = steps - first
    return Sampler(
        node,
        graph.scalar(node, "seed", "noise_seed"),
        steps,
        graph.number(node, "cfg"),
        graph.scalar(node, "sampler_name", "sampler"),
        graph.scalar(node, "scheduler"),
        denoise,
        node.link("model", "pipe", "basic_pipe"),
        node.link("positive", "conditioning", "pipe", "basic_pipe"),
        node.link("negative", "pipe", "basic_pipe"),
        node.link("latent_image", "latent", "samples", "image", "pipe"),
        goes_on,
    )


def _read_parts(graph: Graph, node: Node) -> Sampler:
    noise = graph.node(node.link("noise")) or node
    guider = graph.node(node.link("guider")) or node
    chosen = graph.node(node.link("sampler"))
    schedule = next((one for one in graph.back_from([node.link("sigmas")], "sigmas") if "steps" in one.inputs), None)
    cfg = graph.number(guider, "cfg", "cfg_conds")
    return Sampler(
        node,
        graph.scalar(noise, "noise_seed", "seed"),
        graph.number(schedule, "steps") if schedule else None,
        # A guider without a scale has one side.
        1.0 if cfg is None and guider.link("conditioning") is not None else cfg,
        (graph.scalar(chosen, "sampler_name") or _class_word(chosen.kind, "Sampler")) if chosen else None,
        (graph.scalar(schedule, "scheduler") or _schedule_of(schedule.kind)) if schedule else None,
        graph.number(schedule, "denoise") if schedule else None,
        guider.link("model") or (schedule.link("model") if schedule else None),
        guider.link("conditioning", "positive", "cond1"),
        guider.link("negative"),
        node.link("latent_image"),
        graph.scalar(node, "add_noise") in (False, "disable") or noise.kind == "DisableNoise",
    )


def _class_word(kind: str, ending: str) -> str:
    """``SamplerEulerAncestral`` is a sampler by the name of its class."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.removeprefix(ending)).lower() if kind.startswith(ending) else ""


def _schedule_of(kind: str) -> str:
    match = _SCHEDULER_NODE.match(kind)
    return _SCHEDULES.get(match[1], match[1].lower()) if match else ""


def put_model(found: FoundSettings, graph: Graph, start: Link | None) -> None:
    """Keep the model behind a link, and the LoRAs and the shift on the way to it."""
    loras: list[tuple[Any, Any]] = []
    seen: set[str] = set()
    link = start
    while (node := graph.node(link)) is not None and node.id not in seen and len(seen) < _MOST_CHAIN:
        seen.add(node.id)
        loras += reversed(_loras(graph, node))
        if "ModelSampling" in node.kind and "shift" in node.inputs:
            found.put("flow_shift", graph.number(node, "shift"))
        for one in islice(graph.back_from([node.link(*_STACKS)], *_STACKS), _MOST_STACKED):
            loras += reversed(_loras(graph, one))
        name = graph.scalar(node, *_MODEL_NAMES)
        if name is not None and node.link("model") is None:
            found.put_model(name)
            break
        link = node.link("model", "model1", "basic_pipe", "pipe", "unet") or next(node.links("model"), None)
        if link is None and node.kind in ("Reroute", HANDS_ON):
            link = next(node.links(), None)
    for name, weight in reversed(loras):
        found.put_lora(name, weight)


def _loras(graph: Graph, node: Node) -> list[tuple[Any, Any]]:
    """The LoRAs that one node loads: one, a row of switches, or a numbered list."""
    inputs = node.inputs
    found: list[tuple[Any, Any]] = []
    if "lora_name" in inputs:
        found.append(
            (graph.scalar(node, "lora_name"), graph.scalar(node, "strength_model", "lora_model_strength", "strength"))
        )
    for name, value in inputs.items():
        numbered = _NUMBERED_LORA.fullmatch(name)
        if _LORA_ROW.fullmatch(name) and isinstance(value, dict) and value.get("on"):
            found.append((value.get("lora"), value.get("strength")))
        elif numbered:
            number = numbered[1]
            found.append((value, graph.scalar(node, f"model_str_{number}", f"lora_wt_{number}", f"strength_{number}")))
    return found


def put_clip_skip(found: FoundSettings, graph: Graph, clip: Link | None) -> None:
    """Keep how many layers of CLIP are left out, told from the end there."""
    for node in graph.back_from([clip], "clip"):
        layer = graph.number(node, "stop_at_clip_layer")
        if layer is not None and layer < 0:
            found.put("clip_skip", int(-layer))
            return
