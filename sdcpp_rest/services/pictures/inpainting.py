"""Prepares pictures and masks for a model that repaints, and puts the result back where it belongs.

Pure functions over Pillow images: resize modes, mask blur, what the masked part is filled with, working on the masked
part alone. Knows no request and no engine. Sizes are (width, height) in pixels; boxes are (left, top, right, bottom).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageChops, ImageFilter, ImageOps

from sdcpp_rest.services.pictures.input_images import to_rgb

Size = tuple[int, int]
Box = tuple[int, int, int, int]
Resize = Literal["stretch", "crop", "fill"]
Filling = Literal["fill", "original", "noise", "nothing"]

# Wide blurs first: far from the edge of the mask only they reach; near it the narrow ones lie above them.
_FILL_BLURS = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2))
_HALF = 128
# In pixels. Nothing is left of a mask long before; the filter refuses radii that are no 32-bit numbers.
_WIDEST_BLUR = 1_000_000
_GREY = (127, 127, 127)


@dataclass(frozen=True)
class Repaint:
    """What to hand to the model (``picture`` and ``mask`` are of its size), and what `paste_back` needs afterwards.

    ``background`` is the untouched picture, ``keep`` how much of it stays (white: all of it), ``box`` the part of it
    that was drawn, ``None`` for the whole.
    """

    picture: Image.Image
    mask: Image.Image
    background: Image.Image
    keep: Image.Image
    box: Box | None


def resize_to(picture: Image.Image, size: Size, mode: Resize) -> Image.Image:
    """``picture`` at ``size``: stretched, cropped to its proportions, or whole with its edges drawn out."""
    if picture.size == size:
        return picture
    if mode == "stretch":
        return picture.resize(size, Image.Resampling.LANCZOS)
    if mode == "crop":
        return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    width, height = size
    scale = min(width / picture.width, height / picture.height)
    inner = picture.resize(
        (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), Image.Resampling.LANCZOS
    )
    # The outermost row and column, repeated, is less of an edge than any colour.
    whole = extend_edges(inner, size)
    whole.paste(inner, ((width - inner.width) // 2, (height - inner.height) // 2))
    return whole


def mask_of(picture: Image.Image, size: Size, *, inverted: bool = False, rounded: bool = True) -> Image.Image:
    """8-bit grey mask of ``size``, white where the picture is drawn anew.

    A picture with transparency is a mask by what is opaque, any other by its brightness. ``rounded`` makes an opacity
    all or nothing.
    """
    if picture.mode in ("RGBA", "LA") and picture.getchannel("A").getextrema() != (255, 255):
        mask = picture.getchannel("A")
        if rounded:
            mask = mask.point(lambda value: 255 if value > _HALF else 0)
    else:
        mask = picture.convert("L")
    if mask.size != size:
        mask = mask.resize(size, Image.Resampling.BILINEAR)
    return ImageOps.invert(mask) if inverted else mask


def blur(mask: Image.Image, blur_x: float, blur_y: float) -> Image.Image:
    """``mask`` with soft edges; the blurs are standard deviations in pixels."""
    if blur_x <= 0 and blur_y <= 0:
        return mask
    radii = (min(_WIDEST_BLUR, max(0, blur_x)), min(_WIDEST_BLUR, max(0, blur_y)))
    return mask.filter(ImageFilter.GaussianBlur(radii))


def part_around(mask: Image.Image, padding: int, size: Size) -> Box | None:
    """The box around what is not black, ``padding`` pixels wider on each side and of the proportions of ``size`` as far
    as the picture goes; ``None`` for a mask that is all black."""
    inner = mask.getbbox()
    if inner is None:
        return None
    left, top = max(0, inner[0] - padding), max(0, inner[1] - padding)
    right, bottom = min(mask.width, inner[2] + padding), min(mask.height, inner[3] + padding)
    wanted = size[0] / size[1]
    if (right - left) / (bottom - top) > wanted:
        top, bottom = _widen(top, bottom, round((right - left) / wanted), mask.height)
    else:
        left, right = _widen(left, right, round((bottom - top) * wanted), mask.width)
    return left, top, right, bottom


def fill(picture: Image.Image, mask: Image.Image, filling: Filling, seed: int) -> Image.Image:
    """``picture`` (RGB) with its masked part replaced before the model sees it: by the colours around it, by noise, by
    plain grey, or by nothing else."""
    if filling == "original":
        return picture
    if filling == "fill":
        return _from_around(picture, mask)
    if filling == "nothing":
        return Image.composite(Image.new("RGB", picture.size, _GREY), picture, mask)
    noise = random.Random(seed).randbytes(picture.width * picture.height * 3)
    return Image.composite(Image.frombytes("RGB", picture.size, noise), picture, mask)


def prepare_repaint(
    picture: Image.Image,
    mask: Image.Image,
    size: Size,
    *,
    resize: Resize,
    filling: Filling,
    only_masked: bool,
    padding: int,
    seed: int,
) -> Repaint:
    """A picture and its mask (of the same size, blurred already), brought to what the model is to draw.

    ``only_masked``: work on the part around the mask alone, at the whole ``size``. A mask that is all black has no such
    part, and the whole picture is taken.
    """
    box = part_around(mask, padding, size) if only_masked else None
    background = to_rgb(picture, None)
    if box is not None:
        drawn, drawn_mask = resize_to(background.crop(box), size, "fill"), resize_to(mask.crop(box), size, "fill")
        keep = ImageOps.invert(mask)
    else:
        background = drawn = resize_to(background, size, resize)
        drawn_mask = resize_to(mask, size, resize)
        # Twice as white: the blurred edge belongs to what is drawn anew, or its seam would show.
        keep = ImageOps.invert(drawn_mask.point(lambda value: min(255, value * 2)))
    return Repaint(fill(drawn, drawn_mask, filling, seed), drawn_mask, background, keep, box)


def paste_back(drawn: Image.Image, work: Repaint) -> Image.Image:
    """What the model has drawn, put back into the untouched picture."""
    canvas = work.background
    if work.box is not None:
        left, top, right, bottom = work.box
        canvas = work.background.copy()
        canvas.paste(ImageOps.fit(drawn, (right - left, bottom - top), Image.Resampling.LANCZOS), (left, top))
        return Image.composite(work.background, canvas, work.keep)
    if drawn.size != canvas.size:
        drawn = drawn.resize(canvas.size, Image.Resampling.LANCZOS)
    return Image.composite(canvas, drawn, work.keep)


def _widen(low: int, high: int, wanted: int, limit: int) -> tuple[int, int]:
    """``low`` to ``high`` made ``wanted`` long around its middle, inside 0 to ``limit``."""
    missing = max(0, wanted - (high - low))
    low -= missing // 2
    high += missing - missing // 2
    if high > limit:
        low, high = low - (high - limit), limit
    return max(0, low), min(limit, high - min(0, low))


def extend_edges(inner: Image.Image, size: Size) -> Image.Image:
    """What lies around a picture in the middle of ``size``: its outermost rows and columns, repeated."""
    width, height = size
    left, top = (width - inner.width) // 2, (height - inner.height) // 2
    # Stretched below all: where rounding leaves a gap of one pixel, there is something in it.
    whole = inner.resize(size)
    if left:
        right_side = inner.crop((inner.width - 1, 0, inner.width, inner.height))
        whole.paste(inner.crop((0, 0, 1, inner.height)).resize((left, height)), (0, 0))
        whole.paste(right_side.resize((width - left - inner.width, height)), (left + inner.width, 0))
    if top:
        low_side = inner.crop((0, inner.height - 1, inner.width, inner.height))
        whole.paste(inner.crop((0, 0, inner.width, 1)).resize((width, top)), (0, 0))
        whole.paste(low_side.resize((width, height - top - inner.height)), (0, top + inner.height))
    return whole


def _from_around(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """The masked part in the colours next to it: what is left of the picture, blurred ever less, layer upon layer."""
    hole = mask.point(lambda value: 0 if value else 255)
    left_over = picture.convert("RGBA")
    left_over.putalpha(hole)
    # With colours weighed by their opacity a blur brings in no black from the hole.
    weighed = left_over.convert("RGBa")
    layers = Image.new("RGBA", picture.size)
    for radius, times in _FILL_BLURS:
        layer = weighed.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(times):
            layers.alpha_composite(layer)
    base = Image.new("RGBA", picture.size, (*_GREY, 255))
    base.alpha_composite(layers)
    around = base.convert("RGB")
    return Image.composite(around, picture, ImageChops.invert(hole))
