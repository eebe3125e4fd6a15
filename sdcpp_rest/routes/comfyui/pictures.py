"""Takes uploaded pictures and masks, and sends pictures to clients, whole, smaller or one channel of them."""

from __future__ import annotations

import io
import json
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from sdcpp_rest.errors import InvalidRequest, NotFound
from sdcpp_rest.routes.comfyui.surroundings import read_annotated
from sdcpp_rest.routes.http.multipart import FormFile, parts_of
from sdcpp_rest.services.pictures.input_images import load_picture
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.services.pictures.picture_formats import encode
from sdcpp_rest.services.pictures.uploaded_pictures import UploadedPictures

_TYPES = ("input", "temp")
_USUAL_QUALITY = 90
_PREVIEWS = {"webp": "webp", "jpeg": "jpeg", "jpg": "jpeg"}
_LOSSLESS = frozenset({".png", ".webp", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".avif"})


@dataclass(frozen=True)
class Upload:
    """A form with a picture, read."""

    name: str
    picture_file: bytes
    fields: Mapping[str, str]

    @property
    def type(self) -> str:
        return self.fields.get("type") or "input"

    @property
    def subfolder(self) -> str:
        return self.fields.get("subfolder") or ""

    @property
    def overwrites(self) -> bool:
        return (self.fields.get("overwrite") or "").lower() in ("true", "1")


def read_upload(raw: bytes, content_type: str) -> Upload:
    """The picture of a form and the fields beside it. Raises InvalidRequest."""
    name, picture_file, fields = "", b"", {}
    for part in parts_of(io.BytesIO(raw), content_type):
        if not isinstance(part, FormFile):
            fields[part.name] = part.value
        elif part.name == "image":
            name, picture_file = part.filename, b"".join(part.chunks)
    if not name:
        raise InvalidRequest("image is required: a file of a multipart/form-data form", field="image")
    upload = Upload(name, picture_file, fields)
    if upload.type not in _TYPES:
        raise InvalidRequest(f"type must be one of {', '.join(_TYPES)}, got {upload.type[:40]!r}", field="type")
    return upload


def store_picture(uploaded: UploadedPictures, upload: Upload) -> dict[str, str]:
    """Keep an uploaded picture; tells where it is. Raises InvalidRequest, UploadNotStored."""
    name = uploaded.save(upload.subfolder, upload.name, upload.picture_file, overwrite=upload.overwrites)
    return {"name": name, "subfolder": upload.subfolder, "type": upload.type}


def store_mask(uploaded: UploadedPictures, outputs: Outputs, upload: Upload) -> dict[str, str]:
    """Keep a picture with the transparency of the one that is uploaded. Raises InvalidRequest, NotFound,
    UploadNotStored."""
    try:
        original = json.loads(upload.fields.get("original_ref") or "null")
    except (ValueError, RecursionError):
        original = None
    if not isinstance(original, dict) or not isinstance(original.get("filename"), str):
        raise InvalidRequest("original_ref must be JSON with filename, subfolder and type", field="original_ref")
    place = {name: str(original.get(name) or "") for name in ("filename", "subfolder", "type")}
    path = find_picture(uploaded, outputs, place["filename"], place["subfolder"], place["type"] or "output")
    picture = load_picture("original_ref", path.read_bytes()).convert("RGBA")
    mask = load_picture("image", upload.picture_file).convert("RGBA").getchannel("A")
    picture.putalpha(mask if mask.size == picture.size else mask.resize(picture.size))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=4)
    name = Path(upload.name).with_suffix(".png").name
    name = uploaded.save(upload.subfolder, name, buffer.getvalue(), overwrite=upload.overwrites)
    return {"name": name, "subfolder": upload.subfolder, "type": upload.type}


def find_picture(uploaded: UploadedPictures, outputs: Outputs, filename: str, subfolder: str, type: str) -> Path:
    """The file of a picture: of an upload, or of a job. Raises InvalidRequest, NotFound."""
    name, annotated = read_annotated(filename)
    place = annotated if annotated != "input" or filename != name else type
    if place not in ("output", *_TYPES):
        raise InvalidRequest(f"type must be output, temp or input, got {type[:40]!r}", field="type")
    relative = f"{subfolder.strip('/')}/{name}" if subfolder.strip("/") else name
    if place == "input":
        return uploaded.path_of(relative)
    # What PreviewImage shows is kept like everything else; what was uploaded as temp lies with the uploads.
    try:
        path = outputs.path_of(relative)
    except NotFound:
        if place == "temp":
            return uploaded.path_of(relative)
        raise
    if not path.is_file():
        raise NotFound(f"Not found: {relative[:100]}")
    return path


@dataclass(frozen=True)
class Wanted:
    """How a picture is wanted: in which format and quality (empty: as it is), and what of it."""

    form: str = ""
    quality: int = _USUAL_QUALITY
    channel: str = "rgba"


def read_wanted(preview: str | None, channel: str) -> Wanted:
    """What ``preview`` (``webp;90``) and ``channel`` say. Raises InvalidRequest."""
    if channel not in ("rgba", "rgb", "a"):
        raise InvalidRequest(f"channel must be rgba, rgb or a, got {channel[:40]!r}", field="channel")
    if not preview:
        return Wanted(channel=channel)
    form, _, quality = preview.partition(";")
    # As ComfyUI has it: a format that is none becomes WebP, and a quality that is none the usual one.
    digits = quality if quality.isascii() and quality.isdigit() and len(quality) <= 3 else str(_USUAL_QUALITY)
    return Wanted(_PREVIEWS.get(form.strip().lower(), "webp"), max(1, min(100, int(digits))), channel)


def render(path: Path, wanted: Wanted) -> tuple[bytes | None, str]:
    """A picture's file as it is wanted and its media type; no bytes where the file itself is. Raises InvalidRequest."""
    own = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if path.suffix.lower() not in _LOSSLESS or (not wanted.form and wanted.channel == "rgba"):
        return None, own
    picture: Image.Image = load_picture("filename", path.read_bytes())
    if wanted.channel == "rgb":
        picture = picture.convert("RGB")
    elif wanted.channel == "a":
        alpha = picture.convert("RGBA").getchannel("A")
        picture = Image.new("RGBA", picture.size)
        picture.putalpha(alpha)
    form = wanted.form or "png"
    return _encode(picture, form, wanted.quality), f"image/{form}"


def _encode(picture: Image.Image, form: str, quality: int) -> bytes:
    try:
        return encode(picture, form, quality, {})
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"preview: {form} does not take this picture: {error}", field="preview") from None
