"""Requests as the library gets them: every field in its place, what is left open as the library decides it."""

from __future__ import annotations

import ctypes
import math
from dataclasses import fields, replace
from typing import Any

import pytest

from sdcpp_rest.native.call_structs import ImageCall, VideoCall
from sdcpp_rest.native.context import (
    CacheSettings,
    Guidance,
    LoraFile,
    RawImage,
    Sampling,
    SkipLayers,
    Tiling,
    VideoRequest,
)
from sdcpp_rest.native.library import Library
from tests.native.drawing import picture

pytestmark = pytest.mark.native


def _values(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name, _ in struct._fields_}


def test_cache_settings_left_open_are_the_librarys_own(library: Library) -> None:
    own = library.raw.sd_cache_params_t()
    library.cdll.sd_cache_params_init(ctypes.byref(own))
    for call in (ImageCall(library, picture()), VideoCall(library, VideoRequest("a cat"))):
        assert _values(call.struct.cache) == _values(own)


def test_every_cache_setting_reaches_its_own_field(library: Library) -> None:
    names = [one.name for one in fields(CacheSettings) if one.name not in ("mode", "scm_mask")]
    struct_names = [name for name, _ in library.raw.sd_cache_params_t._fields_ if name not in ("mode", "scm_mask")]
    assert len(names) == len(struct_names) == 22
    before = _values(ImageCall(library, picture()).struct.cache)
    reached = []
    for name, struct_name in zip(names, struct_names, strict=True):
        old = before[struct_name]
        value: Any = not old if isinstance(old, bool) else 7
        cache_settings = replace(CacheSettings(), **{name: value})
        changed = _values(ImageCall(library, picture(cache=cache_settings)).struct.cache)
        assert changed == {**before, struct_name: value}, name
        reached.append(struct_name)
    assert reached == struct_names
    cache = ImageCall(library, picture(cache=CacheSettings("cache_dit", scm_mask="1,0"))).struct.cache
    assert (cache.mode, cache.scm_mask) == (library.raw.SDCacheMode.SD_CACHE_CACHE_DIT, b"1,0")


def test_every_field_of_a_video_reaches_the_struct(library: Library) -> None:
    frame = RawImage(2, 1, 3, b"abcdef")
    low = Sampling(
        guidance=Guidance(2.0, 3.0, 4.0, SkipLayers((1, 5), 0.25, 0.5, 6.0)),
        sampler="heun",
        scheduler="karras",
        steps=9,
        eta=0.5,
        shifted_timestep=8,
        custom_sigmas=(1.0, 0.5, 0.0),
        flow_shift=3.5,
    )
    request = VideoRequest(
        "a cat",
        negative_prompt="a dog",
        clip_skip=2,
        init_image=frame,
        end_image=replace(frame, pixels=b"ghijkl"),
        control_frames=(frame, frame, frame),
        width=48,
        height=32,
        sampling=low,
        high_noise=replace(low, steps=-1, sampler="lcm", scheduler=None, eta=None, flow_shift=None, custom_sigmas=()),
        moe_boundary=0.75,
        strength=0.5,
        seed=2**40,
        video_frames=9,
        vace_strength=0.25,
        vae_tiling=Tiling(True, 3, 4, 0.25, 0.5, 0.125),
        cache=CacheSettings("easycache", 0.5),
        loras=(LoraFile("/a.safetensors", 0.5, True), LoraFile("/b.safetensors")),
    )
    call = VideoCall(library, request)
    struct = call.struct
    assert (struct.prompt, struct.negative_prompt) == (b"a cat", b"a dog")
    plain = ("clip_skip", "width", "height", "moe_boundary", "strength", "seed", "video_frames", "vace_strength")
    assert [getattr(struct, name) for name in plain] == [2, 48, 32, 0.75, 0.5, 2**40, 9, 0.25]
    assert ctypes.string_at(struct.init_image.data, 6) == b"abcdef"
    assert ctypes.string_at(struct.end_image.data, 6) == b"ghijkl"
    assert struct.control_frames_size == 3
    assert struct.control_frames[2].width == 2
    assert list(_values(struct.vae_tiling_params).values()) == [True, 3, 4, 0.25, 0.5, 0.125]
    assert (struct.cache.mode, struct.cache.reuse_threshold) == (1, 0.5)
    assert struct.lora_count == 2
    assert [struct.loras[index].is_high_noise for index in range(2)] == [True, False]
    assert struct.loras[1].path == b"/b.safetensors"

    sample = struct.sample_params
    assert (sample.guidance.txt_cfg, sample.guidance.img_cfg, sample.guidance.distilled_guidance) == (2.0, 3.0, 4.0)
    assert sample.guidance.slg.layers[: sample.guidance.slg.layer_count] == [1, 5]
    assert (sample.guidance.slg.layer_start, sample.guidance.slg.layer_end) == (0.25, 0.5)
    assert sample.sample_method == library.sampler_names.resolve("heun")
    assert sample.scheduler == library.scheduler_names.resolve("karras")
    assert (sample.sample_steps, sample.eta, sample.shifted_timestep, sample.flow_shift) == (9, 0.5, 8, 3.5)
    assert sample.custom_sigmas[: sample.custom_sigmas_count] == [1.0, 0.5, 0.0]

    high = struct.high_noise_sample_params
    assert (high.sample_steps, high.sample_method) == (-1, library.sampler_names.resolve("lcm"))
    assert (high.scheduler, high.custom_sigmas_count) == (library.scheduler_names.count, 0)
    assert math.isinf(high.eta)
    assert math.isinf(high.flow_shift)


def test_video_left_open_is_the_librarys_own(library: Library) -> None:
    own = library.raw.sd_vid_gen_params_t()
    library.cdll.sd_vid_gen_params_init(ctypes.byref(own))
    ours = VideoCall(library, VideoRequest("a cat")).struct
    for name in ("width", "height", "moe_boundary", "strength", "vace_strength", "control_frames_size", "lora_count"):
        assert getattr(ours, name) == getattr(own, name), name
    assert not ours.init_image.data
    for name in ("sample_params", "high_noise_sample_params"):
        mine, theirs = getattr(ours, name), getattr(own, name)
        for field in ("scheduler", "sample_method", "sample_steps", "eta", "flow_shift", "custom_sigmas_count"):
            assert getattr(mine, field) == getattr(theirs, field), (name, field)
        assert mine.guidance.txt_cfg == theirs.guidance.txt_cfg


@pytest.mark.parametrize(("asked", "made"), [(1, 1), (2, 1), (4, 1), (5, 5), (6, 5), (9, 9), (33, 33), (80, 77)])
def test_frame_count_is_rounded_as_the_library_does(asked: int, made: int) -> None:
    assert VideoRequest("a cat", video_frames=asked).frame_count == made


@pytest.mark.parametrize("field", ["init_image", "end_image", "control_frames"])
def test_frames_need_three_channels(library: Library, field: str) -> None:
    grey = RawImage(2, 2, 1, bytes(4))
    changes: dict[str, Any] = {field: (grey,) if field == "control_frames" else grey}
    with pytest.raises(ValueError, match=f"{field} needs 3 channels, got 1"):
        VideoCall(library, VideoRequest("a cat", **changes))
