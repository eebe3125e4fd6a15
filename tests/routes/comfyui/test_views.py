from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from sdcpp_rest.engine import spool
from sdcpp_rest.engine.raw_picture import RawPicture
from sdcpp_rest.routes.comfyui.dialect import COMFYUI
from sdcpp_rest.routes.comfyui.errors import COMFY_ERROR
from sdcpp_rest.routes.dialects import DialectTable
from sdcpp_rest.routes.http.dialect import NATIVE_ERROR
from sdcpp_rest.web.app import DIALECTS
from tests.cases import for_each_case
from tests.routes.comfyui.conftest import MODEL, Prompter, node, png, simple_graph
from tests.routes.conftest import PATIENCE_SECONDS, House

WORKFLOW = {"nodes": [{"id": 1, "title": "größer"}]}


def test_a_graph_becomes_a_picture_that_is_told_and_served(prompter: Prompter) -> None:
    entry = prompter.finish(prompter.submit(simple_graph(), prompt_id="my-own", client_id="me"))
    number, prompt_id, graph, extra, outputs = entry["prompt"]
    assert (number, prompt_id, graph, extra, outputs) == (1, "my-own", simple_graph(), {"client_id": "me"}, ["9"])
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("success", True)
    assert [name for name, _ in entry["status"]["messages"]] == [
        "execution_start", "execution_cached", "execution_success",
    ]  # fmt: skip
    (image,) = entry["outputs"]["9"]["images"]
    assert image["type"] == "output"
    assert prompter.view(**image)[1] == "image/png"
    assert prompter.look(**image).size == (64, 64)


def test_pictures_carry_the_graph_and_the_workflow_beside_our_own_text(prompter: Prompter) -> None:
    extra = {"extra_pnginfo": {"workflow": WORKFLOW}}
    entry = prompter.finish(prompter.submit(simple_graph(), extra_data=extra))
    (image,) = entry["outputs"]["9"]["images"]
    path = prompter.runtime.jobs.outputs.path_of(f"{image['subfolder']}/{image['filename']}")
    with Image.open(path) as picture:
        picture.load()
        assert json.loads(picture.info["prompt"]) == simple_graph()
        assert json.loads(picture.info["workflow"]) == WORKFLOW
        assert "Steps: 2" in picture.info["parameters"]
    assert "extra_pnginfo" not in entry["prompt"][3]


def test_pictures_that_a_killed_server_left_in_the_spool_carry_the_graph_too(prompter: Prompter) -> None:
    prompter.runtime.jobs.queue.pause()
    (job,) = prompter.jobs(prompter.submit(simple_graph()))
    outputs = prompter.runtime.jobs.outputs
    spool.write_pixels(outputs.spool_of(job.id), [RawPicture(8, 8, 3, bytes(192))], ("Steps: 2",))
    (path,) = prompter.runtime.engine.finishing.finish_from_spool(job) or ()
    with Image.open(outputs.path_of(path)) as picture:
        picture.load()
        assert json.loads(picture.info["prompt"]) == simple_graph()
        assert picture.info["parameters"] == "Steps: 2"


def test_native_pictures_carry_no_graph(house: House) -> None:
    job = house.finished(house.submit(width=64, height=64))
    with Image.open(house.runtime.jobs.outputs.path_of(job["outputs"][0])) as picture:
        picture.load()
        assert set(picture.info) == {"parameters"}


@for_each_case("prefix", ["", "/api"])
def test_everything_at_the_root_is_below_api_too(shared_client: FlaskClient, prefix: str) -> None:
    for path in ("prompt", "history", "history/none", "object_info", "object_info/KSampler", "system_stats",
                 "embeddings"):  # fmt: skip
        assert shared_client.get(f"{prefix}/{path}").status_code == 200, path
    assert shared_client.get(f"{prefix}/view?filename=x.png").status_code == 404
    for path in ("history", "queue", "interrupt", "free"):
        assert shared_client.post(f"{prefix}/{path}", json={}).status_code == 200, path
    for path in ("prompt", "upload/image", "upload/mask"):
        answer = shared_client.post(f"{prefix}/{path}", json={})
        assert answer.status_code == 400, path
        assert answer.get_json()["node_errors"] == {}


