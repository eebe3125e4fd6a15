"""Builds the services that make jobs of requests.

As `core_groups` builds those below them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sdcpp_rest.config import Config
from sdcpp_rest.groups.core_groups import JobServices, ModelServices, SettingsServices
from sdcpp_rest.groups.engine_group import EngineServices
from sdcpp_rest.services.jobs.job_entry import JobEntry
from sdcpp_rest.services.server_status import ServerStatus
from sdcpp_rest.services.submission.chunk_checks import ChunkChecks
from sdcpp_rest.services.submission.engine_choice import EngineChoice
from sdcpp_rest.services.submission.job_defaults import JobDefaults
from sdcpp_rest.services.submission.model_choice import ModelChoice
from sdcpp_rest.services.submission.model_titles import ModelTitles
from sdcpp_rest.services.submission.picture_checks import PictureChecks
from sdcpp_rest.services.submission.picture_enlarging import PictureEnlarging
from sdcpp_rest.services.submission.picture_rounds import PictureRounds
from sdcpp_rest.services.submission.picture_submission import Submission
from sdcpp_rest.services.submission.prompt_expansion import PromptExpansion
from sdcpp_rest.services.submission.sampling_intake import SamplingIntake
from sdcpp_rest.services.submission.token_counts import TokenCounts
from sdcpp_rest.services.submission.upscale_submission import UpscaleSubmission
from sdcpp_rest.services.submission.video_submission import VideoSubmission
from sdcpp_rest.services.waiting_reasons import WaitingReasons


@dataclass(frozen=True)
class SubmissionServices:
    """What turns requests into jobs, for every dialect."""

    entry: JobEntry
    intake: SamplingIntake
    expansion: PromptExpansion
    pictures: Submission
    videos: VideoSubmission
    upscales: UpscaleSubmission
    rounds: PictureRounds
    enlarging: PictureEnlarging
    model_choice: ModelChoice
    titles: ModelTitles
    token_counts: TokenCounts
    engine_choice: EngineChoice


def build_submission(
    config: Config,
    settings: SettingsServices,
    jobs: JobServices,
    models: ModelServices,
    engine: EngineServices,
    status: ServerStatus,
    reasons: WaitingReasons | None = None,
) -> SubmissionServices:
    """Build one submission per kind of job, and what dialects find models and rounds by. ``reasons``: on a server whose
    engines may lack a model."""
    limits, library, slot = config.limits, models.library, models.slot
    entry = JobEntry(jobs.queue, jobs.outputs, None if reasons is None else reasons.find_lack)
    defaults = JobDefaults(limits, models.library, settings.user)
    intake = SamplingIntake(limits, models.library, defaults, lambda: engine.supervisor.ready)
    checks = PictureChecks(limits, models.library, models.upscalers, status.all_memory_bytes, intake.ready)
    counts = TokenCounts(limits, slot, intake.ready)
    pictures = Submission(models.slot, intake, checks, entry, ChunkChecks(counts))
    upscales = UpscaleSubmission(config, jobs.queue, models.upscalers, jobs.outputs, entry)
    rounds = PictureRounds(pictures, jobs.queue, jobs.active, jobs.previews)
    choice = ModelChoice(models.library, models.slot, models.hashes)
    return SubmissionServices(
        entry=entry,
        intake=intake,
        expansion=PromptExpansion(limits, slot, library, models.wildcards, intake, settings.prompt_styles),
        pictures=pictures,
        videos=VideoSubmission(models.slot, intake, entry, status.all_memory_bytes),
        upscales=upscales,
        rounds=rounds,
        enlarging=PictureEnlarging(upscales, models.upscalers, rounds, jobs.outputs, limits.upscaled_side),
        model_choice=choice,
        titles=ModelTitles(models.library, models.hashes, models.slot, choice),
        token_counts=counts,
        engine_choice=EngineChoice(engine.pool),
    )
