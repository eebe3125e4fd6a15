from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable
from typing import Any

import av
import pytest
from flask.testing import FlaskClient
from PIL import Image

from sdcpp_rest.core.job import FINISHED
from tests.cases import for_each_case
from tests.routes.conftest import PATIENCE_SECONDS, House, ServedHouse
from tests.routes.native.jobs.test_video_routes import choose_wan
from tests.services.conftest import png_text

SMALL = {"prompt": "a dog", "width": 64, "height": 64, "seed": 5, "sample_params": {"sample_steps": 2}}


def submit(house: House, mode: str = "img_gen", **fields: Any) -> dict[str, Any]:
    answer = house.client.post(f"/sdcpp/v1/{mode}", json={**SMALL, **fields})
    assert answer.status_code == 202, answer.text
    shown = answer.get_json()
    assert shown["poll_url"] == f"/sdcpp/v1/jobs/{shown['id']}"
    return dict(shown)


def ended(house: House, shown: dict[str, Any]) -> dict[str, Any]:
    assert house.runtime.jobs.queue.wait(shown["id"], PATIENCE_SECONDS).status in FINISHED
    return dict(house.client.get(shown["poll_url"]).get_json())


def pictures_of(job: dict[str, Any]) -> list[Image.Image]:
    assert job["status"] == "completed", job
    assert [one["index"] for one in job["result"]["images"]] == list(range(len(job["result"]["images"])))
    return [Image.open(io.BytesIO(base64.b64decode(one["b64_json"]))) for one in job["result"]["images"]]


def params_of(house: House, shown: dict[str, Any]) -> dict[str, Any]:
    return house.runtime.jobs.queue.get(shown["id"]).params


def test_a_job_goes_the_whole_way(house: House) -> None:
    before = int(time.time())
    house.gate.clear()
    shown = submit(house, batch_count=2)
    assert (shown["kind"], shown["status"]) == ("img_gen", "queued")
    assert before <= shown["created"] <= time.time()
    second = submit(house)
    assert house.running.wait(PATIENCE_SECONDS)
    job = house.client.get(shown["poll_url"]).get_json()
    assert (job["status"], job["queue_position"], job["completed"], job["result"]) == ("generating", 0, None, None)
    assert job["progress"]["total_steps"] == 4
    waiting = house.client.get(second["poll_url"]).get_json()
    assert (waiting["status"], waiting["queue_position"], waiting["started"]) == ("queued", 1, None)
    house.gate.set()
    job = ended(house, shown)
    assert job["result"]["output_format"] == "png"
    assert job["started"] <= job["completed"]
    assert (job["error"], job["queue_position"]) == (None, 0)
    pictures = pictures_of(job)
    assert [picture.size for picture in pictures] == [(64, 64)] * 2
    assert ["Seed: 5" in pictures[0].text["parameters"], "Seed: 6" in pictures[1].text["parameters"]] == [True, True]


@pytest.mark.parametrize(("asked", "form"), [("JPEG", "JPEG"), ("webp", "WEBP")])
def test_pictures_come_in_the_format_that_was_asked_for_also_after_a_restart(
    make_house: Callable[..., House], house: House, asked: str, form: str
) -> None:
    shown = submit(house, output_format=asked, output_compression=-5)
    (picture,) = pictures_of(ended(house, shown))
    assert picture.format == form
    house.close()
    again = House(house.runtime.config)
    try:
        job = again.start().client.get(shown["poll_url"]).get_json()
        assert job["result"]["output_format"] == asked.lower()
        assert pictures_of(job)[0].format == form
    finally:
        again.close()


def test_metadata_stays_out_where_it_is_not_wanted(house: House) -> None:
    (picture,) = pictures_of(ended(house, submit(house, embed_image_metadata=False)))
    assert "parameters" not in picture.info


