"""From what the output nodes of a graph show to what jobs draw: parameters, pictures, files.

Pure. Refuses what the library cannot do, naming the node; what has no effect is noted.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from PIL import Image, ImageChops

from sdcpp_rest.core.architectures import FLUX_FAMILY, architecture_named
from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.core.prompts import lora_tag
from sdcpp_rest.routes.comfyui.latent_nodes import LATENT_METHODS
from sdcpp_rest.routes.comfyui.node_types import NodeFault, refuse
from sdcpp_rest.routes.comfyui.values import (
    Autoencoder,
    Conditioning,
    DrawnPicture,
    EnlargedPicture,
    Latent,
    Mask,
    Output,
    Sampled,
)
from sdcpp_rest.services.pictures.input_images import open_picture

DrawingKind = Literal["txt2img", "img2img", "txt2vid", "upscale"]
_LARGEST_STEPS = 1_000_000
# The library computes their shift from the picture's size.
_OWN_SHIFT = frozenset({"flux2", "flux2_klein"})


class DrawingFault(Exception):
    """A graph whose nodes are all right and whose drawing is not: which node is at fault, and how."""

    def __init__(self, node: str, fault: NodeFault) -> None:
        super().__init__(fault.details)
        self.node = node
        self.fault = fault


@dataclass
class Drawing:
    """What one job draws. ``stages`` names the nodes that its progress passes; ``places`` the node and input that a
    parameter came from."""

    kind: DrawingKind
    outputs: list[Output]
    asked: dict[str, Any] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    model: ModelFile | None = None
    components: dict[str, str | None] = field(default_factory=dict)
    upscaler: ModelFile | None = None
    notes: list[str] = field(default_factory=list)
    stages: dict[str, str] = field(default_factory=dict)
    places: dict[str, tuple[str, str]] = field(default_factory=dict)
    shift: float | None = None
    is_exponent: bool = False

    def put(self, name: str, value: Any, node: str, input_name: str) -> None:
        """Ask for a parameter, and remember where it came from."""
        self.asked[name] = value
        self.places[name] = (node, input_name)

    def asked_with(self, architecture: str | None) -> dict[str, Any]:
        """The parameters for a model of that family: the shift of Flux's relatives is counted as an exponent."""
        if self.shift is None:
            return self.asked
        family = architecture_named(architecture)
        takes_exponent = family is not None and family.id in FLUX_FAMILY
        shift = self.shift
        if takes_exponent and not self.is_exponent:
            shift = math.log(shift) if shift > 1 else 0.0
        elif self.is_exponent and not takes_exponent:
            shift = math.exp(shift)
        return {**self.asked, "flow_shift": shift}

    def notes_with(self, architecture: str | None) -> list[str]:
        """What is to be told about a drawing with a model of that family."""
        family = architecture_named(architecture)
        has_no_shift = family is not None and (not family.is_flow or family.id in _OWN_SHIFT)
        if self.shift is None or family is None or not has_no_shift:
            return self.notes
        return [*self.notes, f"The shift of the noise schedule has no effect with {family.name}."]


def to_drawings(outputs: Iterable[Output], write_mask: Callable[[Mask], str]) -> list[Drawing]:
    """The jobs of a graph: one for each picture, however many nodes show it. Raises DrawingFault."""
    drawings: dict[tuple[int, str, float], Drawing] = {}
    for output in outputs:
        # The picture itself is part of `output`, so that its id is nobody else's meanwhile.
        key = (id(output.picture), output.video_format, output.fps)
        if key in drawings:
            drawings[key].outputs.append(output)
        elif isinstance(output.picture, EnlargedPicture):
            drawings[key] = _enlarge(output, output.picture)
        else:
            drawings[key] = _draw(output, output.picture, write_mask)
    return [*drawings.values()]


