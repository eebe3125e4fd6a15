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
@click.option(
    "--backend",
    metavar="NAME",
    help="cpu, cuda, vulkan, hip or metal; without it, and without CMAKE_ARGS, the installed library's flags stay.",
)
@click.option("--fetch-headers", is_flag=True, help="Download newer Vulkan headers where this machine's are too old.")
@click.option("--force", is_flag=True, help="Also when it is up to date, and from the beginning.")
@json_option
def native_build(backend: str | None, fetch_headers: bool, force: bool, as_json: bool) -> None:
    """Build stable-diffusion.cpp with the right flags.

    CMAKE_ARGS (such as -DCMAKE_CUDA_ARCHITECTURES=89) is added to them. A build that was broken off goes on where it
    stopped.
    """
    from sdcpp_rest.native import build

    def log(line: str) -> None:
        click.echo(line, err=as_json)

    try:
        reason = build.reason_to_build(backend)
        build.build(force=force, log=log, backend=backend, fetch_headers=fetch_headers)
        recipe = build.current_recipe(backend)
    except build.BuildError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        built = force or reason is not None
        echo_json({"version": recipe.version, "flags": list(recipe.flags), "built": built, "reason": reason})
