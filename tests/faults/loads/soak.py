"""Has thousands of jobs drawn, and looks whether the server's process still grows at the end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.figures import Figure
from benchmarks.served import Server
from tests.faults.loads.crowd import dead
from tests.faults.loads.plot import draw_plots
from tests.faults.study import Options

_MIB = 2**20
# What is looked at, and how much more of it at the end is no growth: caches have sizes of their own.
_GRAINS = {"memory, MiB": 2.0, "open files": 1.0, "threads": 1.0, "write-ahead log, MiB": 0.5}
PICTURE = Path(__file__).resolve().parents[3] / "docs/pictures/soak.svg"


@dataclass(frozen=True)
class Trend:
    """A straight line through the last four fifths of what was seen.

    ``growth``: along that line, from its first to its last sample, in the samples' unit; ``noise``: twice the standard
    deviation of the samples around it.
    """

    growth: float
    noise: float

    def is_flat(self, grain: float) -> bool:
        """``grain``: how much is no growth in any case."""
        return self.growth <= max(self.noise, grain)


def find_trend(samples: list[float]) -> Trend:
    """Raises ValueError for fewer than ten samples."""
    if len(samples) < 10:
        raise ValueError(f"{len(samples)} samples tell no trend")
    last = np.array(samples[len(samples) // 5 :])
    at = np.arange(len(last))
    slope, start = np.polyfit(at, last, 1)
    return Trend(float(slope * (len(last) - 1)), float(2 * np.std(last - (slope * at + start))))


def examine_soak(options: Options) -> list[Figure]:
    """10,000 jobs one after the other, as from a busy bot; old ones are looked at, as users do."""
    count, lot = options.samples(10_000, 200), options.samples(50, 10)
    seen: dict[str, list[float]] = {name: [] for name in _GRAINS}
    with Server("fake") as server, server.listen() as listener:
        server.wait_loaded()
        process = server.process()
        for done in range(lot, count + 1, lot):
            with server.connect() as client:
                for seed in range(lot):
                    job_id = client.submit(seed=seed, width=64, height=64, steps=1)
                client.get("/queue?limit=50")
                client.get("/gallery?limit=50")
                listener.wait_ends(done)
                client.picture(job_id)
            for values, value in zip(seen.values(), _look(process, server.folder / "data"), strict=True):
                values.append(value)
        with server.connect() as client:
            told = client.get("/queue?limit=1")
        trends = {name: find_trend(values) for name, values in seen.items()}
        if options.saves:
            draw_plots(PICTURE, seen, f"jobs (each sample: {lot} more)", lot)
        figures = [
            Figure("jobs not completed", count - told["completed_count"], "jobs", count, 0),
            server.complaints(),
            dead(server),
        ]
    for name, trend in trends.items():
        what, _, unit = name.partition(", ")
        note = f"over the last four fifths; twice the noise is {trend.noise:.2g}; {seen[name][-1]:.4g} at the end"
        figures += [
            Figure(f"{what}: growth", trend.growth, unit, len(seen[name]), note=note),
            Figure(f"{what}: grows more than its noise", int(not trend.is_flat(_GRAINS[name])), "", at_most=0),
        ]
    return figures


def _look(process: psutil.Process, data: Path) -> tuple[float, ...]:
    logs = sum(path.stat().st_size for path in data.glob("*.db-wal"))
    return process.memory_info().rss / _MIB, process.num_fds(), process.num_threads(), logs / _MIB
