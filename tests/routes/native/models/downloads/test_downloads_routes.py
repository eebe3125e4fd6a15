"""Downloads over HTTP, from local servers that speak like Hugging Face, CivitAI and any web server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.core.events import JobAdded, JobStatusChanged, ModelsChanged, TransferProgress
from tests.cases import for_each_case
from tests.routes.conftest import House
from tests.routes.native.models.downloads.conftest import HALF, SUM, Houses, ask, folder, left, listed, until_half
from tests.servers.civitai_server import CivitaiServer
from tests.servers.fault_server import FaultServer
from tests.servers.hub_server import COMMIT, HubServer, Repository
from tests.services.downloads.conftest import MODEL

# --- the way it should be ---------------------------------------------------------------------------------------------


def test_an_address_becomes_a_checked_model(ready: House, web: FaultServer) -> None:
    web.add("/files/style.safetensors", MODEL)
    with ready.runtime.jobs.bus.subscribe(maxsize=10_000) as mailbox:
        told = ask(ready, url=f"{web.url}/files/style.safetensors")
        download = ready.finished(told["download_job_id"])
        check = ready.finished(told["hash_job_id"])
        events = mailbox.drain()
    assert told["success"] is True
    assert told["source"] == "url"
    assert told["model_type"] == "lora"
    assert told["position"] == 1
    assert (download["type"], download["status"]) == ("model_download", "completed")
    assert download["progress"]["percentage"] == 100
    assert (check["type"], check["status"]) == ("model_hash", "completed")
    assert (folder(ready) / "style.safetensors").read_bytes() == MODEL
    assert listed(ready) == ["style.safetensors"]
    assert ready.client.get("/models/hash/lora/style.safetensors").get_json()["hash"] == SUM
    assert left(ready) == ["style.safetensors"]
    assert [event.type for event in events if isinstance(event, JobAdded)] == ["model_download", "model_hash"]
    shown = [event for event in events if isinstance(event, TransferProgress)]
    assert {event.phase for event in shown} == {"downloading", "hashing"}
    assert shown[-1].downloaded_bytes == len(MODEL)
    added = ModelsChanged(change="added", model_name="style.safetensors", model_type="lora")
    assert [event for event in events if isinstance(event, ModelsChanged)] == [added]
    ends = [event.job_id for event in events if isinstance(event, JobStatusChanged) and event.status == "completed"]
    assert ends == [told["download_job_id"], told["hash_job_id"]]


@pytest.mark.slow
@pytest.mark.parametrize("given", ["plain", "hub", "civitai"])
def test_params_of_a_download_are_taken_again_without_a_warning(
    ready: House, web: FaultServer, hub: HubServer, civitai: CivitaiServer, given: str
) -> None:
    web.add("/style.safetensors", MODEL)
    hub.add("org/styles", Repository({"style.safetensors": MODEL}))
    fields = {
        "plain": {"url": f"{web.url}/style.safetensors"},
        "hub": {"repo_id": "org/styles", "filename": "style.safetensors"},
        "civitai": {"model_id": "11"},
    }[given]
    civitai.add(11, 22, "style.safetensors", MODEL)
    told = ask(ready, **fields)
    check = ready.finished(told["hash_job_id"])
    assert check["status"] == "completed", check
    params = ready.finished(told["download_job_id"])["params"]
    again = ask(ready, **params)
    assert "warnings" not in again
    assert ready.finished(again["hash_job_id"])["status"] == "completed"
    hashed = ready.client.get(f"/models/hash/{check['params']['model_type']}/{check['params']['model_name']}")
    assert hashed.get_json()["hash"] == SUM


@pytest.mark.slow
@pytest.mark.parametrize(
    "form", ["repo", "page", "blob", "resolve", "words", "tree"], ids=lambda form: f"pasted as {form}"
)
def test_hugging_face_in_every_form_people_paste(ready: House, hub: HubServer, form: str) -> None:
    hub.add("org/styles", Repository({"sub/style.safetensors": MODEL, "README.md": b"# hello"}))
    given: dict[str, Any] = {
        "repo": {"repo_id": "org/styles", "filename": "sub/style.safetensors"},
        "page": {"url": f"{hub.url}/org/styles"},
        "blob": {"url": f"{hub.url}/org/styles/blob/main/sub/style.safetensors"},
        "resolve": {"url": f"{hub.url}/org/styles/resolve/{COMMIT}/sub/style.safetensors?download=true"},
        "words": {"url": "org/styles"},
        "tree": {"url": f"{hub.url}/org/styles/tree/main"},
    }[form]
    told = ask(ready, **given)
    assert told["source"] == "huggingface"
    assert told["sha256"] == SUM
    assert told["file_size"] == len(MODEL)
    job = ready.finished(told["download_job_id"])
    assert job["status"] == "completed", job
    assert job["params"]["revision"] == COMMIT
    assert job["params"]["licence"] == "apache-2.0"
    assert ready.finished(told["hash_job_id"])["status"] == "completed"
    assert listed(ready) == ["style.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        {"model_id": "11"},
        {"model_id": "11:22"},
        {"url": "URL/models/11/a-style?modelVersionId=22"},
        {"url": "URL/models/11"},
        {"url": "URL/api/download/models/22?type=Model&format=SafeTensor"},
        {"url": "https://civitai.com/api/download/models/22"},
        {"url": "urn:air:sdxl:lora:civitai:11@22"},
        {"source": "civitai", "model_id": "civitai:11@22"},
    ],
    ids=str,
)
def test_civitai_in_every_form_people_paste(ready: House, civitai: CivitaiServer, given: dict[str, Any]) -> None:
    civitai.add(11, 22, "style.safetensors", MODEL)
    told = ask(ready, **{name: value.replace("URL", civitai.url) for name, value in given.items()})
    assert told["source"] == "civitai"
    assert told["sha256"] == SUM
    job = ready.finished(told["download_job_id"])
    assert job["status"] == "completed", job
    assert ready.finished(told["hash_job_id"])["status"] == "completed"
    assert listed(ready) == ["style.safetensors"]


def test_a_file_gets_the_folder_and_the_name_that_were_asked_for(ready: House, web: FaultServer) -> None:
    web.add("/dl", MODEL, headers={"Content-Disposition": "attachment; filename*=UTF-8''sty%20le.safetensors"})
    told = ask(ready, url=f"{web.url}/dl", subfolder="SDXL/styles")
    assert told["model_name"] == "SDXL/styles/sty le.safetensors"
    told = ask(ready, url=f"{web.url}/dl", name="mine.safetensors", title="mine")
    assert ready.finished(told["hash_job_id"])["title"] == "mine"
    assert listed(ready) == ["mine.safetensors", "SDXL/styles/sty le.safetensors"]


def test_what_does_not_belong_there_is_told(ready: House, web: FaultServer) -> None:
    web.add("/x.gguf", MODEL)
    told = ask(ready, url=f"{web.url}/x.gguf", model_type="checkpoint", revision="main", colour="red")
    assert any("colour" in warning for warning in told["warnings"])
    assert ready.finished(told["download_job_id"])["status"] == "completed"


# --- what the sources say ---------------------------------------------------------------------------------------------


def test_civitai_tells_about_a_model(ready: House, civitai: CivitaiServer) -> None:
    civitai.add(11, 22, "old.safetensors", MODEL)
    civitai.add(11, 33, "new.safetensors", MODEL)
    told = ready.client.get("/models/civitai/11").get_json()
    assert told == {
        "success": True,
        "model_id": "11",
        "version_id": "33",
        "name": "A style",
        "version_name": "v33",
        "type": "lora",
        "base_model": "SDXL 1.0",
        "filename": "new.safetensors",
        "file_size": len(MODEL),
        "sha256": SUM,
        "download_url": f"{civitai.url}/api/download/models/33",
    }
    assert ready.client.get("/models/civitai/11:22").get_json()["filename"] == "old.safetensors"
    missing = ready.client.get("/models/civitai/11:44")
    assert missing.status_code == 404
    assert missing.get_json()["candidates"] == ["33", "22"]
    assert ready.client.get("/models/civitai/99").status_code == 404
    assert ready.client.get("/models/civitai/abc").status_code == 400
    assert ready.client.get("/models/civitai/..%2f..%2fx").status_code in (400, 404)


def test_hugging_face_tells_about_a_file(ready: House, hub: HubServer) -> None:
    hub.add("org/styles", Repository({"style.safetensors": MODEL}))
    told = ready.client.get("/models/huggingface?repo_id=org/styles&filename=style.safetensors").get_json()
    assert told == {
        "success": True,
        "repo_id": "org/styles",
        "filename": "style.safetensors",
        "revision": "main",
        "file_size": len(MODEL),
        "download_url": f"{hub.url}/org/styles/resolve/{COMMIT}/style.safetensors",
        "sha256": SUM,
        "commit": COMMIT,
        "licence": "apache-2.0",
    }


@for_each_case(
    ("query", "status", "field"),
    [
        ("filename=x.gguf", 400, "repo_id"),
        ("repo_id=org/several", 400, "filename"),
        ("repo_id=../../etc&filename=x.gguf", 400, "repo_id"),
        ("repo_id=org/styles&filename=../x.gguf", 400, "filename"),
        ("repo_id=org/styles&filename=nothing.gguf", 404, "filename"),
        ("repo_id=org/styles&filename=style.safetensors&revision=elsewhere", 404, "revision"),
        ("repo_id=org/styles&filename=style.safetensors&revision=../..", 400, "revision"),
        ("repo_id=org/nothing&filename=x.gguf", 404, None),
    ],
)
def test_questions_that_have_no_answer(
    ready: House, hub: HubServer, query: str, status: int, field: str | None
) -> None:
    hub.add("org/styles", Repository({"style.safetensors": MODEL}))
    hub.add("org/several", Repository({"a.safetensors": MODEL, "b.safetensors": MODEL}))
    answer = ready.client.get(f"/models/huggingface?{query}")
    assert answer.status_code == status, answer.text
    assert answer.get_json().get("field") == field


def test_hugging_face_tells_about_the_only_file_and_names_several(ready: House, hub: HubServer) -> None:
    hub.add("org/styles", Repository({"style.safetensors": MODEL, "README.md": b"words"}))
    hub.add("org/several", Repository({"b.safetensors": MODEL, "dir/a.gguf": MODEL}))
    told = ready.client.get("/models/huggingface?repo_id=org/styles").get_json()
    assert (told["filename"], told["file_size"]) == ("style.safetensors", len(MODEL))
    refused = ready.client.get("/models/huggingface?repo_id=org/several")
    assert refused.status_code == 400
    assert refused.get_json()["candidates"] == ["b.safetensors", "dir/a.gguf"]


def test_recommended_models_come_with_every_file(ready: House) -> None:
    bundles = ready.client.get("/models/recommended").get_json()["bundles"]
    assert {"sd-turbo", "z-image-turbo", "flux-schnell", "wan2.1-t2v-1.3b"} <= {bundle["id"] for bundle in bundles}
    small = ready.client.get("/models/recommended?memory_gb=8").get_json()["bundles"]
    assert {size["memory_gb"] for bundle in small for size in bundle["sizes"]} == {4, 8}
    assert ready.client.get("/models/recommended?checked=true").get_json()["bundles"] == []


# --- cuts, stops and restarts -----------------------------------------------------------------------------------------


def test_a_download_that_is_cut_twice_arrives(ready: House, hub: HubServer) -> None:
    served = hub.add("org/styles", Repository({"style.safetensors": MODEL}))["style.safetensors"]
    served.cuts = [300_000, 300_000]
    told = ask(ready, repo_id="org/styles", filename="style.safetensors")
    assert ready.finished(told["download_job_id"])["status"] == "completed"
    ranges = [one.headers.get("range") for one in hub.cdn.asked]
    assert ranges == [None, "bytes=300000-", "bytes=600000-"]
    assert ready.finished(told["hash_job_id"])["status"] == "completed"


def test_progress_is_told_in_bytes(ready: House, web: FaultServer) -> None:
    file = web.add("/style.safetensors", MODEL, hold_after=HALF)
    told = ask(ready, url=f"{web.url}/style.safetensors")
    until_half(ready, told["download_job_id"])
    job = ready.client.get(f"/queue/{told['download_job_id']}").get_json()
    progress = job["progress"]
    assert job["status"] == "processing"
    assert progress["phase"] == "downloading"
    assert progress["downloaded_bytes"] == HALF
    assert progress["total_bytes"] == len(MODEL)
    assert progress["percentage"] == pytest.approx(100 * HALF / len(MODEL), abs=0.1)
    assert progress["bytes_per_second"] >= 0
    listing = ready.client.get("/queue").get_json()
    assert listing["processing_count"] == 0, "the engine has nothing to do with it"
    assert left(ready) != []
    assert listed(ready) == [], "not before it is whole"
    drawn = ready.finished(ready.submit())
    assert drawn["status"] == "completed", "pictures are drawn meanwhile"
    file.release.set()
    assert ready.finished(told["hash_job_id"])["status"] == "completed"


def test_a_cancelled_download_leaves_nothing(ready: House, web: FaultServer) -> None:
    web.add("/style.safetensors", MODEL, hold_after=HALF)
    told = ask(ready, url=f"{web.url}/style.safetensors")
    until_half(ready, told["download_job_id"])
    answer = ready.client.post(f"/queue/{told['download_job_id']}/cancel")
    assert answer.status_code == 200, answer.text
    assert ready.finished(told["download_job_id"])["status"] == "cancelled"
    assert ready.finished(told["hash_job_id"])["status"] == "cancelled"
    assert left(ready) == []


def test_a_waiting_download_is_cancelled_with_its_check(ready: House, web: FaultServer) -> None:
    held = [web.add(f"/{k}.safetensors", MODEL, hold_after=HALF) for k in range(3)]
    told = [ask(ready, url=f"{web.url}/{k}.safetensors") for k in range(3)]
    waiting = told[2]
    for one in told[:2]:
        until_half(ready, one["download_job_id"])
    assert ready.client.get(f"/queue/{waiting['download_job_id']}").get_json()["status"] == "pending", "two at a time"
    ready.client.delete(f"/queue/{waiting['download_job_id']}")
    assert ready.finished(waiting["hash_job_id"])["status"] == "cancelled"
    for one in held:
        one.release.set()
    for one in told[:2]:
        assert ready.finished(one["hash_job_id"])["status"] == "completed"
    assert left(ready) == ["0.safetensors", "1.safetensors"]


def test_a_restart_in_the_middle_goes_on_where_it_was(make_ready: Houses, make_house: Houses, hub: HubServer) -> None:
    served = hub.add("org/styles", Repository({"style.safetensors": MODEL}))["style.safetensors"]
    served.hold_after = HALF
    first = make_ready()
    told = ask(first, repo_id="org/styles", filename="style.safetensors")
    job_id = told["download_job_id"]
    until_half(first, job_id)
    first.close()
    served.release.set()
    second = House(first.config).start()
    try:
        assert second.finished(job_id)["status"] == "completed"
        assert second.finished(told["hash_job_id"])["status"] == "completed"
        assert (folder(second) / "style.safetensors").read_bytes() == MODEL
        assert [one.headers.get("range") for one in hub.cdn.asked] == [None, f"bytes={HALF}-"]
    finally:
        second.close()


def test_a_pause_of_the_queue_holds_downloads_too(ready: House, web: FaultServer) -> None:
    web.add("/style.safetensors", MODEL)
    ready.client.post("/queue/pause")
    told = ask(ready, url=f"{web.url}/style.safetensors")
    assert ready.client.get(f"/queue/{told['download_job_id']}").get_json()["status"] == "pending"
    ready.client.post("/queue/resume")
    assert ready.finished(told["hash_job_id"])["status"] == "completed"


def test_a_source_that_stays_away_fails_the_job_and_the_next_try_goes_on(ready: House, hub: HubServer) -> None:
    served = hub.add("org/styles", Repository({"style.safetensors": MODEL}))["style.safetensors"]
    served.cuts, served.statuses = [HALF], [None, *[503] * 9]
    told = ask(ready, repo_id="org/styles", filename="style.safetensors")
    job = ready.finished(told["download_job_id"])
    assert job["status"] == "failed"
    assert job["error_code"] == "source_unavailable"
    assert "goes on from there" in job["error"]
    check = ready.finished(told["hash_job_id"])
    assert (check["status"], check["error_code"]) == ("failed", "download_failed")
    served.statuses = []
    again = ask(ready, repo_id="org/styles", filename="style.safetensors")
    assert ready.finished(again["hash_job_id"])["status"] == "completed"
    assert hub.cdn.asked[-1].headers["range"] == f"bytes={HALF}-"


# --- faults that end a job --------------------------------------------------------------------------------------------


def test_a_wrong_sum_is_refused(ready: House, hub: HubServer) -> None:
    hub.add("org/styles", Repository({"style.safetensors": MODEL}, sums={"style.safetensors": "0" * 64}))
    told = ask(ready, repo_id="org/styles", filename="style.safetensors")
    job = ready.finished(told["download_job_id"])
    assert job["status"] == "failed"
    assert job["error_code"] == "content_mismatch"
    assert SUM in job["error"]
    assert left(ready) == []
    assert ready.finished(told["hash_job_id"])["status"] == "failed"


def test_a_wrong_size_is_refused(ready: House, hub: HubServer) -> None:
    hub.add("org/styles", Repository({"style.safetensors": MODEL}, sizes={"style.safetensors": 5}))
    told = ask(ready, repo_id="org/styles", filename="style.safetensors")
    assert ready.finished(told["download_job_id"])["error_code"] == "content_mismatch"
    assert left(ready) == []


def test_a_file_that_is_no_model_inside_is_refused(ready: House, web: FaultServer) -> None:
    broken = MODEL[:8] + b"{" + b"x" * 5000
    web.add("/style.safetensors", broken)
    told = ask(ready, url=f"{web.url}/style.safetensors")
    job = ready.finished(told["download_job_id"])
    assert (job["status"], left(ready)) == ("failed", [])
    assert "style.safetensors" in job["error"]


def test_a_file_that_is_damaged_on_the_disk_is_found(make_ready: Houses, web: FaultServer) -> None:
    """Between the last byte and the check: what is read back is not what came."""
    house = make_ready()
    web.add("/style.safetensors", MODEL)
    take = house.runtime.models.uploads.take

    def take_and_damage(*given: Any) -> Any:
        stored = take(*given)
        path = Path(stored.file.path)
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        return stored

    house.runtime.models.uploads.take = take_and_damage  # type: ignore[method-assign]
    told = ask(house, url=f"{web.url}/style.safetensors")
    check = house.finished(told["hash_job_id"])
    assert check["status"] == "failed"
    assert "damaged on the disk" in check["error"]
