"""Builds the engines with their lanes, as `Runtime` offers them as ``engine``. Knows no Flask and no sockets."""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import psutil

from sdcpp_rest.config import Config
from sdcpp_rest.core.events import EngineChanged
from sdcpp_rest.core.job import Job, JobKind
from sdcpp_rest.engine.client import RunEvent
from sdcpp_rest.engine.launchers import Launcher
from sdcpp_rest.engine.places import EnginePlace, find_device, gpu_kinds, gpu_names, places_of
from sdcpp_rest.engine.protocol import Ready, gpu_backend
from sdcpp_rest.engine.supervisor import EngineSupervisor
from sdcpp_rest.engine.worker_options import WorkerOptions
from sdcpp_rest.errors import EngineDied, EngineLost
from sdcpp_rest.groups.core_groups import JobServices, ModelServices, Redact, SettingsServices, tell_added
from sdcpp_rest.services.dispatch.engine_calls import EngineCalls
from sdcpp_rest.services.dispatch.engine_pool import AffinityRules, EnginePool
from sdcpp_rest.services.dispatch.holding import Holding
from sdcpp_rest.services.dispatch.job_finishing import JobFinishing
from sdcpp_rest.services.dispatch.lane import Lane
from sdcpp_rest.services.dispatch.leftovers import Leftovers
from sdcpp_rest.services.dispatch.model_keeping import ModelKeeping
from sdcpp_rest.services.dispatch.models_everywhere import ModelsEverywhere
from sdcpp_rest.services.dispatch.read_ahead import ReadAhead
from sdcpp_rest.services.dispatch.residency import Residency
from sdcpp_rest.services.dispatch.run_reports import RunReports
from sdcpp_rest.services.dispatch.strikes import Strikes
from sdcpp_rest.services.engines_status import free_bytes_now, model_memory
from sdcpp_rest.services.jobs.job_reader import ENGINE_KINDS
from sdcpp_rest.services.models.load_checks import check_loadable
from sdcpp_rest.services.models.model_fit import job_bytes, model_bytes
from sdcpp_rest.services.settings.preview_settings import PreviewChoice

log = logging.getLogger(__name__)

_NOT_STOPPED_SECONDS = 5.0

Launchers = Callable[[EnginePlace, int], Launcher]
"""What starts the engines of a place; its number counts from 1 for the home engine."""

OnEnd = Callable[[bool], None]
"""Is told when an engine on another machine was lost, which had started, or could not start: whether it was lost."""


@dataclass(frozen=True)
class EngineServices:
    """The engine processes and who keeps them busy. ``pool`` has all of them, everything else is the home engine's."""

    pool: EnginePool
    everywhere: ModelsEverywhere
    previews: PreviewChoice
    build_remote: Callable[[str, Launcher, OnEnd, Callable[[], bool], Callable[[Job], bool]], Lane]
    """Builds the lane of an engine on another machine, of its name, what starts it, who is to hear of its end, who says
    whether a loss may be for the engine's job, and who says whether a job for which its machine has no room can be done
    elsewhere."""

    @property
    def home(self) -> Lane:
        return self.pool.home

    @property
    def calls(self) -> EngineCalls:
        return self.home.calls

    @property
    def supervisor(self) -> EngineSupervisor:
        return self.home.supervisor

    @property
    def finishing(self) -> JobFinishing:
        return self.home.finishing


def build_engine(
    config: Config,
    launchers: Launchers,
    settings: SettingsServices,
    jobs: JobServices,
    models: ModelServices,
    calls: EngineCalls,
    holding: Holding,
    *,
    version: str,
    redact_paths: Redact,
    on_start: Callable[[], None],
) -> EngineServices:
    """Build the lanes, of as many engines as are known of; ``calls`` and ``holding`` are the home engine's.

    ``on_start`` runs first on the home lane's thread.
    """
    queue = config.queue
    rules = AffinityRules(
        queue.affinity, queue.affinity_patience_seconds, queue.affinity_stay_seconds, queue.owner_share
    )
    pool = EnginePool(jobs.queue, jobs.active, rules)
    builder = _LaneBuilder(config, launchers, jobs, models, pool, version, redact_paths)
    devices, has_engine = config.engines.devices, config.engines.devices != "none"
    if builder.asked == "cpu:0":
        devices = ("cpu:0",)
    places = (builder.unnamed_place(),) if isinstance(devices, str) else builder.places(devices)

    def start_home() -> None:
        try:
            on_start()
        finally:
            pool.start_others()

    divide = functools.partial(_divide, pool, builder) if devices == "auto" else lambda: None
    pool.add(builder.build(places[0], calls, holding, on_start=start_home, on_ready=divide, has_engine=has_engine))
    for place in places[1:]:
        pool.add(builder.build(place, EngineCalls(), Holding()))
    jobs.previews.call_on_begin(pool.watch_previews)
    models.slot.reach_others(pool.others)
    models.upscalers.reach_others(pool.others)
    everywhere = ModelsEverywhere(pool, models.slot, models.library, redact_paths)
    previews = PreviewChoice(settings.store, pool, config.preview)
    return EngineServices(pool, everywhere, previews, builder.build_remote)


