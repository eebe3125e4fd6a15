"""Types the words of the wire about the engines, one by one.

Made by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict


class ClusterNodeShown(TypedDict):
    """A machine of the cluster that has engines."""

    name: str
    address: str
    engines: int
    gpus: int
    models: int
    versions: dict[str, str]
    is_draining: bool
    fault: str | None


class ClusterShown(TypedDict):
    """Machines beside this one that draw for it."""

    address: str
    is_connected: bool
    trouble: str | None
    nodes: list[ClusterNodeShown]


class EngineCounters(TypedDict):
    """Since the server started."""

    busy_seconds: float
    loads: int
    affinity_hits: int


class EngineMemory(TypedDict):
    """A few seconds old."""

    rss_bytes: int | None
    free_bytes: int | None
    total_bytes: int | None


class EngineThreads(TypedDict):
    """CPU threads that jobs are computed with, a few seconds old."""

    chosen: int
    most: int
    why: str


class EnginesShown(TypedDict):
    """Every engine, the home one first."""

    engines: list[OneEngineShown]
    why: str | None
    cluster: ClusterShown | None


class KeptModelShown(TypedDict):
    """A model in an engine's memory."""

    name: str
    bytes: int | None
    is_current: bool


class OneEngineShown(TypedDict):
    """An engine: a process that computes, on a device of its own."""

    name: str | None
    device: str | None
    devices: list[SeenDevice]
    is_home: bool
    is_available: bool
    state: Literal["starting", "idle", "loading", "running", "dead", "stopped", "none"]
    why: str | None
    pid: int | None
    backend: str | None
    restarts: int
    job_id: str | None
    model_name: str | None
    loading_model_name: str | None
    models: list[KeptModelShown]
    upscaler_name: str | None
    threads: EngineThreads | None
    memory: EngineMemory
    counters: EngineCounters


class SeenDevice(TypedDict):
    """A device that an engine sees."""

    name: str
    description: str
    is_used: bool
