"""Words about how far a job is."""

from __future__ import annotations

from sdcpp_rest.core.events import ModelLoading
from sdcpp_rest.core.job import Progress
from sdcpp_rest.routes.mcp.following import describe_loading, describe_progress, seconds_left


def test_a_step_is_told_with_what_is_left() -> None:
    progress = Progress(step=3, total_steps=20, phase="sampling")
    assert describe_progress(progress, 0.7) == "step 3 of 20, 12 s left"
    assert seconds_left(progress, 0.7) == 11.9
    assert describe_progress(progress, 0.0) == "step 3 of 20", "nobody knows"


def test_pictures_of_a_batch_are_counted() -> None:
    progress = Progress(step=3, total_steps=10, current_image=1, total_images=4, phase="sampling")
    assert describe_progress(progress, 1.0) == "picture 2 of 4, step 3 of 10, 27 s left"


def test_phases_without_steps_are_told_by_their_names() -> None:
    assert describe_progress(Progress(step=20, total_steps=20, phase="decoding"), 1.0) == "decoding"
    assert seconds_left(Progress(step=20, total_steps=20, phase="decoding"), 1.0) is None


def test_a_load_is_told_by_its_share() -> None:
    assert describe_loading(ModelLoading(model_name="x.gguf", progress=0.4)) == "loading x.gguf, 40%"
    assert describe_loading(ModelLoading(model_name="x.gguf")) == "loading x.gguf"
