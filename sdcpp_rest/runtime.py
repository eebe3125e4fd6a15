"""Builds every service once, starts them in order, stops them in order. No Flask: routes get a Runtime and ask it."""

from __future__ import annotations

import importlib.metadata
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from sdcpp_rest.config import Config
from sdcpp_rest.core.sampling import SAMPLERS, SCHEDULERS
from sdcpp_rest.engine.launchers import InlineLauncher, Launcher, ProcessLauncher
from sdcpp_rest.engine.protocol import Ready
from sdcpp_rest.engine.supervisor import EngineSupervisor
from sdcpp_rest.engine.worker import WorkerOptions
from sdcpp_rest.errors import Conflict
from sdcpp_rest.services.describing.interrogation import Interrogation
from sdcpp_rest.services.dispatch.dispatcher import Dispatcher
from sdcpp_rest.services.dispatch.engine_calls import EngineCalls
from sdcpp_rest.services.dispatch.job_finishing import JobFinishing
from sdcpp_rest.services.dispatch.model_slot import ModelSlot
from sdcpp_rest.services.dispatch.residency import Residency
from sdcpp_rest.services.dispatch.upscaler_slot import UpscalerSlot
from sdcpp_rest.services.downloads.download_lane import DownloadLane
from sdcpp_rest.services.downloads.download_places import DownloadPlaces
from sdcpp_rest.services.downloads.download_submission import Downloads, Sources
from sdcpp_rest.services.housekeeping import Housekeeping
from sdcpp_rest.services.jobs.active_jobs import ActiveJobs
from sdcpp_rest.services.jobs.event_bus import EventBus
from sdcpp_rest.services.jobs.job_entry import JobEntry
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.jobs.recycle_bin import RecycleBin
from sdcpp_rest.services.language.assistant import Assistant
from sdcpp_rest.services.language.assistant_situation import Situation
from sdcpp_rest.services.language.llm_connection import OpenLines
from sdcpp_rest.services.language.llm_settings import LlmSettings
from sdcpp_rest.services.language.prompt_enhancer import PromptEnhancer
from sdcpp_rest.services.metrics import Metrics
from sdcpp_rest.services.models.fit_estimate import FitEstimates
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.services.models.load_checks import check_loadable
from sdcpp_rest.services.models.load_specs import LoadRequest
from sdcpp_rest.services.models.model_conversion import Conversions
from sdcpp_rest.services.models.model_detection import ModelDetection
from sdcpp_rest.services.models.model_library import KnownSums, ModelLibrary
from sdcpp_rest.services.models.model_upload import ModelUploads
from sdcpp_rest.services.path_redaction import PathRedaction
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.services.settings.dialect_options import DialectOptions
from sdcpp_rest.services.settings.preview_settings import PreviewChoice
from sdcpp_rest.services.settings.prompt_styles import PromptStyles
from sdcpp_rest.services.settings.user_settings import UserSettings
from sdcpp_rest.services.submission.job_defaults import JobDefaults
from sdcpp_rest.services.submission.model_choice import ModelChoice
from sdcpp_rest.services.submission.model_titles import ModelTitles
from sdcpp_rest.services.submission.picture_checks import PictureChecks
from sdcpp_rest.services.submission.picture_enlarging import PictureEnlarging
from sdcpp_rest.services.submission.picture_runs import PictureRuns
from sdcpp_rest.services.submission.picture_submission import Submission
from sdcpp_rest.services.submission.rounds import Rounds
from sdcpp_rest.services.submission.sampling_intake import SamplingIntake
from sdcpp_rest.services.submission.upscale_submission import UpscaleSubmission
from sdcpp_rest.services.submission.video_submission import VideoSubmission
from sdcpp_rest.store.bin_store import BinStore
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.hash_store import HashStore
from sdcpp_rest.store.history_store import Conversation, EnhancementHistory
from sdcpp_rest.store.job_store import JobStore
from sdcpp_rest.store.settings_store import SettingsStore

log = logging.getLogger(__name__)

VERSION = importlib.metadata.version("sdcpp-rest")
DEMO_ROOT = Path(__file__).parent / "demo"
DEMO_MODEL = "demo_dit_q8_0.gguf"


