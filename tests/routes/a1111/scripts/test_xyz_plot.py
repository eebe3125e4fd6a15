from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.runtime import DEMO_MODEL
from sdcpp_rest.services.pictures.picture_formats import texts_of
from tests.cases import for_each_case
from tests.routes.a1111.pictures import got, mask, plain, told
from tests.routes.a1111.scripts.calls import complaint, plot_args, run, statuses
from tests.routes.conftest import House
from tests.services.conftest import copy_demo

NAME = "X/Y/Z plot"


def plot(client: FlaskClient, path: str = "txt2img", fields: dict[str, Any] | None = None, **args: Any) -> Any:
    return run(client, path, NAME, plot_args(**args), **(fields or {}))


def test_a_grid_of_two_axes(client: FlaskClient) -> None:
    body = plot(
        client, "txt2img", {"width": 64, "height": 64}, x_type=1, x_values="1-3", y_type=4,
        y_values="2,4", include_lone_images=True,
    )  # fmt: skip
    info = told(body)
    grid, *pictures = [got(text) for text in body["images"]]
    assert (len(pictures), info["index_of_first_image"]) == (6, 1)
    assert info["all_seeds"] == [1, 2, 3, 1, 2, 3]
    assert [texts_of(one)["parameters"] for one in (grid, *pictures)] == info["infotexts"]
    left, top = grid.width - 3 * 64, grid.height - 2 * 64
    assert left > 0
    assert top > 0
    for k, picture in enumerate(pictures):
        place = left + k % 3 * 64, top + k // 3 * 64
        cell = grid.crop((*place, place[0] + 64, place[1] + 64))
        assert cell.tobytes() == picture.convert("RGB").tobytes()
    script = (
        'Script: X/Y/Z plot, X Type: Seed, X Values: 1-3, Fixed X Values: "1, 2, 3", Y Type: Steps, Y Values: "2,4"'
    )
    assert script in info["infotexts"][0]
    assert "Script" not in info["infotexts"][1]
    assert info["extra_generation_params"]["Y Type"] == "Steps"


def test_a_cell_is_what_a_plain_call_draws(client: FlaskClient) -> None:
    cells = plot(client, x_type=1, x_values="5,9", include_lone_images=True)["images"][1:]
    alone = client.post(
        "/sdapi/v1/txt2img", json={"prompt": "a cat", "seed": 9, "width": 16, "height": 16, "steps": 2}
    ).get_json()
    assert got(cells[1]).tobytes() == got(alone["images"][0]).tobytes()


def test_grids_alone_unless_pictures_are_wanted(client: FlaskClient) -> None:
    body = plot(client, x_type=1, x_values="1-3")
    info = told(body)
    assert len(body["images"]) == 1
    assert info["all_seeds"] == [1, 2, 3]
    assert len(info["infotexts"]) == 4


def test_the_third_axis_has_a_grid_for_each_value(client: FlaskClient) -> None:
    wanted = {"x_type": 1, "x_values": "1,2", "z_type": 6, "z_values": "3-4", "draw_legend": False}
    body = plot(client, **wanted, include_sub_grids=True, include_lone_images=True)
    info = told(body)
    sizes = [got(text).size for text in body["images"]]
    assert sizes == [(64, 16), (32, 16), (32, 16), *[(16, 16)] * 4]
    assert info["all_seeds"] == [1, 1, 1, 2, 1, 2], "as many in front as there are grids"
    assert len(info["infotexts"]) == 7
    assert "Z Type: CFG Scale" in info["infotexts"][0]
    assert "Z Type" not in info["infotexts"][2]
    assert "CFG scale: 4.0, " in info["infotexts"][2]
    assert [got(text).size for text in plot(client, **wanted, include_sub_grids=True)["images"]] == sizes[:3]
    assert [got(text).size for text in plot(client, **wanted)["images"]] == sizes[:1]


def test_margins_and_legends(client: FlaskClient) -> None:
    wanted = {"x_type": 1, "x_values": "1,2", "y_type": 4, "y_values": "1,2"}
    bare = got(plot(client, **wanted, draw_legend=False, margin_size=8)["images"][0]).size
    assert bare == (32, 32), "a margin is the legend's"
    thin = got(plot(client, **wanted)["images"][0]).size
    wide = got(plot(client, **wanted, margin_size=8)["images"][0]).size
    assert wide == (thin[0] + 8, thin[1] + 8)


