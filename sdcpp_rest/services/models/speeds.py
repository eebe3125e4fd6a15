"""Learns from finished jobs and loads how quick this machine is with each model, and tells what a job will take.

What is measured belongs to the very files that were loaded, by their stamps, with the options that change the speed, on
the device that computes. Averages are kept in memory; one small write follows each job. It must not know the queue.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sdcpp_rest.core.job_work import Work
from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.core.speed import Bound, Guess, Speed, guess_seconds, size_class
from sdcpp_rest.core.step_times import Expected, StepTimes
from sdcpp_rest.services.models.file_stamps import stamps_of
from sdcpp_rest.store.database import DatabaseUnusable
from sdcpp_rest.store.speed_store import SpeedKey, SpeedStore

log = logging.getLogger(__name__)

# Options that change pictures and not their time, or belong to single jobs.
_NO_MATTER = {
    "enable_mmap", "vae_decode_only", "flow_shift", "rng_type", "sampler_rng_type", "prediction", "vae_tiling",
    "vae_tile_size_x", "vae_tile_size_y", "vae_tile_overlap", "circular_x", "circular_y",
}  # fmt: skip
_LOAD, _PROMPT, _STEP, _DECODING, _UPSCALING, _SAVING = (
    "load", "conditioning", "step", "decoding", "upscaling", "saving",
)  # fmt: skip
_FILES = "files"
"""In place of a model: writing files has nothing to do with one."""


class Forecast(NamedTuple):
    """What a job will take, and how well that is known: by ``jobs`` jobs, of the same kind and size or others."""

    expected: Expected
    jobs: int
    is_exact: bool


class Speeds:
    """Averages the times of finished jobs, and foretells those of others. Thread-safe.

    Args:
        device: what computes unless another device is named, in words that change when something else does.
    """

    def __init__(self, store: SpeedStore, device: Callable[[], str]) -> None:
        self._store = store
        self._device = device
        self._lock = threading.Lock()
        self._known: dict[str, dict[SpeedKey, Speed]] | None = None
        self._unwritten: dict[SpeedKey, Speed] = {}

    def bind(self, spec: LoadSpec | None, upscaler: UpscalerSpec | None, device: str | None = None) -> Bound:
        """Digests of what decides how quick a job is: another file under the same name has another, and so has another
        ``device``."""
        model = upscaling = ""
        where = self._device() if device is None else device
        if spec is not None:
            files = [spec.model, *(spec.components[role] for role in sorted(spec.components))]
            model = _digest(where, [file.path for file in files], spec.options.model_dump_json(exclude=_NO_MATTER))
        if upscaler is not None:
            upscaling = _digest(where, [upscaler.model.path], f"{upscaler.tile_size}|{upscaler.n_threads}")
        return Bound(spec, upscaler, model, upscaling, where)

    def forecast(self, bound: Bound, work: Work, *, is_resident: bool) -> Forecast:
        """What a job will take; ``is_resident``: nothing has to be loaded for it."""
        of_model, of_upscaler, of_files = (self._of(key) for key in (bound.model_key, bound.upscaler_key, _FILES))
        step = _guess_step(of_model, work, work.megapixels)
        hires = _guess_step(of_model, work, work.hires_megapixels) if work.hires_steps else None
        decoding = _guess(of_model, _DECODING, _tiling(work), work.decoded / work.pictures)
        enlarging = _guess(of_upscaler, _UPSCALING, "", work.enlarged) if work.enlarged else None
        saving = _guess(of_files, _SAVING, _kind(work), work.saved) if work.saved else None
        load = None if bound.spec is None else _guess(of_model, _LOAD, "", 1.0)
        prompt = _guess(of_model, _PROMPT, _reading(work), 1.0)
        expected = Expected(
            load=0.0 if is_resident else load.seconds if load else None,
            conditioning=prompt.seconds if prompt else None,
            step=step.seconds * work.step_units if step else None,
            hires=hires.seconds * work.hires_units * work.hires_steps * work.pictures if hires else None,
            decoding=decoding.seconds * work.decoded if decoding else None,
            upscaling=enlarging.seconds * work.enlarged if enlarging else None,
            saving=saving.seconds * work.saved if saving else None,
        )
        told = [guess for guess in (step, hires, enlarging) if guess is not None]
        jobs = min((guess.jobs for guess in told), default=0)
        return Forecast(expected, jobs, bool(told) and all(guess.is_exact for guess in told))

    def note_load(self, spec: LoadSpec, seconds: float) -> None:
        """Learn from a load that worked. It is written down with the next job, which waits for this load already."""
        with self._lock:
            self._mix([(self.bind(spec, None).model_key, _Measured(_LOAD, "", seconds, 1.0))])

    def note_job(self, began: Bound, times: StepTimes, saving_seconds: float) -> None:
        """Learn from a job that ended well. Where a file of it was replaced meanwhile, nothing is learned."""
        if self.bind(began.spec, began.upscaler, began.device) != began:
            return
        work, step, model = times.work, times.usual_step, began.model_key
        found = []
        if work.steps and step is not None and work.step_units:
            found.append((model, _Measured(_STEP, work.way, step / work.step_units, work.megapixels)))
            prompt = times.ended_seconds("conditioning")
            found.append((model, _Measured(_PROMPT, _reading(work), prompt, 1.0)))
        if work.decoded and (seconds := times.ended_seconds("decoding")) > 0:
            at = work.decoded / work.pictures
            found.append((model, _Measured(_DECODING, _tiling(work), seconds / work.decoded, at)))
        if work.enlarged and (seconds := times.ended_seconds("upscaling")) > 0:
            measured = _Measured(_UPSCALING, "", seconds / work.enlarged, work.enlarged)
            found.append((began.upscaler_key, measured))
        if work.saved and saving_seconds > 0:
            found.append((_FILES, _Measured(_SAVING, _kind(work), saving_seconds / work.saved, work.saved)))
        with self._lock:
            self._mix(found)
            self._write()

    def _mix(self, measured: list[tuple[str, _Measured]]) -> None:
        """Mix what was measured into the averages."""
        known = self._read()
        for model, (part, way, seconds, amount) in measured:
            key = SpeedKey(model, part, way, size_class(amount))
            before = known.get(model, {}).get(key)
            mixed = before.mixed_with(seconds, amount) if before else Speed(seconds, amount)
            known.setdefault(model, {})[key] = self._unwritten[key] = mixed

    def _write(self) -> None:
        """Write the averages that have changed; those that cannot be written now are the next time."""
        try:
            self._store.put(self._unwritten)
        except DatabaseUnusable as error:
            log.warning("how long a job took is not written down yet: %s", error.message)
            return
        self._unwritten = {}
        if self._known is not None and sum(len(speeds) for speeds in self._known.values()) > self._store.most:
            self._known = None  # some have made room

    def _of(self, model: str) -> dict[SpeedKey, Speed]:
        with self._lock:
            return dict(self._read().get(model, {})) if model else {}

    def _read(self) -> dict[str, dict[SpeedKey, Speed]]:
        if self._known is None:
            self._known = {}
            for key, speed in self._store.all().items():
                self._known.setdefault(key.model, {})[key] = speed
        return self._known


class _Measured(NamedTuple):
    part: str
    way: str
    seconds: float
    amount: float


def _digest(device: str, paths: list[str], options: str) -> str:
    stamps = stamps_of(paths)
    text = "\n".join([device, options, *(f"{path}|{stamps.get(path)}" for path in paths)])
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _guess_step(known: Mapping[SpeedKey, Speed], work: Work, megapixels: float) -> Guess | None:
    """Seconds of one pass over one megapixel: by jobs of the same way, else by whatever the model has drawn."""
    exact = _guess(known, _STEP, work.way, megapixels)
    if exact is not None or not work.steps:
        return exact
    others = [speed for key, speed in known.items() if key.part == _STEP and key.way.startswith(_kind(work))]
    found = guess_seconds(others, megapixels)
    return found._replace(is_exact=False) if found else None


def _guess(known: Mapping[SpeedKey, Speed], part: str, way: str, amount: float) -> Guess | None:
    return guess_seconds([speed for key, speed in known.items() if key[1:3] == (part, way)], amount)


def _kind(work: Work) -> str:
    return work.way.partition(" ")[0]


def _tiling(work: Work) -> str:
    return "tiled" if work.is_tiled else ""


def _reading(work: Work) -> str:
    return "inputs" if work.inputs else ""