def render_mask(mask: Mask, measure: Callable[[bytes, str], tuple[int, int]]) -> str:
    """A mask as a picture in base64, white where it is drawn anew. ``measure`` refuses pictures that are too many."""
    measure(mask.source.file, "mask")
    picture = open_picture("mask", mask.source.file)
    if mask.channel == "alpha":
        drawn = picture.convert("RGBA").getchannel("A")
    else:
        drawn = picture.convert("RGB").getchannel({"red": 0, "green": 1, "blue": 2}[mask.channel])
    for step, amount in mask.steps:
        if step == "invert":
            drawn = ImageChops.invert(drawn)
        else:
            drawn = _grow(drawn, amount)
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG", compress_level=1)
    return _as_base64(buffer.getvalue())


def _grow(mask: Image.Image, amount: int) -> Image.Image:
    """``mask`` with its white parts larger by ``amount`` pixels on all sides, or smaller where that is below 0."""
    if amount < 0:
        return ImageChops.invert(_grow(ImageChops.invert(mask), -amount))
    for across, down in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        reached = 0
        while reached < amount:
            # What has grown already grows again as far: a few moves reach hundreds of pixels.
            step = min(reached + 1, amount - reached)
            moved = Image.new("L", mask.size)
            moved.paste(mask, (across * step, down * step))
            mask = ImageChops.lighter(mask, moved)
            reached += step
    return mask


def _enlarge(output: Output, picture: EnlargedPicture) -> Drawing:
    drawing = Drawing("upscale", [output], upscaler=picture.upscaler)
    drawing.images["image"] = _as_base64(picture.picture.file)
    drawing.stages = {"upscaling": picture.node}
    drawing.places = {
        "upscaler": (picture.node, "upscale_model"),
        "upscale_factor": (picture.node, "image"),
        "image_base64": (picture.node, "image"),
    }
    return drawing


def _draw(output: Output, picture: DrawnPicture, write_mask: Callable[[Mask], str]) -> Drawing:
    last = picture.latent.drawn
    if last is None:
        raise DrawingFault(picture.node, refuse("samples were not sampled: there is nothing to draw", "samples"))
    first = last.start.drawn or last
    start = first.start
    drawing = Drawing("txt2img", [output])
    drawing.stages = {"loading": first.model.node, "conditioning": first.positive.node, "sampling": first.node}
    drawing.stages |= {"decoding": picture.node}
    _choose_model(drawing, first, picture.vae)
    for latent in (start, last.start):
        if latent.vae is not None and latent.vae.source != picture.vae.source:
            raise DrawingFault(latent.node, refuse("vae must be that of VAEDecode: one autoencoder does both", "vae"))
    _put_words(drawing, first)
    _put_numbers(drawing, first, start)
    _put_pictures(drawing, first, start, write_mask)
    drawing.asked |= {"hires": False, "upscale": False, "batch_count": start.batch}
    drawing.places["batch_count"] = (start.node, "batch_size")
    if picture.tile_size:
        side = picture.tile_size // 8
        drawing.asked |= {"vae_tiling": True, "vae_tile_size_x": side, "vae_tile_size_y": side}
        drawing.asked["vae_tile_overlap"] = min(0.5, picture.tile_overlap / picture.tile_size)
    if last is not first:
        _put_second_pass(drawing, first, last)
    if picture.upscaler is not None:
        drawing.asked["upscale"] = True
        drawing.upscaler = picture.upscaler
        drawing.stages["upscaling"] = picture.upscaling_node
        for name in ("upscale", "upscaler", "upscale_repeats"):
            drawing.places[name] = (picture.upscaling_node, "upscale_model")
    if start.frames:
        _make_video(drawing, output, start)
    return drawing


