"""How fast a model file comes from loopback, against curl; how fast it is hashed, against sha256sum."""

from __future__ import annotations

import contextlib
import functools
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from benchmarks.figures import Figure, Options, main
from sdcpp_rest.config import Config
from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.runtime import open_library
from sdcpp_rest.services.address_check import check_host
from sdcpp_rest.services.downloads.file_to_fetch import FileToFetch, TransferLimits
from sdcpp_rest.services.downloads.range_download import RangeDownload
from sdcpp_rest.services.downloads.stop_switch import StopSwitch
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.hash_store import HashStore

HEADER = (8).to_bytes(8, "little") + b"{}      "
# Lean, and in a process of its own: what is measured is who receives.
SERVER = """
import socket, sys
path, server = sys.argv[1], socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    connection, _ = server.accept()
    with connection, open(path, "rb") as file:
        connection.recv(65536)
        file.seek(0, 2)
        size = file.tell()
        file.seek(0)
        head = "HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\nETag: \\"x\\"\\r\\nConnection: close\\r\\n\\r\\n" % size
        connection.sendall(head.encode())
        try:
            connection.sendfile(file)
        except OSError:
            pass
"""


def measure(options: Options) -> list[Figure]:
    size = options.samples(1_000_000_000, 20_000_000)
    rounds = options.samples(5, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "model.safetensors"
        with open(source, "wb") as file:
            file.write(HEADER)
            file.truncate(size)
        with _served(source) as url:
            curl, ours, growth = [], [], 0.0
            for _ in range(rounds):
                # In turn: what else the machine does hits both.
                curl.append(_seconds(lambda: _curl(url, folder / "curl")))
                with _peak_growth() as peak:
                    ours.append(_seconds(lambda: _fetch(url, folder)))
                growth = max(growth, peak())
        theirs, hashed = [], []
        for k in range(rounds):
            theirs.append(_seconds(lambda: _sha256sum(source)))
            hashed.append(_seconds(functools.partial(_hash, source, folder / f"{k}.db")))
    megabytes = size / 1e6
    return [
        Figure("curl", megabytes / min(curl), "MB/s", rounds),
        Figure("download with SHA-256", megabytes / min(ours), "MB/s", rounds),
        Figure("download, time against curl's", _ratio(ours, curl), "x", rounds, at_most=1.25, note="median"),
        Figure("memory added at most by a download", growth, "MiB", rounds, at_most=48),
        Figure("sha256sum", megabytes / min(theirs), "MB/s", rounds),
        Figure("hash of a model", megabytes / min(hashed), "MB/s", rounds),
        Figure("hash, time against sha256sum's", _ratio(hashed, theirs), "x", rounds, at_most=1.11, note="median"),
        Figure("warnings and errors in the logs", 0, ""),
    ]


def _ratio(ours: list[float], theirs: list[float]) -> float:
    """Round by round: the two of a round had the same neighbours."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _curl(url: str, target: Path) -> None:
    if shutil.which("curl") is None:
        raise SystemExit("this benchmark needs curl")
    subprocess.run(["curl", "--silent", "--fail", "--output", str(target), url], check=True)
    target.unlink()


def _fetch(url: str, folder: Path) -> None:
    part, note = folder / "part", folder / "note"
    rule = functools.partial(check_host, allowed=["127.0.0.1"])
    RangeDownload(FileToFetch(url), part, note, rule, TransferLimits(), StopSwitch()).fetch()
    part.unlink()


def _sha256sum(path: Path) -> None:
    subprocess.run(["sha256sum", str(path)], check=True, stdout=subprocess.DEVNULL)


def _hash(path: Path, database: Path) -> None:
    status = path.stat()
    file = ModelFile(
        name=path.name,
        type="checkpoint",
        path=str(path),
        root=str(path.parent),
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        file_extension=path.suffix,
    )
    opened = Database(database)
    library = open_library(Config(paths={"models_dir": path.parent}))
    ModelHashes(library, HashStore(opened)).sum_of(file)
    opened.close()


@contextlib.contextmanager
def _peak_growth() -> Iterator[Callable[[], float]]:
    """Yields a function that tells by how many MiB this process has grown at most."""
    process, stopped = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not stopped.wait(0.01):
            peak = max(peak, process.memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda: (peak - before) / 2**20
    finally:
        stopped.set()
        thread.join()


@contextlib.contextmanager
def _served(path: Path) -> Iterator[str]:
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        socket.create_connection(("127.0.0.1", port)).close()
        yield f"http://127.0.0.1:{port}/model.safetensors"
    finally:
        server.kill()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()


if __name__ == "__main__":
    main("Downloads from loopback, and SHA-256 sums.", measure, default_engine="fake")
