"""Tells from the headers of model files whether an autoencoder can read pictures, and how much larger an upscaler makes
them."""

from __future__ import annotations

import re

from sdcpp_rest.core import architectures
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.model_headers.inspection import NotAModel, inspect_file

# In files of their own; inside a checkpoint only these prefixes are the autoencoder's, text encoders are encoders too.
_ENCODER = re.compile(r"^(first_stage_model\.|vae\.|tae\.|taesd_)?encoder\.")
_ENCODER_INSIDE = re.compile(r"^(first_stage_model|vae)\.encoder\.")
_USUAL_FACTOR = 4
# The tiny video autoencoder reads whole groups of frames: with one picture of these families the library asserts.
_NO_TINY_ENCODER = frozenset({"qwen_image", "anima"})


def without_encoder(spec: LoadSpec) -> str | None:
    """The name of the file of ``spec`` that lacks the encoder which reading pictures needs; ``None`` where all is
    there, or where the files do not say."""
    family = architectures.architecture_named(spec.architecture)
    if family is not None and not family.has_vae:
        return None
    tiny, whole = spec.components.get("taesd"), spec.components.get("vae")
    if tiny is not None and not _has(tiny, _ENCODER):
        return tiny.name
    always_tiny = family is not None and family.id.startswith("sdxs")
    if tiny is not None and (always_tiny or not spec.options.tae_preview_only):
        return None
    if whole is not None:
        return None if _has(whole, _ENCODER) else whole.name
    return None if _has(spec.model, _ENCODER_INSIDE) else spec.model.name


def with_encoder(spec: LoadSpec, warnings: list[str]) -> LoadSpec:
    """``spec`` so loaded that it can read pictures; adds a sentence to ``warnings`` where that is not what was chosen.

    Raises InvalidRequest where no encoder is to be had.
    """
    without = without_encoder(spec) or _with_useless_encoder(spec)
    if without is not None:
        raise InvalidRequest(
            f"{spec.model.name} cannot read pictures: {without} has no encoder that works for it; load the model with "
            "an autoencoder that has one",
            field="vae",
            value=without,
        )
    if not spec.options.vae_decode_only:
        return spec
    warnings.append(
        f"{spec.model.name} was chosen with vae_decode_only; to read pictures it is loaded with the VAE's encoder."
    )
    return spec.with_encoder


def _with_useless_encoder(spec: LoadSpec) -> str | None:
    """The name of a tiny autoencoder whose encoder the library cannot use for the family."""
    family, tiny = architectures.architecture_named(spec.architecture), spec.components.get("taesd")
    if family is None or tiny is None or spec.options.tae_preview_only or family.id not in _NO_TINY_ENCODER:
        return None
    return tiny.name


def _has(file: FileRef, names: re.Pattern[str]) -> bool:
    """Also for files that cannot be looked into: what they lack is the library's to tell."""
    try:
        tensors = inspect_file(file.path).tensors
    except NotAModel:
        return True
    return not tensors or any(names.match(name) for name in tensors)


def upscale_factor(file: FileRef) -> int:
    """How many times larger an ESRGAN file makes a picture, by the names of its last layers; 4 where they do not say,
    as nearly all of them do."""
    try:
        tensors = inspect_file(file.path).tensors
    except NotAModel:
        return _USUAL_FACTOR
    if "conv_first.weight" not in tensors:
        return _USUAL_FACTOR
    if "conv_up2.weight" in tensors:
        return 4
    return 2 if "conv_up1.weight" in tensors else 1
