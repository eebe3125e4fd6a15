"""Examines the server and its native library: what there is, what is wrong, what to do about it.

What is said of the library comes from an engine, and from a short process of its own: nothing native is loaded here.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sdcpp_rest.engine.places import name_of, used_devices
from sdcpp_rest.engine.protocol import Ready
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.store.backups import read_notes

log = logging.getLogger(__name__)

Status = Literal["ok", "warn", "fail"]

_PATIENCE_SECONDS = 20.0
_LOOK = "Look into GET /logs/engine"
_LITTLE_BYTES = 1 << 30
_ADVICE = [sys.executable, "-m", "sdcpp_rest.native.build_advice"]


class Check(NamedTuple):
    """One thing that was looked at, in a sentence; ``hint`` says what to do, where something can be done."""

    name: str
    status: Status
    text: str
    hint: str = ""


def check_library(
    ready: Ready, gpu_advice: str | None, build_advice: str | None, used: Collection[str] = ()
) -> list[Check]:
    """What an engine says of the native library and its devices; ``gpu_advice`` and ``build_advice`` are what could be
    better about them, ``used`` are the devices that engines work on."""
    commit = f", commit {ready.library_commit}" if ready.library_commit else ""
    version = f"stable-diffusion.cpp by stable-diffusion-cpp-python {ready.library_version}{commit}"
    checks = [
        Check("library", "warn" if build_advice else "ok", version, build_advice or ""),
        Check("backend", "warn" if gpu_advice else "ok", _describe_backend(ready), gpu_advice or ""),
        Check("features", "ok", " ".join(ready.features)),
    ]
    for device in ready.devices:
        memory = f"{device.free_bytes / 2**30:.1f} of {device.total_bytes / 2**30:.1f} GiB free"
        mark = ", in use" if device.name in used else ""
        checks.append(Check("device", "ok", f"{device.name}: {device.description} ({device.backend}), {memory}{mark}"))
    return checks


def _describe_backend(ready: Ready) -> str:
    """The backend that models run on, and those that the library was built for and that found nothing to run on."""
    found = {device.backend for device in ready.devices}
    idle = sorted(set(ready.backends) - found - {"CPU", "BLAS"})
    return f"{ready.backend} (built for {' and '.join(idle)} too, which finds no device)" if idle else ready.backend


def check_engines(engines: Sequence[Mapping[str, Any]]) -> list[Check]:
    """Where each of the engines of ``GET /engines`` works, and what it does."""
    return [_check_one(engine) for engine in engines]


def _check_one(engine: Mapping[str, Any]) -> Check:
    name, home = engine["name"] or "an engine without a name yet", " (home)" if engine["is_home"] else ""
    threads = engine.get("threads")
    computes = f"{threads['chosen']} of {threads['most']} threads ({threads['why']})" if threads else None
    facts = [engine["device"] or "no device told", engine["state"], engine["model_name"], computes, engine["why"]]
    text = f"{name}{home}: {', '.join(fact for fact in facts if fact)}"
    if engine["is_available"]:
        return Check("engine", "ok", text)
    return Check("engine", "warn", text, "POST /engine/restart begins anew; paths.log_dir has each engine's log")


def check_models(library: ModelLibrary) -> list[Check]:
    """Which folders of other programs are used, and what in the model folders is not."""
    checks = [
        Check("models", "ok", f"{folder}: " + ", ".join(f"{count} of type {kind}" for kind, count in types.items()))
        for folder, types in count_extra(library).items()
    ]
    return [*checks, *(Check("models", "warn", sentence) for sentence in library.incomplete())]


def count_extra(library: ModelLibrary) -> dict[str, dict[str, int]]:
    """How many models of each type are listed of each of other programs' folders."""
    counts: dict[str, dict[str, int]] = {}
    for files in library.list().values():
        for file in files:
            if file.is_extra:
                of_folder = counts.setdefault(file.root, {})
                of_folder[file.type] = of_folder.get(file.type, 0) + 1
    for kind, paths in library.extra_folders().items():
        for path in paths:
            counts.setdefault(str(path), {}).setdefault(kind, 0)
    return counts


