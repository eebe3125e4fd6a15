"""From what a client asked for to a job: defaults filled in, names resolved, every number checked, pictures decoded.

All dialects come through here, and nothing that is known to end the library's process goes past it. Values are judged
by the limits of the configuration; types were settled by the dialect that parsed the body.
"""

from __future__ import annotations

import math
import random
import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from pydantic import ValidationError

from sdcpp_rest.config import Config
from sdcpp_rest.core import architectures, prompts
from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.core.sampling import MINIMUM_STEPS, SAMPLERS, SCHEDULERS
from sdcpp_rest.engine.protocol import Ready
from sdcpp_rest.errors import InvalidRequest, NoModelLoaded
from sdcpp_rest.services.input_images import save_inputs
from sdcpp_rest.services.job_queue import JobQueue
from sdcpp_rest.services.model_library import ModelLibrary
from sdcpp_rest.services.model_slot import ModelSlot
from sdcpp_rest.services.outputs import Outputs

# Drawn seeds stay below 2^31, so that every client's integers can hold them.
_SEED_RANGE = 2**31
_LARGEST_SEED = 2**63 - 1
# The library crops nothing below this: a VAE factor of 8.
_SMALLEST_SIDE = 8
# Of a refused value in its error message.
_SHOWN_CHARACTERS = 100


class Submission:
    """See the module."""

    def __init__(
        self,
        config: Config,
        queue: JobQueue,
        models: ModelSlot,
        library: ModelLibrary,
        outputs: Outputs,
        ready: Callable[[], Ready | None],
    ) -> None:
        self._limits = config.limits
        self._queue = queue
        self._models = models
        self._library = library
        self._outputs = outputs
        self._ready = ready

    def picture(
        self,
        kind: Literal["txt2img", "img2img"],
        asked: Mapping[str, Any],
        *,
        images: Mapping[str, str] | None = None,
        spec: LoadSpec | None = None,
        title: str | None = None,
        origin: str = "native",
        owner: str | None = None,
        warnings: Collection[str] = (),
    ) -> tuple[Job, int]:
        """Submit a picture job; returns it with its position.

        Args:
            asked: only what the client sent, in `ImageParams` names; omitted fields get the model's defaults.
            images: role -> base64 text or data URL; roles are ``init_image``, ``mask_image``, ``ref_images.N``.
            spec: the model to bind to; the selected one if ``None``.

        Raises NoModelLoaded, InvalidRequest, QueueFull, EngineUnavailable.
        """
        spec = spec or self._models.selected
        if spec is None:
            raise NoModelLoaded("No model loaded")
        images = dict(images or {})
        params, found = self._params(asked, spec)
        self._check_images(spec, images)
        job_id = str(uuid.uuid4())
        try:
            inputs = save_inputs(
                self._outputs.inputs_of(job_id),
                images,
                (params.width, params.height),
                resizes_references=params.auto_resize_ref_image,
            )
            return self._queue.submit(
                kind,
                params.model_dump(mode="json"),
                job_id=job_id,
                load_spec=spec,
                inputs=inputs,
                title=title,
                origin=origin,
                owner=owner,
                warnings=(*warnings, *found),
            )
        except Exception:
            self._outputs.discard_inputs(job_id)
            raise

    def _params(self, asked: Mapping[str, Any], spec: LoadSpec) -> tuple[ImageParams, list[str]]:
        defaults = {**self._library.generation_defaults(spec), **_load_time_defaults(spec)}
        values = {"seed": -1, **self._within_limits(defaults), **asked}
        if "prompt" not in values:
            raise InvalidRequest("prompt is required", field="prompt")
        params = _typed(values)
        prompts.check_prompt("prompt", params.prompt, self._limits.prompt_characters)
        prompts.check_prompt("negative_prompt", params.negative_prompt, self._limits.prompt_characters)
        loras = self._library.resolve_loras(params.prompt)
        if not -1 <= params.seed <= _LARGEST_SEED - self._limits.batch:
            largest = _LARGEST_SEED - self._limits.batch
            raise out_of_range("seed", params.seed, f"-1 (random) or an integer from 0 to {largest}")
        seed = random.randrange(_SEED_RANGE) if params.seed == -1 else params.seed
        params = params.model_copy(update={"loras": loras, "seed": seed})
        self._check_numbers(params)
        return params, self._check_names(params, spec)

    def _within_limits(self, defaults: dict[str, Any]) -> dict[str, Any]:
        """A model's defaults, cut to what is allowed here: nobody should be refused for what they did not ask for."""
        limits = {"width": self._limits.side, "height": self._limits.side, "steps": self._limits.steps}
        wanted = {**{name: ImageParams.model_fields[name].default for name in limits}, **defaults}
        return wanted | {name: min(wanted[name], limit) for name, limit in limits.items()}

    def _check_numbers(self, params: ImageParams) -> None:
        limits = self._limits
        for name, value, low, high in (
            ("width", params.width, _SMALLEST_SIDE, limits.side),
            ("height", params.height, _SMALLEST_SIDE, limits.side),
            ("steps", params.steps, 1, limits.steps),
            ("batch_count", params.batch_count, 1, limits.batch),
            ("cfg_scale", params.cfg_scale, 0, 1000),
            ("img_cfg_scale", params.img_cfg_scale, 0, 1000),
            ("distilled_guidance", params.distilled_guidance, 0, 1000),
            ("eta", params.eta, 0, 1000),
            ("flow_shift", params.flow_shift, 0, 1000),
            ("shifted_timestep", params.shifted_timestep, 0, 1000),
            ("strength", params.strength, 0, 1),
            ("control_strength", params.control_strength, 0, 10),
            ("clip_skip", params.clip_skip, -1, 12),
            ("slg_scale", params.slg_scale, 0, 1000),
            ("slg_start", params.slg_start, 0, 1),
            ("slg_end", params.slg_end, 0, 1),
            ("vae_tile_size_x", params.vae_tile_size_x, 0, limits.side),
            ("vae_tile_size_y", params.vae_tile_size_y, 0, limits.side),
            ("vae_tile_overlap", params.vae_tile_overlap, 0, 1),
            ("easycache_threshold", params.easycache_threshold, 0, 1000),
            ("easycache_start", params.easycache_start, 0, 1),
            ("easycache_end", params.easycache_end, 0, 1),
        ):
            # Written so that NaN fails too.
            if value is not None and not low <= value <= high:
                raise out_of_range(name, value, f"from {low:g} to {high:g}")
        if len(params.skip_layers) > 256 or not all(0 <= layer < 1024 for layer in params.skip_layers):
            raise out_of_range("skip_layers", list(params.skip_layers), "at most 256 layer numbers from 0 to 1023")
        sigmas = params.custom_sigmas
        if sigmas and (
            not 2 <= len(sigmas) <= limits.steps + 1 or not all(math.isfinite(s) and s >= 0 for s in sigmas)
        ):
            raise out_of_range(
                "custom_sigmas", list(sigmas)[:8], f"2 to {limits.steps + 1} finite numbers of at least 0"
            )
        work = params.width * params.height * max(params.steps, len(sigmas) - 1) * params.batch_count
        if work > limits.pixel_steps:
            raise InvalidRequest(
                f"width x height x steps x batch_count is {work:.3g}; at most {limits.pixel_steps:.3g} is allowed "
                "(limits.pixel_steps)",
                field="steps",
                value=work,
            )

    def _check_names(self, params: ImageParams, spec: LoadSpec) -> list[str]:
        """Refuse what the library does not know; returns warnings about what it knows but should not be asked."""
        ready = self._ready()
        samplers = (ready.samplers if ready else ()) or SAMPLERS
        schedulers = (ready.schedulers if ready else ()) or SCHEDULERS
        for name, value, allowed in (
            ("sampler", params.sampler, samplers),
            ("scheduler", params.scheduler, schedulers),
        ):
            if value not in allowed:
                raise out_of_range(name, value, "one of " + ", ".join(allowed))
        least = MINIMUM_STEPS.get(params.scheduler, 1)
        if params.steps < least:
            raise out_of_range("steps", params.steps, f"at least {least} with scheduler {params.scheduler}")
        family = architectures.named(spec.architecture)
        if family is not None and not family.makes_images:
            raise InvalidRequest(f"{spec.model.name} ({family.name}) makes videos, not pictures")
        warnings = [self._library.size_warning(spec, params.width, params.height)]
        if family is not None:
            warnings.append(architectures.scheduler_warning(family, params.scheduler))
        return [warning for warning in warnings if warning]

    def _check_images(self, spec: LoadSpec, images: Mapping[str, str]) -> None:
        if images and spec.options.vae_decode_only:
            role = next(iter(images))
            raise InvalidRequest(
                f"{role} needs the model's VAE encoder, and {spec.model.name} was loaded with vae_decode_only; "
                'load it again with "options": {"vae_decode_only": false}',
                field=role,
            )