def test_every_parameter_arrives(house: House) -> None:
    shown = submit(
        house,
        negative_prompt="a cat",
        clip_skip=2,
        strength=0.5,
        batch_count=2,
        auto_resize_ref_image=False,
        increase_ref_index=True,
        control_strength=0.4,
        sample_params={
            "scheduler": "karras",
            "sample_method": "dpm++2m",
            "sample_steps": 7,
            "eta": 0.5,
            "shifted_timestep": 3,
            "custom_sigmas": [1.0, 0.5, 0.0],
            "flow_shift": 2.5,
            "guidance": {
                "txt_cfg": 3.5,
                "img_cfg": 1.5,
                "distilled_guidance": 2.0,
                "slg": {"layers": [1, 2], "layer_start": 0.1, "layer_end": 0.3, "scale": 2.5},
            },
        },
        hires={"enabled": True, "upscaler": "Lanczos", "scale": 1.5, "steps": 3, "denoising_strength": 0.6},
        vae_tiling_params={"enabled": True, "tile_size_w": 32, "target_overlap": 0.25, "rel_size_x": 0.5},
        cache_mode="easycache",
        cache_option="threshold=0.3, start=0.2,end=0.9",
        lora=[{"path": "demo_lora.safetensors", "multiplier": 0.5, "is_high_noise": True}],
    )
    params = params_of(house, shown)
    assert {
        "prompt": "a dog<lora:|high_noise|demo_lora.safetensors:0.5>",
        "negative_prompt": "a cat",
        "clip_skip": 2,
        "width": 64,
        "strength": 0.5,
        "seed": 5,
        "batch_count": 2,
        "auto_resize_ref_image": False,
        "increase_ref_index": True,
        "control_strength": 0.4,
        "scheduler": "karras",
        "sampler": "dpm++2m",
        "steps": 7,
        "eta": 0.5,
        "shifted_timestep": 3,
        "custom_sigmas": [1.0, 0.5, 0.0],
        "flow_shift": 2.5,
        "cfg_scale": 3.5,
        "img_cfg_scale": 1.5,
        "distilled_guidance": 2.0,
        "skip_layers": [1, 2],
        "slg_start": 0.1,
        "slg_end": 0.3,
        "slg_scale": 2.5,
        "hires": True,
        "hires_upscaler": "Lanczos",
        "hires_scale": 1.5,
        "hires_steps": 3,
        "hires_denoising_strength": 0.6,
        "vae_tiling": True,
        "vae_tile_size_x": 32,
        "vae_tile_overlap": 0.25,
        "vae_tile_rel_size_x": 0.5,
        "cache_mode": "easycache",
    }.items() <= params.items()
    assert (params["loras"][0]["weight"], params["loras"][0]["is_high_noise"]) == (0.5, True)
    options = params["cache_options"]
    assert (options["threshold"], options["start"], options["end"]) == (0.3, 0.2, 0.9)


def test_what_means_the_models_own_is_the_models_own(house: House) -> None:
    usual = params_of(house, submit(house, width=None, height=None, sample_params=None))
    shown = submit(
        house,
        width=-1,
        height=0,
        seed=-7,
        clip_skip=-1,
        sample_params={"sample_steps": -1, "eta": None, "flow_shift": None, "scheduler": "default"},
        hires={"enabled": False, "scale": 99},
        init_image=None,
        preview="proj",
    )
    params = params_of(house, shown)
    assert {**params, "seed": 5} == usual
    assert "warnings" not in shown


def test_what_is_switched_off_stays_off_whatever_users_have_chosen(house: House) -> None:
    chosen = {"hires": True, "cache_mode": "easycache"}
    assert house.client.put("/settings/generation/txt2img", json=chosen).status_code == 200
    assert params_of(house, submit(house))["hires"] is True
    params = params_of(house, submit(house, hires={"enabled": False}, cache_mode="disabled"))
    assert (params["hires"], params["cache_mode"]) == (False, "disabled")
    assert params_of(house, submit(house, hires={"enabled": True, "upscaler": "None"}))["hires"] is False


