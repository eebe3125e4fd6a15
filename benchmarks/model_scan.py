"""A large shelf of models: the first look at ten thousand files, every later one, and hashing beside short calls."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Options, main, spread
from benchmarks.served import Client, Server
from sdcpp_rest.core.catalog import TYPE_FOLDERS
from sdcpp_rest.errors import ModelNotFound
from sdcpp_rest.services.models.model_library import ModelLibrary

_LONG_AGO_SECONDS = 1_000_000_000
_PIECE = bytes(range(256)) * 4096


def measure(options: Options) -> list[Figure]:
    files = options.samples(10_000, 100)
    megabytes = options.samples(1024, 8)
    with Server(options.engine) as server:
        models = server.folder / "models"
        _fill(models, files)
        _write(models / "vae" / "large.safetensors", megabytes)
        _settle(models)
        library = ModelLibrary(models)
        started = time.perf_counter()
        found = sum(len(listed) for listed in library.list().values())
        scanned = time.perf_counter() - started
        again = _seconds(library.list, options.samples(50, 3))
        missing = _seconds(lambda: _find(library, "not there at all"), options.samples(20, 3))
        with server.connect() as client:
            client.get("/models")
            first, listed = client.seconds, []
            for _ in range(options.samples(100, 3)):
                client.get("/models")
                listed.append(client.seconds)
            client.get("/models?type=lora&search=model_0")
            filtered = client.seconds
            alone = _healths(client, options.samples(1000, 20))
            hashing, took = _while_hashing(server, client)
        return [
            Figure(f"{found} files, first scan, the library alone", scanned * 1000, "ms", at_most=2000),
            *spread("the same, later", again, (50, 100)),
            *spread("a name that does not exist", missing, (50, 100)),
            Figure("GET /models, first", first * 1000, "ms", at_most=2000),
            *spread("GET /models, later", listed, (50, 90, 100), at_most={50: 50}),
            Figure("GET /models, filtered", filtered * 1000, "ms"),
            *spread("GET /health", alone, (50, 99)),
            *spread(f"GET /health while {megabytes} MiB are hashed", hashing, (50, 99), at_most={99: 20}),
            Figure("that hash", took, "s", note=f"{megabytes / took:.0f} MiB/s"),
            server.complaints(),
        ]


def _fill(models: Path, count: int) -> None:
    """``count`` small files over all type folders, some of them deeper, a tenth of them parts of split models."""
    folders = list(TYPE_FOLDERS.values())
    for number in range(count):
        folder = models / folders[number % len(folders)] / f"folder {number % 37}"
        name = f"model_{number:05}.safetensors"
        if number % 10 == 0:
            name = f"split_{number:05}-00001-of-00001.gguf"
        _write(folder / name, 0)


def _write(path: Path, megabytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(_PIECE)


def _settle(models: Path) -> None:
    """What changed within the last moments is looked at again: not what is to be measured here."""
    for folder, _, names in os.walk(models, topdown=False):
        for name in names:
            os.utime(Path(folder) / name, (_LONG_AGO_SECONDS, _LONG_AGO_SECONDS))
        os.utime(folder, (_LONG_AGO_SECONDS, _LONG_AGO_SECONDS))


def _seconds(call: Any, count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return seconds


def _find(library: ModelLibrary, name: str) -> None:
    with contextlib.suppress(ModelNotFound):
        library.find("vae", name)


def _healths(client: Client, count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        client.get("/health")
        seconds.append(client.seconds)
    return seconds


def _while_hashing(server: Server, client: Client) -> tuple[list[float], float]:
    """Seconds of each /health until the large file's sum is there, and how long that took."""
    took: list[float] = []

    def ask() -> None:
        with server.connect() as other:
            other.get("/models/hash/vae/large")
            took.append(other.seconds)

    asking = threading.Thread(target=ask)
    asking.start()
    seconds: list[float] = []
    while asking.is_alive() or not seconds:
        client.get("/health")
        seconds.append(client.seconds)
    asking.join()
    return seconds, took[0]


if __name__ == "__main__":
    main("A shelf of ten thousand models", measure)
