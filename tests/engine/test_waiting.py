"""How an engine's threads wait for each other, and that whoever has an opinion of their own is asked first."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdcpp_rest.config import load_config
from sdcpp_rest.engine.places import EnginePlace
from sdcpp_rest.engine.waiting import waiting_environment
from sdcpp_rest.runtime import engine_options
from tests.cases import for_each_case

DECIDING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


@pytest.fixture(autouse=True)
def nobody_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in DECIDING:
        monkeypatch.delenv(name, raising=False)


def environment(folder: Path, **own: str) -> dict[str, str]:
    config = load_config(data_dir=folder, log_dir=folder)
    return dict(engine_options(config, EnginePlace("cpu:0", tuple(own.items())), 1).environment)


def test_threads_sleep_while_they_wait(tmp_path: Path) -> None:
    assert waiting_environment({"PATH": "/bin", "OMP_NUM_THREADS": "3"}) == {"OMP_WAIT_POLICY": "passive"}
    assert environment(tmp_path) == {"OMP_WAIT_POLICY": "passive"}


@for_each_case("name", DECIDING)
def test_a_variable_of_the_server_decides(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(name, "active")
    assert environment(tmp_path) == {}


@for_each_case("name", DECIDING)
def test_a_variable_of_the_settings_decides(name: str, tmp_path: Path) -> None:
    assert environment(tmp_path, **{name: "7", "OTHER": "x"}) == {name: "7", "OTHER": "x"}
