"""Tools as agents call them, with the official client, in both protocols."""

from __future__ import annotations

import asyncio
import base64
import io
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from sdcpp_rest.core.events import JobAdded, JobCancelled, JobStatusChanged
from sdcpp_rest.routes.mcp.tools import TOOLS
from sdcpp_rest.runtime import DEMO_MODEL
from sdcpp_rest.services.jobs.event_bus import Subscription
from sdcpp_rest.services.models import architecture_presets
from tests.raw_calls import RawCall
from tests.routes.conftest import PATIENCE_SECONDS, ServedHouse
from tests.routes.mcp.agents import (
    ACCEPT,
    ERAS,
    SMALL,
    STATELESS,
    call,
    facts_of,
    pictures_of,
    refusal_of,
    stateless,
    talk,
    text_of,
)
from tests.routes.native.jobs.test_video_routes import choose_wan

if TYPE_CHECKING:
    from mcp import Client

pytestmark = pytest.mark.slow

NO_JOB = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("era", ERAS)
def test_tools_are_listed_as_the_table_has_them(shared_house: ServedHouse, era: str) -> None:
    listed = talk(shared_house.url, lambda client: client.list_tools(), era)
    shown = [tool.model_dump(by_alias=True, exclude_none=True) for tool in listed.tools]
    assert shown == [tool.describe() for tool in TOOLS]


@pytest.mark.parametrize("era", ERAS)
def test_a_picture_comes_with_its_progress_a_small_copy_and_links(shared_house: ServedHouse, era: str) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async def draw(client: Client) -> Any:
        wanted = {**SMALL, "prompt": "fake:step=0.1", "width": 100, "seed": 5}
        return await client.call_tool("generate_image", wanted, progress_callback=note)

    result = talk(shared_house.url, draw, era)
    facts = facts_of(result)
    assert {name: facts[name] for name in ("status", "seed", "model", "width", "height")} == {
        "status": "completed", "seed": 5, "model": DEMO_MODEL, "width": 96, "height": 64,
    }  # fmt: skip
    assert facts["warnings"] == ["width 100 is no multiple of 8; 96 was drawn."]
    assert facts["seconds"] >= 0
    numbers = [progress for progress, _, _ in told]
    assert numbers == sorted(set(numbers)), "they only grow"
    steps = [(progress, total, (message or "").partition(",")[0]) for progress, total, message in told]
    # A busy machine may be told of fewer, and of the last one in any case.
    counted = [one for one in steps if one[2].startswith("step")]
    assert counted[-1] == (3, 3, "step 3 of 3")
    assert set(counted) <= {(k, 3, f"step {k} of 3") for k in (1, 2, 3)}
    (shown,) = pictures_of(result)
    assert Image.open(io.BytesIO(base64.b64decode(shown.data))).size == (96, 64)
    assert (shown.mime_type, shown.annotations.audience) == ("image/jpeg", ["user", "assistant"])
    (link,) = [block for block in result.content if block.type == "resource_link"]
    (image,) = facts["images"]
    assert link.uri == image["url"] == f"{shared_house.url}/output/{facts['job_id']}/image_0.png"
    whole = shared_house.get(image["url"].removeprefix(shared_house.url)).content
    assert Image.open(io.BytesIO(whole)).size == (96, 64)
    assert _open(Path(image["file"])).size == (96, 64), "the caller is on this machine"
    read = talk(shared_house.url, lambda client: client.read_resource(image["resource"]), era)
    assert base64.b64decode(read.contents[0].blob) == Path(image["file"]).read_bytes()
    assert shown.data not in text_of(result)


