"""Videos over HTTP, in the shapes of the contract."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import av
import pytest
from flask.testing import FlaskClient
from PIL import Image

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.params import VideoParams
from sdcpp_rest.routes.native.wire.video_bodies import Txt2VidBody
from tests import model_files
from tests.cases import for_each_case
from tests.routes.conftest import House, make_config
from tools.synthetic_models.families import write_file

SMALL = {"prompt": "a cat", "width": 32, "height": 16, "video_frames": 5, "steps": 2, "fps": 8}


def choose_wan(house: House, *extra_tensors: str) -> LoadSpec:
    """What jobs bind to from now on: a model that makes videos."""
    folder = house.config.paths.models_dir / "diffusion_models"
    tensors = {**model_files.wan(30), **dict.fromkeys(extra_tensors, (8,))}
    path = model_files.write(folder / "wan.gguf", model_files.gguf_bytes(tensors))
    tae = write_file(house.config.paths.models_dir, "taew2_1", fill="zero")
    spec = LoadSpec(
        model=FileRef(name="wan.gguf", path=str(path)),
        kind="diffusion",
        architecture="Wan 2.x",
        components={"taesd": FileRef(name=tae.name, path=str(tae))},
    )
    house.runtime.models.slot.selected = spec
    return spec


@pytest.fixture
def client(house: House) -> FlaskClient:
    choose_wan(house)
    return house.client


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """For requests that are refused and leave nothing behind."""
    house = House(make_config(tmp_path_factory.mktemp("refusing"))).start()
    choose_wan(house)
    yield house.client
    house.close()


def picture(width: int = 16, height: int = 12) -> str:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_answer_is_a_202_with_the_place_in_the_queue(client: FlaskClient) -> None:
    answer = client.post("/txt2vid", json=SMALL)
    assert answer.status_code == 202
    assert answer.get_json().keys() == {"job_id", "status", "position"}
    assert answer.get_json()["status"] == "pending"


def test_video_lies_in_the_output_folder_and_plays(house: House, client: FlaskClient) -> None:
    job = house.finished(client.post("/txt2vid", json={**SMALL, "title": "film"}).get_json()["job_id"])
    assert (job["type"], job["status"], job["title"]) == ("txt2vid", "completed", "film")
    assert job["outputs"] == [f"{job['job_id']}/video.mp4"]
    assert (job["progress"]["total_steps"], job["progress"]["percentage"]) == (2, 100.0)
    assert (job["params"]["video_frames"], job["params"]["fps"]) == (5, 8)
    answer = client.get(f"/output/{job['outputs'][0]}", buffered=True)
    assert (answer.status_code, answer.mimetype) == (200, "video/mp4")
    with av.open(io.BytesIO(answer.data)) as container:
        stream = container.streams.video[0]
        assert sum(1 for _ in container.decode(stream)) == 5
        assert (stream.width, stream.height, stream.average_rate) == (32, 16, 8)
    part = client.get(f"/output/{job['outputs'][0]}", headers={"Range": "bytes=4-7"}, buffered=True)
    assert (part.status_code, part.data) == (206, b"ftyp")
    assert part.headers["Content-Range"] == f"bytes 4-7/{len(answer.data)}"
    poster = client.get(f"/thumb/{job['outputs'][0]}", buffered=True)
    assert (poster.status_code, poster.mimetype) == (200, "image/jpeg")


def test_every_field_of_the_table_is_taken(client: FlaskClient, house: House) -> None:
    fields: dict[str, Any] = {
        "negative_prompt": "static", "cfg_scale": 5.0, "distilled_guidance": 3.0, "eta": 0.1, "seed": 7,
        "sampler": "euler", "scheduler": "discrete", "flow_shift": 4.0, "clip_skip": 2, "slg_scale": 1.0,
        "skip_layers": [9], "slg_start": 0.1, "slg_end": 0.3, "strength": 0.5, "high_noise_steps": 2,
        "high_noise_cfg_scale": 3.0, "high_noise_sampler": "heun", "high_noise_distilled_guidance": 2.0,
        "high_noise_slg_scale": 0.5, "high_noise_skip_layers": [7], "high_noise_slg_start": 0.2,
        "high_noise_slg_end": 0.4, "moe_boundary": 0.9, "vace_strength": 0.5, "easycache": True,
        "easycache_threshold": 0.3, "easycache_start": 0.2, "easycache_end": 0.9, "vae_tiling": True,
        "vae_tile_size_x": 16, "vae_tile_size_y": 16, "vae_tile_overlap": 0.25, "high_noise_scheduler": "discrete",
        "high_noise_eta": 0.2, "output_format": "webm", "cache_mode": "easycache", "cache_options": {"threshold": 0.3},
    }  # fmt: skip
    answer = client.post("/txt2vid", json={**SMALL, **fields})
    assert answer.status_code == 202, answer.text
    assert not [warning for warning in answer.get_json()["warnings"] if "nknown" in warning]
    params = house.finished(answer.get_json()["job_id"])["params"]
    params["cache_options"] = {name: value for name, value in params["cache_options"].items() if value is not None}
    assert {name: params[name] for name in fields} == fields


def test_body_and_parameters_have_the_same_defaults() -> None:
    own = {name: field.default for name, field in VideoParams.model_fields.items()}
    for name, field in Txt2VidBody.model_fields.items():
        if name in own and name not in ("prompt", "seed", "eta", "high_noise_eta", "cache_options"):
            default = field.default
            assert (tuple(default) if isinstance(default, list) else default) == own[name], name


def test_pictures_reach_the_job_by_their_roles(house: House) -> None:
    choose_wan(house, "vace_blocks.0.norm3.weight")
    body = {**SMALL, "init_image_base64": picture(), "control_frames": [picture(8, 8), picture()]}
    answer = house.client.post("/txt2vid", json=body)
    assert answer.status_code == 202, answer.text
    job_id = answer.get_json()["job_id"]
    assert house.runtime.jobs.queue.get(job_id).inputs.keys() == {"init_image", "control_frames.0", "control_frames.1"}
    done = house.finished(job_id)
    assert done["status"] == "completed", done.get("error")


def test_picture_that_the_model_ignores_is_told(client: FlaskClient) -> None:
    answer = client.post("/txt2vid", json={**SMALL, "end_image_base64": picture()})
    assert answer.status_code == 202
    assert any("end_image was ignored" in warning for warning in answer.get_json()["warnings"])


def test_model_of_pictures_is_a_400_that_says_so(house: House) -> None:
    answer = house.client.post("/txt2vid", json=SMALL)
    assert answer.status_code == 400
    assert "makes pictures, not videos" in answer.get_json()["error"]


def test_without_a_model_it_is_a_400(house: House) -> None:
    house.client.post("/models/unload")
    answer = house.client.post("/txt2vid", json=SMALL)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "No model loaded")


@for_each_case(
    ("fields", "field"),
    [
        ({"prompt": None}, "prompt"),
        ({"video_frames": 0}, "video_frames"),
        ({"video_frames": 1001}, "video_frames"),
        ({"video_frames": "5.5"}, "video_frames"),
        ({"fps": 0}, "fps"),
        ({"fps": 121}, "fps"),
        ({"width": 0}, "width"),
        ({"steps": 0}, "steps"),
        ({"high_noise_steps": -2}, "high_noise_steps"),
        ({"high_noise_sampler": "nope"}, "high_noise_sampler"),
        ({"moe_boundary": 2}, "moe_boundary"),
        ({"output_format": "avi"}, "output_format"),
        ({"control_frames": ["x"] * 6}, "control_frames"),
        ({"width": 4096, "height": 4096, "video_frames": 1000}, "video_frames"),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(refusing: FlaskClient, fields: dict[str, Any], field: str) -> None:
    body = {name: value for name, value in {**SMALL, **fields}.items() if value is not None}
    answer = refusing.post("/txt2vid", json=body)
    assert answer.status_code == 400, answer.text
    assert field in answer.get_json()["error"]


def test_damaged_picture_is_refused_by_the_name_on_the_wire(house: House) -> None:
    choose_wan(house, "img_emb.proj.0.weight")
    answer = house.client.post("/txt2vid", json={**SMALL, "end_image_base64": "bm9wZQ=="})
    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith("end_image_base64 is not a picture")