def out_of_range(field: str, value: Any, allowed: str) -> InvalidRequest:
    """The one sentence for a value that is not allowed: it names the field, the value and what is."""
    shown = repr(value)
    if len(shown) > _SHOWN_CHARACTERS:
        shown = f"{shown[:_SHOWN_CHARACTERS]}..."
        value = shown
    message = f"{field} must be {allowed}, got {shown}"
    return InvalidRequest(message, field=field, value=_json_safe(value), allowed=allowed)


def _json_safe(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _typed(values: Mapping[str, Any]) -> ImageParams:
    """The last word on types: a dialect that lets a wrong one through must not make it the server's error."""
    try:
        return ImageParams.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = str(first["loc"][0])
        raise InvalidRequest(f"{field}: {first['msg']}", field=field) from None


def _load_time_defaults(spec: LoadSpec) -> dict[str, Any]:
    """Options of ``/models/load`` that the library takes per picture: defaults of the model's jobs."""
    options = spec.options
    defaults: dict[str, Any] = {}
    if options.flow_shift is not None:
        defaults["flow_shift"] = options.flow_shift
    if options.vae_tiling:
        defaults |= {
            "vae_tiling": True,
            "vae_tile_size_x": options.vae_tile_size_x,
            "vae_tile_size_y": options.vae_tile_size_y,
            "vae_tile_overlap": options.vae_tile_overlap,
        }
    return defaults
