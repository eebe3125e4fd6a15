"""Submits a command's job to whoever does it, and shows how far it is.

Ctrl-C cancels the job. Knows the API only, whoever serves it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sdcpp_rest.cli.command_options import echo_json
from sdcpp_rest.cli.server_access import ServerAccess

if TYPE_CHECKING:
    from sdcpp_rest.client.wire.jobs import JobShown
    from sdcpp_rest.config import Config

_STEP_PERCENT = 10


@contextlib.contextmanager
def reach_server(config: Config, url: str | None, api_key: str | None) -> Iterator[ServerAccess]:
    """The server at ``url``, else ours if it runs, else an engine of this command's own. What its client raises in the
    end is told in one sentence."""
    from sdcpp_rest.cli.own_engine import own_engine
    from sdcpp_rest.cli.running_server import RunningServer, running_server

    is_named = url is not None
    if url is None:
        url = running_server(config)
        # Only for our own server: a secret of the configuration is not shown to any other.
        api_key = api_key or config.auth.own_key
    if url is not None:
        with contextlib.closing(RunningServer(url, api_key)) as running, running.plain_refusals():
            if is_named:
                running.check()
            yield running
        return
    with own_engine(config) as own, own.plain_refusals():
        yield own


def run_job(server: ServerAccess, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Submit a job and wait for its end, and show how far it is. Returns the job object, with what only the
    submission's answer told. Raises ClientError, ClickException, Abort after Ctrl-C: then the job is cancelled."""
    from sdcpp_rest.client import ApiError
    from sdcpp_rest.client.steps import Request

    submitted: dict[str, Any] = {}
    try:
        submitted = server.client.run(Request(dict[str, Any], "POST", path, body=body, is_long=True))
        for warning in submitted.get("warnings", []):
            click.echo(f"warning: {warning}", err=True)
        job = _follow(server, str(submitted["job_id"]))
    except KeyboardInterrupt:
        if submitted:
            click.echo("cancelling the job", err=True)
            with contextlib.suppress(ApiError):  # it has just ended by itself
                server.client.cancel_job(submitted["job_id"])
        raise click.Abort from None
    if job["status"] != "completed":
        reason = f": {job['error']}" if job.get("error") else ""
        raise click.ClickException(f"The job {'was ' * (job['status'] == 'cancelled')}{job['status']}{reason}")
    for warning in job.get("warnings", []):
        if warning not in submitted.get("warnings", []):
            click.echo(f"warning: {warning}", err=True)
    return {**submitted, **job}


def report_saved(job: dict[str, Any], saved: list[Path], as_json: bool) -> None:
    """The last words of a command: the files, or the job as JSON with them as ``saved``."""
    if as_json:
        echo_json({**job, "saved": [str(path) for path in saved]})
        return
    for path in saved:
        click.echo(f"saved {path}")


def _follow(server: ServerAccess, job_id: str) -> JobShown:
    with _show_progress() as show:
        while True:
            job = server.client.show_job(job_id)
            show(job["progress"]["percentage"], job["progress"].get("phase", ""))
            if job["status"] in ("completed", "failed", "cancelled"):
                return job
            server.pause(job_id)


@contextlib.contextmanager
def _show_progress() -> Iterator[Callable[[float, str], None]]:
    """Yields ``show(percentage, phase)``: a bar on a terminal, elsewhere a plain line at every tenth of the way."""
    # Not what rich would say: FORCE_COLOR makes it take a log file for a terminal.
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield _ProgressLines().show
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:>12}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("queued", total=100.0)
        yield lambda percentage, phase: progress.update(bar, completed=percentage, description=phase)


class _ProgressLines:
    """``sampling: 30 %`` on standard error; nothing twice, and never less than before."""

    def __init__(self) -> None:
        self._told = 0

    def show(self, percentage: float, phase: str) -> None:
        tenths = int(percentage // _STEP_PERCENT) * _STEP_PERCENT
        if tenths > self._told:
            self._told = tenths
            click.echo(f"{phase}: {tenths} %" if phase else f"{tenths} %", err=True)
