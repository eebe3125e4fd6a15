"""Pictures made larger: which one, by which upscaler, how large."""

from __future__ import annotations

import base64
import io
import json

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sdcpp_rest.core import infotext
from sdcpp_rest.core.events import UpscalerLoaded, UpscalerUnloaded
from sdcpp_rest.core.job import Job
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.errors import InvalidRequest, JobNotFound, NoUpscalerLoaded
from sdcpp_rest.services.submission.upscale_submission import UpscaleRequest
from tests.cases import for_each_case
from tests.services.conftest import House, png_text

X2 = "esrgan_x2.safetensors"


@pytest.fixture
def ready_house(house: House) -> House:
    """With an upscaler loaded, which makes everything four times larger."""
    house.runtime.models.upscalers.load(X2)
    return house


def upscaled(house: House, **asked: object) -> Job:
    job, _ = house.runtime.submission.upscales.submit(UpscaleRequest.model_validate(asked))
    return house.finished(job.id)


def size_of(house: House, job: Job) -> tuple[int, int]:
    with Image.open(house.output(job)) as picture:
        return picture.size


def test_a_picture_becomes_as_much_larger_as_the_upscaler_makes_it(ready_house: House) -> None:
    job = upscaled(ready_house, image_base64=png_text(5, 3))
    assert job.status == "completed"
    assert job.outputs == (f"{job.id}/image_0.png",)
    assert size_of(ready_house, job) == (20, 12)
    progress = ready_house.runtime.jobs.queue.progress(job)
    assert (progress.percentage, progress.phase) == (100.0, "done")


@pytest.mark.parametrize(
    ("factor", "repeats", "size"), [(2, 1, (10, 6)), (4, 2, (80, 48)), (8, 1, (40, 24)), (1, 1, (5, 3))]
)
def test_any_factor_is_reached_and_repeated(
    ready_house: House, factor: int, repeats: int, size: tuple[int, int]
) -> None:
    job = upscaled(ready_house, image_base64=png_text(5, 3), upscale_factor=factor, repeats=repeats)
    assert size_of(ready_house, job) == size


def test_a_picture_of_a_finished_job_can_be_meant(ready_house: House) -> None:
    drawn = ready_house.draw(batch_count=2)
    job = upscaled(ready_house, job_id=drawn.id, image_index=1)
    assert size_of(ready_house, job) == (32, 32)
    with Image.open(ready_house.output(job)) as picture, Image.open(ready_house.output(drawn, 1)) as before:
        assert picture.getpixel((0, 0)) == before.getpixel((0, 0))
        words = infotext.parse(picture.text["parameters"])  # type: ignore[attr-defined]
    assert (words["Prompt"], words["Postprocess upscaler"]) == ("a red circle", "esrgan_x2")


def test_how_the_picture_was_made_stays_with_it(ready_house: House) -> None:
    text, file = PngInfo(), io.BytesIO()
    text.add_text("parameters", "a cat\nSteps: 2, Sampler: Euler, Seed: 1")
    Image.new("RGB", (4, 4)).save(file, "PNG", pnginfo=text)
    job = upscaled(ready_house, image_base64=base64.b64encode(file.getvalue()).decode(), upscale_factor=2, repeats=2)
    with Image.open(ready_house.output(job)) as picture:
        words = infotext.parse(picture.text["parameters"])  # type: ignore[attr-defined]
    assert (words["Prompt"], words["Seed"], words["Postprocess upscale by"]) == ("a cat", "1", "4")
    record = json.loads((ready_house.output(job).parent / "config.json").read_text())
    assert record["params"]["upscaler"] == {"model": {"name": X2}, "tile_size": 128, "n_threads": -1}


def test_without_an_upscaler_it_is_refused(house: House) -> None:
    with pytest.raises(NoUpscalerLoaded, match="No upscaler loaded"):
        house.runtime.submission.upscales.submit(UpscaleRequest(image_base64=png_text()))