def _choose_model(drawing: Drawing, first: Sampled, vae: Autoencoder) -> None:
    model = first.model
    drawing.model, drawing.shift, drawing.is_exponent = model.file, model.shift, model.is_exponent
    drawing.places |= {"model": (model.node, "model"), "flow_shift": (model.node, "shift")}
    words = [first.positive, *([first.negative] if first.negative is not None else [])]
    for encoders in (one.encoders for one in words):
        if encoders.checkpoint not in (None, model.file.path):
            raise DrawingFault(encoders.node, refuse("the text encoders of another checkpoint cannot be used here"))
        if encoders.files != first.positive.encoders.files:
            raise DrawingFault(first.node, refuse("positive and negative must have the same text encoders", "negative"))
    drawing.components.update(first.positive.encoders.files)
    for role, _ in first.positive.encoders.files:
        drawing.places[role] = (first.positive.encoders.node, "clip_name")
    if vae.checkpoint not in (None, model.file.path):
        raise DrawingFault(vae.node, refuse("the autoencoder of another checkpoint cannot be used here; name its file"))
    if vae.file:
        drawing.components[vae.role] = vae.file
        drawing.places[vae.role] = (vae.node, "vae_name")


def _put_words(drawing: Drawing, first: Sampled) -> None:
    positive, negative = first.positive, first.negative
    tags = "".join(lora_tag(one.name, one.weight) for one in first.model.loras if one.weight)
    drawing.put("prompt", positive.text + tags, positive.node, "text")
    drawing.put("negative_prompt", negative.text if negative is not None else "", first.node, "negative")
    if negative is not None:
        drawing.places["negative_prompt"] = (negative.node, "text")
        _look_at_negative(drawing, first, positive, negative)
    if positive.guidance is not None:
        drawing.put("distilled_guidance", positive.guidance, positive.node, "guidance")
    drawing.put("clip_skip", positive.encoders.stop_at or -1, positive.encoders.node, "stop_at_clip_layer")
    unknown = {one.name for one in positive.encoders.loras} - {one.name for one in first.model.loras}
    if unknown:
        sentence = f"{', '.join(sorted(unknown))}: the model of the sampler must go through the same LoraLoader"
        raise DrawingFault(positive.encoders.node, refuse(sentence, "clip"))


def _look_at_negative(drawing: Drawing, first: Sampled, positive: Conditioning, negative: Conditioning) -> None:
    """Of the negative conditioning only the words count: what else it has must be the positive one's."""
    if negative.is_zeroed and first.cfg != 1:
        drawing.notes.append("ConditioningZeroOut is an empty prompt here, and cfg is not 1: that is not the same.")
    if not {*negative.controls} <= {*positive.controls} or not {*negative.references} <= {*positive.references}:
        sentence = "negative must not have a ControlNet or a reference picture that positive has not"
        raise DrawingFault(first.node, refuse(sentence, "negative"))
    differing = {
        "The guidance": negative.guidance not in (None, positive.guidance),
        "CLIPSetLastLayer": negative.encoders.stop_at != positive.encoders.stop_at,
        "The LoRAs": negative.encoders.loras != positive.encoders.loras,
    }
    for name, differs in differing.items():
        if differs:
            drawing.notes.append(f"{name} of negative is not looked at: that of positive counts for both.")


def _put_numbers(drawing: Drawing, first: Sampled, start: Latent) -> None:
    node = first.node
    drawing.put("seed", first.seed, node, "seed")
    drawing.put("steps", _steps_of(first.steps, first.denoise), node, "steps")
    drawing.put("cfg_scale", first.cfg, node, "cfg")
    drawing.put("sampler", first.sampler, node, "sampler_name")
    drawing.put("scheduler", first.scheduler, node, "scheduler")
    drawing.put("width", start.width, start.node, "width" if start.picture is None else "pixels")
    drawing.put("height", start.height, start.node, "height" if start.picture is None else "pixels")
    if start.picture is not None and not start.frames:
        drawing.kind = "img2img"
        drawing.put("strength", first.denoise, node, "denoise")


def _steps_of(steps: int, denoise: float) -> int:
    """The library leaves the beginning of its steps out where a picture is there; here all that were asked for are
    done."""
    return min(_LARGEST_STEPS, math.ceil(steps / denoise - 1e-6)) if denoise < 1 else steps


