from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.services.pictures.picture_formats import texts_of
from tests.cases import for_each_case
from tests.routes.a1111.pictures import got, plain, told
from tests.routes.a1111.scripts.calls import complaint, run
from tests.routes.conftest import House

NAME = "Prompt matrix"
PROMPT = "a cat|in a hat, |at night"
USUAL = [False, False, "positive", "comma", 0]


def test_every_combination_is_drawn_and_a_grid_comes_first(client: FlaskClient) -> None:
    body = run(client, "txt2img", NAME, USUAL, prompt=PROMPT, width=64, height=64)
    info = told(body)
    assert info["all_prompts"] == ["a cat", "a cat, in a hat", "a cat, at night", "a cat, in a hat, at night"]
    assert info["all_seeds"] == [7] * 4
    assert (info["prompt"], info["seed"], info["index_of_first_image"]) == ("a cat", 7, 1)
    grid, *pictures = [got(text) for text in body["images"]]
    assert len(pictures) == 4
    assert [texts_of(one)["parameters"] for one in (grid, *pictures)] == info["infotexts"]
    assert info["infotexts"][0] == info["infotexts"][1]
    left, top = grid.width - 128, grid.height - 128
    assert left == 48, "texts to the left"
    assert top > 0, "texts above"
    for k, picture in enumerate(pictures):
        place = left + k % 2 * 64, top + k // 2 * 64
        cell = grid.crop((*place, place[0] + 64, place[1] + 64))
        assert cell.tobytes() == picture.convert("RGB").tobytes()


@pytest.mark.parametrize(
    ("args", "prompts"),
    [
        ([True, False, "positive", "comma", 0], ["cat", "red, cat"]),
        ([False, False, "positive", "space", 0], ["cat", "cat red"]),
        ([True, False, "positive", "space", 0], ["cat", "red cat"]),
    ],
)
def test_parts_are_joined_as_is_asked(client: FlaskClient, args: list[Any], prompts: list[str]) -> None:
    assert told(run(client, "txt2img", NAME, args, prompt="cat|red"))["all_prompts"] == prompts


def test_seeds_may_differ(client: FlaskClient) -> None:
    info = told(run(client, "txt2img", NAME, [False, True, "positive", "comma", 0], prompt=PROMPT))
    assert info["all_seeds"] == [7, 8, 9, 10]
    info = told(run(client, "txt2img", NAME, USUAL, prompt=PROMPT, seed=-1))
    assert len(set(info["all_seeds"])) == 1
    assert info["seed"] >= 0


def test_the_negative_prompt_may_be_the_one(client: FlaskClient) -> None:
    args = [False, False, "negative", "comma", 0]
    info = told(run(client, "txt2img", NAME, args, prompt="a|b", negative_prompt="ugly|blurry"))
    assert info["all_prompts"] == ["a|b"] * 2
    assert info["all_negative_prompts"] == ["ugly", "ugly, blurry"]


def test_margins(client: FlaskClient) -> None:
    sizes = [
        got(run(client, "txt2img", NAME, [*USUAL[:4], margin], prompt="a|b|c")["images"][0]).size for margin in (0, 10)
    ]
    assert sizes[1] == (sizes[0][0] + 10, sizes[0][1] + 10)


def test_a_prompt_without_parts_is_one_picture(client: FlaskClient) -> None:
    body = run(client, "txt2img", NAME, USUAL, batch_size=3, n_iter=2)
    assert [got(text).size for text in body["images"]] == [(16, 16)] * 2, "and a grid of it"


def test_pictures_may_start_from_pictures(client: FlaskClient) -> None:
    args = [False, False, "positive", "comma", 0]
    inits = [plain("red"), plain("blue")]
    body = run(client, "img2img", NAME, args, prompt="a|b|c", init_images=inits, batch_size=2, denoising_strength=0.5)
    assert len(body["images"]) == 5
    assert "Denoising strength: 0.5" in told(body)["infotexts"][1]


def test_a_grid_that_would_be_too_large_is_left_out(client: FlaskClient) -> None:
    client.post("/sdapi/v1/options", json={"img_max_size_mp": 0.001})
    body = run(client, "txt2img", NAME, USUAL, prompt="a|b|c")
    assert len(body["images"]) == 4
    assert told(body)["index_of_first_image"] == 0


def test_pictures_come_in_the_format_of_the_options(client: FlaskClient) -> None:
    overrides = {"samples_format": "jpg"}
    body = run(client, "txt2img", NAME, USUAL, prompt="a|b", override_settings=overrides)
    assert {got(text).format for text in body["images"]} == {"JPEG"}
    body = run(client, "txt2img", NAME, USUAL, prompt="a|b", send_images=False)
    assert body["images"] == []
    assert len(told(body)["infotexts"]) == 3


@pytest.mark.parametrize(("parts", "count"), [(3, "8"), (50_000, "more than 1000000000")])
def test_too_many_parts_are_refused(make_house: Callable[..., House], parts: int, count: str) -> None:
    client = make_house(a1111={"pictures": 4}).start().client
    where, words = complaint(client, "txt2img", NAME, USUAL, prompt="x" + "|y" * parts)
    assert where == []
    assert words == (
        f"Prompt matrix would draw {count} pictures (2^{parts} combinations); at most 4 pictures are drawn by one call "
        "(a1111.pictures)"
    )


@for_each_case(
    ("args", "where", "words"),
    [
        ([False, False, "both", "comma", 0], [2], "prompt_type is 'both'; it must be one of positive, negative"),
        ([False, False, "positive", ";", 0], [3], "variations_delimiter is ';'; it must be one of comma, space"),
        ([False, False, "positive", "comma", 501], [4], "margin_size is 501; it must be a whole number from 0 to 500"),
        ([False, False, "positive", "comma"], [], "takes 5 arguments (put_at_start, different_seeds, prompt_type, "),
    ],
)
def test_arguments_that_cannot_be_read(
    shared_client: FlaskClient, args: list[Any], where: list[int], words: str
) -> None:
    place, message = complaint(shared_client, "txt2img", NAME, args)
    assert place == where
    assert words in message
