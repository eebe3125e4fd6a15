"""What is full on a cluster, a store of objects or a disk, fails a job in a sentence or moves it, and is well again."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cluster.conftest import Box, RayCluster, raylet_of, small_disks
from tests.cluster.test_cluster_failures import SLOW, give_model, wait_engines
from tests.e2e.conftest import TIMEOUT, ServerProcess

pytestmark = pytest.mark.cluster

MakeServer = Callable[..., ServerProcess]

_SMALL_STORE = "--object-store-memory=80000000"
_STORE_FULL = "Ray's store of objects is full, and so is the disk that it spills to"
_NOT_TOLD = "The engine's machine is not told what to do: "
_NO_ROOM = "The engine's machine has no room for what the job needs there: "
# Its pictures have 17 kB each: too large together for a message.
_LARGE = {"prompt": "a boat", "batch_count": 7, "width": 2048, "height": 2048, "steps": 1}
# So is this one's message, which tells the prompt for each picture.
_MANY = {"prompt": "x" * 9000, "batch_count": 20, "width": 64, "height": 64, "steps": 1}


def enter_prefix(box: Box) -> tuple[str, ...]:
    """A prefix: a command sees the disks that a box sees."""
    return ("nsenter", f"--mount=/proc/{raylet_of(box)}/ns/mnt")


class Disk:
    """A folder as a box sees it."""

    def __init__(self, box: Box, folder: Path) -> None:
        self._box, self._path = box, folder
        self.folder = Path(f"/proc/{raylet_of(box)}/root{folder}")

    def fill(self) -> None:
        with contextlib.suppress(OSError), (self.folder / "filling").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)

    def clear(self) -> None:
        (self.folder / "filling").unlink(missing_ok=True)

    def enlarge(self, size: str) -> None:
        subprocess.run(
            [*enter_prefix(self._box), "mount", "-o", f"remount,size={size}", self._path], check=True, timeout=TIMEOUT
        )

    def left(self) -> list[str]:
        """What lies there of jobs."""
        return [path.name for path in self.folder.glob("engine-*/jobs/host-*/*")]


def given() -> str:
    """A picture that is too large for a message."""
    file = io.BytesIO()
    Image.effect_noise((512, 512), 64).convert("RGB").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def submit_with_picture(server: ServerProcess, **fields: Any) -> str:
    asked = {"prompt": "a boat", "init_image_base64": given(), "width": 512, "height": 512, "steps": 1, **fields}
    answer = server.post("/img2img", asked)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


def assert_failed(server: ServerProcess, job_id: str, code: str, message: str) -> None:
    job = server.wait(job_id)
    assert (job["status"], job["error_code"], job["error"]) == ("failed", code, message)
    assert not (server.folder / "output" / job_id).exists()
    assert list((server.folder / "output" / ".spool").iterdir()) == []


def assert_draws(server: ServerProcess) -> None:
    """What needs the store most completes."""
    for job_id in (server.submit(**_LARGE), submit_with_picture(server), server.submit(**_MANY)):
        job = server.wait(job_id)
        assert job["status"] == "completed", job


class SmallCluster(RayCluster):
    """A head and a node with little room: for objects, the disk that these spill to, and on the node for all else."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.box = self.make_box()
        self.models = self.box.folder / "models"
        assert self.head.sessions is not None
        assert self.box.sessions is not None
        self.head.prefix = small_disks({self.head.sessions: "64m"})
        self.box.prefix = small_disks({self.box.sessions: "64m", self.box.data: "160m", self.models: "4m"})
        self.start(nodes=0, options=lambda head: (_SMALL_STORE,))
        self.join(self.box, more=(_SMALL_STORE,))

    @contextlib.contextmanager
    def full_store(self, box: Box) -> Iterator[Disk]:
        """The store of objects of ``box`` is full, and so is the disk that it spills to."""
        # A worker of its own Ray would be in its folders, which are not seen from here.
        via = self.box if box is self.head else self.head
        assert box.sessions is not None
        disk = Disk(box, box.sessions)
        enter = enter_prefix(via)
        command = [*enter, sys.executable, "-m", "tests.cluster.store_filler", self.head.address, via.host, box.host]
        environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.head.token)}
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as filler:
            try:
                assert filler.stdin is not None
                assert filler.stdout is not None
                assert "ready\n" in filler.stdout
                disk.fill()
                print("go on", file=filler.stdin, flush=True)
                assert "full\n" in filler.stdout
                yield disk
            finally:
                filler.communicate(timeout=TIMEOUT)
                disk.clear()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, mounts: None) -> Iterator[SmallCluster]:
    made = None
    folder = tmp_path_factory.mktemp("small")
    try:
        made = SmallCluster(folder)
        yield made
    finally:
        if made is not None:
            made.end()