@pytest.mark.parametrize("era", ERAS)
def test_wait_seconds_of_0_answers_at_once_and_job_status_brings_the_picture(served: ServedHouse, era: str) -> None:
    served.house.gate.clear()
    facts = facts_of(call(served.url, "generate_image", era, **SMALL, wait_seconds=0))
    assert facts["status"] in ("queued", "running")
    assert facts["job_id"] in facts["next"]
    assert served.house.running.wait(PATIENCE_SECONDS)
    running = facts_of(call(served.url, "job_status", era, job_id=facts["job_id"], wait_seconds=0))
    assert (running["status"], running["percent"]) == ("running", 0.0)
    served.house.gate.set()
    done = call(served.url, "job_status", era, job_id=facts["job_id"])
    assert facts_of(done)["status"] == "completed"
    assert len(pictures_of(done)) == 1


def test_a_wait_that_ends_leaves_the_job_in_the_queue(served: ServedHouse) -> None:
    served.house.gate.clear()
    first = facts_of(call(served.url, "generate_image", **SMALL, wait_seconds=0.05))
    second = facts_of(call(served.url, "generate_image", **SMALL, wait_seconds=0.05))
    assert (second["status"], second["queue_position"]) == ("queued", 1)
    served.house.gate.set()
    for facts in (first, second):
        assert facts_of(call(served.url, "job_status", job_id=facts["job_id"]))["status"] == "completed"


def test_the_place_in_the_queue_is_told_while_a_job_waits(served: ServedHouse) -> None:
    served.house.gate.clear()
    call(served.url, "generate_image", **SMALL, wait_seconds=0)
    assert served.house.running.wait(PATIENCE_SECONDS)
    told: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)
        served.house.gate.set()

    talk(served.url, lambda client: client.call_tool("generate_image", SMALL, progress_callback=note))
    assert told[0] == "number 1 in the queue"
    assert any(message and message.startswith("step 3 of 3") for message in told)


def _next(mailbox: Subscription, kind: type[Any]) -> Any:
    while (event := mailbox.get(PATIENCE_SECONDS)) is not None:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind.__name__} came")


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("is_running", [True, False])
def test_who_leaves_takes_the_job_along(
    served: ServedHouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, era: str, is_running: bool
) -> None:
    if is_running:
        served.house.gate.clear()
    else:
        served.runtime.jobs.queue.pause()
    queue, is_cancelled = served.runtime.jobs.queue, threading.Event()
    cancel = queue.cancel

    def cancel_loudly(*given: Any) -> Any:
        try:
            return cancel(*given)
        finally:
            is_cancelled.set()

    monkeypatch.setattr(queue, "cancel", cancel_loudly)

    async def leave(client: Client) -> None:
        calling = asyncio.create_task(client.call_tool("generate_image", SMALL))
        await asyncio.to_thread(_next, mailbox, JobStatusChanged if is_running else JobAdded)
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        # While the client is still there: one that ends as well proves nothing.
        assert await asyncio.to_thread(is_cancelled.wait, PATIENCE_SECONDS)

    with served.runtime.jobs.bus.subscribe() as mailbox:
        talk(served.url, leave, era)
        served.house.gate.set()
        _next(mailbox, JobCancelled)
    (job,) = queue.list()
    assert job.status == "cancelled"
    faults = [record for record in caplog.records if record.levelname == "ERROR"]
    assert not [record for record in faults if not record.name.startswith("mcp.client")], "the client's are its own"