@for_each_case(
    ("fields", "warning"),
    [
        ({"sample_params": {"sample_steps": "20"}}, "sample_params.sample_steps must be an integer"),
        ({"sample_params": {"sample_steps": 20.5}}, "sample_params.sample_steps"),
        ({"sample_params": [1]}, "sample_params must be an object, got an array of 1 items: ignored"),
        ({"sample_params": {"sample_method": "sorcery"}}, "sample_params.sample_method 'sorcery' is not known"),
        ({"sample_params": {"scheduler": "sorcery"}}, "sample_params.scheduler 'sorcery' is not known"),
        ({"seed": True}, "seed must be an integer"),
        ({"negative_prompt": 5}, "negative_prompt must be a string"),
        ({"ref_images": [5]}, "ref_images must be an array"),
        ({"cache_mode": "sorcery"}, "cache_mode 'sorcery' is not known"),
        ({"cache_option": "threshold=0.3"}, "cache_option has no effect without a cache_mode"),
        ({"cache_mode": "disabled", "scm_mask": "1,0"}, "scm_mask has no effect without a cache_mode"),
        ({"cache_mode": "ucache", "cache_option": "magic=1"}, "cache_option 'magic=1' is no knob of ucache"),
        ({"qwen_image_layers": 3}, "qwen_image_layers has no effect here"),
        ({"sample_params": {"extra_sample_args": "x"}}, "sample_params.extra_sample_args has no effect here"),
        ({"sample_params": {"magic": 1}}, "unknown field 'sample_params.magic' ignored"),
    ],
)
def test_what_is_ignored_is_told(house: House, fields: dict[str, Any], warning: str) -> None:
    shown = submit(house, **fields)
    assert any(warning in text for text in shown["warnings"]), shown
    assert params_of(house, shown)["negative_prompt"] == ""


def test_pictures_are_drawn_from_pictures_at_their_size(house: House) -> None:
    picture = png_text(100, 70)
    shown = submit(house, width=None, height=None, init_image=f"data:image/png;base64,{picture}", mask_image=picture)
    job = house.runtime.jobs.queue.get(shown["id"])
    assert (job.kind, job.params["width"], job.params["height"]) == ("img2img", 96, 64)
    assert set(job.inputs) == {"init_image", "mask_image"}
    shown = submit(house, ref_images=[picture, picture])
    assert set(house.runtime.jobs.queue.get(shown["id"]).inputs) == {"ref_images.0", "ref_images.1"}


@for_each_case(
    ("body", "words"),
    [
        (b"", "empty body"),
        (b"{", "invalid json"),
        (b"[]", "invalid json"),
        (b'"x"', "invalid json"),
        ({"width": 100_000}, "invalid generation parameters: width must be"),
        ({"sample_params": {"sample_steps": 100_000_000}}, "sample_params.sample_steps must be"),
        ({"sample_params": {"guidance": {"txt_cfg": -5}}}, "sample_params.guidance.txt_cfg must be"),
        ({"batch_count": 10_000}, "batch_count must be"),
        ({"strength": 7}, "strength must be"),
        ({"init_image": "no picture"}, "init_image"),
        ({"init_image": "http://127.0.0.1/x.png"}, "init_image"),
        ({"ip_adapter_image": "x"}, "ip_adapter_image: there is no IP-Adapter here"),
        ({"output_format": "jpg"}, "must be one of [png, jpeg, webp]"),
        ({"output_format": 5}, "must be one of [png, jpeg, webp]"),
        ({"lora": [{"path": "nowhere"}]}, "lora[0].path: Model not found: nowhere"),
        ({"lora": ["x"]}, "lora[0] must be an object with a path"),
        ({"lora": [{"path": "../../etc/passwd"}]}, "lora[0].path"),
        ({"lora": [{"path": "x", "multiplier": "much"}]}, "lora[0].multiplier must be a number"),
        ({"lora": [{"path": "x"}] * 70}, "lora[0]"),
        ({"hires": {"enabled": True, "upscaler": "sorcery"}}, "hires.upscaler"),
        ({"prompt": "x" * 100_000}, "prompt"),
    ],
)
def test_bad_bodies_are_refused_by_name(shared_client: FlaskClient, body: Any, words: str) -> None:
    sent: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": {**SMALL, **body}}
    answer = shared_client.post("/sdcpp/v1/img_gen", **sent)
    assert answer.status_code == 400, answer.text
    assert words in answer.get_json()["error"]