@pytest.fixture
def server(small: SmallCluster, make_server: MakeServer) -> ServerProcess:
    """One whose Ray is the head's."""
    return make_server(small, "cluster.pull_models=true", prefix=enter_prefix(small.head))


def test_a_nodes_store_of_objects_that_is_full_fails_jobs_in_words(small: SmallCluster, server: ServerProcess) -> None:
    (engine,) = wait_engines(server, 1)
    with small.full_store(small.box) as disk:
        assert_failed(server, server.submit(**_LARGE), "machine_full", _NO_ROOM + _STORE_FULL)
        assert_failed(server, submit_with_picture(server), "machine_full", _NO_ROOM + _STORE_FULL)
        assert_failed(server, server.submit(**_MANY), "generation_failed", _NOT_TOLD + _STORE_FULL)
        disk.clear()
        assert_draws(server)  # Ray puts on the disk what does not fit
    assert_draws(server)
    assert wait_engines(server, 1)[0]["pid"] == engine["pid"]


def test_the_servers_store_of_objects_that_is_full_fails_jobs_in_words(
    small: SmallCluster, server: ServerProcess
) -> None:
    (engine,) = wait_engines(server, 1)
    with small.full_store(small.head) as disk:
        not_come = "The picture init_image of the job did not come to the engine's machine: "
        assert_failed(server, submit_with_picture(server), "generation_failed", not_come + _STORE_FULL)
        not_written = "The result could not be written: "
        assert_failed(server, server.submit(**_LARGE), "output_failed", not_written + _STORE_FULL)
        assert_failed(server, server.submit(**_MANY), "generation_failed", _NOT_TOLD + _STORE_FULL)
        disk.clear()
        assert_draws(server)
    assert_draws(server)
    assert wait_engines(server, 1)[0]["pid"] == engine["pid"]


def test_a_model_for_which_a_node_has_no_room_is_told_and_comes_when_there_is(
    small: SmallCluster, server: ServerProcess
) -> None:
    mine = give_model(server)
    wait_engines(server, 1)
    job = server.wait(server.submit("a boat", width=64, height=64, steps=1))
    assert (job["status"], job["error_code"]) == ("failed", "machine_full")
    assert f"{_NO_ROOM}mine.gguf: the disk has" in job["error"]
    disk = Disk(small.box, small.models)
    assert list(disk.folder.rglob("*mine*")) == [], "nothing half"
    disk.enlarge("2g")
    job = server.wait(server.submit("a boat", width=64, height=64, steps=1))
    assert job["status"] == "completed", job
    assert (disk.folder / mine.relative_to("models")).read_bytes() == (server.folder / mine).read_bytes()


def test_a_nodes_disk_that_is_full_fails_jobs_in_words_or_moves_them(
    small: SmallCluster, server: ServerProcess
) -> None:
    wait_engines(server, 1)
    disk = Disk(small.box, small.box.data)
    disk.fill()
    no_space = f"{_NO_ROOM}No space left on device"
    assert_failed(server, server.submit("a boat", width=64, height=64, steps=1), "machine_full", no_space)
    assert_failed(server, submit_with_picture(server), "machine_full", no_space)
    assert disk.left() == []
    disk.clear()
    assert_draws(server)
    assert disk.left() == []

    # Another node can do what this one cannot.
    disk.fill()
    guest = small.make_box()
    small.join(guest)
    try:
        wait_engines(server, 2)
        held = server.submit(SLOW, steps=30, width=64, height=64, device="node2:0")
        server.wait_running(held)
        jobs = [server.wait(job_id) for job_id in (held, server.submit("a boat", width=64, height=64, steps=1))]
        assert [(job["status"], job["engine"]) for job in jobs] == [("completed", "node2:0")] * 2
        fault = next(node["fault"] for node in server.get("/engines")["cluster"]["nodes"] if node["name"] == "node1")
        assert fault.startswith("quarantined for")
        assert fault.endswith("it has no room for jobs' files")
    finally:
        disk.clear()
        guest.run("stop")
        small.nodes.remove(guest)
