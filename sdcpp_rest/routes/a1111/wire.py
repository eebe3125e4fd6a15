"""What AUTOMATIC1111's clients send: field names and defaults are that program's. Fields that it does not know are left
alone, as it does: its clients send plenty."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, JsonValue, field_validator

from sdcpp_rest.routes.a1111.reading import Real, Seed, Switch, Whole, Words, maybe
from sdcpp_rest.routes.http.wire_models import Wire

RED_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mO4IycHAALyARlNudhnAAAAAElFTkSuQmCC"
MAX_STYLES = 100
MAX_ITERATIONS = 1000
_EXAMPLE: dict[str, JsonValue] = {
    "prompt": "a red circle on a blue background",
    "width": 64,
    "height": 64,
    "steps": 12,
    "cfg_scale": 2.5,
    "seed": 42,
}
_ONLY_ECHOED = "Read for compatibility; it changes nothing here."


class LoraItem(Wire):
    """One LoRA besides those in the prompt."""

    path: Words = Field(description="Its name.")
    multiplier: Real = Field(1.0, description="Its weight.")


class A1111Request(Wire):
    """What pictures from words and pictures from pictures have in common."""

    prompt: Words = Field("", description="What the picture shows; `<lora:name:weight>` applies a LoRA.")
    negative_prompt: Words = Field("", description="What it must not show.")
    styles: list[Words] = Field([], max_length=MAX_STYLES, description="Names of prompt styles to add.")
    seed: Seed = Field(-1, description="Of the first picture; -1: drawn. The next ones count up.")
    subseed: Seed = Field(-1, description="Seed of a variation; it counts only where subseed_strength is 1.")
    subseed_strength: Real = Field(
        0.0, description="How much of the variation; the library can do all (1) or nothing (0)."
    )
    seed_resize_from_h: Whole = Field(-1, description="Not possible here: named under `Ignored`.")
    seed_resize_from_w: Whole = Field(-1, description="Not possible here: named under `Ignored`.")
    sampler_name: Words | None = maybe("One of `GET /sdapi/v1/samplers`; may end in a schedule's name.")
    sampler_index: Words | None = Field("Euler", description="The same, of old clients; counts without sampler_name.")
    scheduler: Words | None = maybe("One of `GET /sdapi/v1/schedulers`.")
    batch_size: Whole = Field(1, ge=1, description="Pictures drawn in one go.")
    n_iter: Whole = Field(1, ge=1, le=MAX_ITERATIONS, description="How often; the pictures come one by one.")
    steps: Whole = Field(50, ge=1, description="Sampling steps; left out: the model's own default, if it has one.")
    cfg_scale: Real = Field(7.0, description="How closely the prompt is followed; left out: as steps.")
    distilled_cfg_scale: Real = Field(3.5, description="Guidance of distilled models (Flux).")
    width: Whole = Field(512, ge=1, description="In pixels; left out: as steps.")
    height: Whole = Field(512, ge=1, description="In pixels; left out: as steps.")
    restore_faces: Switch | None = maybe("Not possible here: named under `Ignored`.")
    tiling: Switch | None = maybe("Draw a picture whose edges meet; the model is loaded anew for it.")
    do_not_save_samples: Switch = Field(False, description=_ONLY_ECHOED)
    do_not_save_grid: Switch = Field(False, description=_ONLY_ECHOED)
    eta: Real | None = maybe("Noise of ancestral samplers, DDIM and TCD; the other samplers do not look at it.")
    denoising_strength: Real | None = Field(0.75, description="How much is drawn anew (0 to 1).")
    s_min_uncond: Real | None = maybe("Not possible here: named under `Ignored` unless 0.")
    s_churn: Real | None = maybe("Not possible here: named under `Ignored` unless 0.")
    s_tmax: Real | None = maybe("Not possible here: named under `Ignored` unless 0.")
    s_tmin: Real | None = maybe("Not possible here: named under `Ignored` unless 0.")
    s_noise: Real | None = maybe("Not possible here: named under `Ignored` unless 1.")
    override_settings: dict[str, Any] = Field({}, description="Options for this call alone.")
    override_settings_restore_afterwards: Switch = Field(True, description="False: those options stay in force.")
    refiner_checkpoint: Words | None = maybe("Not possible here: named under `Ignored`.")
    refiner_switch_at: Real | None = maybe(_ONLY_ECHOED)
    disable_extra_networks: Switch = Field(False, description="Take LoRA tags out of the prompt.")
    comments: dict[str, Any] | None = maybe(_ONLY_ECHOED)
    script_name: Words | None = maybe("One of `GET /sdapi/v1/scripts`, in whatever case.")
    script_args: list[Any] = Field([], description="Its arguments in order, as `GET /sdapi/v1/script-info` has them.")
    send_images: Switch = Field(True, description="False: answer without the pictures.")
    save_images: Switch = Field(
        False, description="True: put a grid of all pictures first. The pictures themselves are kept in any case."
    )
    alwayson_scripts: dict[str, Any] = Field({}, description="Arguments of extensions; ControlNet is known.")
    force_task_id: Words | None = maybe("A name for this call in /internal/progress.")
    infotext: Words | None = maybe("Text of a picture: gives every field that is not sent.")
    model: Any = maybe(
        "A model for this call, as override_settings.sd_model_checkpoint, for clients of servers that route by it. Any "
        "other name is ignored, and told in `info`."
    )
    clip_skip: Whole | None = maybe("CLIP layers left out at the end, as the option CLIP_stop_at_last_layers.")
    lora: list[LoraItem] = Field([], max_length=64, description="LoRAs besides those in the prompt.")
    extra_images: list[Words] = Field([], max_length=16, description="Reference pictures of models that edit.")

    @field_validator("styles", "lora", "extra_images", mode="before")
    @classmethod
    def _no_nulls(cls, given: Any) -> Any:
        return [one for one in given if one is not None] if isinstance(given, list) else given


class A1111Txt2Img(A1111Request):
    """Pictures from words."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    enable_hr: Switch = Field(False, description="Hires fix: draw again, larger, from the picture just drawn.")
    firstphase_width: Whole = Field(
        0, description="Of old clients: width of the first pass; then `width` is the last one's."
    )
    firstphase_height: Whole = Field(0, description="The same of the height.")
    hr_scale: Real = Field(2.0, description="How many times larger.")
    hr_upscaler: Words | None = maybe("How it is made larger: a latent mode or an upscaler.")
    hr_second_pass_steps: Whole = Field(0, ge=0, description="Steps of the second pass; 0: as the first.")
    hr_resize_x: Whole = Field(0, ge=0, description="Instead of hr_scale, in pixels.")
    hr_resize_y: Whole = Field(0, ge=0, description="Instead of hr_scale, in pixels.")
    hr_checkpoint_name: Words | None = maybe("Not possible here: named under `Ignored`.")
    hr_sampler_name: Words | None = maybe("Not possible here: named under `Ignored`.")
    hr_scheduler: Words | None = maybe("Not possible here: named under `Ignored`.")
    hr_prompt: Words = Field("", description="Not possible here: named under `Ignored`.")
    hr_negative_prompt: Words = Field("", description="Not possible here: named under `Ignored`.")


