"""Graphs as ComfyUI's clients send them, and a house with files for all of them: headers with nothing behind."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdcpp_rest.core.job import Job
from tests.routes.conftest import PATIENCE_SECONDS, House, make_config
from tools.synthetic_models.families import write_file

MODEL = "demo_dit_q8_0.gguf"
FILES = (
    "flux", "clip_l", "clip_g", "t5xxl", "umt5", "vae_flux_full", "vae_sd", "sd15", "lora_sd1", "controlnet", "wan21",
    "taew2_1",
)  # fmt: skip

Graph = dict[str, Any]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def simple_graph(text: str = "a red circle", **sampler: Any) -> Graph:
    """The graph that every client begins with: ids 3 to 9, as the page's own default has them."""
    numbers = {"seed": 5, "steps": 2, "cfg": 2.5, "sampler_name": "euler", "scheduler": "normal", "denoise": 1}
    links = {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}
    return {
        "3": node("KSampler", **{**numbers, **links, **sampler}),
        "4": node("CheckpointLoaderSimple", ckpt_name=MODEL),
        "5": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "6": node("CLIPTextEncode", text=text, clip=["4", 1]),
        "7": node("CLIPTextEncode", text="blurry", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", images=["8", 0], filename_prefix="ComfyUI"),
    }


def png(colour: tuple[int, ...] = (255, 0, 0), size: tuple[int, int] = (64, 64)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def png_base64(*arguments: Any) -> str:
    return base64.b64encode(png(*arguments)).decode("ascii")


class Prompter:
    """A client of ComfyUI's API in a house."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.client = house.client
        self.runtime = house.runtime

    def submit(self, graph: Any, **more: Any) -> str:
        """Draw a graph; its prompt's id."""
        answer = self.client.post("/prompt", json={"prompt": graph, **more})
        assert answer.status_code == 200, answer.text
        body = answer.get_json()
        assert body["node_errors"] == {}
        return str(body["prompt_id"])

    def jobs(self, prompt_id: str) -> list[Job]:
        call = self.runtime.jobs.kept_calls.find(prompt_id)
        assert call is not None
        return [self.runtime.jobs.queue.get(part.job_id) for part in call.parts]

    def finish(self, prompt_id: str) -> dict[str, Any]:
        """Wait for the end of a prompt; its entry in the history."""
        for job in self.jobs(prompt_id):
            self.runtime.jobs.queue.wait(job.id, PATIENCE_SECONDS)
        entry: dict[str, Any] = self.client.get(f"/history/{prompt_id}").get_json()
        return dict(entry[prompt_id])

    def refuse(self, graph: Any, **more: Any) -> dict[str, Any]:
        """Have a graph refused; the answer. Nothing is queued."""
        before = self.runtime.jobs.queue.counts()["total"]
        answer = self.client.post("/prompt", json={"prompt": graph, **more})
        assert answer.status_code == 400, answer.text
        assert self.runtime.jobs.queue.counts()["total"] == before
        return dict(answer.get_json())

    def view(self, status: int = 200, **query: str) -> tuple[bytes, str]:
        """A picture's file, and its media type."""
        with self.client.get("/view", query_string=query) as answer:
            assert answer.status_code == status, answer.text
            return answer.data, answer.mimetype

    def look(self, **query: str) -> Image.Image:
        """A picture."""
        return Image.open(io.BytesIO(self.view(**query)[0]))

    def upload(self, name: str = "given.png", data: bytes | None = None, **fields: Any) -> Any:
        form = {"image": (io.BytesIO(png() if data is None else data), name), **fields}
        return self.client.post("/upload/image", data=form, content_type="multipart/form-data")


@pytest.fixture
def prompter(house: House) -> Prompter:
    return Prompter(house)


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prompter]:
    """A client of a house whose queue is paused and that has files of many kinds: for looking at what graphs become."""
    folder: Path = tmp_path_factory.mktemp("waiting")
    for name in FILES:
        write_file(folder / "models", name, fill="zero")
    house = House(make_config(folder, limits={"pending_jobs": 10_000}))
    try:
        house.runtime.jobs.queue.pause()
        prompter = Prompter(house.start())
        assert prompter.upload().status_code == 200
        assert prompter.upload("holes.png", png((0, 0, 255, 0))).status_code == 200
        yield prompter
    finally:
        house.close()
