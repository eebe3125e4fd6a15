"""Groups of jobs: what became of a grid, its end before time, and its contact sheet."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.core.job import ACTIVE, Job, JobGroup, JobStatus
from sdcpp_rest.core.job_filter import ALL_STATUSES
from sdcpp_rest.errors import Conflict, InvalidRequest, NotFound, OutputNotFound
from sdcpp_rest.routes.http.answers import answer, runtime, shorten
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import drawing
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Integer, Wire, optional, validate

groups = Blueprint("groups", __name__)

_MOST_JOBS = 5000
_MOST_PIXELS = 64_000_000
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".avif")


class GroupPath(Wire):
    group_id: str = Field(description="As the jobs were submitted with it.", examples=["grid-1"])


class AxisShown(Answer):
    """What changes along one axis."""

    field: str
    values: list[str | bool | int | float]


class CellShown(Answer):
    """A job of the group."""

    job_id: str
    cell: list[int] = Field(description="One index from 0 for each axis.")
    status: JobStatus
    outputs: list[str] = Field(description="Paths below `/output/`.")
    seed: int | None = Field(description="The real one, also where -1 was asked for.")
    error: str = optional("Why it failed.")


class GroupShown(Answer):
    """A grid of jobs. Where a cell was drawn twice, the later job comes later."""

    id: str
    kind: Literal["grid"]
    axes: list[AxisShown] = Field(description="As the newest job tells them.")
    counts: dict[str, int] = Field(description="How many jobs have each status, and `total`.")
    jobs: list[CellShown] = Field(description=f"In the order of submission; the newest {_MOST_JOBS} at most.")


class GroupCancelled(Answer):
    """How many jobs of the group waited or ran."""

    success: Literal[True]
    cancelled: int = Field(ge=0)


class SheetBody(Wire):
    """How the sheet is drawn; all of it may be left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"side": 256}]})

    side: Integer = Field(256, ge=32, le=1024, description="Longest side of a picture on the sheet, in pixels.")
    layer: Integer = Field(0, ge=0, le=199, description="Which value of the third axis, where there is one; from 0.")


@groups.get("/groups/<group_id>")
@needs("read")
@documents({200: GroupShown}, errors=(404,), path=GroupPath)
def show_group(group_id: str) -> Response:
    """Look at a group of jobs: its axes, and its jobs by cell."""
    jobs, group = _find_group(group_id)
    counts = Counter(job.status for job in jobs)
    return answer(
        {
            **group.model_dump(mode="json", include={"id", "kind", "axes"}),
            "counts": {**{status: counts[status] for status in sorted(ALL_STATUSES)}, "total": len(jobs)},
            "jobs": [_show_cell(job) for job in jobs],
        }
    )


@groups.post("/groups/<group_id>/cancel")
@needs("generate")
@documents({200: GroupCancelled}, errors=(404,), path=GroupPath)
def cancel_group(group_id: str) -> Response:
    """Cancel every job of a group that waits or runs."""
    cancelled = 0
    for job in _find_group(group_id)[0]:
        if job.status in ACTIVE:
            with contextlib.suppress(Conflict):  # it has just ended
                runtime().jobs.queue.cancel(job.id)
                cancelled += 1
    return answer({"success": True, "cancelled": cancelled})


@groups.post("/groups/<group_id>/sheet")
@needs("generate")
@documents({200: "image/png"}, errors=(404,), path=GroupPath, body=SheetBody)
@drawing
def draw_group_sheet(group_id: str) -> Response:
    """Draw a group as a contact sheet. A PNG file with the values of the first axis above its columns, and those of
    the second beside its rows. Cells without a finished picture are black."""
    body, _ = validate(SheetBody, read_body())
    jobs, group = _find_group(group_id)
    shape = [len(axis.values) for axis in group.axes] + [1, 1]
    _check_sheet(body, shape)
    finished = {_place(job): job for job in jobs if job.status == "completed"}
    # Here, because it brings fonts, which few servers need.
    from sdcpp_rest.services.pictures.contact_sheets import draw_sheet

    places = [(column, row, body.layer) for row in range(shape[1]) for column in range(shape[0])]
    labels = [[f"{axis.field}: {_show(value)}" for value in axis.values] for axis in group.axes] + [[""]]
    pictures = [_picture_of(finished.get(place)) for place in places]
    return Response(draw_sheet(pictures, labels[0], labels[1], body.side), mimetype="image/png")


def _find_group(group_id: str) -> tuple[list[Job], JobGroup]:
    """Its jobs, and the place of the newest one."""
    jobs = runtime().jobs.queue.of_group(group_id, _MOST_JOBS)
    group = jobs[-1].group if jobs else None
    if group is None:
        raise NotFound(f"There is no group {shorten(group_id)}", field="group_id")
    return jobs, group


def _show_cell(job: Job) -> dict[str, Any]:
    shown: dict[str, Any] = {"job_id": job.id, "cell": list(job.group.cell if job.group else ())}
    shown |= {"status": job.status, "outputs": list(job.outputs), "seed": job.params.get("seed")}
    return shown | ({"error": job.error} if job.error else {})


def _check_sheet(body: SheetBody, shape: list[int]) -> None:
    if body.layer >= shape[2]:
        allowed = f"an integer between 0 and {shape[2] - 1}"
        raise InvalidRequest(f"layer must be {allowed}, got {body.layer}", field="layer", allowed=allowed)
    pixels = shape[0] * shape[1] * body.side**2
    if pixels > _MOST_PIXELS:
        most = math.isqrt(_MOST_PIXELS // (shape[0] * shape[1]))
        raise InvalidRequest(
            f"side must be at most {most} for {shape[0]} x {shape[1]} pictures, got {body.side}",
            field="side",
            value=body.side,
            allowed=f"at most {most}",
        )


def _place(job: Job) -> tuple[int, int, int]:
    column, row, layer = [*(job.group.cell if job.group else ()), 0, 0, 0][:3]
    return column, row, layer


def _show(value: str | bool | int | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _picture_of(job: Job | None) -> Any:
    """The file of a job's first picture, if there is one."""
    name = next((one for one in job.outputs if one.lower().endswith(_PICTURES)), None) if job is not None else None
    try:
        return None if name is None else runtime().jobs.outputs.path_of(name)
    except (OutputNotFound, InvalidRequest):
        return None