def test_a_full_queue_is_429(make_house: Callable[..., House]) -> None:
    house = make_house(limits={"pending_jobs": 1}).start()
    house.gate.clear()
    submit(house)
    assert house.running.wait(PATIENCE_SECONDS)
    submit(house)
    answer = house.client.post("/sdcpp/v1/img_gen", json=SMALL)
    assert (answer.status_code, answer.get_json()["error"]) == (429, "job queue is full")


def test_without_a_model_nothing_can_be_asked_for(make_house: Callable[..., House]) -> None:
    house = make_house()
    house.runtime.start()
    assert house.client.post("/models/unload").status_code == 200
    told = house.client.get("/sdcpp/v1/capabilities").get_json()
    assert (told["supported_modes"], told["current_mode"], told["defaults"]) == ([], "", {})
    answer = house.client.post("/sdcpp/v1/img_gen", json=SMALL)
    assert (answer.status_code, answer.get_json()["error"][:18]) == (400, "no model is loaded")


def test_capabilities_tell_what_can_be_sent_back(house: House) -> None:
    told = house.client.get("/sdcpp/v1/capabilities").get_json()
    assert told["current_mode"] == "img_gen"
    assert told["defaults"] == told["defaults_by_mode"]["img_gen"]
    assert told["features"]["cancel_generating"] is True
    assert told["samplers"][:2] == ["euler", "euler_a"]
    assert told["schedulers"][:2] == ["discrete", "normal"]
    assert told["limits"]["max_width"] == house.runtime.config.limits.side
    assert {"name": "demo_lora", "path": "demo_lora.safetensors"} in told["loras"]
    assert [one["name"] for one in told["upscalers"]][:3] == ["None", "Latent", "Latent (nearest)"]
    assert "/" not in told["model"]["name"]
    shown = submit(house, **{**told["defaults"], "prompt": "a dog", "seed": 5})
    assert "warnings" not in shown
    usual = params_of(house, submit(house, width=None, height=None, sample_params=None))
    assert params_of(house, shown) == usual


def test_a_job_that_waits_is_cancelled(house: House) -> None:
    house.gate.clear()
    running, waiting = submit(house), submit(house)
    assert house.running.wait(PATIENCE_SECONDS)
    answer = house.client.post(f"{waiting['poll_url']}/cancel")
    assert answer.status_code == 200
    job = answer.get_json()
    assert (job["status"], job["error"]["code"], job["started"]) == ("cancelled", "cancelled", None)
    house.gate.set()
    assert ended(house, running)["status"] == "completed"
    again = house.client.post(f"{running['poll_url']}/cancel")
    assert (again.status_code, again.get_json()["status"]) == (200, "completed")


def test_a_job_that_is_computed_is_cancelled(house: House) -> None:
    shown = submit(house, prompt="fake:hold")
    assert house.running.wait(PATIENCE_SECONDS)
    answer = house.client.post(f"{shown['poll_url']}/cancel")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelled")
    assert ended(house, submit(house))["status"] == "completed"


def test_a_job_that_fails_says_why(house: House) -> None:
    job = ended(house, submit(house, prompt="fake:fail"))
    assert (job["status"], job["result"]) == ("failed", None)
    assert job["error"]["code"] == "generation_failed"
    assert job["error"]["message"]


def test_jobs_that_are_not_there_are_404_and_deleted_ones_410(house: House) -> None:
    for path in ("/sdcpp/v1/jobs/none", "/sdcpp/v1/jobs/..%2F..", "/sdcpp/v1/jobs/" + "x" * 5000):
        answer = house.client.get(path)
        assert answer.status_code == 404
        assert answer.get_json()["error"]
    shown = submit(house)
    assert ended(house, shown)["status"] == "completed"
    house.client.delete(f"/queue/{shown['id']}")
    house.runtime.jobs.recycle_bin.delete([shown["id"]])
    answer = house.client.get(shown["poll_url"])
    assert (answer.status_code, answer.get_json()["error"]) == (410, "job expired")
    assert house.client.post(f"{shown['poll_url']}/cancel").status_code == 410
    shown = submit(house)
    ended(house, shown)
    for path in house.runtime.jobs.queue.get(shown["id"]).outputs:
        house.runtime.jobs.outputs.path_of(path).unlink()
    assert house.client.get(shown["poll_url"]).status_code == 410


