"""Every call of the client, once, at a server: what it asks for is what the server understands."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from sdcpp_rest.client import (
    ApiError,
    Client,
    Conflict,
    InvalidRequest,
    NotFound,
    NotSupported,
    encode_picture,
)
from tests.client.conftest import MakeClient
from tests.routes.conftest import ServedHouse
from tests.servers.civitai_server import CivitaiServer
from tests.servers.hub_server import HubServer, Repository

DEMO = "demo_dit_q8_0.gguf"
SMALL: dict[str, Any] = {"prompt": "a red circle", "steps": 2, "width": 64, "height": 64}


def png() -> bytes:
    """A picture file of one pixel."""
    file = io.BytesIO()
    Image.new("RGB", (1, 1), "red").save(file, "PNG")
    return file.getvalue()


@pytest.mark.slow
def test_server_tells_about_itself(shared_client: Client) -> None:
    client = shared_client
    health = client.health()
    assert (health["status"], health["model_name"]) == ("ok", DEMO)
    assert client.show_index()["version"] == health["version"]
    assert "euler" in client.show_options()["samplers"]
    assert client.describe_generation()["options"]["steps"]["type"] == "number"
    assert "flash_attn" in client.describe_loading()["options"]
    assert client.show_memory()["system"]["total_bytes"] > 0
    assert "sdcpp_rest" in client.show_metrics()
    assert client.openapi()["openapi"].startswith("3.1")
    assert client.read_page("config").startswith("# ")
    with pytest.raises(NotFound):
        client.read_page("nothing")


def test_models_are_told(shared_client: Client) -> None:
    client = shared_client
    assert DEMO in [file["name"] for file in client.list_models(search="demo")["diffusion_models"]]
    assert client.inspect_model("diffusion", DEMO)["model_type"] == "diffusion"
    assert client.fit_model("diffusion", DEMO, width=64, component=["llm:demo_llm_q4_0.gguf"])["devices"]
    assert len(client.hash_model("diffusion", DEMO)["hash"]) == 64
    assert client.refresh_models()["total"] > 0
    assert client.show_model_paths()["lora"].endswith("loras")
    assert client.list_architectures()["architectures"]
    assert client.detect_architecture(DEMO, "diffusion")["type"] == "diffusion"
    assert client.list_recommended_models(memory_gb=16)["bundles"]
    assert client.show_controlnet()["loaded"] is False
    with pytest.raises(ApiError, match="nothing") as caught:
        client.inspect_model("diffusion", "nothing/at all")
    assert caught.value.code == "model_not_found"


def test_models_are_loaded_and_freed(client: Client) -> None:
    assert client.unload_model()["success"]
    loaded = client.load_model(model_name=DEMO, model_type="diffusion", options={"flash_attn": False}, timeout=20)
    assert loaded["model_name"] == DEMO
    assert client.begin_load(model_name=DEMO, model_type="diffusion")["status"] == "loading"
    with pytest.raises(ApiError) as caught:
        client.load_model(model_name="demo_dit_q8_1.gguf", model_type="diffusion")
    assert DEMO in caught.value.nearest
    with pytest.raises(ApiError):
        client.load_upscaler(model_name="nothing")
    with pytest.raises(ApiError):
        client.load_controlnet("nothing")
    client.unload_upscaler()
    assert client.unload_controlnet()["name"] is None


def test_jobs_of_every_kind_are_submitted(client: Client, served: ServedHouse, tmp_path: Path) -> None:
    (tmp_path / "pixel.png").write_bytes(png())
    picture = encode_picture(tmp_path / "pixel.png")
    assert picture == encode_picture(png()) == encode_picture(str(tmp_path / "pixel.png"))
    client.pause_queue()
    jobs = [client.img2img(init_image_base64=picture, strength=0.5, **SMALL), client.txt2img(**SMALL)]
    jobs.append(client.convert(input_path=DEMO, output_type="q4_0", output_path="made.gguf"))
    assert jobs[-1].answer["output_path"].endswith("made.gguf")
    assert [client.show_job(job.id)["type"] for job in jobs] == ["img2img", "txt2img", "convert"]
    # Not with this model, and not without an upscaler: they get as far as that.
    with pytest.raises(InvalidRequest, match="video"):
        client.txt2vid(prompt="x", video_frames=5)
    with pytest.raises(InvalidRequest) as caught:
        client.upscale(image_base64=picture)
    assert caught.value.code == "no_upscaler_loaded"
    with pytest.raises(InvalidRequest, match="steps must be") as caught:
        client.txt2img(prompt="x", steps=0)
    assert caught.value.field == "steps"


@pytest.mark.parametrize("name", ["adetailer", "show_detector", "load_detector", "unload_detector"])
def test_what_no_server_can_do_is_refused(shared_client: Client, name: str) -> None:
    with pytest.raises(NotSupported, match="ADetailer is not available"):
        getattr(shared_client, name)()


def test_queue_is_listed_and_changed(client: Client) -> None:
    assert client.pause_queue()["paused"]
    first, second = client.txt2img(**SMALL, title="one"), client.txt2img(**SMALL)
    shown = client.list_jobs(status=["pending", "processing"], titles=["one"])
    assert [job["job_id"] for job in shown["items"]] == [first.id]
    assert client.rename_job(first.id, "two")["title"] == "two"
    assert client.move_job_to_front(second.id)["position"] == 1
    assert second.look()["position"] == 1
    with pytest.raises(NotFound):
        client.show_preview(first.id)
    assert client.cancel_job(first.id)["success"]
    with pytest.raises(Conflict):
        client.cancel_job(first.id)
    assert client.delete_job(second.id)["success"]
    assert client.resume_queue()["paused"] is False


@pytest.mark.slow
def test_waiting_jobs_are_moved_made_again_and_cancelled_as_groups(client: Client) -> None:
    group = {"id": "g", "axes": [{"field": "seed", "values": [1, 2]}], "cell": [0]}
    done = client.img2img(
        prompt="x", width=64, height=64, steps=2, init_image_base64=encode_picture(png()), group=group
    )
    done.result()
    assert client.show_given_picture(done.id, "init_image").startswith(b"\x89PNG")
    assert client.make_again(done.id, seed=5).result().shown["seed"] == 5
    client.pause_queue()
    first, second = (client.txt2img(prompt="x", width=64, height=64, group=group) for _ in range(2))
    assert client.move_job(second.id, before=first.id)["position"] == 1
    assert client.move_job(second.id, to="last")["position"] == 2
    assert client.show_group("g")["counts"]["pending"] == 2
    assert client.draw_group_sheet("g", side=32).startswith(b"\x89PNG")
    assert client.cancel_group("g")["cancelled"] == 2
    client.txt2img(prompt="x", width=64, height=64)
    assert client.cancel_pending_jobs()["cancelled"] == 1
    client.resume_queue()


def test_a_submission_whose_answer_is_lost_is_sent_again_and_makes_one_job(
    client: Client, served: ServedHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, usual_awaited = httpx.Client.send, httpx.AsyncClient.send
    keys: list[str] = []

    def lose_first_answer(answer: httpx.Response) -> httpx.Response:
        keys.append(answer.request.headers["Idempotency-Key"])
        if len(keys) == 1:
            raise httpx.ReadError("the line broke")
        return answer

    def send(self: httpx.Client, request: httpx.Request, **more: Any) -> httpx.Response:
        return lose_first_answer(usual(self, request, **more))

    async def send_awaited(self: httpx.AsyncClient, request: httpx.Request, **more: Any) -> httpx.Response:
        return lose_first_answer(await usual_awaited(self, request, **more))

    monkeypatch.setattr(httpx.Client, "send", send)
    monkeypatch.setattr(httpx.AsyncClient, "send", send_awaited)
    job = client.txt2img(prompt="x", width=64, height=64, steps=2)
    assert keys[0] == keys[1]
    assert [one.id for one in served.runtime.jobs.queue.list()] == [job.id]


def test_deleted_jobs_come_back_or_are_gone(client: Client) -> None:
    assert client.change_recycle_bin_settings(enabled=True)["enabled"]
    assert client.show_recycle_bin_settings()["enabled"]
    jobs = [client.txt2img(**SMALL).result() for _ in range(3)]
    assert client.delete_jobs([job.id for job in jobs])["deleted"] == 3
    assert client.show_recycle_bin(limit=2)["count"] == 3
    assert client.restore_job(jobs[0].id)["success"]
    assert client.purge_job(jobs[1].id)["success"]
    assert client.empty_recycle_bin()["purged"] == 1
    assert client.remove_output(jobs[0].id)["success"]
    with pytest.raises(NotFound):
        client.show_job(jobs[1].id)


def test_settings_are_shown_and_changed(client: Client) -> None:
    assert client.change_preview_settings(max_size=128)["settings"]["max_size"] == 128
    assert client.show_preview_settings()["max_size"] == 128
    assert client.change_generation_defaults(txt2img={"steps": 3})["settings"]["txt2img"] == {"steps": 3}
    assert client.change_defaults_of_mode("img2img", {"steps": 4})["mode"] == "img2img"
    assert client.show_generation_defaults()["img2img"] == {"steps": 4}
    assert client.show_defaults_of_mode("txt2img") == {"steps": 3}
    client.change_preferences({"theme": "dark", "size": 1})
    assert client.change_preferences({"size": None})["settings"] == {"theme": "dark"}
    assert client.show_preferences() == {"theme": "dark"}
    assert client.change_auto_unload(main={"enabled": True, "timeout_minutes": 5})["main"]["enabled"]
    assert client.show_auto_unload()["main"]["timeout_minutes"] == 5
    assert client.show_output_settings()["group_by"] == "none"
    with pytest.raises(NotSupported):
        client.change_output_settings(group_by="day")
    assert client.reset_settings(section="generation")["reset"] == ["generation"]


@pytest.mark.slow
def test_language_models_are_asked(client: Client) -> None:
    assert client.show_enhancements(limit=5)["items"] == []
    assert client.clear_enhancements()["success"]
    assert client.show_conversation()["count"] == 0
    assert client.clear_conversation()["success"]
    for ask in (client.show_enhancement, client.delete_enhancement):
        with pytest.raises(NotFound):
            ask("nothing")
    nobody = "http://127.0.0.1:9"
    assert client.change_enhancer_settings(base_url=nobody, model="m")["settings"]["model"] == "m"
    assert client.show_enhancer_settings()["base_url"] == nobody
    assert client.change_assistant_settings(endpoint=nobody)["settings"]["endpoint"] == nobody
    assert client.show_assistant_settings()["endpoint"] == nobody
    assert client.show_enhancer_status()["connected"] is False
    assert client.show_assistant_status()["connected"] is False
    # Nobody is there: what reaches for it says so.
    for call in (client.list_language_models, client.show_assistant_model):
        with pytest.raises(ApiError, match="9"):
            call()
    with pytest.raises(ApiError):
        client.enhance_prompt(prompt="a circle")
    with pytest.raises(ApiError):
        client.chat("hello")


@pytest.mark.slow
def test_other_sources_are_asked(
    make_served: Callable[..., ServedHouse],
    make_client: MakeClient,
    hub: HubServer,
    civitai: CivitaiServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HF_TOKEN", "CIVITAI_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    sources = {"huggingface_endpoint": hub.url, "civitai_endpoint": civitai.url}
    client = make_client(make_served(downloads={"allow_private_hosts": ["127.0.0.1"], **sources}).url)
    hub.add("org/styles", Repository({"style.safetensors": b"x"}))
    civitai.add(11, 22, "old.safetensors", b"x")
    assert client.show_huggingface_file("org/styles", "style.safetensors")["file_size"] == 1
    assert client.show_civitai_model("11:22")["filename"] == "old.safetensors"


def test_login_gives_a_token_that_is_a_key(make_served: Callable[..., ServedHouse], make_client: MakeClient) -> None:
    served = make_served(auth={"api_keys": ["anna:secret"]})
    stranger = make_client(served.url)
    assert stranger.health() == {"status": "ok"}
    with pytest.raises(ApiError, match="key") as caught:
        stranger.show_options()
    assert caught.value.status == 401
    token = stranger.log_in(username="anna", password="secret")["token"]
    friend = make_client(served.url, token)
    assert friend.show_options()["samplers"]
    assert friend.log_out()["success"]
    with pytest.raises(ApiError, match="key"):
        friend.show_options()


def test_events_are_beside_the_routes() -> None:
    assert Client("http://127.0.0.1:1/pictures/").connection.socket_url == "ws://127.0.0.1:1/pictures/ws"
    assert Client("https://a.example:8443").connection.socket_url == "wss://a.example:8443/ws"


def test_methods_keep_their_names_and_words() -> None:
    with Client() as client:
        assert client.show_job.__name__ == "show_job"
        assert client.show_job.__doc__ == Client.show_job.__doc__ == "Look at a job."
