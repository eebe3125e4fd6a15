"""Implements ``sdcpp-rest convert``, which writes a model file with another weight type, or merges a split one.

Submits the job over the API; never calls the library itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdcpp_rest.cli.command_options import config_options, echo_json, json_option, server_options
from sdcpp_rest.cli.job_following import reach_server, run_job
from sdcpp_rest.cli.running_server import RunningServer

if TYPE_CHECKING:
    from sdcpp_rest.config import Config


@click.command()
@click.argument("model", metavar="INPUT")
@click.argument("weight_type", metavar="TYPE")
@click.option("-o", "--output",
              help="Name of the result in the folder of the model's type, or its path in there if it begins with / or "
              "a dot; ends in .gguf or .safetensors.  [default: INPUT with TYPE in its name; "
              "merged parts: what their names have in common]")  # fmt: skip
@click.option("--vae", help="A VAE to put into the result.")
@click.option("--rules", help="Other types for some tensors: `^vae\\.=f16`, say; the first that fits counts.")
@click.option("--overwrite", is_flag=True, help="Replace a file that has the result's name.")
@json_option
@server_options
@config_options
def convert(
    model: str,
    weight_type: str,
    output: str | None,
    vae: str | None,
    rules: str | None,
    overwrite: bool,
    as_json: bool,
    url: str | None,
    api_key: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    **folders: Path | None,
) -> None:
    """Write the model INPUT anew with weights of TYPE, such as q8_0.

    INPUT is a name that `sdcpp-rest models` lists, or the path of a file in the model folders; the result lies there
    too. Without a running server no model is loaded for it. Ctrl-C leaves no half file.

    A model that is split into GGUF files (x-00001-of-00003.gguf) becomes one file. With `keep` as TYPE that is all:
    its weights stay as they are.

    A safetensors file whose numbers and scales lie in separate tensors (scaled FP8, bitsandbytes NF4, NVFP4 and the
    like), which cannot be loaded, becomes one that can.
    """
    from sdcpp_rest.client import ApiError
    from sdcpp_rest.config import load_config

    config = load_config(config_file, overrides, **folders)
    body = {
        "input_path": _name_or_path(model),
        "output_type": weight_type,
        "output_path": _output_name(output) if output else "",
        "vae_path": _name_or_path(vae) if vae else "",
        "tensor_type_rules": rules or "",
        "overwrite": overwrite,
    }
    with reach_server(config, url, api_key) as server:
        try:
            job = run_job(server, "/convert", {name: value for name, value in body.items() if value})
        except ApiError as refusal:
            outside = vae if refusal.field == "vae_path" else model
            if refusal.code != "model_not_found" or outside is None or not Path(outside).expanduser().is_file():
                raise
            raise click.ClickException(_explain_outside(config, outside, isinstance(server, RunningServer))) from None
    if as_json:
        echo_json(job)
    else:
        click.echo(f"saved {job['output_path']}")


def _explain_outside(config: Config, outside: str, by_server: bool) -> str:
    """Say what to do about a file that is in no model folder: results lie beside what they were made of, and
    conversions write nowhere else."""
    folder = Path(outside).expanduser().resolve().parent
    if by_server:
        advice = "a running server converts what is in its own folders only"
    else:
        settings = f"--models-dir {folder.parent} --set models.type_folders.checkpoint={folder.name}"
        advice = f"or have its folder be one: {settings}"
    return f"{outside} is not in a model folder: move it below {config.paths.models_dir}; {advice}"


def _output_name(output: str) -> str:
    """The output as the API takes it: a name is meant in the model folder, what is spelled as a path from here."""
    given = os.path.expanduser(output)
    return os.path.abspath(given) if os.path.isabs(given) or given.startswith(("./", "../", ".\\")) else given


def _name_or_path(given: str) -> str:
    """What is spelled as a path, and is there, as an absolute one. A bare name is a model's, whatever lies here."""
    path = Path(given).expanduser()
    if path.name == given or not path.is_file():
        return given
    # The file's own link stays: it is the name under which the model is listed.
    return str(path.parent.resolve() / path.name)
