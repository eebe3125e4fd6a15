"""AUTOMATIC1111's scripts over the real library: a client from the package index runs them with the demo model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import webuiapi
from PIL import Image

from tests.e2e.conftest import ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.native]

RED_ON_BLUE = "a red circle on a blue background"
SMALL = {"width": 64, "height": 64, "steps": 12, "cfg_scale": 2.5, "sampler_name": "Euler", "seed": 42}
NO_AXIS: list[Any] = [0, "", []]
# draw_legend, include_lone_images, include_sub_grids, no_fixed_seeds, vary_seeds_x, _y, _z, margin_size, csv_mode
USUAL: list[Any] = [True, True, False, False, False, False, False, 4, False]


@pytest.fixture
def api(shared_server: ServerProcess) -> Iterator[Any]:
    api = webuiapi.WebUIApi(baseurl=f"{shared_server.url}/sdapi/v1")
    yield api
    api.session.close()


def keep(name: str, picture: Image.Image) -> None:
    """For somebody to look at, where they say."""
    folder = os.environ.get("KEEP_GRIDS")
    if folder:
        picture.save(Path(folder) / f"{name}.png")


def middle(picture: Image.Image) -> tuple[int, int, int]:
    red, green, blue = picture.convert("RGB").getpixel((picture.width // 2, picture.height // 2))  # type: ignore[misc]
    return red, green, blue


def cells(grid: Image.Image, columns: int, rows: int, margin: int) -> list[Image.Image]:
    """The cells of a grid of 64 x 64 pixels each: they end at its right and lower edge."""
    left = grid.width - columns * 64 - (columns - 1) * margin
    top = grid.height - rows * 64 - (rows - 1) * margin
    places = [
        (left + column * (64 + margin), top + row * (64 + margin)) for row in range(rows) for column in range(columns)
    ]
    return [grid.crop((x, y, x + 64, y + 64)).convert("RGB") for x, y in places]


def test_scripts_are_listed(api: Any) -> None:
    assert api.get_scripts()["txt2img"] == ["prompt matrix", "prompts from file or textbox", "x/y/z plot"]
    told = api.custom_get("sdapi/v1/script-info")
    assert {"loopback", "sd upscale"} <= {one["name"] for one in told if one["is_img2img"]}


def test_a_plot(api: Any) -> None:
    labels = api.custom_get("sdapi/v1/script-info")[2]["args"][0]["choices"]
    args = [labels.index("Prompt S/R"), "red,green", [], labels.index("Seed"), "42-43", [], *NO_AXIS, *USUAL]
    result = api.txt2img(prompt=RED_ON_BLUE, script_name="X/Y/Z plot", script_args=args, **SMALL)
    grid, *pictures = result.images
    keep("plot", grid)
    assert result.info["all_seeds"] == [42, 42, 43, 43]
    for cell, picture in zip(cells(grid, 2, 2, 4), pictures, strict=True):
        assert cell.tobytes() == picture.convert("RGB").tobytes()
    red, green = middle(pictures[0]), middle(pictures[1])
    assert red[0] > red[1] + 60
    assert green[1] > green[0] + 30
    alone = api.txt2img(prompt=RED_ON_BLUE, **{**SMALL, "seed": 43})
    assert alone.image.tobytes() == pictures[2].tobytes(), "a cell is what a plain call draws"
    found = api.png_info(grid).parameters
    assert (found["Script"], found["X Type"], found["Y Values"]) == ("X/Y/Z plot", "Prompt S/R", "42-43")


def test_a_matrix(api: Any) -> None:
    args = [False, False, "positive", "space", 0]
    prompt = "a red circle|on a blue background"
    result = api.txt2img(prompt=prompt, script_name="prompt matrix", script_args=args, **SMALL)
    grid, *pictures = result.images
    keep("matrix", grid)
    assert result.info["all_prompts"] == ["a red circle", RED_ON_BLUE]
    assert [cell.tobytes() for cell in cells(grid, 2, 1, 0)] == [one.convert("RGB").tobytes() for one in pictures]


def test_prompts_from_lines(api: Any) -> None:
    lines = f'{RED_ON_BLUE}\n--prompt "a green circle on a red background" --steps 8 --seed 3'
    args = [False, False, "start", lines]
    result = api.txt2img(prompt="", script_name="Prompts from file or textbox", script_args=args, **SMALL)
    assert result.info["all_seeds"] == [42, 3]
    assert "Steps: 8" in result.info["infotexts"][1]
    assert middle(result.images[0])[0] > middle(result.images[1])[0] + 60


def test_a_loopback(api: Any) -> None:
    start = Image.new("RGB", (64, 64), (0, 60, 200))
    result = api.img2img(
        images=[start], prompt=RED_ON_BLUE, denoising_strength=0.9, script_name="Loopback",
        script_args=[3, 0.4, "Linear", "None"], **SMALL,
    )  # fmt: skip
    grid, *pictures = result.images
    keep("loopback", grid)
    assert (grid.size, len(pictures)) == ((192, 64), 3)
    assert result.info["all_seeds"] == [42, 43, 44]
    red = middle(pictures[-1])
    assert red[0] > red[2] + 60


@pytest.mark.parametrize("upscaler", ["Lanczos", "esrgan_x2"])
def test_an_upscaling_in_tiles(api: Any, upscaler: str) -> None:
    start = api.txt2img(prompt=RED_ON_BLUE, **SMALL).image.convert("RGB")
    result = api.img2img(
        images=[start], prompt=RED_ON_BLUE, denoising_strength=0.2, script_name="sd upscale",
        script_args=["", 16, upscaler, 2.0], **SMALL,
    )  # fmt: skip
    picture = result.image.convert("RGB")
    keep(f"upscale_{upscaler}", picture)
    assert picture.size == (128, 128)
    red = middle(picture)
    assert red[0] > red[2] + 60, "it is still the same picture"
    assert picture.tobytes() != start.resize((128, 128), Image.Resampling.LANCZOS).tobytes()
    assert f"SD upscale upscaler: {upscaler}" in result.info["infotexts"][0]
