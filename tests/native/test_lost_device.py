"""A device that is lost under the real library: the job fails by its name, and the next engine draws as ever.

Vulkan, which throws like this, is played by the CPU. There the next call in that process is a segmentation fault."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.engine.client import EngineClient
from sdcpp_rest.engine.launchers import ProcessLauncher
from sdcpp_rest.engine.protocol import RunJob
from sdcpp_rest.engine.runner import RunFailed
from sdcpp_rest.engine.supervisor import EngineSupervisor
from sdcpp_rest.engine.worker_options import WorkerOptions
from sdcpp_rest.errors import DeviceFailed, EngineDied

pytestmark = pytest.mark.native

SHIM = Path(__file__).with_name("lose_device.cpp")
PATIENCE_SECONDS = 120
# Bytes of the demo model's diffusion model, and of its buffer at 64 x 64 pixels.
WEIGHTS, BUFFER = 2_649_600, 3_412_064


class Engines:
    """One engine after another, each of which may lose its device once."""

    def __init__(self, folder: Path, demo: Path) -> None:
        self._folder = folder
        self.control = folder / "lose"
        self.deaths: list[EngineDied] = []
        options = WorkerOptions(log_path=str(folder / "engine.log"), last_words_path=str(folder / "words"), n_threads=1)
        self.supervisor = EngineSupervisor(
            ProcessLauncher(options), on_death=self.deaths.append, start_timeout_seconds=PATIENCE_SECONDS
        )
        parts = {"llm": "llm/demo_llm_q4_0.gguf", "taesd": "taesd/demo_tae.safetensors"}
        self.spec = LoadSpec(
            model=FileRef(name="demo", path=str(demo / "diffusion_models/demo_dit_q8_0.gguf")),
            kind="diffusion",
            components={role: FileRef(name=role, path=str(demo / name)) for role, name in parts.items()},
            options=LoadOptions(),
        )

    def lose_at(self, size: int) -> None:
        """Have whoever next asks for ``size`` bytes, give or take a thousandth, find the device gone."""
        self.control.write_text(f"{size - size // 1000} {size + size // 1000}")

    def engine(self) -> EngineClient:
        return self.supervisor.ensure()

    def load(self) -> None:
        self.engine().load(self.spec)

    def draw(self, **changes: object) -> int:
        values = {"prompt": "a", "width": 64, "height": 64, "steps": 1, "cfg_scale": 1.0, "sampler": "euler", **changes}
        run = self.engine().run(
            lambda number: RunJob(
                run=number,
                job_id="a",
                kind="txt2img",
                params=ImageParams(**values),
                model_key=self.spec.key,
                spool=str(self._folder / "spool"),
            )
        )
        return run.computed.result(PATIENCE_SECONDS).images


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("shim") / "lose_device.so"
    subprocess.run(["c++", "-shared", "-fPIC", "-fexceptions", "-o", built, SHIM, "-ldl"], check=True)
    return built


@pytest.fixture
def engines(shim: Path, tmp_path: Path, demo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engines]:
    made = Engines(tmp_path, demo_folder)
    # Only processes that begin from here on see the shim: the engines.
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    monkeypatch.setenv("LOSE_DEVICE", str(made.control))
    yield made
    made.supervisor.stop(10)


@pytest.mark.parametrize(
    ("size", "begin"), [(BUFFER, Engines.draw), (WEIGHTS, Engines.load)], ids=["in a run", "in a load"]
)
def test_a_lost_device_is_named_and_costs_one_engine(
    engines: Engines, size: int, begin: Callable[[Engines], object]
) -> None:
    if begin is Engines.draw:
        engines.load()
    first = engines.engine()
    engines.lose_at(size)
    with pytest.raises(DeviceFailed, match=r"^CPU \(.+\) was lost, and the engine is replaced: .*ErrorDeviceLost"):
        begin(engines)
    assert not first.alive
    assert len(engines.deaths) == 1
    engines.load()
    assert engines.engine() is not first
    assert engines.draw() == 1
    assert (engines.supervisor.restarts, len(engines.deaths)) == (1, 1), "its end, asked for, is no second death"


def test_what_the_library_itself_throws_leaves_the_engine(engines: Engines) -> None:
    engines.load()
    first = engines.engine()
    with pytest.raises(RunFailed, match="stof"):
        engines.draw(prompt="(a:.)")
    assert engines.draw() == 1
    assert engines.engine() is first
