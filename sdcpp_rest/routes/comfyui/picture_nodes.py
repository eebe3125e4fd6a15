"""The nodes that bring pictures along, change and show them."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from typing import Any

from PIL import Image

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.comfyui.latent_nodes import drawn_size
from sdcpp_rest.routes.comfyui.node_types import (
    Input,
    NodeClass,
    NodeFault,
    Surroundings,
    choice,
    link,
    number,
    refuse,
    switch,
    text,
    whole,
)
from sdcpp_rest.routes.comfyui.values import DrawnPicture, EnlargedPicture, Film, GivenPicture, Mask, Output
from sdcpp_rest.services.pictures.input_images import MAX_PIXELS, decode_base64, open_picture

_IMAGE = "image"
_CHANNELS = ("alpha", "red", "green", "blue")
_FILTERS = {
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_FILTERS_OF_DRAWN = {"nearest-exact": "Nearest", "lanczos": "Lanczos"}
_USUAL_PREFIXES = frozenset({"ComfyUI", "video/ComfyUI"})
_LARGEST_SIDE = 16_384


def _bring(picture_file: bytes, input_name: str, around: Surroundings) -> tuple[Any, ...]:
    width, height = around.measure(picture_file, input_name)
    picture = GivenPicture(around.node_id, picture_file, width, height)
    return picture, Mask(picture, "alpha", (("invert", 0),))


def _load(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    return _bring(around.read_picture(inputs["image"]), "image", around)


def _load_mask(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    picture, mask = _load(inputs, around)
    return (mask if inputs["channel"] == "alpha" else Mask(picture, inputs["channel"]),)


def _read_base64(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    name = "image" if "image" in inputs else "base64_data" if "base64_data" in inputs else "mask"
    try:
        return _bring(decode_base64(name, inputs[name]), name, around)
    except InvalidRequest as error:
        raise NodeFault("custom_validation_failed", "Invalid image file", error.message, name) from None


def _read_mask_base64(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    picture, _ = _read_base64(inputs, around)
    return (Mask(picture, "red"),)


def _mask_of(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    picture = inputs["image"]
    if not isinstance(picture, GivenPicture):
        raise refuse("image must be a picture that is brought along", "image")
    return (Mask(picture, inputs["channel"]),)


def _decode(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    latent = inputs["samples"]
    if latent.drawn is None:
        raise refuse("samples were not sampled: there is nothing to draw", "samples")
    if latent.method:
        raise refuse("samples were enlarged and not sampled again: a second KSampler belongs after that", "samples")
    side, overlap = inputs.get("tile_size", 0), inputs.get("overlap", 0)
    return (DrawnPicture(around.node_id, latent, inputs["vae"], tile_size=side, tile_overlap=overlap),)


def _scale(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    picture, width, height = inputs["image"], inputs["width"], inputs["height"]
    old_width, old_height = _size_of(picture)
    if not width and not height:
        return (picture,)
    width = width or max(1, round(old_width * height / old_height))
    height = height or max(1, round(old_height * width / old_width))
    return (_scale_to(picture, width, height, inputs, around),)


def _scale_by(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    width, height = (max(1, round(side * inputs["scale_by"])) for side in _size_of(inputs["image"]))
    return (_scale_to(inputs["image"], width, height, inputs, around),)


def _scale_to_pixels(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    width, height = _size_of(inputs["image"])
    factor = (inputs["megapixels"] * 1024 * 1024 / (width * height)) ** 0.5
    return (_scale_to(inputs["image"], round(width * factor), round(height * factor), inputs, around),)


def _size_of(picture: object) -> tuple[int, int]:
    if isinstance(picture, GivenPicture):
        return picture.width, picture.height
    if isinstance(picture, DrawnPicture):
        return drawn_size(picture)
    raise refuse("image must be a picture that is brought along, or one that this graph draws", "image")


def _scale_to(picture: object, width: int, height: int, inputs: Mapping[str, Any], around: Surroundings) -> Any:
    if min(width, height) < 1 or max(width, height) > _LARGEST_SIDE or width * height > MAX_PIXELS:
        allowed = f"sides of 1 to {_LARGEST_SIDE} and {MAX_PIXELS} pixels are allowed"
        raise refuse(f"the picture would be {width}x{height}; {allowed}", "image")
    if isinstance(picture, DrawnPicture):
        if picture.scaled is not None or picture.latent.frames:
            raise refuse("image cannot be scaled again: it is drawn, and scaled once at most", "image")
        return _scale_drawn(picture, (width, height), inputs, around)
    if not isinstance(picture, GivenPicture):
        raise refuse("image must be a picture that is brought along, or one that this graph draws", "image")
    if (width, height) == (picture.width, picture.height):
        return picture
    # Both sizes count: neither may be too much to hold.
    around.measure(picture.file, "image")
    opened = open_picture("image", picture.file)
    if inputs.get("crop") == "center":
        opened = opened.crop(_middle(opened.size, width / height))
    if opened.mode not in ("RGB", "RGBA"):
        opened = opened.convert("RGBA")
    buffer = io.BytesIO()
    opened.resize((width, height), _FILTERS[inputs["upscale_method"]]).save(buffer, "PNG", compress_level=1)
    return GivenPicture(around.node_id, buffer.getvalue(), width, height)


def _scale_drawn(
    picture: DrawnPicture, size: tuple[int, int], inputs: Mapping[str, Any], around: Surroundings
) -> DrawnPicture:
    """The picture as the library's hires fix brings it to another size, which has two ways and crops nothing."""
    wanted, old = inputs["upscale_method"], drawn_size(picture)
    # What its upscaler made is brought to size by the nearest pixel, without a choice.
    has_choice = picture.upscaler is None
    used = wanted if has_choice and wanted in _FILTERS_OF_DRAWN else "lanczos" if has_choice else "nearest-exact"
    if used != wanted and size != old:
        around.note(f"upscale_method {wanted} is {used} here, where a picture is drawn again afterwards.")
    if inputs.get("crop") == "center" and size[0] * old[1] != size[1] * old[0]:
        around.note("crop has no effect here where a picture is drawn again afterwards: its proportions change.")
    return dataclasses.replace(picture, node=around.node_id, scaled=size, scaling_method=_FILTERS_OF_DRAWN[used])


