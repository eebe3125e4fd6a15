"""A whole house for the tests of this room: the real runtime over a fake engine, in a thread or in a process.

A house listens to its own bus from the beginning, so that a test can wait for any event without missing an early one.
"""

from __future__ import annotations

import base64
import io
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest
from PIL import Image

from sdcpp_rest.config import Config, load_config
from sdcpp_rest.core.events import Event, JobAdded, JobCancelled, JobPreview, JobProgress, JobStatusChanged, ModelLoaded
from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.engine.fake_runner import FakeRunner
from sdcpp_rest.engine.launchers import Launcher
from sdcpp_rest.engine.protocol import RunJob
from sdcpp_rest.runtime import DEMO_MODEL, DEMO_ROOT, inline_launcher
from sdcpp_rest.services.dispatch import lane
from tests.quick_runtime import quick_runtime

PATIENCE_SECONDS = 20
EngineKind = Literal["inline", "process"]
E = TypeVar("E", bound=Event)


class Gate:
    """Holds whoever comes to it until it is opened, and tells the test that somebody came."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def __call__(self, *_: object) -> None:
        self.reached.set()
        assert self._open.wait(PATIENCE_SECONDS), "nobody opened the gate"

    def wait(self) -> None:
        assert self.reached.wait(PATIENCE_SECONDS), "nobody came to the gate"

    def open(self) -> None:
        self._open.set()


class House:
    """A runtime with a fake engine. ``at_step`` and ``at_load`` are called by an inline engine, on its own thread."""

    def __init__(self, config: Config, engine: EngineKind, make_runner: Callable[..., FakeRunner] = FakeRunner) -> None:
        self.engine = engine
        self.config = config
        self.at_step: Callable[[RunJob, int], None] = lambda command, step: None
        self.at_load: Callable[[LoadSpec], None] = lambda spec: None
        self._make_runner = make_runner
        self.runtime = quick_runtime(config, launcher=self.make_launcher())
        self.mailbox = self.runtime.jobs.bus.subscribe(maxsize=1_000_000)

    def make_launcher(self) -> Launcher | None:
        """What starts the engine; ``None``: a process."""
        return inline_launcher(self._runner) if self.engine == "inline" else None

    def _runner(self) -> FakeRunner:
        return self._make_runner(
            on_step=lambda command, step: self.at_step(command, step),
            on_load=lambda spec: self.at_load(spec),
            inline=True,
        )

    def start(self) -> House:
        """Start, and have the default model loaded."""
        self.runtime.start()
        self.until(ModelLoaded)
        return self

    def until(self, kind: type[E], **fields: object) -> E:
        """Read the mailbox until such an event comes."""
        while (event := self.mailbox.get(PATIENCE_SECONDS)) is not None:
            if isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items()):
                return event
        raise AssertionError(f"no {kind.__name__} with {fields} came")

    def submit(self, prompt: str = "a red circle", **more: Any) -> str:
        """Submit a picture of 8x8 pixels and two steps; returns the job's id. ``more``: fields, picture()'s words."""
        named = {name: more.pop(name) for name in ("images", "spec", "title", "origin", "owner") if name in more}
        kind = "img2img" if "images" in named else "txt2img"
        asked = {"prompt": prompt, "width": 8, "height": 8, "steps": 2, **more}
        return self.runtime.submission.pictures.picture(kind, asked, **named)[0].id

    def finished(self, job_id: str) -> Job:
        return self.runtime.jobs.queue.wait(job_id, PATIENCE_SECONDS)

    def draw(self, prompt: str = "a red circle", **more: Any) -> Job:
        return self.finished(self.submit(prompt, **more))

    def running(self, prompt: str = "fake:hold", **more: Any) -> str:
        """Submit a job and wait until the engine computes it."""
        job_id = self.submit(prompt, **more)
        self.until(JobProgress, job_id=job_id, phase="conditioning")
        return job_id

    def output(self, job: Job, index: int = 0) -> Path:
        return self.runtime.jobs.outputs.path_of(job.outputs[index])

    def visible(self) -> list[str]:
        """What lies in the output folder, and what is left in the spool."""
        folder = self.config.paths.output_dir
        spooled = [f"{path.parent.name}/{path.name}" for path in (folder / ".spool").iterdir()]
        return sorted(path.name for path in folder.iterdir() if path.name != ".spool") + spooled

    def stop(self) -> None:
        self.runtime.stop()


def config_below(root: Path, *settings: str) -> Config:
    """A configuration whose folders all lie below ``root``; ``settings`` are "section.name=value"."""
    paths = (f"paths.{name}_dir={root / name}" for name in ("data", "models", "output", "log"))
    quick = ("engine.stop_timeout_seconds=0.05", "engine.backoff_initial_seconds=0.01", "engine.nice=0")
    return load_config(overrides=[*paths, *quick, "engine.runner=fake", *settings])


@pytest.fixture
def make_house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Build houses that are not started yet; all are stopped at the end."""
    houses: list[House] = []

    def make(
        *settings: str,
        folder: str = "house",
        engine: EngineKind = "inline",
        make_runner: Callable[..., FakeRunner] = FakeRunner,
    ) -> House:
        house = House(config_below(tmp_path / folder, *settings), engine, make_runner)
        houses.append(house)
        return house

    yield make
    for house in houses:
        house.stop()


@pytest.fixture
def no_patience_at_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop ends an engine that does not listen a moment after it was asked."""
    monkeypatch.setattr(lane, "_REQUEUE_SECONDS", 0.05)


@pytest.fixture
def house(make_house: Callable[..., House]) -> House:
    """A started house with the bundled model loaded, its engine in a thread."""
    started: House = make_house().start()
    return started


@pytest.fixture(params=["inline", pytest.param("process", marks=pytest.mark.slow)])
def any_house(request: pytest.FixtureRequest, make_house: Callable[..., House]) -> House:
    """The same over a thread and over a process."""
    started: House = make_house(engine=request.param).start()
    return started


@pytest.fixture
def process_house(make_house: Callable[..., House]) -> House:
    started: House = make_house(engine="process").start()
    return started


def png_text(width: int = 16, height: int = 12, colour: str = "red") -> str:
    """A picture as base64, as clients send it."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture
def png() -> str:
    return png_text()


def spec_named(name: str, folder: Path = Path("/nowhere")) -> LoadSpec:
    """A load spec that only the fake runner can load."""
    return LoadSpec(model=FileRef(name=name, path=str(folder / name)), kind="diffusion")


def copy_demo(config: Config, name: str) -> Path:
    """The bundled model under another name, in the user's models folder."""
    folder = config.paths.models_dir / "diffusion_models"
    folder.mkdir(parents=True, exist_ok=True)
    source = DEMO_ROOT / "diffusion_models" / DEMO_MODEL
    shutil.copy(source.with_suffix(".json"), (folder / name).with_suffix(".json"))
    return Path(shutil.copy(source, folder / name))


def of_job(events: list[Event], job_id: str) -> list[Event]:
    return [event for event in events if getattr(event, "job_id", None) == job_id]


def shown(event: Event) -> str:
    """An event in one word, for comparing orders."""
    if isinstance(event, JobStatusChanged):
        return event.status
    names = {JobAdded: "added", JobProgress: "progress", JobPreview: "preview", JobCancelled: "cancelled_event"}
    return names[type(event)]
