"""Defines the options that several commands share, and how all of them print.

Knows click only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def config_options(command: Command) -> Command:
    """The options that say where configuration and folders are."""
    return _with(
        command,
        click.option("--config", "config_file", type=click.Path(path_type=Path), help="A TOML file of settings."),
        click.option(
            "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting, e.g. server.port=9000."
        ),
        click.option("--data-dir", type=click.Path(path_type=Path), help="Database, logs, inputs."),
        click.option("--models-dir", type=click.Path(path_type=Path), help="Model files, one sub-folder per type."),
        click.option("--output-dir", type=click.Path(path_type=Path), help="Finished pictures."),
    )


def server_options(command: Command) -> Command:
    """The options that say which server does the work."""
    return _with(
        command,
        click.option("--url", help="Server to use; default: ours if it runs, else an engine of this command's own."),
        click.option("--api-key", envvar="SDCPP_REST_API_KEY", help="Key for a server that asks for one."),
    )


def echo_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))


def size_text(count: int) -> str:
    """Bytes for people: ``4.1 GB``."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def _with(command: Command, *options: Callable[[Command], Command]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
