"""Starts Ray on this machine with Ray's own command, and says in one sentence why that failed.

Builds arguments and environment, and reads what the command prints; Ray itself is not imported.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sdcpp_rest.cli.cluster_membership import MARK_VARIABLE
from sdcpp_rest.engine.remote.node_settings import (
    ENGINE_RESOURCE,
    NAME_LABEL,
    VERSION_LABEL,
    NodeSettings,
    our_version,
)
from sdcpp_rest.errors import SdcppRestError

DEFAULT_PORT = 6379
NAME_PATTERN = re.compile(r"[A-Za-z0-9._-]+\Z")
HINT = 'Ray is not installed here: pip install "sdcpp-rest[cluster]"'
_RAY = ("-m", "ray.scripts.scripts", "start")
_ANSWER_SECONDS = 5.0
_START_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_REFUSED_TOKEN = "InvalidAuthToken"
# A node that does not answer five looks, one a second, is lost; Ray itself waits for half a minute.
_HEALTH_CHECKS = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "5",
}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_OURS = ("127.0.0.1", "localhost", "::1")


class ClusterRefused(SdcppRestError):
    """A cluster that cannot be started or joined; a sentence for people."""


@dataclass(frozen=True)
class RayStart:
    """One start of Ray on this machine: the head, or a node that joins ``address``.

    ``host``: this machine's address for the others, Ray's choice if it is empty. ``port``: the head's. ``engines``: how
    many the machine offers; ``gpus``: how many GPUs. ``more``: options for Ray's own command, as they are.
    """

    settings: NodeSettings
    name: str
    mark: str
    address: str = ""
    host: str = ""
    port: int = DEFAULT_PORT
    engines: int = 0
    gpus: int = 0
    has_dashboard: bool = False
    token_file: Path | None = None
    more: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """The arguments of the interpreter."""
        given = [*_RAY]
        if self.address:
            given += [f"--address={self.address}"]
        else:
            given += ["--head", f"--port={self.port}", f"--include-dashboard={str(self.has_dashboard).lower()}"]
        if self.host:
            given += [f"--node-ip-address={self.host}"]
        given += [f"--num-cpus={self.engines}", f"--num-gpus={self.gpus}", "--disable-usage-stats"]
        if self.engines:
            given += [f"--resources={json.dumps({ENGINE_RESOURCE: self.engines})}"]
        given += [f"--labels={VERSION_LABEL}={our_version()},{NAME_LABEL}={self.name}"]
        return [*given, *self.more]

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """``variables`` and what makes Ray's processes ours."""
        from sdcpp_rest.groups.cluster_group import cluster_environment

        kept = {**_HEALTH_CHECKS, **variables}
        if self.token_file is not None:
            # Ray prefers this one to any file.
            kept.pop("RAY_AUTH_TOKEN", None)
            kept |= cluster_environment(self.token_file)
        else:
            kept |= cluster_environment(Path(os.devnull))
            kept.setdefault("RAY_AUTH_MODE", "disabled")
        return {**kept, **self.settings.to_environment(), MARK_VARIABLE: self.mark}


def is_installed() -> bool:
    """Whether Ray is here, without importing it."""
    return importlib.util.find_spec("ray") is not None


def split_address(address: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``. Raises ClusterRefused."""
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
        raise ClusterRefused(f"{address} is not HOST:PORT, for example 192.168.1.10:{DEFAULT_PORT}")
    check_host(host)
    return host, int(port)


def check_host(host: str) -> None:
    """Raises ClusterRefused for the address that Ray takes for another."""
    if host in _OURS:
        raise ClusterRefused(
            f"{host} cannot be the address of a node: Ray rewrites it to another one of this machine; "
            "for a cluster on one machine use 127.0.0.10"
        )


def is_loopback(host: str) -> bool:
    return host.startswith("127.")


def check_head(host: str, port: int, timeout_seconds: float = _ANSWER_SECONDS) -> None:
    """Raises ClusterRefused where nothing listens, or what listens does not go together with this machine's TLS: Ray
    itself tries for minutes."""
    from sdcpp_rest.engine.remote.head_tls import TlsMismatch, check_tls

    try:
        with socket.create_connection((host, port), timeout_seconds) as connection:
            check_tls(connection, os.environ)
    except TlsMismatch as error:
        raise ClusterRefused(str(error)) from None
    except OSError as error:
        why = "within 5 s" if isinstance(error, TimeoutError) else f"({error.strerror or error})"
        raise ClusterRefused(
            f"No head answers at {host}:{port} {why}; `sdcpp-rest cluster start-head` starts one"
        ) from None


def check_port(host: str, port: int) -> None:
    """Raises ClusterRefused for a port that is taken: a second head there starts, and the two share its callers."""
    with socket.socket() as trial:
        # Ray sets it, too; a port that was left a moment ago is free.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            where = f"{host or 'this machine'}, port {port}"
            raise ClusterRefused(
                f"A head cannot listen on {where}: {error.strerror or error}; --port takes another"
            ) from None


def start_ray(start: RayStart) -> str:
    """Start it, and return the head's address as Ray tells it. Raises ClusterRefused."""
    printed = run_ray(start.arguments(), start.environment(os.environ))
    if start.address:
        return start.address
    told = re.search(r"--address='([^']+)'", printed)
    return told[1] if told else f"{start.host}:{start.port}"


def run_ray(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run Ray's command and return what it printed. Raises ClusterRefused.

    It leaves processes behind, which must not hold what it prints to: a file, not a pipe.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip

        def read_printed() -> str:
            return _COLOURS.sub("", os.pread(output.fileno(), 1 << 20, 0).decode(errors="replace"))

        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None:
            # It would try a wrong token for 20 seconds.
            if _REFUSED_TOKEN in read_printed() or time.monotonic() > deadline:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise ClusterRefused(explain_failure(read_printed()))
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_SECONDS)
        if process.returncode:
            raise ClusterRefused(explain_failure(read_printed()))
        return read_printed()


def explain_failure(printed: str) -> str:
    """Make one sentence of what Ray's command printed before it failed."""
    if _REFUSED_TOKEN in printed:
        return "The head does not let this machine in: --token-file names a copy of the head's cluster.token"
    versions = re.findall(r"started with:\s+Ray: (\S+)\s+Python: (\S+)", printed)
    if "Version mismatch" in printed and len(versions) == 2:
        (their_ray, their_python), (our_ray, our_python) = versions
        return (
            f"The head runs Ray {their_ray} on Python {their_python}, this machine Ray {our_ray} on "
            f"Python {our_python}: all machines of a cluster need the same Ray, and the same Python (3.11, say)"
        )
    lines = [line.strip() for line in printed.splitlines() if line.strip() and not line.startswith("  ")]
    return f"Ray did not start: {lines[-1][:400]}" if lines else f"Ray did not start within {_START_SECONDS:.0f} s"


def with_host(start: RayStart) -> RayStart:
    """On a loopback address Ray's choice would be 127.0.0.1: the node takes the head's address."""
    host = start.address.rpartition(":")[0]
    return replace(start, host=host) if not start.host and is_loopback(host) else start
