"""The engines over HTTP, one by one: where each works, what it holds, and why it does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response
from pydantic import Field

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Wire
from sdcpp_rest.routes.native.wire.engine_wire import EngineState

if TYPE_CHECKING:
    from sdcpp_rest.groups.cluster_group import ClusterServices

engines = Blueprint("engines", __name__)


class NodePath(Wire):
    name: str = Field(description="As `cluster.nodes` of `GET /engines` tells it.", examples=["box1"])


class KeptModelShown(Answer):
    """A model in an engine's memory."""

    name: str
    bytes: int | None = Field(description="What it takes of the memory that models lie in; null where not known.")
    is_current: bool = Field(description="Whether it is the one that was used last.")


class EngineMemory(Answer):
    """A few seconds old."""

    rss_bytes: int | None = Field(description="Main memory of its process; null while there is none.")
    free_bytes: int | None = Field(description="Of the memory that its models lie in: its GPU's, or main memory.")
    total_bytes: int | None = Field(description="All of that memory.")


class EngineThreads(Answer):
    """CPU threads that jobs are computed with, a few seconds old."""

    chosen: int = Field(ge=1, description="How many compute.")
    most: int = Field(ge=1, description="How many may.")
    why: str = Field(description="Why it is this number, in a sentence.")


class EngineCounters(Answer):
    """Since the server started."""

    busy_seconds: float = Field(ge=0, description="With a job, loads that it needed included.")
    loads: int = Field(ge=0, description="Models that were loaded.")
    affinity_hits: int = Field(ge=0, description="Jobs whose model was there already.")


class SeenDevice(Answer):
    """A device that an engine sees."""

    name: str = Field(description="As the library calls it, within what this engine is shown.", examples=["CUDA0"])
    description: str
    is_used: bool = Field(description="Whether the engine computes on it.")


class OneEngineShown(Answer):
    """An engine: a process that computes, on a device of its own."""

    name: str | None = Field(
        description="What jobs ask for it by (`device`); null before it has said what it computes on.",
        examples=["cuda:1"],
    )
    device: str | None = Field(description="The device for people; null before the engine has started.")
    devices: list[SeenDevice] = Field(description="All that it sees, and which of them it computes on.")
    is_home: bool = Field(description="Whether the selected model is loaded here.")
    is_available: bool = Field(description="Whether it computes, or could.")
    state: EngineState
    why: str | None = Field(description="Why it computes nothing, in a sentence; null while it does.")
    pid: int | None = Field(description="Of its process; null while there is none.")
    backend: str | None
    restarts: int = Field(ge=0, description="How often it was replaced.")
    job_id: str | None = Field(description="The job that it computes.")
    model_name: str | None = Field(description="The model that it used last.")
    loading_model_name: str | None = Field(description="The model that it loads now.")
    models: list[KeptModelShown] = Field(description="All that it holds, the one used last first.")
    upscaler_name: str | None
    threads: EngineThreads | None = Field(description="Null where a GPU computes, and until the engine has said.")
    memory: EngineMemory
    counters: EngineCounters


class ClusterNodeShown(Answer):
    """A machine of the cluster that has engines."""

    name: str
    address: str = Field(description="Empty for one that is away.")
    engines: int = Field(ge=0, description="How many it has room for.")
    gpus: int = Field(ge=0, description="How many of them have a GPU.")
    models: int = Field(ge=0, description="How many model files it has.")
    versions: dict[str, str]
    is_draining: bool = Field(description="Whether it finishes what it does and takes nothing more.")
    fault: str | None = Field(description="Why it is not used, in a sentence.")


class ClusterShown(Answer):
    """Machines beside this one that draw for it."""

    address: str
    is_connected: bool
    trouble: str | None = Field(description="Why it cannot be reached, in a sentence; null while it can.")
    nodes: list[ClusterNodeShown]


class EnginesShown(Answer):
    """Every engine, the home one first."""

    engines: list[OneEngineShown]
    why: str | None = Field(description="Why there is none, where there is none.")
    cluster: ClusterShown | None = Field(description="Null without `cluster.address`.")


@engines.get("/engines")
@needs("read")
@documents({200: EnginesShown})
def show_engines() -> Response:
    """Show the engines: where each works, what it holds, what it has done, and why it does nothing. Never waits for
    one."""
    return answer(runtime().status.engines.describe())


@engines.post("/engines/nodes/<name>/drain")
@needs("admin")
@documents({200: ClusterNodeShown}, errors=(400, 404), path=NodePath)
def drain_node(name: str) -> Response:
    """Drain a node of the cluster: its engines finish what they run, take nothing more, and leave. However long that
    takes; the node stays drained, also when it or the server is started again, until it is resumed."""
    return answer(_cluster().set_drained(name, True))


@engines.post("/engines/nodes/<name>/resume")
@needs("admin")
@documents({200: ClusterNodeShown}, errors=(400, 404), path=NodePath)
def resume_node(name: str) -> Response:
    """Use a drained node of the cluster again, by its name; one that still finishes something goes on. One that is
    away (its `address` is empty then) is used when it comes back."""
    return answer(_cluster().set_drained(name, False))


def _cluster() -> ClusterServices:
    """Raises InvalidRequest."""
    cluster = runtime().cluster
    if cluster is None:
        raise InvalidRequest("This server is part of no cluster (cluster.address is empty)")
    return cluster