class Runtime:
    """The whole server but for its sockets.

    Args:
        config: how the process was started.
        launcher: how engines are started; a process of its own unless a test wants a thread.
        is_server: false for the length of one command: no model is chosen by itself, and nothing is cleared away in
            the model folders, where a server may be writing.

    Raises Conflict when another server holds the data folder.
    """

    def __init__(self, config: Config, *, launcher: Launcher | None = None, is_server: bool = True) -> None:
        self.config = config
        self._is_server = is_server
        self.version = VERSION
        paths = config.paths
        for folder in (paths.data_dir, paths.output_dir, paths.log_dir):
            folder.mkdir(parents=True, exist_ok=True)
        self._folder_lock = _lock_folder(paths.data_dir)
        self._database = Database(paths.data_dir / "sdcpp_rest.db")
        self.settings = SettingsStore(self._database)
        self.bus = EventBus()
        self.outputs = Outputs(paths.output_dir, paths.data_dir / "inputs")
        sums = HashStore(self._database)
        self.library = open_library(config, sums.known_hashes)
        self.detection = ModelDetection(self.library)
        self.redact_paths = PathRedaction(
            (paths.output_dir / ".spool", paths.output_dir, paths.models_dir, paths.log_dir, paths.data_dir, DEMO_ROOT)
        )
        self.active = active = ActiveJobs()
        self.user_settings = UserSettings(self.settings, config.housekeeping)
        jobs = JobStore(self._database)
        self.recycle_bin = RecycleBin(jobs, BinStore(self._database), self.outputs, self.user_settings)
        self.queue = JobQueue(
            jobs,
            self.settings,
            self.bus,
            self.outputs,
            active,
            max_pending=config.limits.pending_jobs,
            max_requeues=config.queue.max_requeues,
        )
        self._calls = EngineCalls()
        self.models = ModelSlot(self.library, self.settings, self._calls, self.queue.pending_bound_to)
        self.upscalers = UpscalerSlot(self.library, self.settings, self._calls)
        self.supervisor = EngineSupervisor(
            launcher or _process_launcher(config),
            on_run_event=lambda event: self.dispatcher.take_run_event(event),
            on_death=lambda error: self.dispatcher.engine_died(error),
            start_timeout_seconds=config.engine.start_timeout_seconds,
            backoff_initial_seconds=config.engine.backoff_initial_seconds,
            backoff_max_seconds=config.engine.backoff_max_seconds,
        )
        self.previews = PreviewChoice(self.settings, self.supervisor, config.preview)
        self.hashes = ModelHashes(self.library, sums)
        self.uploads = ModelUploads(self.library, paths.models_dir)
        self.fits = FitEstimates(self.library, self.memory, lambda: self.models.resident)
        residency = Residency(
            self.supervisor,
            self.models,
            self.upscalers,
            self.bus,
            check_spec=check_loadable if config.engine.runner == "native" else lambda spec: None,
            redact_paths=self.redact_paths,
        )
        self._finishing = JobFinishing(
            self.queue,
            self.outputs,
            lambda: self.supervisor.ready,
            version=self.version,
            redact_paths=self.redact_paths,
            on_converted=self.library.refresh,
        )
        self.dispatcher = Dispatcher(
            self.supervisor,
            self.queue,
            active,
            self._calls,
            residency,
            self._finishing,
            self.outputs,
            self.bus,
            version=self.version,
            cancel_timeout_seconds=config.engine.cancel_timeout_seconds,
            on_engine_trouble=self._note_trouble,
            on_start=self._recover,
        )
        self.job_entry = JobEntry(self.queue, self.outputs)
        self.sampling_intake = SamplingIntake(
            config.limits,
            self.library,
            JobDefaults(config.limits, self.library, self.user_settings),
            lambda: self.supervisor.ready,
        )
        self.submission = Submission(
            self.models,
            self.sampling_intake,
            PictureChecks(config.limits, self.library, self.upscalers, self._all_memory_bytes),
            self.job_entry,
        )
        self.picture_runs = PictureRuns(self.submission, self.queue)
        self.model_choice = ModelChoice(self.library, self.models, self.hashes)
        self.video_submission = VideoSubmission(
            self.models, self.sampling_intake, self.job_entry, self._all_memory_bytes
        )
        self.conversions = Conversions(self.queue, self.library)
        self.upscale_submission = UpscaleSubmission(config, self.queue, self.upscalers, self.outputs, self.job_entry)
        self.rounds = Rounds(self.queue, active)
        self.titles = ModelTitles(self.library, self.hashes, self.models, self.model_choice)
        self.enlarging = PictureEnlarging(
            self.upscale_submission, self.upscalers, self.rounds, self.outputs, config.limits.upscaled_side
        )
        self.a1111_options = DialectOptions(self.settings, "a1111")
        self.prompt_styles = PromptStyles(Path(config.a1111.styles_file or paths.data_dir / "styles.csv").expanduser())
        self.housekeeping = Housekeeping(
            config.housekeeping,
            self.queue,
            self.models,
            self.user_settings,
            self.recycle_bin,
            upscalers=self.upscalers,
        )
        self.llm_lines = OpenLines()
        self.prompt_enhancer = PromptEnhancer(
            LlmSettings(self.settings, "llm.ollama", config.ollama, config.llm),
            EnhancementHistory(self._database),
            self.llm_lines,
            max_characters=config.limits.prompt_characters,
        )
        self.assistant = Assistant(
            LlmSettings(self.settings, "llm.assistant", config.assistant, config.llm),
            Conversation(self._database),
            self.llm_lines,
            Situation(self.health, self.options, self.library, self.queue),
            context_tokens=config.assistant.context_tokens,
        )
        self.interrogation = Interrogation(
            config.interrogate, paths.models_dir, self.prompt_enhancer.settings, self.llm_lines
        )
        self.metrics = Metrics(self.version, self.status, lambda: self.bus.subscriber_count)
        sources, places = Sources(config.downloads), DownloadPlaces(self.uploads)
        self.downloads = Downloads(sources, self.queue, self.uploads, places, self.outputs)
        self.download_lane = DownloadLane(
            config.downloads,
            sources,
            self.downloads,
            places,
            self.queue,
            self.library,
            self.uploads,
            self.hashes,
            self.outputs,
            self.bus,
            redact_paths=self.redact_paths,
            is_server=is_server,
        )
        self.queue.wake_on_submit(self.download_lane.wake)
        self.queue.call_on_finish(self.metrics.count_job)
        self.queue.call_on_finish(self.download_lane.job_finished)
        self._process = psutil.Process()
        self._stop_lock = threading.Lock()
        self._stopped = False

    @property
    def default_model(self) -> str:
        """The model that is selected when none was before; empty for none."""
        return self.config.models.default or (DEMO_MODEL if self.config.models.include_demo else "")

    def start(self) -> None:
        """Begin to work; returns at once. Recovery, the engine's start and the model's load go on in the background."""
        # Chosen before anybody can ask: the first request after a start binds to it, while it is still being loaded.
        default = self.default_model if self._is_server else ""
        self.models.restore(LoadRequest(model_name=default) if default else None)
        self.upscalers.restore()
        self.dispatcher.start()
        self.housekeeping.start()

    def begin_stop(self) -> None:
        """Take no new jobs and release everybody who waits. Idempotent."""
        self.queue.close()
        self._calls.close()
        self.hashes.close()
        self.uploads.close()
        self.llm_lines.close()

    def stop(self) -> None:
        """Stop in order: no new work, what runs gets its time or goes back to pending, the engine ends, files close."""
        self.begin_stop()
        with self._stop_lock:
            if self._stopped:
                return
            self._stopped = True
            self.housekeeping.stop()
            self.download_lane.stop()
            self.dispatcher.stop(self.config.engine.stop_timeout_seconds)
            self.supervisor.stop()
            self._database.close()
            self._folder_lock.release()

    def health(self) -> dict[str, Any]:
        """The body of ``GET /health``."""
        models, resident, loading = self.models, self.models.resident, self.models.loading
        supervisor = self.supervisor
        client, ready = supervisor.client, supervisor.ready
        architecture = models.loaded.architecture if models.loaded else None
        upscaler = self.upscalers.resident
        return {
            "status": "ok",
            "model_loaded": resident is not None,
            "model_loading": loading is not None,
            "loading_model_name": loading.model.name if loading else None,
            "last_error": self.redact_paths(models.last_error) if models.last_error else None,
            "model_name": resident.model.name if resident else None,
            "model_type": resident.kind if resident else None,
            "model_architecture": (architecture or resident.architecture) if resident else None,
            "loaded_components": resident.component_names if resident else {},
            "upscaler_loaded": upscaler is not None,
            "upscaler_name": upscaler.model.name if upscaler else None,
            "selected_model_name": models.selected.model.name if models.selected else None,
            "version": self.version,
            "engine": {
                "pid": client.pid if client is not None and client.alive else None,
                "state": supervisor.state,
                "backend": ready.backend if ready else None,
                "restarts": supervisor.restarts,
                "library_version": ready.library_version if ready else None,
            },
        }

    def memory(self) -> dict[str, Any]:
        """Bytes held by the server and its engine, and the devices' free memory; from the engine's last report."""
        client = self.supervisor.client
        report = client.memory if client is not None and client.alive else None
        devices = report.devices if report else (self.supervisor.ready.devices if self.supervisor.ready else ())
        system = psutil.virtual_memory()
        return {
            "server": {"rss_bytes": self._process.memory_info().rss},
            "engine": {"rss_bytes": report.rss_bytes if report else None},
            "system": {"total_bytes": system.total, "available_bytes": system.available},
            "devices": [device.model_dump() for device in devices],
        }

    def options(self) -> dict[str, Any]:
        """The body of ``GET /options``: the engine's own lists, also while it is being replaced."""
        ready = self.supervisor.ready or Ready(pid=0, library_version="", samplers=SAMPLERS, schedulers=SCHEDULERS)
        return {
            "samplers": list(ready.samplers),
            "schedulers": list(ready.schedulers),
            "quantization_types": [entry.model_dump() for entry in ready.quantization_types],
        }

    def status(self) -> dict[str, Any]:
        """The data of the ``server_status`` event."""
        counts: Mapping[str, int] = self.queue.counts()
        queue = {f"{name}_count": count for name, count in counts.items()}
        return {**self.health(), "queue": queue, "memory": self.memory()}

    def _all_memory_bytes(self) -> int | None:
        """Main memory, swap and the devices' own together; ``None`` while nothing real computes."""
        ready = self.supervisor.ready
        if self.config.engine.runner != "native" or ready is None:
            return None
        devices = sum(device.total_bytes for device in ready.devices if device.is_gpu)
        return int(psutil.virtual_memory().total + psutil.swap_memory().total + devices)

    def _note_trouble(self, message: str) -> None:
        self.models.last_error = message

    def _recover(self) -> None:
        try:
            self.queue.recover(self._finishing.finish_from_spool)
            self.outputs.sweep()
            if self._is_server:
                self.conversions.sweep()
                self.uploads.sweep()
        finally:
            # Not before: what it claims would look interrupted to the recovery.
            self.download_lane.start()


