"""Installs the engine that comes compiled: fetches the wheel of sdcpp-rest-native, looks through it, tries it, and only
then puts it into this environment.

Needs no compiler. Never loads the library into this process.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from sdcpp_rest.native import prebuilt
from sdcpp_rest.native.build import Log, run_pip
from sdcpp_rest.native.prebuilt import ENGINE_VERSION, PACKAGE, PROJECT, PrebuiltError, Stamp

_PATIENCE_SECONDS = 120.0
_TRY = "from sdcpp_rest.native.library import open_library; print(open_library().path)"


def install(source: str | None = None, sha256: str | None = None, log: Log = print) -> Stamp:
    """Install the prebuilt engine and make it the one that is used. What was used before stays when this fails.

    ``source``: a wheel, a folder or page of wheels (as pip's ``--find-links``), a path or a URL; without it the package
    index. ``sha256``: what the wheel has to be. Raises PrebuiltError, and BuildError where pip fails.
    """
    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-") as scratch:
        wheel = _fetch(source, Path(scratch), log)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        log(f"fetched {wheel.name} ({wheel.stat().st_size / 1e6:.1f} MB, sha256 {digest})")
        if sha256 is not None and sha256.lower() != digest:
            raise PrebuiltError(f"{wheel.name} has the sha256 {digest}, not {sha256}: nothing was installed")
        folder = Path(scratch) / "unpacked" / PACKAGE / "lib"
        stamp = _unpack(wheel, folder)
        log(f"it holds the engine of {stamp.version}, for {', '.join(stamp.backends)}; every file is as it was built")
        if failure := _try(prebuilt.library_file(folder)):
            raise PrebuiltError(f"{wheel.name} cannot be used here, and nothing was installed: {failure}")
        run_pip(["install", "--no-deps", "--no-index", "--force-reinstall", str(wheel)], f"installing {wheel.name}")
    importlib.invalidate_caches()
    prebuilt.write_wish("prebuilt")
    log(f"{PROJECT} {stamp.version} is installed, and engines that start from now on use it")
    return stamp


def _fetch(source: str | None, folder: Path, log: Log) -> Path:
    wanted, where = f"{PROJECT}=={ENGINE_VERSION}.*", "the package index"  # .*: also a later build of it
    options: list[str] = []
    if source is not None:
        where = source
        is_url = "://" in source
        if not is_url and not Path(source).expanduser().exists():
            raise PrebuiltError(f"there is no {source}: name a wheel, or a folder or page of wheels")
        place = source if is_url else str(Path(source).expanduser().resolve())
        if place.endswith(".whl"):
            wanted = place
        else:
            options = ["--no-index", "--find-links", place]
    log(f"looking for {PROJECT} {ENGINE_VERSION} in {where}")
    run_pip(
        ["download", "--no-deps", "--only-binary", ":all:", "--dest", str(folder), *options, wanted],
        f"fetching {PROJECT} {ENGINE_VERSION} for this platform from {where}",
    )
    wheel = next(iter(folder.glob("*.whl")), None)
    if wheel is None or not wheel.name.startswith(f"{PACKAGE}-"):
        raise PrebuiltError(f"{where} is no wheel of {PROJECT}")
    return wheel


def _unpack(wheel: Path, folder: Path) -> Stamp:
    """The stamp of what is in ``wheel``, whose ``lib`` is unpacked to ``folder``. Raises PrebuiltError for what is not
    right with it."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder.parents[1])  # which keeps names inside
    except (OSError, zipfile.BadZipFile) as error:
        raise PrebuiltError(f"{wheel.name} cannot be unpacked ({error})") from error
    stamp = prebuilt.read_stamp(folder)
    if unfit := prebuilt.find_misfit(stamp) or prebuilt.find_damage(folder, stamp):
        raise PrebuiltError(f"{unfit}: nothing was installed")
    return stamp


def _try(library: Path) -> str | None:
    """Load ``library`` in a process of its own; what went wrong, None where it works."""
    environment = {**os.environ, prebuilt.VARIABLE: str(library)}
    command = [sys.executable, "-c", _TRY]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        return f"it was not loaded within {_PATIENCE_SECONDS:.0f} s"
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or [f"loading it ended by signal {-done.returncode}"])[-1]
