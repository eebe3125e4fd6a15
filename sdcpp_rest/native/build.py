"""Builds the native library with our flags: fetches the pinned source, compiles a wheel, installs it, leaves a stamp.

``python -m sdcpp_rest.native.build [--if-needed]`` does it for the Makefile, ``sdcpp-rest native build`` for users.
Never loads the library. A wheel is kept per set of flags, because pip's own cache does not know that CMAKE_ARGS matter.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import json
import os
import queue
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock

PROJECT = "stable-diffusion-cpp-python"
VERSION = "0.4.7"
SDIST_SHA256 = "998d1957260dd5ae4e18a8acc0c14b0a8757aaa9f96515197b6d5bbf46df9282"
DEFAULT_FLAGS = ("-DGGML_LLAMAFILE=ON",)  # about 0.6 of the stock build's CPU time per step; off by default upstream
STAMP_NAME = "sdcpp-rest-build.json"
HEARTBEAT_SECONDS = 5.0
# The library's options for GPUs, and what ggml calls these backends.
_BACKEND_OPTIONS = {
    "SD_CUDA": "CUDA", "SD_HIPBLAS": "ROCm", "SD_MUSA": "MUSA", "SD_VULKAN": "Vulkan", "SD_METAL": "MTL",
    "SD_SYCL": "SYCL", "SD_OPENCL": "OpenCL",
}  # fmt: skip
_ON = ("ON", "1", "TRUE", "YES", "Y")

Log = Callable[[str], None]


class BuildError(RuntimeError):
    """The library could not be fetched or compiled; the message says what to do."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out of the compiler."""

    version: str
    flags: tuple[str, ...]
    compiler: str
    python: str

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def current_recipe() -> Recipe:
    """What would be built now: our flags, then the user's ``CMAKE_ARGS`` (the later of two equal settings wins).

    Raises BuildError where there is no compiler.
    """
    return _recipe(_compiler())


def _recipe(compiler: str) -> Recipe:
    return Recipe(
        version=VERSION,
        flags=(*DEFAULT_FLAGS, *shlex.split(os.environ.get("CMAKE_ARGS", ""))),
        compiler=compiler,
        python=f"cp{sys.version_info.major}{sys.version_info.minor}-{sysconfig.get_platform()}",
    )


def reason_to_build(*, whatever_flags: bool = False) -> str | None:
    """Why the installed library should be built (again); None when it is what ``current_recipe()`` asks for, with
    ``whatever_flags`` it was built."""
    folder = _installed_folder()
    if folder is None:
        return "the native library is not installed"
    try:
        stamp = dict(json.loads((folder / STAMP_NAME).read_text()))
        built_digest, built_compiler = stamp["library_sha256"], str(stamp["compiler"])
    except (OSError, ValueError, TypeError, KeyError):
        return "the native library was not built by sdcpp-rest; on CPUs a stock build takes about 1.7 times as long"
    if built_digest != _library_digest(folder):
        return "the native library was replaced after sdcpp-rest built it"
    try:
        recipe = current_recipe()
    except BuildError:
        recipe = _recipe(built_compiler)  # nothing can be compiled here, which is no reason to
    for name, now in asdict(recipe).items():
        then = stamp.get(name)
        if name == "flags" and whatever_flags:
            continue
        if then != (list(now) if isinstance(now, tuple) else now):
            return f"the native library's {name} changed from {_format_setting(then)} to {_format_setting(now)}"
    return None


def flagged_backends() -> tuple[str, ...]:
    """The GPU backends that the flags of the installed library asked for; none where its stamp cannot be read."""
    folder = _installed_folder()
    try:
        flags = json.loads((folder / STAMP_NAME).read_text())["flags"] if folder is not None else []
        settings = dict(flag.removeprefix("-D").split("=", 1) for flag in flags if "=" in flag)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return ()
    return tuple(backend for option, backend in _BACKEND_OPTIONS.items() if settings.get(option, "OFF").upper() in _ON)


