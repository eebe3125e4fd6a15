"""Fills docs/performance.md with what `make bench` has measured: what stands between ``<!-- results: name -->`` and
``<!-- end -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.results import FILE, Run, load_runs
from benchmarks.run import COMPARED, NAMES

Runs = Mapping[str, Mapping[str, Run]]
"""By version, oldest first, and by benchmark."""
_RESULTS = re.compile(r"(<!-- results: (\w+) -->)\n.*?(<!-- end -->)", re.DOTALL)


def fill_results(text: str, file: Path = FILE) -> str:
    """The page ``text`` with its results made anew. Raises KeyError for a name that nobody makes."""
    runs = load_runs(file)
    return _RESULTS.sub(lambda match: f"{match[1]}\n{_MAKERS[match[2]](runs)}\n{match[3]}", text)


def _peers_text(runs: Runs) -> str:
    return "\n".join(_sections(_newest(runs), COMPARED))


def _server_text(runs: Runs) -> str:
    return "\n".join(_sections(_newest(runs), NAMES))


def _cluster_text(runs: Runs) -> str:
    return "\n".join(_sections(_newest(runs), ["cluster"]))


def _history_text(runs: Runs) -> str:
    """Every figure that has a target or is a ratio, a column for each version that has measured it."""
    rows: dict[tuple[str, str], dict[str, Figure]] = {}
    for version, by_name in runs.items():
        for name in (*COMPARED, *NAMES):
            for figure in by_name[name].figures if name in by_name else ():
                if figure.at_most is not None or figure.unit == "x":
                    rows.setdefault((name, figure.name), {})[version] = figure
    lines = [f"| | {' | '.join(runs)} |", "|---|" + "---:|" * len(runs)]
    for (name, title), seen in rows.items():
        values = (_value(seen[version]) if version in seen else "" for version in runs)
        lines.append(f"| `{name}`: {_cell(title)} | {' | '.join(values)} |")
    return "\n".join(lines) if rows else "Nothing was measured yet."


def _newest(runs: Runs) -> Mapping[str, Run]:
    return runs[next(reversed(runs))] if runs else {}


def _sections(by_name: Mapping[str, Run], names: tuple[str, ...]) -> list[str]:
    lines: list[str] = []
    for name in names:
        if name in by_name:
            run = by_name[name]
            before, after = run.load
            told = (
                run.date,
                f"commit {run.commit or 'unknown'}",
                run.machine,
                f"load average {before:g} before and {after:g} after",
                f"engine {run.engine}",
                f"{run.seconds:.0f} s",
            )
            lines += [f"### {name}", "", "; ".join(told) + ".", "", "| figure | value | goal | n | |"]
            lines += ["|---|---:|---:|---:|---|", *map(figure_line, run.figures), ""]
    missing = [f"`{name}`" for name in names if name not in by_name]
    return lines + ([f"Not measured with this version: {', '.join(missing)}.", ""] if missing else [])


def figure_line(figure: Figure, broken: str = "missed") -> str:
    """One row of a table: figure, value, goal (with the word ``broken`` where it was not met), n, note."""
    goal = ""
    if figure.at_most is not None:
        goal = f"≤ {figure.at_most:g}" + (f" ({broken})" if figure.value > figure.at_most else "")
    return f"| {_cell(figure.name)} | {_value(figure)} | {goal} | {figure.samples} | {_cell(figure.note)} |"


def _value(figure: Figure) -> str:
    size = abs(figure.value)
    number = f"{figure.value:.0f}" if figure.value == int(figure.value) or size >= 100 else f"{figure.value:.3g}"
    return f"{number} {figure.unit}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


_MAKERS: dict[str, Callable[[Runs], str]] = {
    "peers": _peers_text,
    "server": _server_text,
    "cluster": _cluster_text,
    "history": _history_text,
}
