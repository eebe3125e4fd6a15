from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from tests.cases import for_each_case
from tests.routes.a1111.pictures import got, plain, told
from tests.routes.a1111.scripts.calls import complaint, run
from tests.routes.conftest import House

NAME = "Prompts from file or textbox"


def test_each_line_is_a_call_of_its_own(client: FlaskClient) -> None:
    text = """
    a dog
    --prompt "a bird" on a tree --steps 3 --seed 99 --n_iter 2 --cfg_scale 4.5
    --width 32 --height 24 --negative_prompt ugly, blurry --sampler_name "Euler a"
    """
    body = run(client, "txt2img", NAME, [False, False, "start", text], prompt="", negative_prompt="bad")
    info = told(body)
    assert info["all_prompts"] == ["a dog", "a bird on a tree", "a bird on a tree", ""]
    assert info["all_negative_prompts"] == ["bad", "bad", "bad", "ugly, blurry bad"]
    assert info["all_seeds"] == [7, 99, 100, 7]
    assert info["index_of_first_image"] == 0
    assert [got(text).size for text in body["images"]] == [(16, 16), (16, 16), (16, 16), (32, 24)]
    assert "Steps: 3, " in info["infotexts"][1]
    assert "CFG scale: 4.5, " in info["infotexts"][2]
    assert "Sampler: Euler a, " in info["infotexts"][3]


@pytest.mark.parametrize(("position", "prompt"), [("start", "a dog oil painting"), ("end", "oil painting a dog")])
def test_a_line_goes_before_or_behind_the_prompt(client: FlaskClient, position: str, prompt: str) -> None:
    info = told(run(client, "txt2img", NAME, [False, False, position, "a dog"], prompt="oil painting"))
    assert info["all_prompts"] == [prompt]


@pytest.mark.parametrize(
    ("iterates", "is_same", "differences"),
    [(True, False, [0, 2, 4]), (True, True, [0, 2, 4]), (False, True, [0, 0, 0])],
)
def test_seeds_of_lines(client: FlaskClient, iterates: bool, is_same: bool, differences: list[int]) -> None:
    args = [iterates, is_same, "start", "a\nb\nc"]
    seeds = told(run(client, "txt2img", NAME, args, seed=-1, batch_size=2))["all_seeds"]
    assert [seed - seeds[0] for seed in seeds[::2]] == differences
    assert [second - first for first, second in zip(seeds[::2], seeds[1::2], strict=True)] == [1, 1, 1]


def test_lines_without_a_seed_have_each_their_own(client: FlaskClient) -> None:
    seeds = told(run(client, "txt2img", NAME, [False, False, "start", "a\nb\nc\nd"], seed=-1))["all_seeds"]
    assert len(set(seeds)) > 1


def test_a_line_may_name_a_model_and_styles(house: House, client: FlaskClient) -> None:
    text = "--prompt x --sd_model demo_dit --styles film,noir\n--restore_faces true --tiling false --outpath_grids /tmp"
    info = told(run(client, "txt2img", NAME, [False, False, "start", text]))
    assert "style film, style noir" in info["infotexts"][0]
    assert 'Ignored: "restore_faces, --outpath_grids", ' in info["infotexts"][1]


def test_two_dashes_inside_a_prompt_are_words(client: FlaskClient) -> None:
    info = told(run(client, "txt2img", NAME, [False, False, "start", "a cat --ar 16:9"], prompt=""))
    assert info["all_prompts"] == ["a cat --ar 16:9"]


def test_lines_may_start_from_pictures(client: FlaskClient) -> None:
    body = run(client, "img2img", NAME, [False, False, "start", "a\nb"], init_images=[plain()])
    assert len(body["images"]) == 2


@for_each_case(
    ("text", "words"),
    [
        ("", "prompt_txt is empty; each line is a prompt"),
        (" \n ", "prompt_txt is empty"),
        ("a\n--promt x", "line 2: '--promt' is none of --sd_model, --prompt, --negative_prompt, "),
        ("--prompt x --steps", "line 1: --steps has no value"),
        ("--prompt x --steps many", "line 1: --steps: value is not a valid float"),
        ("--prompt x --steps 0", "line 1: --steps: Input should be greater than or equal to 1"),
        ('--prompt "x', "line 1: No closing quotation"),
        ("--sd_model nope", "line 1: --sd_model is 'nope'; there is demo_dit_q8_0.gguf"),
        ("--prompt " + "x" * 50_000, "line 1: it has 50009 characters; there may be 50000"),
        ("--steps 3 4", "line 1: '4' is none of --sd_model"),
    ],
)
def test_lines_that_cannot_be_read(shared_client: FlaskClient, text: str, words: str) -> None:
    where, message = complaint(shared_client, "txt2img", NAME, [False, False, "start", text])
    assert where == [3]
    assert words in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\nb\nc\nd\ne", "would draw 5 pictures (one for each line)"),
        (
            "--prompt x --n_iter 2 --batch_size 2\ny",
            "would draw 5 pictures (2 lines, and how many each of them asks for)",
        ),
    ],
)
def test_too_many_pictures_are_refused(make_house: Callable[..., House], text: str, words: str) -> None:
    client = make_house(a1111={"pictures": 4}).start().client
    _, message = complaint(client, "txt2img", NAME, [False, False, "start", text])
    assert words in message
    assert "at most 4 pictures" in message
