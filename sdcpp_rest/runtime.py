"""Builds every service once, starts them in order, and stops them in order.

Knows no Flask: routes get a `Runtime` and ask it. What a service does is its own business.
"""

from __future__ import annotations

import functools
import importlib.metadata
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from sdcpp_rest.config import Config
from sdcpp_rest.durable_files import make_folder
from sdcpp_rest.engine.engine_process import EngineProcess
from sdcpp_rest.engine.launchers import InlineLauncher, Launcher, ProcessLauncher
from sdcpp_rest.engine.places import EnginePlace, engine_file
from sdcpp_rest.engine.waiting import waiting_environment
from sdcpp_rest.engine.worker_options import WorkerOptions
from sdcpp_rest.errors import Conflict
from sdcpp_rest.groups.core_groups import (
    build_jobs,
    build_models,
    build_settings,
)
from sdcpp_rest.groups.download_group import build_downloads
from sdcpp_rest.groups.engine_group import Launchers, build_engine, share_options
from sdcpp_rest.groups.estimate_groups import build_estimates
from sdcpp_rest.groups.late_group import LateGroup
from sdcpp_rest.services.audit_log import AuditLog
from sdcpp_rest.services.boot_mark import BootMark
from sdcpp_rest.services.dispatch.engine_calls import EngineCalls
from sdcpp_rest.services.dispatch.holding import Holding
from sdcpp_rest.services.engines_status import EnginesStatus
from sdcpp_rest.services.housekeeping import Housekeeping
from sdcpp_rest.services.jobs.job_reader import FILE_KINDS
from sdcpp_rest.services.jobs.kept_answers import KeptAnswers
from sdcpp_rest.services.key_record import record_keys
from sdcpp_rest.services.login_sessions import LoginSessions
from sdcpp_rest.services.metrics import Metrics
from sdcpp_rest.services.models.extra_folders import ExtraFolders, find_extra_folders
from sdcpp_rest.services.models.load_specs import LoadRequest
from sdcpp_rest.services.models.model_library import KnownSums, ModelLibrary
from sdcpp_rest.services.path_redaction import PathRedaction
from sdcpp_rest.services.server_status import ServerStatus
from sdcpp_rest.services.session_seal import SECRET_FILE, SessionSeal
from sdcpp_rest.services.waiting_reasons import WaitingReasons
from sdcpp_rest.services.web_page import WebPage
from sdcpp_rest.store.backups import Backups
from sdcpp_rest.store.hash_store import HashStore
from sdcpp_rest.store.job_store import JobStore
from sdcpp_rest.store.key_store import KeyStore

if TYPE_CHECKING:
    from sdcpp_rest.groups.cluster_group import ClusterServices
    from sdcpp_rest.groups.language_group import LanguageServices
    from sdcpp_rest.groups.submission_group import SubmissionServices
    from sdcpp_rest.groups.upkeep_groups import UpkeepServices
    from sdcpp_rest.services.submission.picture_metadata import PictureMetadata

log = logging.getLogger(__name__)

VERSION = importlib.metadata.version("sdcpp-rest")
DEMO_ROOT = Path(__file__).parent / "demo"
DEMO_MODEL = "demo_dit_q8_0.gguf"