def test_the_job_keeps_its_upscaler_when_another_is_chosen(ready_house: House) -> None:
    running = ready_house.running()
    job, _ = ready_house.runtime.submission.upscales.submit(UpscaleRequest(image_base64=png_text(), tile_size=64))
    ready_house.runtime.jobs.queue.cancel(running)
    assert ready_house.finished(job.id).params["upscaler"]["tile_size"] == 64
    assert ready_house.runtime.models.upscalers.resident is not None
    assert ready_house.runtime.models.upscalers.resident.tile_size == 64


def test_the_upscaler_is_loaded_again_after_the_engine_died(ready_house: House) -> None:
    assert ready_house.draw("fake:die").error_code == "engine_crashed"
    assert size_of(ready_house, upscaled(ready_house, image_base64=png_text(5, 3))) == (20, 12)
    loads = [event for event in ready_house.mailbox.drain() if isinstance(event, UpscalerLoaded)]
    assert len(loads) >= 1


def test_it_is_taken_out_after_a_job_that_wants_so_and_stays_chosen(ready_house: House) -> None:
    spec = ready_house.runtime.models.upscalers.selected
    assert spec is not None
    job, _ = ready_house.runtime.jobs.queue.submit(
        "txt2img",
        ImageParams(prompt="a", width=8, height=8, steps=1, upscale=True, upscaler=spec).model_dump(mode="json"),
        load_spec=ready_house.runtime.models.slot.selected,
    )
    assert size_of(ready_house, ready_house.finished(job.id)) == (32, 32)
    assert ready_house.until(UpscalerUnloaded).model_name == X2
    assert ready_house.runtime.models.upscalers.selected == spec


@for_each_case(
    ("asked", "error", "words"),
    [
        ({}, InvalidRequest, "image_base64 is required"),
        ({"image_base64": "!"}, InvalidRequest, "image_base64 is not valid base64"),
        ({"image_base64": "aGVsbG8="}, InvalidRequest, "image_base64 is not a picture"),
        ({"image_base64": png_text(), "upscale_factor": 17}, InvalidRequest, "upscale_factor must be from 1 to 16"),
        ({"image_base64": png_text(), "upscale_factor": -1}, InvalidRequest, "upscale_factor must be from 1 to 16"),
        ({"image_base64": png_text(), "repeats": 0}, InvalidRequest, "repeats must be from 1 to 16"),
        ({"image_base64": png_text(), "repeats": 9}, InvalidRequest, r"limits\.upscaled_side"),
        ({"image_base64": png_text(), "tile_size": 0}, InvalidRequest, "tile_size must be"),
        ({"job_id": "nobody"}, JobNotFound, "Job not found"),
    ],
)
def test_bad_requests_are_refused_and_leave_nothing(
    ready_house: House, asked: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        ready_house.runtime.submission.upscales.submit(UpscaleRequest.model_validate(asked))
    inputs = ready_house.config.paths.data_dir / "inputs"
    assert not inputs.exists() or not list(inputs.iterdir())
    assert ready_house.runtime.jobs.queue.counts()["total"] == 0


def test_a_picture_that_the_job_does_not_have_is_refused(ready_house: House) -> None:
    drawn = ready_house.draw()
    with pytest.raises(InvalidRequest, match="image_index must be from 0 to 0, got 1"):
        ready_house.runtime.submission.upscales.submit(UpscaleRequest(job_id=drawn.id, image_index=1))


@pytest.mark.parametrize(("alpha", "is_told"), [(255, False), (254, True)])
def test_transparency_that_is_lost_is_told(ready_house: House, alpha: int, is_told: bool) -> None:
    picture = Image.new("RGBA", (5, 3), (200, 10, 10, 255))
    picture.putpixel((1, 1), (200, 10, 10, alpha))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    job = upscaled(ready_house, image_base64=base64.b64encode(buffer.getvalue()).decode())
    assert job.status == "completed"
    assert any("transparent in places" in warning for warning in job.warnings) == is_told
