"""Pictures as this dialect's clients send and get them."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

from PIL import Image

SMALL = {"width": 16, "height": 16, "steps": 2}


def sent(picture: Image.Image, form: str = "PNG") -> str:
    buffer = io.BytesIO()
    picture.save(buffer, form)
    return base64.b64encode(buffer.getvalue()).decode()


def plain(colour: Any = "red", size: tuple[int, int] = (16, 16)) -> str:
    return sent(Image.new("RGB", size, colour))


def mask(box: tuple[int, int, int, int], size: tuple[int, int] = (16, 16)) -> str:
    picture = Image.new("L", size, 0)
    picture.paste(255, box)
    return sent(picture)


def got(text: str) -> Image.Image:
    assert not text.startswith("data:")
    picture = Image.open(io.BytesIO(base64.b64decode(text, validate=True)))
    picture.load()
    return picture


def told(body: dict[str, Any]) -> dict[str, Any]:
    assert isinstance(body["info"], str)
    return dict(json.loads(body["info"]))