class A1111Img2Img(A1111Request):
    """Pictures from pictures."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_EXAMPLE, "init_images": [RED_PIXEL]}]})

    init_images: list[Words] | None = maybe("The pictures to start from: base64 or data URLs.")
    resize_mode: Whole = Field(0, ge=0, le=3, description="0: stretch. 1: crop. 2: fill. 3: as 0.")
    image_cfg_scale: Real | None = maybe("Guidance by the picture, of models that edit.")
    mask: Words | None = maybe("What to draw anew: white is, black is kept.")
    mask_blur: Whole | None = maybe("Softness of the mask's edge in pixels, instead of the next two.")
    mask_blur_x: Whole = Field(4, ge=0, description="Softness from left to right.")
    mask_blur_y: Whole = Field(4, ge=0, description="Softness from top to bottom.")
    mask_round: Switch = Field(True, description="Opacity of a mask counts as all or nothing.")
    inpainting_fill: Whole = Field(
        0, ge=0, le=3, description="What the masked part begins as. 0: colours around it. 1: itself. 2: noise. 3: grey."
    )
    inpaint_full_res: Switch = Field(True, description="Work on the masked part alone, at the whole size.")
    inpaint_full_res_padding: Whole = Field(0, ge=0, description="Pixels around that part that are seen, too.")
    inpainting_mask_invert: Whole = Field(0, description="1: black is drawn anew.")
    initial_noise_multiplier: Real | None = maybe("Not possible here: named under `Ignored` unless 1.")
    latent_mask: Words | None = maybe("Not possible here: named under `Ignored`.")
    include_init_images: Switch = Field(False, description="Send the pictures back in `parameters`.")


class A1111Extras(Wire):
    """How pictures are made larger."""

    resize_mode: Whole = Field(0, ge=0, le=1, description="0: by upscaling_resize. 1: to upscaling_resize_w and _h.")
    show_extras_results: Switch = Field(True, description=_ONLY_ECHOED)
    gfpgan_visibility: Real = Field(0.0, description="No faces are restored here.")
    codeformer_visibility: Real = Field(0.0, description="No faces are restored here.")
    codeformer_weight: Real = Field(0.0, description="No faces are restored here.")
    upscaling_resize: Real = Field(2.0, gt=0, le=16, description="How many times larger.")
    upscaling_resize_w: Whole = Field(512, ge=1, description="Width in pixels.")
    upscaling_resize_h: Whole = Field(512, ge=1, description="Height in pixels.")
    upscaling_crop: Switch = Field(True, description="Cut what is beyond that size.")
    upscaler_1: Words = Field("None", description="One of `GET /sdapi/v1/upscalers`.")
    upscaler_2: Words = Field("None", description="A second one, laid over the first.")
    extras_upscaler_2_visibility: Real = Field(0.0, ge=0, le=1, description="How much of the second.")
    upscale_first: Switch = Field(False, description=_ONLY_ECHOED)


class A1111ExtrasSingle(A1111Extras):
    """One picture to make larger."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"image": RED_PIXEL, "upscaler_1": "Lanczos"}]})

    image: Words = Field("", description="Base64 or a data URL.")


