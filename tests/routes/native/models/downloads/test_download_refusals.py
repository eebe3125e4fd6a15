"""Downloads that are refused at once, and what is never shown of those that are not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cases import for_each_case
from tests.routes.conftest import House
from tests.routes.native.models.downloads.conftest import HALF, Houses, ask, folder, refused
from tests.servers.civitai_server import CivitaiServer
from tests.servers.fault_server import FaultServer
from tests.servers.hub_server import HubServer, Repository
from tests.services.downloads.conftest import MODEL

# --- refusals at once -------------------------------------------------------------------------------------------------


@for_each_case(
    ("fields", "status", "field"),
    [
        ({}, 400, "url"),
        ({"model_type": "spaceship", "url": "https://example.org/x.gguf"}, 400, "model_type"),
        ({"model_type": None, "url": "https://example.org/x.gguf"}, 400, "model_type"),
        ({"source": "ftp", "url": "x"}, 400, "source"),
        ({"url": "ftp://example.org/x.gguf"}, 400, "url"),
        ({"url": "file:///etc/passwd"}, 400, "url"),
        ({"url": "https://user:pass@example.org/x.gguf"}, 400, "url"),
        ({"url": "https://exa mple.org/x.gguf"}, 400, "url"),
        ({"url": 5}, 400, "url"),
        ({"url": "http://[::1/x.gguf"}, 400, "url"),
        ({"model_id": "abc"}, 400, "model_id"),
        ({"source": "civitai"}, 400, "model_id"),
        ({"repo_id": "../../etc"}, 400, "repo_id"),
        ({"repo_id": "org/name", "filename": "../../x.gguf"}, 400, "filename"),
        ({"repo_id": "org/name", "filename": "x.gguf", "revision": "../x"}, 400, "revision"),
        ({"url": "https://huggingface.co/datasets/org/name"}, 400, "url"),
        ({"source": "civitai", "url": "https://huggingface.co/org/name"}, 400, "source"),
        ({"url": "https://example.org/x.gguf", "name": "../x.gguf"}, 400, "name"),
        ({"url": "https://example.org/x.gguf", "name": "x.exe"}, 400, "name"),
        ({"url": "https://example.org/x.gguf", "name": ".x.gguf"}, 400, "name"),
        ({"url": "https://example.org/x.gguf", "name": "x.gguf", "subfolder": "../.."}, 400, "subfolder"),
        ({"url": "https://example.org/x.gguf", "name": "x.gguf", "subfolder": "/etc"}, 400, "subfolder"),
    ],
    ids=str,
)
def test_odd_requests_are_refused_by_field(ready: House, fields: dict[str, Any], status: int, field: str) -> None:
    assert refused(ready, status, **fields)["field"] == field


@for_each_case(
    "host",
    ["127.0.0.2", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433"],
)
def test_private_addresses_are_not_called(ready: House, host: str) -> None:
    said = refused(ready, 403, url=f"http://{host}:9/x.gguf")
    assert said["code"] == "host_not_allowed"
    assert said["setting"] == "downloads.allow_private_hosts"


def test_loopback_is_not_called_unless_it_is_listed(make_ready: Houses, web: FaultServer, hub: HubServer) -> None:
    house = make_ready(allow_private_hosts=[])
    web.add("/x.safetensors", MODEL)
    refused(house, 403, url=f"{web.url}/x.safetensors")
    assert web.asked == []
    # A configured endpoint is allowed for its own files, and leads nowhere else.
    hub.add("org/styles", Repository({"style.safetensors": MODEL}))
    told = ask(house, repo_id="org/styles", filename="style.safetensors")
    job = house.finished(told["download_job_id"])
    assert (job["status"], job["error_code"]) == ("failed", "host_not_allowed")
    assert hub.cdn.asked == []


def test_a_redirect_to_a_private_address_is_refused(ready: House, web: FaultServer) -> None:
    web.pages.append(lambda asked: (302, {"Location": "http://127.0.0.2:9/x.gguf"}, b""))
    assert refused(ready, 403, url=f"{web.url}/x.gguf")["code"] == "host_not_allowed"


@for_each_case(
    ("status", "ours", "code"),
    [
        (401, 403, "source_forbidden"),
        (403, 403, "source_forbidden"),
        (404, 404, "source_not_found"),
        (429, 503, "source_busy"),
        (500, 502, "source_unavailable"),
        (400, 502, "source_wrong"),
    ],
)
def test_what_the_source_refuses_is_told_at_once(
    ready: House, web: FaultServer, status: int, ours: int, code: str
) -> None:
    web.add("/x.gguf", MODEL, statuses=[status])
    assert refused(ready, ours, url=f"{web.url}/x.gguf")["code"] == code


def test_pages_and_files_of_other_kinds_are_refused_at_once(ready: House, web: FaultServer) -> None:
    web.add("/page.gguf", b"<html>", content_type="text/html")
    assert refused(ready, 502, url=f"{web.url}/page.gguf")["code"] == "source_wrong"
    web.add("/setup.exe", MODEL)
    assert refused(ready, 400, url=f"{web.url}/setup.exe")["field"] == "name"
    web.add("/evil", MODEL, headers={"Content-Disposition": 'attachment; filename="../../evil.gguf"'})
    assert ask(ready, url=f"{web.url}/evil")["model_name"] == "evil.gguf"


def test_a_name_that_is_taken_is_a_conflict_unless_it_may_be_replaced(ready: House, web: FaultServer) -> None:
    web.add("/style.safetensors", MODEL)
    folder(ready).mkdir(parents=True)
    (folder(ready) / "style.safetensors").write_bytes(b"old")
    url = f"{web.url}/style.safetensors"
    assert refused(ready, 409, url=url)["field"] == "overwrite"
    told = ask(ready, url=url, overwrite=True)
    assert ready.finished(told["hash_job_id"])["status"] == "completed"
    assert (folder(ready) / "style.safetensors").read_bytes() == MODEL


def test_the_same_file_is_not_downloaded_twice_at_a_time(ready: House, web: FaultServer) -> None:
    file = web.add("/style.safetensors", MODEL, hold_after=HALF)
    first = ask(ready, url=f"{web.url}/style.safetensors")
    answer = ready.client.post(
        "/models/download", json={"model_type": "lora", "url": f"{web.url}/style.safetensors", "overwrite": True}
    )
    assert answer.status_code == 409
    assert answer.get_json()["job_id"] == first["download_job_id"]
    file.release.set()
    assert ready.finished(first["hash_job_id"])["status"] == "completed"


def test_a_full_disk_is_told_at_once(ready: House, web: FaultServer) -> None:
    web.add("/style.safetensors", MODEL, length=1 << 58, closes=True)
    assert refused(ready, 507, url=f"{web.url}/style.safetensors")["code"] == "disk_full"


def test_several_model_files_need_a_choice(ready: House, hub: HubServer) -> None:
    hub.add("org/styles", Repository({"a.gguf": MODEL, "b.gguf": MODEL, "notes.txt": b"x"}))
    assert refused(ready, 400, repo_id="org/styles")["candidates"] == ["a.gguf", "b.gguf"]


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_gated_repositories_say_what_to_do(make_ready: Houses, hub: HubServer) -> None:
    hub.add("org/gated", Repository({"style.safetensors": MODEL}, is_gated=True))
    said = refused(make_ready(), 403, repo_id="org/gated", filename="style.safetensors")
    assert said["code"] == "source_forbidden"
    assert "accept its terms" in said["error"]
    assert said["setting"] == "downloads.huggingface_token"
    house = make_ready(huggingface_token="hf_right")
    told = ask(house, repo_id="org/gated", filename="style.safetensors")
    assert house.finished(told["hash_job_id"])["status"] == "completed"
    wrong = make_ready(huggingface_token="hf_wrong")
    said = refused(wrong, 403, repo_id="org/gated", filename="style.safetensors")
    assert "hf_wrong" not in json.dumps(said)


def test_models_behind_a_login_say_what_to_do(make_ready: Houses, civitai: CivitaiServer) -> None:
    civitai.add(11, 22, "style.safetensors", MODEL)
    civitai.login.add("22")
    house = make_ready()
    told = ask(house, model_id="11")
    job = house.finished(told["download_job_id"])
    assert job["error_code"] == "source_forbidden"
    assert "downloads.civitai_token" in job["error"]
    house = make_ready(civitai_token="civitai-right")
    told = ask(house, model_id="11")
    assert house.finished(told["hash_job_id"])["status"] == "completed"
    assert all("authorization" not in one.headers for one in civitai.cdn.asked)


def test_tokens_are_seen_nowhere(
    make_ready: Houses, hub: HubServer, web: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="sdcpp_rest")
    house = make_ready(huggingface_token="hf_right", civitai_token="civitai-right")
    hub.add("org/styles", Repository({"style.safetensors": MODEL}))
    web.add("/signed.safetensors", MODEL, cuts=[None, HALF])
    ids = []
    told = ask(house, repo_id="org/styles", filename="style.safetensors")
    ids += [told["download_job_id"], told["hash_job_id"]]
    told = ask(house, url=f"{web.url}/signed.safetensors?id=7&token=s3cret-token&X-Amz-Signature=s3cret-sign")
    ids += [told["download_job_id"], told["hash_job_id"]]
    jobs = [house.finished(job_id) for job_id in ids]
    assert {job["status"] for job in jobs} == {"completed"}
    assert jobs[2]["params"]["url"] == f"{web.url}/signed.safetensors?id=7&token=***&X-Amz-Signature=***"
    assert web.asked[-1].query == {"id": "7", "token": "s3cret-token", "X-Amz-Signature": "s3cret-sign"}
    everything = json.dumps([jobs, house.client.get("/queue").get_json()]) + caplog.text
    everything += repr(house.config) + house.config.model_dump_json()
    database = house.config.paths.data_dir
    everything += "".join(path.read_bytes().decode("latin-1") for path in database.rglob("*") if path.is_file())
    for secret in ("hf_right", "civitai-right", "s3cret"):
        assert secret not in everything
