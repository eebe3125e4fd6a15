from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL import Image

from sdcpp_rest.core.load_spec import UpscalerSpec
from sdcpp_rest.errors import GenerationFailed, InvalidRequest, ModelNotFound
from sdcpp_rest.services.submission.picture_enlarging import Enlargement, PictureEnlarging, blend
from tests.cases import for_each_case
from tests.services.conftest import House

RED = (255, 0, 0)


@pytest.fixture
def enlarging(house: House) -> PictureEnlarging:
    return house.runtime.submission.enlarging


def made(enlarging: PictureEnlarging, name: str, wanted: Enlargement, size: tuple[int, int] = (16, 24)) -> Image.Image:
    upscaler = enlarging.upscaler(name)
    assert upscaler is not None
    picture = Image.new("RGB", size, RED)
    return enlarging.enlarge(picture, upscaler, wanted, origin="test", owner="me")


@for_each_case("name", ["Lanczos", "nearest", "esrgan_x2", "esrgan_x4.safetensors"])
@for_each_case(("factor", "size"), [(2.0, (32, 48)), (1.5, (24, 32)), (4.0, (64, 96)), (1.0, (16, 24))])
def test_a_picture_grows_by_a_factor(
    enlarging: PictureEnlarging, name: str, factor: float, size: tuple[int, int]
) -> None:
    picture = made(enlarging, name, Enlargement(factor=factor))
    assert picture.size == size
    assert picture.getpixel((0, 0)) == RED


def test_a_picture_grows_to_cover_a_size_and_is_cut_to_it(enlarging: PictureEnlarging) -> None:
    assert made(enlarging, "Lanczos", Enlargement(width=64, height=64)).size == (64, 96)
    cut = made(enlarging, "Lanczos", Enlargement(width=64, height=64, crops=True))
    assert cut.size == (64, 64)
    assert cut.getpixel((63, 63)) == RED


def test_names_of_nothing_and_names_that_are_none(enlarging: PictureEnlarging) -> None:
    assert enlarging.upscaler("None") is None
    assert enlarging.upscaler("") is None
    assert isinstance(enlarging.upscaler("esrgan_x2"), UpscalerSpec)
    with pytest.raises(ModelNotFound):
        enlarging.upscaler("R-ESRGAN 4x+")


@pytest.mark.parametrize("name", ["Lanczos", "esrgan_x2"])
def test_a_result_that_is_too_large_is_refused(make_house: Callable[..., House], name: str) -> None:
    house = make_house("limits.upscaled_side=64").start()
    with pytest.raises(InvalidRequest, match=r"limits\.upscaled_side"):
        made(house.runtime.submission.enlarging, name, Enlargement(factor=4))


def test_the_chosen_upscaler_stays_chosen(house: House, enlarging: PictureEnlarging) -> None:
    house.runtime.models.upscalers.load("esrgan_x4")
    made(enlarging, "esrgan_x2", Enlargement(factor=2))
    selected = house.runtime.models.upscalers.selected
    assert selected is not None
    assert selected.model.name == "esrgan_x4.safetensors"


def test_a_stopped_job_is_told(house: House, enlarging: PictureEnlarging, monkeypatch: pytest.MonkeyPatch) -> None:
    submission = house.runtime.submission.upscales
    submit = submission.submit

    def cancelled(*arguments: object, **more: object) -> object:
        job, position = submit(*arguments, **more)  # type: ignore[arg-type]
        house.runtime.jobs.queue.cancel(job.id)
        return job, position

    house.runtime.jobs.queue.pause()
    monkeypatch.setattr(submission, "submit", cancelled)
    with pytest.raises(GenerationFailed, match="stopped"):
        made(enlarging, "esrgan_x2", Enlargement(factor=2))


def test_two_pictures_are_laid_over_each_other() -> None:
    black, white = Image.new("RGB", (4, 4)), Image.new("RGB", (8, 8), "white")
    assert blend(black, white, 0.5).getpixel((1, 1)) == (127, 127, 127)
    assert blend(black, white, 0.0).size == (4, 4)


def test_a_job_may_belong_to_the_round_of_its_caller(house: House, enlarging: PictureEnlarging) -> None:
    rounds, upscaler = house.runtime.submission.rounds, enlarging.upscaler("esrgan_x2")
    assert isinstance(upscaler, UpscalerSpec)
    picture, wanted = Image.new("RGB", (16, 16), RED), Enlargement(factor=2)
    with rounds.open("me", "img2img", 2) as opened:
        grown = enlarging.enlarge(picture, upscaler, wanted, origin="test", owner="me", opened=opened)
        assert grown.size == enlarging.size_after(picture.size, wanted) == (32, 32)
        assert [job.kind for job in opened.jobs] == ["upscale"]
        assert rounds.interrupt("me")
        with pytest.raises(GenerationFailed, match="stopped"):
            enlarging.enlarge(picture, upscaler, wanted, origin="test", owner="me", opened=opened)
