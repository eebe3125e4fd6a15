"""The wall around calls: cancelled runs, C++ exceptions and assertions, with the demo model behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sdcpp_rest.native.context import Context, NativeCancelled
from sdcpp_rest.native.library import Library
from tests.native.drawing import Ended, digest, picture

pytestmark = pytest.mark.native


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
        from sdcpp_rest.native.call_structs import ImageCall
        library = open_library()
        library.set_last_words(scratch / "last_words.txt")
        context = Context.load(options)
        params = ImageCall(library, picture("(a:.)"))
        library.raw.generate_image(context._require_handle(), ctypes.byref(params.struct))
        report("survived")
    """)
    assert ended.reported == []
    assert ended.exit_code != 0
    assert (tmp_path / "last_words.txt").read_text() == "uncaught C++ exception: stof"


@pytest.mark.parametrize("survives", [True, False])
def test_weights_without_memory_are_named_by_a_process_that_ends_of_it(
    own_process: Callable[..., Ended], tmp_path: Path, survives: bool
) -> None:
    """The library only logs it, and its loader threads then write to where there is nothing."""
    ended = own_process(f"""
        import ctypes
        library = open_library()
        library.set_last_words(scratch / "last_words.txt")
        guard = library.guard._cdll
        line = b"ggml_extend.hpp:2572 - unet alloc params backend buffer failed, num_tensors = 1680\\n"
        def load(params):
            guard.guard_log(3, line, None)
            report((scratch / "last_words.txt").read_text())
            return 1 if {survives} else ctypes.string_at(0)
        load = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(load)
        guard.guard_new_context(load, None, ctypes.byref(ctypes.c_void_p()))
        report("alive")
        guard.guard_log(3, line, None)  # outside of a call nothing dies of it
    """)
    words = "not enough memory for the weights (unet alloc params backend buffer failed, num_tensors = 1680)"
    assert ended.reported == [words, "alive"][: 2 if survives else 1]
    assert (ended.exit_code == 0) == survives
    assert (tmp_path / "last_words.txt").exists() != survives
