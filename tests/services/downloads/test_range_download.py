"""Downloads over real sockets from a server that fails in every way it can."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sdcpp_rest.core.job import Transfer
from sdcpp_rest.services.downloads.range_download import FetchedFile, RangeDownload
from sdcpp_rest.services.downloads.source_errors import (
    ContentMismatch,
    DownloadStopped,
    SourceBusy,
    SourceForbidden,
    SourceNotFound,
    SourceTimeout,
    SourceUnavailable,
    SourceWrong,
)
from sdcpp_rest.services.downloads.stop_switch import StopSwitch
from sdcpp_rest.services.models.model_upload import DiskFull
from tests.servers.fault_server import FaultServer
from tests.services.downloads.conftest import MODEL, QUICK

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


# --- the way it should be ---------------------------------------------------------------------------------------------


def test_a_file_comes_whole_with_its_sum(server: FaultServer, make_download: Make, tmp_path: Path) -> None:
    server.add("/model", MODEL)
    told: list[Transfer] = []
    assert is_whole(make_download(on_progress=told.append).fetch(), tmp_path)
    assert len(server.asked) == 1
    assert "range" not in server.asked[0].headers
    assert server.asked[0].headers["accept-encoding"] == "identity"
    assert "authorization" not in server.asked[0].headers
    assert told[0].downloaded_bytes == 0
    assert told[-1].downloaded_bytes == told[-1].total_bytes == len(MODEL)
    assert told[-1].eta_seconds == 0
    assert [one.downloaded_bytes for one in told] == sorted(one.downloaded_bytes for one in told)


@pytest.mark.parametrize("closes", [False, True], ids=["chunked", "until the connection ends"])
def test_a_file_of_unknown_length_comes_whole(
    server: FaultServer, make_download: Make, tmp_path: Path, closes: bool
) -> None:
    server.add("/model", MODEL, length=None, closes=closes)
    told: list[Transfer] = []
    assert is_whole(make_download(on_progress=told.append).fetch(), tmp_path)
    assert told[0].total_bytes is None


def test_promises_that_are_kept_are_no_trouble(server: FaultServer, make_download: Make, tmp_path: Path) -> None:
    server.add("/model", MODEL)
    wanted = {"size_bytes": len(MODEL), "sha256": SUM.upper()}
    assert is_whole(make_download(wanted=wanted).fetch(), tmp_path)


# --- resuming ---------------------------------------------------------------------------------------------------------


def test_a_download_that_is_cut_twice_goes_on_where_it_was_cut(
    server: FaultServer, make_download: Make, tmp_path: Path
) -> None:
    server.add("/model", MODEL, cuts=[300_000, 300_000])
    assert is_whole(make_download().fetch(), tmp_path)
    first, second, third = server.asked
    assert "range" not in first.headers
    assert second.headers["range"] == "bytes=300000-"
    assert second.headers["if-range"] == '"one"'
    assert third.headers["range"] == "bytes=600000-"


def test_a_chunked_download_that_is_cut_is_not_taken_for_whole(
    server: FaultServer, make_download: Make, tmp_path: Path
) -> None:
    server.add("/model", MODEL, length=None, cuts=[300_000])
    assert is_whole(make_download().fetch(), tmp_path)
    assert len(server.asked) == 2


def test_a_time_serves_where_there_is_no_etag(server: FaultServer, make_download: Make, tmp_path: Path) -> None:
    stamp = "Tue, 15 Nov 2022 12:45:26 GMT"
    server.add("/model", MODEL, etag='W/"weak"', last_modified=stamp, cuts=[HALF])
    assert is_whole(make_download().fetch(), tmp_path)
    assert server.asked[1].headers["if-range"] == stamp


def test_without_any_mark_of_the_version_the_file_is_begun_anew(
    server: FaultServer, make_download: Make, tmp_path: Path
) -> None:
    server.add("/model", MODEL, etag=None, cuts=[HALF])
    assert is_whole(make_download().fetch(), tmp_path)
    assert "range" not in server.asked[1].headers


def test_a_known_sum_makes_up_for_a_missing_mark(server: FaultServer, make_download: Make, tmp_path: Path) -> None:
    server.add("/model", MODEL, etag=None, cuts=[HALF])
    assert is_whole(make_download(wanted={"sha256": SUM}).fetch(), tmp_path)
    assert server.asked[1].headers["range"] == f"bytes={HALF}-"


def test_a_server_without_ranges_sends_the_whole_file_again(
    server: FaultServer, make_download: Make, tmp_path: Path
) -> None:
    server.add("/model", MODEL, ranges=False, cuts=[HALF])
    assert is_whole(make_download().fetch(), tmp_path)
    assert [one.headers.get("range") for one in server.asked] == [None, f"bytes={HALF}-"]


@pytest.mark.parametrize("honours", [True, False], ids=["with If-Range", "without If-Range"])
def test_a_file_that_changed_meanwhile_is_begun_anew(
    server: FaultServer, make_download: Make, tmp_path: Path, honours: bool
) -> None:
    file = server.add("/model", MODEL[::-1], cuts=[None], honours_if_range=honours)
    file.content, file.cuts = b"\0" * 8 + MODEL[8:], [HALF]
    file.content = MODEL[:100] + bytes(len(MODEL) - 100)

    def change() -> None:
        if server.gets("/model")[1:]:
            file.content, file.etag = MODEL, '"two"'

    file.on_get = change
    assert is_whole(make_download().fetch(), tmp_path)


def test_parts_of_two_files_that_look_like_one_are_thrown_away(
    server: FaultServer, make_download: Make, tmp_path: Path
) -> None:
    """The same ETag for other bytes: only the sum tells, and the file is fetched once more as a whole."""
    file = server.add("/model", MODEL[:100] + bytes(len(MODEL) - 100), cuts=[HALF])

    def change() -> None:
        if server.gets("/model")[1:]:
            file.content = MODEL

    file.on_get = change
    assert is_whole(make_download(wanted={"sha256": SUM}).fetch(), tmp_path)
    assert [one.headers.get("range") for one in server.asked] == [None, f"bytes={HALF}-", None]


def test_a_stopped_download_is_gone_on_with_by_the_next_process(
    server: FaultServer, make_download: Make, tmp_path: Path
) -> None:
    file, stop = server.add("/model", MODEL, hold_after=HALF), StopSwitch()

    def stop_it(transfer: Transfer) -> None:
        if transfer.downloaded_bytes >= HALF:
            stop.set()

    with pytest.raises(DownloadStopped):
        make_download(stop=stop, on_progress=stop_it).fetch()
    assert leftovers(tmp_path) == ["note", "part"]
    file.release.set()
    told: list[Transfer] = []
    assert is_whole(make_download(on_progress=told.append).fetch(), tmp_path)
    assert server.asked[1].headers["range"] == f"bytes={HALF}-"
    assert told[1].downloaded_bytes == HALF


def test_what_a_killed_process_left_whole_is_not_fetched_again(
    server: FaultServer, make_download: Make, tmp_path: Path
) -> None:
    (tmp_path / "part").write_bytes(MODEL)
    (tmp_path / "note").write_text(json.dumps({"validator": '"one"', "total_bytes": len(MODEL)}))
    assert is_whole(make_download(wanted={"sha256": SUM}).fetch(), tmp_path)
    assert server.asked == []


@pytest.mark.parametrize(
    "note",
    [
        None,
        "",
        "{",
        "[]",
        '{"validator": 1}',
        '{"validator": "", "total_bytes": null}',
        '{"validator":"x","total_bytes":5}',
    ],
)
def test_a_part_that_nobody_knows_anything_about_is_thrown_away(
    server: FaultServer, make_download: Make, tmp_path: Path, note: str | None
) -> None:
    server.add("/model", MODEL)
    (tmp_path / "part").write_bytes(b"x" * 1000)
    if note is not None:
        (tmp_path / "note").write_text(note)
    assert is_whole(make_download().fetch(), tmp_path)


def test_zeros_of_a_power_cut_are_found_by_the_sum_and_fetched_again(
    server: FaultServer, make_download: Make, tmp_path: Path
) -> None:
    server.add("/model", MODEL)
    (tmp_path / "part").write_bytes(bytes(HALF))
    (tmp_path / "note").write_text(json.dumps({"validator": '"one"', "total_bytes": len(MODEL)}))
    assert is_whole(make_download(wanted={"sha256": SUM}).fetch(), tmp_path)
    assert [one.headers.get("range") for one in server.asked] == [f"bytes={HALF}-", None]


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_passing_faults_are_waited_out(server: FaultServer, make_download: Make, tmp_path: Path, status: int) -> None:
    server.add("/model", MODEL, statuses=[status, status])
    assert is_whole(make_download().fetch(), tmp_path)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, SourceForbidden), (403, SourceForbidden), (404, SourceNotFound), (410, SourceNotFound), (400, SourceWrong)],
)
def test_refusals_are_final(
    server: FaultServer, make_download: Make, tmp_path: Path, status: int, error: type[Exception]
) -> None:
    server.add("/model", MODEL, statuses=[status])
    with pytest.raises(error, match=f"HTTP {status}"):
        make_download().fetch()
    assert len(server.asked) == 1
    assert leftovers(tmp_path) == []


def test_a_source_that_stays_broken_is_given_up_and_the_part_is_kept(
    server: FaultServer, make_download: Make, tmp_path: Path
) -> None:
    server.add("/model", MODEL, cuts=[HALF], statuses=[None, *[500] * 9])
    with pytest.raises(SourceUnavailable, match="HTTP 500"):
        make_download().fetch()
    # The first attempt brought something, but less than a megabyte; three retries follow.
    assert len(server.asked) == 1 + QUICK.retries
    assert leftovers(tmp_path) == ["note", "part"]
    server.files["/model"].statuses.clear()
    assert is_whole(make_download().fetch(), tmp_path)
    assert server.asked[-1].headers["range"] == f"bytes={HALF}-"


def test_a_wish_for_fewer_requests_is_heard(server: FaultServer, make_download: Make, tmp_path: Path) -> None:
    server.add("/model", MODEL, statuses=[429] * 9, headers={"Retry-After": "0"})
    with pytest.raises(SourceBusy) as caught:
        make_download().fetch()
    assert caught.value.retry_after_seconds == 0
    assert caught.value.status == 503


def test_nobody_there_is_told_after_the_retries(make_download: Make) -> None:
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1 failed: Connection refused"):
        make_download("http://127.0.0.1:9/model").fetch()


def test_a_wrong_sum_is_refused_and_nothing_stays(server: FaultServer, make_download: Make, tmp_path: Path) -> None:
    server.add("/model", MODEL)
    with pytest.raises(ContentMismatch, match=f"its SHA-256 is {SUM}, and the source says {'0' * 64}"):
        make_download(wanted={"sha256": "0" * 64}).fetch()
    assert leftovers(tmp_path) == []
    assert len(server.asked) == 1


def test_a_wrong_sum_of_a_resumed_file_costs_one_more_try(
    server: FaultServer, make_download: Make, tmp_path: Path
) -> None:
    server.add("/model", MODEL, cuts=[HALF])
    with pytest.raises(ContentMismatch):
        make_download(wanted={"sha256": "0" * 64}).fetch()
    assert len(server.asked) == 3
    assert leftovers(tmp_path) == []


def test_another_size_than_promised_is_refused_before_the_first_byte(
    server: FaultServer, make_download: Make, tmp_path: Path
) -> None:
    server.add("/model", MODEL)
    told: list[Transfer] = []
    with pytest.raises(ContentMismatch, match=f"has {len(MODEL)} bytes there, and the source says 77"):
        make_download(wanted={"size_bytes": 77}, on_progress=told.append).fetch()
    assert told == []
    assert leftovers(tmp_path) == []


def test_another_size_than_promised_is_noticed_without_a_length(server: FaultServer, make_download: Make) -> None:
    server.add("/model", MODEL, length=None)
    with pytest.raises(ContentMismatch, match="More than the 77 bytes"):
        make_download(wanted={"size_bytes": 77}).fetch()
    server.add("/model", MODEL, length=None, closes=True)
    with pytest.raises(SourceUnavailable, match=f"ended after {len(MODEL)} of {len(MODEL) + 1} bytes"):
        make_download(wanted={"size_bytes": len(MODEL) + 1}).fetch()


def test_a_length_that_is_too_long_is_a_cut_connection(server: FaultServer, make_download: Make) -> None:
    server.add("/model", MODEL, length=len(MODEL) + 5, closes=True)
    with pytest.raises(SourceUnavailable, match=f"ended after {len(MODEL)} of {len(MODEL) + 5} bytes"):
        make_download().fetch()


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"<!DOCTYPE html><title>Log in</title>", "application/octet-stream", "is a web page"),
        (b"\n\n  <html>" + b" " * 5000, "", "is a web page"),
        (b"<html>", "text/html; charset=utf-8", "page \\(text/html\\)"),
        (b'{"error": "no"}', "application/json", "page \\(application/json\\)"),
        (b'{"error": "no"}', "", "is a JSON text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "text/plain", "pointer that Git LFS"),
        (b"hello, I am a text" * 100, "text/plain", "does not begin like a model file"),
        (b"MZ\x90\0" + bytes(600), "", "does not begin like a model file"),
        (b"", "", "is empty"),
    ],
)
def test_what_is_no_model_is_refused_at_its_beginning(
    server: FaultServer, make_download: Make, tmp_path: Path, content: bytes, kind: str, words: str
) -> None:
    server.add("/model", content, content_type=kind)
    with pytest.raises(SourceWrong, match=words):
        make_download().fetch()
    assert leftovers(tmp_path) == []


def test_a_compressed_answer_is_refused(server: FaultServer, make_download: Make) -> None:
    server.add("/model", MODEL, headers={"Content-Encoding": "gzip"})
    with pytest.raises(SourceWrong, match="compressed"):
        make_download().fetch()


@pytest.mark.parametrize("length", [-1, None])
def test_a_file_that_is_too_large_is_refused(
    server: FaultServer, make_download: Make, tmp_path: Path, length: int | None
) -> None:
    server.add("/model", MODEL, length=length)
    with pytest.raises(SourceWrong, match=r"downloads\.max_bytes"):
        make_download(patience=dataclasses.replace(QUICK, max_bytes=1000)).fetch()
    assert leftovers(tmp_path) == []


def test_a_file_for_which_the_disk_has_no_room_is_refused_before_its_bytes(
    server: FaultServer, make_download: Make, tmp_path: Path
) -> None:
    file = server.add("/model", MODEL, length=1 << 58)
    with pytest.raises(DiskFull) as caught:
        make_download(patience=dataclasses.replace(QUICK, max_bytes=1 << 63)).fetch()
    assert caught.value.status == 507
    assert file.etag
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_silence_ends_an_attempt_and_the_next_one_goes_on(
    server: FaultServer, make_download: Make, tmp_path: Path
) -> None:
    file = server.add("/model", MODEL, hold_after=HALF)
    file.on_get = lambda: file.release.set() if server.gets("/model")[1:] else None
    assert is_whole(make_download(patience=dataclasses.replace(QUICK, read_seconds=0.3)).fetch(), tmp_path)
    assert server.asked[1].headers["range"] == f"bytes={HALF}-"
    file.release.clear()
    file.on_get = lambda: None
    with pytest.raises(SourceTimeout, match=r"does not answer within 0.3 s"):
        make_download(patience=dataclasses.replace(QUICK, read_seconds=0.3, retries=0)).fetch()


# --- stopping ---------------------------------------------------------------------------------------------------------


def test_a_stop_ends_a_silent_download_at_once(server: FaultServer, make_download: Make, tmp_path: Path) -> None:
    server.add("/model", MODEL, hold_after=HALF)
    stop, half = StopSwitch(), threading.Event()
    threading.Thread(target=lambda: half.wait(20) and stop.set(), daemon=True).start()
    began = time.monotonic()

    def show(transfer: Transfer) -> None:
        if transfer.downloaded_bytes >= HALF:
            half.set()

    with pytest.raises(DownloadStopped):
        make_download(stop=stop, on_progress=show, patience=dataclasses.replace(QUICK, read_seconds=60)).fetch()
    assert time.monotonic() - began < 20
    assert leftovers(tmp_path) == ["note", "part"]


def test_a_stop_ends_the_wait_for_the_next_attempt(server: FaultServer, make_download: Make) -> None:
    stop = StopSwitch()
    file = server.add("/model", MODEL, statuses=[500] * 9)
    file.on_get = lambda: threading.Timer(0.05, stop.set).start()
    with pytest.raises(DownloadStopped):
        make_download(stop=stop, patience=dataclasses.replace(QUICK, pause_seconds=60)).fetch()


def test_a_stop_before_the_start_asks_nobody(server: FaultServer, make_download: Make) -> None:
    stop = StopSwitch()
    stop.set()
    with pytest.raises(DownloadStopped):
        make_download(stop=stop).fetch()
    assert server.asked == []
