"""Pictures that agents give, and addresses that are not called for them."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from sdcpp_rest.errors import InvalidRequest, SdcppRestError
from sdcpp_rest.routes.mcp.calls import AgentCaller
from sdcpp_rest.routes.mcp.given import GivenPictures
from sdcpp_rest.services.downloads.picture_fetching import PictureFetching
from tests.cases import for_each_case
from tests.routes.conftest import PATIENCE_SECONDS, House

CALLER = AgentCaller("https://pictures.example/sd")


def _given(house: House, most_bytes: int = 1 << 20, caller: AgentCaller = CALLER) -> GivenPictures:
    return GivenPictures(house.runtime.jobs, PictureFetching(house.config.downloads), caller, most_bytes)


def _draw(house: House) -> tuple[str, bytes]:
    job = house.runtime.jobs.queue.wait(house.submit(), PATIENCE_SECONDS)
    return job.id, (house.runtime.jobs.outputs.output_dir / job.outputs[0]).read_bytes()


def test_own_pictures_are_read_by_every_name(house: House) -> None:
    job_id, data = _draw(house)
    folder = house.runtime.jobs.outputs.output_dir
    names = (
        job_id,
        f"  {job_id}\n",
        f"{job_id}/image_0.png",
        f"sdcpp://output/{job_id}/image_0.png",
        f"https://pictures.example/sd/output/{job_id}/image_0.png",
        f"https://pictures.example/sd/v1/images/files/1-abc/{job_id}/image_0.png?x=1",
    )
    for name in names:
        assert base64.b64decode(_given(house).read("image", name)) == data, name
    here = f"{folder}/{job_id}/image_0.png"
    assert base64.b64decode(_given(house, caller=AgentCaller("x", is_local=True)).read("image", here)) == data
    assert _given(house).read("image", here) == here, "base64, as far as a caller from elsewhere can tell"


def test_what_is_in_the_call_is_left_as_it_is(house: House) -> None:
    for text in ("iVBORw0KGgo=", "data:image/png;base64,iVBORw0KGgo="):
        assert _given(house).read("image", text) == text


def test_a_job_without_a_picture_is_told(house: House) -> None:
    house.runtime.jobs.queue.pause()
    job_id = house.submit()
    with pytest.raises(InvalidRequest, match=f"image: job {job_id} is pending and has no picture"):
        _given(house).read("image", job_id)


def test_pictures_are_bounded_together(house: House) -> None:
    job_id, data = _draw(house)
    given = _given(house, most_bytes=len(data) + 10)
    given.read("image", job_id)
    given.read("mask", "x" * 10)
    with pytest.raises(InvalidRequest, match="mask: the pictures are too large together"):
        given.read("mask", "x")


@for_each_case(
    "address",
    [
        "http://127.0.0.1:1/x.png",
        "http://localhost/x.png",
        "http://[::1]/x.png",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/x.png",
        "http://2130706433/x.png",
        "http://user:word@192.0.2.1/x.png",
        "http://",
        "file:///etc/passwd",
        "gopher://example.org/x",
    ],
)
def test_addresses_that_are_not_public_are_not_called(shared_given: GivenPictures, address: str) -> None:
    with pytest.raises(SdcppRestError):
        shared_given.read("image", address)


@pytest.fixture
def shared_given(make_house: Callable[..., House]) -> GivenPictures:
    return _given(make_house())
