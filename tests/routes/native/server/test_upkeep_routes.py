from __future__ import annotations

from tests.routes.conftest import House


def test_a_restart_tells_of_the_new_engine(house: House) -> None:
    shown = house.client.post("/engine/restart").get_json()
    assert (shown["status"], shown["restarts"], shown["requeued"]) == ("ready", 1, [])
    assert shown["pid"] == house.client.get("/health").get_json()["engine"]["pid"]
    job_id = house.submit()
    assert house.finished(job_id)["status"] == "completed"


def test_a_restart_waits_for_no_job(house: House) -> None:
    house.gate.clear()
    job_id = house.submit()
    assert house.running.wait(20)
    answer = house.client.post("/engine/restart", json={"force": False})
    assert (answer.status_code, answer.get_json()["jobs"]) == (409, [job_id])
    assert house.client.post("/engine/restart", json={"force": "perhaps"}).status_code == 400
    house.gate.set()
    assert house.finished(job_id)["status"] == "completed"
