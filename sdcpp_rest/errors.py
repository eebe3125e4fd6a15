"""Defines every failure the server can answer with: each class carries its wire code and HTTP status.

Raised anywhere, caught once (the application's error handler, or the ASGI shell for what never reaches Flask),
rendered in the shape of the dialect that was spoken. Knows nothing of Flask, and nothing here is decided by matching
message text.

    SdcppRestError 500
    |- InvalidRequest 400   |- NotAuthenticated 401 -- WrongKey   |- NotAllowed 403 -- ScopeMissing
    |- NotFound 404 -- JobNotFound, ModelNotFound, OutputNotFound
    |- MethodNotAllowed 405 |- Conflict 409 -- CallerGone
    |- NoModelLoaded, NoUpscalerLoaded 400
    |- PayloadTooLarge 413  |- UnsupportedBody 415    |- QueueFull, TooManyAttempts, TooManyRequests 429
    |- GenerationFailed 500 -- LoadFailed, PictureIsBlank, OutOfMemory 507
    |- NotSupported 501     |- EngineUnavailable 503 -- EngineDied -- EngineOutOfMemory, DeviceFailed
    `- WaitTimeout 504
"""

from __future__ import annotations

from typing import Any, ClassVar


class SdcppRestError(Exception):
    """Base of every error of ours.

    Args:
        message: one sentence for the person who sent the request.
        **detail: JSON-ready facts added to the error body next to ``error`` (field, value, nearest, ...).
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, **detail: Any) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class InvalidRequest(SdcppRestError):
    code = "invalid_request"
    status = 400


class NoModelLoaded(InvalidRequest):
    code = "no_model_loaded"


class NoUpscalerLoaded(InvalidRequest):
    code = "no_upscaler_loaded"


class NotAuthenticated(SdcppRestError):
    code = "not_authenticated"
    status = 401


class WrongKey(NotAuthenticated):
    """Credentials were shown, and they are not ours."""


class NotAllowed(SdcppRestError):
    code = "not_allowed"
    status = 403


class ScopeMissing(NotAllowed):
    """The key is good, but not for this."""

    code = "scope_missing"


class NotFound(SdcppRestError):
    code = "not_found"
    status = 404


class JobNotFound(NotFound):
    code = "job_not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class OutputNotFound(NotFound):
    code = "output_not_found"


class MethodNotAllowed(SdcppRestError):
    code = "method_not_allowed"
    status = 405


class Conflict(SdcppRestError):
    code = "conflict"
    status = 409


class CallerGone(Conflict):
    """Whoever waited for the work has hung up and has not asked again; nobody but the work's record reads this."""

    code = "caller_gone"


class PayloadTooLarge(SdcppRestError):
    code = "payload_too_large"
    status = 413


class UnsupportedBody(SdcppRestError):
    """A body in a coding or a charset that is not read here."""

    code = "unsupported_media_type"
    status = 415


class QueueFull(SdcppRestError):
    code = "queue_full"
    status = 429


class TooManyAttempts(SdcppRestError):
    """Somebody seems to guess."""

    code = "too_many_attempts"
    status = 429


class TooManyRequests(SdcppRestError):
    """A key was used more often than it may be."""

    code = "too_many_requests"
    status = 429


class GenerationFailed(SdcppRestError):
    """The engine refused or could not finish a job, and lives on."""

    code = "generation_failed"
    status = 500


class LoadFailed(GenerationFailed):
    """A model could not be loaded; the engine is empty but usable."""

    code = "load_failed"


class MachineFull(LoadFailed):
    """A machine that an engine works on has no room for a job's files or models, on its disk or in the cluster's store
    of objects. The job is tried on another machine where there is one."""

    code = "machine_full"
    status = 507


class PictureIsBlank(GenerationFailed):
    """Every pixel is the same: what the model or the VAE computed were no numbers, and no picture."""

    code = "picture_is_blank"


class OutOfMemory(GenerationFailed):
    """Memory was refused to a load or a run. 507 and not 503: the same request, sent again, fails again."""

    code = "out_of_memory"
    status = 507


class NotSupported(SdcppRestError):
    code = "not_supported"
    status = 501


class EngineUnavailable(SdcppRestError):
    code = "engine_unavailable"
    status = 503


class EngineDied(EngineUnavailable):
    """The worker process ended while it was working; ``message`` says how, with the library's last words."""

    code = "engine_crashed"


class EngineOutOfMemory(EngineDied):
    """The worker process ended because memory was refused to it; ``message`` says how much, and what takes less. Jobs
    and loads that it takes along fail as `OutOfMemory`."""


class DeviceFailed(EngineDied):
    """What the worker process computes on is lost, or a compute backend failed; ``message`` names the device. The
    process is replaced before the next job, which would be its end."""


class EngineLost(EngineDied):
    """The engine cannot be reached any more, with the machine it worked on: nothing that its job did. The job is tried
    again elsewhere."""

    code = "engine_lost"
    had_started = True
    """Whether it had said that it is ready before."""


class WaitTimeout(SdcppRestError):
    code = "wait_timeout"
    status = 504


_OF_JOBS: tuple[type[GenerationFailed], ...] = (PictureIsBlank, OutOfMemory, MachineFull)


def error_of_job(code: str | None, message: str, **detail: Any) -> GenerationFailed:
    """Make the error for a caller who waited for a job that failed with ``code`` while the engine lived."""
    kind = next((one for one in _OF_JOBS if one.code == code), GenerationFailed)
    return kind(message, **detail)
