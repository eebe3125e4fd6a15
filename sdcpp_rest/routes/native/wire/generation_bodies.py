"""The wire models of picture jobs, and what they have in common with those of videos.

Types and words are told here; limits are those of the parameters (`core.params`). What depends on the model or the
files is the submission's business, and so are all defaults.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, JsonValue

from sdcpp_rest.core.params import CacheMode, CacheOptions, ImageParams, Preprocess, SamplingParams
from sdcpp_rest.routes.http.mirrored_fields import mirror
from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import Flag, Integer, Number, PictureText, Text, Wire, optional
from sdcpp_rest.routes.native.wire.engine_wire import DEVICE_WORDS, LONGEST_NAME
from sdcpp_rest.routes.native.wire.group_bodies import Group

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


MAX_STYLES = 50
"""Prompt styles of one request."""


class CacheOptionsBody(Wire):
    """Knobs of `cache_mode`, by the library's own names; one that is left out is the library's. Which of them count
    depends on the mode."""

    threshold: Number = mirror(
        CacheOptions, "threshold", "easycache, ucache: how much may change for a step to be reused."
    )
    start: Number = mirror(CacheOptions, "start", "easycache, ucache: where reuse may begin, as a share of the steps.")
    end: Number = mirror(CacheOptions, "end", "easycache, ucache: where reuse ends, as a share of the steps.")
    error_decay_rate: Number = mirror(
        CacheOptions, "error_decay_rate", "ucache: how fast errors are forgotten; 1: never."
    )
    use_relative_threshold: Flag = optional("ucache: measure changes against the size of what changes.")
    reset_error_on_compute: Flag = optional("ucache: forget errors whenever a step is computed.")
    fn_compute_blocks: Integer = mirror(
        CacheOptions, "fn_compute_blocks", "dbcache, cache_dit: first blocks that are always computed."
    )
    bn_compute_blocks: Integer = mirror(
        CacheOptions, "bn_compute_blocks", "dbcache, cache_dit: last blocks that are always computed."
    )
    residual_diff_threshold: Number = mirror(
        CacheOptions,
        "residual_diff_threshold",
        "dbcache, cache_dit: how much those may differ for the rest to be reused.",
    )
    max_warmup_steps: Integer = mirror(
        CacheOptions, "max_warmup_steps", "dbcache, cache_dit: first steps that are always computed."
    )
    max_cached_steps: Integer = mirror(
        CacheOptions, "max_cached_steps", "dbcache, cache_dit: steps reused at most; -1: any."
    )
    max_continuous_cached_steps: Integer = mirror(
        CacheOptions, "max_continuous_cached_steps", "dbcache, cache_dit: steps reused at most in a row; -1: any."
    )
    taylorseer_n_derivatives: Integer = mirror(
        CacheOptions, "taylorseer_n_derivatives", "taylorseer, cache_dit: order of the prediction."
    )
    taylorseer_skip_interval: Integer = mirror(
        CacheOptions, "taylorseer_skip_interval", "taylorseer, cache_dit: steps between computed ones."
    )
    scm_mask: Text = mirror(
        CacheOptions,
        "scm_mask",
        "dbcache, cache_dit: for each step 1 (computed) or 0 (may be reused), separated by commas.",
        examples=["1,1,0,1"],
    )
    scm_policy_dynamic: Flag = optional("dbcache, cache_dit: also compute steps that may be reused when they change.")
    spectrum_w: Number = mirror(
        CacheOptions, "spectrum_w", "spectrum: weight of the long prediction against the short one."
    )
    spectrum_m: Integer = mirror(CacheOptions, "spectrum_m", "spectrum: order of the long prediction.")
    spectrum_lam: Number = mirror(CacheOptions, "spectrum_lam", "spectrum: how smooth the long prediction is.")
    spectrum_window_size: Integer = mirror(
        CacheOptions, "spectrum_window_size", "spectrum: every so many steps one is computed."
    )
    spectrum_flex_window: Number = mirror(
        CacheOptions, "spectrum_flex_window", "spectrum: how much that window grows with each one."
    )
    spectrum_warmup_steps: Integer = mirror(
        CacheOptions, "spectrum_warmup_steps", "spectrum: first steps that are always computed."
    )
    spectrum_stop_percent: Number = mirror(
        CacheOptions, "spectrum_stop_percent", "spectrum: from where all steps are computed, as a share."
    )


class SamplingBody(Wire):
    """What pictures and videos have in common. A body that has another default repeats the field."""

    # Files found by their names in the prompt and in other fields, and prompts as they were written, as jobs tell them.
    carried: ClassVar[frozenset[str]] = frozenset(
        {"loras", "hires_model", "pm_id_embed", "upscaler", "original_prompt", "original_negative_prompt"}
    )

    prompt: Text = mirror(
        SamplingParams,
        "prompt",
        "What the picture shows. `<lora:name:weight>` applies a LoRA, `(word:1.2)` weighs a word, the bare "
        "name of an embedding that was loaded with the model uses it.",
        examples=["a red circle on a blue background"],
    )
    negative_prompt: Text = mirror(SamplingParams, "negative_prompt", "What it must not show.")
    width: Integer = mirror(SamplingParams, "width", "In pixels.", examples=[64])
    height: Integer = mirror(SamplingParams, "height", "In pixels.", examples=[64])
    steps: Integer = mirror(SamplingParams, "steps", "Sampling steps.", examples=[12])
    cfg_scale: Number = mirror(SamplingParams, "cfg_scale", "How closely the prompt is followed.", examples=[2.5])
    distilled_guidance: Number = mirror(SamplingParams, "distilled_guidance", "Guidance of distilled models (Flux).")
    eta: Number = mirror(
        SamplingParams,
        "eta",
        "Noise that ancestral samplers add. Left out: the library's choice per sampler.",
        default=0.0,
    )
    seed: Integer = mirror(SamplingParams, "seed", "Of the first picture, plus k of picture k; -1: drawn.", default=-1)
    sampler: Text = Field("euler_a", description="One of the samplers of `GET /options`.", examples=["euler"])
    scheduler: Text = Field("discrete", description="One of the schedulers of `GET /options`.", examples=["discrete"])
    flow_shift: Number = mirror(
        SamplingParams, "flow_shift", "Shift of flow models' schedule; left out: the model's own."
    )
    clip_skip: Integer = mirror(SamplingParams, "clip_skip", "CLIP layers left out at the end; -1: the model's own.")
    slg_scale: Number = mirror(SamplingParams, "slg_scale", "Skip-layer guidance of DiT models; 0: none.")
    skip_layers: list[Integer] = mirror(SamplingParams, "skip_layers", "Layers that it skips; each 0 to 1023.")
    slg_start: Number = mirror(
        SamplingParams, "slg_start", "Where skip-layer guidance begins, as a share of the steps."
    )
    slg_end: Number = mirror(SamplingParams, "slg_end", "Where skip-layer guidance ends, as a share of the steps.")
    custom_sigmas: list[Number] = mirror(SamplingParams, "custom_sigmas", "Noise levels instead of the scheduler's.")
    vae_tiling: Flag = Field(False, description="Decode in tiles: less memory for large pictures.")
    vae_tile_size_x: Integer = mirror(
        SamplingParams, "vae_tile_size_x", "Width of a tile in latent pixels; 0: automatic."
    )
    vae_tile_size_y: Integer = mirror(
        SamplingParams, "vae_tile_size_y", "Height of a tile in latent pixels; 0: automatic."
    )
    vae_tile_overlap: Number = mirror(
        SamplingParams,
        "vae_tile_overlap",
        "How much tiles overlap, as a share of a tile; the library takes at most 0.5.",
    )
    vae_tile_rel_size_x: Number = mirror(
        SamplingParams,
        "vae_tile_rel_size_x",
        "Instead of vae_tile_size_x: up to 1 a share of the picture's width, above it the number of tiles.",
    )
    vae_tile_rel_size_y: Number = mirror(SamplingParams, "vae_tile_rel_size_y", "The same of the height.")
    vae_tile_rel_size: Number = mirror(SamplingParams, "vae_tile_rel_size_x", "Both of these.", default=None)
    easycache: Flag = Field(False, description="Short for `cache_mode` easycache with the three numbers below.")
    easycache_threshold: Number = mirror(
        SamplingParams, "easycache_threshold", "How much may change for a step to be reused."
    )
    easycache_start: Number = mirror(
        SamplingParams, "easycache_start", "Where reuse may begin, as a share of the steps."
    )
    easycache_end: Number = mirror(SamplingParams, "easycache_end", "Where reuse ends, as a share of the steps.")
    cache_mode: CacheMode = mirror(
        SamplingParams,
        "cache_mode",
        "Reuse results of earlier steps where little changes: faster, coarser. ucache is for UNet models, "
        "spectrum for all, the others for DiT models.",
    )
    cache_options: CacheOptionsBody = Field(CacheOptionsBody(), description="Knobs of `cache_mode`.")
    expand_prompt: Flag = Field(
        False,
        description="Resolve tags in both prompts first: `<random:a,b>`, `<wildcard:name>`, `{a|b}`, `__name__` and "
        "the others of docs/prompt-language.md. What is drawn depends on the seed alone, and is the same for all "
        "pictures of the job.",
    )
    styles: list[Text] = Field(
        [],
        max_length=MAX_STYLES,
        description="Names of prompt styles (`GET /styles`), added to both prompts in this order before anything else.",
    )
    title: Text = Field("", max_length=200, description="A name for lists; found by their search.")
    model_name: Text = Field(
        "",
        max_length=1_000,
        description="Which model draws it: a name of `GET /models`, with or without its ending, or the SHA-256 of its "
        "file. It is loaded when its turn comes, with the parts that the file beside it names, or else with those "
        "that fit best. Empty: the one that is selected when the job is submitted.",
    )
    group: Group = optional("The job's place in a grid of jobs, which `GET /groups/{group_id}` shows.")
    device: Text = Field("", max_length=LONGEST_NAME, description=DEVICE_WORDS)

    def sent_fields(self) -> dict[str, Any]:
        """As of every body; a field that is short for two others comes as those."""
        sent = super().sent_fields()
        both = sent.pop("vae_tile_rel_size", None)
        return sent if both is None else {"vae_tile_rel_size_x": both, "vae_tile_rel_size_y": both, **sent}


class Txt2ImgBody(SamplingBody):
    """What to draw. The defaults are the API's; a model's own (its sidecar file) and those that users chose replace
    them where there are any."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    img_cfg_scale: Number = mirror(
        ImageParams,
        "img_cfg_scale",
        "Guidance by the picture (edit models); negative: as cfg_scale.",
        default=-1.0,
        ge=None,
    )
    shifted_timestep: Integer = mirror(
        ImageParams, "shifted_timestep", "For NitroFusion models: their shifted timestep."
    )
    batch_count: Integer = mirror(ImageParams, "batch_count", "How many pictures.")
    ref_images: list[PictureText] = Field(
        [],
        max_length=MAX_PICTURES,
        description="Reference pictures for models that edit (Kontext, Qwen Image Edit), each base64 or a data URL.",
    )
    auto_resize_ref_image: Flag = Field(True, description="Resize the reference pictures to what the model likes.")
    increase_ref_index: Flag = Field(False, description="Number the reference pictures for the model.")
    control_image_base64: PictureText = Field(
        "", description="ControlNet's picture; resized to width x height. Needs a ControlNet loaded with the model."
    )
    control_strength: Number = mirror(ImageParams, "control_strength", "How much ControlNet has to say.", le=1)
    preprocess: Preprocess = mirror(
        ImageParams, "preprocess", "What is done to the control picture first: canny finds its edges."
    )
    hires: Flag = Field(False, description="Hires fix: draw again, larger, from the picture just drawn.")
    hires_upscaler: Text = Field(
        "Latent",
        description="How the picture is made larger in between: one of the library's ways (`Latent`, `Lanczos`, "
        "`Nearest`, ...) or the name of an ESRGAN model.",
    )
    hires_scale: Number = mirror(ImageParams, "hires_scale", "How many times larger.")
    hires_width: Integer = mirror(ImageParams, "hires_width", "Instead of hires_scale, in pixels; 0: by hires_scale.")
    hires_height: Integer = mirror(ImageParams, "hires_height", "Instead of hires_scale, in pixels; 0: by hires_scale.")
    hires_steps: Integer = mirror(ImageParams, "hires_steps", "Of the second pass; 0: as steps.")
    hires_denoising_strength: Number = mirror(
        ImageParams, "hires_denoising_strength", "How much of the picture the second pass draws anew."
    )
    hires_upscale_tile_size: Integer = mirror(
        ImageParams, "hires_upscale_tile_size", "Tile size of an ESRGAN model, in pixels."
    )
    pm_id_images: list[PictureText] = Field(
        [],
        max_length=MAX_PICTURES,
        description="PhotoMaker's pictures of one face. Needs a PhotoMaker model loaded with the model, and the word "
        "`img` after the person's in the prompt (`a man img`).",
    )
    pm_id_embed_path: Text = Field(
        "", description="PhotoMaker v2's file about the face: its name in the model folders, or its path there."
    )
    pm_style_strength: Number = mirror(ImageParams, "pm_style_strength", "PhotoMaker's style strength, in per cent.")
    upscale: Flag = Field(False, description="Upscale when drawn. Needs an upscaler loaded (`POST /upscaler/load`).")
    upscale_repeats: Integer = mirror(ImageParams, "upscale_repeats", "How often to upscale.")
    upscale_auto_unload: Flag = Field(True, description="Unload the upscaler afterwards.")


class Img2ImgBody(Txt2ImgBody):
    """What to draw, and the picture to start from."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_EXAMPLE, "init_image_base64": _RED_PIXEL, "strength": 0.75}]}
    )

    init_image_base64: PictureText = Field(
        min_length=1, description="The picture to start from, as base64 or a data URL; resized to width x height."
    )
    strength: Number = mirror(ImageParams, "strength", "How much is drawn anew: 0 keeps the picture, 1 ignores it.")
    mask_image_base64: PictureText = Field(
        "", description="What to draw anew: white is, black is kept. Empty: everything."
    )


class Accepted(Answer):
    """A job in the queue. Its picture is not there yet: look at `GET /queue/{job_id}`."""

    job_id: str = Field(examples=["550e8400-e29b-41d4-a716-446655440000"])
    status: Literal["pending"]
    position: int = Field(ge=1, description="Place among the jobs that wait.")
    resolved_prompt: str = optional("What became of the prompt, where `expand_prompt` or `styles` was asked for.")
    resolved_negative_prompt: str = optional("The same of the negative prompt, where there is one.")
    warnings: list[str] = optional("What was ignored or corrected, and what will not look right.")
