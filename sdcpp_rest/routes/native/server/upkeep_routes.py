"""What sets the server right, over HTTP: an examination, its logs, and a new engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from flask import Blueprint, Response, request
from pydantic import Field

from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import blocking, transfer
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Flag, Integer, Text, Wire, optional, read_query, validate
from sdcpp_rest.routes.native.wire.engine_wire import LONGEST_NAME

if TYPE_CHECKING:
    from sdcpp_rest.services.log_reading import LogTail

upkeep = Blueprint("upkeep", __name__)

_MARGIN_SECONDS = 15.0


class CheckShown(Answer):
    """One thing that was looked at."""

    name: str = Field(examples=["backend"])
    status: Literal["ok", "warn", "fail"]
    text: str = Field(description="What was found.")
    hint: str = Field(description="What to do about it; empty where nothing is to be done.")


class DoctorShown(Answer):
    """How the server is."""

    status: Literal["ok", "warn", "fail"] = Field(description="The worst of all.")
    checks: list[CheckShown]


class LogQuery(Wire):
    tail: Integer = Field(200, ge=1, le=5_000, description="How many lines, the last of the log.")


class EngineLogQuery(LogQuery):
    engine: Text = Field(
        "",
        max_length=LONGEST_NAME,
        description="Whose log, by its name in `GET /engines` (`cuda:1`). Empty: the home engine's.",
    )


class LogShown(Answer):
    """The last lines of a log, without the server's folders and without anybody's keys."""

    lines: list[str] = Field(description="The newest last.")
    truncated: bool = Field(description="Whether there are older ones.")


class RestartBody(Wire):
    force: Flag = Field(False, description="Also while a job runs: it is stopped, waits again, and begins anew.")
    engine: Text = Field(
        "",
        max_length=LONGEST_NAME,
        description="Only this engine, by its name in `GET /engines` (`cuda:1`). Empty: all of them.",
    )


class EngineRestarting(Answer):
    """What became of it. With `starting` there is no new engine yet: `GET /health` and the WebSocket tell of it."""

    success: Literal[True]
    message: str
    status: Literal["ready", "starting"]
    pid: int | None = Field(
        description="Of the engine's process, of all of them the home one's; null while there is none."
    )
    restarts: int = Field(ge=0, description="How often that engine was replaced.")
    requeued: list[str] = Field(description="Jobs that ran and wait again.")
    warnings: list[str] = optional("What was ignored, and which engines have not started again.")


@upkeep.get("/system/doctor")
@needs("admin")
@documents({200: DoctorShown})
@blocking
def show_doctor() -> Response:
    """Examine the server: its engine, what the native library makes of this machine, its folders. As `sdcpp-rest
    doctor` does it; takes a second or so."""
    checks = runtime().upkeep.doctor.examine()
    worst = max((check.status for check in checks), key=("ok", "warn", "fail").index)
    return answer({"status": worst, "checks": [check._asdict() for check in checks]})


@upkeep.get("/logs/engine")
@needs("admin")
@documents({200: (LogShown, "text/plain")}, query=EngineLogQuery)
@transfer
def show_engine_log() -> Response:
    """Read the last lines of what the library and an engine say. As plain text for who prefers that. The log of an
    engine of the cluster is asked for at its machine; one that does not answer in some seconds is a 503."""
    asked, running = read_query(EngineLogQuery), runtime()
    lane = running.submission.engine_choice.find(asked.engine, "engine")
    logs = running.upkeep.logs
    if lane is not None and lane.supervisor.read_log is not None:
        return _log_shown(logs.clean(lane.supervisor.read_log(asked.tail)))
    return _log_shown(logs.read_tail(running.status.engines.log_name(lane), asked.tail))


@upkeep.get("/logs/server")
@needs("admin")
@documents({200: (LogShown, "text/plain")}, query=LogQuery)
def show_server_log() -> Response:
    """Read the last lines of what the server says. As plain text for who prefers that."""
    return _log_shown(runtime().upkeep.logs.read_tail("server.log", read_query(LogQuery).tail))


@upkeep.post("/engine/restart")
@needs("admin")
@documents({200: EngineRestarting, 202: EngineRestarting}, errors=(409,), body=RestartBody)
@blocking
def restart_engine() -> Response:
    """End the engine's process in order, and start another one. With several engines: all of them, or the one that is
    named. Answers when that is ready, or with 202 when it takes too long; then the selected model is loaded again, and
    the queue goes on."""
    body, ignored = validate(RestartBody, read_body())
    running = runtime()
    limit = running.config.engine.start_timeout_seconds + _MARGIN_SECONDS
    lane = running.submission.engine_choice.find(body.engine, "engine")
    done = running.upkeep.restart.restart(lane, force=body.force, timeout_seconds=limit)
    engine = running.status.engines.describe_process(lane)
    shown = {
        "success": True,
        "message": "There is a new engine" if done.is_ready else "The engine is being restarted",
        "status": "ready" if done.is_ready else "starting",
        "pid": engine["pid"],
        "restarts": engine["restarts"],
        "requeued": list(done.requeued),
    }
    warnings = [*ignored, *map(running.redact_paths, done.failed)]
    return answer({**shown, "warnings": warnings} if warnings else shown, 200 if done.is_ready else 202)


def _log_shown(tail: LogTail) -> Response:
    accepted = request.accept_mimetypes
    if accepted.quality("text/plain") <= accepted.quality("application/json"):
        return answer({"lines": list(tail.lines), "truncated": tail.truncated})
    return Response("".join(f"{line}\n" for line in tail.lines), mimetype="text/plain")
