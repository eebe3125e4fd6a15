"""Tools over the real library: pictures that are looked at, in the content of the answers."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.e2e.conftest import ServerProcess
from tests.routes.mcp.agents import ERAS, call, facts_of, pictures_of, talk

if TYPE_CHECKING:
    from mcp import Client

pytestmark = [pytest.mark.e2e, pytest.mark.native]

RED_ON_BLUE = {"prompt": "a red circle on a blue background", "seed": 42}


def look(result: Any) -> Image.Image:
    (block,) = pictures_of(result)
    return Image.open(io.BytesIO(base64.b64decode(block.data))).convert("RGB")


def pixel(picture: Image.Image, place: tuple[int, int]) -> tuple[int, int, int]:
    red, green, blue = picture.getpixel(place)  # type: ignore[misc]
    return red, green, blue


def check_red_on_blue(picture: Image.Image) -> None:
    middle, corner = pixel(picture, (32, 32)), pixel(picture, (3, 3))
    assert middle[0] > 150 > middle[2], middle
    assert corner[2] > 150 > corner[0], corner


@pytest.mark.parametrize("era", ERAS)
def test_a_picture_is_drawn_with_the_models_own_settings_edited_and_enlarged(
    shared_server: ServerProcess, era: str
) -> None:
    told: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async def draw(client: Client) -> Any:
        return await client.call_tool("generate_image", RED_ON_BLUE, progress_callback=note)

    drawn = talk(shared_server.url, draw, era)
    facts = facts_of(drawn)
    assert (facts["width"], facts["height"], facts["seed"]) == (64, 64, 42)
    check_red_on_blue(look(drawn))
    assert any(message and message.startswith("step 12 of 12") for message in told), "12 steps are the model's own"
    edited = call(shared_server.url, "edit_image", era, **RED_ON_BLUE, image=facts["job_id"], strength=0.3)
    check_red_on_blue(look(edited))
    upscaled = call(shared_server.url, "upscale_image", era, image=facts["images"][0]["url"], upscaler="esrgan_x2")
    assert facts_of(upscaled)["width"] == 128
    check_red_on_blue(look(upscaled).resize((64, 64)))


def test_a_mask_keeps_what_is_black(shared_server: ServerProcess) -> None:
    drawn = facts_of(call(shared_server.url, "generate_image", **RED_ON_BLUE))
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 64, 16))
    file = io.BytesIO()
    mask.save(file, "PNG")
    masked = call(
        shared_server.url,
        "edit_image",
        prompt="a green background",
        image=drawn["job_id"],
        mask=base64.b64encode(file.getvalue()).decode(),
        strength=1.0,
        seed=7,
    )
    middle = pixel(look(masked), (32, 36))
    assert middle[0] > 150 > middle[2], f"the circle stays: {middle}"


def test_bad_calls_leave_the_engine_alone(shared_server: ServerProcess) -> None:
    engine = shared_server.engine().pid
    for arguments in ({"steps": 0}, {"width": 10**7}, {"sampler": "none such"}, {"cfg_scale": -5}, {"seed": -9}):
        assert call(shared_server.url, "generate_image", **{**RED_ON_BLUE, **arguments}).is_error, arguments
    assert shared_server.engine().pid == engine
