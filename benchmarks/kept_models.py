"""What it costs to go from one model to another that is held beside it, against a load; and what holding them takes.

One engine without a server, because who decides what is held is not measured here. The models are the bundled one in
several storages: different models to the engine, of about the same size and speed.
"""

from __future__ import annotations

import queue
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from benchmarks.figures import EngineName, Figure, Options, main, spread
from benchmarks.served import DEMO_MODEL, PATIENCE_SECONDS, PROMPT, complaints
from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.engine.client import EngineClient, RunEvent
from sdcpp_rest.engine.launchers import ProcessLauncher
from sdcpp_rest.engine.protocol import RunJob, Step
from sdcpp_rest.engine.worker_options import WorkerOptions
from sdcpp_rest.runtime import DEMO_ROOT

_MIB = 2**20
_STORAGES = ("", "q4_0", "q5_0", "f16")


def measure(options: Options) -> list[Figure]:
    count = options.samples(15, 3)
    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-bench-") as folder:
        engine = _Engine(options.engine, Path(folder))
        memory = [Figure("engine RSS with no model", engine.rss_mib, "MiB")]
        models = [_demo(storage) for storage in _STORAGES]
        for number, model in enumerate(models, 1):
            held = engine.client.load(model).held_bytes
            engine.first_step(model)  # its buffers and tables count as well
            if number in (1, 2, 4):
                told = f"the last load told {held / _MIB:.1f} MiB"
                memory.append(
                    Figure(f"engine RSS with {number} held, each has drawn", engine.rss_mib, "MiB", note=told)
                )
        engine.client.unload([model.key for model in models[2:]])

        # In turns, so that whatever else the machine does meets all of them.
        one, two = models[:2]
        again, swapped, loads, after_load = [], [], [], []
        for _ in range(count):
            for model in (one, two):
                swapped.append(engine.first_step(model))
                again.append(engine.first_step(model))
        for _ in range(count):
            for model in (one, two):
                started = time.perf_counter()
                engine.client.load(model, free=[one.key, two.key])
                loads.append(time.perf_counter() - started)
                after_load.append(loads[-1] + engine.first_step(model))
        memory.append(Figure(f"engine RSS with 1 held, after {2 * count} loads", engine.rss_mib, "MiB"))
        engine.client.stop(10)
        extra = [there - here for there, here in zip(swapped, again, strict=True)]
        return [
            *spread("same model again: job sent -> first step", again, (50, 90)),
            *spread("other model, held: job sent -> first step", swapped, (50, 90)),
            *spread("  what the swap adds to it", extra, (50,), at_most={50: 10}),
            *spread("other model, not held: load sent -> first step", after_load, (50, 90)),
            *spread("  of that: the load", loads, (50,)),
            Figure("load and first step / swap and first step", _ratio(after_load, swapped), "x"),
            *memory,
            complaints(Path(folder).glob("*.log")),
        ]


class _Engine:
    """One engine process, and the time that its first steps come."""

    def __init__(self, runner: EngineName, folder: Path) -> None:
        self._folder = folder
        self._first_steps: queue.SimpleQueue[float] = queue.SimpleQueue()
        options = WorkerOptions(runner=runner, log_path=str(folder / "engine.log"), n_threads=1)
        self.client = EngineClient(ProcessLauncher(options), self._hear)
        self.client.wait_ready(PATIENCE_SECONDS)

    def first_step(self, model: LoadSpec) -> float:
        """Draw a small picture of two steps; seconds from the command to the first step's end."""
        params = ImageParams(prompt=PROMPT, width=64, height=64, steps=2, cfg_scale=1.0, sampler="euler", seed=1)

        def command(number: int) -> RunJob:
            spool = str(self._folder / "spool")
            return RunJob(run=number, job_id="a", kind="txt2img", params=params, model_key=model.key, spool=spool)

        started = time.perf_counter()
        self.client.run(command).finished.result(PATIENCE_SECONDS)
        return self._first_steps.get() - started

    @property
    def rss_mib(self) -> float:
        return float(psutil.Process(self.client.pid).memory_info().rss / _MIB)

    def _hear(self, event: RunEvent) -> None:
        if isinstance(event, Step) and event.step == 1:
            self._first_steps.put(time.perf_counter())


def _demo(storage: str) -> LoadSpec:
    """The bundled model, its weights in ``storage``; empty: as they are in the file."""

    def file(name: str) -> FileRef:
        return FileRef(name=Path(name).name, path=str(DEMO_ROOT / name))

    return LoadSpec(
        model=file(f"diffusion_models/{DEMO_MODEL}"),
        kind="diffusion",
        components={"llm": file("llm/demo_llm_q4_0.gguf"), "taesd": file("taesd/demo_tae.safetensors")},
        options=LoadOptions(weight_type=storage),
    )


def _ratio(numerators: list[float], denominators: list[float]) -> float:
    return float(np.median(numerators) / np.median(denominators))


if __name__ == "__main__":
    main("Going from one model to another that is held", measure)
