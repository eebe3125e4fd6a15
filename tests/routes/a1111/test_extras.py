from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from sdcpp_rest.services.pictures.picture_formats import encode, texts_of
from tests.cases import for_each_case
from tests.onnx_files import write_clip, write_wd_tagger
from tests.routes.a1111.pictures import SMALL, got, plain, sent, told
from tests.routes.conftest import House


def larger(client: FlaskClient, **fields: Any) -> dict[str, Any]:
    answer = client.post("/sdapi/v1/extra-single-image", json={"image": plain("red", (16, 24)), **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


@pytest.mark.parametrize("upscaler", ["Lanczos", "Nearest", "esrgan_x2", "esrgan_x4"])
def test_a_picture_is_made_larger(client: FlaskClient, upscaler: str) -> None:
    body = larger(client, upscaler_1=upscaler, upscaling_resize="2.0")
    assert got(body["image"]).size == (32, 48)
    assert f"Postprocess upscale by: 2.0, Postprocess upscaler: {upscaler}" in body["html_info"]


def test_without_an_upscaler_it_stays_as_it_is(client: FlaskClient) -> None:
    body = larger(client, upscaler_1="None", upscaling_resize=4)
    assert got(body["image"]).size == (16, 24)
    assert body["html_info"] == "<p></p>"


def test_to_a_size_with_and_without_cutting(client: FlaskClient) -> None:
    size = {"resize_mode": 1, "upscaling_resize_w": 64, "upscaling_resize_h": 64, "upscaler_1": "Lanczos"}
    assert got(larger(client, **size)["image"]).size == (64, 64)
    assert got(larger(client, **size, upscaling_crop=False)["image"]).size == (64, 96)


def test_a_second_upscaler_is_laid_over_the_first(client: FlaskClient) -> None:
    body = larger(client, upscaler_1="Lanczos", upscaler_2="esrgan_x2", extras_upscaler_2_visibility=0.5)
    assert "Postprocess upscaler 2: esrgan_x2" in body["html_info"]
    assert got(body["image"]).size == (32, 48)


def test_the_text_of_a_picture_stays_with_it(client: FlaskClient) -> None:
    drawn = client.post("/sdapi/v1/txt2img", json={"prompt": "a <b> cat", **SMALL}).get_json()
    body = larger(client, image=drawn["images"][0], upscaler_1="Lanczos")
    text = texts_of(got(body["image"]))["parameters"]
    assert text == told(drawn)["infotexts"][0] + ", Postprocess upscale by: 2.0, Postprocess upscaler: Lanczos"
    assert "a &lt;b&gt; cat" in body["html_info"]


def test_faces_are_left_as_they_are(client: FlaskClient) -> None:
    assert got(larger(client, gfpgan_visibility=1, codeformer_visibility="1", codeformer_weight=0.5)["image"])


def test_an_upscaler_that_is_not_there(client: FlaskClient) -> None:
    answer = client.post("/sdapi/v1/extra-single-image", json={"image": plain(), "upscaler_1": "R-ESRGAN 4x+"})
    assert (answer.status_code, answer.get_json()["errors"]) == (500, "could not find upscaler named R-ESRGAN 4x+")


@pytest.mark.parametrize("fields", [{"upscaling_resize": 0}, {"upscaling_resize": 99}, {"resize_mode": 2}])
def test_values_out_of_range(client: FlaskClient, fields: dict[str, Any]) -> None:
    answer = client.post("/sdapi/v1/extra-single-image", json={"image": plain(), **fields})
    assert answer.status_code == 422


def test_several_pictures(client: FlaskClient) -> None:
    pictures = [{"data": plain("red"), "name": "a.png"}, {"data": "data:image/png;base64," + plain("blue"), "name": ""}]
    answer = client.post("/sdapi/v1/extra-batch-images", json={"imageList": pictures, "upscaler_1": "Lanczos"})
    images = answer.get_json()["images"]
    assert [got(image).getpixel((0, 0)) for image in images] == [(255, 0, 0), (0, 0, 255)]
    assert client.post("/sdapi/v1/extra-batch-images", json={"imageList": []}).get_json()["images"] == []


def test_the_upscaled_picture_is_a_job_like_others(client: FlaskClient, house: House) -> None:
    larger(client, upscaler_1="esrgan_x2")
    (job,) = house.runtime.jobs.queue.list()
    assert (job.kind, job.origin, job.status) == ("upscale", "a1111", "completed")


# --- png-info -------------------------------------------------------------------------------------------------------


def read(client: FlaskClient, image: str) -> dict[str, Any]:
    answer = client.post("/sdapi/v1/png-info", json={"image": image})
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def test_what_was_drawn_is_read_back(client: FlaskClient) -> None:
    for form in ("png", "jpg", "webp"):
        drawn = client.post(
            "/sdapi/v1/txt2img",
            json={"prompt": "日本, a cat", "seed": 9, **SMALL, "override_settings": {"samples_format": form}},
        ).get_json()
        body = read(client, drawn["images"][0])
        assert body["info"] == told(drawn)["infotexts"][0]
        found = body["parameters"]
        assert (found["Prompt"], found["Seed"], found["Size-1"]) == ("日本, a cat", "9", "16")


def test_a_picture_without_a_text_has_every_key(client: FlaskClient) -> None:
    body = read(client, plain())
    assert body["info"] == ""
    assert body["items"] == {}
    assert body["parameters"]["Prompt"] == ""


def test_other_texts_are_items(client: FlaskClient) -> None:
    picture = encode(Image.new("RGB", (8, 8)), "png", 80, {"Software": "elsewhere"})
    assert read(client, base64.b64encode(picture).decode())["items"] == {"Software": "elsewhere"}


@for_each_case("path", ["png-info", "extra-single-image", "interrogate"])
@for_each_case("image", ["abc", "data:image/png;base64,", "!", sent(Image.new("RGB", (9, 9)))[:50]])
def test_a_picture_that_is_none(shared_client: FlaskClient, path: str, image: str) -> None:
    answer = shared_client.post(f"/sdapi/v1/{path}", json={"image": image})
    assert (answer.status_code, answer.get_json()["detail"]) == (500, "Invalid encoded image")


def test_a_picture_is_required(shared_client: FlaskClient) -> None:
    answer = shared_client.post("/sdapi/v1/png-info", json={})
    assert (answer.status_code, answer.get_json()["detail"][0]["loc"]) == (422, ["body", "image"])


# --- interrogate ----------------------------------------------------------------------------------------------------


@pytest.fixture
def seeing(make_house: Callable[..., House]) -> House:
    """A house with a tagger and a CLIP model; it is not started, as describing a picture needs no engine."""
    house = make_house()
    folder = house.config.paths.models_dir / "interrogate"
    write_wd_tagger(folder / "tagger")
    write_clip(folder / "clip")
    return house


def described(house: House, **fields: Any) -> Any:
    answer = house.client.post("/sdapi/v1/interrogate", json={"image": plain(), **fields})
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def test_a_picture_is_described(seeing: House) -> None:
    assert described(seeing) == described(seeing, model="clip") == {"caption": "a red wall"}
    assert described(seeing, model="deepdanbooru") == {"caption": ">_<, red hair"}
    assert described(seeing, image="data:image/png;base64," + plain("blue"), model="deepdanbooru") == {
        "caption": "blue sky"
    }


@pytest.mark.parametrize(
    ("options", "caption"),
    [
        ({"deepbooru_sort_alpha": False}, "red hair, >_<"),
        ({"deepbooru_use_spaces": False}, ">_<, red_hair"),
        ({"interrogate_return_ranks": True}, "(>_<:0.900), (red hair:1.000)"),
        ({"interrogate_deepbooru_score_threshold": 0.75}, r">_<, red hair, ruby \(gem\)"),
        ({"interrogate_deepbooru_score_threshold": 0.75, "deepbooru_escape": False}, ">_<, red hair, ruby (gem)"),
        ({"interrogate_deepbooru_score_threshold": 0.95}, "red hair"),
        ({"deepbooru_filter_tags": "red hair, x, "}, ">_<"),
    ],
)
def test_tags_are_told_as_the_options_say(seeing: House, options: dict[str, Any], caption: str) -> None:
    assert seeing.client.post("/sdapi/v1/options", json=options).status_code == 200
    assert described(seeing, model="deepdanbooru") == {"caption": caption}


@for_each_case(
    ("body", "status", "said"),
    [
        ({}, 404, "Image not found"),
        ({"image": plain(), "model": "blip"}, 404, "Model not found"),
        ({"image": "http://127.0.0.1/x.png"}, 500, "Requests not allowed"),
        ({"image": plain(), "model": "clip"}, 501, "interrogate.vision_model"),
        ({"image": plain(), "model": "deepdanbooru"}, 501, "put model.onnx and selected_tags.csv"),
    ],
)
def test_an_interrogation_that_is_refused(
    shared_client: FlaskClient, body: dict[str, Any], status: int, said: str
) -> None:
    answer = shared_client.post("/sdapi/v1/interrogate", json=body)
    assert answer.status_code == status
    assert said in answer.get_json()["detail"]


def test_without_onnxruntime_it_says_what_to_install(seeing: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for model in ("clip", "deepdanbooru"):
        answer = seeing.client.post("/sdapi/v1/interrogate", json={"image": plain(), "model": model})
        assert answer.status_code == 501
        assert 'pip install "sdcpp-rest[interrogate]"' in answer.get_json()["detail"]


def test_a_vision_model_that_is_not_there_is_told_in_its_shape(make_house: Callable[..., House]) -> None:
    house = make_house(interrogate={"vision_model": "llava"}, ollama={"base_url": "http://127.0.0.1:1"})
    answer = house.client.post("/sdapi/v1/interrogate", json={"image": plain()})
    assert (answer.status_code, answer.get_json()["error"]) == (503, "LlmUnreachable")
