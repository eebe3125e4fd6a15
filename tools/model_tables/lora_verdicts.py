"""Asks our own checks what becomes of each form of LoRA, on headers alone: applied, merged, told, or refused.

Knows neither the native library nor the server.
"""

from __future__ import annotations

import re
from pathlib import Path

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.params import LoraUse
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.model_headers.inspection import inspect_file
from sdcpp_rest.services.models.load_checks import check_loadable
from sdcpp_rest.services.models.load_specs import check_lora_file
from sdcpp_rest.services.models.lora_checks import with_loras
from tools.model_tables.lora_models import FORMS, WeightType, file_name, write_base, write_lora
from tools.synthetic_models.families import FAMILIES

MODES = ("auto", "immediately", "at_runtime")


def verdicts(folder: Path, model: str, weight_type: WeightType, mode: str) -> dict[str, str]:
    """What a job with each form gets, by the form's title: "applied" or "merged" (in part), or "refused: " and why.

    Model files without weights and the LoRAs are written below ``folder``.
    """
    spec = _spec(folder, model, weight_type, mode)
    try:
        check_loadable(spec)
    except InvalidRequest as error:
        return dict.fromkeys((form.title for form in FORMS[model]), f"not loaded: {error.message}")
    found = {}
    for form in FORMS[model]:
        path = write_lora(folder / "loras" / file_name(f"{model} {form.title}"), form.tensors)
        found[form.title] = _verdict(spec, path)
    return found


def _verdict(spec: LoadSpec, path: Path) -> str:
    warnings: list[str] = []
    try:
        check_lora_file(path.stem, path.name, str(path))
        bound = with_loras(spec, [LoraUse(name=path.name, path=str(path), weight=1.0)], warnings)
    except InvalidRequest as error:
        return f"refused: {error.message}"
    way = "applied" if bound.options == spec.options else "merged"
    if not warnings:
        return way
    numbers = re.search(r"(\d+ of \d+) tensors", warnings[0])
    return f"{way} in part: {numbers[1]}" if numbers else f"{way} without magnitudes"


def _spec(folder: Path, model: str, weight_type: WeightType, mode: str) -> LoadSpec:
    paths = dict(write_base(folder / "headers" / model, model, weight_type, header_only=True).paths)
    own = paths.pop("model")
    family = inspect_file(own).architecture
    assert family is not None
    spec = LoadSpec(
        model=FileRef(name=own.name, path=str(own)),
        kind=FAMILIES[model].kind,
        architecture=family.name,
        components={role: FileRef(name=path.name, path=str(path)) for role, path in paths.items()},
    )
    return spec.model_copy(update={"options": spec.options.model_copy(update={"lora_apply_mode": mode})})
