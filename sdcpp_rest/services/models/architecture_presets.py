"""Finds the preset of a model, the settings of its family and variant, by its file's header and name.

Knows files only through their inspection; it must not know the model folders, nor what is loaded.
"""

from __future__ import annotations

from sdcpp_rest.core import architectures
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.presets import PRESETS, Preset
from sdcpp_rest.core.variants import variant
from sdcpp_rest.services.model_headers.inspection import NotAModel, inspect_file

_EDITORS = frozenset(
    {
        "SD1-Pix2Pix",
        "SDXL-Pix2Pix",
        "Flux-Kontext",
        "Flux.2",
        "Flux.2-Klein",
        "Flux.2-Klein-Base",
        "Qwen-Image-Edit",
        "Qwen-Image-Edit-2511",
    }
)
"""Presets of models that were trained to change the pictures they are shown; others look past them."""


def preset_of(spec: LoadSpec, family_name: str | None = None) -> Preset | None:
    """The preset of the model that ``spec`` loads; ``None`` for one whose family is not known.

    ``family_name`` is the library's own verdict, for files that were not recognised before they were loaded.
    """
    architecture = architectures.architecture_named(spec.architecture) or architectures.architecture_named(family_name)
    if architecture is None:
        return None
    try:
        tensors = inspect_file(spec.model.path).tensors
    except NotAModel:
        tensors = {}  # gone or replaced since it was loaded: its name is all that is left to go by
    return PRESETS[variant(architecture, tensors, spec.model.name, spec.components).preset]


def edits_references(spec: LoadSpec) -> bool:
    """Whether the model changes a picture that it is shown as a reference, instead of starting from it."""
    preset = preset_of(spec)
    return preset is not None and preset.id in _EDITORS
