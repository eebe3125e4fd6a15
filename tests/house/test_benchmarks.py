"""The benchmarks run through and print figures. Never how large those are: that belongs to a machine, not to a test."""

from __future__ import annotations

import importlib
import math
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.figures import Figure, Options, spread, table

FOLDER = Path(run.__file__).parent


def test_runner_names_every_benchmark() -> None:
    scripts = {path.stem for path in FOLDER.glob("*.py") if "__main__" in path.read_text(encoding="utf-8")}
    assert scripts - {"run"} == set(run.NAMES)
    described = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in run.NAMES if f"`{name}`" not in described] == []


@pytest.mark.e2e
@pytest.mark.parametrize("name", run.NAMES)
def test_benchmark_prints_figures(name: str) -> None:
    figures = importlib.import_module(f"benchmarks.{name}").measure(Options(quick=True, engine="fake"))
    assert len(figures) >= 5
    for figure in figures:
        assert math.isfinite(figure.value), figure
        assert figure.samples >= 1, figure
    assert any(figure.at_most is not None for figure in figures) or name == "wall"
    by_name = {figure.name: figure.value for figure in figures}
    assert by_name["warnings and errors in the logs"] == 0
    for counted in (
        "next picture differs from the first",
        "64x64: pictures that differ",
        "callers answered too early",
    ):
        assert by_name.get(counted, 0) == 0, counted


@pytest.mark.e2e
def test_runner_prints_a_table_with_the_machine() -> None:
    ran = subprocess.run(
        [sys.executable, str(FOLDER / "run.py"), "--quick", "--engine", "fake", "blocked_callers"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "== blocked_callers" in ran.stdout
    assert "Python 3." in ran.stdout
    assert "GET /health, 60 wait, one connection, p99" in ran.stdout


def test_unknown_benchmark_is_refused_by_name() -> None:
    ran = subprocess.run(
        [sys.executable, str(FOLDER / "run.py"), "nonsense"], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 2
    assert "no such benchmark: nonsense" in ran.stderr


def test_table_marks_a_missed_target_and_fails_nothing() -> None:
    lines = table([Figure("slow", 20, "ms", 3, at_most=15), Figure("quick", 1, "ms", 3, at_most=15)]).splitlines()
    assert "missed" in lines[1]
    assert "missed" not in lines[2]


def test_spread_gives_quantiles_in_milliseconds() -> None:
    median, largest = spread("wait", [0.001, 0.002, 0.009], (50, 100), at_most={50: 5})
    assert (median.name, median.samples, median.at_most) == ("wait, median", 3, 5)
    assert (largest.name, largest.samples, largest.at_most) == ("wait, max", 3, None)
    assert [median.value, largest.value] == pytest.approx([2, 9])
