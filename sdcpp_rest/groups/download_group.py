"""Builds the downloads of model files.

As `core_groups` builds those below it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sdcpp_rest.config import Config
from sdcpp_rest.groups.core_groups import JobServices, ModelServices, Redact
from sdcpp_rest.services.downloads.download_lane import DownloadLane
from sdcpp_rest.services.downloads.download_places import DownloadPlaces
from sdcpp_rest.services.downloads.download_submission import Downloads, DownloadSources


@dataclass(frozen=True)
class DownloadServices:
    """Model files from the internet: asking for them, and the lane of jobs that fetches them."""

    submission: Downloads
    lane: DownloadLane


def build_downloads(
    config: Config, jobs: JobServices, models: ModelServices, *, redact_paths: Redact, is_server: bool
) -> DownloadServices:
    """Build downloads as jobs, and the lane that runs them beside the engine."""
    sources, places = DownloadSources(config.downloads), DownloadPlaces(models.uploads)
    submission = Downloads(sources, jobs.queue, models.uploads, places, jobs.outputs)
    lane = DownloadLane(
        config.downloads,
        sources,
        submission,
        places,
        jobs.queue,
        models.library,
        models.uploads,
        models.hashes,
        jobs.outputs,
        jobs.bus,
        redact_paths=redact_paths,
        is_server=is_server,
    )
    return DownloadServices(submission, lane)
