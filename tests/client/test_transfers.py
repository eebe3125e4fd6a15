"""Model files go up from the disk, outputs come down to it, and what the assistant says comes as it is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sdcpp_rest.client import ApiError, Client, Conflict, ConnectionFailed, InvalidRequest, NotFound, model_upload
from tests.client.conftest import MakeClient
from tests.model_files import safetensors_bytes, write
from tests.routes.conftest import ServedHouse
from tests.servers.fault_server import FaultServer
from tests.servers.language_model import Said
from tests.servers.ollama_server import OllamaServer
from tests.services.pictures.metadata import made_files as made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "here" / "style ä,1.safetensors", safetensors_bytes({"a.weight": (64, 64)}))


def test_upload_is_read_piece_by_piece(
    client: Client, served: ServedHouse, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_upload, "PIECE_BYTES", 1000)
    told: list[tuple[int, int]] = []
    size = file.stat().st_size
    shown = client.upload_model(file, "vae", subfolder="sub", report=lambda sent, whole: told.append((sent, whole)))
    assert shown["model_name"] == f"sub/{file.name}"
    assert shown["size_bytes"] == size
    assert (served.runtime.config.paths.models_dir / "vae" / "sub" / file.name).read_bytes() == file.read_bytes()
    assert [sent for sent, _ in told] == [*range(1000, size, 1000), size]
    assert file.name in client.hash_model("vae", f"sub/{file.name}")["model_name"]


def test_upload_of_a_file_that_changes_meanwhile_is_given_up(
    client: Client, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_upload, "PIECE_BYTES", 1000)
    with pytest.raises(OSError, match="has changed while it was read"):
        client.upload_model(file, "vae", report=lambda sent, whole: file.write_bytes(b""))
    assert client.list_models(type="vae", name="style")["vae"] == []


def test_upload_that_is_refused_says_why(client: Client, file: Path, tmp_path: Path) -> None:
    client.upload_model(file, "vae", name="a.safetensors")
    with pytest.raises(Conflict, match=r"a\.safetensors"):
        client.upload_model(file, "vae", name="a.safetensors")
    client.upload_model(file, "vae", name="a.safetensors", overwrite=True)
    with pytest.raises(InvalidRequest, match="type"):
        client.upload_model(file, "nonsense")
    with pytest.raises(FileNotFoundError):
        client.upload_model(tmp_path / "nothing", "vae")


def test_output_is_saved_as_a_file_or_into_a_folder(client: Client, tmp_path: Path) -> None:
    done = client.txt2img(prompt="a red circle", steps=2, width=64, height=64).result()
    content = client.read_output(done.outputs[0])
    assert client.save_output(done.outputs[0], tmp_path) == tmp_path / "image_0.png"
    assert client.save_output(done.outputs[0], str(tmp_path / "x.png")) == tmp_path / "x.png"
    assert [path.read_bytes() for path in sorted(tmp_path.glob("*.png"))] == [content, content]
    assert client.list_outputs(done.id)["file_count"] == 2
    assert client.list_outputs(sort="name")["folder_count"] == 1
    assert client.read_thumbnail(done.outputs[0]).startswith(b"\xff\xd8")
    assert client.read_thumbnail(done.outputs[0], size="256", fit="inside").startswith(b"\xff\xd8")
    with pytest.raises(NotFound):
        client.save_output(f"{done.id}/nothing.png", tmp_path / "nothing.png")
    assert not list(tmp_path.glob("*nothing*"))


def test_download_that_breaks_off_leaves_no_half_file(make_client: MakeClient, tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise httpx.ReadError("gone")

    class Both(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return broken()

        async def __aiter__(self) -> Any:
            for piece in broken():
                yield piece

    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Both()))
    (tmp_path / "x.png").write_bytes(b"old")
    with pytest.raises(ConnectionFailed, match="it has closed the connection"):
        make_client("http://elsewhere:80", transport=transport).save_output("a/x.png", tmp_path / "x.png")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_model_is_downloaded_as_a_job(
    make_served: Callable[..., ServedHouse], make_client: MakeClient, web: FaultServer, file: Path
) -> None:
    web.add("/style.safetensors", file.read_bytes())
    served = make_served(downloads={"allow_private_hosts": ["127.0.0.1"]})
    client = make_client(served.url)
    job = client.download_model(url=f"{web.url}/style.safetensors", model_type="lora")
    assert job.result().shown["type"] == "model_download"
    assert client.job(job.answer["hash_job_id"]).result().shown["status"] == "completed"
    assert "style.safetensors" in [one["name"] for one in client.list_models(type="lora")["loras"]]


@pytest.fixture
def assistant(
    make_served: Callable[..., ServedHouse], make_client: MakeClient
) -> Iterator[tuple[Client, OllamaServer]]:
    with OllamaServer() as server:
        server.says = [Said(["I see ", "a circle."])]
        yield make_client(make_served(assistant={"base_url": server.url}).url), server


def test_chat_comes_as_it_is_said(assistant: tuple[Client, OllamaServer]) -> None:
    client, _ = assistant
    *pieces, last = client.stream_chat("What do you see?")
    assert "".join(piece.text for piece in pieces) == "I see a circle."
    assert last.answer is not None
    assert last.answer["message"] == "I see a circle."
    assert client.show_conversation()["count"] == 2


def test_chat_that_cannot_begin_is_refused(assistant: tuple[Client, OllamaServer]) -> None:
    client, _ = assistant
    with pytest.raises(InvalidRequest, match="message must not be blank"):
        next(client.stream_chat(" "))


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ('event: error\ndata: {"error": "it is tired", "code": "llm_failed"}\n\n', ApiError, "it is tired"),
        ('event: delta\ndata: {"text": "I s"}\n\n', ConnectionFailed, "broke off before its end"),
    ],
)
def test_chat_that_ends_midway_is_an_error(
    answering: Callable[[httpx.Response], Client], text: str, kind: type[Exception], message: str
) -> None:
    client = answering(httpx.Response(200, headers={"Content-Type": "text/event-stream"}, text=text))
    with pytest.raises(kind, match=message):
        list(client.stream_chat("x"))


def test_picture_is_read_from_the_disk(client: Client, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(made.png({"parameters": "a fox\nSteps: 3, Seed: 4, Size: 64x64"}))
    told = client.read_metadata(picture)
    assert (told["tool"], told["fields"]["seed"]) == ("a1111", 4)
    assert told["submit"] is not None
    assert client.txt2img(**told["submit"]["body"]).id
    picture.write_bytes(b"nothing")
    with pytest.raises(InvalidRequest, match="PNG"):
        client.read_metadata(picture)
