"""Implements ``sdcpp-rest doctor``, which reports what the native library can do on this machine, and which folders of
other programs are used.

Never loads the library into this process: `engine_probe` asks it in another.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdcpp_rest.cli.command_options import config_options, echo_json, json_option

if TYPE_CHECKING:
    from sdcpp_rest.services.models.model_library import ModelLibrary


@click.command()
@json_option
@config_options
def doctor(as_json: bool, config_file: Path | None, overrides: tuple[str, ...], **folders: Path | None) -> None:
    """Say what the native library can do on this machine, and what could be better.

    Also which folders of other programs are used (the setting paths.extra_model_dirs), and what in them is not.
    """
    from sdcpp_rest.cli.engine_probe import probe_engine
    from sdcpp_rest.config import load_config
    from sdcpp_rest.native import build
    from sdcpp_rest.native.devices import unused_gpu
    from sdcpp_rest.runtime import open_library

    library = open_library(load_config(config_file, overrides, **folders))
    extra = _count_extra(library)
    ready = probe_engine()
    # Flags are given for a build, not kept for every shell: without any here, those of the build are as wanted.
    reason = build.reason_to_build(whatever_flags="CMAKE_ARGS" not in os.environ)
    rebuild = f"{reason}: run `sdcpp-rest native build`" if reason else None
    unused = unused_gpu(ready.devices, {*ready.backends, *build.flagged_backends()})
    advice = [sentence for sentence in (unused, rebuild) if sentence]
    not_listed = library.incomplete()
    if as_json:
        echo_json({**ready.model_dump(mode="json"), "advice": advice, "extra_folders": extra, "not_listed": not_listed})
        return
    click.echo(f"library   stable-diffusion.cpp by stable-diffusion-cpp-python {ready.library_version}"
               + (f", commit {ready.library_commit}" if ready.library_commit else ""))  # fmt: skip
    click.echo(f"backend   {ready.backend}")
    click.echo(f"features  {' '.join(ready.features)}")
    for device in ready.devices:
        memory = f"{device.free_bytes / 2**30:.1f} of {device.total_bytes / 2**30:.1f} GiB free"
        click.echo(f"device    {device.name}: {device.description} ({device.backend}), {memory}")
    for folder, types in extra.items():
        click.echo(f"models    {folder}: " + ", ".join(f"{count} of type {kind}" for kind, count in types.items()))
    for sentence in not_listed:
        click.echo(f"models    {sentence}")
    for sentence in advice:
        click.echo(f"advice    {sentence}")
    if not advice:
        click.echo("advice    none: this build is right for this machine")


def _count_extra(library: ModelLibrary) -> dict[str, dict[str, int]]:
    """How many models of each type are listed of each of other programs' folders."""
    counts: dict[str, dict[str, int]] = {}
    for files in library.list().values():
        for file in files:
            if file.is_extra:
                of_folder = counts.setdefault(file.root, {})
                of_folder[file.type] = of_folder.get(file.type, 0) + 1
    for kind, paths in library.extra_folders().items():
        for path in paths:
            counts.setdefault(str(path), {}).setdefault(kind, 0)
    return counts
