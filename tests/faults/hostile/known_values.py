"""Values of requests that are known to end the library's process, to hang it, or to be drawn wrong without a word."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image

from tests.faults.hostile.inputs import Conversion, Fields, LoadOptions, Named, Upscaling, VideoFields

NAN, INFINITE, HUGE = float("nan"), float("inf"), 2**31 - 1


def picture(size: tuple[int, int] = (64, 64), mode: str = "RGB") -> str:
    """A PNG file, base64."""
    file = io.BytesIO()
    Image.new(mode, size).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


_START = {"init_image_base64": picture()}
# What ends the process with a signal, with an exception or an assertion, never ends, or is silently wrong.
_FIELDS: tuple[tuple[str, Any], ...] = (
    *(("steps", value) for value in (0, -1, -100, 100_000_000, 10**30, 2.5, "many", [12], NAN)),
    *(("sampler", value) for value in (1_000_000, 16, 99, -1, "", "euler_x", "euler" * 500, None, ["euler"])),
    *(("scheduler", value) for value in (99, -1, "nope", "", {"a": 1})),
    *(("width", value) for value in (0, -64, 1, HUGE, 100_000, 20_000, 10**30, "64.5", 64.5, True, INFINITE)),
    *(("height", value) for value in (0, -1, HUGE, 100_000, 20_000, "tall", 1e300)),
    *(("batch_count", value) for value in (0, -1, 100_000, HUGE, "two")),
    *(("seed", value) for value in (-2, 2**63, 2**64, 1.5, "x", -(2**63))),
    *(("cfg_scale", value) for value in (NAN, INFINITE, -INFINITE, -1, 1e300, "seven", 10**400)),
    *(("clip_skip", value) for value in (99, -99, 10**10, "x")),
    *(("eta", value) for value in (NAN, INFINITE, "x")),
    *(("distilled_guidance", value) for value in (NAN, INFINITE, -5)),
    *(("custom_sigmas", value) for value in ([NAN, 0], [1.0], ["a"], [], [1e300] * 5, "1,0", [1] * 20_000)),
    *(("skip_layers", value) for value in ([-1], "7", [10**9], [1.5])),
    *(("slg_scale", value) for value in (NAN, INFINITE)),
    *(("cache_mode", value) for value in ("nope", "", 42)),
    *(("cache_options", value) for value in ({"threshold": NAN}, {"spectrum_m": 0}, {"max_cached_steps": -2}, 5)),
    *(("vae_tile_size_x", value) for value in (-1, 10**9)),
    ("vae_tile_overlap", 2), ("shifted_timestep", -1), ("shifted_timestep", 10**9), ("easycache_threshold", NAN),
    *(("ref_images", value) for value in ([picture((1, 1000))], [picture()] * 100, ["AAAA"], "x", [5], [""])),
    *(("control_image_base64", value) for value in (picture((64, 64), "L"), picture((1, 1)), "AAAA")),
    *(("pm_id_images", value) for value in ([picture()], ["AAAA"] * 100, [])),
    ("pm_id_embed_path", "/etc/passwd"), ("upscale", True), ("upscale_repeats", 17),
    *(("hires_upscaler", value) for value in ("nope", "../../etc/passwd", "demo_lora", "")),
    *(("hires_scale", value) for value in (0, 1e9, NAN)),
    ("hires_steps", -1), ("hires_width", 100_000), ("hires_denoising_strength", NAN),
)  # fmt: skip
_PROMPTS = (
    "a" * 20_000, "a" * 30_000, "(" * 30_000, "a " * 400_000, "(a:.)", "(a:" + "9" * 46 + ")",
    "(a:0." + "0" * 50 + "1)", "(a:nan)",
    "(a:inf)", "(a:1e999)", "(a:-1e38)", "(a:0x10)", "(a:1.2.3)", "((((a:1.1", "[a:b:.]", "nul \0 inside", "\ud800",
    "<lora:x:1>", "<lora:demo_lora:nan>", "<lora:demo_lora:1e39>", "<lora:../../etc/passwd:1>", "<lora::>",
    "<lora:" + "a" * 5000 + ":1>",
    "<lora:demo_lora:1>" * 3000, "embedding:../../etc/passwd", "{a|b" * 3000, "__../../etc/passwd__", "",
    "\u202e\U0001f9d1\u200d" * 300,
)  # fmt: skip
_STRENGTHS = (-0.1, 1.01, NAN, INFINITE, "x")
_STARTS = (
    "", "####", "AAAA", "iVBORw0KGgo=", "PHN2Zy8+", picture((9000, 9000), "1"), picture((1, 1)), picture((1, 4000),
    "L"),
    picture((8, 8), "RGBA"), picture((8, 8), "I;16"), picture((8, 8), "1"), picture((8, 8), "LA"), picture()[:80], 5,
    ["x"],
    "data:image/png;base64,", "http://127.0.0.1:1/x.png", "file:///etc/passwd",
)  # fmt: skip
_VIDEOS: tuple[tuple[str, Any], ...] = (
    *(("video_frames", value) for value in (-3, 0, 2, 1_000_000, "five", NAN)),
    ("width", 0), ("height", 0), ("width", HUGE), ("steps", 0), ("steps", -1), ("fps", 0), ("fps", 10**9),
    ("high_noise_steps", -2), ("high_noise_cfg_scale", NAN), ("moe_boundary", 2), ("vace_strength", -1), ("strength",
    -0.1),
    ("control_frames", [5]), ("init_image_base64", "AAAA"), ("end_image_base64", picture((1, 3000))), ("output_format",
    "avi"),
)  # fmt: skip
_OPTIONS: tuple[tuple[str, Any], ...] = (
    *(("weight_type", value) for value in (-1, 4, 5, 31, 32, 33, 36, 37, 38, 42, 99, "q8_1", "q8_k", "i8", "i16", "i32",
    "i64")),
    *(("weight_type", value) for value in ("f64", "nope", 1e300, [])),
    *(("tensor_type_rules", value) for value in ("(=f16", "[=f16", "^vae=nope", "x", "(a+)+$=f16", "a{1,100000}=f16",
    r"\1=f16")),
    *(("rng_type", value) for value in ("nope", 99)), *(("prediction", value) for value in ("nope", 99)),
    *(("lora_apply_mode", value) for value in ("nope", "immediately")), *(("n_threads", value) for value in (-5, 10**9,
    0.5)),
    ("flow_shift", NAN), ("vae_tile_overlap", 7), ("chroma_t5_mask_pad", 10**9), ("max_vram", NAN), ("max_vram", -5),
)  # fmt: skip
_NAMES = (
    "../../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "",
    ".",
    "..",
    "nope.gguf",
    "x" * 5000,
    5,
    None,
    ["x"],
    "CON",
    "\ud800",
)
_CONVERSIONS: tuple[tuple[str, Any], ...] = (
    *(("output_type", value) for value in ("q8_1", "q8_K", "i8", "i16", "i32", "i64", "f64", "4", "5", "31", "36", "-1",
    "", 5)),
    *(("tensor_type_rules", value) for value in ("(=f16", "[=f16", "(a|aa)+$=f16", "a\0=f16", "a" * 3000 + "=f16")),
    *(("input_path", value) for value in ("", "../x", "/etc/passwd", None, "nope")),
    *(("output_path", value) for value in ("../x.gguf", "/etc/x.gguf", "x" * 300 + ".gguf", "a\0b.gguf",
    "/dev/full.gguf")),
    ("vae_path", "../x"), ("vae_path", "demo_lora"),
)  # fmt: skip
_UPSCALINGS: tuple[tuple[str, Any], ...] = (
    *(("image_base64", value) for value in ("", "@@", picture((9000, 9000), "1"), picture((1, 1)), picture((8, 8), "L"),
    5)),
    *(("upscale_factor", value) for value in (0, 17, 1.5, -1)), *(("repeats", value) for value in (0, 16, 10**9)),
    *(("tile_size", value) for value in (0, -1, 4097)), ("upscaler", "demo_lora"), ("upscaler", "../x"), ("image_index",
    -1),
)  # fmt: skip


def known_values() -> list[Fields | VideoFields | LoadOptions | Conversion | Upscaling]:
    """All of them, one value each beside good ones."""
    name = Named()
    found: list[Fields | VideoFields | LoadOptions | Conversion | Upscaling] = []
    for field, value in _FIELDS:
        more = {"hires": True} if field.startswith("hires_") else {}
        found.append(Fields(name(f"{field} {value!r:.40}"), {**more, field: value}))
    found.append(Fields("gits with 1 step", {"steps": 1, "scheduler": "gits"}))
    found.append(
        Fields("all sizes at their limits", {"width": 4096, "height": 4096, "steps": 10_000, "batch_count": 64})
    )
    found += [Fields(name(f"prompt {one!r:.40}"), {"prompt": one}) for one in _PROMPTS]
    found += [Fields(name(f"negative_prompt {one!r:.30}"), {"negative_prompt": one}) for one in _PROMPTS[1:8]]
    found += [Fields(name(f"strength {one!r}"), {**_START, "strength": one}) for one in _STRENGTHS]
    found += [Fields(name(f"init_image {one!r:.40}"), {"init_image_base64": one}) for one in _STARTS]
    found += [Fields(name(f"mask {one!r:.40}"), {**_START, "mask_image_base64": one}) for one in _STARTS[:8]]
    found += [VideoFields(name(f"video {field} {value!r:.40}"), {field: value}) for field, value in _VIDEOS]
    found += [LoadOptions(name(f"option {field} {value!r:.40}"), {field: value}) for field, value in _OPTIONS]
    found += [LoadOptions(name(f"model {value!r:.30}"), {"model_name": value}, is_option=False) for value in _NAMES]
    found += [Conversion(name(f"convert {field} {value!r:.40}"), {field: value}) for field, value in _CONVERSIONS]
    found += [Upscaling(name(f"upscale {field} {value!r:.40}"), {field: value}) for field, value in _UPSCALINGS]
    return found
