from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.engine.protocol import Device, Ready
from sdcpp_rest.services import doctor
from sdcpp_rest.services.doctor import Check, Doctor, check_library
from sdcpp_rest.services.models.model_library import ModelLibrary
from tests.cases import for_each_case

CPU = Device(
    name="CPU", description="a processor", backend="CPU", free_bytes=1 << 30, total_bytes=2 << 30, is_gpu=False
)
READY = Ready(pid=1, library_version="0.4.7", library_commit="abc", features=("AVX",), devices=(CPU,))


def make_doctor(folder: Path, **differences: Any) -> Doctor:
    (folder / "models").mkdir(exist_ok=True)
    given: dict[str, Any] = {
        "ready": lambda: READY,
        "state": lambda: "idle",
        "trouble": lambda: None,
        "folders": {"models": folder / "models", "output": folder / "not/there/yet"},
        "is_native": False,
        "redact_paths": lambda text: text.replace(str(folder), "~"),
        **differences,
    }
    return Doctor(ModelLibrary(folder / "models"), **given)


def test_what_the_engine_says_of_the_library_becomes_checks() -> None:
    assert check_library(READY, None, "changed: run `x`") == [
        Check(
            "library",
            "warn",
            "stable-diffusion.cpp by stable-diffusion-cpp-python 0.4.7, commit abc",
            "changed: run `x`",
        ),
        Check("backend", "ok", "CPU"),
        Check("features", "ok", "AVX"),
        Check("device", "ok", "CPU: a processor (CPU), 1.0 of 2.0 GiB free"),
    ]
    assert check_library(READY, "a GPU is unused", None)[1] == Check("backend", "warn", "CPU", "a GPU is unused")


def test_a_server_in_order_has_nothing_to_complain_of(tmp_path: Path) -> None:
    checks = make_doctor(tmp_path).examine()
    assert {check.status for check in checks} == {"ok"}
    assert [check.name for check in checks] == ["engine", "library", "backend", "features", "device", "disk", "disk"]


@for_each_case(
    "ready, state, trouble, expected",
    [
        (None, "starting", None, ("fail", "The engine has not started yet")),
        (None, "dead", "no library", ("fail", "no library")),
        (READY, "dead", None, ("fail", "The engine has ended; another one follows")),
        (READY, "idle", "a load failed", ("warn", "a load failed")),
    ],
)
def test_an_engine_in_trouble_is_told(
    tmp_path: Path, ready: Ready | None, state: str, trouble: str | None, expected: tuple[str, str]
) -> None:
    made = make_doctor(tmp_path, ready=lambda: ready, state=lambda: state, trouble=lambda: trouble)
    first = made.examine()[0]
    assert (first.status, first.text) == expected
    assert first.hint.startswith("Look into GET /logs/engine")


ENGINE = {
    "name": "cuda:1", "device": "a card", "state": "idle", "model_name": None, "why": "No job waits", "is_home": False,
    "is_available": True,
}  # fmt: skip


def test_every_engine_is_a_check(tmp_path: Path) -> None:
    gone = {**ENGINE, "name": None, "device": None, "state": "dead", "why": "its card is gone", "is_available": False}
    home = {**ENGINE, "name": "cuda:0", "state": "running", "model_name": "m.gguf", "why": None, "is_home": True}
    cpu = {**ENGINE, "name": "cpu:0", "threads": {"chosen": 2, "most": 4, "why": "A step took 1 s with 2"}}
    made = make_doctor(tmp_path, engines=lambda: {"engines": (home, ENGINE, cpu, gone), "why": None})
    told = [(check.status, check.text) for check in made.examine() if check.name == "engine"]
    assert told == [
        ("ok", "The engine runs"),
        ("ok", "cuda:0 (home): a card, running, m.gguf"),
        ("ok", "cuda:1: a card, idle, No job waits"),
        ("ok", "cpu:0: a card, idle, 2 of 4 threads (A step took 1 s with 2), No job waits"),
        ("warn", "an engine without a name yet: no device told, dead, its card is gone"),
    ]


def test_server_without_engines_is_in_order(tmp_path: Path) -> None:
    made = make_doctor(tmp_path, ready=lambda: None, engines=lambda: {"engines": (), "why": "there is none"})
    assert made.examine()[0] == Check("engine", "ok", "there is none")


def test_models_that_are_not_listed_are_told_without_the_servers_folders(tmp_path: Path) -> None:
    made = make_doctor(tmp_path)
    (tmp_path / "models/vae").mkdir()
    (tmp_path / "models/vae/x-00001-of-00002.gguf").write_bytes(b"x")
    (told,) = [check for check in made.examine() if check.name == "models"]
    assert told == Check("models", "warn", "x.gguf is not listed: only 1 of its 2 parts are there")


def test_a_disk_that_is_almost_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LITTLE_BYTES", 1 << 62)
    last = make_doctor(tmp_path).examine()[-1]
    assert (last.name, last.status, last.hint) == ("disk", "warn", "Free some room, or set paths to another disk")
    assert last.text.startswith("output: ")


@for_each_case(
    "outcome",
    [
        FileNotFoundError("no Python"),
        subprocess.TimeoutExpired("x", 20),
        subprocess.CalledProcessError(1, "x"),
        subprocess.CompletedProcess("x", 0, stdout="no JSON"),
        subprocess.CompletedProcess("x", 0, stdout="5"),
    ],
)
def test_a_build_that_cannot_be_examined_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Any
) -> None:
    def run(*arguments: Any, **more: Any) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(subprocess, "run", run)
    assert [check.status for check in make_doctor(tmp_path, is_native=True).examine()][1:3] == ["ok", "ok"]


@pytest.mark.slow
def test_the_build_is_examined_in_a_process_of_its_own(tmp_path: Path) -> None:
    library = make_doctor(tmp_path, is_native=True).examine()[1]
    assert library.name == "library"
    loaded = "import sdcpp_rest.native.build_advice, sys; print([n for n in sys.modules if n.startswith('stable')])"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_device_in_use_is_marked_and_an_idle_backend_is_told() -> None:
    card = Device(name="CUDA0", description="a card", backend="CUDA", is_gpu=True)
    ready = READY.model_copy(update={"devices": (card, CPU), "backend": "CUDA", "backends": ("CUDA", "CPU")})
    texts = [check.text for check in check_library(ready, None, None, ["CUDA0"]) if check.name == "device"]
    assert [text.endswith(", in use") for text in texts] == [True, False]
    idle = check_library(ready.model_copy(update={"devices": (CPU,), "backend": "CPU"}), None, None, ["CPU"])
    assert idle[1].text == "CPU (built for CUDA too, which finds no device)"
    assert idle[-1].text.endswith(", in use")
