"""Pictures on their way in and out of this dialect: what a request sends is made ready for the model, what was drawn
becomes the files of the answer. Knows the request and the plan; starts no job."""

from __future__ import annotations

import base64
import contextlib
import io
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Response
from PIL import Image

from sdcpp_rest.core import png_text
from sdcpp_rest.routes.a1111.errors import HTTPException, RuntimeFailure
from sdcpp_rest.routes.a1111.translation import Translation, blurs
from sdcpp_rest.routes.a1111.wire import A1111Img2Img
from sdcpp_rest.routes.http.answers import json_text
from sdcpp_rest.services.pictures import inpainting, picture_formats
from sdcpp_rest.services.pictures.input_images import (
    decode_base64,
    load_picture,
    open_picture,
    to_rgb,
    turn_upright,
)

_RESIZE: tuple[inpainting.Resize, ...] = ("stretch", "crop", "fill", "stretch")
_FILLING: tuple[inpainting.Filling, ...] = ("fill", "original", "noise", "nothing")
# Three bytes are four characters: pieces of such a length need no padding in between.
_PIECE_BYTES = 192 * 1024
_painting = threading.BoundedSemaphore(2)


@dataclass(frozen=True)
class Source:
    """What one picture starts from: role -> base64, and how the result is put back (``None``: as it is)."""

    images: Mapping[str, str]
    work: inpainting.Repaint | None = None


def refuse_addresses(*texts: str | None) -> None:
    """Pictures come in the body: this server fetches none. Raises HTTPException as those programs do."""
    for text in texts:
        if text and text[:8].lower().startswith(("http://", "https://")):
            raise HTTPException(500, "Requests not allowed")


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """Few at a time: the largest picture allowed takes some hundred megabytes."""
    with _painting:
        yield


def open_input(text: str) -> Image.Image:
    """A picture with the texts of its file; see `load_pixels`. Raises InvalidRequest, HTTPException for an address."""
    refuse_addresses(text)
    return load_picture("image", decode_base64("image", text))


def load_pixels(picture: Image.Image) -> Image.Image:
    """The pixels of `open_input`'s picture, turned as its EXIF says."""
    return turn_upright("image", picture)


def decode_picture(role: str, text: str) -> Image.Image:
    """Raises InvalidRequest naming ``role``, HTTPException for an address."""
    refuse_addresses(text)
    return open_picture(role, decode_base64(role, text))


def sources(body: A1111Img2Img, plan: Translation, size: tuple[int, int]) -> list[Source]:
    """One for each init image, brought to ``size``. Raises HTTPException, RuntimeFailure, InvalidRequest."""
    texts = body.init_images or []
    if not texts:
        raise HTTPException(404, "Init image not found")
    if len(texts) > body.batch_size and len(texts) > 1:
        raise RuntimeFailure(f"bad number of images passed: {len(texts)}; expecting {body.batch_size} or less")
    refuse_addresses(*texts, body.mask)
    return [_source(body, plan, text, size) for text in texts]


def _source(body: A1111Img2Img, plan: Translation, text: str, size: tuple[int, int]) -> Source:
    mode = _RESIZE[body.resize_mode]
    if not body.mask and mode == "stretch":
        # Submission decodes and stretches by itself.
        return Source({"init_image": text})
    with _painting:
        picture = decode_picture("init_image", text)
        if not body.mask:
            return Source({"init_image": _text(inpainting.resize_to(to_rgb(picture, None), size, mode))})
        mask = inpainting.mask_of(
            decode_picture("mask_image", body.mask),
            picture.size,
            inverted=bool(body.inpainting_mask_invert),
            rounded=body.mask_round,
        )
        work = inpainting.prepare_repaint(
            picture,
            inpainting.blur(mask, *blurs(body)),
            size,
            resize=mode,
            filling=_FILLING[body.inpainting_fill],
            only_masked=body.inpaint_full_res,
            padding=body.inpaint_full_res_padding,
            seed=plan.seed,
        )
        return Source({"init_image": _text(work.picture), "mask_image": _text(work.mask)}, work)


def finish_picture(drawn: bytes | Path, source: Source, caption: str, options: Mapping[str, Any]) -> bytes:
    """A drawn picture's file as the answer has it: put back where it belongs, in the format of ``options``."""
    form = str(options.get("samples_format", "png"))
    caption = caption if options.get("enable_pnginfo", True) else ""
    raw = drawn.read_bytes() if isinstance(drawn, Path) else drawn
    if source.work is None and form == "png" and raw.startswith(png_text.SIGNATURE):
        # The pixels stay as they were encoded: nothing is decoded, whatever their size.
        return png_text.replace_text(raw, picture_formats.KEY, caption or None)
    with _painting, Image.open(io.BytesIO(raw)) as opened:
        picture = opened.convert("RGB")
        if source.work is not None:
            picture = inpainting.paste_back(picture, source.work)
        texts = {picture_formats.KEY: caption} if caption else {}
        return picture_formats.encode(picture, form, int(options.get("jpeg_quality", 80)), texts)


def encode_preview(preview: bytes, size: tuple[int, int]) -> bytes | None:
    """A preview as a PNG of the size the picture would have had; ``None`` for one that cannot be read."""
    try:
        with _painting, Image.open(io.BytesIO(preview)) as opened:
            picture = opened.convert("RGB").resize(size, Image.Resampling.BICUBIC)
            return picture_formats.encode(picture, "png", 80, {})
    except (OSError, ValueError):
        return None


def grid(pictures: Sequence[bytes], caption: str, options: Mapping[str, Any]) -> bytes:
    """All pictures in one, in rows and columns as square as can be."""
    rows = max(1, round(math.sqrt(len(pictures))))
    columns = math.ceil(len(pictures) / rows)
    with _painting:
        opened = [Image.open(io.BytesIO(one)).convert("RGB") for one in pictures]
        width, height = opened[0].size
        whole = Image.new("RGB", (columns * width, rows * height), "black")
        for k, picture in enumerate(opened):
            whole.paste(picture, (k % columns * width, k // columns * height))
        texts = {picture_formats.KEY: caption} if caption and options.get("enable_pnginfo", True) else {}
        form = str(options.get("samples_format", "png"))
        return picture_formats.encode(whole, form, int(options.get("jpeg_quality", 80)), texts)


def pictures_answer(
    pictures: Sequence[bytes], field: str, rest: Mapping[str, Any], *, is_list: bool = True
) -> Response:
    """A JSON object with ``pictures`` as base64 under ``field`` (a list, or the only one), and ``rest``.

    Sent piece by piece: the text of a picture is larger than its file, and is never in memory as a whole.
    """
    opening, closing = (b"[", b"]") if is_list else (b"", b"")
    head = b'{"' + field.encode() + b'":' + opening
    tail = closing + b"," + json_text(dict(rest)).encode()[1:]

    def pieces() -> Iterator[bytes]:
        yield head
        for k, picture in enumerate(pictures):
            yield b',"' if k else b'"'
            view = memoryview(picture)
            for start in range(0, len(view), _PIECE_BYTES):
                yield base64.b64encode(view[start : start + _PIECE_BYTES])
            yield b'"'
        yield tail

    response = Response(pieces(), mimetype="application/json")
    texts = sum(-(-len(picture) // 3) * 4 + 2 for picture in pictures)
    response.content_length = len(head) + texts + max(0, len(pictures) - 1) + len(tail)
    return response


def _text(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
