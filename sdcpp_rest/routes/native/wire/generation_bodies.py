"""The wire models of picture jobs, and what they have in common with those of videos.

Only types and fixed ranges are told here; what depends on the model, the configuration or the files is the
submission's business, and so are all defaults.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue

from sdcpp_rest.routes.http.answers import AtMost, Flag, Integer, Number, Text, Wire, optional
from sdcpp_rest.routes.http.openapi import Answer

_EXAMPLE: dict[str, JsonValue] = {
    "prompt": "a red circle on a blue background",
    "width": 64,
    "height": 64,
    "steps": 12,
    "seed": 42,
}
_RED_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mO4IycHAALyARlNudhnAAAAAElFTkSuQmCC"

MAX_PICTURES = 16
"""Reference pictures, or faces, of one request."""


class CacheOptionsBody(Wire):
    """Knobs of `cache_mode`, by the library's own names; one that is left out is the library's. Which of them count
    depends on the mode."""

    threshold: Number = optional("easycache, ucache: how much may change for a step to be reused.", ge=0, le=1000)
    start: Number = optional("easycache, ucache: where reuse may begin, as a share of the steps.", ge=0, le=1)
    end: Number = optional("easycache, ucache: where reuse ends, as a share of the steps.", ge=0, le=1)
    error_decay_rate: Number = optional("ucache: how fast errors are forgotten; 1: never.", ge=0, le=1)
    use_relative_threshold: Flag = optional("ucache: measure changes against the size of what changes.")
    reset_error_on_compute: Flag = optional("ucache: forget errors whenever a step is computed.")
    fn_compute_blocks: Integer = optional("dbcache, cache_dit: first blocks that are always computed.", ge=0, le=1000)
    bn_compute_blocks: Integer = optional("dbcache, cache_dit: last blocks that are always computed.", ge=0, le=1000)
    residual_diff_threshold: Number = optional(
        "dbcache, cache_dit: how much those may differ for the rest to be reused.", ge=0, le=1000
    )
    max_warmup_steps: Integer = optional("dbcache, cache_dit: first steps that are always computed.", ge=0, le=10_000)
    max_cached_steps: Integer = optional("dbcache, cache_dit: steps reused at most; -1: any.", ge=-1, le=10_000)
    max_continuous_cached_steps: Integer = optional(
        "dbcache, cache_dit: steps reused at most in a row; -1: any.", ge=-1, le=10_000
    )
    taylorseer_n_derivatives: Integer = optional("taylorseer, cache_dit: order of the prediction.", ge=0, le=10)
    taylorseer_skip_interval: Integer = optional("taylorseer, cache_dit: steps between computed ones.", ge=0, le=10_000)
    scm_mask: Text = optional(
        "dbcache, cache_dit: for each step 1 (computed) or 0 (may be reused), separated by commas.",
        examples=["1,1,0,1"],
    )
    scm_policy_dynamic: Flag = optional("dbcache, cache_dit: also compute steps that may be reused when they change.")
    spectrum_w: Number = optional("spectrum: weight of the long prediction against the short one.", ge=0, le=1)
    spectrum_m: Integer = optional("spectrum: order of the long prediction.", ge=1, le=32)
    spectrum_lam: Number = optional("spectrum: how smooth the long prediction is.", ge=0.000001, le=1000)
    spectrum_window_size: Integer = optional("spectrum: every so many steps one is computed.", ge=1, le=10_000)
    spectrum_flex_window: Number = optional("spectrum: how much that window grows with each one.", ge=0, le=1000)
    spectrum_warmup_steps: Integer = optional("spectrum: first steps that are always computed.", ge=0, le=10_000)
    spectrum_stop_percent: Number = optional("spectrum: from where all steps are computed, as a share.", ge=0, le=1)


class SamplingBody(Wire):
    """What pictures and videos have in common. A body that has another default repeats the field."""

    prompt: Annotated[Text, AtMost("prompt_characters")] = Field(
        description="What the picture shows. `<lora:name:weight>` applies a LoRA, `(word:1.2)` weighs a word, the bare "
        "name of an embedding that was loaded with the model uses it.",
        examples=["a red circle on a blue background"],
    )
    negative_prompt: Annotated[Text, AtMost("prompt_characters")] = Field("", description="What it must not show.")
    width: Annotated[Integer, AtMost("side")] = Field(512, ge=8, description="In pixels.", examples=[64])
    height: Annotated[Integer, AtMost("side")] = Field(512, ge=8, description="In pixels.", examples=[64])
    steps: Annotated[Integer, AtMost("steps")] = Field(20, ge=1, description="Sampling steps.", examples=[12])
    cfg_scale: Number = Field(7.0, ge=0, le=1000, description="How closely the prompt is followed.", examples=[2.5])
    distilled_guidance: Number = Field(3.5, ge=0, le=1000, description="Guidance of distilled models (Flux).")
    eta: Number = Field(
        0.0, ge=0, le=1000, description="Noise that ancestral samplers add. Left out: the library's choice per sampler."
    )
    seed: Integer = Field(-1, ge=-1, le=2**63 - 1, description="Of the first picture, plus k of picture k; -1: drawn.")
    sampler: Text = Field("euler_a", description="One of the samplers of `GET /options`.", examples=["euler"])
    scheduler: Text = Field("discrete", description="One of the schedulers of `GET /options`.", examples=["discrete"])
    flow_shift: Number = optional("Shift of flow models' schedule; left out: the model's own.", ge=0, le=1000)
    clip_skip: Integer = Field(-1, ge=-1, le=12, description="CLIP layers left out at the end; -1: the model's own.")
    slg_scale: Number = Field(0.0, ge=0, le=1000, description="Skip-layer guidance of DiT models; 0: none.")
    skip_layers: list[Integer] = Field([7, 8, 9], max_length=256, description="Layers that it skips; each 0 to 1023.")
    slg_start: Number = Field(
        0.01, ge=0, le=1, description="Where skip-layer guidance begins, as a share of the steps."
    )
    slg_end: Number = Field(0.2, ge=0, le=1, description="Where skip-layer guidance ends, as a share of the steps.")
    custom_sigmas: list[Number] = Field([], max_length=10001, description="Noise levels instead of the scheduler's.")
    vae_tiling: Flag = Field(False, description="Decode in tiles: less memory for large pictures.")
    vae_tile_size_x: Annotated[Integer, AtMost("side")] = Field(
        0, ge=0, description="Width of a tile in latent pixels; 0: automatic."
    )
    vae_tile_size_y: Annotated[Integer, AtMost("side")] = Field(
        0, ge=0, description="Height of a tile in latent pixels; 0: automatic."
    )
    vae_tile_overlap: Number = Field(
        0.5, ge=0, le=1, description="How much tiles overlap, as a share of a tile; the library takes at most 0.5."
    )
    vae_tile_rel_size_x: Number = Field(
        0.0,
        ge=0,
        le=256,
        description="Instead of vae_tile_size_x: up to 1 a share of the picture's width, above it the number of tiles.",
    )
    vae_tile_rel_size_y: Number = Field(0.0, ge=0, le=256, description="The same of the height.")
    vae_tile_rel_size: Number = optional("Both of these.", ge=0, le=256)
    easycache: Flag = Field(False, description="Short for `cache_mode` easycache with the three numbers below.")
    easycache_threshold: Number = Field(0.2, ge=0, le=1000, description="How much may change for a step to be reused.")
    easycache_start: Number = Field(0.15, ge=0, le=1, description="Where reuse may begin, as a share of the steps.")
    easycache_end: Number = Field(0.95, ge=0, le=1, description="Where reuse ends, as a share of the steps.")
    cache_mode: Literal["disabled", "easycache", "ucache", "dbcache", "taylorseer", "cache_dit", "spectrum"] = Field(
        "disabled",
        description="Reuse results of earlier steps where little changes: faster, coarser. ucache is for UNet models, "
        "spectrum for all, the others for DiT models.",
    )
    cache_options: CacheOptionsBody = Field(CacheOptionsBody(), description="Knobs of `cache_mode`.")
    title: Text = Field("", max_length=200, description="A name for lists; found by their search.")

    def sent_fields(self) -> dict[str, Any]:
        """As of every body; a field that is short for two others comes as those."""
        sent = super().sent_fields()
        both = sent.pop("vae_tile_rel_size", None)
        return sent if both is None else {"vae_tile_rel_size_x": both, "vae_tile_rel_size_y": both, **sent}


class Txt2ImgBody(SamplingBody):
    """What to draw. The defaults are the API's; a model's own (its sidecar file) and those that users chose replace
    them where there are any."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    img_cfg_scale: Number = Field(
        -1.0, le=1000, description="Guidance by the picture (edit models); negative: as cfg_scale."
    )
    shifted_timestep: Integer = Field(0, ge=0, le=1000, description="For NitroFusion models: their shifted timestep.")
    batch_count: Annotated[Integer, AtMost("batch")] = Field(1, ge=1, description="How many pictures.")
    ref_images: list[Text] = Field(
        [],
        max_length=MAX_PICTURES,
        description="Reference pictures for models that edit (Kontext, Qwen Image Edit), each base64 or a data URL.",
    )
    auto_resize_ref_image: Flag = Field(True, description="Resize the reference pictures to what the model likes.")
    increase_ref_index: Flag = Field(False, description="Number the reference pictures for the model.")
    control_image_base64: Text = Field(
        "", description="ControlNet's picture; resized to width x height. Needs a ControlNet loaded with the model."
    )
    control_strength: Number = Field(0.9, ge=0, le=1, description="How much ControlNet has to say.")
    preprocess: Literal["", "canny"] = Field(
        "", description="What is done to the control picture first: canny finds its edges."
    )
    hires: Flag = Field(False, description="Hires fix: draw again, larger, from the picture just drawn.")
    hires_upscaler: Text = Field(
        "Latent",
        description="How the picture is made larger in between: one of the library's ways (`Latent`, `Lanczos`, "
        "`Nearest`, ...) or the name of an ESRGAN model.",
    )
    hires_scale: Number = Field(2.0, ge=1, le=16, description="How many times larger.")
    hires_width: Annotated[Integer, AtMost("side")] = Field(
        0, ge=0, description="Instead of hires_scale, in pixels; 0: by hires_scale."
    )
    hires_height: Annotated[Integer, AtMost("side")] = Field(
        0, ge=0, description="Instead of hires_scale, in pixels; 0: by hires_scale."
    )
    hires_steps: Annotated[Integer, AtMost("steps")] = Field(0, ge=0, description="Of the second pass; 0: as steps.")
    hires_denoising_strength: Number = Field(
        0.7, ge=0.01, le=1, description="How much of the picture the second pass draws anew."
    )
    hires_upscale_tile_size: Integer = Field(
        128, ge=16, le=4096, description="Tile size of an ESRGAN model, in pixels."
    )
    pm_id_images: list[Text] = Field(
        [],
        max_length=MAX_PICTURES,
        description="PhotoMaker's pictures of one face. Needs a PhotoMaker model loaded with the model, and the word "
        "`img` after the person's in the prompt (`a man img`).",
    )
    pm_id_embed_path: Text = Field(
        "", description="PhotoMaker v2's file about the face: its name in the model folders, or its path there."
    )
    pm_style_strength: Number = Field(20.0, ge=0, le=100, description="PhotoMaker's style strength, in per cent.")
    upscale: Flag = Field(False, description="Upscale when drawn. Needs an upscaler loaded (`POST /upscaler/load`).")
    upscale_repeats: Integer = Field(1, ge=1, le=16, description="How often to upscale.")
    upscale_auto_unload: Flag = Field(True, description="Unload the upscaler afterwards.")


class Img2ImgBody(Txt2ImgBody):
    """What to draw, and the picture to start from."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_EXAMPLE, "init_image_base64": _RED_PIXEL, "strength": 0.75}]}
    )

    init_image_base64: Text = Field(
        min_length=1, description="The picture to start from, as base64 or a data URL; resized to width x height."
    )
    strength: Number = Field(0.75, ge=0, le=1, description="How much is drawn anew: 0 keeps the picture, 1 ignores it.")
    mask_image_base64: Text = Field("", description="What to draw anew: white is, black is kept. Empty: everything.")


class Accepted(Answer):
    """A job in the queue. Its picture is not there yet: look at `GET /queue/{job_id}`."""

    job_id: str = Field(examples=["550e8400-e29b-41d4-a716-446655440000"])
    status: Literal["pending"]
    position: int = Field(ge=1, description="Place among the jobs that wait.")
    warnings: list[str] = optional("What was ignored or corrected, and what will not look right.")
