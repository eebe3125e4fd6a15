"""Tells what a file's settings are worth here: which values are allowed, which files are meant, and what can be
submitted to draw the same again.

Nothing is refused: what cannot be used is left out of the fields, and said. Reading the file itself is
`services.pictures.metadata`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.catalog import ModelType
from sdcpp_rest.core.params import ImageParams, SamplingParams, VideoParams
from sdcpp_rest.core.prompts import lora_tag
from sdcpp_rest.core.sampling import HIRES_UPSCALERS, SAMPLERS, SCHEDULERS
from sdcpp_rest.errors import InvalidRequest, PayloadTooLarge
from sdcpp_rest.services.models.foreign_names import ForeignMatch, ForeignNames
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.pictures.metadata.found_settings import FoundLora, FoundSettings, Kind, Tool
from sdcpp_rest.services.pictures.metadata.reading import read_file
from sdcpp_rest.services.submission.job_defaults import field_reader
from sdcpp_rest.services.submission.model_choice import PICTURE_MODELS
from sdcpp_rest.services.submission.submission_checks import FOUND_HERE, check_field

MOST_BYTES = 64 * 1024 * 1024
"""Of a file."""

_VAES: tuple[ModelType, ...] = ("vae", "taesd")
_PARAMS: dict[Kind, type[SamplingParams]] = {"txt2img": ImageParams, "img2img": ImageParams, "txt2vid": VideoParams}
_NO_FIELDS = FOUND_HERE | {"original_prompt", "original_negative_prompt", "batch_count", "upscale"}
_NEED_PICTURES = frozenset(
    {
        *("control_strength", "preprocess", "auto_resize_ref_image", "increase_ref_index", "pm_style_strength"),
        *("vace_strength",),
    }
)
_NAMES = {
    "sampler": SAMPLERS,
    "scheduler": SCHEDULERS,
    "high_noise_sampler": ("", *SAMPLERS),
    "high_noise_scheduler": ("", *SCHEDULERS),
}
_SHOWN_CHARACTERS = 80
Matches = list[tuple[FoundLora, ForeignMatch | None]]


@dataclass(frozen=True)
class Submittable:
    """What can be posted to the route of its kind. ``needs`` are fields that no file tells: pictures to start from."""

    kind: Kind
    body: dict[str, Any]
    needs: tuple[str, ...] = ()


@dataclass
class ToldSettings:
    """What a file says, in our words. ``matches``: our files that it names, ``fields`` and ``unmapped``: its values by
    our names and by the tool's, ``raw``: its texts."""

    tool: Tool
    format: str
    fields: dict[str, Any]
    unmapped: dict[str, Any]
    raw: dict[str, str]
    model: ForeignMatch | None = None
    vae: ForeignMatch | None = None
    loras: Matches = field(default_factory=list)
    submit: Submittable | None = None
    notes: list[str] = field(default_factory=list)