def check_database(data_dir: Path, trouble: str | None = None) -> list[Check]:
    """What is wrong with the database, and what became of damaged ones that still lie in the data folder."""
    checks = [Check("database", "fail", trouble, "Restart the server")] if trouble else []
    hint = "Remove the folder when you have seen this, and need nothing of it"
    return [*checks, *(Check("database", "warn", note, hint) for note in read_notes(data_dir))]


class Doctor:
    """Examines a running server. Thread-safe.

    Args:
        ready: what the engine said of itself; ``None`` while there was none.
        state: of the engine now, as the supervisor tells it.
        trouble: why the engine or its last load failed; ``None`` while nothing has.
        folders: the server's own, by what lies in them.
        engines: the body of ``GET /engines``.
        is_native: whether the engine computes with the native library.
        database_trouble: what is wrong with the database; ``None`` while nothing is known.
    """

    def __init__(
        self,
        library: ModelLibrary,
        ready: Callable[[], Ready | None],
        state: Callable[[], str],
        trouble: Callable[[], str | None],
        folders: Mapping[str, Path],
        *,
        is_native: bool,
        redact_paths: Callable[[str], str],
        engines: Callable[[], Mapping[str, Any]] = lambda: {"engines": (), "why": None},
        database_trouble: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._library = library
        self._ready = ready
        self._state = state
        self._trouble = trouble
        self._folders = folders
        self._is_native = is_native
        self._engines = engines
        self._database_trouble = database_trouble
        self._redact_paths = redact_paths

    def examine(self) -> list[Check]:
        """Look at everything; takes seconds at worst."""
        ready, engines = self._ready(), self._engines()
        checks = [Check("engine", "ok", engines["why"]) if engines["why"] else self._check_engine(ready)]
        if ready is not None:
            advice = self._ask_advice(ready) if self._is_native else {}
            used = used_devices("auto", (name_of(ready),), ready)
            checks += check_library(ready, advice.get("gpu"), advice.get("rebuild"), used)
        checks += check_engines(engines["engines"])
        checks += check_models(self._library)
        if "data" in self._folders:
            checks += check_database(self._folders["data"], self._database_trouble())
        checks += [_check_folder(name, folder) for name, folder in self._folders.items()]
        return [
            check._replace(text=self._redact_paths(check.text), hint=self._redact_paths(check.hint)) for check in checks
        ]

    def _check_engine(self, ready: Ready | None) -> Check:
        trouble = self._trouble()
        if ready is None:
            return Check("engine", "fail", trouble or "The engine has not started yet", _LOOK)
        if self._state() == "dead":
            return Check("engine", "fail", trouble or "The engine has ended; another one follows", _LOOK)
        if trouble:
            return Check("engine", "warn", trouble, f"{_LOOK}; POST /engine/restart begins anew")
        return Check("engine", "ok", "The engine runs")

    def _ask_advice(self, ready: Ready) -> dict[str, str | None]:
        """In a process of its own; empty where that says nothing in time."""
        devices = [{"backend": device.backend, "is_gpu": device.is_gpu} for device in ready.devices]
        asked = json.dumps({"devices": devices, "backends": list(ready.backends)})
        try:
            ran = subprocess.run(
                _ADVICE, input=asked, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=True
            )
            answered = json.loads(ran.stdout)
            return answered if isinstance(answered, dict) else {}
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            log.warning("the native library's build could not be examined: %s", error)
            return {}


def _check_folder(name: str, folder: Path) -> Check:
    # One that is not there yet is made by whoever first needs it, in the nearest that is.
    there = next((one for one in (folder, *folder.parents) if one.is_dir()), folder)
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Check("disk", "fail", f"{name}: {folder} cannot be read: {error.strerror or error}")
    text = f"{name}: {free / 2**30:.1f} GiB free"
    if not os.access(there, os.W_OK | os.X_OK):
        return Check("disk", "warn", f"{text}, but {folder} cannot be written", "Let the server's user write there")
    if free < _LITTLE_BYTES:
        return Check("disk", "warn", text, "Free some room, or set paths to another disk")
    return Check("disk", "ok", text)
