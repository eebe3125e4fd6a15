"""Whether TLS with a cluster's head will come about is known before Ray is asked."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sdcpp_rest.engine.remote.head_tls import TlsMismatch, check_tls
from tests.certificates import Authority

_SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


@contextlib.contextmanager
def head(variables: Mapping[str, str] | None) -> Iterator[socket.socket]:
    """A connection to what answers as a head does: with TLS if there are variables, which asks for a certificate."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with contextlib.suppress(OSError), connection:
            if variables is None:
                connection.sendall(_SETTINGS)
                connection.recv(1024)
                return
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(variables["RAY_TLS_SERVER_CERT"], variables["RAY_TLS_SERVER_KEY"])
            context.load_verify_locations(variables["RAY_TLS_CA_CERT"])
            context.verify_mode = ssl.CERT_REQUIRED
            with context.wrap_socket(connection, server_side=True) as secured:
                secured.sendall(_SETTINGS)
                secured.recv(1024)

    thread = threading.Thread(target=serve)
    with listening:
        thread.start()
        with socket.create_connection(listening.getsockname(), 60) as connection:
            yield connection
        thread.join()


def explain(head_variables: Mapping[str, str] | None, own: Mapping[str, str]) -> str:
    """What is said of such a head on such a machine; empty if they go together."""
    with head(head_variables) as connection:
        try:
            check_tls(connection, own)
        except TlsMismatch as error:
            return str(error)
    return ""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return Authority(tmp_path_factory.mktemp("own")).variables("machine", "127.0.0.1")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return Authority(tmp_path_factory.mktemp("other")).variables("machine", "127.0.0.1")


def test_both_with_tls_or_both_without_it_go_together(own: dict[str, str]) -> None:
    assert explain(own, own) == ""
    assert explain(None, {}) == ""
    assert explain(None, {"RAY_USE_TLS": "0"}) == ""


def test_only_one_with_tls_is_told(own: dict[str, str]) -> None:
    assert explain(own, {}).startswith("The head uses TLS, and this machine's environment does not have RAY_USE_TLS=1")
    assert explain(None, own).startswith("The head does not use TLS, and this machine's environment has RAY_USE_TLS=1")


def test_certificates_of_another_authority_are_told_from_either_end(own: dict[str, str], other: dict[str, str]) -> None:
    assert explain(own, other).startswith("The head's certificate is not accepted: ")
    stranger = {**other, "RAY_TLS_CA_CERT": own["RAY_TLS_CA_CERT"]}
    assert explain(own, stranger) == "The head does not accept this machine's certificate (RAY_TLS_SERVER_CERT)"


def test_variables_that_are_incomplete_or_name_nothing_are_told(own: dict[str, str], tmp_path: Path) -> None:
    lacking = {name: value for name, value in own.items() if name != "RAY_TLS_CA_CERT"}
    assert explain(own, lacking) == "This machine's environment has RAY_USE_TLS=1, and not RAY_TLS_CA_CERT"
    nowhere = {**own, "RAY_TLS_SERVER_CERT": str(tmp_path / "nothing")}
    assert explain(own, nowhere).endswith("cannot be read: No such file or directory")
    (tmp_path / "nothing").write_text("no certificate")
    assert "cannot be read: " in explain(own, nowhere)


def test_head_that_says_nothing_is_left_to_ray(own: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for variables in ({}, own):
            with socket.create_connection(silent.getsockname(), 0.05) as connection:
                check_tls(connection, variables)
