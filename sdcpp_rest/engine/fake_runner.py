"""A runner that computes nothing: deterministic pictures, and every misfortune on demand.

For tests, and for trying the server on a machine without the library (``engine.runner = "fake"``). Misfortunes are
asked for in the prompt, so that they work across a process wall too: ``fake:fail`` (a clean failure), ``fake:die``
(the process ends as by an assertion), ``fake:segfault`` (it is killed by a signal), ``fake:hold`` (the first step
lasts until the run is cancelled), ``fake:deaf`` (never ends, hears no cancel), ``fake:step=0.05`` (seconds per step).
A model whose file name holds ``refuse`` fails to load, ``die`` kills the process while loading.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.engine.protocol import Device, Loaded, PreviewSettings, QuantizationType, Ready, RunJob
from sdcpp_rest.engine.runner import Report, RunCancelled, RunFailed, RunResult
from sdcpp_rest.engine.spool import RawPicture

_DIRECTIVE = re.compile(r"fake:(\w+)(?:=([\d.]+))?")


class SimulatedDeath(BaseException):
    """An inline engine "dies" by this: it passes every ``except Exception`` on its way out, as a signal would."""


class FakeRunner:
    """See the module. ``on_step(command, step)`` is called before each step, for tests that want to meet it there."""

    def __init__(
        self,
        on_step: Callable[[RunJob, int], None] | None = None,
        on_load: Callable[[LoadSpec], None] | None = None,
        inline: bool = False,
        last_words_path: str = "",
    ) -> None:
        self._on_step = on_step
        self._on_load = on_load
        self._inline = inline
        self._last_words_path = last_words_path
        self._loaded: LoadSpec | None = None
        self._wake = threading.Condition()
        self._cancelled: set[int] = set()
        self._preview = PreviewSettings()

    def ready(self) -> Ready:
        return Ready(
            pid=os.getpid(),
            library_version="fake",
            features=("FAKE",),
            devices=self.devices(),
            samplers=("euler", "euler_a", "heun", "dpm++2m"),
            schedulers=("discrete", "karras", "gits"),
            quantization_types=(QuantizationType(id="q8_0", name="Q8_0 (8-bit)", bits=8, bits_per_weight=8.5),),
        )

    def load(self, spec: LoadSpec, report: Report) -> Loaded:
        self._loaded = None
        report.loading(0.0)
        if self._on_load:
            self._on_load(spec)
        if "die" in Path(spec.model.name).stem:
            self._die("ggml.c:1: GGML_ASSERT(fake load) failed")
        if "refuse" in spec.model.name:
            raise RunFailed("the fake runner refuses this model", code="load_failed")
        report.loading(1.0)
        self._loaded = spec
        return Loaded(key=spec.key, architecture=spec.architecture or "Fake")

    def unload(self) -> None:
        self._loaded = None

    def run(self, command: RunJob, report: Report) -> RunResult:
        if self._loaded is None:
            raise RunFailed("no model is loaded in the engine")
        params, started = command.params, time.perf_counter()
        asked = dict(_DIRECTIVE.findall(params.prompt))
        report.step(0, 0, 0, "conditioning")
        if "fail" in asked:
            raise RunFailed("asked to fail")
        if "die" in asked:
            self._die("ggml.c:1: GGML_ASSERT(fake) failed")
        if "segfault" in asked:
            self._die("", signal_number=signal.SIGSEGV)
        if "deaf" in asked:
            threading.Event().wait()
        pictures = []
        for image in range(params.batch_count):
            for step in range(1, params.steps + 1):
                if self._on_step:
                    self._on_step(command, step)
                self._pause(command.run, None if "hold" in asked else float(asked.get("step", 0) or 0))
                report.step(step, params.steps, image, "sampling")
                report.preview(step, 1, RawPicture(2, 2, 3, bytes([step % 256, 0, 0] * 4)), False)
            pictures.append(_picture(command, image))
        report.step(0, 0, params.batch_count - 1, "decoding")
        return RunResult(pictures, time.perf_counter() - started)

    def cancel(self, run: int) -> None:
        with self._wake:
            self._cancelled.add(run)
            self._wake.notify_all()

    def set_preview(self, settings: PreviewSettings) -> None:
        self._preview = settings

    def devices(self) -> tuple[Device, ...]:
        return (Device(name="CPU", description="nothing real", backend="FAKE"),)

    def _pause(self, run: int, seconds: float | None) -> None:
        """Wait ``seconds`` (``None``: for ever), or less when the run is cancelled. Raises RunCancelled."""
        with self._wake:
            if self._wake.wait_for(lambda: run in self._cancelled, timeout=seconds):
                raise RunCancelled

    def _die(self, last_words: str, signal_number: int = signal.SIGABRT) -> None:
        if last_words and self._last_words_path:
            Path(self._last_words_path).write_text(last_words, encoding="utf-8")
        if self._inline:
            raise SimulatedDeath
        os.kill(os.getpid(), signal_number)


def _picture(command: RunJob, image: int) -> RawPicture:
    """One colour per (prompt, seed + k), so that equal requests give equal pictures and others do not."""
    params = command.params
    digest = hashlib.sha256(f"{params.prompt}|{params.seed + image}|{sorted(command.inputs)}".encode()).digest()
    return RawPicture(params.width, params.height, 3, digest[:3] * (params.width * params.height))
