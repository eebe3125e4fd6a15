"""Values that would end the process are refused, and those that look like it are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sdcpp_rest.native.context import (
    CacheSettings,
    Context,
    ContextOptions,
    Guidance,
    HiresFix,
    ImageRequest,
    PhotoMaker,
    RawImage,
    Sampling,
    SkipLayers,
    VideoRequest,
)
from sdcpp_rest.native.refusals import refuse_deadly_identity, refuse_deadly_image, refuse_deadly_video
from tests.native.drawing import Ended, picture

pytestmark = pytest.mark.native


# --- values that must not reach the library ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"steps": -1}, "steps must be at least 1"),
        ({"steps": 2**31}, "steps does not fit into 32 bits: 2147483648"),
        ({"width": 2**32 + 64}, "width does not fit"),
        ({"seed": 2**63}, "seed does not fit into 64 bits"),
        ({"hires": HiresFix(steps=2**40)}, "steps does not fit"),
        ({"guidance": Guidance(skip_layers=SkipLayers((1, -(2**31) - 1)))}, "layers does not fit"),
        ({"width": 0}, "0x64"),
        ({"height": -64}, "64x-64"),
        ({"batch_count": 0}, "batch_count"),
        ({"sampler": "eulre"}, "unknown sampler 'eulre'; allowed: euler, euler_a"),
        ({"scheduler": "nope"}, "unknown scheduler 'nope'; allowed: discrete, karras"),
        ({"scheduler": "gits", "steps": 1}, "at least 2 steps"),
        ({"prompt": "a\0b"}, "prompt contains a NUL"),
        ({"prompt": "\ud800"}, "not valid Unicode"),
        ({"strength": -0.1}, "strength"),
        ({"strength": float("nan")}, "strength"),
        ({"cache": CacheSettings("fast")}, "unknown cache mode 'fast'"),
        (
            {"cache": CacheSettings(taylorseer_n_derivatives=-1)},
            r"taylorseer_n_derivatives must be in 0\.\.100, got -1",
        ),
        ({"cache": CacheSettings("taylorseer", taylorseer_n_derivatives=10**8)}, "taylorseer_n_derivatives"),
        ({"cache": CacheSettings("spectrum", spectrum_m=-1)}, r"spectrum_m must be in 0\.\.100, got -1"),
        ({"cache": CacheSettings("spectrum", spectrum_m=100_000)}, "spectrum_m"),
        ({"cache": CacheSettings("cache_dit", scm_mask="1,,0")}, "scm_mask must be zeros and ones .* got '1,,0'"),
        ({"cache": CacheSettings("cache_dit", scm_mask="99999999999")}, "scm_mask"),
        ({"hires": HiresFix("Model")}, "Model needs a model_path"),
        ({"hires": HiresFix("Model", "x", upscale_tile_size=0)}, "upscale_tile_size must be at least 1, got 0"),
        ({"hires": HiresFix("nope")}, r"unknown hires upscaler 'nope'; allowed: None, Latent, Latent \(nearest\)"),
        ({"hires": HiresFix(denoising_strength=0)}, r"denoising_strength must be in \(0, 1\], got 0"),
        ({"hires": HiresFix(steps=1, denoising_strength=1), "scheduler": "gits"}, "at least 2 hires steps"),
        ({"init_image": RawImage(64, 64, 1, bytes(4096))}, "init_image needs 3 channels, got 1"),
        ({"mask_image": RawImage(64, 64, 3, bytes(3 * 4096))}, "mask_image needs 1 channels, got 3"),
        ({"ref_images": (RawImage(64, 64, 4, bytes(4 * 4096)),)}, "ref_images needs 3 channels, got 4"),
    ],
)
def test_deadly_value_is_refused_before_the_call(context: Context, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        context.generate_image(picture(**changes), 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"video_frames": 0}, "video_frames must be at least 1, got 0"),
        ({"video_frames": -3}, "video_frames"),
        ({"video_frames": 2**31}, "video_frames does not fit into 32 bits"),
        ({"high_noise": Sampling(steps=-(2**31) - 1)}, "steps does not fit"),
        ({"width": 0}, "a video of 0x512 pixels"),
        ({"sampling": Sampling(steps=0)}, "steps must be at least 1"),
        ({"sampling": Sampling(steps=1, scheduler="gits")}, "gits needs at least 2 steps"),
        ({"high_noise": Sampling(steps=-2)}, "high-noise steps must be at least 0, or -1"),
        ({"cache": CacheSettings("spectrum", spectrum_m=-1)}, "spectrum_m"),
    ],
)
def test_deadly_value_of_a_video_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        refuse_deadly_video(VideoRequest("a cat", **changes))


@pytest.mark.parametrize(
    "prompt", ["img", "IMG a man", "(a man:1.2) img", "a man (img)", "a man BREAK img", "a [img2]"]
)
def test_trigger_word_without_a_word_before_it_is_refused(prompt: str) -> None:
    with pytest.raises(ValueError, match="img stands first"):
        refuse_deadly_identity(ImageRequest(prompt, photo_maker=PhotoMaker((RawImage(1, 1, 3, b"abc"),))))


@pytest.mark.parametrize("prompt", ["", "a man", "a man imgur", "a himg"])
def test_prompt_without_the_trigger_word_is_refused(prompt: str) -> None:
    with pytest.raises(ValueError, match="needs the trigger word img"):
        refuse_deadly_identity(ImageRequest(prompt, photo_maker=PhotoMaker((RawImage(1, 1, 3, b"abc"),))))


@pytest.mark.parametrize("prompt", ["a man img", "(a man img:1.2), smiling", "a man  Img, a woman img", "a man, img2"])
def test_trigger_word_after_a_word_is_let_through(prompt: str) -> None:
    refuse_deadly_identity(ImageRequest(prompt, photo_maker=PhotoMaker((RawImage(1, 1, 3, b"abc"),))))


def test_photo_maker_without_pictures_is_refused() -> None:
    with pytest.raises(ValueError, match="needs identity pictures"):
        refuse_deadly_identity(ImageRequest("a man img", photo_maker=PhotoMaker(id_embed_path="x")))


def test_what_the_library_survives_is_let_through() -> None:
    refuse_deadly_image(
        picture(
            custom_sigmas=(1.0,),
            cache=CacheSettings("cache_dit", -1.0, 2.0, -3.0, max_warmup_steps=-5, scm_mask="1,0,0"),
            hires=HiresFix(scale=float("nan"), steps=-5, denoising_strength=0.0001),
            guidance=Guidance(txt_cfg=float("nan")),
        )
    )
    refuse_deadly_video(VideoRequest("a cat", video_frames=1, high_noise=Sampling(steps=0), moe_boundary=-1))


@pytest.mark.parametrize(
    ("cache", "dies"),
    [
        ('CacheSettings("taylorseer", 100, max_warmup_steps=0, taylorseer_n_derivatives=-1)', True),
        ('CacheSettings("spectrum", spectrum_m=-1, spectrum_warmup_steps=0)', True),
        ('CacheSettings("taylorseer", max_warmup_steps=0, taylorseer_n_derivatives=100)', False),
        ('CacheSettings("spectrum", spectrum_m=100, spectrum_warmup_steps=0)', False),
    ],
)
def test_bounds_of_cache_settings_are_where_the_library_dies(
    own_process: Callable[..., Ended], cache: str, dies: bool
) -> None:
    """Fails when the library has learned to survive them: then the refusal can go."""
    ended = own_process(f"""
        from sdcpp_rest.native import call_structs
        call_structs.refuse_deadly_image = lambda request: None
        context = Context.load(options)
        report(len(context.generate_image(picture(steps=8, cache={cache}), 1)))
    """)
    assert (ended.exit_code < 0) == dies, ended.stderr
    assert ended.reported == ([] if dies else [1])


def test_pictures_are_refused_by_a_decoder_only_context(demo_options: ContextOptions) -> None:
    with Context.load(replace(demo_options, vae_decode_only=True)) as decoder:
        with pytest.raises(ValueError, match="vae_decode_only"):
            decoder.generate_image(picture(init_image=RawImage(64, 64, 3, bytes(3 * 4096))), 1)
        with pytest.raises(ValueError, match="the hires upscaler Lanczos needs the encoder"):
            decoder.generate_image(picture(hires=HiresFix("Lanczos")), 2)
        assert len(decoder.generate_image(picture(steps=1), 3)) == 1


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
