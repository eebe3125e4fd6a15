"""A cluster of folders: each file in one is a node that has joined. For the gateway's own process, in tests."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import sdcpp_rest
from sdcpp_rest.engine.launchers import ProcessLauncher
from sdcpp_rest.engine.log_tail import RawLog
from sdcpp_rest.engine.remote import gateway_entry
from sdcpp_rest.engine.remote.cluster import ClusterNode
from sdcpp_rest.engine.remote.model_places import ModelPlaces
from sdcpp_rest.engine.remote.node_logs import SILENT, read_node_log
from sdcpp_rest.engine.remote.shipping import LinkLost
from sdcpp_rest.engine.worker_options import WorkerOptions
from tests.engine.remote.thread_link import ThreadLink

FOLDER_VARIABLE = "SDCPP_REST_FAKE_CLUSTER"
DEMO_ROOT = Path(sdcpp_rest.__file__).parent / "demo"


def join(folder: Path, name: str, *, models: tuple[str, ...] = (), fault: str = "") -> None:
    """Have a node join, which has these models."""
    for model in models:
        add_model(folder, name, model)
    part = folder / f"{name}.part"
    part.write_text(fault)
    part.replace(folder / f"{name}.node")


def add_model(folder: Path, name: str, model: str) -> None:
    """Give a node a model."""
    path = folder / f"{name}.models" / model
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"model")


def cut(folder: Path, name: str) -> None:
    """Have the engine of a node be lost: nothing comes from it any more."""
    (folder / f"{name}.cut").touch()


class FakeCluster:
    """``address`` is the folder, or ``auto`` for the one that the environment names. Beside a node's file lies the
    folder of its models; a file called ``gone`` ends the process, as a cluster's own software may; with one called
    ``closed`` nobody is let in; one called ``silent`` lets who asks wait for ever. ``NAME.broken``: no engine starts on
    that node; ``NAME.cut``: its engine is lost; ``NAME.silent``: it does not tell its log; ``NAME.hangs``: nor does it
    ever say so; ``NAME.full``: it has no room for what its engine draws."""

    def __init__(self, address: str) -> None:
        self._folder = Path(os.environ[FOLDER_VARIABLE] if address == "auto" else address)
        self._links: dict[str, ThreadLink] = {}

    def connect(self) -> None:
        if (self._folder / "closed").exists():
            raise LinkLost("the cluster is closed")

    def nodes(self) -> Sequence[ClusterNode]:
        if (self._folder / "gone").exists():
            (self._folder / "gone").unlink()
            os._exit(13)
        if (self._folder / "silent").exists():
            (self._folder / "silent").unlink()
            gateway_entry._SILENT_LOOKS = 2
            threading.Event().wait()
        nodes = []
        for path in self._folder.glob("*.cut"):
            path.unlink()
            self._links.pop(path.stem).cut()
        for path in self._folder.glob("*.node"):
            files, fault = self._places(path.stem).list_files(), path.read_text()
            nodes.append(ClusterNode(path.stem, path.stem, "here", 1, files=files, fault=fault))
        return nodes

    def open(self, node_id: str, slot: int, options: WorkerOptions) -> ThreadLink:
        if not (self._folder / f"{node_id}.node").exists():
            raise LinkLost(f"there is no {node_id}")
        if (self._folder / f"{node_id}.broken").exists():
            raise LinkLost(f"{node_id} does not answer")
        folder = self._folder / f"{node_id}.jobs"
        folder.mkdir(exist_ok=True)
        options = replace(options, log_path=str(folder / "engine.log"), last_words_path=str(folder / "last_words"))
        self._links[node_id] = link = ThreadLink(ProcessLauncher(options), self._places(node_id), folder / "jobs")
        if (self._folder / f"{node_id}.full").exists():
            link.carrier.full_for = "put"
        return link

    def read_log(self, node_id: str, slot: int, count: int) -> RawLog:
        if (self._folder / f"{node_id}.hangs").exists():
            threading.Event().wait()
        if (self._folder / f"{node_id}.silent").exists():
            raise LinkLost(SILENT)
        return read_node_log(self._folder / f"{node_id}.jobs", (str(self._folder / f"{node_id}.models"),), count)

    def want(self, engines: int) -> None:
        part = self._folder / "wanted.part"
        part.write_text(str(engines))
        part.replace(self._folder / "wanted")

    def _places(self, node_id: str) -> ModelPlaces:
        return ModelPlaces({"models": self._folder / f"{node_id}.models", "demo": DEMO_ROOT})

    def close(self) -> None:
        pass
