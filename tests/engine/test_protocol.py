"""Every message survives the pipe, and nothing else gets through it."""

from __future__ import annotations

import math
import typing
from typing import Any

import pytest
from pydantic import ValidationError

from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import CacheOptions, ConvertParams, ImageParams, LoraUse, UpscaleParams, VideoParams
from sdcpp_rest.engine import protocol
from sdcpp_rest.engine.protocol import decode_command, decode_event, encode
from tests.cases import for_each_case

SPEC = LoadSpec(
    model=FileRef(name="ä.gguf", path="/m/ä.gguf"),
    kind="diffusion",
    components={"vae": FileRef(name="v", path="/v")},
    options=LoadOptions(flow_shift=math.inf),
)
PARAMS = ImageParams(
    prompt='"quoted"\n\\ 画', eta=math.inf, loras=(LoraUse(name="l", path="/l", weight=-0.5),), seed=2**63 - 1
)
UPSCALER = UpscalerSpec(model=FileRef(name="x4.pth", path="/x4.pth"))

COMMANDS: list[Frozen] = [
    protocol.LoadModel(spec=SPEC),
    protocol.LoadModel(spec=SPEC, free=("k", SPEC.key)),
    protocol.UnloadModel(),
    protocol.UnloadModel(keys=()),
    protocol.UnloadModel(keys=("k",)),
    protocol.LoadUpscaler(spec=UPSCALER),
    protocol.UnloadUpscaler(),
    protocol.RunJob(
        run=1,
        job_id="a",
        kind="img2img",
        params=PARAMS,
        model_key=SPEC.key,
        inputs={"init_image": "/i.png"},
        spool="/s",
        captions=("x", ""),
    ),
    protocol.RunJob(
        run=2,
        job_id="b",
        kind="txt2vid",
        params=VideoParams(prompt="a", cache_mode="dbcache", cache_options=CacheOptions(fn_compute_blocks=8)),
        spool="/s",
    ),
    protocol.RunJob(run=3, job_id="c", kind="upscale", params=UpscaleParams(upscaler=UPSCALER), spool="/s"),
    protocol.RunJob(
        run=4,
        job_id="d",
        kind="convert",
        params=ConvertParams(input=SPEC.model, output=SPEC.model, output_type="q8_0"),
        spool="/s",
    ),
    protocol.CancelJob(run=2**40),
    protocol.SetPreview(settings=protocol.PreviewSettings(mode="none", interval=5)),
    protocol.TellMemory(),
    protocol.WatchPreviews(is_watched=True),
    protocol.Shutdown(),
]
DEVICE = protocol.Device(name="CPU", description="d", backend="b", free_bytes=2**40)
EVENTS: list[Frozen] = [
    protocol.Ready(
        pid=1,
        library_version="v",
        devices=(DEVICE,),
        samplers=("euler",),
        quantization_types=(protocol.QuantizationType(id="q", name="Q", bits=8, bits_per_weight=8.5),),
    ),
    protocol.Loading(),
    protocol.Loading(progress=0.5),
    protocol.Loaded(key="k", architecture="Flux", held_bytes=2**40),
    protocol.UpscalerReady(factor=4, seconds=0.5),
    protocol.LoadFailed(message="no"),
    protocol.Unloaded(),
    protocol.Started(run=1),
    protocol.Step(run=1, step=1, total_steps=2, phase="hires"),
    protocol.Preview(run=1, step=1, frame_count=1, width=2, height=3, is_noisy=True, path="/p.jpg"),
    protocol.Computed(run=1, images=2, native_seconds=0.25, warnings=("w",)),
    protocol.Finished(run=1, files=("image_0.png",), encode_seconds=0.5),
    protocol.Failed(run=1, code="c", message="m"),
    protocol.Cancelled(run=1),
    protocol.Memory(rss_bytes=2**40, devices=(DEVICE,)),
    protocol.Memory(rss_bytes=1, threads=protocol.ThreadsUsed(chosen=1, most=2, why="w")),
    protocol.Stopped(),
]


@for_each_case("message", COMMANDS, ids=lambda message: type(message).__name__)
def test_commands_survive_the_pipe(message: Any) -> None:
    assert decode_command(encode(message)) == message


@for_each_case("message", EVENTS, ids=lambda message: type(message).__name__)
def test_events_survive_the_pipe(message: Any) -> None:
    assert decode_event(encode(message)) == message


def test_every_message_is_among_the_tested_ones() -> None:
    assert {type(message) for message in COMMANDS} == set(typing.get_args(protocol.Command))
    assert {type(message) for message in EVENTS} == set(typing.get_args(protocol.EngineEvent))


def test_types_are_told_apart() -> None:
    types = [message.type for message in (*COMMANDS, *EVENTS)]  # type: ignore[attr-defined]
    assert len(set(types)) == len({type(message) for message in (*COMMANDS, *EVENTS)})


@for_each_case(
    "raw",
    [b"", b"{", b"[]", b"null", b"{}", b'{"type": "nobody"}', b'{"type": "cancel_job"}',
     b'{"type": "cancel_job", "run": "x"}', b'{"type": "cancel_job", "run": 1, "more": 2}', b"\xff", b"\x80\x04K\x01."],
)  # fmt: skip
def test_anything_else_is_refused(raw: bytes) -> None:
    for decode in (decode_command, decode_event):
        with pytest.raises(ValidationError):
            decode(raw)


def test_commands_are_no_events() -> None:
    with pytest.raises(ValidationError):
        decode_event(encode(protocol.Shutdown()))
    with pytest.raises(ValidationError):
        decode_command(encode(protocol.Stopped()))