class Runtime:
    """Holds the services of the whole server, in groups, and starts and stops them.

    Args:
        config: how the process was started.
        launcher: how engines are started; a process of its own unless a test wants a thread.
        process: runs already, and becomes the first engine.
        is_server: false for the length of one command: no model is chosen by itself, and nothing is cleared away in
            the model folders, where a server may be writing.

    Raises Conflict when another server holds the data folder.
    """

    def __init__(
        self,
        config: Config,
        *,
        launcher: Launcher | None = None,
        process: EngineProcess | None = None,
        is_server: bool = True,
    ) -> None:
        self.config = config
        self._is_server = is_server
        self.version = VERSION
        paths = config.paths
        for folder in (paths.data_dir, paths.output_dir, paths.log_dir):
            make_folder(folder)
        self._folder_lock = _lock_folder(paths.data_dir)
        self._backups = Backups(paths.data_dir / "sdcpp_rest.db", config.housekeeping.backup_hours * 3600)
        self._database = database = self._backups.open()
        own = (
            paths.output_dir / ".spool",
            paths.output_dir,
            paths.models_dir,
            paths.log_dir,
            paths.data_dir,
            DEMO_ROOT,
        )
        self.redact_paths = PathRedaction((*own, *extra_paths(config)))
        sums, calls, holding = HashStore(database), EngineCalls(), Holding()
        self.kept_answers = KeptAnswers(
            KeyStore(database), JobStore(database), paths.data_dir / "answers", config.queue.kept_answers_bytes
        )
        self.settings = build_settings(config, database)
        self._seal = SessionSeal(paths.data_dir / SECRET_FILE)
        self.audit = AuditLog(paths.log_dir)
        self.page = WebPage(paths.webui_dir)
        self.logins = LoginSessions(config, seal=self._seal, store=self.settings.store)
        self.jobs = build_jobs(config, database, self.settings)
        self.models = build_models(
            config,
            open_library(config, sums.known_hashes),
            sums,
            self.settings,
            self.jobs,
            calls,
            holding,
            memory=lambda: self.status.home_memory(),
            ready=lambda: self.engine.supervisor.ready,
        )
        self.engine = build_engine(
            config,
            _process_launchers(config, process) if launcher is None else lambda place, number: launcher,
            self.settings,
            self.jobs,
            self.models,
            calls,
            holding,
            version=self.version,
            redact_paths=self.redact_paths,
            on_start=self._recover,
        )
        self.cluster = self._build_cluster() if config.cluster.address else None
        self.status = ServerStatus(
            EnginesStatus(
                self.engine.pool,
                self.jobs.queue,
                redact_paths=self.redact_paths,
                describe_cluster=None if self.cluster is None else self.cluster.describe,
            ),
            self.models.slot,
            self.models.upscalers,
            self.jobs.queue,
            version=self.version,
            computes=config.engine.runner == "native",
            asks_for_key=config.auth.is_on,
            redact_paths=self.redact_paths,
            database=self._backups,
        )
        has_cluster = self.cluster is not None
        self.waiting_reasons = WaitingReasons(self.status.engines, self.jobs.queue, has_cluster=has_cluster)
        self.estimates = build_estimates(database, self.jobs, self.models, self.engine, self.status)
        self.downloads = build_downloads(
            config, self.jobs, self.models, redact_paths=self.redact_paths, is_server=is_server
        )
        self.metrics = Metrics(
            self.version,
            self.status.snapshot,
            lambda: self.jobs.bus.subscriber_count,
            lambda: self.status.engines.describe()["engines"],
            lambda: None if self.cluster is None else self.cluster.describe_history(),
        )
        self.housekeeping = Housekeeping(
            config.housekeeping,
            self.jobs.queue,
            self.models.slot,
            self.settings.user,
            self.jobs.recycle_bin,
            upscalers=self.models.upscalers,
            also=(self._backups.make_if_due,),
            by_age=(self.jobs.gallery.purge_expired, self.kept_answers.drop_old),
        )
        self.jobs.queue.wake_on_submit(self.downloads.lane.wake, FILE_KINDS)
        self.jobs.queue.call_on_finish(self.metrics.count_job)
        self.jobs.queue.call_on_requeue(self.metrics.count_requeue)
        self.jobs.queue.call_on_finish(self.downloads.lane.job_finished)
        self._stop_lock = threading.Lock()
        self._started = self._stopping = self._stopped = False

    def _build_cluster(self) -> ClusterServices:
        from sdcpp_rest.groups.cluster_group import build_cluster

        roots = {"models": self.config.paths.models_dir, "demo": DEMO_ROOT}
        return build_cluster(self.config, self.settings, self.jobs, self.engine, roots)

    @LateGroup
    def submission(self) -> SubmissionServices:
        """What makes jobs of requests."""
        from sdcpp_rest.groups.submission_group import build_submission

        reasons = self.waiting_reasons if self.cluster is not None else None
        return build_submission(self.config, self.settings, self.jobs, self.models, self.engine, self.status, reasons)

    @LateGroup
    def metadata(self) -> PictureMetadata:
        """What reads the settings that are in pictures' files."""
        from sdcpp_rest.services.submission.picture_metadata import PictureMetadata

        return PictureMetadata(self.config.limits, self.models.library, self.models.hashes)

    @LateGroup
    def language(self) -> LanguageServices:
        """Language models, and what describes pictures."""
        from sdcpp_rest.groups.language_group import build_language

        built = build_language(self.config, self._database, self.settings, self.jobs, self.models, self.status)
        if self._stopping:
            built.lines.close()
        return built

    @LateGroup
    def upkeep(self) -> UpkeepServices:
        """What keeps the server and its files in order."""
        from sdcpp_rest.groups.upkeep_groups import build_upkeep

        redact = self.redact_paths
        return build_upkeep(
            self.config, self.jobs, self.models, self.engine, lambda: self.language, self.status, redact_paths=redact
        )

    @property
    def default_model(self) -> str:
        """The model that is selected when none was before; empty for none."""
        return self.config.models.default or (DEMO_MODEL if self.config.models.include_demo else "")

    def start(self) -> None:
        """Begin to work; returns at once. Recovery, the engine's start and the model's load go on in the background.
        Idempotent."""
        with self._stop_lock:
            if self._started:
                return
            self._started = True
        self.jobs.outputs.sweep_inputs(JobStore(self._database).find_known)
        if self._is_server:
            record_keys(self.config.auth, self._seal, self.settings.store, self.audit)
        # Chosen before anybody can ask: the first request after a start binds to it, while it is still being loaded.
        default = self.default_model if self._is_server else ""
        self.models.slot.restore(LoadRequest(model_name=default) if default else None)
        self.models.upscalers.restore()
        self.engine.pool.start()
        self.housekeeping.start()
        self.jobs.gallery.index.start()

    def begin_stop(self) -> None:
        """Take no new jobs and release everybody who waits. Idempotent."""
        self._stopping = True
        # Before the queue: what nobody waits for is cancelled, and not left for the next start.
        self.jobs.abandoned.close()
        self.jobs.queue.close()
        self.engine.pool.close_calls()
        self.models.hashes.close()
        self.models.uploads.close()
        language = Runtime.language.find(self)
        if language is not None:
            language.lines.close()

    def stop(self) -> None:
        """Stop in order: no new work, what runs gets its time or goes back to pending, the engine ends, files close."""
        self.begin_stop()
        with self._stop_lock:
            if self._stopped:
                return
            self._stopped = True
            self.housekeeping.stop()
            self.jobs.gallery.index.stop()
            self.downloads.lane.stop()
            if self.cluster is not None:
                self.cluster.lanes.close()
            self.engine.pool.stop(self.config.engine.stop_timeout_seconds)
            self.engine.pool.stop_engines()
            if self.cluster is not None:
                self.cluster.stop()
            self._backups.close()
            self._folder_lock.release()

    def _recover(self) -> None:
        try:
            boot = BootMark(self.settings.store)
            finishing = self.engine.finishing
            self.jobs.queue.recover(finishing.finish_from_spool if boot.is_same() else lambda job: None)
            self.jobs.outputs.sweep()
            boot.put()
            if self._is_server:
                self.models.conversions.sweep()
                self.models.uploads.sweep()
        finally:
            # Not before: what it claims would look interrupted to the recovery.
            self.downloads.lane.start()
            if self.cluster is not None:
                self.cluster.start()


