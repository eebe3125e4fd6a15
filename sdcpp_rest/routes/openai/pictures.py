"""What a request of OpenAI's images API becomes: jobs, and from them pictures for its answer.

Asks the services of the house; every dialect's jobs go through the same ones. Knows no HTTP.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from PIL import Image

from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.errors import InvalidRequest, ModelNotFound, NoModelLoaded
from sdcpp_rest.routes.openai import translate as words
from sdcpp_rest.routes.openai.wire import EditWishes, GenerationWishes, MadeWishes, OutputFormat, VariationWishes
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.services.models.architecture_presets import preset_of
from sdcpp_rest.services.pictures import edit_pictures
from sdcpp_rest.services.pictures.input_images import decode_base64
from sdcpp_rest.services.pictures.picture_formats import encode, texts_of
from sdcpp_rest.services.submission.picture_rounds import PictureRequest, Round

ORIGIN = "openai"
Wishes = GenerationWishes | EditWishes | VariationWishes

# Models of OpenAI's for which a picture's own transparency is the mask.
_MASKED_BY_THEMSELVES = "dall-e-2"
# Presets of models that were trained to change the pictures they are shown; others look past them.
_EDITORS = frozenset(
    {
        "SD1-Pix2Pix",
        "SDXL-Pix2Pix",
        "Flux-Kontext",
        "Flux.2",
        "Flux.2-Klein",
        "Flux.2-Klein-Base",
        "Qwen-Image-Edit",
        "Qwen-Image-Edit-2511",
    }
)
_FIELDS = {"init_image": "image", "mask_image": "mask"}


@dataclass(frozen=True)
class Asked:
    """A request, understood. ``given``: sizes in pixels of the pictures that came with it."""

    wishes: Wishes
    kind: Literal["txt2img", "img2img"]
    params: dict[str, Any]
    spec: LoadSpec
    images: Mapping[str, str] = field(default_factory=dict)
    given: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def output_format(self) -> OutputFormat:
        return self.wishes.output_format if isinstance(self.wishes, MadeWishes) else "png"

    @property
    def output_compression(self) -> int:
        return self.wishes.output_compression if isinstance(self.wishes, MadeWishes) else 100


def to_submission(house: Runtime, wishes: Wishes, warnings: Sequence[str] = ()) -> Asked:
    """What is to be drawn, with which model; ``warnings`` are passed on. Raises InvalidRequest, NoModelLoaded."""
    spec = model_for(house, wishes.model)
    mode: Literal["txt2img", "img2img"] = "txt2img" if isinstance(wishes, GenerationWishes) else "img2img"
    usual = house.sampling_intake.usual(ImageParams, mode, spec)
    params = words.to_params(wishes, usual, house.config.limits.steps)
    notes = [*warnings, *words.notes(wishes)]
    if isinstance(wishes, GenerationWishes):
        return Asked(wishes, "txt2img", params, spec, notes=tuple(notes))
    files = [decode_base64(_place(index), text) for index, text in enumerate(wishes.image)]
    given = tuple(edit_pictures.size_of(_place(index), file) for index, file in enumerate(files))
    if "width" not in params:
        size = edit_pictures.fit_size(given[0], (usual.width, usual.height), house.config.limits.side)
        params["width"], params["height"] = size
    mask = _mask(wishes, files[0])
    if mask is not None and isinstance(wishes, EditWishes):
        params.setdefault("strength", 1.0)
    preset = preset_of(spec)
    looks = preset is not None and preset.id in _EDITORS and isinstance(wishes, EditWishes)
    if looks and mask is None:
        images = {f"ref_images.{index}": text for index, text in enumerate(wishes.image)}
        return Asked(wishes, "txt2img", params, spec, images, given, tuple(notes))
    images = {"init_image": wishes.image[0]} if mask is None else {"init_image": wishes.image[0], "mask_image": mask}
    if len(wishes.image) > 1 and looks:
        images |= {f"ref_images.{index}": text for index, text in enumerate(wishes.image[1:])}
    elif len(wishes.image) > 1:
        notes.append(f"Only the first of {len(wishes.image)} images was used: {spec.model.name} looks at one.")
    return Asked(wishes, "img2img", params, spec, images, given, tuple(notes))


@contextlib.contextmanager
def open_round(house: Runtime, asked: Asked) -> Iterator[Round]:
    """A round whose jobs are in the queue. Raises what `Submission.picture` raises, in this dialect's words."""
    request = PictureRequest(asked.kind, asked.params, asked.images, asked.spec)
    with house.rounds.open(None, asked.kind, asked.wishes.n) as opened:
        try:
            house.rounds.submit_series(opened, request, origin=ORIGIN)
        except InvalidRequest as error:
            raise _in_its_words(error) from None
        yield opened


