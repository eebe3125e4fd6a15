"""What every benchmark shares: a figure, the table it stands in, and the machine it was seen on.

Targets are printed beside the figures and never asserted: a busy machine is not a broken program.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import psutil

EngineName = Literal["native", "fake"]


@dataclass(frozen=True)
class Figure:
    """One line of a table. ``samples``: how many measurements ``value`` stands for; ``at_most``: the target, if any."""

    name: str
    value: float
    unit: str
    samples: int = 1
    at_most: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Options:
    """``quick``: a few seconds, only to see that it runs. ``engine``: "fake" computes nothing."""

    quick: bool = False
    engine: EngineName = "native"

    def samples(self, full: int, quick: int) -> int:
        return quick if self.quick else full


def spread(
    name: str,
    seconds: Sequence[float],
    quantiles: Sequence[float] = (50, 90),
    *,
    unit: str = "ms",
    at_most: dict[float, float] | None = None,
    note: str = "",
) -> list[Figure]:
    """One figure per quantile; ``at_most`` maps a quantile to its target. Seconds become ``unit`` "ms"; others stay."""
    factor = 1000.0 if unit == "ms" else 1.0
    words = {50: "median", 100: "max"}
    return [
        Figure(
            f"{name}, {words.get(int(q), f'p{q:g}')}",
            float(np.percentile(seconds, q)) * factor,
            unit,
            len(seconds),
            (at_most or {}).get(q),
            note if k == 0 else "",
        )
        for k, q in enumerate(quantiles)
    ]


def table(figures: Sequence[Figure]) -> str:
    """Aligned columns: figure, value, target, number of samples, note."""
    rows = [("figure", "value", "target", "n", "")]
    for figure in figures:
        target = ""
        if figure.at_most is not None:
            target = f"<= {figure.at_most:g}" + ("" if figure.value <= figure.at_most else "  missed")
        rows.append((figure.name, f"{_short(figure.value)} {figure.unit}", target, str(figure.samples), figure.note))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in (1, 3) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def machine() -> str:
    """CPU model, cores, system, Python: what a figure is worth nothing without."""
    cores = f"{psutil.cpu_count(logical=True)} cores"
    return f"{_cpu_model()}, {cores}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def load_average() -> float:
    """How many processes wanted a core during the last minute; 0 where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0


def main(title: str, measure: Callable[[Options], list[Figure]], default_engine: EngineName = "native") -> None:
    """The command line of one benchmark."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="few samples, only to see that it runs")
    parser.add_argument("--engine", choices=("native", "fake"), default=default_engine)
    parser.add_argument("--save", action="store_true", help="keep the figures in results.json, for docs/performance.md")
    arguments = parser.parse_args()
    print(f"{title}\n{machine()}, load average {load_average():.2f}", flush=True)
    before, started = load_average(), time.perf_counter()
    figures = measure(Options(arguments.quick, arguments.engine))
    seconds = time.perf_counter() - started
    print(table(figures))
    print(f"engine {arguments.engine}, took {seconds:.0f} s, load average now {load_average():.2f}\n", flush=True)
    if arguments.save:
        from benchmarks import results

        run = results.Run(
            results.today(), results.current_commit(), machine(), arguments.engine, round(seconds, 1),
            (before, load_average()), tuple(figures),
        )  # fmt: skip
        results.save_run(results.FILE, results.current_version(), Path(sys.argv[0]).stem, run)
    sys.exit(0)


def _short(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
