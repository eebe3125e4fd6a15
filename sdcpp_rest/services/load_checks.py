"""What can be known about a load before the library is asked: files, components, options.

Everything that is known to end the library's process while it loads, and is decided by a request, is refused here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from sdcpp_rest.core import architectures, quantization
from sdcpp_rest.core.architectures import Contents
from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec
from sdcpp_rest.errors import InvalidRequest, NotSupported
from sdcpp_rest.services.inspection import Inspection, NotAModel, inspect_file

RNG_TYPES = ("std_default", "cuda", "cpu")
PREDICTIONS = ("eps", "v", "edm_v", "sd3_flow", "flux_flow", "flux2_flow")
LORA_APPLY_MODES = ("auto", "immediately", "at_runtime")
MAX_THREADS = 256
MAX_TILE = 4_096

_NEVER_A_COMPONENT: frozenset[Contents] = frozenset({"LoRA", "upscaler", "embedding", "picture model"})
_ARTICLE = {"upscaler": "an upscaler", "embedding": "an embedding"}


def check_loadable(spec: LoadSpec) -> list[str]:
    """Refuse what would end the process while the model is loaded or at its first picture, as far as the files'
    headers and the options tell; answer warnings for the rest.

    Raises InvalidRequest (NotAModel where a file is at fault), naming the field, the value and what is allowed.
    """
    check_options(spec.options)
    if "photo_maker" in spec.components:
        raise NotSupported("photo_maker is not supported yet", field="photo_maker")
    main = inspect_file(spec.model.path)
    components = {role: inspect_file(file.path) for role, file in spec.components.items()}
    warnings = [f"{spec.model.name}: {text}" for text in main.warnings]
    _check_main(spec.model, main)
    for role, inspected in components.items():
        _check_component(role, spec.components[role], inspected)
    _check_lora_mode(spec, [main, *components.values()])
    architecture = main.architecture
    if architecture is None:
        if main.format == "torch":
            warnings.append(f"{spec.model.name} is a torch file, which is not looked into before it is loaded.")
        return warnings
    faults = architectures.structural_faults(architecture, main.tensors)
    if "llm" in components:
        faults += architectures.language_model_faults(architecture, main.tensors, components["llm"].tensors)
    high_noise = components.get("high_noise_diffusion_model")
    if high_noise is not None and high_noise.architecture is not None:
        faults += architectures.structural_faults(high_noise.architecture, high_noise.tensors)
    faults += architectures.missing_components(
        architecture, main.tensors, components, kind=spec.kind, tae_preview_only=spec.options.tae_preview_only
    )
    if "controlnet" in components and not architecture.takes_controlnet:
        text = f"{architecture.name} cannot be used with a ControlNet"
        if not architecture.is_flow:
            faults.append(f"{text}: its UNet is too small for one.")
        else:
            warnings.append(f"{text}; it is loaded and has no effect.")
    if faults:
        raise InvalidRequest(
            f"{spec.model.name} cannot be loaded like this: {' '.join(faults)}",
            field="model_name",
            value=spec.model.name,
            faults=faults,
        )
    return warnings + architectures.component_advice(architecture, main.tensors, components, kind=spec.kind)


def _check_main(file: FileRef, inspected: Inspection) -> None:
    if inspected.contents in ("picture model", "unknown"):
        return
    what = _ARTICLE.get(inspected.contents, f"a {inspected.contents}")
    raise NotAModel(f"{file.name} is {what}, not a model that draws pictures", field="model_name", value=file.name)


def _check_component(role: str, file: FileRef, inspected: Inspection) -> None:
    if role == "high_noise_diffusion_model":
        _check_main(file, inspected)
    elif inspected.contents in _NEVER_A_COMPONENT:
        what = _ARTICLE.get(inspected.contents, f"a {inspected.contents}")
        raise NotAModel(f"{role}: {file.name} is {what} and cannot be used as '{role}'", field=role, value=file.name)


def _check_lora_mode(spec: LoadSpec, files: Iterable[Inspection]) -> None:
    options = spec.options
    if options.lora_apply_mode != "immediately":
        return
    asked = quantization.weight_type("options.weight_type", options.weight_type)
    rules = quantization.tensor_type_rules("options.tensor_type_rules", options.tensor_type_rules)
    quantized = any(entry.is_quantized for _, entry in rules)
    quantized |= asked.is_quantized if asked else any(file.is_quantized for file in files)
    if quantized:
        raise InvalidRequest(
            "options.lora_apply_mode: 'immediately' does not work with quantized weights; use 'auto' or 'at_runtime'",
            field="options.lora_apply_mode",
            value="immediately",
            allowed=["auto", "at_runtime"],
        )


def check_options(options: LoadOptions) -> None:
    """Refuse option values that the library mistakes for others, hangs on or dies of. Raises InvalidRequest."""
    quantization.weight_type("options.weight_type", options.weight_type)
    quantization.tensor_type_rules("options.tensor_type_rules", options.tensor_type_rules)
    _one_of("rng_type", options.rng_type, RNG_TYPES)
    _one_of("sampler_rng_type", options.sampler_rng_type, ("", *RNG_TYPES))
    _one_of("prediction", options.prediction, ("", *PREDICTIONS))
    _one_of("lora_apply_mode", options.lora_apply_mode, LORA_APPLY_MODES)
    if options.n_threads != -1:
        _within("n_threads", options.n_threads, 1, MAX_THREADS, " or -1 for all cores")
    _within("vae_tile_size_x", options.vae_tile_size_x, 0, MAX_TILE, " (0 = the library's choice)")
    _within("vae_tile_size_y", options.vae_tile_size_y, 0, MAX_TILE, " (0 = the library's choice)")
    _within("vae_tile_overlap", options.vae_tile_overlap, 0.0, 1.0)
    _within("chroma_t5_mask_pad", options.chroma_t5_mask_pad, 0, 512)
    _within("max_vram", options.max_vram, 0.0, 1_048_576.0, " GiB (0 = no limit)")
    if options.flow_shift is not None and options.flow_shift != math.inf:
        _within("flow_shift", options.flow_shift, 0.0, 1_000.0, " or null for the model's own")
    if options.free_params_immediately:
        raise InvalidRequest(
            "options.free_params_immediately: true ends the engine at the second picture; only false is possible",
            field="options.free_params_immediately",
            value=True,
            allowed=[False],
        )


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        words = ", ".join(repr(word) for word in allowed)
        raise InvalidRequest(
            f"options.{name}: {value[:80]!r} is unknown; allowed: {words}",
            field=f"options.{name}",
            value=value[:200],
            allowed=list(allowed),
        )


def _within(name: str, value: float, least: float, most: float, note: str = "") -> None:
    if not least <= value <= most:  # also false for NaN
        raise InvalidRequest(
            f"options.{name}: {value} is out of range; allowed: {least} to {most}{note}",
            field=f"options.{name}",
            value=str(value),
            allowed=f"{least} to {most}",
        )
