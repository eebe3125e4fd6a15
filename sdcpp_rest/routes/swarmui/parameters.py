"""Lists the parameters of SwarmUI's pictures that this server honours, with their groups, defaults and ranges.

Tables only. What may be chosen from (models, samplers) depends on the server: `Parameter.choices` names the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "integer", "decimal", "boolean", "dropdown", "image", "model", "list", "image_list"]
View = Literal["normal", "prompt", "small", "big", "slider", "pot_slider", "seed", "video_frames"]

LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Group:
    """What parameters are shown under. ``toggles``: its values are sent only while it is switched on."""

    id: str
    name: str
    priority: float
    description: str = ""
    toggles: bool = False
    is_open: bool = True
    is_advanced: bool = False


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    ``default`` is text, as on the wire. Numbers have ``least``, ``most`` and ``step``; ``view_most`` is where a slider
    ends. ``choices`` names the list that a drop-down or a model is chosen from, ``subtype`` the type of a model.
    ``nothing``: the value that means "not given".
    """

    id: str
    name: str
    kind: Kind
    description: str
    default: str = ""
    group: str | None = None
    priority: float = 0
    least: float = 0
    most: float = 0
    step: float = 1
    view_least: float = 0
    view_most: float = 0
    view: View = "normal"
    choices: str | None = None
    subtype: str | None = None
    nothing: str | None = None
    toggleable: bool = False
    is_visible: bool = True
    is_advanced: bool = False
    is_kept: bool = True
    examples: tuple[str, ...] = ()


GROUPS: tuple[Group, ...] = (
    Group("coreparameters", "Core Parameters", -50),
    Group("variationseed", "Variation Seed", -17, toggles=True, is_open=False),
    Group("resolution", "Resolution", -11),
    Group("sampling", "Sampling", -8, is_open=False),
    Group("initimage", "Init Image", -5, toggles=True, is_open=False),
    Group("refineupscale", "Refine / Upscale", -3, toggles=True, is_open=False),
    Group("controlnet", "ControlNet", -1, toggles=True, is_open=False),
    Group("texttovideo", "Text To Video", 0, toggles=True, is_open=False),
    Group("advancedmodeladdons", "Advanced Model Addons", 1, is_open=False, is_advanced=True),
    Group("advancedsampling", "Advanced Sampling", 15, is_open=False, is_advanced=True),
    Group("wildcards", "Wildcards", 20, is_open=False, is_advanced=True),
    Group("swarminternal", "Swarm Internal", 80, is_open=False, is_advanced=True),
)

ASPECTS: dict[str, tuple[int, int]] = {
    "1:1": (512, 512),
    "4:3": (576, 448),
    "3:2": (608, 416),
    "8:5": (608, 384),
    "16:9": (672, 384),
    "21:9": (768, 320),
    "3:4": (448, 576),
    "2:3": (416, 608),
    "5:8": (384, 608),
    "9:16": (384, 672),
    "9:21": (320, 768),
}
"""Sizes at a side length of 512."""

_CORE, _SIZE, _SAMPLING, _INIT, _REFINE = "coreparameters", "resolution", "sampling", "initimage", "refineupscale"
_CONTROL, _VIDEO, _MODELS, _MORE = "controlnet", "texttovideo", "advancedmodeladdons", "advancedsampling"
_WILDCARDS, _INTERNAL = "wildcards", "swarminternal"


