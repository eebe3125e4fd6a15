"""Implements ``sdcpp-rest upscale``, which makes one picture larger.

Submits the job over the API; loads no upscaler itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sdcpp_rest.cli.command_options import config_options, json_option, server_options
from sdcpp_rest.cli.generate_command import base64_of
from sdcpp_rest.cli.job_following import reach_server, report_saved, run_job
from sdcpp_rest.cli.output_place import PICTURE_ENDINGS, OutputPlace
from sdcpp_rest.cli.server_access import ServerAccess


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path, readable=False),
              help="Where to save. The ending decides the format: .png, .jpg, .jpeg or .webp. - is standard output.  "
              "[default: beside IMAGE, with _upscaled in its name]")  # fmt: skip
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
    from sdcpp_rest.client import ApiError
    from sdcpp_rest.config import load_config

    folders = {"data_dir": data_dir, "models_dir": models_dir, "output_dir": output_dir}
    config = load_config(config_file, overrides, **folders)
    body: dict[str, Any] = {"image_base64": base64_of(image)}
    body |= {name: value for name, value in fields.items() if value is not None}
    place = OutputPlace(output, image.with_name(f"{image.stem}_upscaled"), PICTURE_ENDINGS)
    if place.is_stdout and as_json:
        raise click.ClickException("-o - and --json both want standard output")
    with reach_server(config, url, api_key) as server:
        if upscaler is not None:
            _load(server, upscaler)
        try:
            job = run_job(server, "/upscale", body)
        except ApiError as refusal:
            if refusal.code != "no_upscaler_loaded":
                raise
            _load(server, _only_upscaler(server))
            job = run_job(server, "/upscale", body)
        saved = place.save(server, job)
    report_saved(job, saved, as_json)


def _load(server: ServerAccess, name: str) -> None:
    if server.client.health()["upscaler_name"] != name:
        server.client.load_upscaler(model_name=name)


def _only_upscaler(server: ServerAccess) -> str:
    names = [file["name"] for file in server.client.list_models(type="esrgan")["esrgan"]]
    if len(names) == 1:
        return names[0]
    there = f"choose one of {', '.join(names)} with --upscaler" if names else "there are none in the esrgan folder"
    raise click.ClickException(f"No upscaler is loaded: {there}{server.place}")
