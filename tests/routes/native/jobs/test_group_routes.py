"""Grids of jobs: submitted with their places, looked at, cancelled, drawn as one sheet."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from tests.routes.conftest import House
from tests.routes.native.jobs.test_resubmission import X2, picture, sent

AXES = [{"field": "seed", "values": [1, 2]}, {"field": "sampler", "values": ["euler", "heun", True]}]
SMALL = {"prompt": "a dot", "width": 64, "height": 64, "steps": 2}


def place(*cell: int, **more: Any) -> dict[str, Any]:
    return {"id": "grid-1", "kind": "grid", "axes": AXES, "cell": [*cell], **more}


def test_a_job_tells_its_place_alone_in_listings_and_after_a_stay_in_the_bin(house: House) -> None:
    job = sent(house, "/txt2img", {**SMALL, "group": place(1, 2)})
    assert job["warnings"] == []
    assert job["group"] == place(1, 2)
    assert house.client.get("/queue").get_json()["items"][0]["group"] == place(1, 2)
    house.client.delete("/queue/jobs", json={"job_ids": [job["job_id"]]})
    assert house.client.get("/groups/grid-1").status_code == 404
    house.client.post(f"/queue/{job['job_id']}/restore")
    assert house.client.get(f"/queue/{job['job_id']}").get_json()["group"] == place(1, 2)
    assert "group" not in sent(house, "/txt2img", SMALL)


def test_upscaling_belongs_to_groups_as_well(house: House) -> None:
    house.client.post("/upscaler/load", json={"model_name": X2})
    body = {"image_base64": picture(), "group": {"id": "g", "axes": AXES[:1], "cell": [0]}}
    assert sent(house, "/upscale", body)["group"]["cell"] == [0]


def test_a_group_tells_its_axes_its_counts_and_its_cells(house: House) -> None:
    done = sent(house, "/txt2img", {**SMALL, "seed": 1, "group": place(0, 0)})
    house.client.post("/queue/pause")
    waiting = house.submit(group=place(1, 0))
    house.submit()
    shown = house.client.get("/groups/grid-1").get_json()
    assert (shown["id"], shown["kind"], shown["axes"]) == ("grid-1", "grid", AXES)
    assert shown["counts"] == {
        "cancelled": 0, "completed": 1, "failed": 0, "pending": 1, "processing": 0, "total": 2
    }  # fmt: skip
    first, second = shown["jobs"]
    assert first == {
        "job_id": done["job_id"], "cell": [0, 0], "status": "completed", "outputs": done["outputs"], "seed": 1
    }  # fmt: skip
    assert (second["job_id"], second["cell"], second["status"]) == (waiting, [1, 0], "pending")


def test_a_group_is_cancelled_as_a_whole_and_nothing_else(house: House) -> None:
    house.client.post("/queue/pause")
    mine = [house.submit(group=place(k, 0)) for k in (0, 1)]
    other = house.submit()
    assert house.client.post("/groups/grid-1/cancel").get_json() == {"success": True, "cancelled": 2}
    assert {house.finished(job_id)["status"] for job_id in mine} == {"cancelled"}
    assert house.client.get(f"/queue/{other}").get_json()["status"] == "pending"
    assert house.client.post("/groups/grid-1/cancel").get_json()["cancelled"] == 0


def test_made_again_a_job_keeps_its_place_unless_something_is_changed(house: House) -> None:
    job = sent(house, "/txt2img", {**SMALL, "group": place(0, 1)})

    def again(**body: Any) -> dict[str, Any]:
        answer = house.client.post(f"/jobs/{job['job_id']}/again", json=body).get_json()
        return house.finished(answer["job_id"])

    assert again()["group"] == place(0, 1)
    assert "group" not in again(seed=5)
    assert again(seed=5, overrides={"group": place(1, 1)})["group"] == place(1, 1)


def test_a_sheet_has_every_cell_and_its_labels(house: House) -> None:
    for cell in ((0, 0), (1, 1)):
        sent(house, "/txt2img", {**SMALL, "group": place(*cell)})
    answer = house.client.post("/groups/grid-1/sheet", json={"side": 64})
    assert answer.mimetype == "image/png"
    sheet = Image.open(io.BytesIO(answer.data))
    left, top = 64 * 3 // 4, sheet.height - (3 * 64 + 2 * 4)
    assert sheet.width == left + 2 * 64 + 4
    assert top > 0, "there is room for the labels of the columns"
    centre = {(x, y): sheet.getpixel((left + x * 68 + 32, top + y * 68 + 32)) for x in (0, 1) for y in (0, 1, 2)}
    assert {cell for cell, colour in centre.items() if colour != (0, 0, 0)} == {(0, 0), (1, 1)}


def test_a_grid_of_one_axis_and_a_layer_of_three_are_drawn(house: House) -> None:
    axes = [*AXES, {"field": "steps", "values": [2, 3]}]
    sent(house, "/txt2img", {**SMALL, "group": {"id": "three", "axes": axes, "cell": [0, 0, 1]}})
    sent(house, "/txt2img", {**SMALL, "group": {"id": "one", "axes": axes[:1], "cell": [0]}})
    layers = [house.client.post("/groups/three/sheet", json={"side": 32, "layer": k}).data for k in (0, 1)]
    assert layers[0] != layers[1]
    assert house.client.post("/groups/one/sheet").status_code == 200
    for path, body, said in (
        ("three", {"layer": 2}, "layer must be an integer between 0 and 1, got 2"),
        ("one", {"side": 10}, "side must be an integer between 32 and 1024, got 10"),
    ):
        answer = house.client.post(f"/groups/{path}/sheet", json=body)
        assert (answer.status_code, answer.get_json()["error"]) == (400, said)


def test_a_sheet_that_would_be_too_large_is_refused(house: House) -> None:
    axes = [{"field": name, "values": [*range(200)]} for name in ("seed", "steps")]
    sent(house, "/txt2img", {**SMALL, "group": {"id": "large", "axes": axes, "cell": [199, 0]}})
    answer = house.client.post("/groups/large/sheet", json={"side": 64})
    assert answer.status_code == 400
    assert answer.get_json()["error"] == "side must be at most 40 for 200 x 200 pictures, got 64"


@pytest.mark.parametrize(
    ("group", "field"),
    [
        ({}, "group.id"),
        (place(0, 0, id="a/b"), "group.id"),
        (place(0, 0, id="a" * 101), "group.id"),
        (place(0, 0, kind="list"), "group.kind"),
        (place(0, 0, axes=[]), "group.axes"),
        (place(0, 0, axes=AXES * 2), "group.axes"),
        (place(0, 0, axes=[3, 4]), "group.axes[0]"),
        (place(0, 0, axes=[{"field": "", "values": [1]}] * 2), "group.axes[0].field"),
        (place(0, 0, axes=[{"field": "a", "values": []}] * 2), "group.axes[0].values"),
        (place(0, 0, axes=[{"field": "a", "values": [1] * 201}] * 2), "group.axes[0].values"),
        (place(0, 0, axes=[{"field": "a", "values": ["x" * 501]}] * 2), "group.axes[0].values[0]"),
        (place(0, 0, axes=[{"field": "a", "values": [[1]]}] * 2), "group.axes[0].values[0]"),
        (place(0), "group.cell"),
        (place(0, 3), "group.cell"),
        (place(0, -1), "group.cell"),
        ({**place(0, 0), "cell": [0, "1"]}, "group.cell"),
        (place(0, 0, colour="red"), "group.colour"),
        ("grid-1", "group"),
    ],
)
def test_a_place_that_is_none_is_refused_by_name(house: House, group: Any, field: str) -> None:
    answer = house.client.post("/txt2img", json={**SMALL, "group": group})
    assert answer.status_code == 400
    assert answer.get_json()["field"] == field
    assert answer.get_json()["error"].startswith(f"{field} must be ")


def test_an_unknown_group_is_a_404(house: House) -> None:
    assert house.client.get("/groups/nope").status_code == 404
    assert house.client.post("/groups/nope/cancel").status_code == 404
    assert house.client.post("/groups/nope/sheet").status_code == 404
