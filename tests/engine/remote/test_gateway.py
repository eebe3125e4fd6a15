"""The gateway: a process of its own that knows the cluster, and that is replaced when it ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.engine.client import EngineClient
from sdcpp_rest.engine.protocol import RunJob
from sdcpp_rest.engine.remote.cluster import ClusterNode
from sdcpp_rest.engine.remote.gateway import Gateway, GatewayEngine
from sdcpp_rest.engine.runner import RunCancelled
from sdcpp_rest.engine.worker_options import WorkerOptions
from sdcpp_rest.errors import EngineDied, EngineLost, EngineUnavailable
from tests.engine.conftest import TIMEOUT
from tests.engine.remote import fake_cluster

pytestmark = pytest.mark.slow

FAKE = "tests.engine.remote.fake_cluster:FakeCluster"


class Rig:
    """A gateway over a `FakeCluster`."""

    def __init__(self, folder: Path) -> None:
        self.cluster, self.models = folder / "cluster", folder / "models"
        self.cluster.mkdir()
        self.models.mkdir()
        (self.models / "model.gguf").write_bytes(b"model")
        self.spec = LoadSpec(model=FileRef(name="model.gguf", path=str(self.models / "model.gguf")), kind="diffusion")
        self.folder = folder
        self._changed = threading.Condition()
        self.told: list[tuple[ClusterNode, ...]] = []
        self.gateway = Gateway(
            FAKE, str(self.cluster), {"models": self.models}, self._take, backoff_initial_seconds=0.05
        )

    def join(self, name: str) -> None:
        fake_cluster.join(self.cluster, name, models=("model.gguf",))

    def wait_for(self, holds: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(holds, TIMEOUT)

    @property
    def names(self) -> list[str]:
        return [node.name for node in self.gateway.nodes]

    def _take(self, nodes: tuple[ClusterNode, ...]) -> None:
        with self._changed:
            self.told.append(nodes)
            self._changed.notify_all()

    def connect(self, node: str) -> EngineClient:
        return EngineClient(self.launcher(node))

    def launcher(self, node: str) -> NodeLauncher:
        return NodeLauncher(self.gateway, node, self.folder)

    def job(self, prompt: str = "a cat", spool: str = "spool") -> Callable[[int], RunJob]:
        params = ImageParams(prompt=prompt, width=8, height=8, steps=2, seed=1)
        return lambda number: RunJob(
            run=number, job_id="job", kind="txt2img", params=params, model_key=self.spec.key,
            spool=str(self.folder / f"{spool}-{number}"), captions=("a",),
        )  # fmt: skip


class NodeLauncher:
    def __init__(self, gateway: Gateway, node: str, folder: Path) -> None:
        self._gateway, self._node, self._folder = gateway, node, folder

    def launch(self) -> GatewayEngine:
        words = str(self._folder / "last_words")
        options = WorkerOptions(runner="fake", log_path=str(self._folder / "engine.log"), last_words_path=words)
        return self._gateway.launch(self._node, 0, options)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.gateway.stop()


def test_nodes_come_and_go(rig: Rig) -> None:
    rig.join("one")
    rig.gateway.start()
    rig.wait_for(lambda: rig.names == ["one"])
    assert rig.gateway.trouble is None
    rig.join("two")
    rig.wait_for(lambda: rig.names == ["one", "two"])
    assert rig.gateway.nodes[1].files["models/model.gguf"] == 5
    (rig.cluster / "one.node").unlink()
    rig.wait_for(lambda: rig.names == ["two"])


def test_two_engines_draw_the_same_picture_at_the_same_time(rig: Rig) -> None:
    for name in ("one", "two"):
        rig.join(name)
    rig.gateway.start()
    rig.wait_for(lambda: len(rig.names) == 2)
    clients = [rig.connect(name) for name in ("one", "two")]
    for client in clients:
        client.wait_ready(TIMEOUT)
        client.load(rig.spec)
    held = clients[0].run(rig.job("fake:hold"))
    run = clients[1].run(rig.job(spool="second"))
    run.finished.result(TIMEOUT)
    clients[0].cancel(held.number)
    with pytest.raises(RunCancelled):
        held.computed.result(TIMEOUT)
    for client in clients:
        client.stop(TIMEOUT)
        assert not client.alive


def test_an_engine_that_dies_is_no_loss(rig: Rig) -> None:
    rig.join("one")
    rig.gateway.start()
    rig.wait_for(lambda: bool(rig.names))
    client = rig.connect("one")
    client.wait_ready(TIMEOUT)
    client.load(rig.spec)
    run = client.run(rig.job("fake:segfault"))
    with pytest.raises(EngineDied, match="SIGSEGV") as caught:
        run.computed.result(TIMEOUT)
    assert not isinstance(caught.value, EngineLost)


@pytest.mark.parametrize("how", ["killed", "ends by itself"])
def test_a_gateway_that_ends_is_replaced_and_its_engines_are_lost(rig: Rig, how: str) -> None:
    rig.join("one")
    rig.gateway.start()
    rig.wait_for(lambda: bool(rig.names))
    client = rig.connect("one")
    client.wait_ready(TIMEOUT)
    client.load(rig.spec)
    run = client.run(rig.job("fake:hold"))
    if how == "killed":
        assert rig.gateway._process is not None
        os.kill(rig.gateway._process.pid, signal.SIGKILL)
    else:
        (rig.cluster / "gone").touch()
    with pytest.raises(EngineLost, match="broke off"):
        run.computed.result(TIMEOUT)
    rig.wait_for(lambda: () in rig.told and rig.names == ["one"])
    again = rig.connect("one")
    again.wait_ready(TIMEOUT)
    again.load(rig.spec)
    assert again.run(rig.job()).finished.result(TIMEOUT).files == ("image_0.png",)
    again.stop(TIMEOUT)


def test_a_cluster_that_does_not_answer_is_left_and_tried_again(rig: Rig) -> None:
    rig.join("one")
    rig.gateway.start()
    rig.wait_for(lambda: rig.names == ["one"])
    client = rig.connect("one")
    client.wait_ready(TIMEOUT)
    client.load(rig.spec)
    run = client.run(rig.job("fake:hold"))
    (rig.cluster / "silent").touch()
    with pytest.raises(EngineLost, match="broke off"):
        run.computed.result(TIMEOUT)
    rig.wait_for(lambda: () in rig.told and rig.names == ["one"])
    assert rig.gateway.trouble is None


def test_a_node_that_is_not_there_starts_no_engine_and_says_so(rig: Rig) -> None:
    rig.join("one")
    rig.gateway.start()
    rig.wait_for(lambda: bool(rig.names))
    with pytest.raises(EngineUnavailable, match="there is no two"):
        rig.connect("two").wait_ready(TIMEOUT)


def test_a_cluster_that_lets_nobody_in_is_told_and_tried_again(rig: Rig) -> None:
    (rig.cluster / "closed").touch()
    rig.join("one")
    rig.gateway.start()
    rig.wait_for(lambda: () in rig.told)
    assert rig.gateway.trouble == "the cluster is closed"
    with pytest.raises(EngineUnavailable, match="broke off"):
        rig.connect("one").wait_ready(TIMEOUT)
    (rig.cluster / "closed").unlink()
    rig.wait_for(lambda: rig.names == ["one"])
    assert rig.gateway.trouble is None