def test_the_queue_and_the_models_at_the_root_stay_native(shared_client: FlaskClient) -> None:
    assert "pending_count" in shared_client.get("/queue").get_json()
    assert "checkpoints" in shared_client.get("/models").get_json()
    assert shared_client.get("/models/checkpoints").get_json()["code"] == "not_found"
    assert shared_client.get("/api/models/another").status_code == 404
    assert shared_client.get("/api/queue").get_json() == {"queue_running": [], "queue_pending": []}


def test_no_other_dialect_has_these_paths() -> None:
    table = DialectTable(DIALECTS)
    for path in COMFYUI.error_shapes:
        assert table.spell_path(path) == path
        assert table.dialect_of(path) is COMFYUI
    assert table.shape_of("/api/sd/txt2img") is not COMFY_ERROR
    assert table.shape_of("/api/another") is NATIVE_ERROR


def test_lists_of_models_name_the_files(shared_client: FlaskClient) -> None:
    folders = shared_client.get("/api/models").get_json()
    assert {"checkpoints", "loras", "vae", "clip", "unet", "text_encoders", "upscale_models"} <= {*folders}
    assert shared_client.get("/api/models/checkpoints").get_json() == [MODEL]
    assert shared_client.get("/api/models/unet").get_json() == [MODEL]
    assert shared_client.get("/api/models/upscale_models").get_json() == [
        "esrgan_x2.safetensors",
        "esrgan_x4.safetensors",
    ]


