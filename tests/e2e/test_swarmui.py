"""SwarmUI's API over the real library: the calls of its page in their order, and pictures that are looked at."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import pytest
import requests
from PIL import Image
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import connect

from tests.e2e.conftest import TIMEOUT, ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.native]

RED_ON_BLUE = "a red circle on a blue background"
# As the page sends them: everything but switches and lists is text.
SMALL = {"width": "64", "height": "64", "steps": "12", "cfgscale": "2.5", "sampler": "euler"}


class SwarmUser:
    """A session, as a client of SwarmUI's opens it."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.session = ""
        self.session = str(self.call("GetNewSession")["session_id"])

    def call(self, route: str, **arguments: Any) -> dict[str, Any]:
        shown = self.server.post(f"/API/{route}", {"session_id": self.session, **arguments})
        assert shown.status_code == 200, shown.text
        return dict(shown.json())

    def draw(self, **fields: Any) -> list[dict[str, Any]]:
        """Every message of one request by WebSocket."""
        url = self.server.url.replace("http", "ws") + "/API/GenerateText2ImageWS"
        seen: list[dict[str, Any]] = []
        with connect(url, open_timeout=TIMEOUT) as socket, contextlib.suppress(ConnectionClosedOK):
            socket.send(json.dumps({"session_id": self.session, "presets": [], "extra_metadata": {}, **fields}))
            while True:
                seen.append(json.loads(socket.recv(timeout=TIMEOUT)))
        return seen

    def picture(self, link: str) -> Image.Image:
        shown = requests.get(f"{self.server.url}/{link}", timeout=TIMEOUT)
        assert shown.status_code == 200, shown.text
        return Image.open(io.BytesIO(shown.content))


@pytest.fixture
def user(shared_server: ServerProcess) -> SwarmUser:
    return SwarmUser(shared_server)


def check_red_on_blue(picture: Image.Image) -> None:
    middle, corner = (picture.convert("RGB").getpixel(place) for place in ((32, 32), (3, 3)))
    assert isinstance(middle, tuple)
    assert isinstance(corner, tuple)
    assert middle[0] > middle[1] + 60
    assert middle[0] > middle[2] + 60
    assert corner[2] > corner[0] + 40


def test_a_picture_shows_what_the_prompt_says_and_tells_how_it_was_made(user: SwarmUser) -> None:
    seen = user.draw(images=1, prompt=RED_ON_BLUE, seed="42", **SMALL)
    (image,) = [message for message in seen if "image" in message]
    picture = user.picture(image["image"])
    check_red_on_blue(picture)
    inside = json.loads(picture.info["parameters"])["sui_image_params"]
    assert (inside["prompt"], inside["seed"], inside["steps"]) == (RED_ON_BLUE, 42, 12)
    told = json.loads(image["metadata"])
    assert told["sui_image_params"] == inside
    assert float(told["sui_extra_data"]["generation_time"].split()[0]) > 0
    previews = [message for message in seen if "preview" in message.get("gen_progress", {})]
    assert previews
    assert all(one["gen_progress"]["preview"].startswith("data:image/jpeg;base64,") for one in previews)


def test_what_is_drawn_here_is_what_the_native_api_draws(user: SwarmUser, shared_server: ServerProcess) -> None:
    (link,) = user.call("GenerateText2Image", images=1, prompt=RED_ON_BLUE, seed=7, **SMALL)["images"]
    job_id = shared_server.submit(RED_ON_BLUE, seed=7, width=64, height=64, steps=12, cfg_scale=2.5, sampler="euler")
    shared_server.wait(job_id)
    with Image.open(io.BytesIO(shared_server.picture(job_id))) as native:
        assert native.convert("RGB").tobytes() == user.picture(link).convert("RGB").tobytes()


def test_the_pages_calls_are_answered_in_their_order(user: SwarmUser) -> None:
    user.call("GenerateText2Image", images=1, prompt=RED_ON_BLUE, seed=3, **SMALL)
    listed = user.call("ListImages", path="", depth=3)
    assert listed["files"]
    params = user.call("ListT2IParams")
    assert {"prompt", "model", "sampler", "scheduler"} <= {one["id"] for one in params["list"]}
    assert "gguf" in user.call("GetCurrentStatus")["supported_features"]
    small = user.picture(f"View/local/{listed['files'][0]['src']}?preview=true")
    assert small.format == "JPEG"


def test_history_and_sessions_survive_a_restart(server: ServerProcess) -> None:
    user = SwarmUser(server)
    (link,) = user.call("GenerateText2Image", images=1, prompt=RED_ON_BLUE, seed=3, **SMALL)["images"]
    user.call("ToggleImageStarred", path=link.removeprefix("View/local/"))
    server.stop()
    server.start()
    (found,) = user.call("ListImages", path="", depth=5)["files"]
    assert found["src"] == "Starred/" + link.removeprefix("View/local/")
    check_red_on_blue(user.picture(link))