def share_options(config: Config) -> WorkerOptions:
    """What the engines of this server have in common, wherever they work."""
    engine = config.engine
    return WorkerOptions(
        runner=engine.runner,
        nice=engine.nice,
        log_max_bytes=engine.log_max_bytes,
        memory_interval_seconds=engine.memory_interval_seconds,
        preview_share=engine.preview_share,
    )


def _divide(pool: EnginePool, builder: _LaneBuilder) -> None:
    """Where the home engine sees several GPUs, give it the one that engine.device asks for, or one of them, and each
    other one an engine of its own; where there are variables for the engine that was found, start it again with them.
    On the home lane's thread. Raises EngineUnavailable."""
    home = pool.home
    ready = home.supervisor.ready
    if ready is None or builder.is_divided:
        return
    builder.is_divided = True
    chosen = find_device(builder.asked, ready) if builder.asked else None
    places = builder.places((chosen,) if chosen else gpu_names(ready) or (home.name,), ready)
    sees_others = bool(chosen) and sum(device.is_gpu for device in ready.devices) > 1
    if len(places) < 2 and not sees_others and not builder.has_variables(places[0]):
        return
    home.supervisor.move_to(builder.launchers(places[0], 1), places[0].name, places[0].find_fault)
    # Before the home engine is replaced, which may fail: the others do not need it.
    for place in places[1:]:
        pool.add(builder.build(place, EngineCalls(), Holding()), is_running=True)
    home.supervisor.replace(_NOT_STOPPED_SECONDS)


