"""Defines what a call of the client can fail with: a refusal of the server, no server, or an answer of something else.

ClientError
|- ApiError (status, code, message, field, detail)
|  |- InvalidRequest 400   |- NotAuthenticated 401   |- NotAllowed 403   |- NotFound 404   |- Conflict 409
|  |- PayloadTooLarge 413  |- TooManyRequests 429    |- NotSupported 501 |- Unavailable 503
|  |- WaitTimeout 504      `- InsufficientStorage 507
|- ConnectionFailed       nothing answers, or the connection broke
|  `- NoEventStream       the rest answers, but no WebSocket can be had
|- UnexpectedAnswer       something answers, but not this API
|- JobFailed              a job that was waited for has failed
|  `- JobWasCancelled
`- ResultTimeout          a job that was waited for has not ended in time
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdcpp_rest.client.wire.jobs import JobShown


class ClientError(Exception):
    """Base of all; its text is one sentence for people."""


class ApiError(ClientError):
    """The server has refused a request, or failed at it.

    ``code`` and ``field`` are the API's words, empty where it told none; ``detail`` is the whole answer.
    """

    def __init__(self, status: int, message: str, code: str = "", field: str = "", detail: object = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.field = field
        self.detail: Mapping[str, Any] = detail if isinstance(detail, dict) else {}

    @property
    def nearest(self) -> list[str]:
        """Names that exist and look like the one that was given."""
        names = self.detail.get("nearest")
        return [str(name) for name in names] if isinstance(names, list) else []


class InvalidRequest(ApiError):
    pass


class NotAuthenticated(ApiError):
    pass


class NotAllowed(ApiError):
    pass


class NotFound(ApiError):
    pass


class Conflict(ApiError):
    pass


class PayloadTooLarge(ApiError):
    pass


class TooManyRequests(ApiError):
    pass


class NotSupported(ApiError):
    pass


class Unavailable(ApiError):
    pass


class WaitTimeout(ApiError):
    pass


class InsufficientStorage(ApiError):
    """There is no room left, on the disk or in the device's memory."""


OF_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidRequest,
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    413: PayloadTooLarge,
    429: TooManyRequests,
    501: NotSupported,
    503: Unavailable,
    504: WaitTimeout,
    507: InsufficientStorage,
}


class ConnectionFailed(ClientError):
    """Nothing answers at the address, or the connection broke."""


class NoEventStream(ConnectionFailed):
    """The server answers, but what is between it and the client lets no WebSocket through."""


class UnexpectedAnswer(ClientError):
    """Something answers that is not this API: a proxy's page, another program."""


class JobFailed(ClientError):
    """A job has ended without what it was to make; ``job`` says why, ``code`` is its word for programs."""

    def __init__(self, job: JobShown) -> None:
        reason = f": {job['error']}" if job.get("error") else ""
        super().__init__(f"The job {'was ' * (job['status'] == 'cancelled')}{job['status']}{reason}")
        self.job = job
        self.code = job.get("error_code", "")


class JobWasCancelled(JobFailed):
    pass


class ResultTimeout(ClientError, TimeoutError):
    """A job has not ended in the time that was given; it goes on."""
