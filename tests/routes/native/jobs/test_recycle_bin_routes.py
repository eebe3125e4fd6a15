from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.cases import for_each_case


@pytest.fixture
def drawn(house: Any) -> tuple[Any, str]:
    """A house and a finished job."""
    job = house.submit(title="t")
    house.finished(job)
    return house, job


def picture_of(house: Any, job: str) -> bytes | None:
    """The job's picture as it is served, if it is."""
    with house.client.get(f"/output/{job}/image_0.png") as answer:
        return answer.data if answer.status_code == 200 else None


def delete(house: Any, *job_ids: str) -> dict[str, Any]:
    answer = house.client.delete("/queue/jobs", json={"job_ids": list(job_ids)})
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def test_a_deleted_job_and_its_picture_are_gone_until_it_is_restored(drawn: tuple[Any, str]) -> None:
    house, job = drawn
    client = house.client
    before = client.get(f"/queue/{job}").get_json()
    picture = picture_of(house, job)
    assert picture
    assert delete(house, job) == {
        "success": True, "deleted": 1, "failed": 0, "total": 1, "failed_job_ids": [], "errors": [],
    }  # fmt: skip
    assert client.get(f"/queue/{job}").status_code == 404
    assert picture_of(house, job) is None
    assert client.get("/queue").get_json()["total_count"] == 0
    shown = client.get("/queue/recycle-bin").get_json()
    assert (shown["enabled"], shown["retention_minutes"], shown["count"]) == (True, 10080, 1)
    (item,) = shown["items"]
    assert item["deleted_at"] < item["expires_at"]
    assert item["previous_status"] == "completed"
    assert {name: item[name] for name in before} == before
    assert client.post(f"/queue/{job}/restore").get_json() == {"success": True, "message": "Job restored"}
    assert client.get(f"/queue/{job}").get_json() == before
    assert picture_of(house, job) == picture
    assert client.get("/queue/recycle-bin").get_json()["items"] == []


def test_each_job_that_cannot_be_deleted_is_named_with_the_reason(drawn: tuple[Any, str]) -> None:
    house, job = drawn
    house.gate.clear()
    house.running.clear()
    running = house.submit()
    assert house.running.wait(20)
    answer = delete(house, running, job, "nothing", job)
    assert (answer["success"], answer["deleted"], answer["failed"], answer["total"]) == (False, 1, 2, 3)
    assert answer["failed_job_ids"] == [running, "nothing"]
    assert [error["error"] for error in answer["errors"]] == ["The job is processing: cancel it first", "Job not found"]


def test_purged_jobs_cannot_be_restored(drawn: tuple[Any, str]) -> None:
    house, job = drawn
    client = house.client
    assert client.delete(f"/queue/{job}/purge").status_code == 404, "it is not in the bin"
    delete(house, job)
    assert client.delete(f"/queue/{job}/purge").get_json()["success"] is True
    assert client.delete(f"/queue/{job}/purge").status_code == 404
    assert client.post(f"/queue/{job}/restore").status_code == 404


def test_the_bin_is_emptied_at_once(house: Any) -> None:
    jobs = [house.submit() for _ in range(3)]
    for job in jobs:
        house.finished(job)
    delete(house, *jobs)
    page = house.client.get("/queue/recycle-bin?limit=1&offset=1").get_json()
    assert (page["count"], len(page["items"])) == (3, 1)
    answer = house.client.delete("/queue/recycle-bin").get_json()
    assert (answer["success"], answer["purged"]) == (True, 3)
    assert house.client.delete("/queue/recycle-bin").get_json()["purged"] == 0


def test_with_the_bin_off_nothing_is_kept(drawn: tuple[Any, str]) -> None:
    house, job = drawn
    house.client.put("/settings/recycle-bin", json={"enabled": False})
    assert delete(house, job)["deleted"] == 1
    shown = house.client.get("/queue/recycle-bin").get_json()
    assert (shown["enabled"], shown["count"]) == (False, 0)
    assert picture_of(house, job) is None


def test_the_plain_delete_still_only_cancels(drawn: tuple[Any, str]) -> None:
    house, job = drawn
    assert house.client.delete(f"/queue/{job}").status_code == 400
    assert house.client.get(f"/queue/{job}").status_code == 200


@for_each_case("body", [{}, {"job_ids": []}, {"job_ids": "a"}, {"job_ids": [5]}, {"job_ids": ["a"] * 1001}])
def test_a_bad_list_of_jobs_is_refused_by_name(shared_client: FlaskClient, body: dict[str, Any]) -> None:
    answer = shared_client.delete("/queue/jobs", json=body)
    assert answer.status_code == 400
    assert "job_ids" in answer.get_json()["field"]


@for_each_case("job_id", ["..", "a" * 5000, "%F0%9F%98%80", "x%20y", "..%5C..", "%FF"])
def test_an_odd_job_id_is_just_not_found(shared_client: FlaskClient, job_id: str) -> None:
    assert shared_client.post(f"/queue/{job_id}/restore").status_code == 404
    assert shared_client.delete(f"/queue/{job_id}/purge").status_code == 404
    answer = shared_client.delete("/queue/jobs", json={"job_ids": ["../..", "\ud83d", "/etc"]}).get_json()
    assert (answer["deleted"], answer["failed"]) == (0, 3)
