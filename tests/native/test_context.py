"""The owning classes against the real library, drawing with the demo model."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from sdcpp_rest.native.context import (
    CacheSettings,
    Context,
    ContextOptions,
    Guidance,
    HiresFix,
    LoraFile,
    NativeCancelled,
    RawImage,
    Tiling,
)
from sdcpp_rest.native.library import Library
from tests.native.drawing import Ended, digest, picture

pytestmark = pytest.mark.native


# --- the same picture as the library alone ----------------------------------------------------------------------------

# (sampler, scheduler) as we name them and as the C header does; width, height, steps, cfg, seed, negative prompt, batch
CASES: list[tuple[str, str, str, str, int, int, int, float, int, str, int]] = [
    ("euler", "EULER", "discrete", "DISCRETE", 64, 64, 4, 2.5, 1, "", 1),
    ("euler", "EULER", "discrete", "DISCRETE", 64, 64, 4, 1.0, 1, "", 1),
    ("euler", "EULER", "karras", "KARRAS", 64, 64, 4, 2.5, 2, "", 1),
    ("euler_a", "EULER_A", "discrete", "DISCRETE", 64, 64, 4, 2.5, 3, "", 1),
    ("heun", "HEUN", "discrete", "DISCRETE", 64, 64, 3, 2.5, 4, "", 1),
    ("dpm2", "DPM2", "exponential", "EXPONENTIAL", 64, 64, 3, 2.5, 5, "", 1),
    ("dpm++2s_a", "DPMPP2S_A", "discrete", "DISCRETE", 64, 64, 3, 2.5, 6, "", 1),
    ("dpm++2m", "DPMPP2M", "karras", "KARRAS", 64, 64, 4, 3.5, 7, "", 1),
    ("dpm++2mv2", "DPMPP2Mv2", "sgm_uniform", "SGM_UNIFORM", 64, 64, 4, 2.5, 8, "", 1),
    ("ipndm", "IPNDM", "simple", "SIMPLE", 64, 64, 4, 2.5, 9, "", 1),
    ("lcm", "LCM", "lcm", "LCM", 64, 64, 4, 1.0, 10, "", 1),
    ("ddim_trailing", "DDIM_TRAILING", "smoothstep", "SMOOTHSTEP", 64, 64, 4, 2.5, 11, "", 1),
    ("res_multistep", "RES_MULTISTEP", "kl_optimal", "KL_OPTIMAL", 64, 64, 4, 2.5, 12, "", 1),
    ("euler", "EULER", "discrete", "DISCRETE", 96, 64, 3, 2.5, 2**40 + 7, "", 1),
    ("euler", "EULER", "discrete", "DISCRETE", 64, 64, 4, 2.5, 13, "a green square", 1),
    ("euler", "EULER", "discrete", "DISCRETE", 64, 64, 3, 2.5, 14, "", 2),
]


def test_pictures_are_bit_identical_to_those_of_the_bare_binding(
    context: Context, demo_options: ContextOptions, tmp_path: Path
) -> None:
    prompt = "a yellow star on a purple background"
    cases_path, results_path = tmp_path / "cases.json", tmp_path / "results.json"
    cases = [
        {"prompt": prompt, "sampler": c_sampler, "scheduler": c_scheduler, "width": width, "height": height,
         "steps": steps, "cfg": cfg, "seed": seed, "negative_prompt": negative, "batch_count": batch}
        for _, c_sampler, _, c_scheduler, width, height, steps, cfg, seed, negative, batch in CASES
    ]  # fmt: skip
    paths = {name: getattr(demo_options, name) for name in ("diffusion_model_path", "llm_path", "taesd_path")}
    cases_path.write_text(json.dumps({"paths": paths, "cases": cases}))
    raw_binding = Path(__file__).with_name("raw_binding.py")
    subprocess.run(
        [sys.executable, str(raw_binding), str(cases_path), str(results_path)],
        check=True,
        timeout=300,
        stdout=subprocess.DEVNULL,
    )
    expected = json.loads(results_path.read_text())

    drawn = []
    for run, (sampler, _, scheduler, _, width, height, steps, cfg, seed, negative, batch) in enumerate(CASES, 1):
        request = picture(
            prompt, negative_prompt=negative, width=width, height=height, steps=steps, sampler=sampler,
            scheduler=scheduler, seed=seed, batch_count=batch, guidance=Guidance(txt_cfg=cfg),
        )  # fmt: skip
        drawn.append(digest(context.generate_image(request, run)))

    assert len(expected) == len(CASES) >= 12
    assert drawn == expected
    assert len(set(drawn)) == len(drawn), "different requests drew the same picture: the comparison proves nothing"


def test_picture_shows_what_the_prompt_says(context: Context) -> None:
    image = context.generate_image(picture(steps=12), 1)[0]
    assert (image.width, image.height, image.channels) == (64, 64, 3)

    def colour(x: int, y: int) -> tuple[int, int, int]:
        at = 3 * (y * image.width + x)
        red, green, blue = image.pixels[at : at + 3]
        return red, green, blue

    centre, corner = colour(32, 32), colour(2, 2)
    assert centre[0] > centre[2] + 60, f"the circle is not red: {centre}"
    assert corner[2] > corner[0] + 60, f"the background is not blue: {corner}"


# --- what a request can carry -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"init_image": RawImage(64, 64, 3, bytes(range(192)) * 64), "strength": 0.6}, id="init image"),
        pytest.param(
            {
                "init_image": RawImage(64, 64, 3, bytes(64 * 64 * 3)),
                "mask_image": RawImage(64, 64, 1, b"\xff" * 2048 + bytes(2048)),
            },
            id="mask",
        ),
        pytest.param({"custom_sigmas": (1.0, 0.7, 0.4, 0.1, 0.0)}, id="custom sigmas"),
        pytest.param({"flow_shift": 5.0}, id="flow shift"),
        pytest.param({"sampler": "euler_a", "eta": 0.0}, id="eta"),
        pytest.param({"cache": CacheSettings("easycache", 0.5, 0.1, 1.0), "steps": 12}, id="cache"),
        pytest.param({"hires": HiresFix(target_width=96, target_height=96, steps=2)}, id="hires"),
    ],
)
def test_setting_reaches_the_library(context: Context, changes: dict[str, Any]) -> None:
    plain = {key: value for key, value in changes.items() if key in ("sampler", "steps")}
    before = digest(context.generate_image(picture(**plain), 1))
    changed = digest(context.generate_image(picture(**changes), 2))
    assert changed != before
    assert digest(context.generate_image(picture(**plain), 3)) == before


def test_vae_tiling_reaches_the_library(context: Context, library: Library) -> None:
    tiles: list[tuple[int, int]] = []
    library.set_progress(lambda step, steps, _seconds: tiles.append((step, steps)))
    context.generate_image(picture(steps=2, width=128, height=128), 1)
    without = len(tiles)
    tiles.clear()
    context.generate_image(
        picture(steps=2, width=128, height=128, vae_tiling=Tiling(True, tile_size_x=8, tile_size_y=8)), 2
    )
    assert len(tiles) > without + 4


def test_lora_changes_the_picture_and_leaves_no_trace(context: Context, demo_folder: Path) -> None:
    lora = LoraFile(str(demo_folder / "loras/demo_lora.safetensors"), 1.0)
    before = digest(context.generate_image(picture(), 1))
    assert digest(context.generate_image(picture(loras=(lora,)), 2)) != before
    assert digest(context.generate_image(picture(), 3)) == before


def test_previews_arrive_as_copies(context: Context, library: Library) -> None:
    seen: list[tuple[int, list[RawImage], bool]] = []
    library.set_preview(lambda step, frames, is_noisy: seen.append((step, list(frames), is_noisy)), "proj", 2)
    context.generate_image(picture(steps=4), 1)
    assert [step for step, _, _ in seen] == [2, 4]
    for _, frames, is_noisy in seen:
        assert [frame.channels for frame in frames] == [3]
        assert not is_noisy
    assert seen[0][1][0].pixels != seen[1][1][0].pixels


def test_failing_callback_does_not_disturb_the_picture(
    context: Context, library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    before = digest(context.generate_image(picture(), 1))

    def fail(*_: object) -> None:
        raise RuntimeError("a listener broke")

    library.set_progress(fail)
    library.set_log(fail)
    library.set_preview(fail)
    assert digest(context.generate_image(picture(), 2)) == before
    assert "a progress callback failed" in caplog.text


# --- values that must not reach the library ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"steps": -1}, "steps must be at least 1"),
        ({"width": 0}, "0x64"),
        ({"height": -64}, "64x-64"),
        ({"batch_count": 0}, "batch_count"),
        ({"sampler": "eulre"}, "unknown sampler 'eulre'; allowed: euler, euler_a"),
        ({"scheduler": "nope"}, "unknown scheduler 'nope'; allowed: discrete, karras"),
        ({"scheduler": "gits", "steps": 1}, "at least 2 steps"),
        ({"prompt": "a\0b"}, "prompt contains a NUL"),
        ({"prompt": "\ud800"}, "not valid Unicode"),
        ({"strength": -0.1}, "strength"),
        ({"cache": CacheSettings("fast")}, "unknown cache mode 'fast'"),
        ({"init_image": RawImage(64, 64, 1, bytes(4096))}, "init_image needs 3 channels, got 1"),
        ({"mask_image": RawImage(64, 64, 3, bytes(3 * 4096))}, "mask_image needs 1 channels, got 3"),
        ({"ref_images": (RawImage(64, 64, 4, bytes(4 * 4096)),)}, "ref_images needs 3 channels, got 4"),
    ],
)
def test_deadly_value_is_refused_before_the_call(context: Context, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        context.generate_image(picture(**changes), 1)


def test_init_image_is_refused_by_a_decoder_only_context(demo_options: ContextOptions) -> None:

    with Context.load(replace(demo_options, vae_decode_only=True)) as decoder:
        with pytest.raises(ValueError, match="vae_decode_only"):
            decoder.generate_image(picture(init_image=RawImage(64, 64, 3, bytes(3 * 4096))), 1)
        assert len(decoder.generate_image(picture(steps=1), 2)) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wtype": "q9_9"}, "weight type 'q9_9'"),
        ({"wtype": "q8_k"}, "weight type 'q8_k'"),
        ({"wtype": "DEPRECATED"}, "weight type 'DEPRECATED'"),
        ({"rng_type": "dice"}, "unknown rng type 'dice'; allowed: std_default, cuda, cpu"),
        ({"prediction": "x"}, "unknown prediction"),
        ({"lora_apply_mode": "x"}, "unknown LoRA apply mode"),
        ({"model_path": "/a\0b"}, "model_path contains a NUL"),
    ],
)
def test_unknown_option_is_refused_before_the_call(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Context.load(ContextOptions(n_threads=1, **changes))


def test_pixels_must_fit_the_size() -> None:
    with pytest.raises(ValueError, match="11 bytes of pixels where 12 are needed"):
        RawImage(2, 2, 3, bytes(11))
    with pytest.raises(ValueError, match="does not exist"):
        RawImage(0, 2, 3, b"")


# --- life of a context ------------------------------------------------------------------------------------------------


def test_load_reports_what_the_file_is(context: Context) -> None:
    assert context.architecture == "Ovis Image"
    assert context.supports_images
    assert not context.supports_video


def test_closed_context_refuses_to_draw_and_closes_twice(demo_options: ContextOptions) -> None:
    loaded = Context.load(demo_options)
    loaded.close()
    loaded.close()
    with pytest.raises(ValueError, match="unloaded"):
        loaded.generate_image(picture(), 1)


def _safetensors(path: Path, header: object, body: bytes = b"") -> None:
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + body)


def test_failed_loads_say_why_and_leave_a_usable_library(own_process: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "random.safetensors").write_bytes(bytes(i * 37 % 251 for i in range(4096)))
    (tmp_path / "random.gguf").write_bytes(bytes(i * 41 % 251 for i in range(4096)))
    (tmp_path / "empty.gguf").write_bytes(b"")
    _safetensors(tmp_path / "array.safetensors", ["not", "an", "object"])
    _safetensors(tmp_path / "strange.safetensors", {"weight": {"dtype": "F32", "shape": "2x2"}})
    ended = own_process("""
        for name in ("missing.gguf", "random.safetensors", "random.gguf", "empty.gguf", "array.safetensors",
                     "strange.safetensors"):
            try:
                Context.load(ContextOptions(model_path=str(scratch / name), n_threads=1))
                report([name, "loaded", ""])
            except NativeError as error:
                report([name, error.kind, error.message])
        with Context.load(options) as context:
            report(digest(context.generate_image(picture(), 1)))
    """)
    assert ended.exit_code == 0, ended.stderr
    *failures, drawn = ended.reported
    assert len(failures) == 6
    for name, kind, message in failures:
        assert kind in ("failed", "exception"), (name, kind)
        assert len(message) > 10, name
    assert failures[0][2].count("missing.gguf") >= 1
    assert len(drawn) == 64


# --- cancel -----------------------------------------------------------------------------------------------------------


def test_cancel_from_another_thread_stops_within_one_step(own_process: Callable[..., Ended]) -> None:
    ended = own_process("""
        import threading
        library = open_library()
        context = Context.load(options)
        before = digest(context.generate_image(picture(), 1))
        steps, reached, gone_on = [], threading.Event(), threading.Event()
        def progress(step, total, seconds):
            steps.append(step)
            if step == 3:
                reached.set()
                gone_on.wait(30)
        def cancel():
            reached.wait(30)
            library.cancel(2)
            gone_on.set()
        library.set_progress(progress)
        other = threading.Thread(target=cancel)
        other.start()
        try:
            context.generate_image(picture(steps=30), 2)
            report("finished")
        except NativeCancelled as cancelled:
            report(["cancelled", cancelled.run, steps])
        other.join()
        library.set_progress(None)
        report([before, digest(context.generate_image(picture(), 3))])
    """)
    assert ended.exit_code == 0, ended.stderr
    assert ended.reported[0] == ["cancelled", 2, [0, 1, 2, 3]]
    before, after = ended.reported[1]
    assert before == after


def test_stale_cancel_does_not_hit_the_next_run(context: Context, library: Library) -> None:
    before = digest(context.generate_image(picture(), 41))
    library.cancel(41)
    assert digest(context.generate_image(picture(), 42)) == before
    library.cancel(44)
    assert digest(context.generate_image(picture(), 43)) == before


def test_run_cancelled_before_it_begins_is_never_sampled(context: Context, library: Library) -> None:
    steps: list[int] = []
    library.set_progress(lambda step, _steps, _seconds: steps.append(step))
    library.cancel(50)
    with pytest.raises(NativeCancelled):
        context.generate_image(picture(), 50)
    assert max(steps) == 0


def test_cancel_during_a_lora_load_waits_for_the_loader(own_process: Callable[..., Ended]) -> None:
    """The loader reports progress while its threads run: a throw there would be std::terminate."""
    ended = own_process("""
        library = open_library()
        context = Context.load(options)
        lora = LoraFile(options.taesd_path.replace("taesd/demo_tae", "loras/demo_lora"))
        before = digest(context.generate_image(picture(loras=(lora,)), 1))
        # These two texts tell the guard whether loader threads run.
        log = library.log_tail()
        for text in (" - loading tensors from ", " - loading tensors completed"):
            report(any(text in line for line in log))
        library.cancel(2)
        try:
            context.generate_image(picture(loras=(lora,)), 2)
            report("finished")
        except NativeCancelled:
            report("cancelled")
        report(digest(context.generate_image(picture(loras=(lora,)), 3)) == before)
    """)
    assert ended.exit_code == 0, ended.stderr
    assert ended.reported == [True, True, "cancelled", True]


def test_ten_cancels_leak_nothing_and_change_nothing(context: Context, library: Library) -> None:
    before = digest(context.generate_image(picture(), 1))
    process = psutil.Process()
    run = 100

    def cancel_at_step_two(step: int, _steps: int, _seconds: float) -> None:
        if step == 2:
            library.cancel(run)

    library.set_progress(cancel_at_step_two)
    resident = []
    for _ in range(13):
        run += 1
        with pytest.raises(NativeCancelled):
            context.generate_image(picture(steps=6, width=128, height=128), run)
        resident.append(process.memory_info().rss)
    library.set_progress(None)
    growth = resident[-1] - resident[2]  # the first ones warm up the allocator
    assert growth < 8 * 2**20, f"{growth / 2**20:.1f} MiB after ten cancels"
    assert digest(context.generate_image(picture(), run + 1)) == before


# --- exceptions and assertions ----------------------------------------------------------------------------------------

_WRONG_LORA = """
    def wrong_lora():
        import struct
        names = [f"diffusion_model.double_blocks.0.img_attn.proj.lora_{half}.weight" for half in "AB"]
        shapes, header, at = [[8, 160], [128, 8]], {}, 0
        for name, shape in zip(names, shapes):
            size = 4 * shape[0] * shape[1]
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
            at += size
        encoded = json.dumps(header).encode()
        (scratch / "wrong.safetensors").write_bytes(struct.pack("<Q", len(encoded)) + encoded + bytes(at))
        return LoraFile(str(scratch / "wrong.safetensors"))
