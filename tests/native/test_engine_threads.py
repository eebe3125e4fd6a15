"""An engine process of its own chooses its threads while it draws: the same pictures, and it tells which and why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.engine.client import EngineClient
from sdcpp_rest.engine.launchers import ProcessLauncher
from sdcpp_rest.engine.protocol import Memory, RunJob
from sdcpp_rest.engine.waiting import waiting_environment
from sdcpp_rest.engine.worker_options import WorkerOptions

pytestmark = [pytest.mark.native, pytest.mark.slow]

PATIENCE_SECONDS = 120


class Engine:
    def __init__(self, folder: Path, demo: Path, **options: object) -> None:
        folder.mkdir()
        self.folder, self.log = folder, folder / "engine.log"
        started = WorkerOptions(log_path=str(self.log), memory_interval_seconds=0.05, **options)  # type: ignore[arg-type]
        self.client = EngineClient(ProcessLauncher(started))
        self.client.wait_ready(PATIENCE_SECONDS)

        def file(name: str) -> FileRef:
            return FileRef(name=Path(name).name, path=str(demo / name))

        parts = {"llm": file("llm/demo_llm_q4_0.gguf"), "taesd": file("taesd/demo_tae.safetensors")}
        self.spec = LoadSpec(model=file("diffusion_models/demo_dit_q8_0.gguf"), kind="diffusion", components=parts)
        self.client.load(self.spec)

    def draw(self) -> bytes:
        params = ImageParams(prompt="a red circle", width=64, height=64, steps=8, seed=3, cfg_scale=1.0)

        def command(number: int) -> RunJob:
            spool = str(self.folder / str(number))
            return RunJob(run=number, job_id="a", kind="txt2img", params=params, model_key=self.spec.key, spool=spool)

        run = self.client.run(command)
        (name,) = run.finished.result(PATIENCE_SECONDS).files
        return (self.folder / str(run.number) / name).read_bytes()

    def report(self) -> Memory:
        found = self.client.look_at_memory(PATIENCE_SECONDS)
        assert found is not None
        return found


def test_pictures_are_those_of_one_thread_and_the_choice_is_told(tmp_path: Path, demo_folder: Path) -> None:
    alone = Engine(tmp_path / "alone", demo_folder, n_threads=1)
    expected = alone.draw()
    threads = alone.report().threads
    assert threads is not None
    assert (threads.chosen, threads.most, threads.why) == (1, 1, "The setting engine.n_threads says so")
    alone.client.stop(10)

    environment = {**waiting_environment({}), "OMP_DISPLAY_ENV": "true"}
    engine = Engine(
        tmp_path / "choosing", demo_folder, n_threads=3, chooses_threads=True, environment=tuple(environment.items())
    )
    assert [engine.draw() for _ in range(2)] == [expected] * 2
    threads = engine.report().threads
    assert threads is not None
    assert threads.most == 3
    assert threads.chosen in (1, 3)
    assert re.fullmatch(r"A step took [\d.e-]+ s with [13] and [\d.e-]+ s with [13]", threads.why)
    engine.client.stop(10)
    log = engine.log.read_text(errors="replace")
    # What GCC's OpenMP says of itself; another one has other words.
    if "OMP_WAIT_POLICY" in log:
        assert re.search(r"OMP_WAIT_POLICY\s*=\s*'PASSIVE'", log)
    if threads.chosen == 1:
        assert "CPU threads: 1 instead of 3. A step took" in log
