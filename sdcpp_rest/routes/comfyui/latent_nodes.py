"""The nodes that make latents: empty ones, those of pictures, masked and enlarged ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sdcpp_rest.core.load_spec import FileRef
from sdcpp_rest.routes.comfyui.node_types import (
    Evaluate,
    Input,
    NodeClass,
    Surroundings,
    choice,
    link,
    number,
    refuse,
    whole,
)
from sdcpp_rest.routes.comfyui.values import Autoencoder, DrawnPicture, GivenPicture, Latent, Mask
from sdcpp_rest.services.model_headers.autoencoders import upscale_factor

_GRID = 8
LATENT_METHODS = {
    "nearest-exact": "Latent (nearest-exact)",
    "bilinear": "Latent",
    "bicubic": "Latent (bicubic)",
}
"""How a latent is enlarged, as the library calls it."""
_CROPS = ("disabled",)
_MOST_GROWN = 256
_MOST_MASK_STEPS = 16


def _make_empty(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    return (Latent(around.node_id, inputs["width"], inputs["height"], inputs["batch_size"]),)


def _make_empty_video(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    return (_video_latent(inputs, around),)


def _video_latent(inputs: Mapping[str, Any], around: Surroundings) -> Latent:
    if inputs["batch_size"] != 1:
        raise refuse("batch_size must be 1: one job makes one video", "batch_size", inputs["batch_size"])
    return Latent(around.node_id, inputs["width"], inputs["height"], frames=inputs["length"])


def _start_video(inputs: Mapping[str, Any], around: Surroundings) -> Latent:
    picture = inputs.get("start_image")
    if picture is not None and not isinstance(picture, GivenPicture):
        raise refuse("start_image must be a picture that is brought along", "start_image")
    return dataclasses.replace(_video_latent(inputs, around), picture=picture, vae=inputs["vae"])


def _start_wan(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    return inputs["positive"], inputs["negative"], _start_video(inputs, around)


def _start_wan_22(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    return (_start_video(inputs, around),)


def _encode(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    picture = inputs["pixels"]
    if isinstance(picture, DrawnPicture):
        return (_encode_drawn(picture, inputs["vae"], around),)
    return (_encode_given(picture, inputs["vae"], around),)


def _encode_given(picture: object, vae: Any, around: Surroundings) -> Latent:
    if not isinstance(picture, GivenPicture):
        raise refuse("pixels must be a picture that is brought along, or one that this graph draws", "pixels")
    width, height = (max(_GRID, side // _GRID * _GRID) for side in (picture.width, picture.height))
    return Latent(around.node_id, width, height, picture=picture, vae=vae)


def _encode_drawn(picture: DrawnPicture, vae: Autoencoder, around: Surroundings) -> Latent:
    """Between two samplers: the library's hires fix, in pixels."""
    latent = dataclasses.replace(picture.latent, vae=vae)
    if vae.source != picture.vae.source:
        raise refuse("pixels were decoded by another autoencoder: one must do both", "vae")
    if latent.method or latent.frames:
        raise refuse("pixels must be a picture of one sampler for this", "pixels")
    if picture.upscaler is None and picture.scaled is None:
        return dataclasses.replace(latent, node=around.node_id)
    width, height = (max(_GRID, side // _GRID * _GRID) for side in drawn_size(picture))
    method = picture.upscaler.name if picture.upscaler is not None else picture.scaling_method
    return dataclasses.replace(latent, node=around.node_id, width=width, height=height, method=method)


def drawn_size(picture: DrawnPicture) -> tuple[int, int]:
    """Width and height that a picture will have, as far as its upscaler's header tells."""
    if picture.scaled is not None:
        return picture.scaled
    file = picture.upscaler
    factor = upscale_factor(FileRef(name=file.name, path=file.path)) if file is not None else 1
    return picture.latent.width * factor, picture.latent.height * factor


def _encode_for_inpainting(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    grown = _change_mask(inputs["mask"], "grow", inputs["grow_mask_by"])
    return (dataclasses.replace(_encode_given(inputs["pixels"], inputs["vae"], around), mask=grown),)


def _mask(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    latent = inputs["samples"]
    if latent.picture is None or latent.drawn is not None:
        raise refuse("samples must be the latent of a picture (VAEEncode): nothing else can be masked", "samples")
    return (dataclasses.replace(latent, mask=inputs["mask"]),)


def _repeat(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    latent = inputs["samples"]
    if latent.drawn is not None or latent.frames:
        raise refuse("samples must not be sampled yet", "samples")
    return (dataclasses.replace(latent, batch=latent.batch * inputs["amount"]),)


def _enlarge(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    latent: Latent = inputs["samples"]
    width, height = inputs["width"], inputs["height"]
    if not width and not height:
        return (latent,)
    # One of them left out follows the other.
    width = width or max(_GRID, round(latent.width * height / latent.height / _GRID) * _GRID)
    height = height or max(_GRID, round(latent.height * width / latent.width / _GRID) * _GRID)
    return (_enlarge_to(latent, width, height, inputs["upscale_method"], around),)


def _enlarge_by(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    latent: Latent = inputs["samples"]
    sides = (round(side * inputs["scale_by"] / _GRID) * _GRID for side in (latent.width, latent.height))
    width, height = (max(_GRID, side) for side in sides)
    return (_enlarge_to(latent, width, height, inputs["upscale_method"], around),)


def _enlarge_to(latent: Latent, width: int, height: int, method: str, around: Surroundings) -> Latent:
    if latent.drawn is None:
        if latent.picture is None:
            return dataclasses.replace(latent, node=around.node_id, width=width, height=height)
        raise refuse("samples must be sampled: scale the picture itself (ImageScale) before VAEEncode", "samples")
    if latent.method:
        raise refuse("samples were enlarged before: once is what the hires fix does", "samples")
    if latent.drawn.start.method or latent.frames:
        raise refuse("samples went through two samplers already", "samples")
    return dataclasses.replace(latent, node=around.node_id, width=width, height=height, method=LATENT_METHODS[method])


def _invert(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    return (_change_mask(inputs["mask"], "invert", 0),)


def _grow(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    return (_change_mask(inputs["mask"], "grow", inputs["expand"]),)


def _change_mask(mask: Mask, step: str, amount: int) -> Mask:
    """``mask`` with one more step; what changes nothing is left out, and two turns are none."""
    if step == "grow" and not amount:
        return mask
    if step == "invert" and mask.steps and mask.steps[-1][0] == "invert":
        return dataclasses.replace(mask, steps=mask.steps[:-1])
    if len(mask.steps) >= _MOST_MASK_STEPS:
        raise refuse(f"a mask can be changed {_MOST_MASK_STEPS} times", "mask")
    return dataclasses.replace(mask, steps=(*mask.steps, (step, amount)))


_SIZE = (whole("width", 512, param="width"), whole("height", 512, param="height"))
_BATCH = whole("batch_size", 1, param="batch_count")
_LENGTH = whole("length", 33, param="video_frames")
_METHOD = choice("upscale_method", tuple(LATENT_METHODS))
_VIDEO = (whole("width", 832, param="width"), whole("height", 480, param="height"), _LENGTH, _BATCH)


def _empty(name: str, description: str, inputs: tuple[Input, ...], evaluate: Evaluate) -> NodeClass:
    return NodeClass(name, "latent", description, inputs, ("LATENT",), evaluate)


LATENT_NODES = (
    *(
        _empty(name, "How large the pictures are, and how many.", (*_SIZE, _BATCH), _make_empty)
        for name in ("EmptyLatentImage", "EmptySD3LatentImage", "EmptyFlux2LatentImage")
    ),
    *(
        _empty(name, "How large a video is, and how many frames it has.", _VIDEO, _make_empty_video)
        for name in ("EmptyHunyuanLatentVideo", "EmptyHunyuanVideo15Latent")
    ),
    NodeClass(
        "WanImageToVideo",
        "conditioning/video_models",
        "How large a video is, and the picture it starts with.",
        (
            link("positive", "CONDITIONING"),
            link("negative", "CONDITIONING"),
            link("vae", "VAE"),
            *_VIDEO,
            link("start_image", "IMAGE", is_required=False),
        ),
        ("CONDITIONING", "CONDITIONING", "LATENT"),
        _start_wan,
        ("positive", "negative", "latent"),
    ),
    NodeClass(
        "Wan22ImageToVideoLatent",
        "conditioning/video_models",
        "How large a video is, and the picture it starts with.",
        (link("vae", "VAE"), *_VIDEO, link("start_image", "IMAGE", is_required=False)),
        ("LATENT",),
        _start_wan_22,
    ),
    NodeClass(
        "VAEEncode",
        "latent",
        "Starts from a picture; one that the graph draws and enlarges before goes through the hires fix.",
        (link("pixels", "IMAGE"), link("vae", "VAE")),
        ("LATENT",),
        _encode,
    ),
    NodeClass(
        "VAEEncodeForInpaint",
        "latent/inpaint",
        "Starts from a picture of which the masked part is drawn anew.",
        (
            link("pixels", "IMAGE"),
            link("vae", "VAE"),
            link("mask", "MASK"),
            whole("grow_mask_by", 6, high=_MOST_GROWN),
        ),
        ("LATENT",),
        _encode_for_inpainting,
    ),
    NodeClass(
        "SetLatentNoiseMask",
        "latent/inpaint",
        "Lets only the masked part of a picture be drawn anew.",
        (link("samples", "LATENT"), link("mask", "MASK")),
        ("LATENT",),
        _mask,
    ),
    NodeClass(
        "RepeatLatentBatch",
        "latent/batch",
        "Draws several pictures of one latent.",
        (link("samples", "LATENT"), whole("amount", 1, param="batch_count")),
        ("LATENT",),
        _repeat,
    ),
    NodeClass(
        "LatentUpscale",
        "latent",
        "Enlarges between two samplers: the hires fix.",
        (
            link("samples", "LATENT"),
            _METHOD,
            whole("width", 512, high=16_384),
            whole("height", 512, high=16_384),
            choice("crop", _CROPS, is_required=False),
        ),
        ("LATENT",),
        _enlarge,
    ),
    NodeClass(
        "LatentUpscaleBy",
        "latent",
        "Enlarges between two samplers: the hires fix.",
        (link("samples", "LATENT"), _METHOD, number("scale_by", 1.5, param="hires_scale")),
        ("LATENT",),
        _enlarge_by,
    ),
    NodeClass("InvertMask", "mask", "Turns a mask around.", (link("mask", "MASK"),), ("MASK",), _invert),
    NodeClass(
        "GrowMask",
        "mask",
        "Grows a mask on all sides, or shrinks it.",
        (link("mask", "MASK"), whole("expand", 0, low=-_MOST_GROWN, high=_MOST_GROWN)),
        ("MASK",),
        _grow,
    ),
)