def test_who_leaves_job_status_leaves_the_job_alone(served: ServedHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    served.house.gate.clear()
    job_id = facts_of(call(served.url, "generate_image", **SMALL, wait_seconds=0))["job_id"]
    queue, is_waiting, is_gone = served.runtime.jobs.queue, threading.Event(), threading.Event()
    begin, forget = queue.ending, queue.forget_ending

    def begin_loudly(wanted: str) -> Any:
        future = begin(wanted)
        is_waiting.set()
        return future

    def forget_loudly(*given: Any) -> None:
        forget(*given)
        is_gone.set()

    monkeypatch.setattr(queue, "ending", begin_loudly)
    monkeypatch.setattr(queue, "forget_ending", forget_loudly)

    async def leave(client: Client) -> None:
        waiting = asyncio.create_task(client.call_tool("job_status", {"job_id": job_id}))
        assert await asyncio.to_thread(is_waiting.wait, PATIENCE_SECONDS)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    talk(served.url, leave)
    assert is_gone.wait(PATIENCE_SECONDS), "the server has heard of it"
    served.house.gate.set()
    assert facts_of(call(served.url, "job_status", job_id=job_id))["status"] == "completed"


def test_who_breaks_the_connection_takes_the_job_along(served: ServedHouse) -> None:
    served.runtime.jobs.queue.pause()
    message, headers = stateless("tools/call", {"name": "generate_image", "arguments": SMALL}, "generate_image")
    sent = {**headers, "Content-Type": "application/json", **ACCEPT}
    for how in (RawCall.leave, RawCall.reset):
        with served.runtime.jobs.bus.subscribe() as mailbox:
            raw = RawCall(served.port, "/mcp", message, headers=sent)
            added = _next(mailbox, JobAdded)
            how(raw)
            assert _next(mailbox, JobCancelled).job_id == added.job_id


def test_a_job_that_makes_no_pictures_has_none(served: ServedHouse) -> None:
    queue = served.runtime.jobs.queue
    queue.pause()
    job_id = queue.submit("convert", {"input": {"name": "x", "path": "x"}})[0].id
    queue.cancel(job_id)
    assert facts_of(call(served.url, "job_status", job_id=job_id))["images"] == []


def test_a_job_can_be_cancelled(served: ServedHouse) -> None:
    served.runtime.jobs.queue.pause()
    job_id = facts_of(call(served.url, "generate_image", **SMALL, wait_seconds=0))["job_id"]
    assert facts_of(call(served.url, "cancel_job", job_id=job_id))["status"] == "cancelled"
    assert facts_of(call(served.url, "job_status", job_id=job_id))["status"] == "cancelled"
    assert "it is cancelled" in refusal_of(call(served.url, "cancel_job", job_id=job_id))
    assert "job_not_found" in refusal_of(call(served.url, "cancel_job", job_id=NO_JOB))


def test_a_drawn_picture_can_be_edited_by_every_reference(shared_house: ServedHouse) -> None:
    url = shared_house.url
    drawn = facts_of(call(url, "generate_image", **{**SMALL, "width": 128}))
    image = drawn["images"][0]
    references = (drawn["job_id"], f"{drawn['job_id']}/image_0.png", image["resource"], image["url"], image["file"])
    for reference in references:
        facts = facts_of(call(url, "edit_image", prompt="blue", image=reference, steps=2))
        job = shared_house.runtime.jobs.queue.get(facts["job_id"])
        assert (job.kind, set(job.inputs)) == ("img2img", {"init_image"})
        assert facts["width"] > facts["height"], "of the given picture's proportions"
    given = shared_house.runtime.jobs.outputs.inputs_of(job.id) / job.inputs["init_image"]
    assert _open(given).getpixel((0, 0)) == _open(Path(image["file"])).getpixel((0, 0)), "all of one colour"


def test_a_model_that_edits_is_shown_the_picture(shared_house: ServedHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architecture_presets, "_EDITORS", frozenset({"Ovis-Image"}))
    picture = _png((64, 64), "white")
    facts = facts_of(call(shared_house.url, "edit_image", prompt="x", image=picture, strength=0.5, steps=2))
    job = shared_house.runtime.jobs.queue.get(facts["job_id"])
    assert (job.kind, set(job.inputs)) == ("txt2img", {"ref_images.0"})
    assert "strength ignored: this model looks at image, instead of starting from it." in facts["warnings"]
    facts = facts_of(call(shared_house.url, "edit_image", prompt="x", image=picture, mask=picture, steps=2))
    job = shared_house.runtime.jobs.queue.get(facts["job_id"])
    assert (job.kind, set(job.inputs)) == ("img2img", {"init_image", "mask_image"})


def test_masks_and_references_reach_the_job(shared_house: ServedHouse) -> None:
    picture = _png((64, 64), "white")
    facts = facts_of(call(shared_house.url, "edit_image", prompt="x", image=picture, mask=picture, strength=0.5))
    job = shared_house.runtime.jobs.queue.get(facts["job_id"])
    assert (set(job.inputs), job.params["strength"]) == ({"init_image", "mask_image"}, 0.5)
    wide = f"data:image/png;base64,{_png((128, 64), 'red')}"
    facts = facts_of(call(shared_house.url, "edit_image", prompt="x", reference_images=[wide, picture], strength=0.5))
    job = shared_house.runtime.jobs.queue.get(facts["job_id"])
    assert (job.kind, set(job.inputs)) == ("txt2img", {"ref_images.0", "ref_images.1"})
    assert "strength ignored: it goes with image." in facts["warnings"]


def test_a_picture_can_be_made_larger(shared_house: ServedHouse) -> None:
    result = call(shared_house.url, "upscale_image", image=_png((16, 8), "red"), upscaler="esrgan_x2")
    facts = facts_of(result)
    assert (facts["model"], facts["width"], facts["height"]) == ("esrgan_x2.safetensors", 64, 32), "fourfold: a fake"
    assert len(pictures_of(result)) == 1
    assert facts_of(call(shared_house.url, "upscale_image", image=facts["job_id"], factor=2))["width"] == 128


def test_a_video_is_made_and_linked(served: ServedHouse) -> None:
    choose_wan(served.house)
    wishes = {"prompt": "a cat", "width": 32, "height": 16, "frames": 5, "steps": 2, "fps": 8}
    result = call(served.url, "generate_video", **wishes)
    facts = facts_of(result)
    (film,) = facts["images"]
    assert (facts["status"], film["mime_type"]) == ("completed", "video/mp4")
    assert text_of(result).startswith("Made 1 video.")
    assert [block.type for block in result.content] == ["text", "resource_link"]
    job = served.runtime.jobs.queue.get(facts["job_id"])
    assert (job.params["video_frames"], job.params["fps"]) == (5, 8)
    read = talk(served.url, lambda client: client.read_resource(film["resource"]))
    assert base64.b64decode(read.contents[0].blob) == Path(film["file"]).read_bytes()
    (wan,) = [one for one in facts_of(call(served.url, "list_models"))["models"] if one["name"] == "wan.gguf"]
    assert (wan["makes"], wan["selected"]) == ("video", True)


def test_videos_are_refused_by_models_that_make_none(shared_house: ServedHouse) -> None:
    refusal = refusal_of(call(shared_house.url, "generate_video", prompt="a cat", frames=5))
    assert "video" in refusal


def test_models_are_told_with_what_they_are_good_for(shared_house: ServedHouse) -> None:
    facts = facts_of(call(shared_house.url, "list_models"))
    (model,) = facts["models"]
    assert (model["name"], model["makes"], model["selected"], model["loaded"]) == (DEMO_MODEL, "images", True, True)
    assert (model["width"], model["height"], model["steps"]) == (64, 64, 12), "as its sidecar has them"
    assert model["good_for"]
    assert model["fits"] == "fits"
    assert "esrgan_x4.safetensors" in facts["upscalers"]
    assert facts_of(call(shared_house.url, "list_models", search="nothing so called"))["models"] == []


def test_a_model_can_be_loaded_and_is_waited_for(served: ServedHouse) -> None:
    served.house.load_gate.clear()
    served.runtime.models.slot.unload()
    facts = facts_of(call(served.url, "load_model", model=DEMO_MODEL, wait_seconds=0))
    assert (facts["model"], facts["status"]) == (DEMO_MODEL, "loading")
    served.house.load_gate.set()
    assert facts_of(call(served.url, "load_model", model=DEMO_MODEL))["status"] == "loaded"
    assert DEMO_MODEL in refusal_of(call(served.url, "load_model", model="demo_dit_q9"))


def test_finished_pictures_are_listed_newest_first(served: ServedHouse) -> None:
    first, second = (facts_of(call(served.url, "generate_image", **SMALL, seed=seed)) for seed in (1, 2))
    listed = facts_of(call(served.url, "list_images"))["images"]
    assert [one["job_id"] for one in listed] == [second["job_id"], first["job_id"]]
    assert listed[0]["images"] == second["images"]
    assert [one["seed"] for one in facts_of(call(served.url, "list_images", limit=1, offset=1))["images"]] == [1]
    assert facts_of(call(served.url, "list_images", search="nothing"))["images"] == []


def test_a_list_tells_the_first_pictures_of_a_job(served: ServedHouse) -> None:
    drawn = facts_of(call(served.url, "generate_image", **SMALL, count=6))
    (listed,) = facts_of(call(served.url, "list_images"))["images"]
    assert listed["images"] == drawn["images"][:4]
    assert listed["images_left_out"] == 2


def test_unknown_arguments_are_warned_of_by_every_tool_that_has_answered(shared_house: ServedHouse) -> None:
    for tool, arguments in (("list_models", {}), ("list_images", {}), ("generate_image", SMALL)):
        facts = facts_of(call(shared_house.url, tool, **arguments, stepz=3))
        assert "unknown field 'stepz'" in facts["warnings"][0], tool


def test_inline_none_and_full(shared_house: ServedHouse) -> None:
    assert not pictures_of(call(shared_house.url, "generate_image", **SMALL, inline="none"))
    (whole,) = pictures_of(call(shared_house.url, "generate_image", **SMALL, inline="full"))
    assert whole.mime_type == "image/png"


def test_a_failure_is_told_in_its_own_words_and_the_next_call_works(served: ServedHouse) -> None:
    refusal = refusal_of(call(served.url, "generate_image", **{**SMALL, "prompt": "fake:fail"}))
    (job,) = served.runtime.jobs.queue.list()
    assert "asked to fail" in refusal
    assert job.id in refusal
    assert "asked to fail" in refusal_of(call(served.url, "job_status", job_id=job.id))
    assert facts_of(call(served.url, "generate_image", **SMALL))["status"] == "completed"


HOSTILE: dict[str, list[dict[str, Any]]] = {
    "generate_image": [
        {},
        {"prompt": ""},
        {"prompt": ["x"]},
        {"prompt": "x" * 20_001},
        {"prompt": "x", "width": 10**9},
        {"prompt": "x", "width": -8},
        {"prompt": "x", "steps": 0},
        {"prompt": "x", "steps": "many"},
        {"prompt": "x", "cfg_scale": 1e308},
        {"prompt": "x", "seed": 2**70},
        {"prompt": "x", "count": 10**6},
        {"prompt": "x", "sampler": "no such"},
        {"prompt": "x", "wait_seconds": -1},
        {"prompt": "x", "wait_seconds": 10**9},
        {"prompt": "x", "inline": "all"},
        {"prompt": "x", "model": "../../etc/passwd"},
        {"prompt": "x", "model": "\x00"},
        {"prompt": "x", "width": True},
        {"prompt": "x", "width": {"a": [1]}},
    ],
    "edit_image": [
        {"prompt": "x"},
        {"prompt": "x", "image": "no base64!"},
        {"prompt": "x", "image": "aGVsbG8="},
        {"prompt": "x", "image": NO_JOB},
        {"prompt": "x", "image": f"{NO_JOB}/../../../etc/passwd"},
        {"prompt": "x", "image": "sdcpp://output/../../etc/passwd"},
        {"prompt": "x", "image": "sdcpp://output/%2e%2e/%2e%2e/etc"},
        {"prompt": "x", "image": "file:///etc/passwd"},
        {"prompt": "x", "image": "/etc/passwd"},
        {"prompt": "x", "image": "http://169.254.169.254/latest/meta-data"},
        {"prompt": "x", "image": "http://127.0.0.1:9/"},
        {"prompt": "x", "image": "http://user:word@example.org/"},
        {"prompt": "x", "mask": "aGVsbG8="},
        {"prompt": "x", "reference_images": ["x"] * 17},
        {"prompt": "x", "reference_images": [1]},
    ],
    "upscale_image": [
        {},
        {"image": ""},
        {"image": "aGVsbG8="},
        {"image": NO_JOB, "factor": 99},
        {"image": "x", "upscaler": "?"},
    ],
    "generate_video": [{}, {"prompt": "x", "frames": 10**9}, {"prompt": "x", "fps": 0}, {"prompt": "x", "image": "?"}],
    "list_models": [{"search": 5}, {"search": "x" * 1000}],
    "load_model": [{}, {"model": ""}, {"model": "../x"}, {"model": "x" * 5000}, {"model": "x", "wait_seconds": "?"}],
    "job_status": [{}, {"job_id": ""}, {"job_id": "x"}, {"job_id": {"a": 1}}, {"job_id": NO_JOB, "inline": 5}],
    "cancel_job": [{}, {"job_id": "x"}, {"job_id": None}],
    "list_images": [{"limit": 0}, {"limit": 10**9}, {"offset": -1}, {"search": []}],
}  # fmt: skip


def test_hostile_arguments_are_refused_with_a_sentence_by_every_tool(shared_house: ServedHouse) -> None:
    assert HOSTILE.keys() == {tool.name for tool in TOOLS}
    engine = shared_house.get("/health").json()["engine"]
    jobs = len(shared_house.runtime.jobs.queue.list())

    async def try_all(client: Client) -> None:
        for tool, cases in HOSTILE.items():
            for arguments in cases:
                result = await client.call_tool(tool, arguments)
                shown = f"{tool} {str(arguments)[:100]}"
                assert result.is_error, shown
                refusal = text_of(result)
                assert "internal" not in refusal.lower(), f"{shown}: {refusal}"
                assert str(shared_house.runtime.config.paths.data_dir) not in refusal, shown
                assert 10 < len(refusal) < 600, f"{shown}: {refusal}"

    talk(shared_house.url, try_all)
    assert shared_house.get("/health").json()["engine"] == engine
    assert len(shared_house.runtime.jobs.queue.list()) == jobs


@pytest.mark.parametrize("era", ERAS)
def test_resources_can_be_listed_and_read(shared_house: ServedHouse, era: str) -> None:
    drawn = facts_of(call(shared_house.url, "generate_image", **SMALL))

    async def look(client: Client) -> None:
        listed = await client.list_resources()
        assert [one.uri for one in listed.resources] == [
            "sdcpp://health", "sdcpp://models", "sdcpp://queue", "sdcpp://outputs",
        ]  # fmt: skip
        templates = await client.list_resource_templates()
        assert [one.uri_template for one in templates.resource_templates] == ["sdcpp://output/{job}/{file}"]
        texts = {one.uri: (await client.read_resource(one.uri)).contents[0].text for one in listed.resources}
        assert '"status":"ok"' in texts["sdcpp://health"]
        assert DEMO_MODEL in texts["sdcpp://models"]
        assert '"paused":false' in texts["sdcpp://queue"]
        assert drawn["job_id"] in texts["sdcpp://outputs"]
        picture = (await client.read_resource(drawn["images"][0]["resource"])).contents[0]
        assert picture.mime_type == "image/png"
        assert Image.open(io.BytesIO(base64.b64decode(picture.blob))).size == (64, 64)

    talk(shared_house.url, look, era)


def test_resources_that_are_not_there_are_refused(shared_house: ServedHouse) -> None:
    from mcp import MCPError

    wrong = (
        "sdcpp://nothing", "sdcpp://output/", f"sdcpp://output/{NO_JOB}/image_0.png", "sdcpp://output/../x",
        "sdcpp://output/.spool/x", "sdcpp://output/%2e%2e/%2e%2e", "http://example.org/",
    )  # fmt: skip

    async def read(client: Client) -> None:
        for uri in wrong:
            with pytest.raises(MCPError, match="There is no"):
                await client.read_resource(uri)

    talk(shared_house.url, read, STATELESS)


def _open(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
    return picture


def _png(size: tuple[int, int], colour: str) -> str:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
