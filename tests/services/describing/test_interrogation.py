from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdcpp_rest.config import InterrogateConfig, LlmConfig, OllamaConfig
from sdcpp_rest.errors import EngineUnavailable, InvalidRequest, NotSupported
from sdcpp_rest.services.describing.interrogation import INSTRUCTION, Interrogation
from sdcpp_rest.services.language.llm_connection import OpenCalls
from sdcpp_rest.services.language.llm_errors import LlmDisabled, LlmFailed, LlmTimeout, LlmUnreachable
from sdcpp_rest.services.language.llm_settings import LlmSettings
from sdcpp_rest.services.pictures import input_images
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.settings_store import SettingsStore
from tests.onnx_files import write_clip, write_wd_tagger
from tests.servers.language_model import LanguageModelServer, Said, shorten_time_limits
from tests.servers.ollama_server import OllamaServer
from tests.servers.openai_server import OpenAiServer

SERVERS: dict[Any, type[LanguageModelServer]] = {"ollama": OllamaServer, "openai": OpenAiServer}
Make = Callable[..., Interrogation]


def sent(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


RED = sent(Image.new("RGB", (30, 20), "red"))


@pytest.fixture
def lines() -> OpenCalls:
    return OpenCalls()


@pytest.fixture
def make(tmp_path: Path, lines: OpenCalls) -> Iterator[Make]:
    database = Database(tmp_path / "db")

    def made(ollama: dict[str, Any] | None = None, **fields: Any) -> Interrogation:
        nowhere = {"base_url": "http://127.0.0.1:1", **(ollama or {})}
        llm = LlmSettings(SettingsStore(database), "llm.ollama", OllamaConfig(**nowhere), LlmConfig())
        return Interrogation(InterrogateConfig(**fields), tmp_path / "models", llm, lines)

    yield made
    database.close()


@pytest.fixture(params=["ollama", "openai"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with SERVERS[request.param]() as server:
        server.models = ["llava"]
        yield server


def seeing(make: Make, server: LanguageModelServer, **fields: Any) -> Interrogation:
    api = "ollama" if isinstance(server, OllamaServer) else "openai"
    return make({"api": api, "base_url": server.url, "timeout_seconds": 20, **fields}, vision_model="llava")


# --- models in files ------------------------------------------------------------------------------------------------


def test_models_lie_in_the_models_folder(make: Make, tmp_path: Path) -> None:
    write_wd_tagger(tmp_path / "models" / "interrogate" / "tagger")
    write_clip(tmp_path / "models" / "interrogate" / "clip")
    house = make()
    assert house.tags(RED, house.style) == "red hair, >_<"
    assert house.caption(RED) == "a red wall"


def test_models_lie_where_the_configuration_says(make: Make, tmp_path: Path) -> None:
    write_wd_tagger(tmp_path / "t")
    write_clip(tmp_path / "c")
    house = make(tagger_dir=str(tmp_path / "t"), clip_dir=str(tmp_path / "c"), character_threshold=0.5)
    assert house.tags(RED, house.style) == r"red hair, >_<, ruby \(gem\)"
    assert house.caption("data:image/png;base64," + RED) == "a red wall"


def test_a_model_may_come_and_go_while_the_server_runs(make: Make, tmp_path: Path) -> None:
    house = make()
    folder = tmp_path / "models" / "interrogate" / "tagger"
    with pytest.raises(NotSupported):
        house.tags(RED, house.style)
    write_wd_tagger(folder)
    assert house.tags(RED, house.style) == "red hair, >_<"
    csv = folder / "selected_tags.csv"
    csv.write_text(csv.read_text().replace("red_hair", "rust"))
    assert house.tags(RED, house.style) == "rust, >_<"
    csv.unlink()
    with pytest.raises(NotSupported):
        house.tags(RED, house.style)


def test_what_is_transparent_counts_as_white(make: Make, tmp_path: Path) -> None:
    write_wd_tagger(tmp_path / "models" / "interrogate" / "tagger")
    house = make()
    assert house.tags(sent(Image.new("RGBA", (9, 9), (0, 0, 0, 0))), house.style).startswith("blue sky, green")


def test_a_picture_is_checked_before_anything_is_loaded(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_images, "MAX_PIXELS", 100)
    house = make()
    for image, said in (
        ("", "got nothing"),
        ("!", "not valid base64"),
        ("abcd", "not a picture"),
        (RED, "at most 100"),
    ):
        for describe in (house.caption, lambda image: house.tags(image, house.style)):
            with pytest.raises(InvalidRequest, match=said) as caught:
                describe(image)
            assert caught.value.detail["field"] == "image"


def test_a_home_folder_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert InterrogateConfig(tagger_dir="~/t").tagger_dir == str(tmp_path / "t")
    with pytest.raises(ValueError, match="home folder"):
        InterrogateConfig(clip_dir="~nobody-like-this/c")


# --- a vision model -------------------------------------------------------------------------------------------------


def test_a_vision_model_sees_the_picture(make: Make, server: Any) -> None:
    server.says = [Said(["<think>hm</think>", "A red\n", "wall."])]
    assert seeing(make, server).caption(sent(Image.new("RGB", (3000, 30), "red"))) == "A red wall."
    (body,) = server.chats
    (message,) = body["messages"]
    assert (body["model"], message["role"]) == ("llava", "user")
    if isinstance(server, OllamaServer):
        assert message["content"] == INSTRUCTION
        (text,) = message["images"]
    else:
        words, picture = message["content"]
        assert words == {"type": "text", "text": INSTRUCTION}
        assert picture["type"] == "image_url"
        head, _, text = picture["image_url"]["url"].partition(",")
        assert head == "data:image/jpeg;base64"
    seen = Image.open(io.BytesIO(base64.b64decode(text, validate=True)))
    assert (seen.format, seen.size) == ("JPEG", (1024, 10))
    red, green, blue = seen.convert("RGB").getpixel((500, 5))  # type: ignore[misc]
    assert red > 240 > 20 > max(green, blue)


def test_introductions_and_quotation_marks_are_left_out(make: Make, server: Any) -> None:
    server.says = [Said(['Here is the caption: "A red wall."'])]
    assert seeing(make, server).caption(RED) == "A red wall."


def test_a_model_that_says_nothing_or_does_not_see_has_failed(make: Make, server: Any) -> None:
    server.says = [Said(["  "])]
    with pytest.raises(LlmFailed, match="'llava' answered nothing"):
        seeing(make, server).caption(RED)
    server.fault, server.fault_text = 400, "this model does not support images"
    with pytest.raises(LlmFailed, match="does not support images"):
        seeing(make, server).caption(RED)


def test_an_endless_caption_is_cut(make: Make, server: Any) -> None:
    server.says = [Said(["red " * 5000])]
    assert len(seeing(make, server).caption(RED)) <= 4000


def test_a_server_that_is_not_there_is_told(make: Make) -> None:
    with pytest.raises(LlmUnreachable):
        make(vision_model="llava").caption(RED)
    with pytest.raises(LlmDisabled):
        make({"enabled": False}, vision_model="llava").caption(RED)


class _Dripping(OllamaServer):
    """Says something now and then, and nothing: no silence is long enough to be one."""

    def _lines(self, model: str, said: Said) -> Iterator[bytes]:
        nothing = {"model": model, "message": {"role": "assistant", "content": ""}, "done": False}
        for _ in range(300):
            yield json.dumps(nothing).encode() + b"\n"
            self.hung_up.wait(0.02)


def test_a_server_that_comes_to_no_end_does_not_hold_anybody(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_time_limits(monkeypatch)
    with _Dripping() as server:
        server.models = ["llava"]
        with pytest.raises(LlmTimeout, match="did not finish within 1 seconds"):
            seeing(make, server, timeout_seconds=1).caption(RED)


@pytest.mark.usefixtures("short_seconds")
def test_a_silent_server_does_not_hold_anybody(make: Make, lines: OpenCalls, server: Any) -> None:
    server.fault = "silent"
    with pytest.raises(LlmTimeout):
        seeing(make, server, timeout_seconds=1).caption(RED)
    lines.close()
    with pytest.raises(EngineUnavailable):
        seeing(make, server).caption(RED)
