"""SwarmUI's page, from its load to a picture in its history: its calls in their order, and what it needs of each."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedOK

from sdcpp_rest.routes.swarmui import generation_socket
from tests.routes.conftest import ServedHouse
from tests.routes.swarmui.conftest import next_message

TYPES = ("Stable-Diffusion", "VAE", "LoRA", "Embedding", "ControlNet", "Clip", "ClipVision", "Wildcards")
# Without one of these, or with another JSON type, the page throws and shows no picture.
SETTINGS = {
    "theme": str, "language": str, "reuseparamexcludelist": str, "centerimagealwaysgrow": bool,
    "autoswapimagesincludesfullview": bool, "vaes": dict, "ui": dict, "autocomplete": dict,
}  # fmt: skip


class Page:
    """SwarmUI's page, as far as the server sees it."""

    def __init__(self, served: ServedHouse) -> None:
        self.served = served
        self.session = ""

    def call(self, route: str, **arguments: Any) -> dict[str, Any]:
        body = {**({"session_id": self.session} if self.session else {}), **arguments}
        shown = self.served.post(f"/API/{route}", json=body)
        assert shown.status_code == 200, shown.text
        found: dict[str, Any] = shown.json()
        assert "error" not in found, found
        return found


@pytest.mark.slow
def test_page_loads_and_draws(make_served: Callable[..., ServedHouse], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation_socket, "GRACE_SECONDS", 0.2)
    page = Page(make_served())
    # --- load ---
    opened = page.call("GetNewSession")
    page.session = opened["session_id"]
    page.call("ListImages", path="", depth=3, sortBy="Name", sortReverse=False)
    for subtype in (*TYPES, "Stable-Diffusion", "LoRA"):
        listed = page.call("ListModels", path="", depth=3, subtype=subtype, sortBy="Name", sortReverse=False)
        assert isinstance(listed["folders"], list)
    model = page.call("ListModels", path="", depth=3, subtype="Stable-Diffusion")["files"][0]
    params = page.call("ListT2IParams")
    assert set(TYPES) - {"Wildcards"} <= params["models"].keys()
    assert model["name"] in [name for name, _ in params["models"]["Stable-Diffusion"]]
    assert [one["name"] for one in page.call("ListLoadedModels")["models"]] == [model["name"]]
    user = page.call("GetMyUserData")
    assert (user["user_name"], user["presets"]) == ("local", [])
    settings = page.call("GetUserSettings")
    for name, kind in SETTINGS.items():
        assert isinstance(settings["settings"][name]["value"], kind), name
    assert settings["themes"]["modern_dark"]["css_paths"] is not None
    assert page.call("GetLanguage", language="en")["language"]["code"] == "en"
    assert page.call("GetCurrentStatus")["backend_status"]["class"] == ""
    assert page.call("TriggerRefresh", strong=False)["list"] == params["list"]
    page.call("GetMyUserData")
    page.call("GetLanguage", language="en")
    # --- a model is picked ---
    assert page.call("DescribeModel", modelName=model["name"])["model"]["name"] == model["name"]
    # --- Generate: every shown parameter, as text ---
    shown = {one["id"]: one["default"] for one in params["list"] if one["visible"] and not one["toggleable"]}
    grouped = {one["id"] for one in params["list"] if one["group"] in _toggled(params)}
    sent = {id: value for id, value in shown.items() if id not in grouped}
    sent |= {"prompt": "a red circle", "negativeprompt": "", "model": model["name"], "width": "64", "height": "64"}
    sent |= {"steps": "4", "images": "1", "presets": [], "extra_metadata": {}, "loras": [], "donotsave": False}
    seen = []
    with page.served.listen("/API/GenerateText2ImageWS") as socket, contextlib.suppress(ConnectionClosedOK):
        socket.send(json.dumps({**sent, "session_id": page.session}))
        while True:
            seen.append(next_message(socket))
    assert [message["error"] for message in seen if "error" in message] == []
    (image,) = [message for message in seen if "image" in message]
    page.call("GetCurrentStatus")
    # --- its history ---
    (listed_image,) = page.call("ListImages", path="raw", depth=3)["files"]
    assert image["image"] == f"View/local/raw/{listed_image['src']}"
    assert json.loads(listed_image["metadata"])["sui_image_params"]["steps"] == 4
    assert page.served.get(f"/{image['image']}?preview=true").headers["Content-Type"] == "image/jpeg"


def _toggled(params: dict[str, Any]) -> set[str]:
    return {group["id"] for group in params["groups"] if group["toggles"]}
