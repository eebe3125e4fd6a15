"""Checks what only pictures have: hires fix, ControlNet, PhotoMaker, reference pictures, upscaling, and whether the
model must be able to read pictures for them.

Brings a request, whose numbers are in their bounds, to what can be drawn, with warnings, or refuses it. Nothing that is
known to end the library's process goes past it. It must not know the queue, nor decode a picture.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core import architectures
from sdcpp_rest.core.architectures import Architecture
from sdcpp_rest.core.family_fields import Traits, why_idle
from sdcpp_rest.core.load_spec import FileRef, LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import SMALLEST_SIDE, ImageParams
from sdcpp_rest.core.sampling import HIRES_UPSCALERS
from sdcpp_rest.engine.protocol import Ready, gpu_backend
from sdcpp_rest.errors import InvalidRequest, ModelNotFound, NoUpscalerLoaded
from sdcpp_rest.services.dispatch.upscaler_slot import UpscalerSlot, check_upscaler
from sdcpp_rest.services.model_headers import autoencoders
from sdcpp_rest.services.model_headers.inspection import NotAModel
from sdcpp_rest.services.models.fit_needs import memory_needed
from sdcpp_rest.services.models.load_checks import embedding_fault
from sdcpp_rest.services.models.lora_checks import with_loras
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.submission import photo_maker
from sdcpp_rest.services.submission.submission_checks import (
    cache_warnings,
    check_steps_of,
    check_work,
    step_count,
)
from sdcpp_rest.services.submission.wording_notes import wording_notes

# Between the passes of the hires fix these work on pixels: the picture is decoded, enlarged and encoded again.
_PIXEL_UPSCALERS = frozenset({"Lanczos", "Nearest", "Model"})
# Below it the weights decide, and those were loaded.
_USUAL_PIXELS = 1024 * 1024
_ESTIMATE_MARGIN = 1.25
_LAST_SEED = 2**63 - 1
_GIB = 1 << 30
_EMBEDDING = re.compile(r"\bembedding:\s*([\w.+-]+)", re.IGNORECASE)


@dataclass(frozen=True)
class CheckedPicture:
    """A request that can be drawn: with which parameters, by which load spec, from which pictures (role -> base64)."""

    params: ImageParams
    spec: LoadSpec
    images: Mapping[str, str]
    warnings: tuple[str, ...]


class PictureChecks:
    """Checks the parameters that only pictures have: hires fix, ControlNet, references, upscaling.

    ``memory`` answers the bytes of all memories together, ``None`` where nobody should care; ``ready`` is what the
    engine said of itself.
    """

    def __init__(
        self,
        limits: LimitsConfig,
        library: ModelLibrary,
        upscalers: UpscalerSlot,
        memory: Callable[[], int | None] = lambda: None,
        ready: Callable[[], Ready | None] = lambda: None,
    ) -> None:
        self._limits = limits
        self._library = library
        self._upscalers = upscalers
        self._memory = memory
        self._ready = ready

    def check(
        self,
        params: ImageParams,
        spec: LoadSpec,
        images: Mapping[str, str],
        *,
        embedding_name: str = "",
        upscaler: UpscalerSpec | None = None,
    ) -> CheckedPicture:
        """``params`` with files found for the names in it, and the spec that can draw it from ``images``.

        ``embedding_name`` is PhotoMaker's file about the face; ``upscaler`` what ``upscale`` enlarges with, the
        selected one if ``None``. Raises InvalidRequest, NoUpscalerLoaded.
        """
        _check_last_seed(params)
        family = architectures.architecture_named(spec.architecture)
        if family is not None and not family.makes_images:
            raise InvalidRequest(f"{spec.model.name} ({family.name}) makes videos, not pictures")
        warnings = [
            *_wording_warnings(params, spec),
            *wording_notes(params, family),
            *self._missing_embeddings(params, spec, family),
        ]
        images = self._references(family, images, warnings)
        self._check_control(params, spec, family, images, warnings)
        params = self._with_face(params, spec, images, embedding_name, warnings)
        params = self._with_hires(params, family, images)
        params = self._with_upscaler(params, upscaler or self._upscalers.selected)
        warnings += [*cache_warnings(params, family), *_idle_warnings(params, family)]
        if "init_image" in images and int(params.steps * params.strength) < 1 and not params.custom_sigmas:
            warnings.append("steps x strength is less than one step: the picture will be flat, or as it was.")
        self._check_work(params)
        spec = with_loras(spec, params.loras, warnings)
        if _reads_pictures(params, images):
            spec = autoencoders.with_encoder(spec, warnings)
        self._check_memory(params, spec, warnings)
        return CheckedPicture(params, spec, images, tuple(warnings))

    def _check_work(self, params: ImageParams) -> None:
        work = params.width * params.height * step_count(params)
        words = "width x height x steps x batch_count"
        if params.hires:
            width, height = params.picture_size
            work += width * height * (params.hires_steps or step_count(params))
            words += " (with the hires fix)"
        check_work(work * params.batch_count, words, self._limits)

    def _check_memory(self, params: ImageParams, spec: LoadSpec, warnings: list[str]) -> None:
        width, height = params.picture_size
        memory = self._memory() if width * height > _USUAL_PIXELS else None
        if memory is None:
            return
        options = spec.options.model_copy(update={"vae_tiling": params.vae_tiling})
        has_gpu = gpu_backend(self._ready()) is not None
        try:
            needed = memory_needed(spec.model_copy(update={"options": options}), width, height, has_gpu=has_gpu)
        except NotAModel:
            return
        hint = "" if params.vae_tiling else "; vae_tiling takes less"
        text = (
            f"{width}x{height} takes about {needed / _GIB:.1f} GiB with {spec.model.name}, and all memory of this "
            f"machine is {memory / _GIB:.1f} GiB{hint}"
        )
        # It is an estimate: what is a little too much may still go.
        if needed > memory * _ESTIMATE_MARGIN:
            raise InvalidRequest(text, field="hires_scale" if params.hires else "width", value=needed, allowed=memory)
        if needed > memory:
            warnings.append(f"{text}.")

    def _missing_embeddings(self, params: ImageParams, spec: LoadSpec, family: Architecture | None) -> list[str]:
        """About embeddings that the prompt names and that were not loaded with the model."""
        if family is None or family.is_flow:
            return []
        text = f"{params.prompt}\n{params.negative_prompt}".casefold()
        loaded = {file.path for file in spec.embeddings}
        found = []
        for file in self._library.files("embedding"):
            stem = re.escape(file.name.rpartition("/")[2].rpartition(".")[0].casefold())
            if file.path not in loaded and re.search(rf"(?<!\w){stem}(?!\w)", text):
                why = embedding_fault(file, family) or f"{file.name} was not loaded with {spec.model.name}"
                found.append(f"{why}; its name in the prompt is read as words.")
        return found

    # --- pictures besides the prompt --------------------------------------------------------------------------------

    def _references(
        self, family: Architecture | None, images: Mapping[str, str], warnings: list[str]
    ) -> Mapping[str, str]:
        given = [role for role in images if role.startswith("ref_images.")]
        if family is None:
            return images
        if given and (reason := why_idle("ref_images", Traits(family))):
            warnings.append(reason)
            return {role: image for role, image in images.items() if role not in given}
        if not given and family.id.endswith("_pix2pix"):
            warnings.append(f"{family.name} edits the picture in ref_images, and there is none.")
        if family.id.endswith(("_inpaint", "_fill")) and not {"init_image", "mask_image"} <= images.keys():
            warnings.append(f"{family.name} is made to fill the masked part of an init image; one of them is missing.")
        return images

    def _check_control(
        self,
        params: ImageParams,
        spec: LoadSpec,
        family: Architecture | None,
        images: Mapping[str, str],
        warnings: list[str],
    ) -> None:
        if "control_image" not in images:
            if params.preprocess:
                warnings.append("preprocess has no effect without a control image.")
            return
        if family is not None and family.id == "flux_control":
            return
        if reason := why_idle("control_image_base64", Traits(family)):
            raise InvalidRequest(reason, field="control_image")
        if "controlnet" not in spec.components:
            raise InvalidRequest(
                f"control_image needs a ControlNet, and {spec.model.name} was loaded without one; load it again with "
                '"controlnet": "<name>" (GET /models?type=controlnet lists them)',
                field="control_image",
            )

    def _with_face(
        self,
        params: ImageParams,
        spec: LoadSpec,
        images: Mapping[str, str],
        embedding_name: str,
        warnings: list[str],
    ) -> ImageParams:
        faces = sum(1 for role in images if role.startswith("pm_id_images."))
        if "photo_maker" not in spec.components:
            if faces or embedding_name:
                field = "pm_id_images" if faces else "pm_id_embed_path"
                raise InvalidRequest(
                    f"{field} needs a PhotoMaker model, and {spec.model.name} was loaded without one; load it again "
                    'with "photo_maker": "<name>"',
                    field=field,
                )
            return params
        if not faces:
            raise InvalidRequest(
                f"pm_id_images is required: {spec.model.name} was loaded with a PhotoMaker model, which cannot draw "
                "without pictures of a face; load it without one for other pictures",
                field="pm_id_images",
            )
        photo_maker.check_trigger(params.prompt)
        if not photo_maker.is_second_version(spec):
            if embedding_name:
                warnings.append("pm_id_embed_path was ignored: only PhotoMaker v2 reads one.")
            return params
        if not embedding_name:
            raise InvalidRequest(
                "pm_id_embed_path is required: PhotoMaker v2 needs the file about the face besides its pictures",
                field="pm_id_embed_path",
            )
        file = photo_maker.find_embedding(self._library, embedding_name, spec)
        photo_maker.check_embedding(file, faces)
        return params.model_copy(update={"pm_id_embed": file})

    # --- larger pictures --------------------------------------------------------------------------------------------

    def _with_hires(self, params: ImageParams, family: Architecture | None, images: Mapping[str, str]) -> ImageParams:
        if not params.hires:
            return params
        if reason := why_idle("hires", Traits(family)):
            raise InvalidRequest(reason, field="hires")
        if "control_image" in images:
            raise InvalidRequest("hires: the hires fix does not work together with a control image", field="hires")
        params = params.model_copy(update={**self._hires_upscaler(params.hires_upscaler), **_hires_size(params)})
        side = max(params.picture_size)
        if not SMALLEST_SIDE <= side <= self._limits.side:
            name = "hires_width" if params.hires_width else "hires_scale"
            size = "{}x{}".format(*params.picture_size)
            raise InvalidRequest(
                f"{name} makes the picture {size}; sides of {SMALLEST_SIDE} to {self._limits.side} pixels are allowed "
                "(limits.side)",
                field=name,
                value=size,
            )
        # The library makes a schedule this long, and goes through the last part of it.
        scheduled = int((params.hires_steps or _fewest_repeated(params, images)) / params.hires_denoising_strength)
        check_steps_of(params.scheduler, scheduled, "hires_steps")
        return params

    def _hires_upscaler(self, name: str) -> dict[str, str | FileRef | None]:
        known = {one.casefold(): one for one in HIRES_UPSCALERS if one != "Model"}
        if name.casefold() in known:
            return {"hires_upscaler": known[name.casefold()], "hires_model": None}
        try:
            file = self._library.find("esrgan", name)
        except (ModelNotFound, InvalidRequest) as error:
            nearest = error.detail.get("nearest") or error.detail.get("candidates") or []
            raise InvalidRequest(
                f"hires_upscaler must be one of {', '.join(known.values())}, or the name of an ESRGAN model, "
                f"got {name[:100]!r}" + (f"; did you mean {', '.join(nearest[:3])}?" if nearest else ""),
                field="hires_upscaler",
                value=name[:100],
            ) from None
        reference = FileRef(name=file.name, path=file.path)
        try:
            check_upscaler(reference)
        except NotAModel as error:
            raise NotAModel(f"hires_upscaler: {error.message}", field="hires_upscaler", value=file.name) from None
        return {"hires_upscaler": "Model", "hires_model": reference}

    def _with_upscaler(self, params: ImageParams, chosen: UpscalerSpec | None) -> ImageParams:
        if not params.upscale:
            return params
        if chosen is None:
            raise NoUpscalerLoaded("No upscaler loaded; load one with POST /upscaler/load", field="upscale")
        ready = self._upscalers.ready if self._upscalers.resident == chosen else None
        factor = ready.factor if ready else autoencoders.upscale_factor(chosen.model)
        times = factor**params.upscale_repeats
        width, height = (side * times for side in params.picture_size)
        largest = self._limits.upscaled_side
        if max(width, height) > largest:
            raise InvalidRequest(
                f"upscale makes the picture {width}x{height}; at most {largest} pixels a side are allowed "
                "(limits.upscaled_side)",
                field="upscale_repeats",
                value=params.upscale_repeats,
            )
        if width * height * params.batch_count > largest * largest:
            raise InvalidRequest(
                f"upscale makes {params.batch_count} pictures of {width}x{height}; at most {largest}x{largest} pixels "
                "in all are allowed (limits.upscaled_side)",
                field="batch_count",
                value=params.batch_count,
            )
        return params.model_copy(update={"upscaler": chosen})


def _check_last_seed(params: ImageParams) -> None:
    """Picture k has the seed + k, and the library's seeds end: the ones beyond could not be asked for again."""
    highest = _LAST_SEED - params.batch_count + 1
    if params.seed > highest:
        raise InvalidRequest(
            f"seed must be at most {highest}, since {params.batch_count} pictures count up from it; got {params.seed}",
            field="seed",
            value=params.seed,
            allowed=f"at most {highest}",
        )


