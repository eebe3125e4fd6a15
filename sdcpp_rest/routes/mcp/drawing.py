"""Submits what tools draw, as jobs of a round; refuses in the tools' own words.

Blocks while pictures are fetched and decoded: call it on a thread.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Sequence

from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.errors import InvalidRequest, ModelNotFound, NoUpscalerLoaded
from sdcpp_rest.routes.mcp.given import GivenPictures
from sdcpp_rest.routes.mcp.parts import ServerParts
from sdcpp_rest.routes.mcp.translate import to_argument, to_asked
from sdcpp_rest.routes.mcp.wire import EditImage, GenerateImage, GenerateVideo, UpscaleImage
from sdcpp_rest.services.models.architecture_presets import edits_references
from sdcpp_rest.services.pictures.edit_pictures import fit_size
from sdcpp_rest.services.pictures.input_images import decode_base64, measure_picture
from sdcpp_rest.services.submission.model_choice import PICTURE_MODELS
from sdcpp_rest.services.submission.picture_rounds import PictureKind, PictureRequest, Round
from sdcpp_rest.services.submission.upscale_submission import UpscaleRequest

ORIGIN = "mcp"
_OFFERED = 5


class Draughtsman:
    """Submits the jobs of tools. Every method raises InvalidRequest, ModelNotFound, QueueFull, EngineUnavailable, and
    what fetching a picture raises."""

    def __init__(self, parts: ServerParts) -> None:
        self._parts = parts
        self._submission = parts.submission

    def draw(self, opened: Round, wishes: GenerateImage, warnings: Sequence[str]) -> Job:
        """A picture from words."""
        asked, notes = to_asked(wishes)
        request = PictureRequest("txt2img", asked, {}, self._find_spec(wishes.model), (*warnings, *notes))
        return self._submit(opened, request)

    def edit(self, opened: Round, wishes: EditImage, given: GivenPictures, warnings: Sequence[str]) -> Job:
        """A picture from a picture, or with pictures to look at."""
        references = wishes.reference_images or []
        if not wishes.image and not references:
            raise InvalidRequest(
                "image is required (or reference_images, for models that edit by words)", field="image"
            )
        if not wishes.image and wishes.mask:
            raise InvalidRequest("mask needs image, the picture that it belongs to", field="mask")
        spec = self._find_spec(wishes.model)
        asked, notes = to_asked(wishes)
        looks = self._looks_at_image(wishes, spec)
        shown = [given.read("image", wishes.image)] if wishes.image and looks else []
        shown += [given.read(f"reference_images[{k}]", one) for k, one in enumerate(references)]
        images = {f"ref_images.{k}": one for k, one in enumerate(shown)}
        if wishes.image and not looks:
            images["init_image"] = given.read("image", wishes.image)
        elif asked.pop("strength", None) is not None:
            told = "this model looks at image, instead of starting from it" if looks else "it goes with image"
            notes.append(f"strength ignored: {told}.")
        if wishes.mask:
            images["mask_image"] = given.read("mask", wishes.mask)
        if "width" not in asked and "height" not in asked:
            first = images.get("init_image") or images["ref_images.0"]
            asked |= self._usual_size("image" if wishes.image else "reference_images[0]", first, spec)
        kind: PictureKind = "img2img" if "init_image" in images else "txt2img"
        return self._submit(opened, PictureRequest(kind, asked, images, spec, (*warnings, *notes)))

    def film(self, opened: Round, wishes: GenerateVideo, given: GivenPictures, warnings: Sequence[str]) -> Job:
        """A video from words, and from its first and last frame."""
        asked, notes = to_asked(wishes)
        spec = self._find_spec(wishes.model)
        roles = {"init_image": wishes.image, "end_image": wishes.end_image}
        images = {role: given.read(to_argument(role), text) for role, text in roles.items() if text}
        with _in_tool_words():
            return self._submission.videos.video(
                asked, images=images, spec=spec, origin=ORIGIN, owner=opened.owner, warnings=(*warnings, *notes)
            )[0]

    def upscale(self, opened: Round, wishes: UpscaleImage, given: GivenPictures, warnings: Sequence[str]) -> Job:
        """A picture made larger."""
        spec = self._find_upscaler(wishes.upscaler)
        picture = given.read("image", wishes.image)
        # Whatever was given: as plain base64 it is read in one way.
        data = base64.b64encode(decode_base64("image", picture)).decode("ascii")
        asked = UpscaleRequest(image_base64=data, upscale_factor=wishes.factor)
        with _in_tool_words():
            return self._submission.upscales.submit(
                asked, spec=spec, origin=ORIGIN, owner=opened.owner, warnings=warnings
            )[0]

    # --- inside -----------------------------------------------------------------------------------------------------

    def _submit(self, opened: Round, request: PictureRequest) -> Job:
        with _in_tool_words():
            return self._submission.rounds.submit_picture(opened, request, origin=ORIGIN)

    def _find_spec(self, model: str | None) -> LoadSpec | None:
        """The spec of the named model; ``None`` for the selected one. Raises ModelNotFound with the nearest names."""
        if model is None:
            return None
        try:
            return self._submission.model_choice.spec_named(model)
        except ModelNotFound as error:
            names = [file.name for kind in PICTURE_MODELS for file in self._parts.models.library.files(kind)]
            raise _offer(error, names) from None

    def _looks_at_image(self, wishes: EditImage, spec: LoadSpec | None) -> bool:
        """Whether the model was trained to change what it is shown; only a mask says that it is to start from it."""
        chosen = spec or self._parts.models.slot.selected
        return bool(wishes.image) and not wishes.mask and chosen is not None and edits_references(chosen)

    def _find_upscaler(self, name: str | None) -> UpscalerSpec | None:
        """The named upscaler; ``None`` for the selected one. Where none is, the first that there is."""
        upscalers = self._parts.models.upscalers
        names = [file.name for file in self._parts.models.library.files("esrgan")]
        if name is None and upscalers.selected is not None:
            return None
        if not names:
            raise NoUpscalerLoaded("There is no upscaler here: put an ESRGAN model into models/esrgan")
        try:
            return upscalers.build_spec(name or names[0])
        except ModelNotFound as error:
            raise _offer(error, names) from None

    def _usual_size(self, field: str, picture: str, spec: LoadSpec | None) -> dict[str, int]:
        """The size of the given picture's proportions that the model draws well; nothing where no model is known."""
        chosen = spec or self._parts.models.slot.selected
        if chosen is None:
            return {}
        usual = self._submission.intake.usual(ImageParams, "img2img", chosen)
        given = measure_picture(field, decode_base64(field, picture))
        width, height = fit_size(given, (usual.width, usual.height), self._parts.config.limits.side)
        return {"width": width, "height": height}


def _offer(error: ModelNotFound, names: Sequence[str]) -> ModelNotFound:
    """``error`` with names that could be meant."""
    nearest = error.detail.get("nearest") or list(names[:_OFFERED])
    return ModelNotFound(error.message, **{**error.detail, "nearest": nearest})


@contextlib.contextmanager
def _in_tool_words() -> Iterator[None]:
    """Refusals of the block, with the field called as in the tool."""
    try:
        yield
    except InvalidRequest as error:
        role = str(error.detail.get("field") or "")
        field = to_argument(role)
        if field == role:
            raise
        raise type(error)(error.message.replace(role, field, 1), **{**error.detail, "field": field}) from None
