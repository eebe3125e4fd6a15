"""The benchmarks run through and print figures. Never how large those are: that belongs to a machine, not to a test."""

from __future__ import annotations

import base64
import importlib
import io
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import peer_build, peer_served, peers, results, run
from benchmarks.figures import Figure, Options, spread, table
from tools.performance_page import fill_results

FOLDER = Path(run.__file__).parent


def test_runner_names_every_benchmark() -> None:
    scripts = {path.stem for path in FOLDER.glob("*.py") if "__main__" in path.read_text(encoding="utf-8")}
    assert scripts - {"run"} == {*run.NAMES, *run.COMPARED, *run.EXTRA}
    described = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in run.NAMES + run.COMPARED + run.EXTRA if f"`{name}`" not in described] == []


@pytest.mark.e2e
@pytest.mark.parametrize("name", run.NAMES)
def test_benchmark_prints_figures(name: str) -> None:
    figures = importlib.import_module(f"benchmarks.{name}").measure(Options(quick=True, engine="fake"))
    assert len(figures) >= 5
    for figure in figures:
        assert math.isfinite(figure.value), figure
        assert figure.samples >= 1, figure
    assert any(figure.at_most is not None for figure in figures) or name == "wall"
    by_name = {figure.name: figure.value for figure in figures}
    assert by_name["warnings and errors in the logs"] == 0
    for counted in (
        "next picture differs from the first",
        "64x64: pictures that differ",
        "callers answered too early",
    ):
        assert by_name.get(counted, 0) == 0, counted