def _middle(size: tuple[int, int], form: float) -> tuple[int, int, int, int]:
    """The middle of a picture, as wide as ``form`` times its height."""
    width, height = min(size[0], round(size[1] * form)), min(size[1], round(size[0] / form))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return left, top, left + max(1, width), top + max(1, height)


def _enlarge(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    picture, upscaler = inputs["image"], inputs["upscale_model"]
    if isinstance(picture, GivenPicture):
        return (EnlargedPicture(around.node_id, picture, upscaler),)
    if not isinstance(picture, DrawnPicture) or picture.upscaler is not None or picture.scaled is not None:
        raise refuse("image was enlarged or scaled before: once is what a job does", "image")
    if picture.latent.frames:
        raise refuse("image is a video's: only pictures can be enlarged", "image")
    node = around.node_id
    return (dataclasses.replace(picture, node=node, upscaler=upscaler, upscaling_node=node),)


def _show(picture: object, around: Surroundings, **more: Any) -> tuple[Any, ...]:
    if not isinstance(picture, DrawnPicture | EnlargedPicture):
        raise refuse("images are not drawn by this graph: there is nothing to do", "images")
    if isinstance(picture, DrawnPicture) and picture.scaled is not None:
        raise refuse(
            "images are scaled after they are drawn, which is not done here: give the size to the latent", "images"
        )
    is_video = isinstance(picture, DrawnPicture) and picture.latent.frames > 0
    if more.get("video_format") and not is_video:
        raise refuse("images are no video's: an empty latent of a video must be at the beginning", "images")
    if is_video:
        more.setdefault("video_format", "frames")
    return (Output(around.node_id, picture, **more),)


def _save(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    _note_prefix(inputs, around)
    return _show(inputs["images"], around)


def _note_prefix(inputs: Mapping[str, Any], around: Surroundings) -> None:
    prefix = inputs.get("filename_prefix", "ComfyUI")
    if prefix not in _USUAL_PREFIXES:
        around.note("filename_prefix has no effect here: pictures lie in the folder of their job.")


def _save_webp(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    _note_prefix(inputs, around)
    around.note("lossless, quality and method have no effect here.")
    return _show(inputs["images"], around, video_format="webp", fps=inputs["fps"])


def _save_webm(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    _note_prefix(inputs, around)
    around.note("codec and crf have no effect here.")
    return _show(inputs["images"], around, video_format="webm", fps=inputs["fps"])


def _film(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    if not isinstance(inputs["images"], DrawnPicture) or not inputs["images"].latent.frames:
        raise refuse("images are no video's: an empty latent of a video must be at the beginning", "images")
    return (Film(inputs["images"], inputs["fps"]),)


def _save_video(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    _note_prefix(inputs, around)
    return _show(inputs["video"].picture, around, video_format="mp4", fps=inputs["video"].fps)


_IMAGES = link("images", "IMAGE")
_PREFIX = text("filename_prefix", "ComfyUI", is_required=False)
_FPS = number("fps", 16.0, param="fps")
_METHOD = choice("upscale_method", tuple(_FILTERS))
_LOADED = ("IMAGE", "MASK")

PICTURE_NODES = (
    NodeClass("LoadImage", _IMAGE, "An uploaded picture.", (choice("image", "pictures"),), _LOADED, _load),
    NodeClass(
        "LoadImageMask",
        "mask",
        "A channel of an uploaded picture as a mask.",
        (choice("image", "pictures"), choice("channel", _CHANNELS)),
        ("MASK",),
        _load_mask,
    ),
    *(
        NodeClass(name, _IMAGE, "A picture as base64.", (text(field, is_long=True),), _LOADED, _read_base64)
        for name, field in (
            ("ETN_LoadImageBase64", "image"),
            ("LoadImageBase64", "image"),
            ("easy loadImageBase64", "base64_data"),
        )
    ),
    NodeClass(
        "ETN_LoadMaskBase64", _IMAGE, "A mask as base64.", (text("mask", is_long=True),), ("MASK",), _read_mask_base64
    ),
    NodeClass(
        "ImageToMask",
        "mask",
        "A channel of a picture as a mask.",
        (link("image", "IMAGE"), choice("channel", ("red", "green", "blue", "alpha"))),
        ("MASK",),
        _mask_of,
    ),
    NodeClass(
        "VAEDecode",
        "latent",
        "Makes a picture of what was sampled.",
        (link("samples", "LATENT"), link("vae", "VAE")),
        ("IMAGE",),
        _decode,
    ),
    NodeClass(
        "VAEDecodeTiled",
        "latent",
        "Makes a picture of what was sampled, piece by piece.",
        (
            link("samples", "LATENT"),
            link("vae", "VAE"),
            whole("tile_size", 512, low=64, high=4096),
            Input("overlap", "INT", 64, low=0, high=4096, is_required=False),
        ),
        ("IMAGE",),
        _decode,
    ),
    NodeClass(
        "ImageScale",
        "image/upscaling",
        "Brings a picture that is brought along to another size; one that is drawn only between two samplers.",
        (
            link("image", "IMAGE"),
            _METHOD,
            whole("width", 512, high=_LARGEST_SIDE),
            whole("height", 512, high=_LARGEST_SIDE),
            choice("crop", ("disabled", "center")),
        ),
        ("IMAGE",),
        _scale,
    ),
    NodeClass(
        "ImageScaleBy",
        "image/upscaling",
        "The same by a factor.",
        (link("image", "IMAGE"), _METHOD, number("scale_by", 1.0, low=0.01, high=8)),
        ("IMAGE",),
        _scale_by,
    ),
    NodeClass(
        "ImageScaleToTotalPixels",
        "image/upscaling",
        "The same to a number of pixels.",
        (link("image", "IMAGE"), _METHOD, number("megapixels", 1.0, low=0.01, high=16)),
        ("IMAGE",),
        _scale_to_pixels,
    ),
    NodeClass(
        "UpscaleModelLoader",
        "loaders",
        "Names an upscaler.",
        (choice("model_name", "upscale_models"),),
        ("UPSCALE_MODEL",),
        lambda inputs, around: (inputs["model_name"],),
    ),
    NodeClass(
        "ImageUpscaleWithModel",
        "image/upscaling",
        "Enlarges a picture, drawn or brought along.",
        (link("upscale_model", "UPSCALE_MODEL"), link("image", "IMAGE")),
        ("IMAGE",),
        _enlarge,
    ),
    NodeClass(
        "SaveImage",
        _IMAGE,
        "Shows pictures; the frames of a video one by one. filename_prefix has no effect.",
        (_IMAGES, _PREFIX),
        (),
        _save,
        is_output=True,
    ),
    NodeClass(
        "PreviewImage",
        _IMAGE,
        "Shows pictures as `temp`; they are kept all the same.",
        (_IMAGES,),
        (),
        lambda inputs, around: _show(inputs["images"], around, is_kept=False),
        is_output=True,
    ),
    NodeClass(
        "SaveImageWebsocket",
        "api/image",
        "Sends pictures through the WebSocket; they are kept all the same.",
        (_IMAGES,),
        (),
        lambda inputs, around: _show(inputs["images"], around, is_sent=True),
        is_output=True,
    ),
    NodeClass(
        "SaveAnimatedWEBP",
        "image/animation",
        "Makes a WebP of a video's frames.",
        (
            _IMAGES,
            _PREFIX,
            _FPS,
            switch("lossless", default=True),
            whole("quality", 80, high=100),
            choice("method", ("default", "fastest", "slowest")),
        ),
        (),
        _save_webp,
        is_output=True,
    ),
    NodeClass(
        "SaveWEBM",
        "image/video",
        "Makes a WebM of a video's frames.",
        (_IMAGES, _PREFIX, choice("codec", ("vp9", "av1")), _FPS, number("crf", 32, high=63)),
        (),
        _save_webm,
        is_output=True,
    ),
    NodeClass("CreateVideo", "image/video", "Makes a video of frames.", (_IMAGES, _FPS), ("VIDEO",), _film),
    NodeClass(
        "SaveVideo",
        "image/video",
        "Saves a video, as MP4 with H.264.",
        (link("video", "VIDEO"), _PREFIX, choice("format", ("auto", "mp4")), choice("codec", ("auto", "h264"))),
        (),
        _save_video,
        is_output=True,
    ),
)
