"""What it costs that an engine is on another machine: time added to a job and to previews, cancels, throughput by
nodes, memory, and a large result on its way.

The machines are nodes of a Ray cluster on loopback addresses, started by our own commands; it needs the extra
``cluster``. Network time is not in these figures.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.cluster_files import send_large, time_previews
from benchmarks.figures import Figure, Options, main, spread
from benchmarks.served import Server, until

_HEAD = "127.0.0.50"
_MIB = 1024 * 1024


def measure(options: Options) -> list[Figure]:
    with _cluster(options.engine) as cluster:
        cluster.join()
        figures = [*_added(options, cluster), *_cancels(options, cluster), *_memory(cluster), *_files(options, cluster)]
        return [*figures, *_throughput(options, cluster)]


class _Cluster:
    """A head, and nodes that are called ``n1`` and so on."""

    def __init__(self, folder: Path, engine: str) -> None:
        self._folder = folder
        self._engine = engine
        self.port = 6500
        self.count = 0

    @property
    def settings(self) -> tuple[str, ...]:
        token = self._folder / "head" / "data" / "cluster.token"
        return (f"cluster.address={_HEAD}:{self.port}", f"cluster.token_file={token}", "engines.devices=none")

    def data(self, number: int) -> Path:
        """The data folder of a node."""
        return self._folder / f"n{number}" / "data"

    def start(self) -> None:
        self._run("head", "start-head", "--host", _HEAD, "--port", str(self.port))

    def join(self) -> None:
        """Have one more node join."""
        self.count += 1
        token = self._folder / "head" / "data" / "cluster.token"
        self._run(
            f"n{self.count}", "join", f"{_HEAD}:{self.port}", "--host", f"127.0.0.{50 + self.count}", "--token-file",
            str(token), "--name", f"n{self.count}", "--engines", "1",
        )  # fmt: skip

    def stop(self) -> None:
        for name in [*(f"n{number}" for number in range(1, self.count + 1)), "head"]:
            with contextlib.suppress(subprocess.CalledProcessError):
                self._run(name, "stop")

    def _run(self, name: str, command: str, *arguments: str) -> None:
        folders = [f"--{kind}-dir={self._folder / name / kind}" for kind in ("data", "models", "output")]
        given = [sys.executable, "-m", "sdcpp_rest", "cluster", command, *arguments, *folders]
        # Its processes stay, and hold what it prints to.
        with (self._folder / f"{name}.log").open("ab") as log:
            subprocess.run([*given, "--set", f"engine.runner={self._engine}"], check=True, stdout=log, stderr=log)


@contextlib.contextmanager
def _cluster(engine: str) -> Iterator[_Cluster]:
    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-bench-") as folder:
        cluster = _Cluster(Path(folder), engine)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def _wait_engines(server: Server, count: int) -> None:
    with server.connect() as client:
        until(
            lambda: sum(engine["is_available"] for engine in client.get("/engines")["engines"]) >= count,
            f"there are no {count} engines",
        )


def _added(options: Options, cluster: _Cluster) -> list[Figure]:
    """Jobs one at a time, on the node and on an engine here, in turns."""
    count = options.samples(30, 3)
    added: dict[str, list[float]] = {"here": [], "on the node": []}
    with Server(options.engine) as here, Server(options.engine, 1, *cluster.settings) as there:
        here.wait_loaded()
        _wait_engines(there, 1)
        for seed in range(count + 2):
            for where, server in zip(added, (here, there), strict=True):
                with server.listen() as listener, server.connect() as client:
                    job_id = client.submit(seed=seed, width=64, height=64)
                    accepted_at = client.answered_at
                    ended_at, status = listener.wait_end(job_id)
                    assert status == "completed", f"job {job_id} {status}"
                    native = client.get(f"/queue/{job_id}")["timings"]["native_seconds"]
                if seed >= 2:
                    added[where].append(ended_at - accepted_at - native)
    return [
        figure
        for where, seconds in added.items()
        for figure in spread(f"engine {where}: accepted -> completed event, less library", seconds, (50, 95))
    ]


def _cancels(options: Options, cluster: _Cluster) -> list[Figure]:
    count, seconds = options.samples(20, 2), []
    prompt = {"prompt": "fake:step=0.05"} if options.engine == "fake" else {}
    with Server(options.engine, 1, *cluster.settings) as server:
        _wait_engines(server, 1)
        with server.listen() as listener, server.connect() as client:
            for _ in range(count):
                job_id = client.submit(width=64, height=64, steps=9000, **prompt)
                listener.wait_step(job_id, 2)
                client.call("DELETE", f"/queue/{job_id}")
                sent_at = client.sent_at
                seconds.append(listener.wait_end(job_id)[0] - sent_at)
    return spread("cancel sent -> cancelled event, engine on the node", seconds, (50, 95))


def _throughput(options: Options, cluster: _Cluster) -> list[Figure]:
    """Jobs of engines that pretend, on one node, two and four."""
    if options.engine != "fake":
        return []
    count, figures = options.samples(100, 4), []
    for nodes in (1, 2, 4):
        while cluster.count < nodes:
            cluster.join()
        with Server("fake", 1, *cluster.settings) as server:
            _wait_engines(server, nodes)
            with server.listen() as listener, server.connect() as client:
                started = time.perf_counter()
                for seed in range(count):
                    client.submit(prompt="fake:step=0.05", steps=8, seed=seed, width=64, height=64)
                listener.wait_ends(count)
                figures.append(
                    Figure(f"wall of {count} jobs of 0.4 s, {nodes} nodes", time.perf_counter() - started, "s", count)
                )
    return figures


def _memory(cluster: _Cluster) -> list[Figure]:
    """Of the processes that a cluster adds, by what they are."""
    with Server("fake", 1, *cluster.settings) as server:
        _wait_engines(server, 1)
        with server.listen() as listener, server.connect() as client:
            listener.wait_end(client.submit(prompt="a", steps=2, width=64, height=64))
            pid = client.get("/engines")["engines"][0]["pid"]
        host = psutil.Process(pid).parent()
        gateway = next(one for one in server.process().children() if "gateway_entry" in " ".join(one.cmdline()))
        node = host.parent() if host is not None else None
        beside = [] if node is None or host is None else [one for one in node.children() if one.pid != host.pid]
        sizes = {
            "memory of the server": server.process().memory_info().rss,
            "  of its gateway": gateway.memory_info().rss,
            "  of the host of an engine": host.memory_info().rss if host is not None else 0,
            "  of Ray beside it on the node": sum(_rss(one) for one in (node, *beside) if one is not None),
        }
    return [Figure(name, size / _MIB, "MiB") for name, size in sizes.items()]


def _files(options: Options, cluster: _Cluster) -> list[Figure]:
    """With engines that pretend: what they draw has any size, and its steps take a known time."""
    with Server("fake") as here, Server("fake", 1, "limits.side=8192", *cluster.settings) as there:
        _wait_engines(there, 1)
        return [*time_previews(options, here, there), *send_large(options, there, cluster.data(1))]


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


if __name__ == "__main__":
    main("Engines on other machines", measure)
