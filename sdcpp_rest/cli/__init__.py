"""The command line: every command of ``sdcpp-rest``, spoken over the HTTP API; must not know the database or the
dispatcher.

Modules of other rooms are imported inside the commands: ``--help`` is quick.
"""

from __future__ import annotations

from typing import Any

import click

from sdcpp_rest.cli.api_commands import openapi, routes
from sdcpp_rest.cli.bench_command import bench
from sdcpp_rest.cli.cluster_command import cluster
from sdcpp_rest.cli.config_command import config
from sdcpp_rest.cli.convert_command import convert
from sdcpp_rest.cli.doctor_command import doctor
from sdcpp_rest.cli.download_command import download
from sdcpp_rest.cli.generate_command import generate
from sdcpp_rest.cli.mcp_command import mcp
from sdcpp_rest.cli.model_commands import inspect, models
from sdcpp_rest.cli.native_commands import native
from sdcpp_rest.cli.plain_errors import plain_errors
from sdcpp_rest.cli.serve_command import serve
from sdcpp_rest.cli.upscale_command import upscale


class _Group(click.Group):
    """Says in one sentence what went wrong, wherever in a command it did, instead of showing a traceback."""

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        with plain_errors():
            return super().make_context(*args, **more)

    def invoke(self, context: click.Context) -> Any:
        with plain_errors():
            return super().invoke(context)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sdcpp-rest", prog_name="sdcpp-rest")
def main() -> None:
    """A REST picture server on top of stable-diffusion.cpp."""


for _command in (
    serve,
    generate,
    upscale,
    convert,
    download,
    models,
    inspect,
    doctor,
    native,
    bench,
    mcp,
    cluster,
    config,
    routes,
    openapi,
):
    main.add_command(_command)
