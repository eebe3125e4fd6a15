"""Where a download is led to: redirects, tokens, names and the addresses that they mean."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from sdcpp_rest.services.address_check import HostRefused, check_host
from sdcpp_rest.services.downloads.range_download import FetchedFile, RangeDownload
from sdcpp_rest.services.downloads.source_errors import SourceForbidden, SourceWrong
from tests.servers.fault_server import FaultServer
from tests.services.downloads.conftest import MODEL

Make = Callable[..., RangeDownload]
SUM = hashlib.sha256(MODEL).hexdigest()
HALF = len(MODEL) // 2


def is_whole(fetched: FetchedFile, folder: Path) -> bool:
    return (
        (folder / "part").read_bytes() == MODEL
        and fetched == FetchedFile(len(MODEL), SUM)
        and not (folder / "note").exists()
    )


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_redirects_are_followed_and_the_token_stays_at_home(
    server: FaultServer, make_download: Make, tmp_path: Path
) -> None:
    far = FaultServer()
    try:
        far.add("/cdn", MODEL, cuts=[HALF])
        server.pages.append(lambda asked: (302, {"Location": "/near"}, b"") if asked.path == "/model" else None)
        server.pages.append(lambda asked: (302, {"Location": f"{far.url}/cdn"}, b"") if asked.path == "/near" else None)
        assert is_whole(make_download(wanted={"token": "tell-nobody"}).fetch(), tmp_path)
        assert [one.headers.get("authorization") for one in server.asked] == ["Bearer tell-nobody"] * 4
        assert [one.headers.get("authorization") for one in far.asked] == [None, None]
        assert far.asked[1].headers["range"] == f"bytes={HALF}-"
    finally:
        far.close()


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.2:80/x",
        "http://localhost/x",
        "http://[::1]/x",
        "http://169.254.169.254/latest",
        "http://10.0.0.1/",
    ],
)
def test_a_redirect_to_a_private_address_is_refused(
    server: FaultServer, make_download: Make, tmp_path: Path, target: str
) -> None:
    server.pages.append(lambda asked: (302, {"Location": target}, b""))
    with pytest.raises(HostRefused):
        make_download().fetch()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://user:pass@127.0.0.1/"])
def test_a_redirect_to_an_odd_address_is_refused(server: FaultServer, make_download: Make, target: str) -> None:
    server.pages.append(lambda asked: (302, {"Location": target}, b""))
    with pytest.raises(SourceWrong, match="odd address"):
        make_download().fetch()


def test_redirects_have_an_end(server: FaultServer, make_download: Make) -> None:
    server.pages.append(lambda asked: (302, {"Location": "/model"}, b""))
    with pytest.raises(SourceWrong, match="redirects more than 10 times"):
        make_download().fetch()


def test_a_redirect_to_a_login_says_so(server: FaultServer, make_download: Make) -> None:
    server.pages.append(lambda asked: (302, {"Location": "/login?returnUrl=/x"}, b""))
    with pytest.raises(SourceForbidden, match="wants a login"):
        make_download().fetch()


def test_it_connects_to_the_address_that_was_checked(server: FaultServer, make_download: Make, tmp_path: Path) -> None:
    """The name is looked up once per connection, by the check; there is no second look-up that could lead elsewhere."""
    server.add("/model", MODEL, cuts=[HALF])
    port = int(server.url.rpartition(":")[2])
    looked_up: list[str] = []

    def rule(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return check_host(host, port, ["models.example"], look_up=lambda name, port: ["127.0.0.1"])

    download = make_download(f"http://models.example:{port}/model", rule=rule)
    assert is_whole(download.fetch(), tmp_path)
    assert looked_up == ["models.example", "models.example"]
    assert server.asked[0].headers["host"] == f"models.example:{port}"


def test_an_address_that_does_not_answer_is_followed_by_the_next(
    server: FaultServer, make_download: Make, tmp_path: Path
) -> None:
    server.add("/model", MODEL)
    port = int(server.url.rpartition(":")[2])
    download = make_download(f"http://models.example:{port}/model", rule=lambda host, port: ["127.0.0.9", "127.0.0.1"])
    assert is_whole(download.fetch(), tmp_path)


def test_a_proxy_of_the_environment_is_not_used(
    server: FaultServer, make_download: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    server.add("/model", MODEL)
    assert is_whole(make_download().fetch(), tmp_path)
