"""All that a user interface needs for its first paint, in one answer. Composed of what the native views tell singly."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response
from pydantic import Field

from sdcpp_rest.routes.http.answers import answer, is_known_caller, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.native.jobs.job_shown import JobShown, live_job_object
from sdcpp_rest.routes.native.jobs.previews import PreviewShown
from sdcpp_rest.routes.native.models.architectures_routes import PresetShown, current_architecture
from sdcpp_rest.routes.native.server.options_routes import GenerationOptions, generation_options
from sdcpp_rest.routes.native.server.session_routes import SessionShown
from sdcpp_rest.routes.native.server.settings_routes import Preferences
from sdcpp_rest.routes.native.server.system import Health

bootstrap = Blueprint("bootstrap", __name__)

MOST_NAMES = 1000


class QueueCounts(Answer):
    """How many jobs there are, by status."""

    pending_count: int = Field(ge=0)
    processing_count: int = Field(ge=0, description="What the engines compute: at most one for each of them.")
    completed_count: int = Field(ge=0)
    failed_count: int = Field(ge=0)
    cancelled_count: int = Field(ge=0)
    total_count: int = Field(ge=0)
    paused: bool = Field(description="Whether nothing is taken off the queue.")


class ModelNames(Answer):
    """Names of model files, as `GET /models` has them."""

    checkpoints: list[str]
    diffusion_models: list[str]
    vae: list[str]
    loras: list[str]
    clip: list[str]
    t5: list[str]
    controlnets: list[str]
    llm: list[str]
    esrgan: list[str] = Field(description="The upscalers.")
    taesd: list[str]
    embeddings: list[str]


class Versions(Answer):
    server: str
    library: str | None = Field(description="Of the engine's library; `null` before it has started.")
    library_commit: str


class Bootstrap(Answer):
    """The server as it is now. Whoever listens to `/ws?since=SEQ&epoch=EPOCH` with these two misses nothing that comes
    after."""

    seq: int = Field(ge=0, description="The number of the newest event when this answer was begun.")
    epoch: str = Field(description="Of which run of the server.")
    session: SessionShown
    versions: Versions
    health: Health
    queue: QueueCounts
    running: list[JobShown] = Field(description="The jobs that are at work: the engine's, and a download beside it.")
    options: GenerationOptions = Field(description="As `GET /options/generation`.")
    current_architecture: str | None = Field(description="As `GET /architectures`, as the next one.")
    current_preset: PresetShown | None
    models: ModelNames = Field(description=f"By type, the first {MOST_NAMES} of each; `GET /models` has the others.")
    models_left_out: dict[str, int] = Field(description="How many more there are of a type, where there are.")
    upscalers: list[str] = Field(description="The same as `models.esrgan`; `health` tells which one is loaded.")
    preferences: Preferences = Field(description="As `GET /settings/preferences`.")
    preview: PreviewShown = Field(description="As `GET /preview/settings`.")
    limits: dict[str, int] = Field(description="What one request may ask for: the configuration's section `limits`.")


@bootstrap.get("/ui/bootstrap")
@needs("read")
@documents({200: Bootstrap})
def show_bootstrap() -> Response:
    """Get all that a user interface needs to begin. State, jobs at work, options, names of models and settings in one
    answer: 23 kB with the bundled model; more names and a job at work come on top."""
    running = runtime()
    # Before anything else is looked at: what changes meanwhile is told again, never left out.
    shown: dict[str, Any] = {"seq": running.jobs.bus.seq, "epoch": running.jobs.bus.epoch}
    health = running.status.health()
    shown |= {
        "session": {"auth_required": running.config.auth.is_on, "signed_in": is_known_caller()},
        "versions": _versions(health),
        "health": health,
        "queue": _queue_counts(),
        "running": _running_jobs(),
        "options": generation_options(),
        **current_architecture(),
        **_model_names(),
        "preferences": running.settings.user.preferences(),
        "preview": running.engine.previews.get(),
        "limits": running.config.limits.model_dump(),
    }
    response = answer(shown)
    response.headers["Cache-Control"] = "no-store"
    return response


def _versions(health: dict[str, Any]) -> dict[str, Any]:
    return {
        "server": health["version"],
        "library": health["engine"]["library_version"],
        "library_commit": health["git_commit"],
    }


def _queue_counts() -> dict[str, Any]:
    queue = runtime().jobs.queue
    return {**{f"{status}_count": count for status, count in queue.counts().items()}, "paused": queue.is_paused}


def _running_jobs() -> list[dict[str, Any]]:
    at_work = [active.job.id for active in runtime().jobs.active.all()]
    jobs = runtime().jobs.queue.get_many(at_work)
    return [live_job_object(job, None) for job in jobs.values() if job.status == "processing"]


def _model_names() -> dict[str, Any]:
    found = runtime().models.library.list()
    names = {name: [file.name for file in files[:MOST_NAMES]] for name, files in found.items()}
    return {
        "models": names,
        "upscalers": names["esrgan"],
        "models_left_out": {name: len(files) - MOST_NAMES for name, files in found.items() if len(files) > MOST_NAMES},
    }
