"""Types the words of the wire about jobs, and the lists they stand in.

Made by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from typing_extensions import NotRequired, Required, TypedDict

AdetailerBody: TypeAlias = dict[str, Any]


class AgainBody(TypedDict, total=False):
    """What is to be otherwise; all of it may be left out."""

    seed: int
    overrides: dict[str, Any]
    model: Literal["own", "selected"]
    title: str


class AxisShown(TypedDict):
    """What changes along one axis."""

    field: str
    values: list[str | bool | int | float]


class BinQuery(TypedDict, total=False):
    """The query of `GET /queue/recycle-bin`."""

    limit: int
    offset: int


class BinShown(TypedDict):
    """The recycle bin: its rules and what is in it, deleted last first."""

    success: Literal[True]
    enabled: bool
    retention_minutes: int
    count: int
    items: list[BinnedJobShown]


class Cancelled(TypedDict):
    """The answer of `POST /queue/{job_id}/cancel`."""

    success: Literal[True]
    message: str
    status: NotRequired[Literal["cancelled", "cancelling"]]


class CellShown(TypedDict):
    """A job of the group."""

    job_id: str
    cell: list[int]
    status: Literal["pending", "processing", "completed", "failed", "cancelled"]
    outputs: list[str]
    seed: int | None
    error: NotRequired[str]


class ConversionAccepted(TypedDict):
    """A job in the queue."""

    job_id: str
    status: Literal["pending"]
    position: int
    output_path: str
    warnings: NotRequired[list[str]]


class ConvertBody(TypedDict, total=False):
    """Which model to write anew, and how."""

    input_path: Required[str]
    output_type: Required[str]
    output_path: str
    vae_path: str
    tensor_type_rules: str
    overwrite: bool
    title: str
    device: str


class DayShown(TypedDict):
    """The jobs of one day, as far as they are on this page."""

    date: str
    label: str
    timestamp: int
    count: int
    items: list[JobShown]


class DeleteJobsBody(TypedDict, total=False):
    """The body of `DELETE /queue/jobs`."""

    job_ids: Required[list[str]]


class DetectorStatus(TypedDict):
    """What there would be, if there were one."""

    loaded: bool
    name: str | None


class Emptied(TypedDict):
    """The answer of `DELETE /queue/recycle-bin`."""

    success: Literal[True]
    purged: int
    message: str
    pictures: NotRequired[int]


class GroupCancelled(TypedDict):
    """How many jobs of the group waited or ran."""

    success: Literal[True]
    cancelled: int


class GroupShown(TypedDict):
    """A grid of jobs. Where a cell was drawn twice, the later job comes later."""

    id: str
    kind: Literal["grid"]
    axes: list[AxisShown]
    counts: dict[str, int]
    jobs: list[CellShown]


class JobShown(TypedDict):
    """A job."""

    job_id: str
    type: Literal["txt2img", "img2img", "txt2vid", "upscale", "convert", "model_download", "model_hash"]
    status: Literal["pending", "processing", "completed", "failed", "cancelled"]
    progress: ProgressShown
    created_at: str
    started_at: NotRequired[str]
    completed_at: NotRequired[str]
    outputs: list[str]
    params: dict[str, Any]
    resolved_prompt: NotRequired[str]
    resolved_negative_prompt: NotRequired[str]
    error: NotRequired[str]
    error_code: NotRequired[str]
    position: NotRequired[int]
    why: NotRequired[str]
    preview_url: NotRequired[str]
    title: str | None
    origin: str
    model: str | None
    device: str | None
    engine: str | None
    seed: int | None
    timings: Timings
    warnings: list[str]
    group: NotRequired[dict[str, Any]]
    model_settings: NotRequired[dict[str, Any]]


class JobsDeleted(TypedDict):
    """What became of each job; those that wait or run are not deleted."""

    success: bool
    deleted: int
    failed: int
    total: int
    failed_job_ids: list[str]
    errors: list[NotDeleted]


class MoveBody(TypedDict, total=False):
    """One of the two."""

    before: str
    to: Literal["first", "last"]


class Moved(TypedDict):
    """The answer of `DELETE /queue/{job_id}/purge`."""

    success: Literal[True]
    message: str


class NotDeleted(TypedDict):
    """A part of `JobsDeleted`."""

    job_id: str
    error: str


class PendingCancelled(TypedDict):
    """How many jobs waited and are cancelled."""

    success: Literal[True]
    cancelled: int


class ProgressShown(TypedDict):
    """Where a job stands."""

    step: int
    total_steps: int
    current_image: int
    total_images: int
    all_steps: int
    current_all_steps: int
    percentage: float
    phase: Literal[
        "queued",
        "loading",
        "conditioning",
        "sampling",
        "hires",
        "decoding",
        "upscaling",
        "converting",
        "encoding",
        "cancelling",
        "done",
        "downloading",
        "hashing",
    ]
    downloaded_bytes: NotRequired[int]
    total_bytes: NotRequired[int]
    bytes_per_second: NotRequired[int]
    seconds_per_step: NotRequired[float]
    picture_eta_seconds: NotRequired[float]
    eta_seconds: NotRequired[float]


class QueueQuery(TypedDict, total=False):
    """Without `page`, `sort` and `group_by`, every active job comes first and `limit` and `offset` count finished ones
    only; with one of them, all jobs are one list."""

    limit: int
    offset: int
    page: int
    status: list[Literal["pending", "processing", "completed", "failed", "cancelled"]]
    type: Literal["txt2img", "img2img", "txt2vid", "upscale", "convert", "model_download", "model_hash"]
    search: str
    architecture: str
    titles: list[str]
    before: str
    after: str
    sort: Literal["created_at", "completed_at", "title", "type", "status"]
    order: Literal["asc", "desc"]
    group_by: Literal["date"]


class QueueShown(TypedDict):
    """Counts of all jobs, whatever the filters, and the jobs that were asked for. What is said about pages and filters
    is there when something was asked for."""

    pending_count: int
    processing_count: int
    completed_count: int
    failed_count: int
    cancelled_count: int
    total_count: int
    paused: bool
    filtered_count: NotRequired[int]
    limit: NotRequired[int]
    offset: NotRequired[int]
    page: NotRequired[int]
    total_pages: NotRequired[int]
    has_more: NotRequired[bool]
    has_prev: NotRequired[bool]
    all_titles: NotRequired[list[str]]
    group_by: NotRequired[Literal["date"]]
    groups: NotRequired[list[DayShown]]
    items: list[JobShown]


class QueueState(TypedDict):
    """Whether jobs are taken off the queue."""

    success: Literal[True]
    paused: bool
    changed: bool


class RenameBody(TypedDict, total=False):
    """The body of `PATCH /queue/{job_id}`."""

    title: Required[str]


class SheetBody(TypedDict, total=False):
    """How the sheet is drawn; all of it may be left out."""

    side: int
    layer: int


class Timings(TypedDict):
    """Where a job's time went, in seconds. `native` is the library call alone."""

    queued_seconds: NotRequired[float]
    load_seconds: NotRequired[float]
    native_seconds: NotRequired[float]
    encode_seconds: NotRequired[float]


