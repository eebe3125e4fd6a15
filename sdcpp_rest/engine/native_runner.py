"""Runs loads and jobs on the native library.

With its neighbours `library_calls` and `native_requests` the only module outside the command line that imports the
native room. Turns load specs and picture parameters into the library's structures, the library's log and progress
callbacks into phases and steps.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import ConvertParams, ImageParams, SamplingParams, UpscaleParams, VideoParams
from sdcpp_rest.engine.blank_pictures import BlankJudge, Judged, judge_enlarged
from sdcpp_rest.engine.conversion_input import whole_input
from sdcpp_rest.engine.conversion_progress import watch_written, why_unwritten
from sdcpp_rest.engine.held_memory import grown_by, used_memory
from sdcpp_rest.engine.library_calls import LibraryCalls
from sdcpp_rest.engine.native_phases import Follower
from sdcpp_rest.engine.native_requests import (
    context_options,
    crop_pictures,
    device_of,
    image_request,
    picture_of,
    quantization_types_of,
    read_image,
    video_request,
)
from sdcpp_rest.engine.preview_plan import StepPreviews
from sdcpp_rest.engine.protocol import (
    Device,
    Loaded,
    PreviewSettings,
    Ready,
    RunJob,
    ThreadsUsed,
    UpscalerReady,
)
from sdcpp_rest.engine.raw_picture import RawPicture
from sdcpp_rest.engine.refused_memory import memory_note
from sdcpp_rest.engine.runner import Report, RunCancelled, RunFailed, RunResult, find_model
from sdcpp_rest.engine.thread_tuner import ThreadTuner, asked_threads
from sdcpp_rest.engine.upscaling import enlarge, passes
from sdcpp_rest.errors import LoadFailed
from sdcpp_rest.native import devices as native_devices
from sdcpp_rest.native.context import Context
from sdcpp_rest.native.conversion import convert
from sdcpp_rest.native.cpu_threads import CpuThreads
from sdcpp_rest.native.devices import NativeDevice
from sdcpp_rest.native.guard import NativeCancelled, NativeError
from sdcpp_rest.native.images import RawImage
from sdcpp_rest.native.library import Library, open_library
from sdcpp_rest.native.upscaler import Upscaler

_WARNING = 2


@dataclass(frozen=True)
class _Model:
    """A loaded model, and what it was loaded by."""

    spec: LoadSpec
    context: Context


class NativeRunner:
    """Runs loads and jobs on the native library, which `ready` opens: as many models as it is told, one call at a time.

    Args:
        last_words_path: where the text of an assertion that ends this process is left for the server.
        n_threads: CPU threads of models whose load spec leaves the number open; -1 for the number of physical cores.
        chooses_threads: whether runs with such models may be computed with fewer, where that is faster.
        preview_share: what previews may take of the sampling time; 1: as much as they need.
    """

    def __init__(
        self,
        last_words_path: str = "",
        n_threads: int = -1,
        *,
        chooses_threads: bool = False,
        preview_share: float = 1.0,
    ) -> None:
        self._last_words_path = last_words_path
        self._n_threads = n_threads
        self._tuner = ThreadTuner(n_threads, chooses_threads=chooses_threads)
        self._library: Library | None = None
        self._loaded: dict[str, _Model] = {}
        self._upscaler: Upscaler | None = None
        self._hear_tensors: Callable[[int, int], None] | None = None
        self._device_list: tuple[Device, ...] = ()
        self._previews = StepPreviews(preview_share)
        self._follower: Follower | None = None
        self._judge: BlankJudge | None = None
        self._run, self._native_seconds = 0, 0.0
        self._lock = threading.Lock()
        self._calls = LibraryCalls(lambda: self._device_list, memory_note(last_words_path))

    def ready(self) -> Ready:
        try:
            library = open_library()
        except RuntimeError as error:
            raise RunFailed(str(error), code="engine_unavailable") from error
        if self._last_words_path:
            library.set_last_words(self._last_words_path)
        library.set_log(self._hear_log)
        library.set_progress(self._hear_progress)
        self._library = library
        found = native_devices.list_devices(library)
        if not any(device.is_gpu for device in found):
            self._tuner.begin(CpuThreads(library), library.physical_cores)
        return Ready(
            pid=os.getpid(),
            library_version=library.version,
            library_commit=library.commit,
            library_path=str(library.path),
            modules=native_devices.loaded_modules(library),
            backend=native_devices.main_backend(found),
            backends=native_devices.built_backends(library),
            features=library.features,
            devices=self._note_devices(found),
            samplers=library.samplers(),
            schedulers=library.schedulers(),
            quantization_types=quantization_types_of(library),
        )

    def load(self, spec: LoadSpec, free: Iterable[str], report: Report) -> Loaded:
        self.unload((*free, spec.key))
        library, before = self._open(), used_memory(self.devices())
        started = time.perf_counter()
        self._follower = Follower(report, loading=True)
        try:
            with self._calls.watch(spec.options, code=LoadFailed.code):
                context = Context.load(context_options(spec, self._n_threads, self._has_gpu()), library)
                self._loaded[spec.key] = _Model(spec, context)
        except RunFailed:
            self.unload([spec.key])
            raise
        finally:
            self._follower = None
        library.return_memory()
        return Loaded(
            key=spec.key,
            architecture=context.architecture,
            supports_images=context.supports_images,
            supports_video=context.supports_video,
            seconds=time.perf_counter() - started,
            held_bytes=grown_by(before, used_memory(self.devices())),
        )

    def unload(self, keys: Iterable[str] | None = None) -> None:
        for key in list(self._loaded if keys is None else keys):
            if (model := self._loaded.pop(key, None)) is not None:
                model.context.close()
        # A load that got what runs have left behind, and no new memory, would seem to take less than it does.
        self._open().return_memory()

    def load_upscaler(self, spec: UpscalerSpec) -> UpscalerReady:
        self.unload_upscaler()
        started = time.perf_counter()
        n_threads = spec.n_threads if spec.n_threads > 0 else self._n_threads
        try:
            with self._calls.watch(None, code=LoadFailed.code):
                self._upscaler = Upscaler.load(
                    spec.model.path, n_threads=n_threads, tile_size=spec.tile_size, library=self._open()
                )
        except RunFailed:
            self.unload_upscaler()
            raise
        return UpscalerReady(factor=self._upscaler.factor, seconds=time.perf_counter() - started)

    def unload_upscaler(self) -> None:
        upscaler, self._upscaler = self._upscaler, None
        if upscaler is not None:
            upscaler.close()

    def rest(self) -> None:
        self._open().return_memory()

    def run(self, command: RunJob, report: Report) -> RunResult:
        params, key = command.params, command.model_key
        options = None if key is None else find_model(self._loaded, key).spec.options
        self._native_seconds = 0.0
        made = Judged([])
        report = self._tuner.watch(params, key, asked_threads(params, options), report)
        try:
            with self._calls.watch(options, params):
                if isinstance(params, ImageParams):
                    made = self._draw(command, params, report)
                elif isinstance(params, VideoParams):
                    made = self._film(command, params, report)
                elif isinstance(params, UpscaleParams):
                    made = self._enlarge(command, params, report)
                else:
                    self._convert(params, report)
        except NativeCancelled:
            if self._judge is None or self._judge.stopped_at is None:
                raise RunCancelled from None
            made = self._judge.judge_stopped()
        finally:
            self._follower = self._judge = None
        return RunResult(made.pictures, self._native_seconds, made.warnings, made.failure)

    def _draw(self, command: RunJob, params: ImageParams, report: Report) -> Judged:
        model = find_model(self._loaded, command.model_key)
        request = image_request(params, command.inputs)
        self._follower = Follower(report)
        judge = self._begin(command, params, model.spec, (request.init_image, *request.ref_images))
        report.step(0, 0, 0, "conditioning")
        with self._clock():
            images = model.context.generate_image(request, command.run)
        if len(images) != params.batch_count:
            raise RunFailed(f"the library returned {len(images)} of {params.batch_count} pictures")
        drawn = judge.judge(*crop_pictures(images, params.picture_size))
        if not params.upscale or params.upscaler is None or drawn.failure is not None:
            return drawn
        last = params.batch_count - 1
        self._follower = None
        report.step(0, 0, last, "upscaling")
        larger = [self._upscale(picture, command.run, repeats=params.upscale_repeats) for picture in drawn.pictures]
        enlarged = judge_enlarged(larger, drawn.pictures, params.upscaler.model.name)
        return replace(enlarged, warnings=drawn.warnings + enlarged.warnings)

    def _film(self, command: RunJob, params: VideoParams, report: Report) -> Judged:
        model = find_model(self._loaded, command.model_key)
        request = video_request(params, command.inputs)
        has_two_experts = "high_noise_diffusion_model" in model.spec.components
        self._follower = Follower(report, video_steps=params.step_count(has_two_experts=has_two_experts))
        judge = self._begin(command, params, model.spec, (request.init_image, request.end_image))
        report.step(0, 0, 0, "conditioning")
        with self._clock():
            frames = model.context.generate_video(request, command.run)
        if not frames:
            raise RunFailed("the library returned no frames")
        return judge.judge(*crop_pictures(frames, (params.width, params.height)))

    def _enlarge(self, command: RunJob, params: UpscaleParams, report: Report) -> Judged:
        image = read_image(command.inputs.get("image"), "RGB")
        if image is None or self._upscaler is None:
            raise RunFailed("there is no picture, or no upscaler is loaded in the engine")
        total = passes(self._upscaler.factor, params.upscale_factor, params.repeats)
        report.step(0, total, 0, "upscaling")
        done = iter(range(1, total + 1))
        given = picture_of(image)
        picture = self._upscale(
            given,
            command.run,
            factor=params.upscale_factor,
            repeats=params.repeats,
            on_pass=lambda: report.step(next(done), total, 0, "upscaling"),
        )
        return judge_enlarged([picture], [given], params.upscaler.model.name)

    def _upscale(
        self,
        picture: RawPicture,
        run: int,
        *,
        factor: int | None = None,
        repeats: int = 1,
        on_pass: Callable[[], None] = lambda: None,
    ) -> RawPicture:
        upscaler = self._upscaler
        if upscaler is None:
            raise RunFailed("no upscaler is loaded in the engine")

        def one_pass(given: RawPicture) -> RawPicture:
            image = RawImage(given.width, given.height, given.channels, given.pixels)
            with self._clock():
                larger = picture_of(upscaler.upscale(image, run=run))
            on_pass()
            return larger

        return enlarge(picture, one_pass, native_factor=upscaler.factor, factor=factor, repeats=repeats)

    def _convert(self, params: ConvertParams, report: Report) -> None:
        report.step(0, 100, 0, "converting")
        with whole_input(params, lambda percent: report.step(percent, 100, 0, "converting")) as found:
            if found is not None:
                self._convert_file(found[0], params, found[1])
        report.step(100, 100, 0, "converting")

    def _convert_file(self, path: str, params: ConvertParams, tell: Callable[[int], None]) -> None:
        """The library counts tensors while it converts them in memory; then only the growing file tells of progress."""
        output = params.output.path
        with watch_written(output, params.expected_bytes, tell) as hear_tensors:
            self._hear_tensors = hear_tensors
            try:
                with self._clock():
                    convert(
                        path,
                        output,
                        params.output_type,
                        vae_path=params.vae.path if params.vae else None,
                        tensor_type_rules=params.tensor_type_rules,
                        library=self._open(),
                    )
            except NativeError as error:
                why = why_unwritten(output)
                if why is None:
                    raise
                raise RunFailed(f"The result could not be written: {why} ({error})", code="output_failed") from error
            finally:
                self._hear_tensors = None

    def cancel(self, run: int) -> None:
        if self._library is not None:
            self._library.cancel(run)

    def set_preview(self, settings: PreviewSettings) -> None:
        self._previews.settings = settings

    def watch_previews(self, is_watched: bool) -> None:
        self._previews.is_watched = is_watched

    def devices(self) -> tuple[Device, ...]:
        library = self._open()
        # ggml's device list is made on first use; two threads must not both make it.
        with self._lock:
            found = native_devices.list_devices(library)
        return self._note_devices(found)

    def _note_devices(self, found: Iterable[NativeDevice]) -> tuple[Device, ...]:
        self._device_list = tuple(device_of(device) for device in found)
        return self._device_list

    def threads(self) -> ThreadsUsed | None:
        return self._tuner.describe()

    def _open(self) -> Library:
        assert self._library is not None, "ready() comes first"
        return self._library

    @contextlib.contextmanager
    def _clock(self) -> Iterator[None]:
        """Around a call of the library: its time is told apart from ours."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._native_seconds += time.perf_counter() - started

    def _has_gpu(self) -> bool:
        return any(device.is_gpu for device in self._device_list)

    def _begin(
        self, command: RunJob, params: SamplingParams, spec: LoadSpec, sources: tuple[RawImage | None, ...]
    ) -> BlankJudge:
        """Before something is drawn: previews are installed, and judged from here on."""
        mode = self._previews.begin_run(params, spec)
        self._open().set_preview(None if mode == "none" else self._hear_preview, mode, wanted=self._wants_preview)
        self._run = command.run
        self._judge = BlankJudge(params, [picture_of(image) for image in sources if image is not None])
        return self._judge

    def _wants_preview(self, step: int) -> bool:
        follower = self._follower
        return follower is not None and self._previews.begin_step(step, follower.steps)

    def _hear_log(self, level: int, line: str) -> None:
        if level >= _WARNING:
            self._calls.hear(line)
        # Straight to the engine log: logging's own locks are not to be taken on the library's threads.
        os.write(2, f"[{level}] {line}\n".encode(errors="replace"))
        if (follower := self._follower) is not None and follower.hear_log(line):
            self._previews.begin_decoding()

    def _hear_progress(self, step: int, steps: int, _seconds: float) -> None:
        if self._hear_tensors is not None:
            self._hear_tensors(step, steps)
            return
        if (follower := self._follower) is not None:
            follower.hear_progress(step, steps)

    def _hear_preview(self, step: int, frames: object, is_noisy: bool) -> None:
        if (follower := self._follower) is None or not isinstance(frames, list) or not frames:
            return
        with self._previews.looking():
            pictures, at = [picture_of(frame) for frame in frames], follower.steps_before + abs(step)
            if self._judge is not None and self._judge.hear_preview(at, pictures, follower.image):
                self.cancel(self._run)
        self._previews.show(lambda: follower.report.preview(at, len(pictures), pictures[0], is_noisy))
