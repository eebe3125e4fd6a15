"""Implements ``sdcpp-rest upscale``, which makes one picture larger.

Submits the job over the API; loads no upscaler itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sdcpp_rest.cli.command_options import config_options, json_option, server_options
from sdcpp_rest.cli.generate_command import base64_of
from sdcpp_rest.cli.job_following import reach_server, report_saved, run_job, save_outputs
from sdcpp_rest.cli.server_access import Refused, ServerAccess


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="Where to save.  [default: beside IMAGE, with _upscaled in its name]")  # fmt: skip
@click.option("--upscaler", help="ESRGAN model to use; default: the chosen one, or the only one there is.")
@click.option("--factor", "upscale_factor", type=int, help="How many times wider and higher; default: the upscaler's.")
@click.option("--repeats", type=int, help="How often, each time by the whole factor.")
@click.option("--tile-size", type=int, help="Pixels worked on at a time.")
@json_option
@server_options
@config_options
def upscale(
    image: Path,
    output: Path | None,
    upscaler: str | None,
    as_json: bool,
    url: str | None,
    api_key: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    data_dir: Path | None,
    models_dir: Path | None,
    output_dir: Path | None,
    **fields: int | None,
) -> None:
    """Make IMAGE larger and save the result."""
    from sdcpp_rest.config import load_config

    folders = {"data_dir": data_dir, "models_dir": models_dir, "output_dir": output_dir}
    config = load_config(config_file, overrides, **folders)
    body: dict[str, Any] = {"image_base64": base64_of(image)}
    body |= {name: value for name, value in fields.items() if value is not None}
    with reach_server(config, url, api_key) as server:
        if upscaler is not None:
            _load(server, upscaler)
        try:
            job = run_job(server, "/upscale", body)
        except Refused as refusal:
            if refusal.code != "no_upscaler_loaded":
                raise
            _load(server, _only_upscaler(server))
            job = run_job(server, "/upscale", body)
        saved = save_outputs(server, job, output, image.with_name(f"{image.stem}_upscaled"))
    report_saved(job, saved, as_json)


def _load(server: ServerAccess, name: str) -> None:
    if server.ask("GET", "/health")["upscaler_name"] != name:
        server.call("POST", "/upscaler/load", {"model_name": name})


def _only_upscaler(server: ServerAccess) -> str:
    names = [str(file["name"]) for file in server.ask("GET", "/models?type=esrgan")["esrgan"]]
    if len(names) == 1:
        return names[0]
    there = f"choose one of {', '.join(names)} with --upscaler" if names else "there are none in the esrgan folder"
    raise click.ClickException(f"No upscaler is loaded: {there}{server.place}")
