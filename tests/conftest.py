"""Fixtures that every room's tests may use."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

import sdcpp_rest.errors
from sdcpp_rest.engine import worker
from tests.canaries import CANARY_KEY, CANARY_TOKEN, CanaryWatch, find_secrets
from tests.examples import choose_profile
from tests.no_interpreters import no_interpreters
from tests.quick_runtime import routes_registered_once, servers_that_stop_at_once
from tests.servers.civitai_server import CivitaiServer
from tests.servers.fault_server import FaultServer
from tests.servers.hub_server import HubServer
from tests.servers.language_model import shorten_silences, shorten_time_limits

PACKAGE = Path(sdcpp_rest.errors.__file__).resolve().parent


# Importing and collecting makes hundreds of thousands of objects, and hardly any garbage.
gc.disable()


_PATCHES = contextlib.ExitStack()
_CANARIES = CanaryWatch()
_LEAKS = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Before anything is collected: some modules make an application when they are imported."""
    choose_profile(config)
    logging.getLogger().addHandler(_CANARIES)
    for patches in (routes_registered_once(), servers_that_stop_at_once()):
        _PATCHES.enter_context(patches)


def pytest_unconfigure() -> None:
    _PATCHES.close()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run whose servers have written down a secret. Of several processes, the one that started the others looks
    through the files of all."""
    leaks = [f"a line of the log: {line}" for line in _CANARIES.leaks]
    factory = getattr(session.config, "_tmp_path_factory", None)
    if factory is not None and not hasattr(session.config, "workerinput"):
        found = find_secrets(factory.getbasetemp(), (CANARY_KEY, CANARY_TOKEN))
        leaks += [f"{path} holds {secret}" for path, secret in found]
    elif leaks and factory is not None:
        # For the one that looks.
        (factory.getbasetemp() / "leaks.txt").write_text("\n".join([CANARY_KEY, *leaks]), encoding="utf-8")
    if leaks:
        session.config.stash[_LEAKS] = leaks
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for leak in config.stash.get(_LEAKS, []):
        terminalreporter.write_line(f"SECRET WRITTEN DOWN: {leak}", red=True)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what stays until the end: every module and every collected test would be looked
    through at each full collection. After that it runs more seldom than by default: a house that is done with is
    thousands of objects."""
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Refuse interpreters to tests of the fast part: each costs a third of a second, and there would be hundreds."""
    if any(item.get_closest_marker(name) for name in ("slow", "native", "e2e", "training", "vulkan", "cluster")):
        return (yield)
    with no_interpreters():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable(report: object) -> Generator[None, object, object]:
    """Leave out of what xdist's workers send of a test that has passed what nobody reads: three reports a test, packed
    and unpacked in Python, are a tenth of what the fast tests take."""
    data = yield
    if isinstance(data, dict) and isinstance(report, pytest.TestReport) and report.passed:
        data |= {"keywords": {}, "sections": []}
    return data


@pytest.fixture(scope="session")
def demo_folder() -> Path:
    """The demo model's folder inside the package, one sub-folder per model type."""
    return PACKAGE / "demo"


@pytest.fixture
def web() -> Iterator[FaultServer]:
    """A server of files, with faults on demand."""
    server = FaultServer()
    yield server
    server.close()


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """Hugging Face, as far as its client library can tell."""
    server = HubServer()
    yield server
    server.close()


@pytest.fixture
def civitai() -> Iterator[CivitaiServer]:
    server = CivitaiServer()
    yield server
    server.close()


@pytest.fixture
def frequent_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preview after every step, however quick it is and however soon after another job's."""
    monkeypatch.setattr(worker, "_PREVIEW_PAUSE_SECONDS", 0.0)


@pytest.fixture
def short_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls to a language model that says nothing end after a twentieth of their ``timeout_seconds``."""
    shorten_time_limits(monkeypatch)
    shorten_silences(monkeypatch)
