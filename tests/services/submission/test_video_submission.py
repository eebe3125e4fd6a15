"""A video that is asked for becomes a job and a file, whatever happens to the engine meanwhile."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from sdcpp_rest.core.events import JobPreview, JobProgress
from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.engine import spool
from sdcpp_rest.errors import InvalidRequest, NoModelLoaded
from tests import model_files
from tests.services.conftest import Gate, House, config_below, png_text, spec_named

SMALL = {"prompt": "a cat", "width": 16, "height": 16, "video_frames": 5, "steps": 2}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Not started: jobs stay pending."""
    made = House(config_below(tmp_path_factory.mktemp("house")), "inline")
    yield made
    made.stop()


@pytest.fixture
def wan(tmp_path: Path) -> LoadSpec:
    return wan_spec(tmp_path)


def wan_spec(folder: Path, *components: str) -> LoadSpec:
    """A Wan 2.1 that makes videos of words."""
    path = model_files.write(folder / "wan.gguf", model_files.gguf_bytes(model_files.wan(30)))
    parts = {role: FileRef(name=role, path=str(folder / role)) for role in components}
    return LoadSpec(
        model=FileRef(name="wan.gguf", path=str(path)), kind="diffusion", architecture="Wan 2.x", components=parts
    )


def film(house: House, spec: LoadSpec, **more: Any) -> Job:
    """Submit a video and wait for its end."""
    job, _ = house.runtime.submission.videos.video({**SMALL, **more}, spec=spec)
    return house.finished(job.id)


