"""Machines on a network of their own, made of Linux namespaces: each has its processes, its addresses, and a cable to
one switch that can be pulled.

Needs root. A machine lives as long as a pipe from here is open, and everything on it ends with it: nothing is left,
however these tests end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

_CLONE_NEWNET = 0x40000000
_SUBNET = "10.77.0"
_SWITCH_HOST = f"{_SUBNET}.254"
# A shell, because whatever loses its parent there needs one that sees its end.
_INIT = "ip link set lo up && echo up && cat; exit"
_LIBC = ctypes.CDLL(None, use_errno=True)


class Machine:
    """Processes, addresses and a loopback of its own; files are those of this machine."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["unshare", "--net", "--pid", "--fork", "--mount-proc", "sh", "-c", _INIT],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"up\n"
        (init,) = psutil.Process(self._process.pid).children()
        self.pid = init.pid
        """Its first process, as it is called outside."""
        self.prefix = ("nsenter", f"--target={self.pid}", "--net", "--pid", "--mount")
        """What a command begins with that is to run there."""

    def run(self, *command: str) -> str:
        """Run a command on its network, and return what it printed."""
        given = ["nsenter", f"--target={self.pid}", "--net", *command]
        return subprocess.run(given, check=True, capture_output=True, text=True).stdout

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Let this thread's sockets be those of that machine."""
        with open("/proc/thread-self/ns/net") as own, open(f"/proc/{self.pid}/ns/net") as other:
            _enter(other.fileno())
            try:
                yield
            finally:
                _enter(own.fileno())

    def count_resent(self) -> int:
        """How many TCP segments it has sent again, because nobody said that they had arrived."""
        names, values = re.findall(r"^Tcp: (.*)$", Path(f"/proc/{self.pid}/net/snmp").read_text(), re.MULTILINE)
        return int(dict(zip(names.split(), values.split(), strict=True))["RetransSegs"])

    def end(self) -> None:
        """Switch it off. Idempotent."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Network:
    """A switch, and machines with one cable each to it."""

    def __init__(self) -> None:
        self._switch = Machine()
        self._machines: list[Machine] = []
        self._hosts: dict[Machine, str] = {}
        self._switch.run("ip", "link", "add", "bridge", "type", "bridge")
        self._switch.run("ip", "address", "add", f"{_SWITCH_HOST}/24", "dev", "bridge")
        self._switch.run("ip", "link", "set", "bridge", "up")

    def add(self) -> Machine:
        """One more machine, with its cable plugged in."""
        machine = Machine()
        self._machines.append(machine)
        self._hosts[machine] = host = f"{_SUBNET}.{len(self._machines)}"
        port = self._port(machine)
        cable = ("type", "veth", "peer", "name", "eth0", "netns", str(machine.pid))
        self._switch.run("ip", "link", "add", port, *cable)
        self._switch.run("ip", "link", "set", port, "master", "bridge", "up")
        machine.run("ip", "address", "add", f"{host}/24", "dev", "eth0")
        machine.run("ip", "link", "set", "eth0", "up")
        machine.run("ip", "route", "add", "default", "via", _SWITCH_HOST)
        return machine

    def host_of(self, machine: Machine) -> str:
        return self._hosts[machine]

    def pull(self, machine: Machine) -> None:
        """Pull its cable."""
        self._switch.run("ip", "link", "set", self._port(machine), "down")

    def plug(self, machine: Machine) -> None:
        """Plug its cable in again."""
        self._switch.run("ip", "link", "set", self._port(machine), "up")

    def shape(self, machine: Machine, *discipline: str) -> str:
        """Have its cable treat what passes, in both directions, as ``tc`` is told. Returns why this system cannot;
        empty if it can."""
        for end, device in ((self._switch, self._port(machine)), (machine, "eth0")):
            try:
                end.run("tc", "qdisc", "replace", "dev", device, "root", *discipline)
            except subprocess.CalledProcessError as error:
                return str(error.stderr).strip()
        return ""

    def end(self) -> None:
        """Switch everything off."""
        for machine in (*self._machines, self._switch):
            machine.end()

    def _port(self, machine: Machine) -> str:
        return f"port{self._machines.index(machine) + 1}"


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
