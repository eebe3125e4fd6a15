"""What sudden deaths leave: SIGKILL for the server, its engine or both, in the middle of all that they do.

    python -m tests.faults.deaths [--quick] [--seed N] [--save]

Most deaths are aimed: the process ends before or after its n-th call of a kind to the C library, below a folder
(fault_layer.c). The moments are those of the disk's changes, and n is drawn. The rest come at any time.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure
from tests.faults import houses
from tests.faults.death_house import Aim, House, Stock
from tests.faults.fault_layer import (
    CHANGES,
    ENGINE,
    LINK,
    OPEN,
    RENAME,
    SERVER,
    SYNC,
    UNLINK,
    WRITE,
    compile_layer,
    find_obstacle,
)
from tests.faults.old_houses import check_old_house, lay_old_house
from tests.faults.study import Options, main

_AIMS = (
    Aim("submit", "picture", SERVER, WRITE | SYNC, "/data/*-wal", 6),
    Aim("submit", "given", SERVER, CHANGES, "/data/inputs/*", 6),
    Aim("claim", "held back", SERVER, WRITE | SYNC, "/data/*-wal", 8),
    Aim("compute", "slow", SERVER, 0, "", 0),
    Aim("compute", "slow", ENGINE, 0, "", 0),
    Aim("encode", "picture", ENGINE, CHANGES, "/output/.spool/*", 10),
    Aim("encode", "picture", ENGINE, OPEN | WRITE | RENAME | UNLINK, "/output/.spool/*/image_*", 8, kills_both=True),
    Aim("publish", "picture", SERVER, CHANGES, "/output/*", 9),
    Aim("publish", "given", SERVER, OPEN | WRITE | RENAME | SYNC | UNLINK | LINK, "/output/*", 10),
    Aim("publish", "many", SERVER, CHANGES | WRITE, "/output/*", 12),
    Aim("download", "download", SERVER, CHANGES, "/models/*", 14),
    Aim("conversion", "conversion", SERVER, CHANGES, "/models/*", 4),
    Aim("conversion", "conversion", ENGINE, OPEN | WRITE, "/models/*", 2),
    Aim("conversion", "conversion", ENGINE, OPEN | WRITE, "/models/*", 2, kills_both=True),
    Aim("gallery index", "looked at", SERVER, WRITE | SYNC, "/data/*-wal", 30),
    Aim("delete", "deleted", SERVER, CHANGES, "/*", 14),
    Aim("any time", "picture", SERVER, 0, "", 0),
    Aim("any time", "many", ENGINE, 0, "", 0),
)
_PROMISES = (
    "servers that did not start",
    "databases that are not whole",
    "jobs lost",
    "jobs twice",
    "jobs done again",
    "jobs that failed without their engine's death",
    "jobs that never ended",
    "done jobs without whole files",
    "half files in sight",
    "folders without a job",
    "spools left behind",
    "input folders without a job",
    "pictures listed twice",
    "pictures listed that are not there",
    "pictures not listed",
    "engines left alone",
)
_KILLS_A_HOUSE = 25
# A native engine takes a second to start; it dies in every tenth house.
_NATIVE_EVERY = 10


def examine(options: Options) -> Iterator[Figure]:
    if obstacle := find_obstacle():
        yield Figure("deaths", 0, "deaths", note=f"SKIPPED: {obstacle}")
        return
    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-deaths-") as folder:
        yield from kill(Path(folder), options.samples(500, 12), options.seed)


def kill(folder: Path, count: int, seed: int, *, has_native: bool = True) -> Iterator[Figure]:
    """Kill ``count`` times, in houses below ``folder``."""
    library = compile_layer(folder)
    findings, killed = houses.Findings(), Counter[str]()
    chance = random.Random(seed)
    migrations = max(1, count // 20)
    with Stock() as stock:
        number = 0
        while sum(killed.values()) < count - migrations:
            is_native = has_native and number % _NATIVE_EVERY == _NATIVE_EVERY - 1
            place = folder / f"house_{number}"
            with House(place, library, findings, stock, is_native=is_native) as house:
                for _ in range(min(_KILLS_A_HOUSE, count - migrations - sum(killed.values()))):
                    _kill_once(house, chance, killed)
            number += 1
    for number in range(migrations):
        _kill_migration(folder / f"old_{number}", library, findings, chance)
        killed["migration: server"] += 1
    yield Figure("processes killed", sum(killed.values()), "deaths", count, note=f"{number + 1} old databases among it")
    for name, times in sorted(killed.items()):
        yield Figure(f"  {name}", times, "deaths", times)
    for kind in _PROMISES:
        yield Figure(kind, findings.counts[kind], "", count, at_most=0, note=findings.first.get(kind, "")[:120])
    told = findings.counts["jobs failed as their engine died"]
    yield Figure("jobs that failed as their engine died", told, "jobs", count, note="each told as engine_crashed")


def _kill_once(house: House, chance: random.Random, killed: Counter[str]) -> None:
    aim = chance.choice([aim for aim in _AIMS if house.suits(aim)])
    nth, is_after = chance.randint(1, max(1, aim.most)), chance.random() < 0.5
    house.prepare(aim)
    if aim.calls:
        also = house.server_pid if aim.kills_both else 0
        house.layer.kill(aim.calls, aim.pattern, nth=nth, roles=aim.role, is_after=is_after, also=also)
    before = time.monotonic()
    with contextlib.suppress(OSError):
        house.begin(aim)
    if not aim.calls:
        # The moment is what this is about: no event stands for "any time".
        time.sleep(chance.uniform(0.0, 0.3))
        house.strike(aim.role, kills_both=aim.kills_both)
    was_met = house.wait_death(aim)
    house.layer.clear()
    if not was_met:
        # All was done before the n-th call.
        house.strike(aim.role, kills_both=aim.kills_both)
    who = "both" if aim.kills_both else "engine" if aim.role == ENGINE else "server"
    native = " (native)" if house.is_native else ""
    killed[f"{aim.phase if was_met else 'any time'}: {who}{native}"] += 1
    house.recover(aim)
    del before


def _kill_migration(folder: Path, library: Path, findings: houses.Findings, chance: random.Random) -> None:
    """Kill a server while it brings an old database up to date."""
    version, nth = chance.randint(1, 12), chance.randint(1, 60)
    server, layer = lay_old_house(folder, library, version, jobs=20)
    layer.kill(WRITE | SYNC | RENAME, "/data/*", nth=nth, is_after=chance.random() < 0.5)
    with contextlib.suppress(AssertionError):
        server.start()
    layer.clear()
    houses.end(server)
    check_old_house(server, findings, jobs=20)


if __name__ == "__main__":
    main("Deaths of processes.", examine)