class PictureMetadata:
    """Reads the settings out of files. Thread-safe."""

    def __init__(self, limits: LimitsConfig, library: ModelLibrary, hashes: ModelHashes) -> None:
        self._limits = limits
        self._library = library
        self._hashes = hashes

    def read(self, file: bytes) -> ToldSettings:
        """What a picture or video file says. Raises InvalidRequest for what is no such file, PayloadTooLarge."""
        if len(file) > MOST_BYTES:
            raise PayloadTooLarge(f"file has {len(file)} bytes; at most {MOST_BYTES} are read", limit=MOST_BYTES)
        read = read_file(file)
        if read is None:
            raise InvalidRequest(
                "file must be a PNG, JPEG, WebP, AVIF, MP4 or WebM file; its first bytes are those of none"
                if file
                else "file is empty; a PNG, JPEG, WebP, AVIF, MP4 or WebM file is expected",
                field="file",
            )
        found, names = read.found, ForeignNames(self._library, self._hashes)
        told = ToldSettings(found.tool, read.file.kind, {}, found.unmapped, read.file.texts, notes=found.notes)
        told.fields = self._keep_allowed(found, names)
        told.loras = [(lora, names.find(("lora",), lora.name, lora.hash)) for lora in found.loras]
        told.model = names.find(PICTURE_MODELS, found.model.name, found.model.hash)
        told.vae = names.find(_VAES, found.vae.name, found.vae.hash)
        if told.fields or told.loras:
            told.submit = self._submittable(found, told)
        told.fields |= _describe_files(found)
        return told

    def _keep_allowed(self, found: FoundSettings, names: ForeignNames) -> dict[str, Any]:
        """The values that are allowed here, as JSON has them; the others go among what has no name here."""
        kind = _PARAMS[found.kind]
        allowed: dict[str, Any] = {}
        for name, value in found.values.items():
            try:
                checked = self._check(kind, name, value, names)
            except InvalidRequest as error:
                found.keep(name, value)
                found.note(f"{error.message}; it was left out.")
            else:
                allowed[name] = checked
        return allowed

    def _check(self, kind: type[SamplingParams], name: str, value: Any, names: ForeignNames) -> Any:
        """A value as its field takes it. Raises InvalidRequest."""
        if name not in kind.model_fields or name in _NO_FIELDS:
            raise InvalidRequest(f"{name[:_SHOWN_CHARACTERS]} is no setting that a file can tell")
        is_switch = kind.model_fields[name].annotation is bool
        try:
            if isinstance(value, bool) and not is_switch:
                raise InvalidRequest(f"{name} must not be {str(value).lower()}")
            read = field_reader(kind, name).validate_python(value)
        except ValidationError as error:
            shown = repr(value)[:_SHOWN_CHARACTERS]
            raise InvalidRequest(f"{name}: {shown} is not read: {error.errors()[0]['msg']}") from None
        if name in _NAMES and read not in _NAMES[name]:
            raise InvalidRequest(f"{name}: {read[:_SHOWN_CHARACTERS]!r} is not known here")
        if name == "seed" and read < 0:
            raise InvalidRequest(f"seed: {read} is not the seed of a picture")
        if name == "hires_upscaler":
            return _find_upscaler(read, names)
        check_field(kind, name, read, self._limits)
        shown = field_reader(kind, name).dump_python(read, mode="json")
        return {key: one for key, one in shown.items() if one is not None} if isinstance(shown, dict) else shown

    def _submittable(self, found: FoundSettings, told: ToldSettings) -> Submittable:
        left_out = _NEED_PICTURES | (frozenset() if found.kind == "img2img" else {"strength"})
        body = {name: value for name, value in told.fields.items() if name not in left_out}
        body["prompt"] = self._with_tags(str(told.fields.get("prompt", "")), told.loras, found.note)
        return Submittable(found.kind, body, ("init_image_base64",) if found.kind == "img2img" else ())

    def _with_tags(self, prompt: str, loras: Matches, note: Callable[[str], None]) -> str:
        """``prompt`` with the LoRAs that are here; about the others a ``note`` is made."""
        words = [prompt] if prompt else []
        for lora, match in loras:
            shown = lora.name[:_SHOWN_CHARACTERS]
            if match is None:
                note(f"The LoRA {shown!r} is not here; it is not in what can be submitted.")
                continue
            try:
                words.append(lora_tag(match.name, lora.weight, is_high_noise=lora.is_high_noise))
            except ValueError:
                note(f"The LoRA {shown!r} cannot be named in a prompt.")
        whole = " ".join(words)
        try:
            check_field(SamplingParams, "prompt", whole, self._limits)
        except InvalidRequest:
            note("The prompt would be too long with its LoRAs; they are not in what can be submitted.")
            return prompt
        return whole


def _find_upscaler(name: str, names: ForeignNames) -> str:
    known = {one.casefold(): one for one in HIRES_UPSCALERS if one != "Model"}
    match = names.find(("esrgan",), name)
    if name.casefold() in known or match is None:
        if name.casefold() not in known:
            raise InvalidRequest(f"hires_upscaler: {name[:_SHOWN_CHARACTERS]!r} is not here")
        return known[name.casefold()]
    return match.name


def _describe_files(found: FoundSettings) -> dict[str, Any]:
    """The files that were named, as fields."""
    told: dict[str, Any] = {}
    if found.loras:
        told["loras"] = [
            {"name": lora.name, "weight": lora.weight, **({"hash": lora.hash} if lora.hash else {})}
            for lora in found.loras
        ]
    if found.vae.name:
        told["vae"] = found.vae.name
    if found.model.name or found.model.hash:
        told["model"] = {"name": found.model.name, "hash": found.model.hash}
    return told