def build(force: bool = False, log: Log = print) -> None:
    """Install the library that ``current_recipe()`` describes; does nothing where it is installed already.

    Compiles unless its wheel is kept from before; with ``force`` in any case. Reports to ``log`` at least every few
    seconds. Raises BuildError.
    """
    reason = reason_to_build()
    if reason is None and not force:
        log(f"native library {VERSION} is up to date")
        return
    if reason is not None:
        log(reason)
    recipe = current_recipe()
    shelf = Path(sys.prefix) / "share" / "sdcpp-rest" / "wheels" / recipe.key
    try:
        shelf.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(f"cannot write to {shelf} ({error}): use a virtual environment") from error
    with FileLock(shelf.parent / "build.lock"):
        wheel = None if force else next(iter(sorted(shelf.glob("*.whl"))), None)
        if wheel is None:
            wheel = _compile(recipe, shelf, fetch_source(log), log)
        else:
            log(f"native library: using the wheel built before ({recipe.key})")
        _pip(["install", "--no-deps", "--no-index", "--force-reinstall", str(wheel)], "installing the built wheel")
        importlib.invalidate_caches()
        _write_stamp(recipe)
    log(f"native library {recipe.version} is ready ({' '.join(recipe.flags)})")


def fetch_source(log: Log = print) -> Path:
    """The folder of the unpacked pinned source; downloaded (20 MB, hash-checked) when it is not there yet.

    It lies in ``vendor/`` of a checkout, else in the user's cache folder. Raises BuildError.
    """
    home = source_home()
    folder = home / f"{PROJECT.replace('-', '_')}-{VERSION}"
    if (folder / "PKG-INFO").is_file():
        return folder
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".fetch.lock"), tempfile.TemporaryDirectory(dir=home, prefix=".fetch-") as scratch:
        if (folder / "PKG-INFO").is_file():  # another process was faster
            return folder
        log(f"native library: fetching the source of {PROJECT} {VERSION}")
        wanted = Path(scratch) / "wanted.txt"
        wanted.write_text(f"{PROJECT}=={VERSION} --hash=sha256:{SDIST_SHA256}\n")
        _pip(
            ["download", "--no-deps", "--no-binary", PROJECT, "--require-hashes", *_isolation(),
             "--dest", scratch, "--requirement", str(wanted)],
            f"downloading {PROJECT} {VERSION}",
        )  # fmt: skip
        archives = sorted(Path(scratch).glob("*.tar.gz"))
        if not archives:
            raise BuildError(f"pip downloaded no source archive of {PROJECT} {VERSION}")
        with tarfile.open(archives[0]) as archive:
            # The hash is pinned, so the members are known; the filter (where this Python has it) is a second wall.
            if hasattr(tarfile, "data_filter"):
                archive.extractall(scratch, filter="data")
            else:
                archive.extractall(scratch)
        # Renamed as a whole: an interrupted download never looks like a finished one.
        (Path(scratch) / folder.name).rename(folder)
    return folder


def source_home() -> Path:
    """Where the source is unpacked: ``vendor/`` of a checkout, else ``vendor`` in the user's cache folder."""
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file() and (root / "vendor" / "README.md").is_file():
        return root / "vendor"
    return Path(platformdirs.user_cache_dir("sdcpp-rest", appauthor=False)) / "vendor"


def _compile(recipe: Recipe, shelf: Path, source: Path, log: Log) -> Path:
    # The binding's CMake also copies its result into its source tree, from where the next wheel would take it along.
    shutil.rmtree(source / "stable_diffusion_cpp" / "lib", ignore_errors=True)
    log(f"native library: compiling {recipe.version} with {' '.join(recipe.flags)} (some minutes)")
    environment = {
        **os.environ,
        "CMAKE_ARGS": shlex.join(recipe.flags),
        # The library asks git for its commit, and would be told ours when it lies inside our checkout.
        "GIT_CEILING_DIRECTORIES": str(source.parent.resolve()),
    }
    log_path = shelf / "build.log"
    with tempfile.TemporaryDirectory(dir=shelf, prefix=".build-") as scratch:
        command = _pip_command(
            ["wheel", "--verbose", "--no-cache-dir", "--no-deps", *_isolation(), "--wheel-dir", scratch, str(source)]
        )
        status = _stream(command, environment, log_path, log)
        wheels = sorted(Path(scratch).glob("*.whl"))
        if status != 0 or not wheels:
            tail = "\n".join(log_path.read_text(errors="replace").splitlines()[-30:])
            raise BuildError(f"compiling the native library failed; the last lines of {log_path}:\n{tail}")
        for old in shelf.glob("*.whl"):
            old.unlink()
        return wheels[0].rename(shelf / wheels[0].name)


