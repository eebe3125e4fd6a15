"""Implements ``sdcpp-rest native``, which builds the native library.

Knows nothing of how: `native.build` does it.
"""

from __future__ import annotations

import click


@click.group()
def native() -> None:
    """Build the native library."""


@native.command("build")
@click.option("--force", is_flag=True, help="Also when it is up to date.")
def native_build(force: bool) -> None:
    """Build stable-diffusion.cpp with the right flags, and those of CMAKE_ARGS (such as -DSD_CUDA=ON)."""
    from sdcpp_rest.native import build

    try:
        build.build(force=force, log=click.echo)
    except build.BuildError as error:
        raise click.ClickException(str(error)) from None
