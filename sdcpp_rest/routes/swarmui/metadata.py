"""Writes and reads the text inside SwarmUI's pictures: an object of parameters, and what was found out besides.

Pure. Numbers stay numbers; models lose ``.safetensors``; prompts are as they were drawn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sdcpp_rest.core.job import Job
from sdcpp_rest.core.json_captions import PARAMS, read_object
from sdcpp_rest.core.params import LoraUse
from sdcpp_rest.routes.swarmui.parameter_reading import Given
from sdcpp_rest.routes.swarmui.parameters import BY_ID
from sdcpp_rest.routes.swarmui.translate import Drawing

EXTRA, WARNINGS = "sui_extra_data", "parser_warnings"
_PICTURES = frozenset({"image", "image_list"})
_NATIVE_IDS = {
    "prompt": "prompt",
    "negative_prompt": "negativeprompt",
    "seed": "seed",
    "steps": "steps",
    "cfg_scale": "cfgscale",
    "width": "width",
    "height": "height",
    "sampler": "sampler",
    "scheduler": "scheduler",
}


def write_caption(drawing: Drawing, version: str, extra: Mapping[str, Any]) -> str:
    """The text for a picture, before it is drawn. ``extra`` goes beside the parameters."""
    given, asked = drawing.given, drawing.asked
    params: dict[str, Any] = {"prompt": given.text("prompt")}
    if given.text("negativeprompt"):
        params["negativeprompt"] = given.text("negativeprompt")
    params["model"] = strip_ending(drawing.spec.model.name)
    params |= _values(given)
    params |= {name: asked[name] for name in ("seed", "steps", "width", "height")}
    params["swarm_version"] = version
    notes = [*extra.get(WARNINGS, ()), *drawing.notes]
    return _text({PARAMS: params, EXTRA: {**extra, **({WARNINGS: notes} if notes else {})}})


def describe_job(job: Job, version: str) -> str:
    """The text of a finished job's pictures, whoever submitted it: its caption with the times it took, or what can be
    said of a job of another dialect."""
    found = read_object(job.caption or "") or {PARAMS: _native_values(job, version), EXTRA: {}}
    extra = dict(found.get(EXTRA) or {})
    extra.setdefault("date", format_date(job.created_at))
    extra["prep_time"] = f"{job.timings.queued_seconds + job.timings.load_seconds:.2f} sec"
    extra["generation_time"] = f"{job.timings.native_seconds:.2f} sec"
    return _text({**found, EXTRA: extra})


def format_date(moment: datetime) -> str:
    """A moment as those texts have it: the day, in the server's own time."""
    return moment.astimezone().strftime("%Y-%m-%d")


def strip_ending(name: str) -> str:
    """A model's name as SwarmUI writes it."""
    return name.replace("\\", "/").removesuffix(".safetensors")


def _values(given: Given) -> dict[str, Any]:
    """The request's own values that belong into a picture; pictures themselves do not."""
    found: dict[str, Any] = {}
    for id, value in given.values.items():
        parameter = BY_ID[id]
        if parameter.is_kept and parameter.kind not in _PICTURES and id not in ("prompt", "negativeprompt", "model"):
            found[id] = list(value) if isinstance(value, tuple) else value
    return found


def _native_values(job: Job, version: str) -> dict[str, Any]:
    params = job.params
    found: dict[str, Any] = {id: params[name] for name, id in _NATIVE_IDS.items() if params.get(name) not in (None, "")}
    if job.model_name:
        found["model"] = strip_ending(job.model_name)
    loras = [LoraUse.model_validate(one) for one in params.get("loras") or ()]
    if loras:
        found["loras"] = [strip_ending(one.name) for one in loras]
        found["loraweights"] = [f"{one.weight:g}" for one in loras]
    return {**found, "swarm_version": version}


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2)