def model_for(house: Runtime, name: str) -> LoadSpec:
    """The model of that name, or of that alias, or else the selected one.

    Raises NoModelLoaded, ModelNotFound for an alias that leads nowhere, InvalidRequest.
    """
    alias = house.config.openai.model_aliases.get(name)
    if alias is not None:
        try:
            return house.model_choice.spec_named(alias)
        except ModelNotFound:
            raise ModelNotFound(
                f"The model {name!r} is to be {alias!r} (openai.model_aliases), which is not there", field="model"
            ) from None
    selected = house.models.selected
    if name:
        try:
            return house.model_choice.spec_named(name)
        except ModelNotFound:
            pass
        except InvalidRequest:
            # A path, say: other servers' names are no business of our folders. A model of ours that cannot be loaded
            # must not be taken for one.
            if _is_ours(house, name):
                raise
    if selected is None:
        raise NoModelLoaded("No model loaded")
    return selected


def encode_pictures(house: Runtime, asked: Asked, jobs: Sequence[Job]) -> list[bytes]:
    """The pictures' files, in the format that was asked for."""
    return [
        recode(house.outputs.path_of(path).read_bytes(), asked.output_format, asked.output_compression)
        for job in jobs
        for path in job.outputs
    ]


def encode_preview(asked: Asked, jpeg: bytes, size: tuple[int, int]) -> bytes:
    """A preview as large as the picture will be, in its format."""
    with Image.open(io.BytesIO(jpeg)) as preview:
        larger = preview.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    return encode(larger, asked.output_format, max(1, asked.output_compression), {})


def recode(png: bytes, wanted: OutputFormat, quality: int) -> bytes:
    """A finished picture in the format that is wanted, with what it says about itself; a PNG stays as it is."""
    if wanted == "png":
        return png
    with Image.open(io.BytesIO(png)) as picture:
        picture.load()
        # Quality 0 is a picture of blocks, but Pillow takes it for "not given".
        return encode(picture, wanted, max(1, quality), texts_of(picture))


def _place(index: int) -> str:
    return "image" if index == 0 else f"image[{index}]"


def _mask(wishes: EditWishes | VariationWishes, first: bytes) -> str | None:
    if not isinstance(wishes, EditWishes):
        return None
    if wishes.mask:
        return edit_pictures.mask_of("mask", decode_base64("mask", wishes.mask))
    if wishes.model == _MASKED_BY_THEMSELVES:
        return edit_pictures.mask_of("image", first, only_alpha=True)
    return None


def _is_ours(house: Runtime, name: str) -> bool:
    try:
        house.model_choice.find(("checkpoint", "diffusion"), name)
    except (ModelNotFound, InvalidRequest):
        return False
    return True


def _in_its_words(error: InvalidRequest) -> InvalidRequest:
    """The same refusal with the field called as on the wire."""
    role = str(error.detail.get("field") or "")
    wire = _FIELDS.get(role) or ("image" if role.startswith("ref_images") else None)
    if wire is None:
        return error
    return type(error)(error.message.replace(role, wire, 1), **{**error.detail, "field": wire})