_STEP = re.compile(r"\[(\d+)/(\d+)\]|\[ *(\d+)%\]")


def _stream(command: Sequence[str], environment: dict[str, str], log_path: Path, log: Log) -> int:
    """Run ``command`` into ``log_path``; tell ``log`` how far it is, every few seconds even when it is silent."""
    lines: queue.Queue[str | None] = queue.Queue()
    started = spoken = time.monotonic()
    done = "preparing"
    with (
        log_path.open("w") as record,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process,
    ):
        output = process.stdout
        assert output is not None

        def read() -> None:
            for line in output:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        try:
            while True:
                try:
                    line = lines.get(timeout=1.0)
                except queue.Empty:
                    line = ""
                if line is None:
                    break
                record.write(line)
                if found := _STEP.search(line):
                    done = f"{found[1]}/{found[2]}" if found[1] else f"{found[3]} %"
                if time.monotonic() - spoken >= HEARTBEAT_SECONDS:
                    spoken = time.monotonic()
                    log(f"native library: {done}, {spoken - started:.0f} s")
        except BaseException:
            process.terminate()  # Ctrl-C must not leave the compiler running
            raise
    return process.returncode


def _pip_command(arguments: Sequence[str]) -> list[str]:
    if importlib.util.find_spec("pip") is None:
        raise BuildError(f"{sys.executable} has no pip: run `python -m ensurepip` first")
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]


def _pip(arguments: Sequence[str], what: str) -> None:
    result = subprocess.run(
        _pip_command(arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    if result.returncode != 0:
        raise BuildError(f"{what} failed:\n" + "\n".join(result.stdout.splitlines()[-15:]))


def _isolation() -> list[str]:
    """Build with the installed tools where there are any (as after ``make setup``): no download, and pinned."""
    return ["--no-build-isolation"] if importlib.util.find_spec("scikit_build_core") else []


def _compiler() -> str:
    chosen = shlex.split(os.environ.get("CXX", "c++"))
    try:
        said = subprocess.run([*chosen, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        raise BuildError(
            "no C++ compiler found (tried CXX and c++): install one, for example `apt-get install g++` "
            "or `xcode-select --install`"
        ) from error
    return said.splitlines()[0].strip() if said else "unknown"


def _installed_folder() -> Path | None:
    """``lib`` inside the installed binding. The binding itself is not imported: that would load the library."""
    spec = importlib.util.find_spec("stable_diffusion_cpp")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "lib"
    return folder if folder.is_dir() else None


def _library_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != STAMP_NAME:
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _write_stamp(recipe: Recipe) -> None:
    folder = _installed_folder()
    if folder is None:
        raise BuildError(f"the wheel was installed, but {PROJECT} cannot be found by this Python")
    stamp = {**asdict(recipe), "key": recipe.key, "library_sha256": _library_digest(folder)}
    (folder / STAMP_NAME).write_text(json.dumps(stamp, indent=2) + "\n")


def _format_setting(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of ``python -m sdcpp_rest.native.build``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sdcpp_rest.native.build", description=__doc__)
    parser.add_argument("--if-needed", action="store_true", help="do nothing when the right library is installed")
    options = parser.parse_args(arguments)

    def log(line: str) -> None:
        print(line, flush=True)

    try:
        if options.if_needed and reason_to_build() is None:
            return 0
        build(force=not options.if_needed, log=log)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
