"""Implements ``sdcpp-rest native``, which builds the native library, installs the one that comes compiled, or finds the
build that is fastest here.

Knows nothing of how: `native.build`, `native.prebuilt_install` and `native.tuning` do it.
"""

from __future__ import annotations

import click

from sdcpp_rest.cli.command_options import echo_json, json_option
from sdcpp_rest.cli.tune_command import tune


@click.group()
def native() -> None:
    """Build the native library, or install the one that comes compiled."""


native.add_command(tune)


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
        # Not the recipe: that names a compiler, which a machine that had nothing to build need not have.
        flags = build.chosen_flags(backend)
    except build.BuildError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        built = force or reason is not None
        echo_json({"version": build.VERSION, "flags": list(flags), "built": built, "reason": reason})


@native.command("install")
@click.option("--from", "source", help="A wheel, or a folder or page of wheels: path or URL. Default: PyPI.")
@click.option("--sha256", help="Refuse a wheel with another sum.")
@json_option
def native_install(source: str | None, sha256: str | None, as_json: bool) -> None:
    """Install the engine that comes compiled (the package sdcpp-rest-native), and use it from now on.

    Needs no compiler. The wheel is fetched by pip, looked through and tried before anything is changed.
    """
    from sdcpp_rest.native import build, prebuilt, prebuilt_install

    try:
        stamp = prebuilt_install.install(source, sha256, log=lambda line: click.echo(line, err=as_json))
    except (build.BuildError, prebuilt.PrebuiltError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        told = {"version": stamp.version, "flags": list(stamp.flags), "backends": list(stamp.backends)}
        echo_json({"package": prebuilt.PROJECT, **told})
