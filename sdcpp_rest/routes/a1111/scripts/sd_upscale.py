"""Draws what the script "SD upscale" does: a picture is enlarged, cut into tiles of the request's width and height,
each tile is drawn anew, and they are put together again.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from sdcpp_rest.core.load_spec import UpscalerSpec
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.a1111 import painting
from sdcpp_rest.routes.a1111.answering import ScriptAnswer
from sdcpp_rest.routes.a1111.errors import HTTPException
from sdcpp_rest.routes.a1111.scripts.arguments import Argument, refusal
from sdcpp_rest.routes.a1111.scripts.requests import check_count, first_picture, fix_seeds
from sdcpp_rest.routes.a1111.scripts.script import (
    ONLY_IMG2IMG,
    ScriptChoices,
    ScriptStage,
    ScriptTools,
    Shot,
)
from sdcpp_rest.routes.a1111.scripts.tiles import Tiling, plan_tiles
from sdcpp_rest.routes.a1111.translate import PictureCall
from sdcpp_rest.routes.a1111.wire import A1111Img2Img, A1111Request
from sdcpp_rest.services.pictures.input_images import to_rgb
from sdcpp_rest.services.submission.picture_enlarging import Enlargement, Resampler
from sdcpp_rest.services.submission.picture_rounds import PictureKind

TITLE = "SD upscale"
_OVERLAP_PLACE, _FACTOR_PLACE = 1, 3
_NOTE = "Enlarges the picture by the scale factor; width and height are the size of the tiles."


class SdUpscale:
    """Draws a picture anew and larger, tile by tile."""

    title = TITLE
    kinds = ONLY_IMG2IMG

    def arguments(self, kind: PictureKind, choices: ScriptChoices) -> tuple[Argument, ...]:
        return (
            Argument("info", "", "note", _NOTE),
            Argument("overlap", "Tile overlap", "whole", 64, 0, 256, 16),
            Argument("upscaler_index", "Upscaler", "index", 0, choices=tuple(choices.upscalers())),
            Argument("scale_factor", "Scale Factor", "real", 2.0, 1.0, 4.0, 0.05),
        )

    def prepare(self, body: A1111Request, given: Mapping[str, Any], tools: ScriptTools) -> UpscaleRun:
        if not isinstance(body, A1111Img2Img) or not body.init_images:
            raise HTTPException(404, "Init image not found")
        batch, repeats = body.batch_size, body.n_iter
        body = fix_seeds(body).model_copy(update={"n_iter": 1, "batch_size": 1, **first_picture(body)})
        name = tools.choices.upscalers()[given["upscaler_index"]]
        call = tools.translate(body)
        with painting.at_work():
            picture = to_rgb(painting.decode_picture("init_image", (body.init_images or [""])[0]), None)
        upscaler = tools.enlarging.upscaler(name)
        size = picture.size
        if upscaler is not None:
            try:
                size = tools.enlarging.size_after(picture.size, Enlargement(factor=given["scale_factor"]))
            except InvalidRequest as error:
                raise refusal(_FACTOR_PLACE, f"{TITLE}: scale_factor: {error.message}") from None
        if given["overlap"] >= min(call.size):
            width, height = call.size
            raise refusal(
                _OVERLAP_PLACE,
                f"{TITLE}: overlap is {given['overlap']}; it must be smaller than a tile ({width}x{height})",
            )
        tiling = plan_tiles(size, call.size, given["overlap"])
        check_count(TITLE, len(tiling) * repeats, tools, f"{len(tiling)} tiles x n_iter {repeats}")
        told = {"SD upscale overlap": given["overlap"], "SD upscale upscaler": name}
        call.plan.pairs |= told
        plan = UpscalePlan(picture, upscaler, given["scale_factor"], tiling, batch, repeats, told)
        return UpscaleRun(body, call, plan, tools)


@dataclass(frozen=True)
class UpscalePlan:
    """What is enlarged and how, and the tiles: ``batch`` at a time, all of them ``repeats`` times. ``told`` is what
    texts say of it."""

    picture: Image.Image
    upscaler: UpscalerSpec | Resampler | None
    factor: float
    tiling: Tiling
    batch: int
    repeats: int
    told: Mapping[str, Any]


class UpscaleRun:
    """One picture, ready to be enlarged and drawn anew."""

    def __init__(self, body: A1111Img2Img, call: PictureCall, plan: UpscalePlan, tools: ScriptTools) -> None:
        self._body = body
        self._call = call
        self._plan = plan
        self._tools = tools

    @property
    def call(self) -> PictureCall:
        return self._call

    @property
    def count(self) -> int:
        return int(isinstance(self._plan.upscaler, UpscalerSpec)) + len(self._plan.tiling) * self._plan.repeats

    def draw(self, stage: ScriptStage) -> ScriptAnswer:
        answer = ScriptAnswer()
        enlarged: Image.Image | None = self._plan.picture
        if self._plan.upscaler is not None:
            enlarged = stage.enlarge(self._plan.picture, self._plan.upscaler, self._plan.factor)
        if enlarged is None:
            return answer
        tiles = self._plan.tiling.cut(enlarged)
        shots = [self._shot(tile, k, turn) for turn in range(self._plan.repeats) for k, tile in enumerate(tiles)]
        drawn = stage.draw_all(shots)
        for turn in range(self._plan.repeats):
            finished = {
                k: one.pictures[0]
                for k, one in enumerate(drawn[turn * len(tiles) : (turn + 1) * len(tiles)])
                if one is not None and one.is_finished
            }
            if not finished:
                continue
            # A tile that was not drawn is what it was enlarged to.
            with painting.at_work():
                parts = [_open(finished[k].png) if k in finished else tile for k, tile in enumerate(tiles)]
                whole = self._plan.tiling.join(parts)
            first = finished[min(finished)]
            answer.pictures.append(stage.encode_image(whole, first.text))
            answer.infotexts.append(first.text)
            answer.facts.append(first.facts)
        return answer

    def _shot(self, tile: Image.Image, number: int, turn: int) -> Shot:
        # A batch counts on from the seed of the batch before, and within itself.
        seed = self._body.seed + turn + number // self._plan.batch + number % self._plan.batch
        body = self._body.model_copy(update={"init_images": [_text(tile)], "seed": seed})
        call = self._tools.translate(body)
        call.plan.pairs |= self._plan.told
        return Shot(call)


def _open(png: bytes) -> Image.Image:
    with Image.open(io.BytesIO(png)) as picture:
        pixels: Image.Image = picture.convert("RGB")
        return pixels


def _text(tile: Image.Image) -> str:
    buffer = io.BytesIO()
    tile.save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
