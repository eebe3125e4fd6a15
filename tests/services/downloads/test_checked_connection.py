"""Connections to checked addresses: encrypted ones, and those that are cut."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from sdcpp_rest.services.downloads.checked_connection import CheckedSession
from sdcpp_rest.services.downloads.source_errors import DownloadStopped, SourceTimeout, SourceUnavailable, SourceWrong
from sdcpp_rest.services.downloads.stop_switch import StopSwitch
from tests.servers.fault_server import FaultServer
from tests.services.downloads.conftest import LOOPBACK


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of models.example, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=models.example"
    names = ["-addext", "subjectAltName=DNS:models.example", "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


class _Answers(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        body = (self.headers["Host"] or "").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def secure_port(certificate: Path) -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.004}, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join(20)


def session() -> CheckedSession:
    return CheckedSession(lambda host, port: ["127.0.0.1"], 5, 5)


def test_a_certificate_is_held_against_the_name_and_not_the_address(
    secure_port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with session() as opened, opened.get(f"https://models.example:{secure_port}/x", {}) as answer:
        assert answer.text == f"models.example:{secure_port}"
    with session() as opened, pytest.raises(SourceUnavailable, match=r"other\.example failed"):
        opened.get(f"https://other.example:{secure_port}/x", {})


def test_a_certificate_that_nobody_vouches_for_is_refused(secure_port: int) -> None:
    with session() as opened, pytest.raises(SourceUnavailable, match=r"models\.example failed"):
        opened.get(f"https://models.example:{secure_port}/x", {})


def test_a_redirect_from_https_to_http_is_not_followed(
    secure_port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))

    def redirect(self: _Answers) -> None:
        self.send_response(302)
        self.send_header("Location", "http://models.example/x")
        self.send_header("Content-Length", "0")
        self.end_headers()

    monkeypatch.setattr(_Answers, "do_GET", redirect)
    with session() as opened, pytest.raises(SourceWrong, match="from https to http"):
        opened.get(f"https://models.example:{secure_port}/x", {})


def test_a_stop_cuts_an_encrypted_connection_too(
    secure_port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encryption takes the socket away from whoever opened it; the switch has a grip of its own."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    came, stop = threading.Event(), StopSwitch()
    released = threading.Event()

    def silent(self: _Answers) -> None:
        came.set()
        released.wait(20)

    monkeypatch.setattr(_Answers, "do_GET", silent)
    threading.Thread(target=lambda: came.wait(20) and stop.set(), daemon=True).start()
    opened = CheckedSession(lambda host, port: ["127.0.0.1"], 5, 60, stop)
    try:
        with opened, pytest.raises(DownloadStopped):
            opened.get(f"https://models.example:{secure_port}/x", {})
    finally:
        released.set()


@pytest.mark.slow
def test_a_server_that_sends_a_byte_now_and_then_is_given_up() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    gone = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not gone.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        with (
            pytest.raises(SourceTimeout, match="takes too long"),
            CheckedSession(LOOPBACK, 5, 5, deadline_seconds=0.5) as opened,
        ):
            opened.get(f"http://127.0.0.1:{listener.getsockname()[1]}/x", {})
    finally:
        gone.set()
        thread.join(20)
        listener.close()


def test_addresses_of_both_families_are_tried_in_turn(server: FaultServer) -> None:
    server.add("/x", b"body")
    port = int(server.url.rpartition(":")[2])
    addresses = ["::1", "100::1", "100::2", "127.0.0.1", "127.0.0.9"]
    with (
        CheckedSession(lambda host, port: addresses, 5, 5) as opened,
        opened.get(f"http://models.example:{port}/x", {}) as answer,
    ):
        assert answer.status_code == 200


def test_a_switch_that_is_set_lets_nobody_in(server: FaultServer) -> None:
    server.add("/x", b"x")
    stop = StopSwitch()
    stop.set()
    with CheckedSession(LOOPBACK, 5, 5, stop) as opened, pytest.raises(DownloadStopped):
        opened.get(f"{server.url}/x", {})
    assert server.asked == []


@pytest.mark.parametrize("answer", [b"garbage\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc"])
def test_what_is_no_http_is_told(answer: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def once() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    thread = threading.Thread(target=once, daemon=True)
    thread.start()
    with CheckedSession(LOOPBACK, 5, 5) as opened, pytest.raises((SourceUnavailable, SourceWrong)):
        opened.get_json(f"http://127.0.0.1:{listener.getsockname()[1]}/x")
    thread.join(20)
    listener.close()
