"""The study of loads tells growth from noise, and draws what it has seen."""

from __future__ import annotations

import random
import subprocess
import xml.etree.ElementTree
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tests.faults.loads.crowd import dead
from tests.faults.loads.plot import draw_plots
from tests.faults.loads.soak import find_trend


def test_growth_is_told_from_noise() -> None:
    dice = random.Random(3)
    noise = [dice.gauss(0, 0.5) for _ in range(200)]
    assert find_trend([90 + one for one in noise]).is_flat(0.1)
    growing = find_trend([90 + 0.02 * number + one for number, one in enumerate(noise)])
    assert growing.growth == pytest.approx(0.02 * 159, rel=0.2)
    assert not growing.is_flat(2.0)
    assert growing.is_flat(5.0)


def test_what_happens_at_the_start_does_not_count() -> None:
    assert find_trend([*range(40), *[40.0] * 160]).growth == pytest.approx(0, abs=1e-9)


def test_few_samples_tell_no_trend() -> None:
    with pytest.raises(ValueError, match="9 samples"):
        find_trend([1.0] * 9)


def test_each_curve_is_drawn(tmp_path: Path) -> None:
    draw_plots(tmp_path / "curves.svg", {"a <b>": [1, 2, 3], "none": [], "still": [0, 0]}, "jobs", 50)
    root = xml.etree.ElementTree.parse(tmp_path / "curves.svg").getroot()
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.get("points", "").split()) for line in lines] == [3, 0, 2]
    assert "a <b>" in [text.text for text in root.findall("{http://www.w3.org/2000/svg}text")]


def test_a_server_that_has_ended_counts_as_dead() -> None:
    ended = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    server: Any = SimpleNamespace(process=lambda: psutil.Process(ended.pid))
    assert dead(server).value == 0
    assert ended.stdin is not None
    ended.stdin.close()
    # Until nobody is left of it but the entry in the list of processes, for which nobody has waited yet.
    while psutil.Process(ended.pid).status() != psutil.STATUS_ZOMBIE:
        continue
    assert dead(server).value == 1
    ended.wait()
    assert dead(server).value == 1
