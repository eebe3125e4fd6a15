"""Models on several engines: loaded into all of them, and freed by name."""

from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.engine.runner import RunFailed
from sdcpp_rest.services.models.load_specs import LoadRequest, build_spec
from tests.routes.conftest import House
from tests.services.conftest import copy_demo

DEMO = "demo_dit_q8_0.gguf"
OTHER = "other.gguf"


@pytest.fixture
def two_engines(make_house: Any) -> House:
    house: House = make_house(
        engines={"devices": ("cpu", "cpu")}, engine={"keep_models": 2, "stop_timeout_seconds": 1}
    ).start()
    copy_demo(house.config, OTHER)
    return house


def held(house: House) -> list[set[str]]:
    engines = house.client.get("/engines").get_json()["engines"]
    return [{model["name"] for model in engine["models"]} for engine in engines]


def load(house: House, name: str, query: str = "", **body: Any) -> Any:
    return house.client.post(f"/models/load{query}", json={"model_name": name, **body})


def test_model_is_loaded_into_every_engine_where_that_is_asked_for(two_engines: House) -> None:
    assert held(two_engines) == [{DEMO}, set()]
    answer = load(two_engines, OTHER, all_engines=True)
    assert (answer.status_code, "warnings" in answer.get_json()) == (200, False)
    assert held(two_engines) == [{DEMO, OTHER}, {OTHER}]


def test_engine_that_fails_is_a_warning_and_costs_no_selection(
    two_engines: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(spec: LoadSpec) -> None:
        raise RunFailed("no luck")

    monkeypatch.setattr(two_engines, "_on_load", fail)
    shown = load(two_engines, DEMO, all_engines=True).get_json()
    assert shown["success"] is True
    (warning,) = shown["warnings"]
    assert warning.startswith(f"cpu:1 has not loaded it: Failed to load model: {DEMO}")
    assert two_engines.runtime.models.slot.selected is not None


def test_engine_that_takes_too_long_is_a_warning_and_goes_on(two_engines: House) -> None:
    two_engines.load_gate.clear()
    (warning,) = load(two_engines, DEMO, "?timeout=0.05", all_engines=True).get_json()["warnings"]
    assert warning == "cpu:1 has not loaded it within 0.05 s; it goes on"
    two_engines.load_gate.set()


def test_nobody_waits_for_any_engine_where_that_is_not_wanted(two_engines: House) -> None:
    two_engines.load_gate.clear()
    answer = load(two_engines, OTHER, "?wait=false", all_engines=True)
    assert (answer.status_code, answer.get_json()["status"]) == (202, "loading")
    two_engines.load_gate.set()


def test_named_model_is_freed_wherever_it_is_and_the_selected_one_stays(two_engines: House) -> None:
    load(two_engines, OTHER, all_engines=True)
    load(two_engines, DEMO)
    answer = two_engines.client.post("/models/unload", json={"model_name": "other"})
    assert answer.get_json() == {"success": True, "message": "Model unloaded"}
    assert held(two_engines) == [{DEMO}, set()]
    assert two_engines.client.get("/health").get_json()["selected_model_name"] == DEMO


def test_selected_model_that_is_named_is_selected_no_more(two_engines: House) -> None:
    load(two_engines, DEMO, all_engines=True)
    assert two_engines.client.post("/models/unload", json={"model_name": DEMO}).status_code == 200
    assert held(two_engines) == [set(), set()]
    assert two_engines.client.get("/health").get_json()["selected_model_name"] is None


def test_selected_model_that_jobs_need_is_freed_by_name_only_with_force(house: House) -> None:
    house.client.post("/queue/pause")
    job_id = house.submit()
    body: dict[str, Any] = {"model_name": DEMO}
    assert house.client.post("/models/unload", json=body).status_code == 409
    assert house.client.post("/models/unload", json={**body, "force": True}).status_code == 200
    house.client.post("/queue/resume")
    assert house.finished(job_id)["status"] == "completed"


def test_files_that_any_engine_holds_or_loads_stay(two_engines: House) -> None:
    models, lanes = two_engines.runtime.models, two_engines.runtime.engine.pool.lanes
    spec, _ = build_spec(models.library, LoadRequest(model_name=OTHER))
    everywhere = two_engines.runtime.engine.everywhere
    assert everywhere.wait_elsewhere(everywhere.begin_elsewhere(spec), 20) == []
    assert held(two_engines) == [{DEMO}, {OTHER}]
    address = f"/models/diffusion/{OTHER}?confirm={OTHER}"
    assert two_engines.client.delete(address).status_code == 409
    lanes[1].holding.clear()
    lanes[0].holding.loading = spec
    assert two_engines.client.delete(address).get_json()["used_as"] == "being loaded as the model"
    lanes[0].holding.loading = None
    assert two_engines.client.delete(address).status_code == 200


def test_model_that_no_engine_holds_is_a_warning_and_one_that_is_not_there_a_refusal(two_engines: House) -> None:
    answer = two_engines.client.post("/models/unload", json={"model_name": OTHER})
    assert answer.get_json()["warnings"] == [f"No engine holds {OTHER}"]
    for name in ("nothing.gguf", "../x", "\0", "x" * 4000):
        answer = two_engines.client.post("/models/unload", json={"model_name": name})
        assert answer.status_code in (400, 404), answer.text
    assert held(two_engines) == [{DEMO}, set()]