def test_nothing_at_all_is_one_picture(client: FlaskClient) -> None:
    body = plot(client, include_lone_images=True)
    assert [got(text).size for text in body["images"]] == [(16, 16)] * 2


def test_seeds_are_drawn_once_or_kept_open(client: FlaskClient) -> None:
    open_seed = {"seed": -1}
    info = told(plot(client, "txt2img", open_seed, x_type=4, x_values="1-4"))
    assert len(set(info["all_seeds"])) == 1
    info = told(plot(client, "txt2img", open_seed, x_type=4, x_values="1-4", no_fixed_seeds=True))
    assert len(set(info["all_seeds"])) > 1
    info = told(plot(client, x_type=1, x_values="-1,-1,5", y_type=4, y_values="1,2"))
    first, second, third = info["all_seeds"][:3]
    assert first != second
    assert (third, info["all_seeds"][3:]) == (5, [first, second, third])
    assert info["extra_generation_params"]["Fixed X Values"] == f"{first}, {second}, 5"
    info = told(plot(client, x_type=1, x_values="-1,5", no_fixed_seeds=True))
    assert "Fixed X Values" not in info["extra_generation_params"]


@pytest.mark.parametrize(
    ("args", "seeds"),
    [
        ({"vary_seeds_x": True}, [7, 8, 7, 8, 7, 8, 7, 8]),
        ({"vary_seeds_y": True}, [7, 7, 8, 8, 7, 7, 8, 8]),
        ({"vary_seeds_x": True, "vary_seeds_y": True, "vary_seeds_z": True}, [7, 8, 9, 10, 11, 12, 13, 14]),
    ],
)
def test_seeds_may_vary_along_axes(client: FlaskClient, args: dict[str, bool], seeds: list[int]) -> None:
    values = {"x_type": 4, "x_values": "1,2", "y_type": 6, "y_values": "1,2", "z_type": 24, "z_values": "1,2"}
    assert told(plot(client, **values, **args))["all_seeds"] == seeds


def test_prompts_change(client: FlaskClient) -> None:
    info = told(plot(client, "txt2img", {"prompt": "a cat, red"}, x_type="Prompt S/R", x_values="cat,dog",
                     y_type="Prompt order", y_values="a,red"))  # fmt: skip
    assert info["all_prompts"] == ["a cat, red", "a dog, red", "red cat, a", "red dog, a"]


def test_values_come_from_the_list_or_from_the_text(client: FlaskClient) -> None:
    chosen = ["Euler a", "Heun"]
    info = told(plot(client, x_type="sampler", x_values="DPM++ 2M", x_values_dropdown=chosen))
    assert info["extra_generation_params"]["X Values"] == "Euler a,Heun"
    assert ["Sampler: Euler a" in text for text in info["infotexts"]] == [True, True, False]
    info = told(plot(client, x_type=9, x_values="Heun", x_values_dropdown=chosen, csv_mode=True))
    assert "Sampler: Heun" in info["infotexts"][1]
    info = told(plot(client, x_type=9, x_values="Heun, Euler"))
    assert len(info["infotexts"]) == 3, "a list that is empty is no list"


def test_models_change_and_the_one_before_stays_chosen(house: House, client: FlaskClient) -> None:
    copy_demo(house.config, "other.gguf")
    client.post("/sdapi/v1/refresh-checkpoints")
    args = {"x_type": "Steps", "x_values": "1,2", "y_type": "Checkpoint name", "y_values_dropdown": ["demo", "other"]}
    info = told(plot(client, **args))
    assert ["Model: other" in text for text in info["infotexts"][1:]] == [False, False, True, True]
    assert client.get("/sdapi/v1/options").get_json()["sd_model_checkpoint"].startswith(DEMO_MODEL)
    args = {"x_type": "Checkpoint name", "x_values_dropdown": ["demo", "other"], "y_type": "Steps", "y_values": "1,2"}
    info = told(plot(client, **args))
    assert ["Model: other" in text for text in info["infotexts"][1:]] == [False, True, False, True]
    names = [job.load_spec.model.name for job in house.runtime.jobs.queue.list(order="asc") if job.load_spec][-4:]
    assert names == sorted(names), "a model is loaded once, wherever its axis is"