def open_library(config: Config, known_sums: Callable[[], KnownSums] | None = None) -> ModelLibrary:
    """The model files that ``config`` shows: the user's folders, other programs' and, unless switched off, the bundled
    demo model's.
    ``known_sums``: what files are found by, besides their names."""
    demo_root = DEMO_ROOT if config.models.include_demo else None
    return ModelLibrary(
        config.paths.models_dir,
        config.models.type_folders,
        demo_root,
        known_sums,
        follow_links=config.paths.follow_links,
        find_extra=extra_folders_of(config),
    )


def extra_folders_of(config: Config) -> Callable[[], ExtraFolders] | None:
    """What finds the folders of `paths.extra_model_dirs`; ``None`` where there are none."""
    given = config.paths.extra_model_dirs
    return functools.partial(find_extra_folders, given) if given else None


def extra_paths(config: Config) -> set[Path]:
    """Other programs' folders: what is in `paths.extra_model_dirs`, and what that leads to."""
    find_extra = extra_folders_of(config)
    if find_extra is None:
        return set()
    found = find_extra()
    return {
        *config.paths.extra_model_dirs,
        *found.photo_makers,
        *(folder.path for folders in found.by_type.values() for folder in folders),
    }


def inline_launcher(make_runner: Any) -> Launcher:
    """An engine in a thread of this process, for tests."""
    return InlineLauncher(make_runner)


def _process_launchers(config: Config, process: EngineProcess | None) -> Launchers:
    """``process``: the home engine's first."""
    started = [process] if process is not None else []
    return lambda place, number: ProcessLauncher(
        engine_options(config, place, number), started.pop() if number == 1 and started else None
    )


def engine_options(config: Config, place: EnginePlace, number: int) -> WorkerOptions:
    """How the engine process of ``place`` is started; ``number`` counts from 1 for the home engine."""
    own = dict(place.environment)
    return replace(
        share_options(config),
        log_path=str(config.paths.log_dir / engine_file(number, "log")),
        last_words_path=str(config.paths.data_dir / engine_file(number, "last_words")),
        n_threads=place.n_threads,
        chooses_threads=place.chooses_threads,
        environment=tuple({**waiting_environment({**os.environ, **own}), **own}.items()),
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