def test_jobs_of_other_dialects_are_shown(house: House) -> None:
    job_id = house.submit()
    house.finished(job_id)
    job = house.client.get(f"/sdcpp/v1/jobs/{job_id}").get_json()
    assert pictures_of(job)[0].format == "PNG"


def test_a_picture_is_made_larger_in_one_call(house: House) -> None:
    body = {"image": png_text(15, 11), "repeats": 2, "tile_size": 1, "output_format": "JPEG", "magic": 1}
    answer = house.client.post("/sdcpp/v1/upscale", json=body)
    assert answer.status_code == 200, answer.text
    shown = answer.get_json()
    assert (shown["scale"], shown["repeats"], shown["width"], shown["height"]) == (2, 2, 60, 44)
    assert shown["warnings"] == ["unknown field 'magic' ignored"]
    picture = Image.open(io.BytesIO(base64.b64decode(shown["images"][0]["b64_json"])))
    assert (picture.format, picture.size) == ("JPEG", (60, 44))


@for_each_case(
    ("body", "words"),
    [
        ({}, "image is required"),
        ({"image": "nothing"}, "image"),
        ({"image": png_text(), "upscaler": "sorcery"}, "no image upscaler is called 'sorcery'"),
        ({"image": png_text(), "upscaler": "../../x"}, "no image upscaler is called"),
        ({"image": png_text(), "output_format": "gif"}, "must be one of"),
        ({"image": png_text(3000, 8), "repeats": 9}, "at most"),
    ],
)
def test_bad_pictures_to_enlarge_are_refused(shared_client: FlaskClient, body: dict[str, Any], words: str) -> None:
    answer = shared_client.post("/sdcpp/v1/upscale", json=body)
    assert answer.status_code == 400, answer.text
    assert words in answer.get_json()["error"]


def test_polls_leave_no_lines_in_the_log(
    make_served: Callable[..., ServedHouse], caplog: pytest.LogCaptureFixture
) -> None:
    served = make_served()
    served.house.gate.clear()
    shown = served.post("/sdcpp/v1/img_gen", json=SMALL).json()
    caplog.clear()
    for _ in range(20):
        assert served.get(shown["poll_url"]).status_code == 200
    assert caplog.records == []


def test_a_video_comes_in_its_format(house: House) -> None:
    choose_wan(house)
    told = house.client.get("/sdcpp/v1/capabilities").get_json()
    assert (told["supported_modes"], told["output_formats"]) == (["vid_gen"], ["webm", "webp", "mp4"])
    assert "hires" not in told["defaults"]
    assert told["defaults"]["high_noise_sample_params"]["sample_steps"] == -1
    shown = submit(house, "vid_gen", video_frames=7, fps=8, high_noise_sample_params={"guidance": {"txt_cfg": 2.5}})
    assert params_of(house, shown)["high_noise_cfg_scale"] == 2.5
    result = ended(house, shown)["result"]
    assert {**result, "b64_json": ""} == {
        "output_format": "webm",
        "mime_type": "video/webm",
        "fps": 8,
        "frame_count": 5,
        "b64_json": "",
    }
    with av.open(io.BytesIO(base64.b64decode(result["b64_json"]))) as container:
        assert sum(1 for _ in container.decode(container.streams.video[0])) == 5
    shown = submit(house, "vid_gen", **{**told["defaults"], "prompt": "a dog", "width": 32, "height": 32})
    assert "warnings" not in shown
    answer = house.client.post("/sdcpp/v1/img_gen", json=SMALL)
    assert (answer.status_code, answer.get_json()["error"][:31]) == (400, "img_gen is not supported: wan.g")
    answer = house.client.post("/sdcpp/v1/vid_gen", json={**SMALL, "output_format": "avi"})
    assert "must be one of [webm, webp, mp4]" in answer.get_json()["error"]


def test_a_model_of_pictures_makes_no_videos(shared_client: FlaskClient) -> None:
    answer = shared_client.post("/sdcpp/v1/vid_gen", json=SMALL)
    assert (answer.status_code, answer.get_json()["error"][:28]) == (400, "vid_gen is not supported: de")