def test_sizes_and_styles_and_clip_skip(house: House, client: FlaskClient) -> None:
    (house.runtime.config.paths.data_dir / "styles.csv").write_text(
        "name,prompt,negative_prompt\nfilm,grainy {prompt},\n"
    )
    args = {"x_type": "Size", "x_values": "16x16, 32x24", "y_type": "Styles", "y_values_dropdown": ["film"]}
    body = plot(client, **args, draw_legend=False, include_lone_images=True)
    assert [got(text).size for text in body["images"]] == [(64, 24), (16, 16), (32, 24)]
    assert told(body)["all_prompts"] == ["grainy a cat"] * 2
    info = told(plot(client, x_type="Clip skip", x_values="1-2"))
    assert ["Clip skip: 2" in text for text in info["infotexts"][1:]] == [False, True]


def test_hires_axes(client: FlaskClient) -> None:
    fields = {"enable_hr": True, "hr_scale": 2}
    args = {"x_type": "Hires upscaler", "x_values_dropdown": ["Latent", "Lanczos"], "y_type": "Denoising",
            "y_values": "0.3-0.5 (+0.2)"}  # fmt: skip
    info = told(plot(client, "txt2img", fields, **args))
    assert "Hires upscaler: Lanczos" in info["infotexts"][2]
    assert "Denoising strength: 0.5" in info["infotexts"][4]


def test_plots_of_pictures_from_pictures(client: FlaskClient) -> None:
    fields = {"init_images": [plain("red")], "mask": mask((0, 0, 8, 16)), "mask_blur": 0, "inpaint_full_res": False}
    body = plot(client, "img2img", fields, x_type="Denoising", x_values="0.2,0.8", include_lone_images=True)
    info = told(body)
    assert ["Denoising strength: 0.8" in text for text in info["infotexts"]] == [False, False, True]
    assert {got(text).convert("RGB").getpixel((15, 8)) for text in body["images"][1:]} == {(255, 0, 0)}


def test_a_cell_of_several_pictures_is_their_first_or_their_grid(house: House, client: FlaskClient) -> None:
    several = {"n_iter": 2, "batch_size": 2}
    assert got(plot(client, "txt2img", several, x_type=1, x_values="1,9", draw_legend=False)["images"][0]).size == (
        32,
        16,
    )
    assert len(house.runtime.jobs.queue.list()) == 2, "what nobody sees is not drawn"
    several["save_images"] = True
    body = plot(client, "txt2img", several, x_type=1, x_values="1,9", draw_legend=False)
    assert got(body["images"][0]).size == (64, 32)
    assert told(body)["all_seeds"] == [1, 9]


@for_each_case("label", ["Sigma Churn", "FP8 mode", "Refiner checkpoint", "Hires sampler", "UniPC Order"])
def test_axes_that_mean_nothing_are_refused_by_name(shared_client: FlaskClient, label: str) -> None:
    where, words = complaint(shared_client, "txt2img", NAME, plot_args(y_type=label, y_values="1"))
    assert where == [3]
    assert words.startswith(
        f"X/Y/Z plot: y_type is {label}, which means nothing to the library; it can be one of Nothing, "
    )
    assert ", Size" in words


