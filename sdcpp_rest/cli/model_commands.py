"""Implements ``sdcpp-rest models`` and ``inspect``, which list model files and describe one of them.

Reads the folders and headers itself; needs no server and no API.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sdcpp_rest.cli.command_options import config_options, echo_json, json_option, size_text

if TYPE_CHECKING:
    from sdcpp_rest.cli.model_lookup import LibraryWithFile
    from sdcpp_rest.config import Config
    from sdcpp_rest.services.models.fit_estimate import Fit, FitRequest
    from sdcpp_rest.services.models.model_facts import ModelFacts


@click.command()
@click.option("--type", "model_type", help="Only this type, such as lora.")
@click.option("--search", help="Only names with this text in them.")
@json_option
@config_options
def models(
    model_type: str | None,
    search: str | None,
    as_json: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
    **folders: Any,
) -> None:
    """List the model files that the server would see.

    When --type or --search leave none, the exit code is 1.
    """
    from sdcpp_rest.config import load_config
    from sdcpp_rest.runtime import open_library

    config = load_config(config_file, overrides, **folders)
    library = open_library(config)
    files = [file for found in library.list(type=model_type, search=search).values() for file in found]
    is_filtered = model_type is not None or search is not None
    if is_filtered and not files:
        count = sum(map(len, library.list().values()))
        click.echo(_no_hit(count, model_type, search, config.paths.models_dir), err=True)
    if as_json:
        echo_json([file.model_dump(mode="json", include={"type", "name", "path", "size_bytes"}) for file in files])
    elif not files and not is_filtered:
        click.echo(f"no model files below {config.paths.models_dir}")
    else:
        width = max((len(file.name) for file in files), default=0)
        for file in files:
            click.echo(f"{file.type:11} {file.name:{width}}  {size_text(file.size_bytes):>10}")
    if is_filtered and not files:
        # As grep does: a script need not read what was printed.
        raise click.exceptions.Exit(1)


def _no_hit(count: int, model_type: str | None, search: str | None, models_dir: Path) -> str:
    """Why a filtered list is empty. ``count``: of all models."""
    if not count:
        return f"no model files below {models_dir}"
    wanted = [f"is of type {model_type}"] if model_type is not None else []
    wanted += [f"has {search!r} in its name"] if search is not None else []
    return f"none of {count} models {' and '.join(wanted)}"


@click.command()
@click.argument("file")
@click.option("--tensors", is_flag=True, help="List every tensor as well.")
@click.option("--fit", "wants_fit", is_flag=True, help="Estimate the memory that drawing takes, and whether it fits.")
@click.option("--width", type=click.IntRange(1, 16_384), help="Of the picture to estimate for; default: the model's.")
@click.option("--height", type=click.IntRange(1, 16_384), help="Of the picture to estimate for; default: the model's.")
@json_option
@config_options
def inspect(
    file: str,
    tensors: bool,
    wants_fit: bool,
    width: int | None,
    height: int | None,
    as_json: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
    **folders: Any,
) -> None:
    """Say what is in a model FILE, from its header alone.

    FILE is a path, or a name that `sdcpp-rest models` lists.
    """
    from sdcpp_rest.cli.model_lookup import LibraryWithFile
    from sdcpp_rest.config import load_config
    from sdcpp_rest.services.model_headers.inspection import inspect_parts
    from sdcpp_rest.services.models.model_facts import facts_of

    config = load_config(config_file, overrides, **folders)
    library = LibraryWithFile(config, file)
    chosen = library.chosen
    facts = facts_of(library, chosen.type, chosen.name)
    shapes: dict[str, list[int]] = {}
    if tensors:
        found = inspect_parts(chosen.parts or (chosen.path,)).tensors
        shapes = {name: list(shape) for name, shape in found.items()}
    estimate = _estimate(config, library, width, height) if wants_fit or width or height else None
    if as_json:
        shown = asdict(facts) | {"path": chosen.path, "model_type": chosen.type if library.is_listed else None}
        shown["sidecar"] = facts.sidecar.model_dump(mode="json") if facts.sidecar else None
        if estimate is not None:
            shown["fit"] = _fit_json(*estimate)
        echo_json(shown | ({"tensors": shapes} if tensors else {}))
        return
    _print_facts(chosen.path, facts)
    if estimate is not None:
        _print_fit(*estimate)
    for name, shape in shapes.items():
        click.echo(f"  {name}  {'x'.join(map(str, shape))}")


def _estimate(
    config: Config, library: LibraryWithFile, width: int | None, height: int | None
) -> tuple[Fit, FitRequest]:
    """Against this machine's devices, as the native library sees them now."""
    import psutil

    from sdcpp_rest.cli.engine_probe import probe_engine
    from sdcpp_rest.services.models.fit_estimate import FitEstimates, FitRequest

    devices = [device.model_dump() for device in probe_engine(config).devices]
    system = psutil.virtual_memory()
    memory = {
        "devices": devices,
        "system": {"total_bytes": system.total, "available_bytes": system.available},
        "engine": {"rss_bytes": None},
    }
    fits = FitEstimates(library, lambda: memory, tuple)
    kind, name = library.chosen.type, library.chosen.name
    usual = fits.usual_size(kind, name)
    ask = FitRequest(width=width or usual[0], height=height or usual[1])
    return fits.of(kind, name, ask), ask