def _put_pictures(drawing: Drawing, first: Sampled, start: Latent, write_mask: Callable[[Mask], str]) -> None:
    if start.picture is not None:
        drawing.images["init_image"] = _as_base64(start.picture.file)
        drawing.places["init_image"] = (start.picture.node, "image")
    if start.mask is not None:
        drawing.images["mask_image"] = write_mask(start.mask)
        drawing.places["mask_image"] = (start.mask.source.node, "image")
    for k, reference in enumerate(first.positive.references):
        drawing.images[f"ref_images.{k}"] = _as_base64(reference.file)
        drawing.places[f"ref_images.{k}"] = (reference.node, "image")
    for control in first.positive.controls:
        drawing.components["controlnet"] = control.file
        drawing.images["control_image"] = _as_base64(control.picture.file)
        drawing.put("control_strength", control.strength, control.node, "strength")
        drawing.put("preprocess", "canny" if control.finds_edges else "", control.node, "image")
        drawing.places |= {"control_image": (control.node, "image"), "controlnet": (control.node, "control_net")}


def _put_second_pass(drawing: Drawing, first: Sampled, last: Sampled) -> None:
    """A second sampler over what the first one drew: the library's hires fix, which changes nothing but size, steps
    and strength."""
    start = last.start
    if first.start.drawn is not None:
        raise DrawingFault(first.node, refuse("more than two samplers cannot follow each other", "latent_image"))
    same = {
        "model": last.model == first.model,
        "positive": (last.positive.text, last.positive.guidance) == (first.positive.text, first.positive.guidance),
        "negative": _text_of(last.negative) == _text_of(first.negative),
        "cfg": last.cfg == first.cfg,
        "sampler_name": last.sampler == first.sampler,
        "scheduler": last.scheduler == first.scheduler,
    }
    for input_name, is_same in same.items():
        if not is_same:
            sentence = f"{input_name} must be that of the first sampler: the hires fix draws again with the same"
            raise DrawingFault(last.node, refuse(sentence, input_name))
    if first.start.frames:
        raise DrawingFault(last.node, refuse("a video cannot be sampled twice", "latent_image"))
    if last.seed != first.seed:
        drawing.notes.append("The seed of the second sampler has no effect here: both passes have the first one's.")
    method = start.method or "Latent"
    drawing.asked |= {"hires": True, "hires_width": start.width, "hires_height": start.height}
    drawing.put("hires_upscaler", LATENT_METHODS.get(method, method), start.node, "upscale_method")
    drawing.put("hires_steps", last.steps, last.node, "steps")
    drawing.put("hires_denoising_strength", last.denoise, last.node, "denoise")
    drawing.stages["hires"] = last.node
    for name in ("hires_width", "hires_height", "hires_scale"):
        drawing.places[name] = (start.node, name.removeprefix("hires_"))
    drawing.places["hires"] = (last.node, "latent_image")


def _text_of(words: Conditioning | None) -> str:
    return words.text if words is not None else ""


def _make_video(drawing: Drawing, output: Output, start: Latent) -> None:
    drawing.kind = "txt2vid"
    for name in ("hires", "upscale", "batch_count"):
        drawing.asked.pop(name)
    if drawing.asked.pop("preprocess", None):
        raise DrawingFault(output.node, refuse("Canny cannot be used for videos"))
    if drawing.asked.pop("control_strength", 1) != 1:
        drawing.notes.append("The strength of the ControlNet has no effect on videos.")
    drawing.put("video_frames", start.frames, start.node, "length")
    drawing.put("output_format", output.video_format, output.node, "images")
    if output.fps:
        fps = max(1, round(output.fps))
        drawing.put("fps", fps, output.node, "fps")
        if fps != output.fps:
            drawing.notes.append(f"fps {output.fps:g} became {fps}: whole numbers are what videos have here.")


def place_of(drawing: Drawing, detail: Mapping[str, Any]) -> tuple[str, str]:
    """The node and the input that a refusal of ours is about, by its ``field``."""
    field_name = str(detail.get("field") or "")
    outputs = (drawing.outputs[0].node, "images")
    return drawing.places.get(field_name) or drawing.places.get("model") or drawing.places.get("upscaler") or outputs


def _as_base64(picture_file: bytes) -> str:
    return base64.b64encode(picture_file).decode("ascii")
