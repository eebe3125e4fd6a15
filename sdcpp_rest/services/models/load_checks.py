"""Checks a load before the library is asked: its files, components and options.

Everything that is known to end the library's process while it loads, and is decided by a request, is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sdcpp_rest.core import component_fit, component_forms, family_needs, family_signs, fit, quantization
from sdcpp_rest.core.architectures import Architecture, Contents
from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.core.flash_attention import flash_attention_warning
from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec
from sdcpp_rest.core.quantization import WeightType
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.model_headers import autoencoders
from sdcpp_rest.services.model_headers.inspection import Inspection, NotAModel, check_format, inspect_file
from sdcpp_rest.services.models.load_options import check_options

_MAX_EMBEDDING_BYTES = 16 << 20

# The library's CLIP vision encoder and PhotoMaker compute where the diffusion model does.
_PARTS: dict[str, fit.Part] = {
    **dict.fromkeys(("clip_l", "clip_g", "t5xxl", "llm", "llm_vision"), "text_encoders"),
    **dict.fromkeys(("vae", "taesd"), "vae"),
    "controlnet": "controlnet",
}
_NEVER_A_COMPONENT: frozenset[Contents] = frozenset({"LoRA", "upscaler", "embedding", "picture model"})
_USES = {
    "clip_l": "a CLIP-L text encoder",
    "clip_g": "a CLIP-G text encoder",
    "clip_vision": "a CLIP vision encoder",
    "t5xxl": "a T5 text encoder",
    "llm": "a language model",
    "llm_vision": "the vision part of a language model",
    "high_noise_diffusion_model": "a second model for high noise",
}
_ARTICLE = {"upscaler": "an upscaler", "embedding": "an embedding"}


def check_loadable(spec: LoadSpec) -> list[str]:
    """Refuse what would end the process while the model is loaded or at its first picture, as far as the files'
    headers and the options tell; answer warnings for the rest.

    Raises InvalidRequest (NotAModel where a file is at fault), naming the field, the value and what is allowed.
    """
    check_options(spec.options)
    main = check_format(inspect_file(spec.model.path))
    components = {role: _inspect_component(role, file) for role, file in spec.components.items()}
    warnings = [f"{spec.model.name}: {text}" for text in main.warnings]
    _check_main(spec.model, main)
    architecture = main.architecture
    assert architecture is not None
    _check_lora_mode(spec)
    _check_encoder(spec)
    if (text := flash_attention_warning(spec.options, architecture.name)) is not None:
        warnings.append(text)
    faults = family_needs.structural_faults(architecture, main.tensors)
    if not faults:
        for role, inspected in components.items():
            _check_component(architecture, role, spec.components[role], inspected, main)
        faults = family_needs.missing_components(
            architecture, main.tensors, components, kind=spec.kind, tae_preview_only=spec.options.tae_preview_only
        )
    if faults:
        raise InvalidRequest(
            f"{spec.model.name} cannot be loaded like this: {' '.join(faults)}",
            field="model_name",
            value=spec.model.name,
            faults=faults,
        )
    warnings += _idle_components(spec, architecture, main)
    return warnings + family_needs.component_advice(architecture, main.tensors, components, kind=spec.kind)


def check_computable(spec: LoadSpec, gpu_backend: str | None) -> None:
    """Refuse weights that the GPU's backend has no code for: the first picture would end the process. ``None`` for a
    machine that computes on its CPU.

    Raises InvalidRequest, naming the format, where it comes from and what to do.
    """
    if gpu_backend is None:
        return
    options = spec.options
    asked = quantization.weight_type("options.weight_type", options.weight_type)
    rules = quantization.tensor_type_rules("options.tensor_type_rules", options.tensor_type_rules)
    if asked is not None and asked.name in quantization.CPU_ONLY:
        raise _not_computable("options.weight_type", asked.name, gpu_backend, "choose another one, such as q4_0")
    for pattern, entry in rules:
        if entry.name in quantization.CPU_ONLY:
            rule = f"{pattern}={entry.name}"
            raise _not_computable(
                "options.tensor_type_rules", rule, gpu_backend, "choose another type there, such as q4_0"
            )
    for role, file in {"model_name": spec.model, **spec.components}.items():
        kind = _uncomputable_type(inspect_file(file.path), role, options, asked, rules)
        if kind is not None:
            advice = "set options.weight_type to another one, such as q4_0, or convert the file"
            raise _not_computable(role, kind, gpu_backend, advice, file=file.name)


def _uncomputable_type(
    file: Inspection,
    role: str,
    options: LoadOptions,
    asked: WeightType | None,
    rules: tuple[tuple[str, WeightType], ...],
) -> str | None:
    """A format in which the GPU would be given weights of ``file`` and cannot compute with; ``None`` for none."""
    if not quantization.CPU_ONLY & file.types.keys():
        return None
    on_cpu = {
        "text_encoders": options.keep_clip_on_cpu,
        "vae": options.keep_vae_on_cpu,
        "controlnet": options.keep_controlnet_on_cpu,
    }
    compiled = [(re.compile(pattern), entry) for pattern, entry in rules]
    for name, kind in file.tensor_types.items():
        if kind in quantization.CPU_ONLY and not on_cpu.get(fit.part_of(name, _PARTS.get(role, "diffusion_model"))):
            wanted = next((entry for pattern, entry in compiled if pattern.search(name)), asked)
            if fit.held_type(name, file.tensors[name], kind, wanted).name in quantization.CPU_ONLY:
                return kind
    return None


def _not_computable(field: str, value: str, backend: str, advice: str, file: str = "") -> InvalidRequest:
    where = f"{field}: {file} holds {value}" if file else f"{field}: {value!r}"
    return InvalidRequest(
        f"{where}, which {backend} cannot compute with, only the CPU; {advice}",
        field=field,
        value=file or value,
        type=value.rpartition("=")[2],
    )


def _idle_components(spec: LoadSpec, family: Architecture, main: Inspection) -> Iterator[str]:
    """Sentences about components that have no effect: most of them the library does not even read."""
    used = component_forms.used_roles(family, main.tensors)
    for role, file in spec.components.items():
        if role in used:
            continue
        if not family.has_vae and role in ("vae", "taesd"):
            yield f"{family.name} draws pixels itself: the {role} {file.name} is not used."
        elif role == "controlnet":
            yield f"{family.name} cannot be used with a ControlNet; {file.name} is loaded and has no effect."
        else:
            yield f"{family.name} makes no use of {_USES[role]}: the {role} {file.name} has no effect."


def _check_main(file: FileRef, inspected: Inspection, field: str = "model_name") -> None:
    """A file that is not known never reaches the library: the model that is loaded would have been freed for it."""
    if inspected.architecture is not None:
        return
    if inspected.contents in ("picture model", "unknown"):
        what = family_signs.describe_unknown(inspected.tensors) or (
            "is not recognised by its tensors as a model of a family that can be loaded (GET /architectures lists them)"
        )
    else:
        what = f"is {_ARTICLE.get(inspected.contents, f'a {inspected.contents}')}, not a model that draws pictures"
        own = component_fit.OWN_ROLES.get(inspected.contents)
        if own is not None and own != field:
            what += f"; it can be the '{own}' of one"
    role = "" if field == "model_name" else f"{field}: "
    raise NotAModel(f"{role}{file.name} {what}", field=field, value=file.name)


def _inspect_component(role: str, file: FileRef) -> Inspection:
    inspected = inspect_file(file.path)
    try:
        return check_format(inspected)
    except NotAModel as error:
        raise NotAModel(f"{role}: {error.message}", field=role, value=file.name) from None


def _check_component(family: Architecture, role: str, file: FileRef, inspected: Inspection, main: Inspection) -> None:
    if role == "high_noise_diffusion_model":
        _check_main(file, inspected, role)
        fault = _high_noise_fault(family, inspected)
    elif role == "photo_maker" and inspected.contents != "PhotoMaker":
        fault = "is no PhotoMaker model"
    elif inspected.contents in _NEVER_A_COMPONENT:
        what = _ARTICLE.get(inspected.contents, f"a {inspected.contents}")
        fault = f"is {what} and cannot be used as '{role}'"
    else:
        fault = (
            component_fit.component_fault(family, role, inspected.tensors, inspected.contents, main.tensors)
            or component_fit.family_fault(family, role)
            or (_language_model_fault(family, inspected, main) if role == "llm" else None)
        )
    if fault is not None:
        raise NotAModel(f"{role}: {file.name} {fault}", field=role, value=file.name)


def _language_model_fault(family: Architecture, inspected: Inspection, main: Inspection) -> str | None:
    faults = family_needs.language_model_faults(family, main.tensors, inspected.tensors)
    return f"does not fit: {' '.join(faults).removesuffix('.')}" if faults else None


def _high_noise_fault(family: Architecture, inspected: Inspection) -> str | None:
    other = inspected.architecture
    if other is None or other.id != family.id:
        return (
            f"is a model of another family ({other.name if other else 'unknown'}) than the model itself ({family.name})"
        )
    faults = family_needs.structural_faults(other, inspected.tensors)
    return f"cannot be used: {' '.join(faults).removesuffix('.')}" if faults else None


def _check_encoder(spec: LoadSpec) -> None:
    if spec.options.vae_decode_only:
        return
    name = autoencoders.without_encoder(spec)
    if name is not None:
        raise InvalidRequest(
            f"options.vae_decode_only: false needs an autoencoder with its encoder, and {name} has none; choose "
            "another vae or taesd, or leave the option on",
            field="options.vae_decode_only",
            value=False,
            allowed="true",
        )


def embedding_fault(file: ModelFile, family: Architecture | None = None) -> str | None:
    """A sentence on why ``file`` cannot be used as an embedding of a model of ``family``; ``None`` when it can.

    The library reads anything it is given for one: another model takes it half a minute, and turns the picture black.
    """
    if file.size_bytes > _MAX_EMBEDDING_BYTES:
        return f"{file.name} is too large for an embedding"
    try:
        inspected = check_format(inspect_file(file.path))
    except NotAModel as error:
        return error.message
    if inspected.contents != "embedding":
        return f"{file.name} is no embedding"
    fault = component_fit.embedding_fault(family, inspected.tensors) if family else None
    return f"{file.name} {fault}" if fault else None


def quantized_file(spec: LoadSpec) -> str | None:
    """The name of a file of ``spec`` (or the option) that makes some of the weights quantized ones; ``None`` where all
    are floats. Raises NotAModel."""
    options = spec.options
    rules = quantization.tensor_type_rules("options.tensor_type_rules", options.tensor_type_rules)
    if any(entry.is_quantized for _, entry in rules):
        return "options.tensor_type_rules"
    asked = quantization.weight_type("options.weight_type", options.weight_type)
    if asked is not None:
        return "options.weight_type" if asked.is_quantized else None
    for file in (spec.model, *spec.components.values()):
        if inspect_file(file.path).is_quantized:
            return file.name
    return None


def _check_lora_mode(spec: LoadSpec) -> None:
    if spec.options.lora_apply_mode == "immediately" and quantized_file(spec) is not None:
        raise InvalidRequest(
            "options.lora_apply_mode: 'immediately' does not work with quantized weights; use 'auto' or 'at_runtime'",
            field="options.lora_apply_mode",
            value="immediately",
            allowed=["auto", "at_runtime"],
        )
