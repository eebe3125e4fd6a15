from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from sdcpp_rest.core.job import Job, Progress
from sdcpp_rest.routes.native.jobs import job_shown
from sdcpp_rest.routes.native.jobs.job_shown import job_object


def test_paths_on_the_servers_disk_are_not_shown() -> None:
    params = {
        "prompt": "x",
        "loras": [{"name": "l", "path": "/secret/l.safetensors", "weight": 1.0}],
        "eta": float("inf"),
    }
    job = Job(id="j", kind="txt2img", params=params, created_at=datetime(2024, 1, 1, 12, tzinfo=timezone.utc))
    shown = job_object(job, Progress())
    assert shown["params"]["loras"] == [{"name": "l", "weight": 1.0}]
    assert shown["created_at"] == "2024-01-01T12:00:00Z"
    assert job.params["loras"][0]["path"], "the job itself must keep it"


def test_waiting_job_says_why_alone_and_in_listings(house: Any) -> None:
    house.client.post("/queue/pause")
    first, second = house.submit(), house.submit()
    assert house.client.get(f"/queue/{first}").get_json()["why"] == "The queue is paused"
    house.gate.clear()
    house.client.post("/queue/resume")
    assert house.running.wait(20)
    third = house.submit()
    for _ in range(2):
        reasons = {job["job_id"]: job.get("why") for job in house.client.get("/queue").get_json()["items"]}
        assert reasons == {first: None, second: "The engine works on another job", third: "1 job is before it"}
    assert house.client.get(f"/queue/{third}").get_json()["why"] == "1 job is before it"


def test_every_waiting_job_of_a_listing_says_the_same_as_alone(house: Any) -> None:
    """Whatever its kind, its place and the engine that it asks for."""
    house.gate.clear()
    house.submit()
    assert house.running.wait(20)
    waiting = [house.submit(**fields) for fields in ({}, {"device": "cpu:0"}, {}, {"device": "cpu:0"}, {})]
    listed = {job["job_id"]: job for job in house.client.get("/queue").get_json()["items"]}
    for job in waiting:
        alone = house.client.get(f"/queue/{job}").get_json()
        assert (listed[job]["position"], listed[job]["why"]) == (alone["position"], alone["why"])
    assert listed[waiting[4]]["why"] == "4 jobs are before it"
    assert listed[waiting[3]]["why"] == "Engine cpu:0, which it asked for, works on another job"


def test_a_listing_tells_the_bytes_that_each_job_has_alone(house: Any) -> None:
    house.client.post("/queue/pause")
    jobs = [house.submit(prompt=f"é {number}", loras=[]) for number in range(3)]
    text = house.client.get("/queue").get_data(as_text=True)
    for job in jobs:
        assert house.client.get(f"/queue/{job}").get_data(as_text=True).partition(',"position"')[0] in text


def test_a_long_listing_is_read_in_lots(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_shown, "_texts", {})
    monkeypatch.setattr(job_shown, "_READ_AT_ONCE", 2)
    house.client.post("/queue/pause")
    waiting = [house.submit() for _ in range(5)]
    lots: list[int] = []
    get_many = house.runtime.jobs.queue.get_many
    monkeypatch.setattr(house.runtime.jobs.queue, "get_many", lambda ids: lots.append(len(ids)) or get_many(ids))
    items = house.client.get("/queue").get_json()["items"]
    assert [(job["job_id"], job["position"]) for job in items] == [*zip(waiting, range(1, 6), strict=True)]
    assert lots == [2, 2, 1]


def test_job_tells_the_engine_that_took_it(house: Any) -> None:
    shown = house.finished(house.submit())
    assert (shown["device"], shown["engine"]) == (None, "cpu:0")
    assert "why" not in shown
    record = json.loads((house.config.paths.output_dir / shown["job_id"] / "config.json").read_text())
    assert (record["device"], record["engine"]) == (None, "cpu:0")


def test_texts_at_hand_are_bounded_in_number_and_size(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_shown, "_texts", {})
    monkeypatch.setattr(job_shown, "_KEPT_TEXTS", 2)
    house.client.post("/queue/pause")
    for _ in range(5):
        house.submit()
    long = house.submit(prompt="x" * 5000)
    for _ in range(2):
        items = house.client.get("/queue").get_json()["items"]
        assert [job["position"] for job in items] == [1, 2, 3, 4, 5, 6]
        assert len(items[5]["params"]["prompt"]) == 5000
        assert len(job_shown._texts) <= 2
        assert long not in job_shown._texts
