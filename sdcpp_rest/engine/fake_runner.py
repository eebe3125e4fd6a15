"""Pretends to compute: draws deterministic pictures without the library, and fails on demand.

For tests, and for trying the server on a machine without the library (``engine.runner = "fake"``). Misfortunes are
asked for in the prompt, so that they work across a process wall too: ``fake:fail`` (a clean failure), ``fake:die`` (the
process ends as by an assertion), ``fake:segfault`` (it is killed by a signal), ``fake:hold`` (the first step lasts
until the run is cancelled), ``fake:deaf`` (never ends, hears no cancel), ``fake:step=0.05`` (seconds per step),
``fake:lost`` (the device is lost: a clean failure, and any further run ends the process),
``fake:blank`` (what is drawn is no picture), ``fake:noise`` (pixels that no file makes smaller),
``fake:hungry`` (there is no memory), ``fake:starve`` (it is killed for want of it); for upscaling and conversion they
are asked for in the file's name (``fake~hold.gguf``). A model whose file name holds ``fake~load=0.5`` takes so many
seconds to load, one with ``refuse`` fails to load, ``hungry`` has no memory to, ``die`` kills the process while
loading, ``starve`` does so for want of memory, ``lost`` loses the device.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from sdcpp_rest.core.job import Failure
from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import ConvertParams, ImageParams, SamplingParams, UpscaleParams, VideoParams
from sdcpp_rest.engine.conversion_input import whole_input
from sdcpp_rest.engine.protocol import Device, Loaded, PreviewSettings, QuantizationType, Ready, RunJob, UpscalerReady
from sdcpp_rest.engine.raw_picture import RawPicture
from sdcpp_rest.engine.refused_memory import memory_note
from sdcpp_rest.engine.runner import Report, RunCancelled, RunFailed, RunResult, find_model
from sdcpp_rest.engine.upscaling import enlarge
from sdcpp_rest.errors import OutOfMemory, PictureIsBlank

_FACTOR = 4  # of every upscaler
_DIRECTIVE = re.compile(r"fake[:~]([a-z]+)(?:=([\d.]+))?")


class SimulatedDeath(BaseException):
    """An inline engine "dies" by this: it passes every ``except Exception`` on its way out, as a signal would."""


class FakeRunner:
    """Draws deterministic pictures without the native library, and fails on demand.

    ``on_step(command, step)`` is called before each step, for tests that want to meet it there.
    """

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
        self._loaded: dict[str, LoadSpec] = {}
        self.rests = 0
        self._upscaler: UpscalerSpec | None = None
        self._wake = threading.Condition()
        self._cancelled: set[int] = set()
        self._is_lost = False
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

    def load(self, spec: LoadSpec, free: Iterable[str], report: Report) -> Loaded:
        self.unload((*free, spec.key))
        report.loading(0.0)
        if self._on_load:
            self._on_load(spec)
        time.sleep(float(dict(_DIRECTIVE.findall(spec.model.name)).get("load", 0) or 0))
        if "die" in Path(spec.model.name).stem:
            self._die("ggml.c:1: GGML_ASSERT(fake load) failed")
        if "starve" in Path(spec.model.name).stem:
            self._starve()
        if "lost" in spec.model.name:
            raise RunFailed("asked to lose its device", code="load_failed", is_broken=True)
        if "hungry" in spec.model.name:
            raise RunFailed("asked to be hungry", code=OutOfMemory.code)
        if "refuse" in spec.model.name:
            raise RunFailed("the fake runner refuses this model", code="load_failed")
        report.loading(1.0)
        self._loaded[spec.key] = spec
        return Loaded(key=spec.key, architecture=spec.architecture or "Fake")

    def unload(self, keys: Iterable[str] | None = None) -> None:
        for key in list(self._loaded if keys is None else keys):
            self._loaded.pop(key, None)

    def load_upscaler(self, spec: UpscalerSpec) -> UpscalerReady:
        self._upscaler = None
        if "die" in Path(spec.model.name).stem:
            self._die("ggml.c:1: GGML_ASSERT(fake upscaler) failed")
        if "refuse" in spec.model.name:
            raise RunFailed("the fake runner refuses this upscaler", code="load_failed")
        self._upscaler = spec
        return UpscalerReady(factor=_FACTOR)

    def unload_upscaler(self) -> None:
        self._upscaler = None

    def rest(self) -> None:
        self.rests += 1

    def run(self, command: RunJob, report: Report) -> RunResult:
        params, started = command.params, time.perf_counter()
        if self._is_lost:
            self._die("", signal_number=signal.SIGSEGV)
        if command.model_key is not None:
            find_model(self._loaded, command.model_key)
        if isinstance(params, UpscaleParams):
            pictures = self._upscale(command, params, report)
        elif isinstance(params, ConvertParams):
            self._convert(command, params, report)
            pictures = []
        else:
            pictures = self._draw(command, params, report)
        failure = None
        if isinstance(params, SamplingParams) and "fake:blank" in params.prompt:
            failure = Failure(code=PictureIsBlank.code, message="asked to be blank")
        return RunResult(pictures, time.perf_counter() - started, failure=failure)

    def _draw(self, command: RunJob, params: SamplingParams, report: Report) -> list[RawPicture]:
        spec = find_model(self._loaded, command.model_key)
        report.step(0, 0, 0, "conditioning")
        pause_seconds = self._misfortune(params.prompt)
        pictures = []
        steps, frames = params.steps, 1
        if isinstance(params, VideoParams):
            has_two_experts = "high_noise_diffusion_model" in spec.components
            steps, frames = params.step_count(has_two_experts=has_two_experts), params.frame_count
        for image in range(params.picture_count):
            for step in range(1, steps + 1):
                if self._on_step:
                    self._on_step(command, step)
                self._pause(command.run, pause_seconds)
                report.step(step, steps, image, "sampling")
                report.preview(step, frames, RawPicture(2, 2, 3, bytes([step % 256, 0, 0] * 4)), False)
            pictures += [_picture(params, command.inputs, image + frame) for frame in range(frames)]
        report.step(0, 0, params.picture_count - 1, "decoding")
        if isinstance(params, ImageParams) and params.upscale:
            report.step(0, 0, params.picture_count - 1, "upscaling")
            pictures = [self._enlarge(picture, None, params.upscale_repeats) for picture in pictures]
        return pictures

    def _upscale(self, command: RunJob, params: UpscaleParams, report: Report) -> list[RawPicture]:
        from PIL import Image

        self._pause(command.run, self._misfortune(params.upscaler.model.name))
        with Image.open(command.inputs["image"]) as opened:
            given = opened.convert("RGB")
        report.step(0, 0, 0, "upscaling")
        picture = RawPicture(given.width, given.height, 3, given.tobytes())
        return [self._enlarge(picture, params.upscale_factor, params.repeats)]

    def _enlarge(self, picture: RawPicture, factor: int | None, repeats: int) -> RawPicture:
        if self._upscaler is None:
            raise RunFailed("no upscaler is loaded in the engine")
        return enlarge(picture, _enlarge_fourfold, native_factor=_FACTOR, factor=factor, repeats=repeats)

    def _convert(self, command: RunJob, params: ConvertParams, report: Report) -> None:
        report.step(0, 100, 0, "converting")
        self._pause(command.run, self._misfortune(params.input.name))
        with whole_input(params, lambda percent: report.step(percent, 100, 0, "converting")) as found:
            if found is not None:
                Path(params.output.path).write_bytes(Path(found[0]).read_bytes())
        report.step(100, 100, 0, "converting")

    def _misfortune(self, words: str) -> float | None:
        """What the words ask for happens; returns how long to pause at each step, ``None`` for ever."""
        asked = dict(_DIRECTIVE.findall(words))
        if "fail" in asked:
            raise RunFailed("asked to fail")
        if "lost" in asked:
            self._is_lost = True
            raise RunFailed("asked to lose its device", is_broken=True)
        if "starve" in asked:
            self._starve()
        if "hungry" in asked:
            raise RunFailed("asked to be hungry", code=OutOfMemory.code)
        if "die" in asked:
            self._die("ggml.c:1: GGML_ASSERT(fake) failed")
        if "segfault" in asked:
            self._die("", signal_number=signal.SIGSEGV)
        if "deaf" in asked:
            threading.Event().wait()
        return None if "hold" in asked else float(asked.get("step", 0) or 0)

    def cancel(self, run: int) -> None:
        with self._wake:
            self._cancelled.add(run)
            self._wake.notify_all()

    def set_preview(self, settings: PreviewSettings) -> None:
        self._preview = settings

    def threads(self) -> None:
        """Nothing is computed."""

    def watch_previews(self, is_watched: bool) -> None:
        """Its previews cost nothing."""

    def devices(self) -> tuple[Device, ...]:
        return (Device(name="CPU", description="nothing real", backend="FAKE"),)

    def _pause(self, run: int, seconds: float | None) -> None:
        """Wait ``seconds`` (``None``: for ever), or less when the run is cancelled. Raises RunCancelled."""
        with self._wake:
            if self._wake.wait_for(lambda: run in self._cancelled, timeout=seconds):
                raise RunCancelled

    def _starve(self) -> None:
        if self._last_words_path:
            Path(memory_note(self._last_words_path)).write_text("Not enough memory: asked to starve.", encoding="utf-8")
        self._die("", signal_number=signal.SIGSEGV)

    def _die(self, last_words: str, signal_number: int = signal.SIGABRT) -> None:
        if last_words and self._last_words_path:
            Path(self._last_words_path).write_text(last_words, encoding="utf-8")
        if self._inline:
            raise SimulatedDeath
        os.kill(os.getpid(), signal_number)


def _picture(params: SamplingParams, inputs: Mapping[str, str], image: int) -> RawPicture:
    """One colour per (prompt, seed + k), so that equal requests give equal pictures and others do not."""
    digest = hashlib.sha256(f"{params.prompt}|{params.seed + image}|{sorted(inputs)}".encode()).digest()
    if "fake:noise" in params.prompt:
        noise = random.Random(digest).randbytes(3 * params.width * params.height)
        return RawPicture(params.width, params.height, 3, noise)
    return RawPicture(params.width, params.height, 3, digest[:3] * (params.width * params.height))


def _enlarge_fourfold(picture: RawPicture) -> RawPicture:
    """Every pixel as a square of 4 x 4."""
    size, rows = picture.channels, []
    for y in range(picture.height):
        row = picture.pixels[y * picture.width * size : (y + 1) * picture.width * size]
        wide = b"".join(row[x : x + size] * _FACTOR for x in range(0, len(row), size))
        rows.append(wide * _FACTOR)
    return RawPicture(picture.width * _FACTOR, picture.height * _FACTOR, size, b"".join(rows))