def test_object_info_lists_what_works_and_nothing_else(shared_client: FlaskClient) -> None:
    classes = shared_client.get("/object_info").get_json()
    required = classes["KSampler"]["input"]["required"]
    assert required["sampler_name"][0] == ["euler", "euler_ancestral", "heun", "dpmpp_2m"]
    assert required["scheduler"][0] == ["normal", "karras", "gits"]
    assert required["steps"] == ["INT", {"default": 20, "min": 1, "max": 10_000}]
    assert classes["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] == [MODEL]
    assert classes["SaveImage"]["output_node"] is True
    assert shared_client.get("/object_info/KSampler").get_json() == {"KSampler": classes["KSampler"]}
    assert shared_client.get("/object_info/Another").get_json() == {}
    for name, one in classes.items():
        assert one["name"] == name
        assert len(one["output"]) == len(one["output_name"]) == len(one["output_is_list"])


def test_every_class_that_is_listed_says_what_it_is_for(shared_client: FlaskClient) -> None:
    classes = shared_client.get("/object_info").get_json()
    assert len(classes) >= 50
    assert [name for name, one in classes.items() if not one["description"].endswith(".")] == []


def test_system_stats_has_the_machines_memory(shared_client: FlaskClient) -> None:
    stats = shared_client.get("/system_stats").get_json()
    assert stats["system"]["ram_total"] > stats["system"]["ram_free"] > 0
    assert stats["devices"][0]["vram_total"] > 0


# --- the queue --------------------------------------------------------------------------------------------------------


def test_prompts_that_wait_and_run_are_listed_in_order(prompter: Prompter) -> None:
    prompter.house.gate.clear()
    first = prompter.submit(simple_graph())
    assert prompter.house.running.wait(PATIENCE_SECONDS)
    second, third = prompter.submit(simple_graph()), prompter.submit(simple_graph(), front=True)
    queue = prompter.client.get("/api/queue").get_json()
    assert [item[1] for item in queue["queue_running"]] == [first]
    assert [item[1] for item in queue["queue_pending"]] == [third, second]
    assert prompter.client.get("/prompt").get_json() == {"exec_info": {"queue_remaining": 3}}
    assert prompter.client.get(f"/history/{first}").get_json() == {}


def test_waiting_prompts_are_taken_off_the_queue_without_a_trace(prompter: Prompter) -> None:
    prompter.runtime.jobs.queue.pause()
    kept, dropped, native = prompter.submit(simple_graph()), prompter.submit(simple_graph()), prompter.house.submit()
    assert prompter.client.post("/queue", json={"delete": [dropped]}).status_code == 200
    assert [job.status for job in prompter.jobs(dropped)] == ["cancelled"]
    assert [job.status for job in prompter.jobs(kept)] == ["pending"]
    assert prompter.client.get("/history").get_json() == {}
    assert prompter.client.post("/api/queue", json={"clear": True}).status_code == 200
    assert [job.status for job in prompter.jobs(kept)] == ["cancelled"]
    assert prompter.runtime.jobs.queue.get(native).status == "pending"


def test_interrupt_stops_the_prompt_that_runs_and_no_other(prompter: Prompter) -> None:
    prompter.house.gate.clear()
    running = prompter.submit(simple_graph())
    waiting = prompter.submit(simple_graph())
    assert prompter.house.running.wait(PATIENCE_SECONDS)
    assert prompter.client.post("/interrupt", json={"prompt_id": waiting}).status_code == 200
    assert prompter.jobs(running)[0].status == "processing"
    assert prompter.client.post("/interrupt").status_code == 200
    prompter.house.gate.set()
    entry = prompter.finish(running)
    assert entry["status"]["status_str"] == "error"
    (name, told) = entry["status"]["messages"][-1]
    assert (name, told["node_id"], told["node_type"]) == ("execution_interrupted", "3", "KSampler")
    assert prompter.finish(waiting)["status"]["status_str"] == "success"


@pytest.mark.parametrize(("scope", "ends_as"), [("own", "completed"), ("global", "cancelled")])
def test_native_jobs_are_interrupted_only_where_the_scope_is_global(
    make_house: Callable[..., House], scope: str, ends_as: str
) -> None:
    house = make_house(interrupt={"scope": scope}).start()
    house.gate.clear()
    job_id = house.submit()
    assert house.running.wait(PATIENCE_SECONDS)
    assert house.client.post("/interrupt").status_code == 200
    house.gate.set()
    assert house.finished(job_id)["status"] == ends_as


def test_failures_are_told_with_the_node_that_draws(prompter: Prompter) -> None:
    entry = prompter.finish(prompter.submit(simple_graph("fake:fail")))
    assert entry["status"]["status_str"] == "error"
    (name, told) = entry["status"]["messages"][-1]
    assert (name, told["node_id"], told["exception_message"]) == ("execution_error", "3", "asked to fail")
    assert entry["outputs"] == {}


def test_a_full_queue_refuses_a_graph_and_keeps_nothing_of_it(make_house: Callable[..., House]) -> None:
    prompter = Prompter(make_house(limits={"pending_jobs": 1}).start())
    prompter.runtime.jobs.queue.pause()
    graph = {**simple_graph(), "10": node("EmptyLatentImage", width=32, height=32, batch_size=1)}
    graph["11"] = node("KSampler", **{**simple_graph()["3"]["inputs"], "latent_image": ["10", 0]})
    graph["12"] = node("VAEDecode", samples=["11", 0], vae=["4", 2])
    graph["13"] = node("PreviewImage", images=["12", 0])
    answer = prompter.client.post("/prompt", json={"prompt": graph, "prompt_id": "x"})
    assert answer.status_code == 429, answer.text
    assert prompter.runtime.jobs.queue.counts()["pending"] == 0
    assert prompter.runtime.jobs.kept_calls.find("x") is None


# --- the history ------------------------------------------------------------------------------------------------------


def test_history_is_listed_in_pages_and_forgotten_on_request(prompter: Prompter) -> None:
    ids = [prompter.submit(simple_graph(), prompt_id=f"p{k}") for k in range(3)]
    entries = [prompter.finish(prompt_id) for prompt_id in ids]
    assert [*prompter.client.get("/history").get_json()] == ids
    assert [*prompter.client.get("/history?max_items=1").get_json()] == ids[2:]
    assert [*prompter.client.get("/history?max_items=1&offset=1").get_json()] == ids[1:2]
    assert prompter.client.post("/history", json={"delete": [ids[0], "unknown"]}).status_code == 200
    assert [*prompter.client.get("/history").get_json()] == ids[1:]
    assert prompter.client.post("/history", json={"clear": True}).status_code == 200
    assert prompter.client.get("/history").get_json() == {}
    (image,) = entries[0]["outputs"]["9"]["images"]
    assert prompter.look(**image).size == (64, 64)


def test_history_reaches_past_what_waits(prompter: Prompter) -> None:
    first = prompter.submit(simple_graph())
    prompter.finish(first)
    prompter.runtime.jobs.queue.pause()
    prompter.submit(simple_graph())
    assert [*prompter.client.get("/history?max_items=1").get_json()] == [first]


def test_clearing_the_history_leaves_what_waits(prompter: Prompter) -> None:
    prompter.runtime.jobs.queue.pause()
    prompt_id = prompter.submit(simple_graph())
    assert prompter.client.post("/history", json={"clear": True}).status_code == 200
    prompter.runtime.jobs.queue.resume()
    assert prompter.finish(prompt_id)["status"]["completed"]


def test_history_survives_a_restart(make_house: Callable[..., House], tmp_path: Any) -> None:
    first = Prompter(make_house().start())
    prompt_id = first.submit(simple_graph(), client_id="me")
    entry = first.finish(prompt_id)
    first.house.close()
    second = House(first.house.config)
    try:
        assert second.start().client.get(f"/history/{prompt_id}").get_json() == {prompt_id: entry}
    finally:
        second.close()


def test_an_id_that_is_taken_is_refused(prompter: Prompter) -> None:
    prompt_id = prompter.submit(simple_graph())
    assert "prompt_id" in prompter.refuse(simple_graph(), prompt_id=prompt_id)["error"]["details"]


def test_two_pictures_of_a_graph_are_two_jobs_and_two_nodes_of_one_picture_are_one(prompter: Prompter) -> None:
    graph = {**simple_graph(), "10": node("PreviewImage", images=["8", 0])}
    graph["11"] = node("UpscaleModelLoader", model_name="esrgan_x2.safetensors")
    graph["12"] = node("ImageUpscaleWithModel", upscale_model=["11", 0], image=["8", 0])
    graph["13"] = node("SaveImage", images=["12", 0], filename_prefix="ComfyUI")
    prompt_id = prompter.submit(graph)
    entry = prompter.finish(prompt_id)
    assert [job.params["upscale"] for job in prompter.jobs(prompt_id)] == [False, True]
    plain, previewed, enlarged = (entry["outputs"][name]["images"][0] for name in ("9", "10", "13"))
    assert (plain["subfolder"], plain["type"], previewed["type"]) == (previewed["subfolder"], "output", "temp")
    for image, size in ((plain, (64, 64)), (previewed, (64, 64)), (enlarged, (256, 256))):
        assert prompter.look(**image).size == size


def test_free_unloads_the_model_and_keeps_it_chosen(prompter: Prompter) -> None:
    slot = prompter.runtime.models.slot
    assert prompter.client.post("/free", json={}).status_code == 200
    assert slot.resident is not None
    assert prompter.client.post("/free", json={"unload_models": True, "free_memory": True}).status_code == 200
    assert slot.resident is None
    assert slot.selected is not None


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_uploaded_pictures_are_drawn_from_and_shown(prompter: Prompter) -> None:
    answer = prompter.upload("a.png", subfolder="mine", type="input")
    assert answer.get_json() == {"name": "a.png", "subfolder": "mine", "type": "input"}
    graph = simple_graph(latent_image=["11", 0], denoise=0.5)
    graph["10"] = node("LoadImage", image="mine/a.png")
    graph["11"] = node("VAEEncode", pixels=["10", 0], vae=["4", 2])
    (job,) = prompter.jobs(prompter.submit(graph))
    assert (job.kind, job.params["strength"], job.params["steps"]) == ("img2img", 0.5, 4)
    assert prompter.view(filename="a.png", subfolder="mine", type="input") == (png(), "image/png")
    assert (
        "mine/a.png"
        in prompter.client.get("/object_info/LoadImage").get_json()["LoadImage"]["input"]["required"]["image"][0]
    )


def test_a_picture_that_was_drawn_can_be_loaded(prompter: Prompter) -> None:
    (image,) = prompter.finish(prompter.submit(simple_graph()))["outputs"]["9"]["images"]
    graph = simple_graph(latent_image=["11", 0], denoise=0.5)
    graph["10"] = node("LoadImage", image=f"{image['subfolder']}/{image['filename']} [output]")
    graph["11"] = node("VAEEncode", pixels=["10", 0], vae=["4", 2])
    assert prompter.finish(prompter.submit(graph))["status"]["completed"]


def test_an_uploaded_mask_becomes_the_pictures_transparency(prompter: Prompter) -> None:
    prompter.upload("a.png")
    original = json.dumps({"filename": "a.png", "subfolder": "", "type": "input"})
    form = {"image": (io.BytesIO(png((0, 0, 0, 0))), "mask.png"), "original_ref": original, "subfolder": "clipspace"}
    stored = prompter.client.post("/upload/mask", data=form, content_type="multipart/form-data")
    assert stored.get_json() == {"name": "mask.png", "subfolder": "clipspace", "type": "input"}
    made = {"filename": "mask.png", "subfolder": "clipspace", "type": "input"}
    assert prompter.look(**made).convert("RGBA").getpixel((0, 0)) == (255, 0, 0, 0)
    for channel, pixel in (("rgb", (255, 0, 0, 255)), ("a", (0, 0, 0, 0))):
        assert prompter.look(**made, channel=channel).convert("RGBA").getpixel((0, 0)) == pixel


def test_previews_are_files_in_the_format_that_is_asked_for(prompter: Prompter) -> None:
    (image,) = prompter.finish(prompter.submit(simple_graph()))["outputs"]["9"]["images"]
    for preview, form in (("webp;90", "webp"), ("jpeg;80", "jpeg"), ("webp", "webp"), ("x;y", "webp")):
        assert prompter.view(**image, preview=preview)[1] == f"image/{form}"
        assert prompter.look(**image, preview=preview).size == (64, 64)


@for_each_case(
    "query",
    [
        "filename=../../data/sdcpp_rest.db",
        "filename=sdcpp_rest.db&subfolder=../data&type=output",
        "filename=sdcpp_rest.db&subfolder=..&type=input",
        "filename=/etc/passwd&type=input",
        "filename=/etc/passwd",
        "filename=..%5C..%5Cdata%5Csdcpp_rest.db&type=input",
        "filename=.spool",
        "filename=x.png&subfolder=.bin",
        "filename=x.png%00&type=input",
        "filename=x.png&type=another",
        "filename=../x.png%20[output]&type=input",
        "filename=x.png&channel=q",
        "subfolder=x",
        "filename=",
    ],
)
def test_view_serves_nothing_from_elsewhere(shared_client: FlaskClient, query: str) -> None:
    answer = shared_client.get(f"/view?{query}")
    assert answer.status_code in (400, 404), answer.text
    assert answer.get_json()["node_errors"] == {}


@for_each_case(
    ("name", "data", "fields"),
    [
        ("../x.png", png(), {}),
        ("x.html", png(), {}),
        ("x.png", b"<script>", {}),
        ("x.png", b"", {}),
        ("x.png", png(), {"subfolder": "../.."}),
        ("x.png", png(), {"subfolder": "/etc"}),
        ("x.png", png(), {"type": "output"}),
    ],
)
def test_uploads_that_are_no_pictures_or_go_elsewhere_are_refused(
    shared_client: FlaskClient, name: str, data: bytes, fields: dict[str, str]
) -> None:
    form = {"image": (io.BytesIO(data), name), **fields}
    answer = shared_client.post("/upload/image", data=form, content_type="multipart/form-data")
    assert answer.status_code == 400, answer.text