def open_library(config: Config, known_sums: Callable[[], KnownSums] | None = None) -> ModelLibrary:
    """The model files that ``config`` shows: the user's folders and, unless switched off, the bundled demo model's.
    ``known_sums``: what files are found by, besides their names."""
    demo_root = DEMO_ROOT if config.models.include_demo else None
    return ModelLibrary(
        config.paths.models_dir,
        config.models.type_folders,
        demo_root,
        known_sums,
        follow_links=config.paths.follow_links,
    )


def inline_launcher(make_runner: Any) -> Launcher:
    """An engine in a thread of this process, for tests."""
    return InlineLauncher(make_runner)


def _process_launcher(config: Config) -> Launcher:
    return ProcessLauncher(
        WorkerOptions(
            runner=config.engine.runner,
            log_path=str(config.paths.log_dir / "engine.log"),
            last_words_path=str(config.paths.data_dir / "engine.last_words"),
            n_threads=config.engine.n_threads,
            nice=config.engine.nice,
            log_max_bytes=config.engine.log_max_bytes,
            memory_interval_seconds=config.engine.memory_interval_seconds,
        )
    )


def _lock_folder(data_dir: Path) -> FileLock:
    """A kernel lock on the data folder: it goes away with the process, however that ends."""
    # Not per thread: the thread that stops the server need not be the one that built it.
    lock = FileLock(data_dir / "server.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Conflict(f"Another sdcpp-rest server is using the data folder {data_dir}") from None
    return lock
