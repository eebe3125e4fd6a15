"""Describes the parameters for SwarmUI's page and clients: the answer of ListT2IParams.

Pure: what can be chosen from is handed in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sdcpp_rest.routes.swarmui.parameters import ASPECTS, GROUPS, PARAMETERS, Group, Parameter

FIXED_LISTS: dict[str, tuple[str, ...]] = {
    "aspects": (*ASPECTS, "Custom"),
    "seamless": ("false", "true"),
    "preprocessors": ("None", "Canny"),
    "video_formats": ("h264-mp4", "webm", "webp"),
    "image_formats": ("PNG", "JPG", "WEBP", "WEBP_LOSSLESS"),
    "wildcard_behaviors": ("Random", "Index"),
}
_LABELS = {
    "h264-mp4": "H.264 in MP4",
    "webm": "WebM",
    "webp": "animated WebP",
    "WEBP": "WebP",
    "WEBP_LOSSLESS": "WebP, lossless",
    "JPG": "JPEG",
}


def describe_parameters(lists: Mapping[str, Sequence[str]], labels: Mapping[str, str]) -> dict[str, Any]:
    """``list`` and ``groups`` of the answer.

    Args:
        lists: what can be chosen from, by the name that `Parameter.choices` has.
        labels: what a page shows in place of a value.
    """
    known = {**_LABELS, **labels}
    return {
        "list": [_describe(one, lists, known) for one in PARAMETERS],
        "groups": [_describe_group(one) for one in GROUPS],
    }


def _describe(one: Parameter, lists: Mapping[str, Sequence[str]], labels: Mapping[str, str]) -> dict[str, Any]:
    is_closed = one.kind == "dropdown"
    values = list(lists.get(one.choices or "", ())) if is_closed else None
    return {
        "name": one.name,
        "id": one.id,
        "description": one.description,
        "type": one.kind,
        "subtype": one.subtype,
        "default": one.default,
        "min": one.least,
        "max": one.most,
        "view_min": one.view_least,
        "view_max": one.view_most,
        "step": one.step,
        "values": values,
        "value_names": [labels.get(value, value) for value in values] if values is not None else None,
        "examples": list(one.examples) or None,
        "visible": one.is_visible,
        "advanced": one.is_advanced,
        "feature_flag": None,
        "toggleable": one.toggleable,
        "priority": one.priority,
        "group": one.group,
        "always_retain": False,
        "do_not_save": not one.is_kept,
        "do_not_preview": False,
        "view_type": one.view,
        "extra_hidden": False,
        "can_sectionalize": False,
        "nonreusable": one.id in ("images", "donotsave"),
        "depend_non_default": None,
    }


def _describe_group(one: Group) -> dict[str, Any]:
    return {
        "name": one.name,
        "id": one.id,
        "toggles": one.toggles,
        "open": one.is_open,
        "priority": one.priority,
        "description": one.description,
        "advanced": one.is_advanced,
        "can_shrink": True,
        "parent": None,
    }
