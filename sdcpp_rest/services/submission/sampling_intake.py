"""Turns a request into checked parameters, as far as pictures and videos go the same way: defaults filled in, prompts
examined, LoRAs found, the seed drawn, shared numbers and names judged.

What only pictures or only videos have is left to the caller. It must not know the queue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core import architectures, prompts
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import SamplingParams
from sdcpp_rest.engine.protocol import Ready
from sdcpp_rest.services.models.load_specs import resolve_loras
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.settings.user_settings import Mode
from sdcpp_rest.services.submission import submission_checks as checks
from sdcpp_rest.services.submission.idle_notes import idle_warnings
from sdcpp_rest.services.submission.job_defaults import JobDefaults

P = TypeVar("P", bound=SamplingParams)


class SamplingIntake:
    """Checks the parameters that pictures and videos share, and fills in their defaults.

    ``ready`` answers what the running engine knows, ``None`` while there is none.
    """

    def __init__(
        self, limits: LimitsConfig, library: ModelLibrary, defaults: JobDefaults, ready: Callable[[], Ready | None]
    ) -> None:
        self.limits = limits
        self.library = library
        self.ready = ready
        self._defaults = defaults

    def params(self, kind: type[P], mode: Mode, asked: Mapping[str, Any], spec: LoadSpec) -> tuple[P, list[str]]:
        """``asked`` (only what the client sent) as whole, checked parameters, and warnings in plain words.

        Raises InvalidRequest.
        """
        given = {name: value for name, value in asked.items() if name not in checks.FOUND_HERE}
        params = checks.check_types(kind, {**self._defaults.of(kind, mode, spec, self.ready()), **given})
        checks.check_prompts(params, self.limits)
        loras = resolve_loras(self.library, params.prompt)
        seed = checks.choose_seed(params.seed, self.limits)
        params = params.model_copy(update={"loras": loras, "seed": seed})
        checks.check_sampling(params, self.limits)
        checks.check_names({"sampler": params.sampler, "scheduler": params.scheduler}, self.ready())
        checks.check_steps_of(params.scheduler, params.steps)
        return params, [*self._warnings(params, spec), *idle_warnings(asked, params, spec)]

    def usual(self, kind: type[P], mode: Mode, spec: LoadSpec) -> P:
        """What becomes of a request that says nothing at all; its seed of -1 is not drawn yet."""
        return checks.check_types(kind, {"prompt": "", **self._defaults.of(kind, mode, spec, self.ready())})

    def defaults(self, kind: type[SamplingParams], mode: Mode, spec: LoadSpec) -> dict[str, Any]:
        """What omitted fields become, as far as the model or its users have an opinion; the rest is up to the caller,
        or else the API's own table."""
        return self._defaults.of(kind, mode, spec, self.ready())

    def _warnings(self, params: SamplingParams, spec: LoadSpec) -> list[str]:
        family = architectures.architecture_named(spec.architecture)
        found = [
            *prompts.tag_warnings(params.prompt, params.negative_prompt),
            self.library.size_warning(spec, params.width, params.height),
            architectures.scheduler_warning(family, params.scheduler) if family else None,
            checks.one_step_warning(params.scheduler, params.steps) if not params.custom_sigmas else None,
        ]
        return [warning for warning in found if warning]
