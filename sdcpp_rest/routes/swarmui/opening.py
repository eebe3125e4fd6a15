"""Gives SwarmUI's views and sockets what they need of the server: lists to choose from, the calls that draw.

The one place of this dialect that takes the server apart.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from sdcpp_rest.config import Config
from sdcpp_rest.core.architectures import architecture_named
from sdcpp_rest.core.infotext import SAMPLER_LABELS, SCHEDULER_LABELS
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.core.sampling_names import NODE_SAMPLERS, NODE_SCHEDULERS
from sdcpp_rest.errors import InvalidRequest, NotFound
from sdcpp_rest.groups.core_groups import JobServices, ModelServices
from sdcpp_rest.groups.submission_group import SubmissionServices
from sdcpp_rest.routes.http.answers import runtime
from sdcpp_rest.routes.swarmui.history_paths import read_path, spell_name, split_star
from sdcpp_rest.routes.swarmui.model_classes import describe_classes, describe_compat_classes
from sdcpp_rest.routes.swarmui.model_lists import list_model_names
from sdcpp_rest.routes.swarmui.model_types import MODEL_TYPES
from sdcpp_rest.routes.swarmui.parameter_list import FIXED_LISTS, describe_parameters
from sdcpp_rest.routes.swarmui.picture_calls import PictureCalls
from sdcpp_rest.routes.swarmui.translate import UPSCALE_METHODS, TranslationContext
from sdcpp_rest.routes.swarmui.wording import FindPreset, Wording
from sdcpp_rest.services.jobs.picture_history import PictureHistory
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.server_status import ServerStatus
from sdcpp_rest.services.submission.picture_rounds import PictureKind
from sdcpp_rest.services.submission.sampling_intake import SamplingIntake


def open_lists(library: ModelLibrary, status: ServerStatus) -> dict[str, Sequence[str]]:
    """What can be chosen from, by the name that `Parameter.choices` has."""
    engine = status.options()
    upscalers = [f"model-{file.name}" for file in library.files("esrgan")]
    models = {
        subtype: [file.name for kind in kinds for file in library.files(kind)] for subtype, kinds in MODEL_TYPES.items()
    }
    return {
        **FIXED_LISTS,
        **models,
        "samplers": [NODE_SAMPLERS.get(name, name) for name in engine["samplers"]],
        "schedulers": [NODE_SCHEDULERS.get(name, name) for name in engine["schedulers"]],
        "upscalers": [*UPSCALE_METHODS, *upscalers],
    }


def open_labels(status: ServerStatus) -> dict[str, str]:
    """What a page shows in place of samplers and schedulers."""
    engine = status.options()
    samplers = {NODE_SAMPLERS.get(name, name): SAMPLER_LABELS.get(name, name) for name in engine["samplers"]}
    return {
        **samplers,
        **{NODE_SCHEDULERS.get(name, name): SCHEDULER_LABELS.get(name, name) for name in engine["schedulers"]},
    }


def list_parameters(
    models: ModelServices, status: ServerStatus, param_edits: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The answer of ListT2IParams, and of TriggerRefresh. ``param_edits``: how the user has changed them."""
    lists = open_lists(models.library, status)
    return {
        **describe_parameters(lists, open_labels(status)),
        "models": list_model_names(models.cards),
        "model_compat_classes": describe_compat_classes(),
        "model_classes": describe_classes(),
        "wildcards": models.wildcards.names(),
        "param_edits": param_edits,
    }


def open_wording(models: ModelServices, status: ServerStatus, find_preset: FindPreset) -> Wording:
    """What resolves prompts, by what the server has now."""
    return Wording(models.library, models.wildcards, find_preset, open_lists(models.library, status))


def open_calls(
    config: Config,
    jobs: JobServices,
    models: ModelServices,
    submission: SubmissionServices,
    status: ServerStatus,
    version: str,
    find_preset: FindPreset,
) -> PictureCalls:
    """The calls that draw, by what the server has now."""
    context = TranslationContext(
        lists=open_lists(models.library, status),
        selected=models.slot.selected,
        spec_named=submission.model_choice.spec_named,
        spec_with=submission.titles.spec_of,
        defaults=lambda kind, spec: _defaults(submission.intake, kind, spec),
        makes_videos=_makes_videos,
        picture_at=lambda path: read_picture(jobs.history, path),
    )
    return PictureCalls(
        submission.rounds,
        submission.videos,
        jobs.outputs,
        jobs.recycle_bin,
        context,
        jobs.picture_keeping,
        wording=Wording(models.library, models.wildcards, find_preset, context.lists),
        find_preset=find_preset,
        names=lambda job: jobs.history.name_outputs(job, spell_name),
        version=version,
        most_pictures=config.swarm.images,
    )


def open_calls_here() -> PictureCalls:
    """The same for the view that is being called."""
    running = runtime()
    return open_calls(
        running.config,
        running.jobs,
        running.models,
        running.submission,
        running.status,
        running.version,
        running.settings.presets.parameters,
    )


def read_picture(history: PictureHistory, sent: str) -> str:
    """A picture of the history as base64. Raises InvalidRequest for one that is not there."""
    path, starred = split_star(read_path(sent))
    try:
        file = history.file_of(history.find(path, starred=starred))
        return base64.b64encode(file.read_bytes()).decode("ascii")
    except (NotFound, OSError):
        raise InvalidRequest(f"There is no picture {sent[:100]!r} in the history", field="initimage") from None


def _defaults(intake: SamplingIntake, kind: PictureKind, spec: LoadSpec) -> Mapping[str, Any]:
    return intake.defaults(ImageParams, kind, spec)


def _makes_videos(spec: LoadSpec) -> bool:
    family = architecture_named(spec.architecture)
    return family is not None and not family.makes_images
