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
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock

from sdcpp_rest.native import prebuilt, toolchain, vulkan_headers
from sdcpp_rest.native.build_failures import explain_failure
from sdcpp_rest.native.build_flags import BACKENDS, ChosenFlags, FlagsRefused, choose_flags, ggml_name, named_backends
from sdcpp_rest.native.build_process import run_build
from sdcpp_rest.native.build_stamp import STAMP_NAME, read_flags, read_stamp

PROJECT = "stable-diffusion-cpp-python"
VERSION = prebuilt.ENGINE_VERSION
SDIST_SHA256 = "998d1957260dd5ae4e18a8acc0c14b0a8757aaa9f96515197b6d5bbf46df9282"

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


def current_recipe(backend: str | None = None) -> Recipe:
    """What would be built now: our flags, then those of ``backend`` and the user's ``CMAKE_ARGS`` (the later of two
    equal settings wins); with neither of these, the flags of the installed library.

    Raises BuildError where there is no compiler, and for flags that make no sense.
    """
    return _recipe(_chosen_flags(backend), _compiler())


def _recipe(chosen: ChosenFlags, compiler: str) -> Recipe:
    return Recipe(
        version=VERSION,
        flags=chosen.flags,
        compiler=compiler,
        python=f"cp{sys.version_info.major}{sys.version_info.minor}-{sysconfig.get_platform()}",
    )


def _chosen_flags(backend: str | None) -> ChosenFlags:
    folder = _installed_folder()
    try:
        return choose_flags(
            backend, os.environ.get("CMAKE_ARGS"), read_flags(folder), read_flags(folder, "set_aside") or ()
        )
    except FlagsRefused as error:
        raise BuildError(str(error)) from None


def chosen_flags(backend: str | None = None) -> tuple[str, ...]:
    """The flags of `current_recipe`, which are known without a compiler too. Raises BuildError."""
    return _chosen_flags(backend).flags


def set_aside_flags(backend: str | None = None) -> tuple[str, ...]:
    """A person's own flags of no use to such a build, kept for one for another backend. Raises BuildError."""
    return _chosen_flags(backend).set_aside


def reason_to_build(backend: str | None = None) -> str | None:
    """Why the installed library should be built (again); None when it is what ``current_recipe(backend)`` asks for.

    Raises BuildError for flags that make no sense.
    """
    chosen = _chosen_flags(backend)
    folder = _installed_folder()
    if (choice := prebuilt.choose_library(folder)).kind == "prebuilt" and choice.file is not None:
        return _reason_to_replace(choice.file.parent, backend)
    if folder is None:
        return "the native library is not installed"
    stamp = read_stamp(folder)
    if not {"library_sha256", "compiler", "flags"} <= stamp.keys():
        return "the native library was not built by sdcpp-rest; on CPUs a stock build takes about 1.7 times as long"
    if stamp["library_sha256"] != _library_digest(folder):
        return "the native library was replaced after sdcpp-rest built it"
    try:
        recipe = _recipe(chosen, _compiler())
    except BuildError:
        recipe = _recipe(chosen, str(stamp["compiler"]))  # nothing can be compiled here, which is no reason to
    for name, now in asdict(recipe).items():
        then = stamp.get(name)
        if then != (list(now) if isinstance(now, tuple) else now):
            return f"the native library's {name} changed from {_format_setting(then)} to {_format_setting(now)}"
    return None


def _reason_to_replace(folder: Path, backend: str | None) -> str | None:
    """Why something should be compiled where the prebuilt engine in ``folder`` is used; None where that is right."""
    try:
        stamp = prebuilt.read_stamp(folder)
    except prebuilt.PrebuiltError as error:
        return str(error)
    if unfit := prebuilt.find_misfit(stamp) or prebuilt.find_damage(folder, stamp):
        return unfit
    if os.environ.get("CMAKE_ARGS"):
        return f"the prebuilt engine of {prebuilt.PROJECT} was compiled without your CMAKE_ARGS"
    if backend is not None and ggml_name(backend) not in stamp.backends:
        return f"the prebuilt engine of {prebuilt.PROJECT} was compiled for {' and '.join(stamp.backends)} alone"
    return None


