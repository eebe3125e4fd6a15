from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.cases import for_each_case
from tests.routes.a1111.pictures import SMALL, plain
from tests.routes.a1111.scripts.calls import plot_args, run

IN_TXT2IMG = ["prompt matrix", "prompts from file or textbox", "x/y/z plot"]
IN_IMG2IMG = ["loopback", "prompt matrix", "prompts from file or textbox", "sd upscale", "x/y/z plot"]


def described(client: FlaskClient, name: str, is_img2img: bool = True) -> list[dict[str, Any]]:
    told = client.get("/sdapi/v1/script-info").get_json()
    (found,) = [one for one in told if (one["name"], one["is_img2img"]) == (name, is_img2img)]
    assert found["is_alwayson"] is False
    return list(found["args"])


def test_scripts_are_listed_by_the_calls_that_have_them(shared_client: FlaskClient) -> None:
    assert shared_client.get("/sdapi/v1/scripts").get_json() == {"txt2img": IN_TXT2IMG, "img2img": IN_IMG2IMG}
    told = shared_client.get("/sdapi/v1/script-info").get_json()
    assert [one["name"] for one in told if not one["is_img2img"]] == IN_TXT2IMG
    assert [one["name"] for one in told if one["is_img2img"]] == IN_IMG2IMG


@for_each_case(
    ("name", "labels", "values"),
    [
        ("loopback", ["Loops", "Final denoising strength", "Denoising strength curve",
                      "Append interrogated prompt at each iteration"], [4, 0.5, "Linear", "None"]),
        ("prompt matrix", ["Put variable parts at start of prompt", "Use different seed for each picture",
                           "Select prompt", "Select joining char", "Grid margins (px)"],
         [False, False, "positive", "comma", 0]),
        ("prompts from file or textbox", ["Iterate seed every line", "Use same random seed for all lines",
                                          "Insert prompts at the", "List of prompt inputs"],
         [False, False, "start", ""]),
        ("x/y/z plot", ["X type", "X values", "X values", "Y type", "Y values", "Y values", "Z type", "Z values",
                        "Z values", "Draw legend", "Include Sub Images", "Include Sub Grids", "Keep -1 for seeds",
                        "Vary seeds for X", "Vary seeds for Y", "Vary seeds for Z", "Grid margins (px)",
                        "Use text inputs instead of dropdowns"],
         ["Seed", "", [], "Nothing", "", [], "Nothing", "", [], True, False, False, False, False, False, False, 0,
          False]),
    ],
)  # fmt: skip
def test_arguments_are_told_in_order(
    shared_client: FlaskClient, name: str, labels: list[str], values: list[Any]
) -> None:
    args = described(shared_client, name)
    assert [one["label"] for one in args] == labels
    assert [one["value"] for one in args] == values


def test_the_arguments_of_upscaling(shared_client: FlaskClient) -> None:
    info, overlap, upscaler, factor = described(shared_client, "sd upscale")
    assert info["label"] == ""
    assert overlap == {
        "label": "Tile overlap", "value": 64, "minimum": 0, "maximum": 256, "step": 16, "choices": None,
    }  # fmt: skip
    assert factor == {
        "label": "Scale Factor", "value": 2.0, "minimum": 1.0, "maximum": 4.0, "step": 0.05, "choices": None,
    }  # fmt: skip
    there = [row["name"] for row in shared_client.get("/sdapi/v1/upscalers").get_json()]
    assert (upscaler["value"], upscaler["choices"]) == ("None", there)
    assert "esrgan_x2" in there


def test_axes_are_told_for_each_kind_of_call(shared_client: FlaskClient) -> None:
    assert described(shared_client, "x/y/z plot", is_img2img=False)[0]["choices"][5] == "Hires steps"
    assert described(shared_client, "x/y/z plot", is_img2img=True)[0]["choices"][5] == "CFG Scale"


@for_each_case(
    ("path", "name"),
    [("txt2img", "sd upscale"), ("txt2img", "Loopback"), ("txt2img", "nope"), ("img2img", "Custom code")],
)
def test_a_script_that_is_not_there(shared_client: FlaskClient, path: str, name: str) -> None:
    body = {"script_name": name, "script_args": [], "init_images": [plain()], **SMALL}
    answer = shared_client.post(f"/sdapi/v1/{path}", json=body)
    assert (answer.status_code, answer.get_json()["detail"]) == (422, f"Script '{name}' not found")


@pytest.mark.parametrize("name", ["x/y/z plot", "X/Y/Z plot", "X/Y/Z PLOT"])
def test_names_are_found_in_whatever_case(client: FlaskClient, name: str) -> None:
    assert len(run(client, "txt2img", name, plot_args())["images"]) == 1


def test_what_a_page_shows_can_be_sent_back(client: FlaskClient) -> None:
    values = [one["value"] for one in described(client, "sd upscale")]
    body = run(client, "img2img", "sd upscale", values, init_images=[plain(size=(64, 64))], width=128, height=128)
    assert len(body["images"]) == 1


@pytest.mark.parametrize("name", [None, "", "None", "none"])
def test_no_script(client: FlaskClient, name: str | None) -> None:
    answer = client.post("/sdapi/v1/txt2img", json={**SMALL, "script_name": name, "script_args": [1, None]})
    assert answer.status_code == 200
    assert len(answer.get_json()["images"]) == 1
