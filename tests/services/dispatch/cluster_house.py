"""A whole server that draws on a pretended cluster alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sdcpp_rest.core.events import JobStatusChanged
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.engine.remote.cluster import ClusterNode
from sdcpp_rest.services.dispatch.lane import Lane
from tests.engine.remote import fake_cluster
from tests.services.conftest import PATIENCE_SECONDS, House, config_below


class ClusterHouse(House):
    """A server that computes nothing itself, and a cluster of no nodes yet."""

    def __init__(self, folder: Path, cluster: Path, *settings: str) -> None:
        self.cluster = cluster
        super().__init__(
            config_below(folder, "engines.devices=none", "cluster.address=auto", "queue.max_requeues=3", *settings),
            "process",
        )
        services = self.runtime.cluster
        assert services is not None
        self.services = services
        self._changed = threading.Condition()
        take = services.gateway._on_nodes

        def take_and_tell(nodes: tuple[ClusterNode, ...]) -> None:
            take(nodes)
            self.tell()

        services.gateway._on_nodes = take_and_tell
        pool = self.runtime.engine.pool
        remove = pool.remove

        def remove_and_tell(lane: Lane) -> None:
            remove(lane)
            self.tell()

        pool.remove = remove_and_tell  # type: ignore[method-assign]

    def wait_for(self, holds: Callable[[], bool]) -> bool:
        """Wait until it comes true; it is looked at whenever the gateway tells of nodes, and when an engine leaves."""
        with self._changed:
            return self._changed.wait_for(holds, PATIENCE_SECONDS)

    def tell(self) -> None:
        """Have `wait_for` look once more."""
        with self._changed:
            self._changed.notify_all()

    def fault(self, name: str) -> str | None:
        """What is told to be wrong with a node."""
        nodes = self.services.describe()["nodes"]
        return next(node["fault"] for node in nodes if node["name"] == name)

    def left(self, name: str) -> bool:
        """Wait until the engine of this name has left the pool."""
        return self.wait_for(lambda: name not in self.runtime.engine.pool.names())

    def join(self, name: str, *models: str, **more: Any) -> None:
        fake_cluster.join(self.cluster, name, models=tuple(models), **more)

    def spec(self, name: str) -> LoadSpec:
        """A model that this server has."""
        path = self.config.paths.models_dir / name
        path.write_bytes(b"model")
        return LoadSpec(model=FileRef(name=name, path=str(path)), kind="diffusion")

    def begun(self, job_id: str) -> str:
        """Wait until a job runs; the engine's name."""
        self.until(JobStatusChanged, job_id=job_id, status="processing")
        return self.runtime.jobs.queue.get(job_id).engine or ""