def frames_of(path: Path) -> tuple[int, tuple[int, int], float]:
    """Frame count, size and rate as a player sees them."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        count = sum(1 for _ in container.decode(stream))
        assert stream.average_rate is not None
        return count, (stream.width, stream.height), float(stream.average_rate)


# --- what becomes of a request ----------------------------------------------------------------------------------------


def test_omitted_fields_are_the_tables(house: House, wan: LoadSpec) -> None:
    job, position = house.runtime.submission.videos.video({"prompt": "a cat"}, spec=wan, title="cat")
    params = house.runtime.jobs.queue.get(job.id).params
    assert (job.kind, job.title, position) == ("txt2vid", "cat", 1)
    expected = {
        "width": 832, "height": 480, "video_frames": 33, "fps": 16, "steps": 30, "cfg_scale": 6.0, "flow_shift": 3.0,
        "sampler": "euler", "scheduler": "discrete", "clip_skip": -1, "strength": 0.75, "moe_boundary": 0.875,
        "vace_strength": 1.0, "output_format": "mp4", "high_noise_steps": -1, "high_noise_cfg_scale": 7.0,
        "high_noise_sampler": "", "high_noise_skip_layers": [7, 8, 9], "distilled_guidance": 3.5, "slg_scale": 0.0,
    }  # fmt: skip
    assert {name: params[name] for name in expected} == expected
    assert params["seed"] >= 0
    assert job.warnings == ()


def test_users_choice_for_videos_is_a_default_of_videos_alone(make_house: Callable[..., House], wan: LoadSpec) -> None:
    house = make_house("limits.video_frames=9")
    house.runtime.settings.user.choose_generation({"txt2vid": {"fps": 24, "steps": 4}, "txt2img": {"steps": 7}})
    job, _ = house.runtime.submission.videos.video({"prompt": "a cat"}, spec=wan)
    params = house.runtime.jobs.queue.get(job.id).params
    assert (params["fps"], params["steps"]) == (24, 4)
    assert params["video_frames"] == 9, "a default is cut to the limit, not refused"


def test_without_a_model_there_is_no_video(make_house: Callable[..., House]) -> None:
    with pytest.raises(NoModelLoaded, match="No model loaded"):
        make_house().runtime.submission.videos.video(SMALL)


def test_model_of_pictures_is_refused_for_videos(house: House) -> None:
    spec = spec_named("flux.gguf").model_copy(update={"architecture": "Flux"})
    with pytest.raises(InvalidRequest, match=r"flux\.gguf \(Flux\) makes pictures, not videos"):
        house.runtime.submission.videos.video(SMALL, spec=spec)


def test_loras_of_the_prompt_are_told_apart_by_expert(house: House, tmp_path: Path) -> None:
    model_files.write(
        house.config.paths.models_dir / "loras" / "slow.safetensors", model_files.safetensors_bytes(model_files.LORA)
    )
    house.runtime.models.library.refresh()
    asked = {**SMALL, "prompt": "a cat <lora:|high_noise|slow:0.5> <lora:slow:0.25>"}
    job, _ = house.runtime.submission.videos.video(asked, spec=wan_spec(tmp_path, "high_noise_diffusion_model"))
    found = house.runtime.jobs.queue.get(job.id).params["loras"]
    assert [(lora["name"], lora["weight"], lora["is_high_noise"]) for lora in found] == [
        ("slow.safetensors", 0.5, True),
        ("slow.safetensors", 0.25, False),
    ]
    assert job.warnings == ()


def test_pictures_are_stored_in_the_size_of_the_video(house: House) -> None:
    unknown = spec_named("new.gguf")  # of which nobody knows what it looks at
    images = {"init_image": png_text(100, 50), "end_image": png_text(9, 9)}
    images |= {f"control_frames.{k}": png_text(8 + k, 8) for k in range(3)}
    job, _ = house.runtime.submission.videos.video({**SMALL, "width": 48, "height": 24}, images=images, spec=unknown)
    assert house.runtime.jobs.queue.get(job.id).inputs == {role: f"{role}.png" for role in images}
    folder = house.runtime.jobs.outputs.inputs_of(job.id)
    for role in images:
        with Image.open(folder / f"{role}.png") as picture:
            assert (picture.mode, picture.size) == ("RGB", (48, 24))


def test_damaged_frame_is_refused_by_its_number_and_leaves_nothing(house: House) -> None:
    before = house.runtime.jobs.queue.counts()["total"], len(list((house.config.paths.data_dir / "inputs").iterdir()))
    images = {"control_frames.0": png_text(), "control_frames.1": "bm9wZQ=="}
    with pytest.raises(InvalidRequest, match=r"control_frames\.1"):
        house.runtime.submission.videos.video(SMALL, images=images, spec=spec_named("new.gguf"))
    assert (
        house.runtime.jobs.queue.counts()["total"],
        len(list((house.config.paths.data_dir / "inputs").iterdir())),
    ) == before


# --- what becomes of the job ------------------------------------------------------------------------------------------


def test_video_is_made_and_told_of(make_house: Callable[..., House], wan: LoadSpec) -> None:
    house = make_house().start()
    job = film(house, wan, fps=12, width=20, video_frames=8)
    assert (job.status, job.error) == ("completed", None)
    assert job.outputs == (f"{job.id}/video.mp4",)
    assert frames_of(house.output(job)) == (5, (20, 16), 12.0)
    record = json.loads((house.output(job).parent / "config.json").read_text())
    assert (record["type"], record["params"]["video_frames"], record["params"]["fps"]) == ("txt2vid", 8, 12)
    assert any("4n+1" in warning for warning in record["warnings"])


@pytest.mark.parametrize(("video_format", "names"), [
    ("webm", ("video.webm",)), ("webp", ("video.webp",)), ("frames", tuple(f"frame_000{k}.png" for k in range(5))),
])  # fmt: skip
def test_format_decides_the_files(
    make_house: Callable[..., House], wan: LoadSpec, video_format: str, names: tuple[str, ...]
) -> None:
    house = make_house().start()
    job = film(house, wan, output_format=video_format)
    assert job.outputs == tuple(f"{job.id}/{name}" for name in names)
    assert all(house.output(job, k).is_file() for k in range(len(names)))


def test_both_experts_count_as_one_run(make_house: Callable[..., House], tmp_path: Path) -> None:
    house = make_house().start()
    job = film(house, wan_spec(tmp_path, "high_noise_diffusion_model"), steps=2, high_noise_steps=3)
    seen = []
    while (event := house.mailbox.get(1)) is not None:
        if isinstance(event, JobProgress) and event.job_id == job.id:
            seen.append((event.phase, event.step, event.total_steps))
        if isinstance(event, JobPreview):
            assert event.frame_count == 5
        if getattr(event, "status", None) == "completed":
            break
    assert [phase for phase, _, _ in seen if phase != "sampling"] == ["conditioning", "decoding", "encoding"]
    assert ("sampling", 5, 5) in seen
    assert {total for _, _, total in seen} == {5}
    shown = house.runtime.jobs.queue.progress(job)
    assert (shown.step, shown.total_steps, shown.percentage) == (5, 5, 100.0)


@pytest.mark.slow
def test_cancelled_video_stops_and_leaves_no_file(make_house: Callable[..., House], wan: LoadSpec) -> None:
    house = make_house(engine="process").start()
    job, _ = house.runtime.submission.videos.video({**SMALL, "prompt": "fake:hold"}, spec=wan)
    house.until(JobProgress, job_id=job.id, phase="conditioning")
    assert house.runtime.jobs.queue.cancel(job.id) == "cancelling"
    assert house.finished(job.id).status == "cancelled"
    assert house.visible() == []
    assert film(house, wan).status == "completed"
    assert house.runtime.engine.supervisor.restarts == 0


def test_cancel_while_encoding_wins_at_once(
    make_house: Callable[..., House], wan: LoadSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, encode = Gate(), spool.encode_pixels

    def slow_encode(folder: Path) -> tuple[str, ...]:
        gate()
        return encode(folder)

    house = make_house().start()
    monkeypatch.setattr(spool, "encode_pixels", slow_encode)
    job, _ = house.runtime.submission.videos.video(SMALL, spec=wan)
    gate.wait()
    house.until(JobProgress, job_id=job.id, phase="encoding")
    assert house.runtime.jobs.queue.cancel(job.id) == "cancelled"
    gate.open()
    assert house.finished(job.id).status == "cancelled"
    assert film(house, wan).status == "completed"
    assert [path for path in house.visible() if job.id in path] == []


@pytest.mark.slow
def test_engine_killed_while_encoding_loses_no_video(
    make_house: Callable[..., House], wan: LoadSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 between the last frame and the file: the server encodes what is in the spool."""
    house = make_house(engine="process").start()
    encode, encoded_here = spool.encode_pixels, []

    def noticed(folder: Path) -> tuple[str, ...]:
        encoded_here.append(folder.name)
        return encode(folder)

    # In this process alone: the engine's own encoder is another one's.
    monkeypatch.setattr(spool, "encode_pixels", noticed)
    client = house.runtime.engine.supervisor.client
    assert client is not None
    size = {"width": 480, "height": 272, "video_frames": 161, "output_format": "webm"}
    job, _ = house.runtime.submission.videos.video({**SMALL, **size}, spec=wan)
    house.until(JobProgress, job_id=job.id, phase="encoding")
    os.kill(client.pid, signal.SIGKILL)
    done = house.finished(job.id)
    assert (done.status, done.error) == ("completed", None)
    assert encoded_here == [job.id], "the engine was quicker than the kill"
    assert frames_of(house.output(done)) == (161, (480, 272), 16.0)
    assert sorted(path.name for path in house.output(done).parent.iterdir()) == ["config.json", "video.webm"]
    assert film(house, wan).status == "completed"