def _fit_json(fit: Fit, ask: FitRequest) -> dict[str, Any]:
    """The words of ``GET /models/{model_type}/{model_name}/fit``."""
    return {
        "width": ask.width,
        "height": ask.height,
        "weights": {**fit.needs.weights, "total": fit.needs.weight_bytes},
        "compute": {**fit.needs.buffers, "peak": fit.needs.peak_bytes - fit.needs.weight_bytes},
        "total_bytes": fit.needs.peak_bytes,
        "devices": [asdict(device) for device in fit.devices],
        "warnings": list(fit.warnings),
    }


def _print_facts(path: str, facts: ModelFacts) -> None:
    split = f", in {facts.parts} parts" if facts.parts > 1 else ""
    click.echo(f"file          {path} ({size_text(facts.size_bytes)}, {facts.format}{split})")
    click.echo(f"contents      {facts.contents}")
    click.echo(f"architecture  {facts.model_architecture or 'not recognised'}")
    if facts.preset:
        click.echo(f"preset        {facts.preset}")
    click.echo(f"parameters    {facts.parameter_count:,} in {facts.tensor_count} tensors")
    for share in facts.quantization:
        click.echo(f"  {share.type:10} {share.tensors:6} tensors  {size_text(share.bytes):>10}  {share.share:6.1%}")
    if facts.trained_words:
        click.echo(f"words         {', '.join(facts.trained_words)}")
    for name, value in facts.metadata.items():
        click.echo(f"metadata      {name} = {str(value)[:100]}")
    if facts.sidecar is not None:
        for role, component in facts.sidecar.components.items():
            click.echo(f"loads with    {role} = {component}")
    for sentence in facts.warnings:
        click.echo(f"warning       {sentence}")


def _print_fit(fit: Fit, ask: FitRequest) -> None:
    needs = fit.needs
    click.echo(
        f"memory        {size_text(needs.peak_bytes)} for {ask.width}x{ask.height}: weights "
        f"{size_text(needs.weight_bytes)}, computing {size_text(needs.peak_bytes - needs.weight_bytes)}"
    )
    words = {"fits": "fits", "tight": "fits, just", "no": "does not fit"}
    for device in fit.devices:
        click.echo(
            f"device        {device.name}: {words[device.verdict]}; {size_text(device.needed_bytes)} of "
            f"{size_text(device.free_bytes)} free"
        )
        for advice in device.advice:
            effect = "saves" if advice.saves_bytes > 0 else "takes another"
            click.echo(
                f"advice        {advice.option}={json.dumps(advice.value)} {effect} "
                f"{size_text(abs(advice.saves_bytes))}: {advice.text}"
            )
    for sentence in fit.warnings:
        click.echo(f"warning       {sentence}")
