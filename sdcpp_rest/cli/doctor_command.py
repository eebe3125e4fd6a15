"""Implements ``sdcpp-rest doctor``, which reports what the native library can do on this machine, and which folders of
other programs are used.

Never loads the library into this process: `engine_probe` asks it in another.
"""

from __future__ import annotations

from pathlib import Path

import click

from sdcpp_rest.cli.command_options import config_options, echo_json, json_option


@click.command()
@json_option
@config_options
def doctor(as_json: bool, config_file: Path | None, overrides: tuple[str, ...], **folders: Path | None) -> None:
    """Say what the native library can do on this machine, and what could be better.

    Also which folders of other programs are used (the setting paths.extra_model_dirs), and what in them is not.
    """
    from sdcpp_rest.cli.engine_probe import probe_engine
    from sdcpp_rest.config import load_config
    from sdcpp_rest.native.build_advice import advise
    from sdcpp_rest.runtime import open_library
    from sdcpp_rest.services.doctor import check_library, check_models, count_extra

    library = open_library(load_config(config_file, overrides, **folders))
    extra = count_extra(library)
    ready = probe_engine()
    found = advise(ready.devices, ready.backends)
    advice = [sentence for sentence in found if sentence]
    if as_json:
        not_listed = library.incomplete()
        echo_json({**ready.model_dump(mode="json"), "advice": advice, "extra_folders": extra, "not_listed": not_listed})
        return
    for check in (*check_library(ready, found.gpu, found.rebuild), *check_models(library)):
        click.echo(f"{check.name:<10}{check.text}")
    for sentence in advice:
        click.echo(f"advice    {sentence}")
    if not advice:
        click.echo("advice    none: this build is right for this machine")
