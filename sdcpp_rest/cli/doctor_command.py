"""Implements ``sdcpp-rest doctor``, which reports what the native library can do on this machine, and which folders of
other programs are used.

Never loads the library into this process: `engine_probe` asks it in another.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sdcpp_rest.cli.command_options import config_options, echo_json, json_option

if TYPE_CHECKING:
    from sdcpp_rest.config import Config


@click.command()
@json_option
@click.option("--url", help="Server to ask about its engines; default: ours if it runs.")
@click.option("--api-key", envvar="SDCPP_REST_API_KEY", help="Key for a server that asks for one.")
@config_options
def doctor(
    as_json: bool,
    url: str | None,
    api_key: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    **folders: Path | None,
) -> None:
    """Say what the native library can do on this machine, and what could be better.

    Also which folders of other programs are used (the setting paths.extra_model_dirs), and what in them is not; and
    what the engines of a running server do.
    """
    from sdcpp_rest.cli.engine_probe import probe_engine
    from sdcpp_rest.config import load_config
    from sdcpp_rest.engine.places import refuse_choice, used_devices
    from sdcpp_rest.native.build_advice import advise
    from sdcpp_rest.native.prebuilt import binding_folder, choose_library
    from sdcpp_rest.runtime import open_library
    from sdcpp_rest.services.doctor import check_database, check_engines, check_library, check_models, count_extra

    config = load_config(config_file, overrides, **folders)
    library = open_library(config)
    engines = _ask_engines(config, url, api_key)
    extra = count_extra(library)
    ready = probe_engine()
    choice = choose_library(binding_folder())
    found = advise(ready.devices, ready.backends)
    used = used_devices(config.engine.device, config.engines.devices, ready)
    advice = [sentence for sentence in (*found, refuse_choice(config.engine.device, ready)) if sentence]
    if as_json:
        not_listed = library.incomplete()
        shown = {**ready.model_dump(mode="json"), "advice": advice, "extra_folders": extra, "not_listed": not_listed}
        notes = [check.text for check in check_database(config.paths.data_dir)]
        told = {"kind": choice.kind, "why": choice.why}
        echo_json({**shown, "engines": engines, "used_devices": sorted(used), "library": told, "database": notes})
        return
    click.echo(f"file      {ready.library_path} ({choice.kind}: {choice.why})")
    if ready.modules:
        click.echo(f"modules   {' '.join(ready.modules)}")
    for check in (
        *check_library(ready, found.gpu, found.rebuild, used),
        *check_engines(engines),
        *check_models(library),
        *check_database(config.paths.data_dir),
    ):
        click.echo(f"{check.name:<10}{check.text}")
    for sentence in advice:
        click.echo(f"advice    {sentence}")
    if not advice:
        click.echo("advice    none: this build is right for this machine")


def _ask_engines(config: Config, url: str | None, key: str | None) -> list[dict[str, Any]]:
    """The engines of the server at ``url``, or of ours; none where that does not run, or wants a key that is not given.

    Raises ClickException where a server that was named does not answer.
    """
    from sdcpp_rest.cli.running_server import RunningServer, running_server
    from sdcpp_rest.client import ClientError

    found = url or running_server(config)
    if found is None:
        return []
    # Only for our own server: a secret of the configuration is not shown to any other.
    own_key = config.auth.own_key if url is None else None
    server = RunningServer(found, key or own_key)
    try:
        return [dict(engine) for engine in server.client.show_engines()["engines"]]
    except ClientError as error:
        if url is None:
            return []
        raise click.ClickException(server.explain(error)) from None
    finally:
        server.close()
