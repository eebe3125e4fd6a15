"""Builds `sd-server` and `sd-cli`, the library's own example programs: from the source that `make setup` pins, with the
flags it compiles our library with, so that a difference between them and us is not one between compilers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from benchmarks.served import cores
from sdcpp_rest.native.build import VERSION, BuildError, current_recipe, fetch_source, source_home

# The web page needs node, WebP and WebM need sources that are not in the archive; no figure depends on them.
_SWITCHES = (
    "-DCMAKE_BUILD_TYPE=Release", "-DSD_BUILD_EXAMPLES=ON", "-DSD_SERVER_BUILD_FRONTEND=OFF", "-DSD_WEBP=OFF",
    "-DSD_WEBM=OFF",
)  # fmt: skip
_NAMES = ("sd-server", "sd-cli")
_HEARTBEAT_SECONDS = 15.0

Log = Callable[[str], None]


class PeerUnavailable(RuntimeError):
    """There is nothing to compare with; the message is one sentence that says why."""


@dataclass(frozen=True)
class Peers:
    """Paths of the two programs; ``flags`` they were compiled with."""

    server: Path
    cli: Path
    flags: tuple[str, ...]


def peers(log: Log = print) -> Peers:
    """The two programs; compiled (some minutes) unless an earlier run did, with the same flags and compiler.

    They lie in ``peers-<version>`` beside the unpacked source. Raises PeerUnavailable.
    """
    home = source_home() / f"peers-{VERSION}"
    try:
        source = fetch_source(log) / "vendor" / "stable-diffusion.cpp"
        wanted = _stamp()
        home.mkdir(parents=True, exist_ok=True)
    except (BuildError, OSError) as error:
        raise PeerUnavailable(str(error).splitlines()[0]) from error
    with FileLock(home / ".build.lock"):
        if not _is_built(home, wanted):
            _compile(source, home, tuple(wanted["flags"]), log)
            (home / "stamp.json").write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
    server, cli = (home / "build" / "bin" / name for name in _NAMES)
    return Peers(server, cli, tuple(wanted["flags"]))


def _stamp() -> dict[str, list[str]]:
    recipe = asdict(current_recipe())
    return {
        "version": [recipe["version"]],
        "flags": [*recipe["flags"]],
        "compiler": [recipe["compiler"]],
        "switches": [*_SWITCHES],
    }


def _is_built(home: Path, wanted: dict[str, list[str]]) -> bool:
    try:
        stamp = json.loads((home / "stamp.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(stamp == wanted) and all((home / "build" / "bin" / name).is_file() for name in _NAMES)


def _compile(source: Path, home: Path, flags: tuple[str, ...], log: Log) -> None:
    (home / "stamp.json").unlink(missing_ok=True)
    # A flag that has been dropped would live on in CMake's cache.
    shutil.rmtree(home / "build", ignore_errors=True)
    cmake = _tool("cmake")
    if cmake is None:
        raise PeerUnavailable("cmake is not installed, which compiles the programs to compare with")
    ninja = _tool("ninja")
    generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja else []
    configure = [cmake, "-S", str(source), "-B", str(home / "build"), *generator, *flags, *_SWITCHES]
    compile_ = [cmake, "--build", str(home / "build"), "--target", *_NAMES, "--parallel", str(cores())]
    log(f"compiling {' and '.join(_NAMES)} with {' '.join(flags)} (some minutes, kept in {home})")
    with (home / "build.log").open("w", encoding="utf-8") as record:
        for command in (configure, compile_):
            _run(command, record.fileno(), home, log)


def _run(command: list[str], record: int, home: Path, log: Log) -> None:
    # The library asks git for its commit, and would be told ours when it lies inside our checkout.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(home.parent.resolve())}
    started = time.monotonic()
    try:
        process = subprocess.Popen(command, stdout=record, stderr=record, env=environment)
    except OSError as error:
        raise PeerUnavailable(f"{command[0]} cannot be started: {error}") from error
    try:
        while True:
            try:
                status = process.wait(_HEARTBEAT_SECONDS)
                break
            except subprocess.TimeoutExpired:
                log(f"compiling: {_last_line(home / 'build.log')}, {time.monotonic() - started:.0f} s")
    except BaseException:
        process.terminate()  # Ctrl-C must not leave the compiler running
        raise
    if status != 0:
        raise PeerUnavailable(f"sd-server and sd-cli cannot be compiled here; {home / 'build.log'} says why")


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1][:60] if lines else "starting"


def _tool(name: str) -> str | None:
    """One beside this Python (as after ``make setup``) before one of the system."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
