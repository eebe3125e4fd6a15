"""The real client of OpenAI, and pictures to send with it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from openai import OpenAI
from PIL import Image

from tests.routes.conftest import PATIENCE_SECONDS, House, ServedHouse, make_config


@pytest.fixture(scope="module")
def shared_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHouse]:
    """One server for the tests of a module that only draw and look."""
    served = ServedHouse(House(make_config(tmp_path_factory.mktemp("openai"))))
    yield served.start()
    served.stop()


@pytest.fixture
def ai(shared_served: ServedHouse) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{shared_served.url}/v1", api_key="none", max_retries=0, timeout=PATIENCE_SECONDS) as client:
        yield client


@pytest.fixture
def picture() -> Callable[..., bytes]:
    def make(width: int = 64, height: int = 64, colour: object = "red", form: str = "PNG") -> bytes:
        buffer = io.BytesIO()
        Image.new("RGBA" if isinstance(colour, tuple) and len(colour) == 4 else "RGB", (width, height), colour).save(
            buffer, form
        )
        return buffer.getvalue()

    return make


def opened(text: str | None) -> Image.Image:
    """A picture that came as base64."""
    assert text
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


def output_files(served: ServedHouse) -> list[Path]:
    return sorted(Path(served.runtime.config.paths.output_dir).glob("*/image_0.png"))
