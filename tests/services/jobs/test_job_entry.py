"""A job comes with its pictures, or neither comes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL import Image

from sdcpp_rest.core.load_spec import FileRef, UpscalerSpec
from sdcpp_rest.core.params import ImageParams, UpscaleParams
from sdcpp_rest.errors import EngineUnavailable, InvalidRequest, QueueFull
from sdcpp_rest.services.jobs.job_entry import InputsNotStored, JobEntry
from tests.services.conftest import House, png_text, spec_named

PARAMS = ImageParams(prompt="a", width=16, height=8)


@pytest.fixture
def idle(make_house: Callable[..., House]) -> House:
    """Not started: jobs stay pending."""
    return make_house("limits.pending_jobs=1")


def entry(house: House) -> JobEntry:
    return house.runtime.submission.entry


def folders(house: House) -> list[str]:
    return [path.name for path in (house.config.paths.data_dir / "inputs").iterdir()]


def test_job_is_kept_with_everything_that_was_said_about_it(idle: House) -> None:
    job, position = entry(idle).enter(
        "img2img",
        PARAMS,
        images={"init_image": png_text(), "mask_image": png_text()},
        size=(16, 8),
        spec=spec_named("x.gguf"),
        title="mine",
        origin="here",
        owner="me",
        warnings=["careful"],
    )
    assert position == 1
    kept = idle.runtime.jobs.queue.get(job.id)
    assert (kept.kind, kept.title, kept.origin, kept.owner, kept.warnings) == (
        "img2img", "mine", "here", "me", ("careful",),
    )  # fmt: skip
    assert (kept.load_spec, kept.params) == (spec_named("x.gguf"), PARAMS.model_dump(mode="json"))
    with Image.open(idle.runtime.jobs.outputs.inputs_of(job.id) / kept.inputs["mask_image"]) as mask:
        assert (mask.mode, mask.size) == ("L", (16, 8))
    assert folders(idle) == [job.id]


def test_job_without_a_model_and_without_pictures_has_no_folder(idle: House) -> None:
    params = UpscaleParams(upscaler=UpscalerSpec(model=FileRef(name="x", path="/x")))
    job, _ = entry(idle).enter("upscale", params, images={}, size=(0, 0), spec=None)
    assert idle.runtime.jobs.queue.get(job.id).load_spec is None
    assert folders(idle) == []


def test_refused_picture_leaves_no_job_and_no_folder(idle: House) -> None:
    images = {"init_image": png_text(), "mask_image": "AAAA"}
    with pytest.raises(InvalidRequest, match="mask_image"):
        entry(idle).enter("img2img", PARAMS, images=images, size=(16, 8), spec=None)
    assert (folders(idle), idle.runtime.jobs.queue.counts()["total"]) == ([], 0)


def test_refused_job_leaves_no_folder(idle: House) -> None:
    images = {"init_image": png_text()}
    first, _ = entry(idle).enter("img2img", PARAMS, images=images, size=(16, 8), spec=None)
    with pytest.raises(QueueFull):
        entry(idle).enter("img2img", PARAMS, images=images, size=(16, 8), spec=None)
    idle.runtime.begin_stop()
    with pytest.raises(EngineUnavailable):
        entry(idle).enter("img2img", PARAMS, images=images, size=(16, 8), spec=None)
    assert folders(idle) == [first.id]


def test_folder_that_takes_no_pictures_is_told_of(idle: House) -> None:
    folder = idle.config.paths.data_dir / "inputs"
    folder.rmdir()
    folder.write_bytes(b"in the way")
    with pytest.raises(InputsNotStored, match=r"^The input pictures could not be stored: Not a directory$"):
        entry(idle).enter("img2img", PARAMS, images={"init_image": png_text()}, size=(16, 8), spec=None)
    assert idle.runtime.jobs.queue.counts()["total"] == 0
