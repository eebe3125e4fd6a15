"""Implements ``sdcpp-rest download``, which fetches a model from the internet, or a bundle of all that one needs.

Submits the jobs over the API; fetches nothing itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sdcpp_rest.cli.command_options import config_options, echo_json, json_option, server_options
from sdcpp_rest.cli.job_following import reach_server, run_job
from sdcpp_rest.cli.server_access import ServerAccess

if TYPE_CHECKING:
    from sdcpp_rest.config import Config
    from sdcpp_rest.core.bundles import BundleSize

_ENDED = ("completed", "failed", "cancelled")


@click.command()
@click.argument("address", metavar="[WHAT]", required=False)
@click.option("--type", "model_type", help="The model type whose folder it goes to, such as checkpoint or lora.")
@click.option("--filename", help="Which file, where WHAT has several; of a plain address: what to call it.")
@click.option("--revision", help="Hugging Face: branch, tag or commit.")
@click.option("--subfolder", help="Folder below that of the type.")
@click.option("--name", help="What to call the file.")
@click.option("--overwrite", is_flag=True, help="Replace a file that has this name.")
@click.option("--bundle", help="All files of a recommended model, such as z-image-turbo.")
@click.option("--memory", "memory_gb", type=click.FloatRange(1, 10_000),
              help="Of a bundle: for a device with so many GB.  [default: what the device has]")  # fmt: skip
@click.option("--list", "wants_list", is_flag=True, help="List the bundles.")
@json_option
@server_options
@config_options
def download(
    address: str | None,
    model_type: str | None,
    filename: str | None,
    revision: str | None,
    subfolder: str | None,
    name: str | None,
    overwrite: bool,
    bundle: str | None,
    memory_gb: float | None,
    wants_list: bool,
    as_json: bool,
    url: str | None,
    api_key: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    **folders: Path | None,
) -> None:
    """Download a model into the folder of its type.

    WHAT is whatever you copied: a page or a file at Hugging Face (org/name and org/name/file.gguf will do), a model at
    CivitAI (its number will do), or the address of a file. It is checked and listed when it is whole. After a fault of
    the network the same command goes on where it was.
    """
    from sdcpp_rest.config import load_config

    if wants_list:
        _list_bundles(as_json)
        return
    if (address is None) == (bundle is None):
        raise click.UsageError("Give WHAT to download, or --bundle NAME (see --list).")
    if address is not None and model_type is None:
        raise click.UsageError("Say with --type where it goes: checkpoint, diffusion, lora, vae, ...")
    config = load_config(config_file, overrides, **folders)
    # Nothing is drawn: without a server, no library is loaded and no engine process started for it.
    quick = config.model_copy(update={"engine": config.engine.model_copy(update={"runner": "fake"})})
    with reach_server(quick, url, api_key) as server:
        if bundle is not None:
            _fetch_bundle(server, bundle, memory_gb, overwrite, as_json)
            return
        body = {
            "url": address,
            "model_type": model_type,
            "filename": filename,
            "revision": revision,
            "subfolder": subfolder,
            "name": name,
            "overwrite": overwrite or None,
        }
        job = _download(server, {key: value for key, value in body.items() if value is not None})
    if as_json:
        echo_json(job)
    else:
        click.echo(f"saved {_where(config, job)}")


def _download(server: ServerAccess, body: dict[str, Any]) -> dict[str, Any]:
    """Download one file and have it checked; the job object. Raises ClientError, ClickException, Abort."""
    job = run_job(server, "/models/download", body)
    check_id = str(job["hash_job_id"])
    while (check := server.client.show_job(check_id))["status"] not in _ENDED:
        server.pause(check_id)
    if check["status"] != "completed":
        raise click.ClickException(f"The file was saved, but its check {check['status']}: {check.get('error', '')}")
    return job


def _fetch_bundle(server: ServerAccess, name: str, memory_gb: float | None, overwrite: bool, as_json: bool) -> None:
    from sdcpp_rest.client import ApiError
    from sdcpp_rest.core.bundles import find_bundle

    chosen = find_bundle(name)
    size = chosen.for_memory(memory_gb or _device_gb(server))
    files: list[dict[str, Any]] = []
    click.echo(f"{chosen.display_name} for {size.memory_gb} GB: {len(size.files)} files", err=True)
    if not size.checked:
        click.echo("warning: nobody has run exactly this set of files yet", err=True)
    for file in size.files:
        click.echo(f"{file.repo}/{file.file}", err=True)
        try:
            job = _download(server, {**file.request_fields(), **({"overwrite": True} if overwrite else {})})
        except ApiError as refusal:
            if refusal.code != "conflict" or refusal.field != "overwrite":
                raise
            files.append({"model_type": file.type, "model_name": file.saved_name, "status": "already there"})
            continue
        licence = job["params"].get("licence") or "not told"
        files.append({"model_type": file.type, "model_name": job["model_name"], "status": "saved", "licence": licence})
    load = _load_body(size)
    if as_json:
        echo_json({"bundle": chosen.id, "memory_gb": size.memory_gb, "files": files, "load": load})
        return
    for one in files:
        licence = f"  (licence: {one['licence']})" if "licence" in one else ""
        click.echo(f"{one['status']:13} {one['model_type']:10} {one['model_name']}{licence}")
    click.echo("To load it, POST to /models/load:")
    echo_json(load)


def _load_body(size: BundleSize) -> dict[str, Any]:
    """What `POST /models/load` wants for these files."""
    main = next(file for file in size.files if file.component is None)
    parts = {str(file.component): file.saved_name for file in size.files if file.component is not None}
    body: dict[str, Any] = {"model_name": main.saved_name, "model_type": main.type, **parts}
    return {**body, "options": dict(size.load_options)} if size.load_options else body


def _device_gb(server: ServerAccess) -> float:
    """Of the largest GPU; without one, half of the main memory: the rest is everybody else's."""
    memory = server.client.show_memory()
    largest = max((device["total_bytes"] for device in memory["devices"] if device.get("is_gpu")), default=0)
    return float(largest or memory["system"]["total_bytes"] / 2) / 1e9


def _where(config: Config, job: dict[str, Any]) -> str:
    """The file's path where it is this machine's; else its name."""
    kind, name = str(job["params"]["model_type"]), str(job["model_name"])
    path = config.paths.models_dir / dict(config.models.type_folders)[kind] / name  # type: ignore[index]
    return str(path) if path.is_file() else f"{kind}/{name}"


def _list_bundles(as_json: bool) -> None:
    from sdcpp_rest.core.bundles import BUNDLES

    if as_json:
        echo_json([bundle.model_dump(mode="json") for bundle in BUNDLES.values()])
        return
    width = max(len(name) for name in BUNDLES)
    for name, bundle in BUNDLES.items():
        sizes = ", ".join(str(size.memory_gb) for size in bundle.sizes)
        click.echo(f"{name:{width}}  {bundle.description} For {sizes} GB.")
