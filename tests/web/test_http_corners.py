"""The corners of HTTP that clients really visit, on real sockets: compressed bodies, odd targets, one Date."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from email.parser import BytesParser
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.cases import for_each_case
from tests.model_files import VAE, reversed_shapes, safetensors_bytes

UPLOAD = "/models/upload?type=vae&name=x.safetensors"
JOB = b'{"prompt": "x", "steps": 1}'


class RawAnswer:
    def __init__(self, status: int, head: bytes, body: bytes) -> None:
        self.status, self.body = status, body
        self.headers = BytesParser().parsebytes(head)

    def all(self, name: str) -> list[str]:
        return [str(value) for value in self.headers.get_all(name, [])]


def exchange(served: Any, request: bytes) -> RawAnswer:
    """Send bytes, read one answer."""
    with served.connection() as connection:
        connection.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        first, _, fields = head.partition(b"\r\n")
        answer = RawAnswer(int(first.split()[1]), fields, body)
        while len(body) < int(answer.headers.get("content-length", "0")) and not request.startswith(b"HEAD"):
            body += connection.recv(65536)
        answer.body = body
    return answer


def ask(target: str, method: str = "GET", **headers: str) -> bytes:
    fields = {"host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


# --- bodies -----------------------------------------------------------------------------------------------------------


@for_each_case(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
@for_each_case("path", ["/txt2img", "/sdapi/v1/txt2img", "/v1/images/generations"])
def test_a_compressed_body_is_read_by_every_dialect(
    served: Any, path: str, coding: str, pack: Callable[[bytes], bytes]
) -> None:
    body = b'{"prompt": "x", "steps": 1, "size": "64x64", "width": 64, "height": 64}'
    answer = served.post(path, data=pack(body), headers={"Content-Encoding": coding})
    assert answer.status_code in (200, 202), answer.text


def test_a_compressed_body_in_chunks_is_read(served: Any) -> None:
    packed = gzip.compress(JOB)
    answer = served.post("/txt2img", data=iter([packed[:5], packed[5:]]), headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 202, answer.text


def test_a_compressed_upload_arrives_as_it_was(served: Any) -> None:
    headers = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}
    content = safetensors_bytes(reversed_shapes(VAE))
    answer = served.post(UPLOAD, data=gzip.compress(content), headers=headers)
    assert answer.status_code == 201, answer.text
    assert (served.runtime.config.paths.models_dir / "vae" / "x.safetensors").read_bytes() == content


@pytest.mark.slow
def test_a_bomb_goes_off_at_the_limit(make_served: Any) -> None:
    served = make_served(limits={"body_bytes": 1_000_000, "upload_bytes": 1_000_000})
    bomb = gzip.compress(b" " * 100_000_000)
    assert len(bomb) < 1_000_000
    for path in ("/txt2img", UPLOAD):
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/octet-stream"}
        answer = served.post(path, data=bomb, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large"), answer.text
    assert served.get("/health").status_code == 200


@for_each_case(
    ("path", "word"), [("/txt2img", "error"), ("/sdapi/v1/txt2img", "detail"), ("/v1/images/edits", "error")]
)
def test_an_unknown_coding_is_a_415_that_names_the_known_ones(served: Any, path: str, word: str) -> None:
    answer = served.post(path, data=b"\x0b\x02", headers={"Content-Encoding": "br"})
    assert answer.status_code == 415
    assert answer.headers["Accept-Encoding"] == "gzip, deflate, identity"
    assert "'br'" in json.dumps(answer.json()[word])


def test_a_broken_stream_is_a_400(served: Any) -> None:
    for body in (JOB, gzip.compress(JOB)[:-9]):
        answer = served.post("/txt2img", data=body, headers={"Content-Encoding": "gzip"})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_body_in_latin_1_is_read(served: Any) -> None:
    body = '{"prompt": "ein Bär", "steps": 1}'.encode("latin-1")
    answer = served.post("/txt2img", data=body, headers={"Content-Type": "application/json; charset=iso-8859-1"})
    assert answer.status_code == 202, answer.text
    assert served.get(f"/queue/{answer.json()['job_id']}").json()["params"]["prompt"] == "ein Bär"


# --- heads ------------------------------------------------------------------------------------------------------------


def test_every_answer_has_one_date(served: Any) -> None:
    job = served.house.finished(served.house.submit())
    for request in (
        ask("/health"), ask("/nothing"), ask("/output/" + job["outputs"][0]), ask("/docs/assets/start.js"),
        ask("/docs/assets/swagger-ui.css", "HEAD"), ask("/health", host="evil.example"), b"nonsense\r\n\r\n",
        ask("/nothing", connection="upgrade", upgrade="websocket", sec_websocket_version="13",
            sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ=="),
        ask("/health", "OPTIONS", origin="http://localhost", access_control_request_method="GET"),
    ):  # fmt: skip
        assert len(exchange(served, request).all("date")) == 1, request


def test_options_of_the_whole_server(served: Any) -> None:
    answer = exchange(served, ask("*", "OPTIONS"))
    assert (answer.status, answer.body) == (204, b"")
    assert "OPTIONS" in answer.headers["allow"]
    assert exchange(served, ask("*", "GET")).status == 400
    assert exchange(served, ask("/health")).status == 200


def test_options_of_the_whole_server_needs_a_key_where_keys_are(make_served: Any) -> None:
    served = make_served(auth={"api_keys": ["sesame"]})
    assert exchange(served, ask("*", "OPTIONS")).status == 401
    assert exchange(served, ask("*", "OPTIONS", authorization="Bearer sesame")).status == 204


def test_a_websocket_may_have_a_slash_behind_it(served: Any, next_event: Any) -> None:
    for path in ("/ws/", "/ws", "/"):
        with served.listen(path) as connection:
            next_event(connection, "server_status")
    for path in ("/ws//", "/wsx", "//x"):
        with pytest.raises(InvalidStatus) as refused:
            served.listen(path)
        assert refused.value.response.status_code == 404