class NamedPicture(Wire):
    """A picture and the name of its file."""

    data: Words = Field(description="Base64 or a data URL.")
    name: Words = Field("", description="Not looked at.")


class A1111ExtrasBatch(A1111Extras):
    """Several pictures to make larger."""

    imageList: list[NamedPicture] = Field(max_length=256, description="The pictures.")  # noqa: N815


class A1111PictureBody(Wire):
    """A picture to look into."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"image": RED_PIXEL}]})

    image: Words = Field(description="Base64 or a data URL.")


class A1111InterrogateBody(Wire):
    """A picture to describe."""

    image: Words = Field("", description="Base64 or a data URL.")
    model: Words = Field("clip", description="clip or deepdanbooru.")


class A1111ProgressQuery(Wire):
    """How much of the progress to tell."""

    skip_current_image: bool = Field(False, description="Leave the preview out.")


class A1111CallBody(Wire):
    """Which call's progress."""

    id_task: Words | None = maybe("What was sent as force_task_id.")
    id_live_preview: Whole = Field(-1, description="Number of the preview that was seen last.")
    live_preview: Switch = Field(True, description="False: leave the preview out.")


class A1111OptionsBody(Wire):
    """Options to change, by name."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"examples": [{"samples_format": "png", "show_progress_every_n_steps": 10}]}
    )


class A1111Anything(Wire):
    """A body that nobody looks at."""

    model_config = ConfigDict(extra="allow")
