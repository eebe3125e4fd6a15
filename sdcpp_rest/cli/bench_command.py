"""Implements ``sdcpp-rest bench``, which measures how many CPU threads draw fastest on this machine.

Calls no server: each measurement is an engine of its own.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from sdcpp_rest.cli.command_options import echo_json, json_option


@click.command()
@click.option("--steps", type=click.IntRange(1, 200), default=12, show_default=True, help="Steps of each picture.")
@click.option(
    "--runs", type=click.IntRange(1, 50), default=3, show_default=True, help="Pictures per number of threads."
)
@json_option
def bench(steps: int, runs: int, as_json: bool) -> None:
    """Say how many CPU threads draw fastest on this machine, now.

    Draws with the demo model on 1, 2, 4 and so on, up to the number of physical cores.
    """
    import statistics

    import psutil

    cores = psutil.cpu_count(logical=False) or 1
    counts = sorted({1, cores, *(2**k for k in range(1, cores.bit_length()) if 2**k < cores)})
    medians: dict[int, float] = {}
    for count in counts:
        medians[count] = statistics.median(measure_pictures(count, steps, runs))
        if not as_json:
            click.echo(
                f"{count:3} threads   {medians[count]:7.3f} s per picture   {steps / medians[count]:6.1f} steps/s   "
                f"{medians[count] / medians[counts[0]]:.2f} x one thread"
            )
    best = min(medians, key=lambda count: medians[count])
    if as_json:
        measured = [{"n_threads": count, "seconds_per_picture": seconds} for count, seconds in medians.items()]
        echo_json({"steps": steps, "runs": runs, "measured": measured, "best_n_threads": best})
        return
    click.echo(f"best here, now: engine.n_threads = {best} (auto, the default, finds out by itself, all the time)")


def measure_pictures(n_threads: int, steps: int, runs: int) -> list[float]:
    """Seconds inside the library for ``runs`` pictures of the demo model, after one that does not count."""
    from sdcpp_rest.config import load_config
    from sdcpp_rest.runtime import DEMO_MODEL, Runtime
    from sdcpp_rest.services.models.load_specs import LoadRequest

    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-") as folder:
        config = load_config(
            data_dir=Path(folder),
            output_dir=Path(folder) / "output",
            log_dir=Path(folder) / "logs",
            n_threads=n_threads,
        )
        runtime = Runtime(config, is_server=False)
        runtime.start()
        try:
            runtime.models.slot.load(LoadRequest(model_name=DEMO_MODEL))
            asked = {"prompt": "a red circle on a blue background", "width": 128, "height": 128, "steps": steps}
            jobs = [runtime.submission.pictures.picture("txt2img", asked, origin="cli")[0] for _ in range(runs + 1)]
            return [runtime.jobs.queue.wait(job.id).timings.native_seconds for job in jobs][1:]
        finally:
            runtime.stop()
