"""What every study of faults shares: its command line, its verdict, and where its figures are kept.

A figure's ``at_most`` is a promise here, not a goal: a study in which one is broken ends with 1. A count of what must
never happen is a `Figure` with ``at_most=0``; its ``note`` says how it was made.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import results
from benchmarks.figures import Figure, load_average, machine, table

FILE = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Options:
    """``quick``: a few seconds, only to see that it runs. ``seed``: of what is random. ``minutes``: each fuzzer's.
    ``saves``: the results are kept, also pictures of them."""

    quick: bool = False
    seed: int = 1
    minutes: float = 5.0
    saves: bool = False

    def samples(self, full: int, quick: int) -> int:
        return quick if self.quick else full


def main(title: str, examine: Callable[[Options], Iterable[Figure]], *, told: str = "") -> None:
    """The command line of one study: prints its figures and ends with 0, or with 1 where one breaks its promise.

    Figures are printed when all are there, and are kept (``--save``) also of a study that failed. ``told``: what else
    it was run with, for the page.
    """
    parser = argparse.ArgumentParser(description=title)
    add_options(parser)
    arguments = parser.parse_args()
    before, started = load_average(), time.perf_counter()
    print(f"{title}\n{machine()}, seed {arguments.seed}, load average {before:.2f}", flush=True)
    figures = tuple(examine(Options(arguments.quick, arguments.seed, arguments.minutes, arguments.save)))
    seconds = time.perf_counter() - started
    broken = broken_promises(figures)
    print(table(figures))
    print(f"took {seconds:.0f} s, load average now {load_average():.2f}")
    print("".join(f"BROKEN: {figure.name}: {figure.value:g} {figure.unit}\n" for figure in broken), flush=True)
    if arguments.save:
        run = results.Run(
            results.today(), results.current_commit(), machine(), "native", round(seconds, 1),
            (before, load_average()), figures, ", ".join([f"seed {arguments.seed}", *([told] if told else [])]),
        )  # fmt: skip
        results.save_run(FILE, results.current_version(), Path(sys.argv[0]).stem, run)
    sys.exit(1 if broken else 0)


def broken_promises(figures: Sequence[Figure]) -> list[Figure]:
    """Those whose value is more than it may be."""
    return [figure for figure in figures if figure.at_most is not None and figure.value > figure.at_most]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What a study and the runner of all of them understand."""
    default = Options()
    parser.add_argument("--quick", action="store_true", help="a few seconds each, only to see that they run")
    parser.add_argument("--seed", type=int, default=default.seed, help="of everything random (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=default.minutes, help="for each fuzzer (default: %(default)g)")
    parser.add_argument("--save", action="store_true", help="keep the figures in results.json, for docs/reliability.md")
