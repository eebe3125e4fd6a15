"""Keeps what benchmarks have measured in ``results.json``: of each version the last run of each benchmark.

`docs/performance.md` is made from that file.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock

from benchmarks.figures import Figure

FILE = Path(__file__).with_name("results.json")
_ROOT = FILE.parent.parent


@dataclass(frozen=True)
class Run:
    """One run of one benchmark. ``load``: the load average before and after; ``commit``: empty where git tells none;
    ``told``: what else it was run with."""

    date: str
    commit: str
    machine: str
    engine: str
    seconds: float
    load: tuple[float, ...]
    figures: tuple[Figure, ...]
    told: str = ""


def save_run(file: Path, version: str, name: str, run: Run) -> None:
    """Put ``run`` in the place of an earlier one of the same version and benchmark. Raises OSError."""
    with FileLock(f"{file}.lock"):
        versions = _read(file)
        versions.setdefault(version, {})[name] = asdict(run)
        scratch = file.with_suffix(".new")
        scratch.write_text(json.dumps(versions, indent=1) + "\n", encoding="utf-8")
        scratch.replace(file)


def load_runs(file: Path = FILE) -> dict[str, dict[str, Run]]:
    """The runs by version, oldest first, and by benchmark; empty where nothing was saved."""
    return {version: {name: _run(kept) for name, kept in runs.items()} for version, runs in _read(file).items()}


def current_version() -> str:
    """The package's version, with a plus where the checkout is not the very commit that was released as it."""
    version = importlib.metadata.version("sdcpp-rest")
    return version if not current_commit() or f"v{version}" in _git("tag", "--points-at").split() else f"{version}+"


def current_commit() -> str:
    return _git("rev-parse", "--short=12", "HEAD")


def today() -> str:
    return datetime.now(timezone.utc).date().isoformat()


def _run(kept: dict[str, Any]) -> Run:
    figures = tuple(Figure(**figure) for figure in kept["figures"])
    return Run(**{**kept, "load": tuple(kept["load"]), "figures": figures})


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def _git(*arguments: str) -> str:
    try:
        ran = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""
