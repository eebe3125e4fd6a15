"""Implements ``sdcpp-rest doctor``, which reports what the native library can do on this machine.

Never loads the library into this process: `engine_probe` asks it in another.
"""

from __future__ import annotations

import os

import click

from sdcpp_rest.cli.command_options import echo_json, json_option


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say what the native library can do on this machine, and what could be better."""
    from sdcpp_rest.cli.engine_probe import probe_engine
    from sdcpp_rest.native import build
    from sdcpp_rest.native.devices import unused_gpu

    ready = probe_engine()
    # Flags are given for a build, not kept for every shell: without any here, those of the build are as wanted.
    reason = build.reason_to_build(whatever_flags="CMAKE_ARGS" not in os.environ)
    rebuild = f"{reason}: run `sdcpp-rest native build`" if reason else None
    unused = unused_gpu(ready.devices, {*ready.backends, *build.flagged_backends()})
    advice = [sentence for sentence in (unused, rebuild) if sentence]
    if as_json:
        echo_json({**ready.model_dump(mode="json"), "advice": advice})
        return
    click.echo(f"library   stable-diffusion.cpp by stable-diffusion-cpp-python {ready.library_version}"
               + (f", commit {ready.library_commit}" if ready.library_commit else ""))  # fmt: skip
    click.echo(f"backend   {ready.backend}")
    click.echo(f"features  {' '.join(ready.features)}")
    for device in ready.devices:
        memory = f"{device.free_bytes / 2**30:.1f} of {device.total_bytes / 2**30:.1f} GiB free"
        click.echo(f"device    {device.name}: {device.description} ({device.backend}), {memory}")
    for sentence in advice:
        click.echo(f"advice    {sentence}")
    if not advice:
        click.echo("advice    none: this build is right for this machine")
