from __future__ import annotations

import io
import json
import sys

import pytest

from sdcpp_rest.native import build, build_advice
from sdcpp_rest.native.build_advice import Advice, advise


@pytest.fixture(autouse=True)
def known_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that is not ours, on a machine with a GPU that nothing uses."""
    monkeypatch.setattr(build, "reason_to_build", lambda: "it is old")
    monkeypatch.setattr(build, "flagged_backends", lambda: ("Vulkan",))
    monkeypatch.setattr(build_advice, "unused_gpu", lambda devices, backends: f"{len(devices)} {sorted(backends)}")


def test_what_could_be_better_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert advise([], ["CPU"]) == Advice("0 ['CPU', 'Vulkan']", "it is old: run `sdcpp-rest native build`")
    monkeypatch.setattr(build, "reason_to_build", lambda: None)
    assert advise([], ["CPU"]).rebuild is None


def test_flags_that_make_no_sense_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str | None:
        raise build.BuildError("CMAKE_ARGS cannot be read")

    monkeypatch.setattr(build, "reason_to_build", refuse)
    assert advise([], ["CPU"]).rebuild == "CMAKE_ARGS cannot be read"


def test_it_is_asked_and_answers_in_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"devices": [{"backend": "CPU", "is_gpu": False}], "backends": ["CPU"]}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(asked)))
    build_advice.main()
    answered = json.loads(capsys.readouterr().out)
    assert answered == {"gpu": "1 ['CPU', 'Vulkan']", "rebuild": "it is old: run `sdcpp-rest native build`"}
