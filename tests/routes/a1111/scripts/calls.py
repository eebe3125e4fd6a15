"""Calls of scripts, as clients make them."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient

from tests.routes.a1111.pictures import SMALL
from tests.routes.conftest import PATIENCE_SECONDS, House

PLOT: dict[str, Any] = {
    "x_type": 0, "x_values": "", "x_values_dropdown": [],
    "y_type": 0, "y_values": "", "y_values_dropdown": [],
    "z_type": 0, "z_values": "", "z_values_dropdown": [],
    "draw_legend": True, "include_lone_images": False, "include_sub_grids": False, "no_fixed_seeds": False,
    "vary_seeds_x": False, "vary_seeds_y": False, "vary_seeds_z": False, "margin_size": 0, "csv_mode": False,
}  # fmt: skip


def plot_args(**changed: Any) -> list[Any]:
    """The eighteen arguments of a plot."""
    assert changed.keys() <= PLOT.keys()
    return [*{**PLOT, **changed}.values()]


def run(client: FlaskClient, path: str, name: str, args: list[Any], **fields: Any) -> dict[str, Any]:
    body = {"prompt": "a cat", "seed": 7, **SMALL, **fields, "script_name": name, "script_args": args}
    answer = client.post(f"/sdapi/v1/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def complaint(client: FlaskClient, path: str, name: str, args: list[Any], **fields: Any) -> tuple[list[Any], str]:
    """Where the complaint is below ``script_args``, and its words."""
    body = {"prompt": "a cat", "seed": 7, **SMALL, **fields, "script_name": name, "script_args": args}
    answer = client.post(f"/sdapi/v1/{path}", json=body)
    assert answer.status_code == 422, answer.text
    (one,) = answer.get_json()["detail"]
    assert one["loc"][:2] == ["body", "script_args"]
    return one["loc"][2:], one["msg"]


def statuses(house: House) -> list[str]:
    """How all jobs have ended, in the order of the alphabet."""
    queue = house.runtime.jobs.queue
    return sorted(queue.wait(job.id, PATIENCE_SECONDS).status for job in queue.list())
