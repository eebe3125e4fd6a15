"""Builds what reaches the engines of a cluster, where the settings name one. Knows no Flask and no sockets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdcpp_rest.config import Config, ConfigError
from sdcpp_rest.engine.launchers import LaunchedEngine, Launcher
from sdcpp_rest.engine.remote.cluster import RAY
from sdcpp_rest.engine.remote.gateway import Gateway
from sdcpp_rest.engine.remote.model_places import ModelPlaces
from sdcpp_rest.engine.waiting import waiting_environment
from sdcpp_rest.engine.worker_options import WorkerOptions
from sdcpp_rest.groups.engine_group import EngineServices
from sdcpp_rest.services.dispatch.cluster_lanes import ClusterLanes, Seat
from sdcpp_rest.services.dispatch.lane import Lane

TOKEN_FILE = "cluster.token"
_LOG_FILE = "cluster.log"


@dataclass(frozen=True)
class ClusterServices:
    """The way to the cluster, and the lanes of its engines."""

    address: str
    gateway: Gateway
    lanes: ClusterLanes

    def start(self) -> None:
        self.gateway.start()

    def describe(self) -> dict[str, Any]:
        """How the cluster stands, as ``GET /engines`` tells it."""
        trouble = self.gateway.trouble
        return {
            "address": self.address,
            "is_connected": trouble is None,
            "trouble": trouble,
            "nodes": [
                {
                    "name": node.name,
                    "address": node.address,
                    "engines": node.engines,
                    "gpus": node.gpus,
                    "models": len(node.files),
                    "versions": node.versions,
                    "is_draining": node.is_draining,
                    "fault": node.fault or None,
                }
                for node in self.gateway.nodes
            ],
        }

    def stop(self) -> None:
        """Take in no more nodes, and end the engines on them. Idempotent."""
        self.lanes.close()
        self.gateway.stop()


@dataclass(frozen=True)
class _SeatLauncher:
    gateway: Gateway
    seat: Seat
    options: WorkerOptions

    def launch(self) -> LaunchedEngine:
        return self.gateway.launch(self.seat.node.id, self.seat.slot, self.options)


def build_cluster(config: Config, engine: EngineServices, roots: Mapping[str, Path]) -> ClusterServices:
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
        return engine.build_remote(seat.name, launcher)

    places = ModelPlaces(roots)
    lanes = ClusterLanes(
        engine.pool,
        build_lane,
        config.cluster.max_engines,
        places.name_of,
        sends_models=config.cluster.pull_models,
    )
    gateway = Gateway(
        RAY,
        config.cluster.address,
        roots,
        lanes.take,
        sends_models=config.cluster.pull_models,
        environment=cluster_environment(token),
        log_path=str(config.paths.log_dir / _LOG_FILE),
    )
    return ClusterServices(config.cluster.address, gateway, lanes)


def worker_options(config: Config) -> WorkerOptions:
    """How an engine on another machine works. Where its files lie there, its machine knows."""
    asked = config.engine.n_threads
    return WorkerOptions(
        runner=config.engine.runner,
        n_threads=-1 if asked == "auto" else asked,
        chooses_threads=asked == "auto",
        nice=config.engine.nice,
        log_max_bytes=config.engine.log_max_bytes,
        memory_interval_seconds=config.engine.memory_interval_seconds,
        preview_share=config.engine.preview_share,
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