def _hires_size(params: ImageParams) -> dict[str, int]:
    """Both sides where one was given: the other in proportion. The library would make the picture a square."""
    width, height = params.hires_width, params.hires_height
    if bool(width) == bool(height):
        return {}
    if width:
        return {"hires_height": max(1, round(params.height * width / params.width))}
    return {"hires_width": max(1, round(params.width * height / params.height))}


def _fewest_repeated(params: ImageParams, images: Mapping[str, str]) -> int:
    """As few steps as the library may repeat in the second pass when its own are left open: a picture to start from
    leaves the first ones out."""
    steps = min(params.steps, len(params.custom_sigmas) - 1) if params.custom_sigmas else params.steps
    if "init_image" in images and params.strength < 1:
        steps = int(steps * params.strength)
    return max(1, steps)


def _reads_pictures(params: ImageParams, images: Mapping[str, str]) -> bool:
    """Whether the library encodes a picture for this. Families that cannot draw without reading one (Pix2Pix, Flux
    Control) are not meant: it loads those with their encoder whatever was asked for."""
    if "init_image" in images or any(role.startswith("ref_images.") for role in images):
        return True
    return params.hires and params.hires_upscaler in _PIXEL_UPSCALERS


def _wording_warnings(params: ImageParams, spec: LoadSpec) -> list[str]:
    """About embeddings in another program's spelling."""
    known = {file.name.rpartition("/")[2].rpartition(".")[0].casefold() for file in spec.embeddings}
    found = dict.fromkeys(_EMBEDDING.findall(f"{params.prompt}\n{params.negative_prompt}"))
    return [
        f"'embedding:{name}' is read as words: write the embedding's bare name"
        + ("." if name.casefold() in known else ", and load it with the model.")
        for name in found
    ]


def _idle_warnings(params: ImageParams, family: Architecture | None) -> list[str]:
    if family is None:
        return []
    changed = [name for name in ("shifted_timestep", "slg_scale") if getattr(params, name)]
    return [reason for name in changed if (reason := why_idle(name, Traits(family)))]
