"""Lists, describes and writes wildcards as SwarmUI's page does. What their entries mean is told elsewhere."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sdcpp_rest.errors import InvalidRequest, NotFound
from sdcpp_rest.routes.swarmui.calls import Arguments
from sdcpp_rest.routes.swarmui.model_listing import Listing, list_names_below
from sdcpp_rest.routes.swarmui.model_objects import PLACEHOLDER
from sdcpp_rest.routes.swarmui.model_types import WILDCARDS, clean_path
from sdcpp_rest.services.models.wildcards import Wildcards
from sdcpp_rest.services.pictures.input_images import decode_base64
from sdcpp_rest.services.pictures.small_pictures import shrink_file, shrink_picture

_LISTED_CHARACTERS = 512
_TAKEN_AWAY = "clear"


def list_wildcards(wildcards: Wildcards, asked: Listing) -> dict[str, Any]:
    """The answer of ListModels. Wildcards that cannot be read are left out."""
    folders, names = list_names_below(
        wildcards.names(), asked.path, asked.depth, asked.order, is_reversed=asked.is_reversed
    )
    files = []
    for name in names:
        try:
            card = wildcards.read(name)
        except (NotFound, InvalidRequest):
            continue
        picture = _picture_of(name, card.preview, as_data=asked.with_pictures)
        files.append({"name": name, "raw": card.text[:_LISTED_CHARACTERS], "image": picture})
    return {"folders": folders, "files": files}


def describe_wildcard(wildcards: Wildcards, name: str) -> dict[str, Any]:
    """The answer of DescribeModel. Raises InvalidRequest."""
    try:
        card = wildcards.read(clean_path(name))
    except NotFound:
        raise InvalidRequest("Model not found.", field="modelName") from None
    picture = _picture_of(card.name, card.preview, as_data=False)
    return {"name": card.name, "options": list(card.options), "raw": card.text, "image": picture}


def write_wildcard(wildcards: Wildcards, asked: Arguments) -> None:
    """Write the wildcard that a call of EditWildcard describes. Raises InvalidRequest, WildcardNotStored."""
    name, options, picture = asked.text("card"), asked.text("options"), asked.text("preview_image", "").strip()
    if not name.strip():
        raise InvalidRequest("Invalid empty name.", field="card")
    preview = None
    if picture == _TAKEN_AWAY:
        preview = b""
    elif picture.startswith("data:"):
        preview = shrink_picture("preview_image", decode_base64("preview_image", picture))
    elif picture and picture != PLACEHOLDER and not picture.startswith(f"/ViewSpecial/{WILDCARDS}/"):
        raise InvalidRequest("preview_image: must be a data URL, or clear", field="preview_image")
    wildcards.write(name, options, preview)


def remove_wildcard(wildcards: Wildcards, name: str) -> None:
    """Delete a wildcard. Raises InvalidRequest, WildcardNotStored."""
    if not name.strip():
        raise InvalidRequest("Invalid empty name.", field="card")
    try:
        wildcards.delete(clean_path(name))
    except NotFound:
        raise InvalidRequest("Model not found.", field="card") from None


def draw_wildcard(wildcards: Wildcards, name: str) -> bytes | None:
    """The small picture of a wildcard, if it has one."""
    try:
        preview = wildcards.read(name).preview
    except (NotFound, InvalidRequest):
        return None
    return _draw(preview) if preview is not None else None


def _picture_of(name: str, preview: Path | None, *, as_data: bool) -> str:
    if preview is None:
        return PLACEHOLDER
    if as_data:
        body = _draw(preview)
        return f"data:image/jpeg;base64,{base64.b64encode(body).decode()}" if body is not None else PLACEHOLDER
    return f"/ViewSpecial/{WILDCARDS}/{quote(name)}?editid={_changed_ns(preview) // 1_000_000}"


def _draw(preview: Path) -> bytes | None:
    try:
        status = preview.stat()
    except OSError:
        return None
    return shrink_file(str(preview), status.st_size, status.st_mtime_ns)


def _changed_ns(preview: Path) -> int:
    try:
        return preview.stat().st_mtime_ns
    except OSError:
        return 0
