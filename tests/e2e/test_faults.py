"""Small editions of the studies of faults (tests/faults): the same harm, some seconds of it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from benchmarks.figures import Figure
from tests.faults import houses
from tests.faults.broken_databases import break_databases, refuse_newer
from tests.faults.deaths import kill
from tests.faults.disk_and_clock import fail_once
from tests.faults.disk_house import DiskHouse
from tests.faults.disk_states import DiskHistory
from tests.faults.fault_layer import CHANGES, FaultLayer, compile_layer, find_obstacle
from tests.faults.power_cuts import cut
from tests.faults.study import broken_promises

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(find_obstacle()), reason=f"faults cannot be made here: {find_obstacle()}"),
]


def expect_kept(figures: Iterable[Figure], least_promises: int) -> None:
    shown = tuple(figures)
    assert sum(figure.at_most == 0 for figure in shown) >= least_promises
    assert broken_promises(shown) == []


def test_deaths_lose_nothing(tmp_path: Path) -> None:
    expect_kept(kill(tmp_path, 8, seed=3, has_native=False), 15)


def test_cuts_of_the_power_lose_nothing_that_was_told(tmp_path: Path) -> None:
    expect_kept(cut(tmp_path, 8, seed=3), 13)


def test_disk_that_fails_costs_what_needed_it_and_says_so(tmp_path: Path) -> None:
    findings, chance = houses.Findings(), random.Random(3)
    with DiskHouse(tmp_path, compile_layer(tmp_path), findings) as house:
        for _ in range(8):
            fail_once(house, chance)
    assert findings.counts == {}


def test_damaged_database_gives_way_to_its_copy_and_a_newer_one_is_refused(tmp_path: Path) -> None:
    findings = houses.Findings()
    assert break_databases(tmp_path / "damaged", findings, random.Random(3), 3) > 0
    assert refuse_newer(tmp_path / "newer", findings) == 1
    assert findings.counts == {}


@pytest.mark.parametrize("keep", [1.0, 0.0])
def test_state_after_a_cut_has_all_that_was_synced_and_with_luck_the_rest(tmp_path: Path, keep: float) -> None:
    root = tmp_path / "root"
    root.mkdir()
    layer = FaultLayer(tmp_path / "layer", root)
    layer.record()
    layer.run_python(
        f"""
import os
os.chdir({str(root)!r})
def sync(path):
    number = os.open(path, os.O_RDONLY)
    os.fsync(number)
    os.close(number)
for name in ("synced", "nameless", "loose", "gone"):
    with open(name, "wb") as file:
        file.write(name.encode() * 100)
        if name != "loose":
            file.flush()
            os.fsync(file.fileno())
    if name == "synced":
        sync(".")
os.mkdir("folder")
os.rename("synced", "folder/moved")
sync("folder")
os.unlink("gone")
"""
    )
    history = DiskHistory(layer.records())
    history.build(tmp_path / "state", len(history.records), random.Random(1), keep)
    found = {path.relative_to(tmp_path / "state").as_posix() for path in (tmp_path / "state").rglob("*")}
    if keep:
        assert found == {"folder", "folder/moved", "nameless", "loose"}
        assert (tmp_path / "state" / "loose").read_bytes() == b"loose" * 100
        assert (tmp_path / "state" / "folder" / "moved").read_bytes() == b"synced" * 100
    else:
        # The move is on the disk, and the folder that it went into is not.
        assert found == set()


def test_layer_ends_a_process_at_the_call_that_is_named(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    layer = FaultLayer(tmp_path / "layer", root)
    script = f"for name in 'abc': open({str(root)!r} + '/' + name, 'wb').close()"
    layer.kill(CHANGES, "/*", nth=2, roles=7)
    assert layer.run_python(script) == -9
    assert sorted(path.name for path in root.iterdir()) == ["a"]
    layer.kill(CHANGES, "/*", nth=3, roles=7, is_after=True)
    assert layer.run_python(script) == -9
    assert sorted(path.name for path in root.iterdir()) == ["a", "b", "c"]
    layer.fail(CHANGES, "/b", 28, roles=7)
    assert layer.run_python(script) == 1
    assert layer.hits() == 1
