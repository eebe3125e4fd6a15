"""Checks whether the LoRAs of a job fit the model that it is bound to, and how the library has to apply them.

Reads headers only. What ends the engine or fails in every way is refused, what has an effect in part is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sdcpp_rest.core.architectures import Architecture
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.lora_fit import LoraFit, fit_lora, made_for
from sdcpp_rest.core.params import LoraUse
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.model_headers.inspection import NotAModel, check_format, inspect_file
from sdcpp_rest.services.models.load_checks import quantized_file
from sdcpp_rest.services.models.loaded_weights import weights_of

_SHOWN_FAULTS = 3


def with_loras(spec: LoadSpec, loras: Iterable[LoraUse], warnings: list[str]) -> LoadSpec:
    """``spec`` so loaded that ``loras`` can be applied; adds a sentence to ``warnings`` for each that fits in part.

    Raises InvalidRequest naming the LoRA where none of its tensors fits, or where applying it ends the job.
    """
    loras = tuple(loras)
    if not loras:
        return spec
    try:
        found = weights_of(spec)
    except NotAModel:
        return spec  # what is wrong with the model is told when it is loaded
    if found is None:
        return spec
    family, weights = found
    fits: list[tuple[LoraUse, LoraFit]] = []
    for lora in loras:
        if lora.is_high_noise and "high_noise_diffusion_model" not in spec.components:
            if family.makes_images:
                warnings.append(f"LoRA {lora.name}: {family.name} has no high-noise expert; it has no effect.")
            continue
        tensors = check_format(inspect_file(lora.path)).tensors
        if not tensors:
            continue
        fit = fit_lora(tensors, weights, family.id, is_high_noise=lora.is_high_noise)
        _refuse_what_fails(spec, family, lora, fit, made_for(tensors))
        warnings += _partly(spec, family, lora, fit)
        spec = _mergeable(spec, lora, fit)
        fits.append((lora, fit))
    _refuse_what_merging_spoils(spec, fits)
    return spec


def _refuse_what_fails(spec: LoadSpec, family: Architecture, lora: LoraUse, fit: LoraFit, origin: str | None) -> None:
    if fit.wrong_shapes:
        shown = "; ".join(fit.wrong_shapes[:_SHOWN_FAULTS])
        more = len(fit.wrong_shapes) - _SHOWN_FAULTS
        raise _refusal(
            lora,
            f"does not fit {spec.model.name} ({family.name}): {shown}"
            + (f", and {more} more" if more > 0 else "")
            + _origin(origin),
        )
    if fit.fitting == 0:
        forms = ", ".join(fit.other_forms)
        of_form = f"; {forms} is a form that the library does not know" if forms else ""
        if origin is not None and family.name.startswith(origin) and not forms:
            of_form = "; the library looks for keys as ComfyUI, kohya and diffusers write them"
        expert = " of its high-noise expert" if lora.is_high_noise else ""
        raise _refusal(
            lora,
            f"would have no effect: none of its {fit.total} tensors fits {spec.model.name} ({family.name}){expert}; "
            f"it has {fit.key_form}{_origin(origin)}{of_form}",
        )


def _partly(spec: LoadSpec, family: Architecture, lora: LoraUse, fit: LoraFit) -> list[str]:
    found = []
    if fit.fitting < fit.total - fit.magnitudes:
        forms = ", ".join(
            f"{count} are {form}, which the library does not know" for form, count in fit.other_forms.items()
        )
        found.append(
            f"LoRA {lora.name}: {fit.fitting} of {fit.total} tensors fit {spec.model.name} ({family.name}); the others "
            f"have no effect{f' ({forms})' if forms else ''}."
        )
    if fit.magnitudes:
        found.append(
            f"LoRA {lora.name} is a DoRA: its {fit.magnitudes} magnitudes (dora_scale) are not used, the rest is "
            "applied as a plain LoRA."
        )
    return found


def _mergeable(spec: LoadSpec, lora: LoraUse, fit: LoraFit) -> LoadSpec:
    """The spec with LoRAs merged into the weights, where nothing else can apply ``lora``. Raises InvalidRequest."""
    mode = spec.options.lora_apply_mode
    if mode == "immediately":
        return spec
    if fit.on_quantized:
        raise _refusal(
            lora,
            f"cannot be applied to the quantized weights of {spec.model.name}: {fit.on_quantized}; use a model file of "
            "f16, bf16 or f32, or another form of the LoRA",
        )
    if not fit.only_merged:
        return spec
    quantized = quantized_file(spec)
    if quantized is not None:
        raise _refusal(
            lora,
            f"can only be merged into the weights ({fit.only_merged}), which does not work while {quantized} is "
            "quantized; use files of f16, bf16 or f32, or another form of the LoRA",
        )
    if mode != "auto":
        raise _refusal(
            lora,
            f"can only be merged into the weights ({fit.only_merged}); load {spec.model.name} with "
            "options.lora_apply_mode 'auto' or 'immediately'",
        )
    options = spec.options.model_copy(update={"lora_apply_mode": "immediately"})
    return spec.model_copy(update={"options": options})


def _refuse_what_merging_spoils(spec: LoadSpec, fits: Sequence[tuple[LoraUse, LoraFit]]) -> None:
    """``spec`` is as it will be loaded: one LoRA that only merging can apply has all of them merged."""
    if spec.options.lora_apply_mode != "immediately":
        return
    for lora, fit in fits:
        if fit.only_beside:
            merged = next((other.name for other, one in fits if one.only_merged), "")
            why = f"LoRA {merged} needs that" if merged else "options.lora_apply_mode is 'immediately'"
            raise _refusal(
                lora,
                f"would be applied wrongly when it is merged into the weights ({fit.only_beside}), and {why}; "
                "load the model with 'auto' and use LoRAs that can be applied beside the weights",
            )


def _origin(family: str | None) -> str:
    return f", and looks as if it was made for {family}" if family else ""


def _refusal(lora: LoraUse, why: str) -> InvalidRequest:
    return InvalidRequest(f"prompt: LoRA {lora.name} {why}", field="prompt", value=lora.name)
