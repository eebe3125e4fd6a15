"""One engine for the tests of this room: the same tests run over a thread, over a real process, and over what carries
the messages and files of an engine on another machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.engine.client import EngineClient
from sdcpp_rest.engine.fake_runner import FakeRunner
from sdcpp_rest.engine.launchers import InlineLauncher, Launcher, ProcessLauncher
from sdcpp_rest.engine.protocol import RunJob
from sdcpp_rest.engine.remote.model_places import ModelPlaces
from sdcpp_rest.engine.worker_options import WorkerOptions
from tests.engine.remote.thread_link import RemoteLauncher, ThreadLink

TIMEOUT = 30


@pytest.fixture(params=["inline", "remote", pytest.param("process", marks=pytest.mark.slow)])
def launcher(request: pytest.FixtureRequest, tmp_path: Path) -> Launcher:
    if request.param == "inline":
        return InlineLauncher(lambda: FakeRunner(inline=True))
    if request.param == "remote":
        places, inside = ModelPlaces({"models": tmp_path}), InlineLauncher(lambda: FakeRunner(inline=True))
        return RemoteLauncher(lambda: ThreadLink(inside, places, tmp_path / "there"), places)
    return ProcessLauncher(
        WorkerOptions(runner="fake", log_path=str(tmp_path / "engine.log"), last_words_path=str(tmp_path / "words"))
    )


@pytest.fixture
def engine(launcher: Launcher) -> Iterator[EngineClient]:
    client = EngineClient(launcher)
    client.wait_ready(TIMEOUT)
    yield client
    client.stop(5)


@pytest.fixture
def spec(tmp_path: Path) -> LoadSpec:
    return make_spec(tmp_path, "model.gguf")


def make_spec(folder: Path, name: str) -> LoadSpec:
    (folder / name).touch()
    return LoadSpec(model=FileRef(name=name, path=str(folder / name)), kind="diffusion")


@pytest.fixture
def job(tmp_path: Path, spec: LoadSpec) -> Callable[..., Callable[[int], RunJob]]:
    """``job(prompt, steps=2, ...)`` is what `EngineClient.run` wants: for ``spec``, unless another is named."""

    def make(prompt: str = "a cat", model_key: str | None = spec.key, **fields: object) -> Callable[[int], RunJob]:
        params = ImageParams(**{"prompt": prompt, "width": 8, "height": 8, "steps": 2, "seed": 1, **fields})
        return lambda number: RunJob(
            run=number,
            job_id=f"job-{number}",
            kind="txt2img",
            params=params,
            model_key=model_key,
            spool=str(tmp_path / f"spool-{number}"),
            captions=("a",),
        )

    return make
