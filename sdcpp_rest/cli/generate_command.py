"""Implements ``sdcpp-rest generate``, which draws a picture or a video from a prompt.

Submits the job over the same API that clients use; knows no service.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, NoReturn

import click

from sdcpp_rest.cli.command_options import config_options, json_option, server_options
from sdcpp_rest.cli.job_following import reach_server, report_saved, run_job
from sdcpp_rest.cli.output_place import PICTURE_ENDINGS, VIDEO_ENDINGS, OutputPlace

_PICTURE_LISTS = ("ref_images", "pm_id_images", "control_frames")
"""Fields that are lists also when they are given once."""


@click.command()
@click.argument("prompt")
@click.option("-o", "--output", type=click.Path(path_type=Path, readable=False),
              help="Where to save; further pictures of a batch get _1, _2, ... The ending decides the format: .png, "
              ".jpg, .jpeg or .webp; of videos .mp4, .webm, .webp or .png (one per frame). - is standard output.  "
              "[default: out.png]")  # fmt: skip
@click.option("--model", help="Model to select and to use; -p model_name=NAME uses one for this job alone.")
@click.option("--negative", "negative_prompt", help="What should not be in the picture.")
@click.option("--width", type=int, help="Pixels.")
@click.option("--height", type=int, help="Pixels.")
@click.option("--steps", type=int, help="Sampling steps.")
@click.option("--cfg-scale", type=float, help="How closely the prompt is followed.")
@click.option("--seed", type=int, help="-1 for a random one.")
@click.option("--sampler", help="Such as euler; GET /options lists them.")
@click.option("--scheduler", help="Such as karras; GET /options lists them.")
@click.option("--batch-count", type=int, help="How many pictures.")
@click.option("--init-image", type=click.Path(path_type=Path),
              help="A picture to start from; resized to the result's size.")  # fmt: skip
@click.option("--strength", type=float, help="How much of --init-image is drawn anew: 0 keeps it, 1 ignores it.")
@click.option("--mask", type=click.Path(path_type=Path),
              help="What of --init-image is drawn anew: white is, black is kept.")  # fmt: skip
@click.option("--frames", "video_frames", type=int,
              help="Make a video of so many frames, out.mp4 by default; --init-image is its first.")  # fmt: skip
@click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE",
              help="Any other field of the API (see `sdcpp-rest openapi`); VALUE as JSON, else as text, or @FILE for a "
              "picture file. May be given several times.")  # fmt: skip
@json_option
@server_options
@config_options
def generate(
    prompt: str,
    output: Path | None,
    model: str | None,
    init_image: Path | None,
    strength: float | None,
    mask: Path | None,
    params: tuple[str, ...],
    as_json: bool,
    url: str | None,
    api_key: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    data_dir: Path | None,
    models_dir: Path | None,
    output_dir: Path | None,
    **fields: Any,
) -> None:
    """Draw PROMPT and save the picture, or the video."""
    from sdcpp_rest.config import load_config

    folders = {"data_dir": data_dir, "models_dir": models_dir, "output_dir": output_dir}
    config = load_config(config_file, overrides, **folders)
    body = {"prompt": prompt, **parse_params(params)}
    body |= {name: value for name, value in fields.items() if value is not None}
    if init_image is not None:
        body["init_image_base64"] = base64_of(init_image)
    if "init_image_base64" not in body and (mask or strength is not None):
        raise click.ClickException(f"{'--mask' if mask else '--strength'} needs a picture to start from: --init-image")
    if mask is not None and "video_frames" in body:
        raise click.ClickException("--mask is for pictures: a video has none")
    if mask is not None:
        body["mask_image_base64"] = base64_of(mask)
    if strength is not None:
        body["strength"] = strength
    path = "/img2img" if "init_image_base64" in body else "/txt2img"
    if "video_frames" in body:
        path = "/txt2vid"
    place = _place_for(output, body, as_json)
    if not str(body["prompt"]).strip():
        click.echo("warning: the prompt is empty", err=True)
    with reach_server(config, url, api_key) as server:
        name = model or (None if "model_name" in body else server.default_model)
        if name is not None:
            for warning in server.client.load_model(model_name=name).get("warnings", []):
                click.echo(f"warning: {warning}", err=True)
        job = run_job(server, path, body)
        saved = place.save(server, job)
    report_saved(job, saved, as_json)


def _place_for(output: Path | None, body: dict[str, Any], as_json: bool) -> OutputPlace:
    """Where the results go. Of a video, ``body`` gets the format that the name asks for. Raises ClickException."""
    is_video = "video_frames" in body
    place = OutputPlace(output, Path("out"), VIDEO_ENDINGS if is_video else PICTURE_ENDINGS)
    if place.is_stdout and as_json:
        raise click.ClickException("-o - and --json both want standard output")
    if is_video and place.format is not None and body.setdefault("output_format", place.format) != place.format:
        raise click.ClickException(
            f"-o {output} is the name of another format than output_format={body['output_format']}"
        )
    place.check_count(_file_count(body))
    return place


def _file_count(body: dict[str, Any]) -> int:
    """How many files will be made, as far as it was asked for; what is no number is the server's to refuse."""
    if "video_frames" not in body:
        count = body.get("batch_count", 1)
    else:
        count = body["video_frames"] if body.get("output_format") == "frames" else 1
    return count if isinstance(count, int) else 1


def base64_of(path: Path) -> str:
    """A file as base64 text. Raises OSError."""
    return base64.b64encode(path.read_bytes()).decode("ascii")


def parse_params(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Fields from ``NAME=VALUE`` texts; values of the same list add up. Raises ClickException, OSError."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise click.ClickException(f"--param {pair[:80]}: expected NAME=VALUE, for example clip_skip=2")
        value = base64_of(Path(text[1:])) if text.startswith("@") else _value(text)
        if name in _PICTURE_LISTS:
            found.setdefault(name, []).extend(value if isinstance(value, list) else [value])
        else:
            found[name] = value
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and infinity are not JSON: they are words