def _number(
    id: str, name: str, text: str, default: str, least: float, most: float, step: float = 1, **more: Any
) -> Parameter:
    """A number: whole, unless its default or its steps are not."""
    kind: Kind = "integer" if step >= 1 and "." not in default else "decimal"
    ends = {"view_least": least, "view_most": most, **more}
    return Parameter(id, name, kind, text, default, least=least, most=most, step=step, **ends)


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("prompt", "Prompt", "text", "What the picture shows.", view="prompt", priority=-100, is_visible=False),
    Parameter(
        "negativeprompt", "Negative Prompt", "text", "What the picture must not show.", view="prompt", priority=-90,
        nothing="", is_visible=False,
    ),
    _number("images", "Images", "How many pictures.", "1", 1, 10_000, group=_CORE, priority=-50, view_most=10,
            nothing="1", is_kept=False),
    _number("seed", "Seed", "The seed; -1: another one each time.", "-1", -1, LARGEST, group=_CORE, priority=-30,
            view="seed", view_most=2**31 - 1),
    _number("steps", "Steps", "Sampling steps.", "20", 0, 500, group=_CORE, priority=-20, view_least=1,
            view_most=100, view="slider"),
    _number("cfgscale", "CFG Scale", "How closely the prompt is followed.", "7", 0, 100, step=0.5, group=_CORE,
            priority=-18, view_most=20, view="slider"),
    _number("variationseed", "Variation Seed", "The seed that pictures are varied by; -1: another one each time.",
            "-1", -1, LARGEST, group="variationseed", view="seed", view_most=2**31 - 1),
    _number("variationseedstrength", "Variation Seed Strength",
            "1: the variation seed instead of the seed. Anything between 0 and 1 cannot be drawn here.", "0", 0, 1,
            step=0.05, group="variationseed", nothing="0", view="slider"),
    Parameter("aspectratio", "Aspect Ratio", "dropdown", "The picture's form; Custom: width and height.", "1:1",
              group=_SIZE, priority=-11, choices="aspects"),
    _number("width", "Width", "In pixels.", "512", 64, 16_384, step=32, group=_SIZE, priority=-10, view_least=256,
            view_most=2_048, view="pot_slider"),
    _number("height", "Height", "In pixels.", "512", 64, 16_384, step=32, group=_SIZE, priority=-9, view_least=256,
            view_most=2_048, view="pot_slider"),
    _number("sidelength", "Side Length", "With an aspect ratio: the side of a square of the same area.", "512", 64,
            16_384, step=32, group=_SIZE, priority=-8, view_least=256, view_most=2_048, view="pot_slider",
            toggleable=True, is_advanced=True),
    Parameter("rawresolution", "Raw Resolution", "text", "Width and height as one, such as 512x768; wins.", group=_SIZE,
              priority=-7, toggleable=True, is_advanced=True, examples=("512x512", "1024x768")),
    _number("altresolutionheightmultiplier", "Alt Resolution Height Multiplier", "The height is so many widths.", "1",
            0.1, 10, step=0.1, group=_SIZE, priority=-6, toggleable=True, is_advanced=True),
    _number("batchsize", "Batch Size", "Pictures of one run.", "1", 1, 100, group=_SIZE, priority=-5, view_most=10,
            nothing="1", is_advanced=True, is_kept=False, view="slider"),
    Parameter("sampler", "Sampler", "dropdown", "How noise is taken away.", "euler", group=_SAMPLING, priority=-5,
              choices="samplers", toggleable=True),
    Parameter("scheduler", "Scheduler", "dropdown", "How much noise each step takes away.", "normal", group=_SAMPLING,
              priority=-4, choices="schedulers", toggleable=True),
    Parameter("seamlesstileable", "Seamless Tileable", "dropdown", "Pictures that continue at the opposite edge.",
              "false", group=_SAMPLING, priority=15, choices="seamless", nothing="false", is_advanced=True),
    Parameter("initimage", "Init Image", "image", "The picture to start from.", group=_INIT, priority=-5),
    _number("initimagecreativity", "Init Image Creativity", "How much of it is drawn anew; 0: nothing.", "0.6", 0, 1,
            step=0.05, group=_INIT, priority=-4.5, view="slider"),
    Parameter("maskimage", "Mask Image", "image", "White is drawn anew, black stays.", group=_INIT, priority=-4),
    _number("maskblur", "Mask Blur", "How far the mask's edge fades, in pixels.", "4", 0, 64, group=_INIT,
            priority=-3.6, view_most=31, nothing="0", view="slider", is_advanced=True),
    _number("maskgrow", "Mask Grow", "How far the mask grows, in pixels.", "0", 0, 256, group=_INIT, priority=-3.4,
            view_most=64, nothing="0", view="slider", is_advanced=True),
    _number("refinercontrolpercentage", "Refiner Control Percentage", "How much the second pass draws anew.", "0.2", 0,
            1, step=0.05, group=_REFINE, priority=-5, view="slider"),
    _number("refinerupscale", "Refiner Upscale", "How many times wider and higher the second pass is.", "1", 0.25, 8,
            step=0.25, group=_REFINE, priority=-4, view_least=1, view_most=4, nothing="1", view="slider"),
    Parameter("refinerupscalemethod", "Refiner Upscale Method", "dropdown", "What enlarges before the second pass.",
              "pixel-lanczos", group=_REFINE, priority=-3, choices="upscalers"),
    _number("refinersteps", "Refiner Steps", "Steps of the second pass.", "20", 1, 500, group=_REFINE, priority=-2,
            view_most=100, toggleable=True, is_advanced=True, view="slider"),
    Parameter("controlnetimageinput", "ControlNet Image Input", "image", "What guides the picture.", group=_CONTROL,
              priority=1),
    Parameter("controlnetmodel", "ControlNet Model", "model", "The model that it guides by.", "(None)", group=_CONTROL,
              priority=2, choices="ControlNet", subtype="ControlNet", nothing="(None)"),
    Parameter("controlnetpreprocessor", "ControlNet Preprocessor", "dropdown", "What is made of the picture before.",
              "None", group=_CONTROL, priority=3, choices="preprocessors", nothing="None", is_advanced=True),
    _number("controlnetstrength", "ControlNet Strength", "How much it guides.", "1", 0, 2, step=0.05, group=_CONTROL,
            priority=5, view="slider"),
    _number("textvideoframes", "Text2Video Frames", "Frames of a video.", "25", 1, 1_000, group=_VIDEO, priority=1,
            view_most=121, toggleable=True, view="video_frames"),
    _number("videofps", "Video FPS", "Frames per second.", "16", 1, 120, group=_VIDEO, priority=5, view_most=60,
            view="slider", toggleable=True),
    Parameter("videoformat", "Video Format", "dropdown", "The video's file.", "h264-mp4", group=_VIDEO, priority=6,
              choices="video_formats", toggleable=True),
    Parameter("promptimages", "Prompt Images", "image_list", "Pictures that the model looks at.", priority=-80,
              is_visible=False),
    Parameter("model", "Model", "model", "What draws.", group=_MODELS, priority=-50, choices="Stable-Diffusion",
              subtype="Stable-Diffusion", is_visible=False),
    Parameter("vae", "VAE", "model", "What turns latents into pixels; Automatic: the model's own.", "Automatic",
              group=_MODELS, priority=2, choices="VAE", subtype="VAE", toggleable=True, is_advanced=True),
    Parameter("automaticvae", "Automatic VAE", "boolean", "The model's own VAE.", "false", group=_MODELS,
              nothing="false", is_visible=False),
    Parameter("loras", "LoRAs", "list", "LoRAs to draw with.", group=_MODELS, priority=2.1, choices="LoRA",
              subtype="LoRA", is_visible=False, nothing=""),
    Parameter("loraweights", "LoRA Weights", "list", "Their weights, in the same order.", group=_MODELS, priority=2.2,
              is_visible=False, nothing=""),
    Parameter("loratencweights", "LoRA TEnc Weights", "list", "Their weights for text encoders; cannot differ here.",
              group=_MODELS, is_visible=False, nothing=""),
    *(
        Parameter(id, name, "model", "A text encoder of the model's.", "", group=_MODELS, priority=20 + index,
                  choices=subtype, subtype=subtype, toggleable=True, is_advanced=True)
        for index, (id, name, subtype) in enumerate(
            (
                ("cliplmodel", "CLIP-L Model", "Clip"),
                ("clipgmodel", "CLIP-G Model", "Clip"),
                ("txxlmodel", "T5-XXL Model", "Clip"),
                ("qwenmodel", "Qwen Model", "Clip"),
                ("mistralmodel", "Mistral Model", "Clip"),
                ("gemmamodel", "Gemma Model", "Clip"),
                ("clipvisionmodel", "CLIP-Vision Model", "ClipVision"),
            )
        )
    ),
    _number("fluxguidancescale", "Flux Guidance Scale", "The guidance that Flux was made with.", "3.5", 0, 100,
            step=0.1, group=_SAMPLING, priority=-3, view_most=10, toggleable=True, view="slider"),
    _number("sigmashift", "Sigma Shift", "The shift of a flow model.", "3", 0, 100, step=0.01, group=_MORE,
            view_most=20, toggleable=True, is_advanced=True, view="slider"),
    _number("clipstopatlayer", "CLIP Stop At Layer", "The last layer of CLIP that counts.", "-1", -24, -1, group=_MORE,
            nothing="-1", toggleable=True, is_advanced=True),
    _number("vaetilesize", "VAE Tile Size", "The picture is decoded in tiles of so many pixels.", "256", 64, 4_096,
            step=32, group=_MORE, toggleable=True, is_advanced=True, view_most=1_024),
    _number("vaetileoverlap", "VAE Tile Overlap", "How many pixels of them overlap.", "64", 0, 1_024, step=32,
            group=_MORE, toggleable=True, is_advanced=True, view_most=256),
    _number("wildcardseed", "Wildcard Seed", "The seed of what is chosen in prompts.", "-1", -1, LARGEST,
            group=_WILDCARDS, toggleable=True, view="seed", is_advanced=True, view_most=2**31 - 1),
    Parameter("wildcardseedbehavior", "Wildcard Seed Behavior", "dropdown", "Random, or by the seed's number.",
              "Random", group=_WILDCARDS, choices="wildcard_behaviors", is_advanced=True, nothing="Random"),
    Parameter("imageformat", "Image Format", "dropdown", "The picture's file.", "PNG", group=_INTERNAL,
              choices="image_formats", toggleable=True, is_advanced=True),
    Parameter("donotsave", "Do Not Save", "boolean", "Answer with the picture, and keep none.", "false",
              group=_INTERNAL, nothing="false", is_advanced=True, is_kept=False),
    Parameter("nopreviews", "No Previews", "boolean", "Send no previews.", "false", group=_INTERNAL, nothing="false",
              is_advanced=True),
    Parameter("noseedincrement", "No Seed Increment", "boolean", "The same seed for every picture.", "false",
              group=_INTERNAL, nothing="false", is_advanced=True),
    Parameter("continueaftererrors", "Continue After Errors", "boolean", "Go on with the others when one fails.",
              "false", group=_INTERNAL, nothing="false", is_advanced=True, is_kept=False),
    Parameter("personalnote", "Personal Note", "text", "A note in the picture's metadata.", group=_INTERNAL,
              nothing="", is_advanced=True, view="big"),
    Parameter("donotsaveintermediates", "Do Not Save Intermediates", "boolean", "Nothing is made in between here.",
              "false", group=_INTERNAL, nothing="false", is_visible=False, is_kept=False),
)  # fmt: skip

BY_ID = {one.id: one for one in PARAMETERS}

OLD_IDS = {
    "textvideofps": "videofps",
    "textvideoformat": "videoformat",
    "maskshrinkgrow": "maskgrow",
    "automaticva": "automaticvae",
}
"""Names of earlier versions, after everything but letters has been taken out."""

NOT_PARAMETERS = frozenset({"session_id", "presets", "extra_metadata", "images_count"})

TOLD = frozenset(
    {"zeronegative", "refinermodel", "refinercfgscale", "controlnettwoimageinput", "controlnetthreeimageinput",
     "videomodel", "maskbehavior", "initimagenoise", "initimagerecompositemask", "controlnetstart", "controlnetend",
     "refinermethod", "refinervae", "lorasectionconfinement", "overrideoutpathformat",
     "videosteps", "videocfg"}
)  # fmt: skip
"""Parameters of pictures that have no effect here, and whose callers are told so."""