def flagged_backends() -> tuple[str, ...]:
    """The GPU backends that the library in use was built for, by its stamp; none where that cannot be read."""
    return prebuilt.stamped_backends(prebuilt.choose_library(_installed_folder())) or ()


def build(force: bool = False, log: Log = print, *, backend: str | None = None, fetch_headers: bool = False) -> None:
    """Install the library that ``current_recipe(backend)`` describes; does nothing where it is installed already.

    Compiles unless its wheel is kept from before; with ``force`` in any case, and from the beginning. A build that was
    broken off goes on where it stopped. ``fetch_headers``: download newer Vulkan headers where this machine's are too
    old. Reports to ``log`` at least every few seconds. Raises BuildError.
    """
    reason = reason_to_build(backend)
    if reason is None and not force:
        is_ready = prebuilt.choose_library(_installed_folder()).kind == "prebuilt"
        ready = f": {prebuilt.PROJECT} is used, and --force compiles what takes its place" if is_ready else ""
        log(f"native library {VERSION} is up to date{ready}")
        return
    if reason is not None:
        log(reason)
    recipe, set_aside = current_recipe(backend), set_aside_flags(backend)
    wheel = make_wheel(recipe, log, force=force, fetch_headers=fetch_headers)
    install_wheel(recipe, wheel, set_aside)
    log(f"native library {recipe.version} is ready ({' '.join(recipe.flags)})")


def make_wheel(recipe: Recipe, log: Log = print, *, force: bool = False, fetch_headers: bool = False) -> Path:
    """The wheel that ``recipe`` describes, kept from before or compiled now, as for ``build()``. Raises BuildError."""
    shelf = _shelves() / recipe.key
    try:
        shelf.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(f"cannot write to {shelf} ({error}): use a virtual environment") from error
    try:
        with FileLock(shelf.parent / "build.lock"):
            wheel = None if force else next(iter(sorted(shelf.glob("*.whl"))), None)
            if wheel is None:
                tools = _find_tools(recipe, fetch_headers, log)
                return _compile(recipe, tools, shelf, fetch_source(log), log, afresh=force)
            log(f"native library: using the wheel built before ({recipe.key})")
            return wheel
    except OSError as error:
        raise BuildError(f"the native library cannot be built: {error}; what is compiled is kept in {shelf}") from error


def install_wheel(recipe: Recipe, wheel: Path, set_aside: Sequence[str] = ()) -> None:
    """Install what ``make_wheel()`` made, as the library that is used from now on. ``set_aside``: flags that are kept
    for builds for other backends. Raises BuildError."""
    try:
        with FileLock(_shelves() / "build.lock"):
            run_pip(
                ["install", "--no-deps", "--no-index", "--force-reinstall", str(wheel)], "installing the built wheel"
            )
            importlib.invalidate_caches()
            _write_stamp(recipe, set_aside)
            prebuilt.write_wish("compiled")
    except OSError as error:
        raise BuildError(f"the native library cannot be installed: {error}; its wheel is kept: {wheel}") from error


