"""Implements ``sdcpp-rest config``, which prints the configuration that a server started here would have.

Starts nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sdcpp_rest.cli.command_options import config_options, echo_json


@click.command()
@click.option("--example", is_flag=True, help="Print config.example.toml: every setting with its description.")
@config_options
def config(example: bool, config_file: Path | None, overrides: tuple[str, ...], **folders: Any) -> None:
    """Print the configuration that a server started here would have."""
    from sdcpp_rest.config import Config, load_config

    if example:
        click.echo(Config.example_toml(), nl=False)
        return
    echo_json(load_config(config_file, overrides, **folders).model_dump(mode="json"))
