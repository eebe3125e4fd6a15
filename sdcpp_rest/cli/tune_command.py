"""Implements ``sdcpp-rest native tune``, which measures builds of the native library with the demo model.

Each measurement is an engine of its own. What to try, and the installing, is `native.tuning`'s.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdcpp_rest.cli.command_options import echo_json, json_option

if TYPE_CHECKING:
    from sdcpp_rest.native.tuning import Candidate, Trial


@click.command()
@click.option(
    "--only", "names", multiple=True, metavar="NAME", help="Try these flags alone; can be given several times."
)
@click.option("--tries", type=click.IntRange(1), help="Try at most so many.")
@click.option("--rounds", type=click.IntRange(1, 20), default=3, show_default=True, help="Measurements of each.")
@click.option("--steps", type=click.IntRange(1, 200), default=12, show_default=True, help="Steps of each picture.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads; default: the number of physical cores.")
@click.option("--dry-run", is_flag=True, help="Say what would be tried; compile and change nothing.")
@json_option
def tune(
    names: tuple[str, ...],
    tries: int | None,
    rounds: int,
    steps: int,
    threads: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Find the build of the native library that draws fastest on this machine's processor, and install it.

    Compiles the library several times, some minutes each; what was compiled once is kept. Nothing is changed before the
    end, and only for what is faster than what is installed in every round, and by 3 %.
    """
    from sdcpp_rest.native import tuning
    from sdcpp_rest.native.build import BuildError

    def log(line: str) -> None:
        click.echo(line, err=as_json)

    def measure(library: Path) -> Sequence[float]:
        with tuning.library_named(library):
            return _draw(threads, steps)

    try:
        candidates = tuning.list_candidates(names, tries)
        if dry_run:
            _tell_plan(candidates, as_json)
            return
        installed = tuning.find_installed()
        with tempfile.TemporaryDirectory(prefix="sdcpp-rest-") as scratch:
            make = functools.partial(tuning.make_trial, scratch=Path(scratch), log=log)
            trials = tuning.try_all(installed, candidates, make, measure, rounds, log)
            best = tuning.choose_best(trials)
            if best is not None:
                tuning.install_trial(best)
    except BuildError as error:
        raise click.ClickException(str(error)) from None
    _tell_result(trials, best, as_json)


def _draw(threads: int | None, steps: int) -> Sequence[float]:
    """Seconds of three pictures of the demo model. Raises RuntimeError where the library does not draw."""
    import psutil

    from sdcpp_rest.cli.bench_command import measure_pictures

    return measure_pictures(threads or psutil.cpu_count(logical=False) or 1, steps, runs=3)


def _tell_plan(candidates: Sequence[Candidate], as_json: bool) -> None:
    if as_json:
        echo_json([{"name": one.name, "flags": one.flags, "what": one.what} for one in candidates])
        return
    for one in candidates:
        click.echo(f"{one.name:<14}{one.what}" + (f" ({' '.join(one.flags)})" if one.flags else ""))


def _tell_result(trials: Sequence[Trial], best: Trial | None, as_json: bool) -> None:
    if as_json:
        measured = [
            {"name": one.candidate.name, "seconds_per_picture": one.seconds, "failure": one.failure or None}
            for one in trials
        ]
        echo_json({"measured": measured, "installed": best.candidate.name if best else None})
        return
    first = next((one.best for one in trials if one.seconds), 1.0)
    for one in trials:
        told = f"{one.best:8.3f} s per picture   {one.best / first:.2f}" if one.seconds else f"failed: {one.failure}"
        click.echo(f"{one.candidate.name:<14}{told}" + ("   (installed now)" if one is best else ""))
    if best is None:
        click.echo("what was installed stays: nothing is faster in every round, and by 3 %")
