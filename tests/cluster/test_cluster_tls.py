"""A cluster whose machines speak TLS with one another, and let nobody in whom their authority does not know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.cluster.conftest import RayCluster
from tests.cluster.test_cluster_failures import assert_drawn_once, engines_of, wait_engines
from tests.e2e.conftest import ServerProcess

# They share a cluster.
pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("tls")]
MakeServer = Callable[..., ServerProcess]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[RayCluster]:
    """A head and a node, each with a certificate for its address."""
    made = RayCluster(tmp_path_factory.mktemp("secured"))
    try:
        made.start(nodes=0, variables=authority.variables("head", made.head.host))
        box = made.make_box()
        ran = box.join(made.head, "--name", "node1", "--engines", "1", **authority.variables("node", box.host))
        assert ran.returncode == 0, ran.stderr
        made.nodes.append(box)
        yield made
    finally:
        made.end()


def test_pictures_come_by_tls(
    secured: RayCluster, authority: Authority, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in authority.variables("server", secured.head.host).items():
        monkeypatch.setenv(name, value)
    server = make_server(secured)
    wait_engines(server, 1)
    # Too large for a message of its own: it goes by the store of objects.
    job_ids = [server.submit("fake:noise", width=side, height=side, steps=1) for side in (64, 256)]
    assert_drawn_once(server, job_ids)
    assert {server.job(job_id)["engine"] for job_id in job_ids} == {"node1:0"}
    assert len(server.picture(job_ids[1])) > 100_000
    assert len(engines_of(server)) == 1


def test_whom_the_authority_does_not_know_is_refused(secured: RayCluster, authority: Authority, tmp_path: Path) -> None:
    box = secured.make_box()
    own, other = (one.variables("box", box.host) for one in (authority, Authority(tmp_path)))
    stranger = {**other, "RAY_TLS_CA_CERT": own["RAY_TLS_CA_CERT"]}
    for variables, words in (
        ({}, "The head uses TLS, and this machine's environment does not have RAY_USE_TLS=1"),
        (other, "The head's certificate is not accepted: "),
        (stranger, "The head does not accept this machine's certificate (RAY_TLS_SERVER_CERT)"),
    ):
        ran = box.join(secured.head, **variables)
        assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
        assert words in ran.stderr
        assert box.processes() == []


def test_a_server_without_tls_says_what_it_lacks(secured: RayCluster, make_server: MakeServer) -> None:
    server = make_server(secured)
    shown = server.until(
        lambda: server.get("/engines")["cluster"],
        lambda shown: shown["trouble"] != "The cluster has not answered yet",
    )
    assert "RAY_USE_TLS" in shown["trouble"]


def test_a_cluster_without_tls_is_told_from_one_with_it(cluster: RayCluster, authority: Authority) -> None:
    box = cluster.make_box()
    ran = box.join(cluster.head, **authority.variables("box", box.host))
    assert ran.returncode == 1
    assert "The head does not use TLS" in ran.stderr
