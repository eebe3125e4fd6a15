"""Submits a command's job, shows its progress, and saves the files that it made.

Ctrl-C cancels the job. Knows the API only, whoever serves it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from sdcpp_rest.cli.command_options import echo_json
from sdcpp_rest.cli.server_access import Refused, ServerAccess

if TYPE_CHECKING:
    from sdcpp_rest.config import Config


@contextlib.contextmanager
def reach_server(config: Config, url: str | None, api_key: str | None) -> Iterator[ServerAccess]:
    """The server at ``url``, else ours if it runs, else an engine of this command's own."""
    from sdcpp_rest.cli.own_engine import own_engine
    from sdcpp_rest.cli.running_server import RunningServer, running_server

    if url is None:
        url = running_server(config)
        keys = config.auth.api_keys
        # Only for our own server: a secret of the configuration is not shown to any other.
        api_key = api_key or (keys[0].get_secret_value() if keys else None)
    if url is not None:
        with contextlib.closing(RunningServer(url, api_key)) as running:
            yield running
        return
    with own_engine(config) as own:
        yield own


def run_job(server: ServerAccess, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Submit a job and wait for its end, under a progress bar. Returns the job object, with what only the submission's
    answer told. Raises ClickException, Abort after Ctrl-C: then the job is cancelled."""
    submitted: dict[str, Any] = {}
    try:
        submitted = server.ask("POST", path, body)
        for warning in submitted.get("warnings", []):
            click.echo(f"warning: {warning}", err=True)
        job = _follow(server, str(submitted["job_id"]))
    except KeyboardInterrupt:
        if submitted:
            click.echo("cancelling the job", err=True)
            with contextlib.suppress(Refused):  # it has just ended by itself
                server.call("DELETE", f"/queue/{submitted['job_id']}")
        raise click.Abort from None
    if job["status"] != "completed":
        reason = f": {job['error']}" if job.get("error") else ""
        raise click.ClickException(f"The job {'was ' * (job['status'] == 'cancelled')}{job['status']}{reason}")
    for warning in job.get("warnings", []):
        if warning not in submitted.get("warnings", []):
            click.echo(f"warning: {warning}", err=True)
    return submitted | job


def save_outputs(server: ServerAccess, job: dict[str, Any], output: Path | None, stem: Path) -> list[Path]:
    """Save what the job made: at ``output``, else at ``stem`` with the right ending; further files get _1, _2, ..."""
    saved = []
    for k, name in enumerate(job["outputs"]):
        ending = Path(name).suffix
        first = output or stem.with_name(stem.name + ending)
        if first.suffix.lower() != ending.lower():
            click.echo(f"warning: what is in {first.name} is {ending[1:].upper()}, whatever its name says", err=True)
        path = first if k == 0 else first.with_name(f"{first.stem}_{k}{first.suffix}")
        content = server.call("GET", f"/output/{quote(name)}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        saved.append(path)
    return saved


def report_saved(job: dict[str, Any], saved: list[Path], as_json: bool) -> None:
    """The last words of a command: the files, or the job as JSON with them as ``saved``."""
    if as_json:
        echo_json({**job, "saved": [str(path) for path in saved]})
        return
    for path in saved:
        click.echo(f"saved {path}")


def _follow(server: ServerAccess, job_id: str) -> dict[str, Any]:
    with _progress_bar() as show:
        while True:
            job = server.ask("GET", f"/queue/{job_id}")
            show(job["progress"]["percentage"], job["progress"].get("phase", ""))
            if job["status"] in ("completed", "failed", "cancelled"):
                return job
            server.pause(job_id)


@contextlib.contextmanager
def _progress_bar() -> Iterator[Callable[[float, str], None]]:
    """Yields ``show(percentage, phase)``; draws nothing when stderr is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:>12}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("queued", total=100.0)
        yield lambda percentage, phase: progress.update(bar, completed=percentage, description=phase)