@for_each_case(
    ("args", "where", "words"),
    [
        ({"x_type": 42}, [0], "x_type is 42; it must be a number from 0 to 41, or one of Nothing, Seed, "),
        ({"x_type": "Colour"}, [0], "x_type is 'Colour'; it must be a number from 0 to 41, or one of"),
        ({"x_type": 4}, [1], "x_values of Steps: at least one value is needed"),
        ({"x_type": 4, "x_values": "few"}, [1], "x_values of Steps: 'few' is not a whole number"),
        ({"z_type": 9, "z_values_dropdown": ["Euler", "Nope"]}, [8], "z_values of Sampler: 'Nope' is not there; there"),
        ({"y_type": 11, "y_values": "nope"}, [4], "y_values of Checkpoint name: 'nope' is not there; there is demo"),
        ({"y_type": "VAE", "y_values": "nope"}, [4], "y_values of VAE: 'nope' is not there; there is Automatic, None"),
        ({"x_type": 17, "x_values": "Spiral"}, [1], "x_values of Schedule type: 'Spiral' is not there"),
        ({"x_type": 7, "x_values": "dog,cow"}, [0], "X type Prompt S/R: 'dog' is neither in the prompt nor in the"),
        ({"y_type": "Size", "y_values": "big"}, [3], "Y type Size: 'big' is no size such as 512x768"),
        ({"x_type": 3, "x_values": "0.5"}, [0], "X type Var. strength: 0.5 is a strength that the library cannot draw"),
        ({"x_type": 7, "x_values": ",dog"}, [0], "the first value is what is replaced; it must not be empty"),
        ({"x_type": 7, "x_values": f"a,{'x' * 90_000},{'y' * 110_000}"}, [0], "more than 200000 characters"),
        ({"x_type": 7, "x_values": "a," * 300}, [1], "there are 301 values; there may be 256 (a1111.pictures)"),
        ({"x_type": 8, "x_values": "a,b,c,d,e,f,g"}, [1], "7 values have more than 256 orders"),
        ({"x_type": 1, "x_values": "1-20", "y_type": 4, "y_values": "1-20"}, [],
         "X/Y/Z plot would draw 400 pictures (20 x 20 x 1 cells); at most 256 pictures are drawn by one call"),
        ({"x_values": ["1"]}, [1], "x_values is ['1']; it must be text"),
        ({"margin_size": -1}, [16], "margin_size is -1; it must be a whole number from 0 to 500"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be_read(
    shared_client: FlaskClient, args: dict[str, Any], where: list[int], words: str
) -> None:
    place, message = complaint(shared_client, "txt2img", NAME, plot_args(**args))
    assert place == where
    assert words in message


def test_a_value_beyond_the_limits_stops_the_whole(house: House, client: FlaskClient) -> None:
    body = {"prompt": "x", "script_name": NAME, "script_args": plot_args(x_type=4, x_values="1,2,99999999")}
    answer = client.post("/sdapi/v1/txt2img", json=body)
    assert answer.status_code == 422
    assert answer.get_json()["detail"][0]["loc"] == ["body", "steps"]
    assert set(statuses(house)) <= {"cancelled", "completed"}
    assert len(statuses(house)) == 2, "the third was never submitted"


@pytest.mark.parametrize(
    ("args", "fields", "size"),
    [
        ({"x_type": "Size", "x_values": "8x512,512x8"}, {}, "0.524"),
        ({"x_type": 1, "x_values": "1,2"}, {"save_images": True, "n_iter": 8, "width": 128, "height": 128}, "0.262"),
    ],
)
def test_what_a_cell_needs_is_counted(
    make_house: Callable[..., House], args: dict[str, Any], fields: dict[str, Any], size: str
) -> None:
    client = make_house().start().client
    client.post("/sdapi/v1/options", json={"img_max_size_mp": 0.2})
    _, words = complaint(client, "txt2img", NAME, plot_args(**args), **fields)
    assert f"X/Y/Z plot would be a grid of {size} megapixels" in words


@pytest.mark.parametrize("path", ["txt2img", "img2img"])
def test_a_grid_that_would_be_too_large_is_refused(make_house: Callable[..., House], path: str) -> None:
    client = make_house().start().client
    client.post("/sdapi/v1/options", json={"img_max_size_mp": 0.05})
    fields: dict[str, Any] = {}
    if path == "img2img":
        # The part that is drawn is small; the picture that it is put back into is not.
        fields = {"init_images": [plain("red", (256, 256))], "mask": mask((0, 0, 4, 4))}
    else:
        fields = {"enable_hr": True, "hr_scale": 16}
    where, words = complaint(client, path, NAME, plot_args(x_type=1, x_values="1,2"), **fields)
    assert where == []
    assert "X/Y/Z plot would be " in words
    assert "megapixels; at most 0.05 are put together (option img_max_size_mp)" in words