"""


def test_exception_becomes_an_error_and_the_context_draws_on(own_process: Callable[..., Ended]) -> None:
    ended = own_process("""
        context = Context.load(options)
        before = digest(context.generate_image(picture(), 1))
        for run, prompt in enumerate(["(a:.)", "(a:" + "9" * 46 + ")"], 2):
            try:
                context.generate_image(picture(prompt), run)
                report("finished")
            except NativeError as error:
                report([error.kind, error.message])
        report(digest(context.generate_image(picture(), 9)) == before)
    """)
    assert ended.exit_code == 0, ended.stderr
    assert ended.reported == [["exception", "C++ exception in the native library: stof"]] * 2 + [True]


def test_assertion_becomes_an_error_and_the_context_draws_on(own_process: Callable[..., Ended], tmp_path: Path) -> None:
    ended = own_process(
        _WRONG_LORA
        + """
    open_library().set_last_words(scratch / "last_words.txt")
    context = Context.load(options)
    before = digest(context.generate_image(picture(), 1))
    for run in (2, 3):
        try:
            context.generate_image(picture(loras=(wrong_lora(),)), run)
            report("finished")
        except NativeError as error:
            report([error.kind, error.message])
    report(digest(context.generate_image(picture(), 4)) == before)
    """
    )
    assert ended.exit_code == 0, ended.stderr
    (kind, message), second, same = ended.reported
    assert kind == "assertion"
    assert "GGML_ASSERT(ggml_can_mul_mat(a, b)) failed" in message
    assert second == [kind, message]
    assert same
    assert not (tmp_path / "last_words.txt").exists(), "the process survived: these were not its last words"


def test_assertion_outside_of_a_guarded_call_leaves_its_last_words(
    own_process: Callable[..., Ended], tmp_path: Path
) -> None:
    ended = own_process("""
        import ctypes
        library = open_library()
        library.set_last_words(scratch / "last_words.txt")
        library.cdll.ggml_abort(b"/somewhere/ggml/src/ggml.c", 7, b"GGML_ASSERT(%s) failed", b"the sky is up")
        report("survived")
    """)
    assert ended.reported == []
    assert ended.exit_code != 0
    expected = "/somewhere/ggml/src/ggml.c:7: GGML_ASSERT(the sky is up) failed"
    assert (tmp_path / "last_words.txt").read_text() == expected
    assert expected in ended.stderr


def test_assertion_inside_a_backend_is_never_unwound(own_process: Callable[..., Ended], tmp_path: Path) -> None:
    """Its other threads would wait for this one for ever: here the process must end, with its last words said."""
    ended = own_process("""
        import ctypes
        library = open_library()
        library.set_last_words(scratch / "last_words.txt")
        loads = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
        def inside(path):
            def load(_):
                library.guard._cdll.guard_abort(path + b":1: GGML_ASSERT(x) failed")
            return loads(load)
        out = ctypes.c_void_p()
        # guard_abort returns where it must not throw; ggml would abort the process then.
        for path in (b"/b/src/ggml-cpu/ops.cpp", b"/b/src/ggml-cuda/ggml-cuda.cu", b"C:\\\\b\\\\ggml-cpu\\\\ops.cpp"):
            try:
                library.call("guard_new_context", inside(path), None, ctypes.byref(out))
            except NativeError as error:
                report(error.kind)
    """)
    assert ended.exit_code == 0, ended.stderr
    assert ended.reported == ["failed"] * 3
    assert "GGML_ASSERT(x)" in (tmp_path / "last_words.txt").read_text()


def test_exception_outside_of_a_guarded_call_leaves_its_last_words(
    own_process: Callable[..., Ended], tmp_path: Path
) -> None:
    ended = own_process("""
        import ctypes
        from sdcpp_rest.native.context import _ImageParams
        library = open_library()
        library.set_last_words(scratch / "last_words.txt")
        context = Context.load(options)
        params = _ImageParams(library, picture("(a:.)"))
        library.raw.generate_image(context._typed(), ctypes.byref(params.struct))
        report("survived")
    """)
    assert ended.reported == []
    assert ended.exit_code != 0
    assert (tmp_path / "last_words.txt").read_text() == "uncaught C++ exception: stof"
