"""What the sources say, and what is made of it when they say it badly."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from sdcpp_rest.config import DownloadsConfig
from sdcpp_rest.core.download_source import DownloadSource
from sdcpp_rest.errors import InvalidRequest, SdcppRestError
from sdcpp_rest.services.address_check import HostRefused, check_host
from sdcpp_rest.services.downloads.civitai_source import CivitaiSource
from sdcpp_rest.services.downloads.huggingface_source import HuggingFaceSource
from sdcpp_rest.services.downloads.source_errors import (
    SourceBusy,
    SourceForbidden,
    SourceNotFound,
    SourceTimeout,
    SourceUnavailable,
    SourceWrong,
)
from sdcpp_rest.services.downloads.url_source import UrlSource, disposition_name
from tests.cases import for_each_case
from tests.servers.civitai_server import CivitaiServer
from tests.servers.fault_server import FaultServer
from tests.servers.hub_server import COMMIT, HubServer, Repository
from tests.services.downloads.conftest import LOOPBACK, MODEL

SUM = hashlib.sha256(MODEL).hexdigest()
FILE = DownloadSource(source="huggingface", repo_id="org/name", filename="x.safetensors")
MakeHub = Callable[..., HuggingFaceSource]


@pytest.fixture
def make_hub(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> MakeHub:
    monkeypatch.delenv("HF_TOKEN", raising=False)

    def make(**settings: Any) -> HuggingFaceSource:
        given = {"huggingface_endpoint": hub.url, "read_timeout_seconds": 5, **settings}
        return HuggingFaceSource(DownloadsConfig(**given))

    return make


@pytest.fixture
def there(civitai: CivitaiServer, monkeypatch: pytest.MonkeyPatch) -> CivitaiSource:
    monkeypatch.delenv("CIVITAI_TOKEN", raising=False)
    return CivitaiSource(DownloadsConfig(civitai_endpoint=civitai.url, read_timeout_seconds=5), LOOPBACK)


def wanted(model_id: str = "11", version_id: str = "", filename: str = "") -> DownloadSource:
    return DownloadSource(source="civitai", model_id=model_id, version_id=version_id, filename=filename)


# --- Hugging Face -----------------------------------------------------------------------------------------------------


def test_a_file_in_lfs_comes_with_its_sum_and_its_commit(hub: HubServer, make_hub: MakeHub) -> None:
    hub.add("org/name", Repository({"x.safetensors": MODEL}))
    offered = make_hub().offer(FILE)
    assert (offered.name, offered.size_bytes, offered.sha256) == ("x.safetensors", len(MODEL), SUM)
    assert offered.url == f"{hub.url}/org/name/resolve/{COMMIT}/x.safetensors"
    assert offered.facts["revision"] == COMMIT


def test_a_file_in_git_has_no_sum_that_we_know(hub: HubServer, make_hub: MakeHub) -> None:
    hub.add("org/name", Repository({"x.safetensors": MODEL}, small=frozenset({"x.safetensors"})))
    assert make_hub().offer(FILE).sha256 is None


def test_a_token_is_sent_and_one_of_the_environment_serves_too(
    hub: HubServer, make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/name", Repository({"x.safetensors": MODEL}, is_private=True))
    with pytest.raises(SourceNotFound, match="is private and needs"):
        make_hub().offer(FILE)
    assert "authorization" not in hub.hub.asked[-1].headers
    assert make_hub(huggingface_token="hf_right").offer(FILE).size_bytes == len(MODEL)
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert make_hub().offer(FILE).size_bytes == len(MODEL)


@pytest.mark.parametrize(
    ("repository", "source", "error", "words"),
    [
        (None, FILE, SourceNotFound, "org/name is not at 127.0.0.1"),
        ({}, FILE.model_copy(update={"filename": "y.gguf"}), SourceNotFound, "has no file 'y.gguf' at 'main'"),
        ({}, FILE.model_copy(update={"revision": "dev"}), SourceNotFound, "has no revision 'dev'"),
        ({"is_gated": True}, FILE, SourceForbidden, "is gated: accept its terms"),
    ],
)
def test_what_stands_in_the_way_is_said(
    hub: HubServer,
    make_hub: MakeHub,
    repository: dict[str, Any] | None,
    source: DownloadSource,
    error: type[Exception],
    words: str,
) -> None:
    if repository is not None:
        hub.add("org/name", Repository({"x.safetensors": MODEL}, **repository))
    with pytest.raises(error, match=words):
        make_hub().offer(source)


@pytest.mark.parametrize(
    ("status", "error"), [(429, SourceBusy), (500, SourceUnavailable), (503, SourceUnavailable), (418, SourceWrong)]
)
def test_a_hub_that_fails_is_told(hub: HubServer, make_hub: MakeHub, status: int, error: type[Exception]) -> None:
    hub.broken_status = status
    with pytest.raises(error, match=f"HTTP {status}"):
        make_hub().offer(FILE)


def test_a_wrong_token_is_not_shown(hub: HubServer, make_hub: MakeHub) -> None:
    hub.add("org/name", Repository({"x.safetensors": MODEL}))
    with pytest.raises(SourceForbidden, match=r"does not accept the token of downloads\.huggingface_token") as caught:
        make_hub(huggingface_token="hf_wrong").offer(FILE)
    assert "hf_wrong" not in caught.value.message


def test_a_hub_that_is_not_there_is_told(make_hub: MakeHub) -> None:
    with pytest.raises(SourceUnavailable, match=r"The connection to 127\.0\.0\.1 failed"):
        make_hub(huggingface_endpoint="http://127.0.0.1:9").offer(FILE)


@pytest.mark.slow
def test_a_silent_hub_is_told(hub: HubServer, make_hub: MakeHub) -> None:
    released = threading.Event()

    def silence(asked: object) -> None:
        released.wait(20)

    hub.hub.pages.append(silence)
    try:
        with pytest.raises(SourceTimeout, match=r"within 0\.3 s"):
            make_hub(read_timeout_seconds=0.3).offer(FILE)
    finally:
        released.set()


def test_a_page_in_place_of_the_api_is_told(hub: HubServer, make_hub: MakeHub) -> None:
    hub.hub.pages.append(lambda asked: (200, {"Content-Type": "text/html"}, b"<html>"))
    with pytest.raises(SdcppRestError):
        make_hub().offer(DownloadSource(source="huggingface", repo_id="org/name"))


def test_licences(hub: HubServer, make_hub: MakeHub) -> None:
    hub.add("org/name", Repository({"x.gguf": MODEL}, licence="mit"))
    hub.add("org/other", Repository({"x.gguf": MODEL}, licence=None))
    assert make_hub().licence("org/name") == "mit"
    assert make_hub().licence("org/other") == ""
    assert make_hub().licence("org/nothing") == ""


def test_a_repository_without_models_is_told(hub: HubServer, make_hub: MakeHub) -> None:
    hub.add("org/name", Repository({"README.md": b"x"}))
    with pytest.raises(SourceNotFound, match="has no model files"):
        make_hub().offer(DownloadSource(source="huggingface", repo_id="org/name"))


# --- CivitAI ----------------------------------------------------------------------------------------------------------


def test_the_newest_version_and_its_main_file(civitai: CivitaiServer, there: CivitaiSource) -> None:
    civitai.add(11, 22, "old.safetensors", MODEL)
    civitai.add(11, 33, "new.ckpt", MODEL, primary=False)
    files = civitai.models["11"]["modelVersions"][0]["files"]
    files.append({**files[0], "name": "new.safetensors", "type": "Model"})
    files.append({**files[0], "name": "training.zip", "type": "Training Data", "primary": True})
    offered = there.offer(wanted())
    assert offered.name == "new.safetensors"
    assert offered.sha256 == SUM
    assert offered.about_bytes == len(MODEL)
    assert offered.size_bytes is None, "kilobytes are no promise"
    assert there.offer(wanted(filename="new.ckpt")).name == "new.ckpt"
    with pytest.raises(InvalidRequest, match=r"it has new\.ckpt, new\.safetensors"):
        there.offer(wanted(filename="other.safetensors"))


def test_versions_that_cannot_be_had_yet_are_passed_over(civitai: CivitaiServer, there: CivitaiSource) -> None:
    civitai.add(11, 22, "old.safetensors", MODEL)
    civitai.add(11, 33, "early.safetensors", MODEL)
    civitai.models["11"]["modelVersions"][0]["availability"] = "EarlyAccess"
    assert there.offer(wanted()).name == "old.safetensors"
    assert there.offer(wanted(version_id="33")).name == "early.safetensors"


def test_dangerous_files_are_refused(civitai: CivitaiServer, there: CivitaiSource) -> None:
    civitai.add(11, 22, "x.ckpt", MODEL, pickleScanResult="Danger")
    with pytest.raises(InvalidRequest, match="dangerous"):
        there.offer(wanted())


def test_a_missing_sum_is_told(civitai: CivitaiServer, there: CivitaiSource) -> None:
    civitai.add(11, 22, "x.safetensors", MODEL, hashes={})
    offered = there.offer(wanted())
    assert offered.sha256 is None
    assert "no SHA-256" in offered.warnings[0]


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1/steal",
        "https://evil.example/api/download/models/1?token=x",
        "file:///etc/passwd",
        "",
        None,
        5,
    ],
)
def test_the_token_goes_to_the_endpoint_and_nowhere_else(
    civitai: CivitaiServer, there: CivitaiSource, address: Any
) -> None:
    civitai.add(11, 22, "x.safetensors", MODEL, downloadUrl=address)
    url = there.offer(wanted()).url
    assert url.startswith(f"{civitai.url}/api/download/models/")
    assert "token" not in url


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((200, "text/html", b"<html>"), SourceWrong),
        ((200, "application/json", b"[1]"), SourceWrong),
        ((200, "application/json", b'{"error": "x"}'), SourceWrong),
        ((200, "application/json", b"{" * 100_000), SourceWrong),
        ((200, "application/json", b"{}"), SourceNotFound),
        ((200, "application/json", b'{"modelVersions": "x"}'), SourceNotFound),
        ((200, "application/json", b'{"modelVersions": [{"files": [5, {"name": 7}]}]}'), SourceNotFound),
        ((404, "text/plain", b""), SourceNotFound),
        ((401, "text/plain", b""), SourceForbidden),
        ((403, "text/plain", b""), SourceForbidden),
        ((429, "text/plain", b""), SourceBusy),
        ((500, "text/plain", b""), SourceUnavailable),
    ],
    ids=str,
)
def test_odd_answers_are_no_accident(
    civitai: CivitaiServer, there: CivitaiSource, answer: tuple[int, str, bytes], error: type[Exception]
) -> None:
    status, kind, body = answer
    told = {"Content-Type": kind, "Content-Length": str(len(body))}
    civitai.api.pages.append(lambda asked: (status, told, body))
    with pytest.raises(error):
        there.offer(wanted())


def test_an_endless_answer_ends(civitai: CivitaiServer, there: CivitaiSource) -> None:
    civitai.api.add("/api/v1/models/11", b" " * (17 << 20), content_type="application/json")
    civitai.api.pages.clear()
    with pytest.raises(SourceWrong, match="16 MiB"):
        there.offer(wanted())


def test_the_api_is_called_at_checked_addresses_only(civitai: CivitaiServer) -> None:
    source = CivitaiSource(DownloadsConfig(civitai_endpoint=civitai.url), check_host)
    with pytest.raises(HostRefused):
        source.offer(wanted())
    assert civitai.api.asked == []


# --- plain addresses --------------------------------------------------------------------------------------------------


@pytest.fixture
def plain() -> UrlSource:
    return UrlSource(DownloadsConfig(read_timeout_seconds=5), LOOPBACK)


def at(url: str, filename: str = "") -> DownloadSource:
    return DownloadSource(source="url", url=url, filename=filename)


def test_a_plain_address_tells_name_and_size(server: FaultServer, plain: UrlSource) -> None:
    server.add("/files/a b.safetensors", MODEL)
    offered = plain.offer(at(f"{server.url}/files/a%20b.safetensors"))
    assert (offered.name, offered.about_bytes, offered.size_bytes) == ("a b.safetensors", len(MODEL), None)
    assert plain.offer(at(f"{server.url}/files/a%20b.safetensors", "mine.gguf")).name == "mine.gguf"


def test_the_name_is_the_first_that_a_model_can_have(server: FaultServer, plain: UrlSource) -> None:
    server.pages.append(lambda asked: (302, {"Location": "/b.gguf"}, b"") if asked.path == "/go" else None)
    server.add("/b.gguf", MODEL)
    assert plain.offer(at(f"{server.url}/go")).name == "b.gguf"
    server.add("/c.gguf", MODEL, headers={"Content-Disposition": 'attachment; filename="told.gguf"'})
    assert plain.offer(at(f"{server.url}/c.gguf")).name == "told.gguf"
    server.add("/d.gguf", MODEL, headers={"Content-Disposition": "attachment; filename=download"})
    assert plain.offer(at(f"{server.url}/d.gguf")).name == "d.gguf"


@for_each_case(
    ("header", "name"),
    [
        ('attachment; filename="x.gguf"', "x.gguf"),
        ("attachment; filename=x.gguf; size=5", "x.gguf"),
        ("attachment; filename=\"y\"; filename*=UTF-8''a%20b.gguf", "a b.gguf"),
        ('attachment; filename="../../x.gguf"', "x.gguf"),
        ('attachment; filename="C:\\dir\\x.gguf"', "x.gguf"),
        ("attachment; filename*=UTF-8''..%2Fx.gguf", "x.gguf"),
        ("inline", ""),
        ("", ""),
    ],
)
def test_names_in_headers(header: str, name: str) -> None:
    assert disposition_name(header) == name
