"""The library's words about refused memory are understood, and nothing else is taken for them."""

from __future__ import annotations

from pathlib import Path

from sdcpp_rest.core.load_spec import FileRef, LoadOptions, UpscalerSpec
from sdcpp_rest.core.params import ImageParams, Params, UpscaleParams, VideoParams
from sdcpp_rest.engine.refused_memory import DeviceMemory, MemoryWatch
from tests.cases import for_each_case

GIB = 1 << 30
CPU = DeviceMemory("CPU", False, 3 * GIB)
CARD = DeviceMemory("CUDA0", True, GIB // 2)
PICTURE = ImageParams(prompt="a")


def watch(*devices: DeviceMemory, note: str = "") -> MemoryWatch:
    return MemoryWatch(lambda: devices, note)


def heard(
    *lines: str, options: LoadOptions | None = None, params: Params | None = None, card: bool = False
) -> MemoryWatch:
    one = watch(*([CARD] if card else []), CPU)
    one.begin(options or LoadOptions(), params)
    for line in lines:
        one.hear(line)
    return one


# As the pinned version logs them, from the CPU with refused allocations.
ON_CPU = (
    "ggml_extend.hpp:69   - ggml_aligned_malloc: insufficient memory (attempted to allocate  22.50 MB)",
    "ggml_extend.hpp:69   - ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 23590272",
    "ggml_extend.hpp:69   - ggml_gallocr_reserve_n_impl: failed to allocate CPU buffer of size 23590272",
    "ggml_extend.hpp:1914 - qwen3: failed to allocate the compute buffer",
    "ggml_extend.hpp:2698 - qwen3 alloc compute buffer failed",
)
# As its source has them.
ON_CUDA = (
    "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 2048.00 MiB on device 0: cudaMalloc failed: out of memory",
    "ggml_extend.hpp:69   - alloc_tensor_range: failed to allocate CUDA0 buffer of size 2147483648",
    "ggml_extend.hpp:2572 - flux alloc params backend buffer failed, num_tensors = 81",
)


def test_who_asked_for_how_much_and_what_was_free_is_told() -> None:
    assert heard(*ON_CPU, params=PICTURE).sentence() == (
        "Not enough memory: the text encoder asked for 22.5 MiB on CPU, where 3.0 GiB was free. What takes less: a "
        "file of fewer bits, or a smaller weight_type such as q8_0 or q4_0; vae_tiling; a smaller width and height."
    )


def test_the_ways_out_of_a_card_are_told_in_their_order() -> None:
    assert heard(*ON_CUDA, card=True).sentence() == (
        "Not enough memory: the diffusion model asked for 2.0 GiB on CUDA0, where 512.0 MiB was free. What takes less: "
        "a file of fewer bits, or a smaller weight_type such as q8_0 or q4_0; the load option offload_to_cpu; to close "
        "other programs."
    )


def test_what_is_done_already_is_not_advised() -> None:
    options = LoadOptions(offload_to_cpu=True, keep_clip_on_cpu=True)
    params = PICTURE.model_copy(update={"vae_tiling": True})
    sentence = heard(*ON_CUDA, options=options, params=params, card=True).sentence()
    assert not any(name in sentence for name in ("offload_to_cpu", "keep_clip_on_cpu", "vae_tiling"))
    assert heard(*ON_CUDA, options=LoadOptions(keep_clip_on_cpu=False), card=True).sentence().count("keep_clip") == 1


def test_a_video_and_an_upscaler_have_ways_of_their_own() -> None:
    assert "fewer frames" in heard(*ON_CPU, params=VideoParams(prompt="a")).sentence()
    upscaler = UpscalerSpec(model=FileRef(name="x", path="/x"))
    assert "a smaller tile_size" in heard(*ON_CPU, params=UpscaleParams(upscaler=upscaler)).sentence()


@for_each_case(
    ("line", "word"),
    [
        ("control_net alloc compute buffer failed", "the ControlNet"),
        ("lora alloc params backend buffer failed, num_tensors = 24", "the LoRA"),
        ("esrgan: failed to allocate the compute buffer", "the upscaler"),
        ("taesd alloc partial runtime params backend buffer failed, num_tensors = 2", "the VAE"),
        ("t5 alloc runtime params backend buffer failed, num_tensors = 2", "the text encoder"),
        ("Wan2.1-T2V-1.3B alloc params backend buffer failed, num_tensors = 2", "Wan2.1-T2V-1.3B"),
        (" pmid model params buffer allocation failed", "the library"),
        ("flux alloc compute graph failed", "the library"),
        ("CUDA error: out of memory", "the library"),
        ("CUDA error: the resource allocation failed", "the library"),
        ("vk::Device::allocateMemory: ErrorOutOfDeviceMemory", "the library"),
        ("vk::Queue::submit: ErrorOutOfHostMemory", "the library"),
        ("ggml_gallocr_alloc: graph allocation: failed to reserve memory", "the library"),
        ("C++ exception in the native library: std::bad_alloc", "the library"),
        ("ggml.c:1581: GGML_ASSERT(ctx->mem_buffer != NULL) failed", "the library"),
        (
            "ggml_metal_buffer_init: error: failed to allocate buffer, size =  1024.00 MiB",
            "the library asked for 1.0 GiB",
        ),
        ("ggml_malloc: failed to allocate 512.00 MB", "the library asked for 512.0 MiB"),
    ],
)
def test_every_kind_of_refusal_is_understood(line: str, word: str) -> None:
    one = heard(line)
    assert one.is_refused
    assert word in one.sentence()


@for_each_case(
    "line",
    [
        "ggml_cuda_host_malloc: failed to allocate 10.00 MiB of pinned memory: out of memory",
        "ggml_vulkan: Failed to allocate pinned memory (vk::Device::allocateMemory: ErrorOutOfHostMemory)",
        "flux compute buffer size: 6.25 MB(RAM)",
        "tensor 'a' not in model file",
        "read tensor data failed: '/models/out of memories.gguf'",
        "load tensors from file failed",
    ],
)
def test_other_lines_are_no_refusal(line: str) -> None:
    assert not heard(line).is_refused


def test_a_preview_without_memory_is_forgiven() -> None:
    assert not heard(*ON_CPU, "stable-diffusion.cpp:1455 - preview decode failed at step 3").is_refused


def test_the_next_call_begins_with_nothing_heard() -> None:
    one = heard(*ON_CPU)
    one.end()
    assert not one.is_refused
    one.hear("lora alloc params backend buffer failed, num_tensors = 24")
    assert one.sentence().startswith("Not enough memory for the LoRA")


def test_a_note_lies_there_while_the_call_lasts(tmp_path: Path) -> None:
    note = tmp_path / "words.memory"
    one = watch(CPU, note=str(note))
    one.begin(LoadOptions())
    assert not note.exists()
    for line in ON_CPU:
        one.hear(line)
    assert note.read_text() == one.sentence()
    one.end()
    assert not note.exists()
