"""Collects the facts about the server that the assistant's model needs: few and bounded, whatever lies in the folders.

Reads other services; changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sdcpp_rest.core.job import Job
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.models.model_library import ModelLibrary

_MAX_MODELS = 40
_MAX_JOBS = 5
_MAX_ENGINES = 16
_NAME_CHARACTERS = 120
_TEXT_CHARACTERS = 200
_HEALTH = (
    "model_loaded", "model_name", "model_type", "model_architecture", "loaded_components", "model_loading",
    "loading_model_name", "last_error", "upscaler_loaded", "upscaler_name",
)  # fmt: skip


class ServerFacts:
    """Looks up the facts of this moment, when it is called.

    Args:
        health: the body of ``GET /health``.
        options: the body of ``GET /options``.
        engines: those of ``GET /engines``; told where there are several.
    """

    def __init__(
        self,
        health: Callable[[], Mapping[str, Any]],
        options: Callable[[], Mapping[str, Any]],
        library: ModelLibrary,
        queue: JobQueue,
        engines: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
    ) -> None:
        self._health = health
        self._options = options
        self._library = library
        self._queue = queue
        self._engines = engines

    def __call__(self) -> dict[str, Any]:
        """Facts by name, the most important first."""
        health, options, engines = self._health(), self._options(), self._engines()
        several = {"engines": [_describe_engine(one) for one in engines[:_MAX_ENGINES]]} if len(engines) > 1 else {}
        return {
            "health": {name: health[name] for name in _HEALTH if health.get(name)},
            **several,
            "models": {kind: _names(files) for kind, files in self._library.list().items() if files},
            "samplers": list(options.get("samplers", ()))[:_MAX_MODELS],
            "schedulers": list(options.get("schedulers", ()))[:_MAX_MODELS],
            "weight_types": [entry["id"] for entry in options.get("quantization_types", ())][:_MAX_MODELS],
            "last_jobs": [_job(job) for job in self._jobs()],
        }

    def _jobs(self) -> list[Job]:
        # The active ones do not count against the limit.
        return self._queue.list(limit=_MAX_JOBS)[:_MAX_JOBS]


def _names(files: Any) -> list[str]:
    names = [file.name[:_NAME_CHARACTERS] for file in files[:_MAX_MODELS]]
    return [*names, f"and {len(files) - _MAX_MODELS} more"] if len(files) > _MAX_MODELS else names


def _describe_engine(engine: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: engine[name] for name in ("name", "device", "state", "why", "job_id", "model_name") if engine[name]}
    return {name: value[:_NAME_CHARACTERS] for name, value in told.items()}


def _job(job: Job) -> dict[str, Any]:
    told: dict[str, Any] = {"job_id": job.id, "type": job.kind, "status": job.status}
    if job.title:
        told["title"] = job.title[:_NAME_CHARACTERS]
    for name in ("prompt", "width", "height", "steps"):
        if name in job.params:
            value = job.params[name]
            told[name] = value[:_TEXT_CHARACTERS] if isinstance(value, str) else value
    if job.error:
        told["error"] = job.error[:_TEXT_CHARACTERS]
    return told
