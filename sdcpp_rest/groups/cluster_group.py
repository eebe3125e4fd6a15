"""Builds what reaches the engines of a cluster, where the settings name one. Knows no Flask and no sockets."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sdcpp_rest.config import Config, ConfigError
from sdcpp_rest.core.job import Job
from sdcpp_rest.engine.launchers import LaunchedEngine, Launcher
from sdcpp_rest.engine.log_tail import RawLog
from sdcpp_rest.engine.remote.cluster import RAY, ClusterNode
from sdcpp_rest.engine.remote.gateway import Gateway
from sdcpp_rest.engine.remote.model_places import ModelPlaces
from sdcpp_rest.engine.remote.shipping import LinkLost
from sdcpp_rest.engine.waiting import waiting_environment
from sdcpp_rest.engine.worker_options import WorkerOptions
from sdcpp_rest.errors import EngineUnavailable, NotFound
from sdcpp_rest.groups.core_groups import JobServices, SettingsServices
from sdcpp_rest.groups.engine_group import EngineServices, share_options
from sdcpp_rest.services.dispatch.cluster_lanes import ClusterLanes, Seat
from sdcpp_rest.services.dispatch.lane import Lane
from sdcpp_rest.services.dispatch.scaling import Scaling

TOKEN_FILE = "cluster.token"
_LOG_FILE = "cluster.log"
_LONGEST_NAME = 100
_AWAY = "it is not there now; it is used again when it comes"


@dataclass(frozen=True)
class ClusterServices:
    """The way to the cluster, and the lanes of its engines."""

    address: str
    gateway: Gateway
    lanes: ClusterLanes
    scaling: Scaling | None
    """``None``: no machines are asked for."""

    def start(self) -> None:
        self.gateway.start()
        if self.scaling is not None:
            self.scaling.start()

    def describe(self) -> dict[str, Any]:
        """How the cluster stands, as ``GET /engines`` tells it."""
        trouble = self.gateway.trouble
        return {
            "address": self.address,
            "is_connected": trouble is None,
            "trouble": trouble,
            "nodes": [self._describe(node) for node in self.lanes.nodes],
        }

    def describe_history(self) -> dict[str, Any]:
        """The same, with the ``history`` of its machines, for ``GET /metrics``."""
        return {**self.describe(), "history": self.lanes.history.describe(self.gateway.seen_at)}

    def set_drained(self, name: str, is_drained: bool) -> dict[str, Any]:
        """Drain the node of this name, or use it again; what is told of it then. One that was drained and is away can
        be used again, too: its name is forgotten. Raises NotFound."""
        found = next((node for node in self.lanes.nodes if node.name == name), None)
        away = self.lanes.list_drained_away()
        if found is None and (is_drained or name not in away):
            names = sorted({node.name for node in self.lanes.nodes})
            there = f"there are: {', '.join(names)}" if names else "it has none now"
            if away and not is_drained:
                there += f"; drained and away: {', '.join(away)}"
                names += away
            raise NotFound(f"The cluster has no node {name[:_LONGEST_NAME]!r}; {there}", allowed=names)
        self.lanes.set_drained(name, is_drained)
        return self._describe(found or ClusterNode("", name, "", 0, fault=_AWAY))

    def _describe(self, node: ClusterNode) -> dict[str, Any]:
        return {
            "name": node.name,
            "address": node.address,
            "engines": node.engines,
            "gpus": node.gpus,
            "models": len(node.files),
            "versions": node.versions,
            "is_draining": self.lanes.is_draining(node),
            "fault": self.lanes.find_fault(node) or None,
        }

    def stop(self) -> None:
        """Take in no more nodes, and end the engines on them. Idempotent."""
        if self.scaling is not None:
            self.scaling.stop()
        self.lanes.close()
        self.gateway.stop()


@dataclass(frozen=True)
class _SeatLauncher:
    gateway: Gateway
    seat: Seat
    options: WorkerOptions

    def launch(self) -> LaunchedEngine:
        return self.gateway.launch(self.seat.node.id, self.seat.slot, self.options)


def build_cluster(
    config: Config,
    settings: SettingsServices,
    jobs: JobServices,
    engine: EngineServices,
    roots: Mapping[str, Path],
) -> ClusterServices:
    """Build the gateway and the lanes of the cluster that the settings name; ``roots``: this server's folders of
    models, by the words that they have on all machines. Raises ConfigError."""
    token = token_file(config)
    if not token.is_file() and not config.cluster.address.startswith("127."):
        raise ConfigError(
            f"cluster.token_file: {token} is not there, and without a token a cluster is only used at a loopback "
            f"address, which cluster.address ({config.cluster.address}) is not"
        )

    def build_lane(seat: Seat) -> Lane:
        launcher: Launcher = _SeatLauncher(gateway, seat, worker_options(config))

        def note_end(was_lost: bool) -> None:
            # Where the way to the cluster has broken off, no node is to blame.
            if gateway.trouble is None:
                lanes.note_end(seat.node.name, was_lost=was_lost, client=lane.supervisor.client)

        def blames_jobs() -> bool:
            return gateway.trouble is None and not lanes.were_most_lost()

        def read_log(count: int) -> RawLog:
            try:
                return gateway.read_log(seat.node.id, seat.slot, count)
            except LinkLost as error:
                raise EngineUnavailable(f"The log of {seat.name} cannot be read: {error}") from error

        passes_on = functools.partial(lanes.pass_on, seat.node.name)
        lane = engine.build_remote(seat.name, launcher, note_end, blames_jobs, passes_on)
        lane.supervisor.read_log = read_log
        return lane

    def take_nodes(nodes: tuple[ClusterNode, ...]) -> None:
        lanes.take(nodes, is_reached=gateway.trouble is None)

    def note_finished(job: Job) -> None:
        if job.status == "completed" and job.engine:
            lanes.note_completed(job.engine)

    places = ModelPlaces(roots)
    lanes = ClusterLanes(
        engine.pool,
        build_lane,
        config.cluster.max_engines,
        places.name_of,
        settings.store,
        sends_models=config.cluster.pull_models,
    )
    gateway = Gateway(
        RAY,
        config.cluster.address,
        roots,
        take_nodes,
        sends_models=config.cluster.pull_models,
        shares_files=config.cluster.files == "shared",
        environment=cluster_environment(token),
        log_path=str(config.paths.log_dir / _LOG_FILE),
    )
    jobs.queue.call_on_finish(note_finished)
    per_engine, most = config.cluster.scale_up_after_jobs, config.cluster.max_engines
    scaling = Scaling(lambda: jobs.queue.counts()["pending"], gateway.want, per_engine, most) if per_engine else None
    return ClusterServices(config.cluster.address, gateway, lanes, scaling)


def worker_options(config: Config) -> WorkerOptions:
    """How an engine on another machine works. Where its files lie there, its machine knows."""
    asked = config.engine.n_threads
    return replace(
        share_options(config),
        n_threads=-1 if asked == "auto" else asked,
        chooses_threads=asked == "auto",
        environment=tuple(waiting_environment({}).items()),
    )


def token_file(config: Config) -> Path:
    """Where the cluster's token is, if it has one."""
    return config.cluster.token_file or config.paths.data_dir / TOKEN_FILE


def cluster_environment(token: Path) -> dict[str, str]:
    """The variables of every process that speaks to a cluster: who it is by the file ``token``, if that is there, and
    no report to Ray's makers."""
    variables = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DISABLE_IMPORT_WARNING": "1",
        # Python 3.11.2 and 3.11.9 work together; without this Ray refuses them.
        "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",
    }
    if token.is_file():
        variables |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    return variables
