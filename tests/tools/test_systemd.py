"""The example of a system service is one that systemd accepts, and confines."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import platformdirs
import pytest

from sdcpp_rest.config import Config, sections

UNIT = Path(__file__).resolve().parents[2] / "examples/systemd/sdcpp-rest.service"
MOST_EXPOSURE = 2.0
"""Of 10, as ``systemd-analyze security`` counts."""

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")


def read_service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(UNIT)
    return unit["Service"]


def test_a_stop_lasts_longer_than_the_engine_is_given() -> None:
    service = read_service()
    assert float(service["TimeoutStopSec"]) > Config().engine.stop_timeout_seconds
    assert service["KillMode"] == "mixed", "the engine is not told to stop before the server has"


def test_the_service_writes_into_its_own_folders_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    service = read_service()
    assert service["ProtectSystem"] == "strict"
    for word in service["Environment"].split():
        monkeypatch.setenv(*word.split("=", 1))
    monkeypatch.setattr(sections, "_checkout", lambda: None)
    paths = Config().paths
    own = Path("/var/lib", service["StateDirectory"])
    assert all(path.is_relative_to(own) for path in (paths.data_dir, paths.models_dir, paths.output_dir, paths.log_dir))
    assert platformdirs.user_cache_path("sdcpp-rest", appauthor=False) == Path("/var/cache", service["CacheDirectory"])


@needs_systemd
def test_systemd_counts_little_exposure() -> None:
    limit = f"--threshold={MOST_EXPOSURE * 10:.0f}"
    ran = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", limit, str(UNIT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-300:] + ran.stderr


@needs_systemd
def test_systemd_knows_every_line(tmp_path: Path) -> None:
    """Unknown names and values are warnings; a program that is not there is an error, so that another stands for it."""
    unit = tmp_path / UNIT.name
    text = UNIT.read_text().replace("/opt/sdcpp-rest/.venv/bin/sdcpp-rest", "/bin/true")
    unit.write_text("\n".join(line for line in text.splitlines() if not line.startswith("Documentation")))
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    told = [line for line in (ran.stdout + ran.stderr).splitlines() if UNIT.name in line]
    assert told == []
