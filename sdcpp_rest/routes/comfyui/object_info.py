"""Describes the classes of nodes that work, with the lists that this server has: what pages build their forms of.

Pure but for the lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.routes.comfyui.node_types import SCALARS, Input, NodeClass
from sdcpp_rest.routes.comfyui.nodes import NODES

Words = Callable[[str], Sequence[str]]


def describe_classes(words: Words, limits: LimitsConfig) -> dict[str, Any]:
    """All classes by their names. ``words``: a list by its name."""
    lists: dict[str, Sequence[str]] = {}

    def read_once(name: str) -> Sequence[str]:
        if name not in lists:
            lists[name] = words(name)
        return lists[name]

    return {one.name: describe_class(one, read_once, limits) for one in NODES}


def describe_class(one: NodeClass, words: Words, limits: LimitsConfig) -> dict[str, Any]:
    """One class as ComfyUI's pages read it."""
    required = {each.name: _describe_input(each, words, limits) for each in one.inputs if each.is_required}
    optional = {each.name: _describe_input(each, words, limits) for each in one.inputs if not each.is_required}
    order = {"required": [*required], **({"optional": [*optional]} if optional else {})}
    return {
        "input": {"required": required, **({"optional": optional} if optional else {})},
        "input_order": order,
        "output": list(one.outputs),
        "output_is_list": [False] * len(one.outputs),
        "output_name": list(one.names or one.outputs),
        "name": one.name,
        "display_name": one.name,
        "description": one.description,
        "python_module": "nodes",
        "category": one.category,
        "output_node": one.is_output,
    }


def _describe_input(one: Input, words: Words, limits: LimitsConfig) -> list[Any]:
    if one.type == "COMBO":
        choices = list(words(one.choices) if isinstance(one.choices, str) else one.choices)
        more: dict[str, Any] = {} if one.default is None else {"default": one.default}
        if one.choices == "pictures":
            more["image_upload"] = True
        return [choices, more] if more else [choices]
    if one.type not in SCALARS:
        return [one.type]
    about: dict[str, Any] = {"default": one.default}
    if one.type in ("INT", "FLOAT"):
        low, high = one.span(limits)
        about |= {"min": _number(low, one), "max": _number(high, one)}
        about["default"] = min(max(one.default, about["min"]), about["max"])
    if one.type == "STRING" and one.is_long_text:
        about["multiline"] = True
    return [one.type, about]


def _number(value: float, one: Input) -> int | float:
    return int(value) if one.type == "INT" else value


def describe_machine(memory: Mapping[str, Any], version: str, python: str, system: str) -> dict[str, Any]:
    """The answer of GET /system_stats, of what `ServerStatus.memory` measured."""
    devices = [
        {
            "name": device["description"] or device["name"],
            "type": "cuda" if device["is_gpu"] else "cpu",
            "index": index,
            "vram_total": device["total_bytes"] or memory["system"]["total_bytes"],
            "vram_free": device["free_bytes"] or memory["system"]["free_bytes"],
            "torch_vram_total": 0,
            "torch_vram_free": 0,
        }
        for index, device in enumerate(memory["devices"])
    ]
    return {
        "system": {
            "os": system,
            "ram_total": memory["system"]["total_bytes"],
            "ram_free": memory["system"]["free_bytes"],
            "comfyui_version": f"sdcpp-rest {version}",
            "python_version": python,
            "pytorch_version": "",
            "embedded_python": False,
            "argv": [],
        },
        "devices": devices,
    }
