"""The studies of faults are named, described, and fail where a promise is broken; a page shows what they counted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.figures import Figure
from tests.faults import run, study
from tools.reliability_page import fill_reliability

FOLDER = Path(run.__file__).parent


def test_runner_names_every_study() -> None:
    scripts = {path.stem for path in FOLDER.glob("*.py") if "__main__" in path.read_text(encoding="utf-8")}
    assert scripts - {"run"} <= set(run.NAMES)
    described = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in run.NAMES if f"`{name}`" not in described] == []
    page = (run.ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert [name for name in run.NAMES if f"<!-- results: {name} -->" not in page] == []


def test_study_fails_where_a_promise_is_broken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study, "FILE", tmp_path / "results.json")
    monkeypatch.setattr(sys, "argv", ["deaths.py", "--seed", "7", "--save"])
    for value, code in ((0.0, 0), (1.0, 1)):
        figures = [Figure("server deaths", value, "deaths", 300, at_most=0, note="pid"), Figure("engine deaths", 3, "")]
        with pytest.raises(SystemExit) as ended:
            study.main("Deaths.", lambda options, figures=figures: figures, told="killed")
        assert ended.value.code == code
        said = capsys.readouterr().out
        assert ("BROKEN: server deaths: 1 deaths" in said) == bool(code)
        assert "engine deaths: 3" not in said
        # Kept either way.
        (kept,) = results.load_runs(study.FILE)[results.current_version()].values()
        assert (kept.figures, kept.told) == (tuple(figures), "seed 7, killed")


def test_page_shows_the_newest_run_of_each_study(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    page = "\n".join(f"<!-- results: {name} -->\nold\n<!-- end -->" for name in ("deaths", "fuzzing", "load"))
    assert fill_reliability(page, file).count("Not measured.") == 3
    for version, name, value in (("0.1", "deaths", 4.0), ("0.2", "deaths", 2.0), ("0.1", "load", 0.0)):
        figures = (Figure("lost jobs", value, "jobs", 300, 0, "a|b"), Figure("seconds", 2.5, "s"))
        kept = results.Run("2026-01-02", "abc", "a machine", "native", 12.0, (0.1, 0.2), figures, "seed 3")
        results.save_run(file, version, name, kept)
    made = fill_reliability(page, file)
    assert "old" not in made
    assert made.count("Not measured.") == 1
    assert "| lost jobs | 2 jobs | ≤ 0 (broken) | 300 | a\\|b |" in made
    assert "| lost jobs | 0 jobs | ≤ 0 | 300 | a\\|b |" in made
    assert (
        "2026-01-02; version 0.2, commit abc; a machine; seed 3; load average 0.1 before and 0.2 after; 12 s." in made
    )
    assert fill_reliability(made, file) == made
    with pytest.raises(KeyError):
        fill_reliability("<!-- results: nonsense -->\n<!-- end -->", file)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["nonsense"], "no such study: nonsense"), (["--save", "--quick"], "leave --quick out")],
)
def test_runner_refuses_by_name(arguments: list[str], told: str) -> None:
    ran = subprocess.run(
        [sys.executable, str(FOLDER / "run.py"), *arguments], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 2
    assert told in ran.stderr
