"""The real client of OpenAI against the running server: what it gets must be what its own types say."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

import openai
import pytest
import requests
from openai import AsyncOpenAI, OpenAI
from PIL import Image

from tests.cases import for_each_case
from tests.routes.conftest import PATIENCE_SECONDS, ServedHouse
from tests.routes.openai.conftest import opened

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
DEMO = "demo_dit_q8_0.gguf"


def test_models_are_listed_and_found_by_any_of_their_names(ai: OpenAI) -> None:
    assert [model.id for model in ai.models.list()] == [DEMO]
    found = ai.models.retrieve("demo_dit_q8_0")
    assert (found.id, found.object, found.owned_by) == (DEMO, "model", "sdcpp-rest")
    assert found.created > 1_500_000_000


def test_a_model_that_is_not_there_is_an_error_of_the_clients_own(ai: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        ai.models.retrieve("gpt-image-1")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert caught.value.type == "invalid_request_error"


def test_pictures_come_as_urls_that_can_be_fetched(ai: OpenAI) -> None:
    made = ai.images.generate(model="dall-e-2", prompt="a red circle", n=2, size="64x64")
    assert made.data is not None
    assert made.size == "64x64"
    assert len({picture.url for picture in made.data}) == 2
    for picture in made.data:
        assert picture.b64_json is None
        fetched = requests.get(str(picture.url), timeout=PATIENCE_SECONDS)
        assert fetched.headers["Content-Type"] == "image/png"
        assert Image.open(io.BytesIO(fetched.content)).size == (64, 64)


def test_models_of_the_newer_kind_answer_with_the_files(ai: OpenAI) -> None:
    made = ai.images.generate(model="gpt-image-2", prompt="a red circle", size="80x48")
    assert made.data is not None
    assert made.data[0].url is None
    picture = opened(made.data[0].b64_json)
    assert (picture.format, picture.size) == ("PNG", (80, 48))
    assert picture.info["parameters"].startswith("a red circle\nSteps: 12")


@pytest.mark.parametrize(("form", "shown"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
@pytest.mark.parametrize("response_format", ["url", "b64_json"])
def test_pictures_come_in_the_format_that_is_wanted(ai: OpenAI, form: Any, shown: str, response_format: Any) -> None:
    made = ai.images.generate(
        prompt="a cat", output_format=form, output_compression=60, response_format=response_format
    )
    assert made.output_format == form
    assert made.data is not None
    if response_format == "url":
        fetched = requests.get(str(made.data[0].url), timeout=PATIENCE_SECONDS)
        assert fetched.headers["Content-Type"] == f"image/{form}"
        picture = Image.open(io.BytesIO(fetched.content))
    else:
        picture = opened(made.data[0].b64_json)
    assert picture.format == shown


def test_usage_and_quality_are_told(ai: OpenAI) -> None:
    made = ai.images.generate(model="gpt-image-1", prompt="12345678", n=2, size="64x64", quality="low")
    assert made.quality == "low"
    assert made.usage is not None
    assert (made.usage.input_tokens, made.usage.output_tokens, made.usage.total_tokens) == (2, 32, 34)
    assert opened(made.data[0].b64_json).info["parameters"].count("Steps: 6,") == 1 if made.data else False


def test_extensions_are_honoured(ai: OpenAI) -> None:
    more = {
        "seed": 41,
        "steps": 3,
        "cfg_scale": 4.5,
        "negative_prompt": "fog",
        "sampler": "Euler a",
        "scheduler": "karras",
    }
    made = ai.images.generate(model="gpt-image-1", prompt="a cat", n=2, extra_body=more)
    assert made.data is not None
    text = opened(made.data[1].b64_json).info["parameters"]
    assert "Negative prompt: fog" in text
    assert "Steps: 3, Sampler: Euler a, Schedule type: Karras, CFG scale: 4.5, Seed: 42," in text


def test_an_edit_starts_from_the_picture(ai: OpenAI, picture: Callable[..., bytes]) -> None:
    made = ai.images.edit(image=picture(200, 100), prompt="a cat", n=2, response_format="b64_json", stream=False)
    assert made.data is not None
    assert len(made.data) == 2
    # The picture's proportions, at the size the model draws at.
    assert opened(made.data[0].b64_json).size == (96, 64)
    assert "Denoising strength: 0.75" in opened(made.data[0].b64_json).info["parameters"]


def test_an_edit_takes_several_pictures_and_a_mask(ai: OpenAI, picture: Callable[..., bytes]) -> None:
    made = ai.images.edit(
        image=[picture(), picture(colour="blue")],
        mask=picture(colour=(0, 0, 0, 0)),
        prompt="a cat",
        model="gpt-image-1",
        size="64x64",
        output_format="webp",
        extra_body={"steps": 2, "seed": 5},
    )
    assert made.data is not None
    assert opened(made.data[0].b64_json).format == "WEBP"
    assert "Only the first of 2 images" in str(made.model_extra)


def test_a_variation_needs_no_words(ai: OpenAI, picture: Callable[..., bytes]) -> None:
    made = ai.images.create_variation(image=picture(), n=2, response_format="b64_json")
    assert made.data is not None
    assert len(made.data) == 2
    assert opened(made.data[0].b64_json).info["parameters"].startswith("Steps: 12")


@pytest.mark.slow
@pytest.mark.usefixtures("frequent_previews")
def test_a_stream_brings_previews_and_then_the_picture(ai: OpenAI) -> None:
    with ai.images.generate(
        model="gpt-image-1",
        prompt="a cat fake:step=0.03",
        size="64x48",
        stream=True,
        partial_images=3,
        output_format="jpeg",
    ) as stream:
        events = list(stream)
    assert [event.type for event in events] == 3 * ["image_generation.partial_image"] + ["image_generation.completed"]
    assert [event.partial_image_index for event in events[:3]] == [0, 1, 2]  # type: ignore[union-attr]
    for event in events:
        picture = opened(event.b64_json)
        assert (picture.format, picture.size) == ("JPEG", (64, 48))
        assert (event.size, event.output_format, event.background) == ("64x48", "jpeg", "opaque")
    assert events[-1].usage.output_tokens == 12  # type: ignore[union-attr]


def test_a_stream_of_several_pictures_completes_each(ai: OpenAI) -> None:
    stream = ai.images.generate(model="gpt-image-1", prompt="a cat", n=3, stream=True, partial_images=0)
    assert [event.type for event in stream] == 3 * ["image_generation.completed"]


@pytest.mark.slow
@pytest.mark.usefixtures("frequent_previews")
def test_an_edit_can_be_streamed(ai: OpenAI, picture: Callable[..., bytes]) -> None:
    stream = ai.images.edit(image=picture(), prompt="fake:step=0.03", stream=True, partial_images=1)
    assert [event.type for event in stream] == ["image_edit.partial_image", "image_edit.completed"]


@pytest.mark.slow
@pytest.mark.usefixtures("frequent_previews")
def test_the_asynchronous_client_draws_and_streams(shared_served: ServedHouse, picture: Callable[..., bytes]) -> None:
    async def all_of_it() -> tuple[list[str], int, list[str]]:
        async with AsyncOpenAI(base_url=f"{shared_served.url}/v1", api_key="none", max_retries=0) as client:
            drawn = await asyncio.gather(
                *(client.images.generate(model="gpt-image-1", prompt=f"cat {k}") for k in range(4))
            )
            edited = await client.images.edit(image=picture(), prompt="x", response_format="b64_json")
            stream = await client.images.generate(prompt="fake:step=0.03", stream=True, partial_images=2)
            events = [event.type async for event in stream]
        pictures = [str(made.data[0].b64_json) for made in drawn if made.data]
        return pictures, len(edited.data or []), events

    pictures, edited, events = asyncio.run(all_of_it())
    assert len(set(pictures)) == 4
    assert edited == 1
    assert events == 2 * ["image_generation.partial_image"] + ["image_generation.completed"]


@for_each_case(
    ("more", "param"),
    [
        ({"size": "wide"}, "size"),
        ({"size": "99999x64"}, "width"),
        ({"n": 11}, "n"),
        ({"quality": "perfect"}, "quality"),
        ({"output_format": "gif"}, "output_format"),
        ({"partial_images": 4, "stream": True}, "partial_images"),
        ({"extra_body": {"steps": 0}}, "steps"),
        ({"extra_body": {"steps": 0}, "stream": True}, "steps"),
        ({"extra_body": {"sampler": "UniPC"}}, "sampler"),
        ({"extra_body": {"seed": "7.5"}}, "seed"),
        ({"extra_body": {"loras": [{"name": "nowhere"}]}}, "prompt"),
        ({"extra_body": {"loras": [5]}}, "loras[0]"),
        ({"extra_body": {"loras": [{"weight": 1}]}}, "loras[0].name"),
    ],
)
def test_what_is_not_allowed_is_a_bad_request_that_names_the_field(ai: OpenAI, more: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ai.images.generate(prompt="a cat", **more)
    assert (caught.value.param, caught.value.type) == (param, "invalid_request_error")
    assert caught.value.code in ("invalid_value", "invalid_request")


def test_a_picture_that_fails_is_an_error_that_is_not_tried_again(
    shared_served: ServedHouse,
) -> None:
    before = shared_served.runtime.jobs.queue.counts()["total"]
    with (
        OpenAI(base_url=f"{shared_served.url}/v1", api_key="none", max_retries=3) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        client.images.generate(prompt="fake:fail", n=3)
    assert caught.value.code == "generation_failed"
    assert "asked to fail" in caught.value.message
    assert shared_served.runtime.jobs.queue.counts()["total"] == before + 3


def test_a_stream_that_fails_midway_ends_with_an_error(ai: OpenAI) -> None:
    with pytest.raises(openai.APIError, match="asked to fail") as caught:
        list(ai.images.generate(prompt="fake:fail", stream=True, partial_images=1))
    assert caught.value.code == "generation_failed"


def test_keys_are_asked_for_in_its_way_and_links_work_without(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth={"api_keys": ["secret"]})
    with OpenAI(base_url=f"{served.url}/v1", api_key="wrong", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as caught:
            stranger.models.list()
        assert (caught.value.code, caught.value.type) == ("invalid_api_key", "invalid_request_error")
        with pytest.raises(openai.AuthenticationError):
            list(stranger.images.generate(prompt="x", stream=True))
    with OpenAI(base_url=f"{served.url}/v1", api_key="secret", max_retries=0) as client:
        made = client.images.generate(prompt="a cat")
    assert made.data is not None
    url = str(made.data[0].url)
    assert requests.get(url, timeout=PATIENCE_SECONDS).headers["Content-Type"] == "image/png"
    assert requests.get(url.replace("image_0", "image_1"), timeout=PATIENCE_SECONDS).status_code == 401
    job = url.rsplit("/", 2)[1]
    assert requests.get(f"{served.url}/output/{job}/image_0.png", timeout=PATIENCE_SECONDS).status_code == 401