class UpscaleBody(TypedDict, total=False):
    """Which picture to make larger, and how much."""

    image_base64: str | dict[str, Any]
    job_id: str
    image_index: int
    upscale_factor: int
    tile_size: int
    upscaler: UpscalerOfJob
    repeats: int
    title: str
    group: dict[str, Any]
    device: str


class UpscalerBody(TypedDict, total=False):
    """Which upscaler to load."""

    model_name: Required[str]
    n_threads: int
    tile_size: int


class UpscalerFile(TypedDict, total=False):
    """An ESRGAN file."""

    name: Required[str]


class UpscalerGone(TypedDict):
    """The answer of `POST /upscaler/unload`."""

    success: Literal[True]
    message: str
    warnings: NotRequired[list[str]]


class UpscalerOfJob(TypedDict, total=False):
    """An upscaler as jobs tell the one that they were done with."""

    model: Required[UpscalerFile]
    tile_size: int
    n_threads: int


class UpscalerShown(TypedDict):
    """An upscaler that is in the engine's memory now."""

    success: Literal[True]
    message: str
    model_name: str
    upscale_factor: int
    warnings: NotRequired[list[str]]


class BinnedJobShown(JobShown):
    """A deleted job. Its files are not below `/output/` until it is restored."""

    deleted_at: str
    expires_at: str
    previous_status: str
