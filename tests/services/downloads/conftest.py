"""A web server with faults, and a way to fetch from it with little patience."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.services.address_check import check_host
from sdcpp_rest.services.downloads.file_to_fetch import FileToFetch, TransferLimits
from sdcpp_rest.services.downloads.range_download import RangeDownload
from sdcpp_rest.services.downloads.stop_switch import StopSwitch
from tests.model_files import safetensors_bytes
from tests.servers.fault_server import FaultServer

LOOPBACK = functools.partial(check_host, allowed=["127.0.0.1"])
QUICK = TransferLimits(connect_seconds=5, read_seconds=5, retries=3, pause_seconds=0.001)
MODEL = safetensors_bytes({"weight": (256, 1024)})
"""A model of a megabyte; not all zeros, so that parts in the wrong order would show."""
MODEL = MODEL[: -(1 << 20)] + bytes(range(256)) * 4096


@pytest.fixture
def server() -> Iterator[FaultServer]:
    one = FaultServer()
    yield one
    one.close()


@pytest.fixture
def make_download(server: FaultServer, tmp_path: Path) -> Callable[..., RangeDownload]:
    """Downloads of ``/model`` into one place: a second one is the same after a restart."""

    def make(path: str = "/model", **more: Any) -> RangeDownload:
        wanted = FileToFetch(f"{server.url}{path}" if path.startswith("/") else path, **more.pop("wanted", {}))
        given = {"rule": LOOPBACK, "patience": QUICK, "stop": StopSwitch(), **more}
        return RangeDownload(wanted, tmp_path / "part", tmp_path / "note", **given)

    return make
