"""Pictures at addresses: fetched from where they may be, up to a size, until the server stops."""

from __future__ import annotations

import threading

import pytest

from sdcpp_rest.config import DownloadsConfig
from sdcpp_rest.errors import EngineUnavailable, InvalidRequest, NotAllowed, SdcppRestError
from sdcpp_rest.services.downloads.picture_fetching import PictureFetching
from tests.servers.fault_server import FaultServer

HERE = DownloadsConfig(allow_private_hosts=("127.0.0.1",), read_timeout_seconds=5)


def test_bytes_come_as_they_are(web: FaultServer) -> None:
    web.add("/a.png", b"picture")
    assert PictureFetching(HERE).fetch("image", f"{web.url}/a.png", 7) == b"picture"
    (asked,) = web.gets("/a.png")
    assert "Authorization" not in asked.headers


@pytest.mark.parametrize("length", [-1, None])
def test_more_than_is_allowed_is_refused_whether_or_not_it_is_announced(web: FaultServer, length: int | None) -> None:
    web.add("/a.png", b"x" * 8, length=length)
    with pytest.raises(InvalidRequest, match=r"image: 127\.0\.0\.1 sends more than 7 bytes"):
        PictureFetching(HERE).fetch("image", f"{web.url}/a.png", 7)


def test_private_machines_are_not_called_unless_they_are_listed(web: FaultServer) -> None:
    web.add("/a.png", b"picture")
    with pytest.raises(NotAllowed, match=r"downloads\.allow_private_hosts"):
        PictureFetching(DownloadsConfig()).fetch("image", f"{web.url}/a.png", 100)
    assert not web.asked


def test_a_redirect_to_a_private_machine_is_not_followed(web: FaultServer) -> None:
    web.pages.append(lambda asked: (302, {"Location": "http://127.0.0.2:1/"}, b"") if asked.path == "/a" else None)
    with pytest.raises(NotAllowed):
        PictureFetching(HERE).fetch("image", f"{web.url}/a", 100)


def test_what_is_not_there_is_told_with_the_field(web: FaultServer) -> None:
    with pytest.raises(SdcppRestError) as refused:
        PictureFetching(HERE).fetch("mask", f"{web.url}/none", 100)
    assert refused.value.message == "mask: 127.0.0.1 does not have this file (HTTP 404)"


def test_a_fetch_is_cut_when_the_server_stops(web: FaultServer) -> None:
    file = web.add("/slow", b"x" * 100, hold_after=10)
    fetching, refusals = PictureFetching(HERE), []

    def fetch() -> None:
        with pytest.raises(EngineUnavailable) as refused:
            fetching.fetch("image", f"{web.url}/slow", 1000)
        refusals.append(refused.value.message)

    thread = threading.Thread(target=fetch)
    thread.start()
    assert file.held.wait(20)
    fetching.close()
    thread.join(20)
    assert refusals == ["The server is stopping"]
    with pytest.raises(EngineUnavailable):
        fetching.fetch("image", f"{web.url}/slow", 1000)