class _LaneBuilder:
    """Builds lanes with what all of them share."""

    def __init__(
        self,
        config: Config,
        launchers: Launchers,
        jobs: JobServices,
        models: ModelServices,
        pool: EnginePool,
        version: str,
        redact_paths: Redact,
    ) -> None:
        self._config = config
        self.launchers = launchers
        self._jobs = jobs
        self._models = models
        self._pool = pool
        self._version = version
        self._redact_paths = redact_paths
        self._strikes = Strikes()
        # Of the engines of this machine: those of others come and go between them.
        self._numbers = itertools.count(1)
        self.is_divided = False
        """Whether the home engine was looked at, and what it has found has engines."""

    @property
    def asked(self) -> str:
        """The device that the one engine is to have; empty for any."""
        asked = self._config.engine.device
        return "" if asked == "auto" else asked

    def places(self, names: tuple[str, ...], seen: Ready | None = None) -> tuple[EnginePlace, ...]:
        """Places for these names; ``seen``: what an engine said that sees all devices."""
        cores = psutil.cpu_count(logical=False) or 1
        engine = self._config.engine
        variables = self._config.engines.environment
        kinds = gpu_kinds(seen) if seen is not None else ()
        places = places_of(names, variables, cores=cores, n_threads=engine.n_threads, kinds=kinds)
        for name in sorted(variables.keys() - {"*", *(place.name for place in places)}):
            log.warning("engines.environment has variables for %s, and there is no such engine", name)
        return places

    def unnamed_place(self) -> EnginePlace:
        """Where the engine works that finds its device by itself."""
        asked = self._config.engine.n_threads
        threads = -1 if asked == "auto" else asked
        return EnginePlace("", n_threads=threads, chooses_threads=asked == "auto", asked=self.asked)

    def has_variables(self, place: EnginePlace) -> bool:
        """Whether the settings have variables for the engine of this place."""
        return bool(self._config.engines.environment.keys() & {"*", place.name})

    def build(
        self,
        place: EnginePlace,
        calls: EngineCalls,
        holding: Holding,
        *,
        on_start: Callable[[], None] = lambda: None,
        on_ready: Callable[[], None] = lambda: None,
        has_engine: bool = True,
        launcher: Launcher | None = None,
        kinds: Collection[JobKind] = ENGINE_KINDS,
        on_end: OnEnd = lambda was_lost: None,
        blames_jobs: Callable[[], bool] = lambda: True,
        passes_on: Callable[[Job], bool] = lambda job: False,
    ) -> Lane:
        """``launcher``: of an engine on another machine; ``blames_jobs``: asked when that is lost, whether it may be
        for its job; ``passes_on``: asked when there was no room for one."""
        config, jobs, models, pool = self._config, self._jobs, self._models, self._pool
        is_home = not pool.lanes
        reads_ahead = config.engine.read_ahead and launcher is None

        # The supervisor and its lane know each other: events begin only when the lane has started it.
        def take_run_event(event: RunEvent) -> None:
            lane.reports.take(event)

        ended = -1

        def note_end(*, was_lost: bool) -> None:
            # One that is lost while it starts is told of twice.
            nonlocal ended
            if ended != supervisor.restarts:
                ended = supervisor.restarts
                on_end(was_lost)

        def note_death(error: EngineDied) -> None:
            lane.engine_died(error)
            if isinstance(error, EngineLost):
                note_end(was_lost=error.had_started)
            if not is_home:
                jobs.bus.publish(EngineChanged(engine=lane.name))

        def note_trouble(message: str) -> None:
            if is_home:
                models.slot.last_error = message
            note_end(was_lost=False)

        supervisor = EngineSupervisor(
            launcher or self.launchers(place, next(self._numbers)),
            name=place.name,
            on_run_event=take_run_event,
            on_death=note_death,
            find_fault=place.find_fault if launcher is None else lambda ready: None,
            start_timeout_seconds=config.engine.start_timeout_seconds,
            backoff_initial_seconds=config.engine.backoff_initial_seconds,
            backoff_max_seconds=config.engine.backoff_max_seconds,
            memory_age_seconds=config.engine.memory_interval_seconds,
        )
        residency = Residency(
            supervisor,
            holding,
            ModelKeeping(
                config.engine.keep_models,
                lambda spec: model_bytes(spec, gpu_backend(supervisor.ready)),
                lambda: model_memory(lane),
            ),
            self._strikes,
            Leftovers(holding, lambda job: job_bytes(job, gpu_backend(supervisor.ready)), lambda: free_bytes_now(lane)),
            models.slot,
            models.upscalers,
            jobs.bus,
            is_home=is_home,
            check_spec=check_loadable if config.engine.runner == "native" else lambda spec: None,
            redact_paths=self._redact_paths,
        )
        finishing = JobFinishing(
            jobs.queue,
            jobs.outputs,
            lambda: supervisor.ready,
            version=self._version,
            redact_paths=self._redact_paths,
            on_converted=self._note_converted,
            texts_of=jobs.kept_calls.texts_of,
            blames_jobs=blames_jobs,
            passes_on=passes_on,
        )
        lane = Lane(
            supervisor,
            jobs.queue,
            jobs.active,
            calls,
            holding,
            residency,
            finishing,
            jobs.outputs,
            RunReports(jobs.bus, jobs.previews),
            version=self._version,
            claim=pool.claim,
            on_busy=pool.wake_waiting,
            cancel_timeout_seconds=config.engine.cancel_timeout_seconds,
            on_engine_trouble=note_trouble,
            on_start=on_start,
            on_ready=on_ready,
            read_ahead=ReadAhead(lambda: pool.find_next_load(lane)) if reads_ahead else None,
            has_engine=has_engine,
            kinds=kinds,
        )
        return lane

    def build_remote(
        self,
        name: str,
        launcher: Launcher,
        on_end: OnEnd,
        blames_jobs: Callable[[], bool],
        passes_on: Callable[[Job], bool],
    ) -> Lane:
        """The lane of an engine on another machine. It converts no models: their files belong here."""
        kinds = ENGINE_KINDS - {"convert"}
        return self.build(
            EnginePlace(name),
            EngineCalls(),
            Holding(),
            launcher=launcher,
            kinds=kinds,
            on_end=on_end,
            blames_jobs=blames_jobs,
            passes_on=passes_on,
        )

    def _note_converted(self, path: Path) -> None:
        library = self._models.library
        library.refresh()
        for files in library.list().values():
            for file in files:
                if file.path == str(path):
                    tell_added(self._jobs.bus, file)