def _shelves() -> Path:
    return Path(sys.prefix) / "share" / "sdcpp-rest" / "wheels"


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
        run_pip(
            ["download", "--no-deps", "--no-binary", PROJECT, "--require-hashes", *isolation(),
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


def _find_tools(recipe: Recipe, fetch_headers: bool, log: Log) -> toolchain.Tools:
    """What the build needs besides its flags. Raises BuildError, at once, for a tool that is missing."""
    home = source_home()
    try:
        if fetch_headers and "vulkan" in named_backends(recipe.flags):
            vulkan_headers.fetch_headers(home, log)
        return toolchain.find_tools(recipe.flags, toolchain.this_machine(vulkan_headers.fetched_folder(home)))
    except (toolchain.ToolsMissing, vulkan_headers.HeadersUnavailable) as error:
        raise BuildError(str(error)) from None


def _compile(recipe: Recipe, tools: toolchain.Tools, shelf: Path, source: Path, log: Log, *, afresh: bool) -> Path:
    # The binding's CMake also copies its result into its source tree, from where the next wheel would take it along.
    shutil.rmtree(source / "stable_diffusion_cpp" / "lib", ignore_errors=True)
    kept = shelf / "build"
    # Also what a build that was killed has left.
    for folder in (*shelf.glob(".build-*"), *([kept] if afresh else [])):
        shutil.rmtree(folder, ignore_errors=True)
    what = "going on with" if _prepare_to_resume(kept) else "compiling"
    log(f"native library: {what} {recipe.version} with {' '.join(recipe.flags)} (some minutes)")
    environment = {
        **os.environ,
        **tools.environment,
        "CMAKE_ARGS": shlex.join([*recipe.flags, *tools.flags]),
        # Read by scikit-build-core. Not an option of pip's: --config-settings is newer than the pip of Ubuntu 22.04.
        "SKBUILD_BUILD_DIR": str(kept),
        # The library asks git for its commit, and would be told ours when it lies inside our checkout.
        "GIT_CEILING_DIRECTORIES": str(source.parent.resolve()),
    }
    log_path = shelf / "build.log"
    with tempfile.TemporaryDirectory(dir=shelf, prefix=".build-") as scratch:
        command = _pip_command(
            ["wheel", "--verbose", "--no-cache-dir", "--no-deps", *isolation(), "--wheel-dir", scratch, str(source)]
        )
        status = run_build(command, environment, log_path, log)
        wheels = sorted(Path(scratch).glob("*.whl"))
        if status != 0 or not wheels:
            raise BuildError(explain_failure(log_path.read_text(errors="replace"), log_path))
        for old in shelf.glob("*.whl"):
            old.unlink()
        wheel = wheels[0].rename(shelf / wheels[0].name)
    # Also what builds with other flags have left, that nobody went on with.
    for folder in shelf.parent.glob("*/build"):
        shutil.rmtree(folder, ignore_errors=True)
    return wheel


def _prepare_to_resume(kept: Path) -> bool:
    """Have the build in ``kept`` looked at anew by CMake, whose memory of what it found may be of yesterday, while all
    that is compiled stays: ninja knows the command of each file. Tells whether there is anything."""
    (kept / "CMakeCache.txt").unlink(missing_ok=True)
    shutil.rmtree(kept / "CMakeFiles", ignore_errors=True)
    return (kept / ".ninja_log").is_file()


def _pip_command(arguments: Sequence[str]) -> list[str]:
    if importlib.util.find_spec("pip") is None:
        raise BuildError(f"{sys.executable} has no pip: run `python -m ensurepip` first")
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]


def run_pip(arguments: Sequence[str], what: str) -> None:
    """Run pip silently; ``what`` says what for. Raises BuildError with its last lines."""
    result = subprocess.run(
        _pip_command(arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    if result.returncode != 0:
        raise BuildError(f"{what} failed:\n" + "\n".join(result.stdout.splitlines()[-15:]))


def isolation() -> list[str]:
    """Build with the installed tools where there are any (as after ``make setup``): no download, and pinned."""
    return ["--no-build-isolation"] if importlib.util.find_spec("scikit_build_core") else []


def _compiler() -> str:
    try:
        return toolchain.describe_compiler(toolchain.this_machine())
    except toolchain.ToolsMissing as error:
        raise BuildError(str(error)) from None


def _installed_folder() -> Path | None:
    return prebuilt.binding_folder()


def _library_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != STAMP_NAME:
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _write_stamp(recipe: Recipe, set_aside: Sequence[str] = ()) -> None:
    folder = _installed_folder()
    if folder is None:
        raise BuildError(f"the wheel was installed, but {PROJECT} cannot be found by this Python")
    stamp = {**asdict(recipe), "set_aside": [*set_aside], "key": recipe.key, "library_sha256": _library_digest(folder)}
    (folder / STAMP_NAME).write_text(json.dumps(stamp, indent=2) + "\n")


def _format_setting(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of ``python -m sdcpp_rest.native.build``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sdcpp_rest.native.build", description=__doc__)
    parser.add_argument("--if-needed", action="store_true", help="do nothing when the right library is installed")
    parser.add_argument("--backend", help=f"one of {', '.join(BACKENDS)}; without it the installed library's stays")
    parser.add_argument("--fetch-headers", action="store_true", help="download newer Vulkan headers where needed")
    options = parser.parse_args(arguments)

    def log(line: str) -> None:
        print(line, flush=True)

    try:
        if options.if_needed and reason_to_build(options.backend) is None:
            return 0
        build(force=not options.if_needed, log=log, backend=options.backend, fetch_headers=options.fetch_headers)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
