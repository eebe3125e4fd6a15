"""Implements ``sdcpp-rest native``, which builds the native library.

Knows nothing of how: `native.build` does it.
"""

from __future__ import annotations

import click

from sdcpp_rest.cli.command_options import echo_json, json_option


@click.group()
def native() -> None:
    """Build the native library."""


@native.command("build")
@click.option("--force", is_flag=True, help="Also when it is up to date.")
@json_option
def native_build(force: bool, as_json: bool) -> None:
    """Build stable-diffusion.cpp with the right flags, and those of CMAKE_ARGS (such as -DSD_CUDA=ON)."""
    from sdcpp_rest.native import build

    reason = build.reason_to_build()
    try:
        build.build(force=force, log=lambda line: click.echo(line, err=as_json))
    except build.BuildError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        recipe = build.current_recipe()
        echo_json(
            {
                "version": recipe.version,
                "flags": list(recipe.flags),
                "built": force or reason is not None,
                "reason": reason,
            }
        )
