"""Gives the evaluation of a graph what it may ask of the server: files by name, pictures, the lists to choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from sdcpp_rest.core.catalog import ModelFile, ModelType
from sdcpp_rest.core.component_fit import OWN_ROLES
from sdcpp_rest.core.component_forms import form_of
from sdcpp_rest.core.sampling_names import NODE_SAMPLERS, NODE_SCHEDULERS
from sdcpp_rest.errors import InvalidRequest, ModelNotFound, NotFound
from sdcpp_rest.routes.comfyui.node_types import NodeFault, refuse
from sdcpp_rest.services.model_headers.inspection import NotAModel, inspect_file
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.pictures.input_images import MAX_PIXELS, measure_picture
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.services.pictures.uploaded_pictures import UploadedPictures
from sdcpp_rest.services.submission.model_choice import ModelChoice

MODEL_LISTS: Mapping[str, tuple[ModelType, ...]] = {
    "checkpoints": ("checkpoint", "diffusion"),
    "diffusion_models": ("diffusion", "checkpoint"),
    "text_encoders": ("clip", "t5", "llm"),
    "vae": ("vae", "taesd"),
    "loras": ("lora",),
    "controlnet": ("controlnet",),
    "upscale_models": ("esrgan",),
    "embeddings": ("embedding",),
}
"""Folders of models as they are called here, and the types of files in them."""
FOLDER_ALIASES = {"clip": "text_encoders", "unet": "diffusion_models"}
_PLACES = ("input", "temp", "output")
_CLIP_ROLES = {
    "CLIP-L text encoder": "clip_l",
    "OpenCLIP-H text encoder": "clip_l",
    "CLIP-G text encoder": "clip_g",
}
# Of all pictures that one graph has decoded: what fits into memory a few times over.
_MOST_PIXELS = 4 * MAX_PIXELS


@dataclass(frozen=True)
class Lists:
    """The lists that inputs choose from. ``samplers`` and ``schedulers`` are the engine's, by its names."""

    choice: ModelChoice
    library: ModelLibrary
    uploaded: UploadedPictures
    samplers: Sequence[str]
    schedulers: Sequence[str]

    def words(self, name: str) -> list[str]:
        """Everything in a list, as it is offered."""
        if name == "samplers":
            return [*self._samplers]
        if name == "schedulers":
            return [*self._schedulers]
        if name == "pictures":
            return self.uploaded.names()
        return [file.name for kind in MODEL_LISTS[name] for file in self.library.files(kind)]

    def find(self, name: str, word: str) -> ModelFile | str:
        """What a word of a list means. Raises LookupError with what is allowed."""
        if name == "pictures":
            return word
        if name in ("samplers", "schedulers"):
            found = (self._samplers if name == "samplers" else self._schedulers).get(word)
            if found is None:
                raise LookupError(*self.words(name))
            return found
        try:
            return self.choice.find(MODEL_LISTS[name], word)
        except (ModelNotFound, InvalidRequest):
            raise LookupError(*self.words(name)) from None

    @cached_property
    def _samplers(self) -> Mapping[str, str]:
        return {NODE_SAMPLERS.get(name, name): name for name in self.samplers}

    @cached_property
    def _schedulers(self) -> Mapping[str, str]:
        return {NODE_SCHEDULERS.get(name, name): name for name in self.schedulers}


@dataclass
class GraphSurroundings:
    """`Surroundings` of one graph: notes what has no effect, and bounds the pictures that are decoded for it."""

    uploaded: UploadedPictures
    outputs: Outputs
    node_id: str = ""
    notes: list[str] = field(default_factory=list)
    _pixels: int = 0

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def read_picture(self, name: str) -> bytes:
        path, place = read_annotated(name)
        try:
            return (self.outputs if place == "output" else self.uploaded).path_of(path).read_bytes()
        except (InvalidRequest, NotFound, OSError):
            raise NodeFault(
                "custom_validation_failed",
                "Custom validation failed for node",
                f"image - Invalid image file: {name[:100]!r}; POST /upload/image takes one",
                "image",
                name,
            ) from None

    def measure(self, picture_file: bytes, input_name: str) -> tuple[int, int]:
        try:
            width, height = measure_picture(input_name, picture_file)
        except InvalidRequest as error:
            raise NodeFault("custom_validation_failed", "Invalid image file", error.message, input_name) from None
        self._pixels += width * height
        if self._pixels > _MOST_PIXELS:
            raise refuse(f"the pictures of one graph may have {_MOST_PIXELS} pixels together", input_name)
        return width, height

    def role_of(self, file: ModelFile) -> str:
        try:
            found = inspect_file(file.path)
        except NotAModel as error:
            raise refuse(f"{file.name} cannot be read: {error.message}", "clip_name", file.name) from None
        role = OWN_ROLES.get(found.contents) or _CLIP_ROLES.get(form_of(found.tensors, found.contents) or "")
        if role is None or role in ("vae", "taesd", "controlnet", "photo_maker"):
            raise refuse(f"{file.name} is no text encoder that is known by its tensors", "clip_name", file.name)
        return role


def read_annotated(name: str) -> tuple[str, str]:
    """A picture's name apart from the place that may be said behind it: ``x.png [output]``."""
    for place in _PLACES:
        if name.endswith(f"[{place}]"):
            return name.removesuffix(f"[{place}]").rstrip(), place
    return name, "input"
