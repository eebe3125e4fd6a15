"""What ``sdcpp-rest doctor`` tells of a running server's engines; its other side is tried elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from sdcpp_rest.cli import engine_probe
from sdcpp_rest.engine.protocol import Device, Ready
from tests.cli.conftest import Run, beside
from tests.routes.conftest import ServedHouse

CPU = Device(name="CPU", description="a processor", backend="CPU")


@pytest.fixture(autouse=True)
def _no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = Ready(pid=1, library_version="0.4.7", devices=(CPU,), backends=("CPU",))
    monkeypatch.setattr(engine_probe, "probe_engine", lambda: ready)


@pytest.mark.slow
def test_engines_of_a_running_server_are_told(run: Run, make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(engines={"devices": ("cpu", "cpu")})
    for where in (beside(served), ("--url", served.url)):
        told = run("doctor", *where)
        assert told.exit_code == 0, told.output
        assert "engine    cpu:0 (home): " in told.stdout
        assert "engine    cpu:1: " in told.stdout
    shown = json.loads(run("doctor", "--json", *beside(served)).stdout)
    assert [engine["name"] for engine in shown["engines"]] == ["cpu:0", "cpu:1"]


def test_without_a_server_there_are_no_engines_to_tell_of(run: Run, alone: tuple[str, ...]) -> None:
    told = run("doctor", *alone)
    assert told.exit_code == 0
    assert "engine  " not in told.stdout
    refused = run("doctor", "--url", "http://127.0.0.1:1", *alone)
    assert refused.exit_code == 1


def test_server_that_wants_a_key_is_asked_with_it(run: Run, make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth={"api_keys": ["anna:secret"]})
    assert "engine  " not in run("doctor", *beside(served)).stdout
    for key in (("--api-key", "secret"), ("--set", "auth.api_keys=['anna:secret']")):
        assert "cpu:0 (home)" in run("doctor", *key, *beside(served)).stdout


def test_the_device_in_use_is_marked_and_a_wrong_one_is_refused(run: Run, alone: tuple[str, ...]) -> None:
    assert "CPU: a processor (CPU), 0.0 of 0.0 GiB free, in use" in run("doctor", *alone).stdout
    told = run("doctor", "--set", "engine.device=cuda:1", *alone).stdout
    assert "in use" not in told
    assert "advice    engine.device: cuda:1 is not here; there are: cpu (the library was built for CPU)" in told
    shown = json.loads(run("doctor", "--json", "--set", "engine.device=cpu", *alone).stdout)
    assert shown["used_devices"] == ["CPU"]
