"""Finds the engine that comes compiled, in the package sdcpp-rest-native, and loads its modules; decides which of two
libraries is used where both are installed.

Reads stamps and files; loads nothing. Imported when an engine starts and by the server: nothing slow here.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sdcpp_rest.native import build_stamp
from sdcpp_rest.native.build_stamp import installed_folder

PROJECT = "sdcpp-rest-native"
PACKAGE = "sdcpp_rest_native"
STAMP = "sdcpp-rest-native.json"
VARIABLE = "STABLE_DIFFUSION_CPP_LIB"  # the binding loads the file that it names
ENGINE_VERSION = "0.4.7"

Wish = Literal["compiled", "prebuilt"]
Kind = Literal["given", "compiled", "prebuilt", "stock", "none"]

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
SUFFIX = {"darwin": ".dylib"}.get(sys.platform, ".so")


class PrebuiltError(RuntimeError):
    """The package sdcpp-rest-native, or what is in it, cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Stamp:
    """What a prebuilt engine says of itself. ``version`` is that of the binding it was built for; ``files`` has the
    SHA-256 of each."""

    version: str
    system: str
    machine: str
    compiler: str
    backends: tuple[str, ...]
    flags: tuple[str, ...]
    files: dict[str, str]


@dataclass(frozen=True)
class Choice:
    """The library that an engine loads: of what kind it is, its file, and why it is this one."""

    kind: Kind
    file: Path | None
    why: str


def parse_stamp(text: str | bytes, where: str) -> Stamp:
    """The stamp of a prebuilt engine. Raises PrebuiltError where it is none."""
    try:
        told = json.loads(text)
        return Stamp(
            version=str(told["version"]),
            system=str(told["system"]),
            machine=str(told["machine"]),
            compiler=str(told["compiler"]),
            backends=tuple(map(str, told["backends"])),
            flags=tuple(map(str, told["flags"])),
            files={str(name): str(digest) for name, digest in told["files"].items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PrebuiltError(f"{where} has no readable {STAMP}: it is not an engine of {PROJECT}") from error


def read_stamp(folder: Path) -> Stamp:
    """The stamp in a prebuilt engine's folder. Raises PrebuiltError where there is none."""
    try:
        return parse_stamp((folder / STAMP).read_bytes(), str(folder))
    except OSError as error:
        raise PrebuiltError(f"{folder} has no readable {STAMP}: it is not an engine of {PROJECT}") from error


def find_misfit(stamp: Stamp) -> str | None:
    """Why an engine with this stamp does not run here; None where it should."""
    if stamp.version != ENGINE_VERSION:
        return f"{PROJECT} holds the engine of {stamp.version}, and this sdcpp-rest needs that of {ENGINE_VERSION}"
    theirs, ours = (_MACHINES.get(name.lower(), name.lower()) for name in (stamp.machine, platform.machine()))
    if (stamp.system, theirs) != (platform.system(), ours):
        here = f"{platform.system()} on {platform.machine()}"
        return f"{PROJECT} was built for {stamp.system} on {stamp.machine}, and this is {here}"
    return None


def find_damage(folder: Path, stamp: Stamp) -> str | None:
    """The first file that is missing, or is not what was built; None where all are. Reads all of them."""
    for name, digest in stamp.files.items():
        try:
            found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError:
            return f"{name} of {PROJECT} is missing"
        if found != digest:
            return f"{name} of {PROJECT} is not the file that was built"
    return None


def package_folder() -> Path | None:
    """The folder of the installed package's libraries; None where it is not installed."""
    return installed_folder(PACKAGE)


def binding_folder() -> Path | None:
    """``lib`` inside the installed binding; None where it has none."""
    return installed_folder()


def library_file(folder: Path) -> Path:
    """The file of stable-diffusion.cpp itself in a folder of libraries."""
    return next(iter(folder.glob("libstable-diffusion.*")), folder / f"libstable-diffusion{SUFFIX}")


# --- which library ----------------------------------------------------------------------------------------------------


def choose_library(compiled: Path | None) -> Choice:
    """The library that engines load from now on; ``compiled`` is the binding's own ``lib``, if it has one.

    What ``STABLE_DIFFUSION_CPP_LIB`` names goes before everything. Then comes what ``native build``, ``native tune`` or
    ``native install`` did last; without that, what sdcpp-rest compiled, the prebuilt engine, and the binding's stock
    build, whichever is there first.
    """
    if given := os.environ.get(VARIABLE):
        return Choice("given", Path(given), f"{VARIABLE} names it")
    prebuilt, wish = package_folder(), read_wish()
    if compiled is not None and not any(compiled.glob("*stable-diffusion.*")):
        compiled = None
    ours = compiled is not None and (compiled / build_stamp.STAMP_NAME).is_file()
    if prebuilt is not None and (wish == "prebuilt" or (wish is None and not ours) or compiled is None):
        why = "`sdcpp-rest native install` chose it" if wish == "prebuilt" else "nothing was compiled by sdcpp-rest"
        return Choice("prebuilt", library_file(prebuilt), why)
    if compiled is None:
        return Choice("none", None, "no library is installed")
    if ours:
        return Choice("compiled", library_file(compiled), "sdcpp-rest compiled it")
    return Choice("stock", library_file(compiled), "pip compiled it with the binding")


def stamped_backends(choice: Choice) -> tuple[str, ...] | None:
    """The GPU backends that this library was built for, as ggml calls them, by the stamp beside it; None where no stamp
    can be read."""
    if choice.file is None:
        return None
    folder = choice.file.parent
    if (folder / STAMP).is_file():
        try:
            return tuple(name for name in read_stamp(folder).backends if name != "CPU")
        except PrebuiltError:
            return None
    return None if build_stamp.read_flags(folder) is None else build_stamp.stamped_backends(folder)


def _wish_path() -> Path:
    return Path(sys.prefix) / "share" / "sdcpp-rest" / "native-library"


def read_wish() -> Wish | None:
    """Which library was asked for last in this environment; None where nobody has asked."""
    try:
        word = _wish_path().read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return "compiled" if word == "compiled" else "prebuilt" if word == "prebuilt" else None


def write_wish(wish: Wish) -> None:
    """Remember which library was asked for. Raises OSError."""
    path = _wish_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.new")
    scratch.write_text(f"{wish}\n")
    scratch.replace(path)
