"""Fills docs/reliability.md with what `make faults` has counted: what stands between ``<!-- results: name -->`` and
``<!-- end -->``, for each study the last run of the newest version that has one.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.results import Run, load_runs
from tests.faults.run import NAMES
from tests.faults.study import FILE
from tools.performance_page import figure_line

_RESULTS = re.compile(r"(<!-- results: (\w+) -->)\n.*?(<!-- end -->)", re.DOTALL)


def fill_reliability(text: str, file: Path = FILE) -> str:
    """The page ``text`` with its results made anew. Raises KeyError for a study that nobody names."""
    newest = {name: (version, run) for version, runs in load_runs(file).items() for name, run in runs.items()}

    def fill(match: re.Match[str]) -> str:
        name = match[2]
        if name not in NAMES:
            raise KeyError(name)
        made = _section(*newest[name]) if name in newest else "Not measured."
        return f"{match[1]}\n{made}\n{match[3]}"

    return _RESULTS.sub(fill, text)


def _section(version: str, run: Run) -> str:
    before, after = run.load
    told = (
        f"{run.date}; version {version}, commit {run.commit or 'unknown'}",
        run.machine,
        *([run.told] if run.told else []),
        f"load average {before:g} before and {after:g} after",
        f"{run.seconds:.0f} s",
    )
    lines = ["; ".join(told) + ".", "", "| figure | value | promise | n | how |", "|---|---:|---:|---:|---|"]
    return "\n".join([*lines, *(figure_line(figure, broken="broken") for figure in run.figures)])
