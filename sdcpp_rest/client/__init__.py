"""The Python client of the native API, typed, for programs that wait and for event loops; must not know Flask, the
services, the engine or the database.

Every route is a method; a job that was submitted waits for its end, follows its events and fetches its pictures::

    with Client("http://127.0.0.1:8080") as client:
        client.txt2img(prompt="a red circle on a blue background").result().save("pictures")
"""

from __future__ import annotations

from sdcpp_rest.client.async_client import AsyncClient
from sdcpp_rest.client.chat_stream import ChatPiece
from sdcpp_rest.client.client import Client
from sdcpp_rest.client.errors import (
    ApiError,
    ClientError,
    Conflict,
    ConnectionFailed,
    InsufficientStorage,
    InvalidRequest,
    JobFailed,
    JobWasCancelled,
    NoEventStream,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    NotSupported,
    PayloadTooLarge,
    ResultTimeout,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
    WaitTimeout,
)
from sdcpp_rest.client.jobs import AsyncFinishedJob, AsyncSubmittedJob, FinishedJob, SubmittedJob
from sdcpp_rest.client.picture_encoding import encode_picture

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncFinishedJob",
    "AsyncSubmittedJob",
    "ChatPiece",
    "Client",
    "ClientError",
    "Conflict",
    "ConnectionFailed",
    "FinishedJob",
    "InsufficientStorage",
    "InvalidRequest",
    "JobFailed",
    "JobWasCancelled",
    "NoEventStream",
    "NotAllowed",
    "NotAuthenticated",
    "NotFound",
    "NotSupported",
    "PayloadTooLarge",
    "ResultTimeout",
    "SubmittedJob",
    "TooManyRequests",
    "Unavailable",
    "UnexpectedAnswer",
    "WaitTimeout",
    "encode_picture",
]
