"""Builds what learns how quick this machine is, and has it hear of jobs and loads. Knows no Flask and no sockets."""

from __future__ import annotations

from dataclasses import dataclass

from sdcpp_rest.service_groups import EngineServices, JobServices, ModelServices
from sdcpp_rest.services.dispatch.job_timing import JobTiming
from sdcpp_rest.services.models.speeds import Speeds
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.speed_store import SpeedStore


@dataclass(frozen=True)
class EstimateServices:
    """What is known of how long things take."""

    speeds: Speeds


def build_estimates(
    database: Database, jobs: JobServices, models: ModelServices, engine: EngineServices
) -> EstimateServices:
    """Build the averages over the database, filled by the engine's jobs and loads from now on."""

    def device() -> str:
        ready = engine.supervisor.ready
        if ready is None:
            return ""
        return "|".join([ready.backend, *(one.description for one in ready.devices if one.is_gpu)])

    speeds = Speeds(SpeedStore(database), device)
    timing = JobTiming(speeds, jobs.outputs)
    engine.dispatcher.call_on_begin(timing.begin)
    engine.finishing.call_on_completed(timing.learn)
    models.slot.on_loaded = timing.learn_load
    return EstimateServices(speeds)
