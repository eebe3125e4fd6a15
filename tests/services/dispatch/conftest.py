"""Servers with a pretended cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdcpp_rest.groups import cluster_group
from tests.engine.remote import fake_cluster
from tests.services.dispatch.cluster_house import ClusterHouse


@pytest.fixture
def make_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ClusterHouse]]:
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    # A server is let in by a token; the fake one asks for none.
    token = tmp_path / "cluster.token"
    token.touch()
    monkeypatch.setattr(cluster_group, "token_file", lambda config: token)
    monkeypatch.setenv(fake_cluster.FOLDER_VARIABLE, str(cluster))
    monkeypatch.setattr(cluster_group, "RAY", "tests.engine.remote.fake_cluster:FakeCluster")
    houses: list[ClusterHouse] = []

    def build(*settings: str) -> ClusterHouse:
        houses.append(ClusterHouse(tmp_path / "house", cluster, *settings))
        houses[-1].config.paths.models_dir.mkdir(exist_ok=True)
        houses[-1].runtime.start()
        return houses[-1]

    yield build
    for house in houses:
        house.stop()