@pytest.mark.e2e
def test_runner_prints_a_table_with_the_machine() -> None:
    ran = subprocess.run(
        [sys.executable, str(FOLDER / "run.py"), "--quick", "--engine", "fake", "blocked_callers"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "== blocked_callers" in ran.stdout
    assert "Python 3." in ran.stdout
    assert "GET /health, 60 wait, one connection, p99" in ran.stdout


@pytest.mark.slow
def test_unknown_benchmark_is_refused_by_name() -> None:
    ran = subprocess.run(
        [sys.executable, str(FOLDER / "run.py"), "nonsense"], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 2
    assert "no such benchmark: nonsense" in ran.stderr


def test_table_marks_a_missed_target_and_fails_nothing() -> None:
    lines = table([Figure("slow", 20, "ms", 3, at_most=15), Figure("quick", 1, "ms", 3, at_most=15)]).splitlines()
    assert "missed" in lines[1]
    assert "missed" not in lines[2]


def test_results_keep_the_last_run_of_each_version_and_fill_the_page(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    assert results.load_runs(file) == {}
    for version, value in (("0.1", 30.0), ("0.2", 25.0), ("0.2", 20.0)):
        figures = (Figure("wait, median", value, "ms", 3, 15.0, "a|b"), Figure("counted", 2.0, "jobs"))
        run = results.Run("2026-01-02", "abc", "a machine", "native", 12.0, (0.1, 0.2), figures)
        results.save_run(file, version, "job_overhead", run)
    assert {version: list(runs) for version, runs in results.load_runs(file).items()} == {
        "0.1": ["job_overhead"], "0.2": ["job_overhead"],
    }  # fmt: skip
    assert results.load_runs(file)["0.2"]["job_overhead"] == run

    page = "\n".join(f"<!-- results: {name} -->\nold\n<!-- end -->" for name in ("peers", "server", "history"))
    made = fill_results(page, file)
    assert "old" not in made
    assert "| wait, median | 20 ms | ≤ 15 (missed) | 3 | a\\|b |" in made
    assert "2026-01-02; commit abc; a machine; load average 0.1 before and 0.2 after; engine native; 12 s." in made
    assert "| `job_overhead`: wait, median | 30 ms | 20 ms |" in made
    assert "counted" in made.partition("results: history")[0]
    assert "counted" not in made.partition("results: history")[2]
    assert "Not measured with this version: `peers`, `converting`." in made
    assert fill_results(made, file) == made


@pytest.mark.slow
def test_only_whole_runs_are_saved() -> None:
    ran = subprocess.run(
        [sys.executable, str(FOLDER / "run.py"), "--save", "--quick"], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 2
    assert "leave --quick and --engine out" in ran.stderr


def test_spread_gives_quantiles_in_milliseconds() -> None:
    median, largest = spread("wait", [0.001, 0.002, 0.009], (50, 100), at_most={50: 5})
    assert (median.name, median.samples, median.at_most) == ("wait, median", 3, 5)
    assert (largest.name, largest.samples, largest.at_most) == ("wait, max", 3, None)
    assert [median.value, largest.value] == pytest.approx([2, 9])


def test_peer_log_gives_the_librarys_part_and_the_step() -> None:
    reader = peer_served.LogReader()
    lines = (
        (0.5, "  |====>  | 34/34 - 0.00it/s"),
        (1.0, "[INFO ] stable-diffusion.cpp:3367 - generate_image 64x64"),
        (1.1, "  |==>    | 1/12 - 40.00it/s"),
        (1.3, "  |======>| 12/12 - 41.03it/s"),
        (1.4, "[INFO ] stable-diffusion.cpp:3591 - generate_image completed in 0.39s"),
        (2.0, "[INFO ] stable-diffusion.cpp:3367 - generate_image 64x64"),
    )
    steps = []
    for at, line in lines:
        reader.read(at, line)
        steps.append(reader.step)
    assert [call.seconds for call in reader.calls] == pytest.approx([0.4])
    assert [call.reported for call in reader.calls] == [0.39]
    assert steps[1:] == [0, 1, 12, 12, 0]


def test_peer_comparison_is_the_ratio_of_medians_and_shows_both_sides() -> None:
    figure = peers.compare("wait", [0.002, 0.004, 0.009], [0.001, 0.002, 0.003])
    assert (figure.name, figure.unit, figure.samples) == ("wait: ours / sd-server", "x", 3)
    assert figure.value == pytest.approx(2)
    assert figure.note == "ours 4.00 ms (2.00-9.00), sd-server 2.00 ms (1.00-3.00)"
    assert peers.compare("memory", [300], [200], unit="MiB").note == "ours 300 MiB, sd-server 200 MiB"
    assert math.isfinite(peers.compare("nothing", [0.0], [0.0]).value)


def test_peer_pictures_are_compared_by_their_pixels() -> None:
    red, again, blue = _png("red", 1), _png("red", 9), _png("blue", 1)
    assert red != again
    assert peers.differing([[red, again], [red, again, blue], [blue, blue]]) == 1
    answer = json.dumps({"images": [base64.b64encode(blue).decode()], "info": ""}).encode()
    assert peer_served.first_picture(answer) == blue


@pytest.mark.parametrize("reason", ["no archive\nand forty lines of log", "no compiler"])
def test_peers_that_cannot_be_built_are_one_sentence(
    reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fetch(log: peer_build.Log) -> Path:
        raise peer_build.BuildError(reason)

    monkeypatch.setattr(peer_build, "source_home", lambda: tmp_path)
    monkeypatch.setattr(peer_build, "fetch_source", fetch)
    with pytest.raises(peer_build.PeerUnavailable) as refused:
        peers.measure(Options())
    assert str(refused.value) == reason.splitlines()[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cmake", "told"), [(None, "cmake is not installed"), (sys.executable, "cannot be compiled here; ")]
)
def test_peers_that_do_not_compile_are_one_sentence_and_no_stamp(
    cmake: str | None, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Python as cmake: it starts and fails.
    monkeypatch.setattr(peer_build, "source_home", lambda: tmp_path)
    monkeypatch.setattr(peer_build, "fetch_source", lambda log: tmp_path)
    monkeypatch.setattr(peer_build, "_stamp", lambda: {"flags": []})
    monkeypatch.setattr(peer_build, "_tool", lambda name: cmake if name == "cmake" else None)
    with pytest.raises(peer_build.PeerUnavailable, match=told) as refused:
        peer_build.peers(lambda line: None)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.rglob("stamp.json"))


@pytest.mark.slow
def test_peers_with_the_fake_engine_say_why_not() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", "--engine", "fake"],
        capture_output=True, text=True, timeout=60, cwd=run.ROOT,
    )  # fmt: skip
    assert ran.returncode == 1
    assert ran.stderr.startswith("peers: not measured: ")
    assert len(ran.stderr.splitlines()) == 1


def _png(colour: str, level: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(file, "PNG", compress_level=level)
    return file.getvalue()
