"""Builds what learns how quick this machine is, and has it hear of jobs and loads. Knows no Flask and no sockets."""

from __future__ import annotations

from dataclasses import dataclass

from sdcpp_rest.groups.core_groups import JobServices, ModelServices
from sdcpp_rest.groups.engine_group import EngineServices
from sdcpp_rest.services.dispatch.job_timing import JobTiming
from sdcpp_rest.services.dispatch.lane import Lane
from sdcpp_rest.services.models.job_fit import JobFits
from sdcpp_rest.services.models.speeds import Speeds
from sdcpp_rest.services.server_status import ServerStatus
from sdcpp_rest.services.submission.job_estimates import JobEstimates
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.speed_store import SpeedStore


@dataclass(frozen=True)
class EstimateServices:
    """What jobs would take: ``jobs`` estimates them, ``speeds`` are the averages that it goes by."""

    speeds: Speeds
    jobs: JobEstimates


def build_estimates(
    database: Database, jobs: JobServices, models: ModelServices, engine: EngineServices, status: ServerStatus
) -> EstimateServices:
    """Build the averages over the database, filled by the engine's jobs and loads from now on, and what asks them."""

    speeds = Speeds(SpeedStore(database), lambda: _device_of(engine.home))
    timing = JobTiming(speeds, jobs.outputs)

    def time_lane(lane: Lane) -> None:
        # An engine on the CPU must not spoil what is known of the GPU beside it.
        lane.call_on_begin(lambda active, is_resident: timing.begin(active, is_resident, _device_of(lane)))
        lane.finishing.call_on_completed(timing.learn)

    engine.pool.call_on_lane(time_lane)
    models.slot.call_on_loaded(timing.learn_load)
    fits = JobFits(models.library, status.home_memory, lambda: engine.home.holding.specs)
    estimates = JobEstimates(
        speeds, fits, models.slot, jobs.queue, jobs.active, jobs.outputs, lambda: len(engine.pool.lanes)
    )
    return EstimateServices(speeds, estimates)


def _device_of(lane: Lane) -> str:
    """What computes there, in words; empty while its engine has not said."""
    ready = lane.supervisor.ready
    if ready is None:
        return ""
    return "|".join([ready.backend, *(one.description for one in ready.devices if one.is_gpu)])
